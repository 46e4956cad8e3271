/* conv3x3 on the GPU: what it takes, which kernel serves it, what it has beside samc__conv3x3_cuda(). */
#ifndef SAMC_KERNELS_CONV3X3_CUDA_H
#define SAMC_KERNELS_CONV3X3_CUDA_H

#include "kernels/cuda/cuda_ops.h"
#include "kernels/conv3x3/conv3x3.h"

#ifdef __cplusplus
extern "C" {
#endif

/* x and w both f32, both f16 or both bf16 (A), y and the residual each f32 or A; the bias f32. */

/* The weight laid out by tap: w [c_out, c_in, 3, 3] of any dtype -> by_tap [c_out, 3, 3, c_in] of the same. */
samc_status samc__conv3x3_by_tap_cuda(const samc__cuda *cuda, samc__view w, void *by_tap);

/* Which kernel serves a shape; a pure function of y's pixels, the channels and the types. `aligned`: all but w
 * to 16 bytes. */
typedef enum samc__conv3x3_kernel {
    SAMC__CONV3X3_ANY,   /* fp32 products */
    SAMC__CONV3X3_LARGE, /* 128 x 128 tiles; 16-bit, c_in a multiple of 32, c_out of 4 */
    SAMC__CONV3X3_SMALL  /* 64 x 64; c_in a multiple of 64 */
} samc__conv3x3_kernel;
samc__conv3x3_kernel samc__conv3x3_cuda_kernel(int64_t pixels, int64_t c_in, int64_t c_out, samc__dtype type,
                                               bool aligned);

#ifdef __cplusplus
}
#endif

#endif
