/* linear on the GPU: what it takes, which kernel serves it, what it has beside samc__linear_cuda(). */
#ifndef SAMC_KERNELS_LINEAR_CUDA_H
#define SAMC_KERNELS_LINEAR_CUDA_H

#include "kernels/cuda/cuda_ops.h"
#include "kernels/linear/linear.h"

#ifdef __cplusplus
extern "C" {
#endif

/* w f32, f16 or bf16 (A); x, y and the residual each f32 or A; the bias f32. x f32 meets a 16-bit w rounded to it. */

/* The same by Hopper's wgmma: x and w both f16 or both bf16, everything aligned, capability 9.0. Its sums may differ in
 * their last places from those of the other kernels. */
samc_status samc__linear_wgmma_cuda(const samc__cuda *cuda, const samc__linear_args *args);

/* y = gelu(y + b) in place. y [m, n] f16 or bf16, rows y_stride apart (0: n), n and y_stride multiples of 8; b [n] f32
 * or absent (data NULL). */
samc_status samc__bias_gelu_cuda(const samc__cuda *cuda, samc__view y, int64_t y_stride, samc__view b);

/* Which kernel serves y [m, n] = x [m, k] . w [n, k]^T with a 16-bit w; a pure function. `aligned`: every pointer to 16
 * bytes, rows of x and w to 8 elements, of the others to 4. The order of a sum depends on n, k and the type of x, never
 * on m: no result depends on what else is in the batch. */
typedef enum samc__linear_kernel {
    SAMC__LINEAR_ANY,    /* fp32 products; also the one for a f32 w */
    SAMC__LINEAR_LARGE,  /* 128 x 128 tiles */
    SAMC__LINEAR_SMALL,  /* 64 x 64 */
    SAMC__LINEAR_TOKENS, /* 32 x 32, k shared by four warps */
    SAMC__LINEAR_GROUPS  /* 128 x 256 on wgmma: capability 9.0 alone, and only where samc__linear_wgmma_cuda() is called
                          */
} samc__linear_kernel;
samc__linear_kernel samc__linear_cuda_kernel(int64_t m, int64_t n, int64_t k, bool x_is_float, bool aligned);

#ifdef __cplusplus
}
#endif

#endif
