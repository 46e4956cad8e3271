/* Which code computes a linear layer on the GPU: cuBLASLt where it has the very epilogue that is wanted, samc's own kernel
 * elsewhere. A pure function of the arguments' types, shapes and addresses. */
#ifndef SAMC_KERNELS_CUDA_LINEAR_CHOICE_H
#define SAMC_KERNELS_CUDA_LINEAR_CHOICE_H

#include "kernels/linear.h"

typedef enum samc__linear_choice {
    SAMC__LINEAR_OWN,     /* kernels/linear_cuda.cu: any shape, erf GELU, f32 rows times 16-bit weights */
    SAMC__LINEAR_CUBLASLT /* large products with a bias, a residual or a ReLU */
} samc__linear_choice;

samc__linear_choice samc__linear_cuda_choice(const samc__linear_args *args);

/* The bias that cuBLASLt adds: one of y's type, or none (data NULL). */
samc__view samc__linear_cublas_bias(const samc__linear_args *args);

#endif
