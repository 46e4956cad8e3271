/* What the files runtime/cuda_*.c share: the opened device, and how CUDA's errors become statuses. */
#ifndef SAMC_RUNTIME_CUDA_DEVICE_H
#define SAMC_RUNTIME_CUDA_DEVICE_H

#include "runtime/cuda.h"

#include <cuda_runtime_api.h>

struct samc__cuda_device {
    int number;
    char name[256];
    int multiprocessors, capability;
    void *cublaslt; /* kept open, so that sessions need not load it anew; NULL: not there */
    char note[600]; /* then why, or "" */
    void *weights;  /* one block for all tensors of the model */
    size_t weight_bytes;
};

int samc__cuda_capability(
    const samc__cuda_device *device); /* ten times the compute capability, 90 for 9.0; 0 for NULL */

/* SAMC_OK, OUT_OF_MEMORY, or NO_DEVICE when the device failed: it is lost to this process then, and every later call
 * says the same. */
samc_status samc__cuda_status(samc_error *error, cudaError_t code, const char *doing);

#define SAMC__CUDA_TRY(error, call, doing) SAMC__TRY(samc__cuda_status(error, call, doing))

#endif
