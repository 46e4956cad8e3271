// wrapper.h - what the C functions at the end of each _cuda.cu share.
#ifndef SAMC_KERNELS_CUDA_WRAPPER_H
#define SAMC_KERNELS_CUDA_WRAPPER_H

#include "kernels/cuda/cuda_ops.h"

#define SAMC_REQUIRE(op, condition)                                                                                   \
    do {                                                                                                              \
        if (!(condition)) return samc__fail(cuda->error, SAMC_INVALID_ARGUMENT, "operator %s on the GPU: %s does not hold", op, #condition); \
    } while (0)

namespace samc {

static inline samc_status started(const samc__cuda *cuda, const char *op, const char *problem) {
    return problem == nullptr ? SAMC_OK : samc__fail(cuda->error, SAMC_INTERNAL, "operator %s on the GPU: %s", op, problem);
}

static inline bool aligned16(const void *p) { return reinterpret_cast<uintptr_t>(p) % 16 == 0; }

} // namespace samc

#endif
