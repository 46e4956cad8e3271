/* Which code computes a linear layer on the GPU: cuBLASLt where it has the very epilogue that is wanted, samc's own
 * kernel elsewhere, and for the encoder's GELU what the table in choice.c says of the GPU. A pure function of
 * the GPU's compute capability and of the layer: types, n, k and alignment, never the number of rows, so that a batch
 * of another size has the same bytes. Where cuBLASLt is not there, or refuses, samc's own kernel takes its part
 * (library.c). */
#ifndef SAMC_KERNELS_LINEAR_CHOICE_H
#define SAMC_KERNELS_LINEAR_CHOICE_H

#include "kernels/linear/linear.h"

typedef enum samc__linear_choice {
    SAMC__LINEAR_OWN,           /* kernels/linear/cuda.cu: any shape, erf GELU, f32 rows times 16-bit weights */
    SAMC__LINEAR_CUBLASLT,      /* large products with a bias, a residual or a ReLU */
    SAMC__LINEAR_CUBLASLT_GELU, /* large products whose bias and GELU a second pass over y applies:
                                   samc__bias_gelu_cuda() */
    SAMC__LINEAR_WGMMA          /* the same layers in one pass by samc__linear_wgmma_cuda(): capability 9.0 alone */
} samc__linear_choice;

/* capability: ten times the compute capability, 80 for 8.0. */
samc__linear_choice samc__linear_cuda_choice(const samc__linear_args *args, int capability);

/* The product alone, without bias and activation: what cuBLASLt computes of a layer whose GELU is a second pass. */
samc__linear_args samc__linear_without_gelu(const samc__linear_args *args);

/* The bias that cuBLASLt adds: one of y's type, or none (data NULL). */
samc__view samc__linear_cublas_bias(const samc__linear_args *args);

#endif
