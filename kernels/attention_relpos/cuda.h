/* attention_relpos on the GPU: what it takes, which kernel serves it, what it has beside samc__attention_relpos_cuda().
 */
#ifndef SAMC_KERNELS_ATTENTION_RELPOS_CUDA_H
#define SAMC_KERNELS_ATTENTION_RELPOS_CUDA_H

#include "kernels/cuda/cuda_ops.h"
#include "kernels/attention_relpos/attention_relpos.h"

#ifdef __cplusplus
extern "C" {
#endif

/* qkv, qkv_bias, rel_h, rel_w and y all f32, all f16 or all bf16; softmax and accumulation fp32. Any shape whose tiles
 * fit shared memory (hd 192 with a side of 64 does). */

/* Which attention kernel serves the dtypes and shapes of a call; a pure function. */
typedef enum samc__attention_kernel {
    SAMC__ATTENTION_GENERAL,     /* f32, a table, or a shape without a tensor-core kernel: plain multiply-adds */
    SAMC__ATTENTION_GLOBAL,      /* 16-bit: grid 64 with hd 64 or 80; grid 32 with hd 64 */
    SAMC__ATTENTION_WINDOW,      /* 16-bit, any grid: window 14 with hd 64 or 80; window 8 with hd 64 */
    SAMC__ATTENTION_GLOBAL_ONES, /* bf16, grid 64, hd 80: rows are summed on the tensor cores. Never chosen until
                                    hardware has been asked */
    SAMC__ATTENTION_WINDOW_16,   /* bf16, window 14: 16 queries a warp and rows summed so. Likewise */
    SAMC__ATTENTION_BARE /* 16-bit, nothing added to scores, hd 56, 72 or 96: any window, queries pooled or not */
} samc__attention_kernel;
samc__attention_kernel samc__attention_relpos_cuda_kernel(const samc__attention_relpos_args *args);

/* The same by a kernel of one's own choice, for comparisons. */
samc_status samc__attention_relpos_cuda_by(const samc__cuda *cuda, const samc__attention_relpos_args *args,
                                           samc__attention_kernel kernel);

#ifdef __cplusplus
}
#endif

#endif
