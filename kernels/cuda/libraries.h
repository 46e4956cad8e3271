/* Large linear layers through NVIDIA's cuBLASLt. */
#ifndef SAMC_KERNELS_CUDA_LIBRARIES_H
#define SAMC_KERNELS_CUDA_LIBRARIES_H

#include "kernels/cuda/cuda_ops.h"
#include "kernels/linear.h"

/* The handle and the algorithms found so far; for one thread at a time. */
typedef struct samc__libraries samc__libraries;
samc_status samc__libraries_open(samc__libraries **libraries, samc_error *error);
void samc__libraries_close(samc__libraries *libraries); /* NULL is allowed */

enum { SAMC__LIBRARY_SCRATCH = 32 << 20 }; /* bytes that it may use as workspace */

/* For arguments that samc__linear_cuda_choice() gives to cuBLASLt. */
samc_status samc__linear_cublas(const samc__cuda *cuda, const samc__linear_args *args);

#endif
