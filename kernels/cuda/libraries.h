/* The two operators that NVIDIA's libraries compute: large linear layers (cuBLASLt) and the neck's convolution (cuDNN). */
#ifndef SAMC_KERNELS_CUDA_LIBRARIES_H
#define SAMC_KERNELS_CUDA_LIBRARIES_H

#include "kernels/conv3x3.h"
#include "kernels/cuda/cuda_ops.h"
#include "kernels/linear.h"

/* Handles and the algorithms found so far; for one stream and one thread at a time. */
typedef struct samc__libraries samc__libraries;
samc_status samc__libraries_open(samc__libraries **libraries, struct CUstream_st *stream, samc_error *error);
void samc__libraries_close(samc__libraries *libraries); /* NULL is allowed */

enum { SAMC__LIBRARY_SCRATCH = 32 << 20 }; /* bytes; what both libraries may use as workspace */

/* For arguments that samc__linear_cuda_choice() gives to cuBLASLt. */
samc_status samc__linear_cublas(const samc__cuda *cuda, const samc__linear_args *args);

/* x, w, y all of one type; w's memory is [c_out, 3, 3, c_in]: the order that cuDNN wants, in which weights are uploaded. */
samc_status samc__conv3x3_cuda(const samc__cuda *cuda, const samc__conv3x3_args *args);
size_t samc__conv3x3_cuda_scratch(const samc__conv3x3_args *args);

#endif
