// cuda_twin.h - what the twins of CUDA's runtime, cuBLASLt and cuDNN share: streams that take work, checked device
// addresses.
#ifndef SAMC_TESTS_EMU_CUDA_TWIN_H
#define SAMC_TESTS_EMU_CUDA_TWIN_H

#include "cuda_runtime_api.h"
#include "emu.h"

namespace emu {

// Puts work on a stream; `what` must be a literal.
void enqueue(cudaStream_t stream, const char *what, std::function<void()> work);

// The same for what the hardware would call a launch: kernels, and the libraries' calls.
void launch_work(cudaStream_t stream, const char *what, std::function<void()> work);

// Ends the process unless [p, p + bytes) lies within one piece of device memory that is in use.
void check_device(const void *p, size_t bytes, const char *call);

// What samc_emu_settings.cudnn and .cublaslt say.
uint64_t cudnn_setting();
uint64_t cublaslt_setting();

} // namespace emu

#endif
