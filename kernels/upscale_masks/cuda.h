/* upscale_masks on the GPU: what it takes, which kernel serves it, what it has beside samc__upscale_masks_cuda(). */
#ifndef SAMC_KERNELS_UPSCALE_MASKS_CUDA_H
#define SAMC_KERNELS_UPSCALE_MASKS_CUDA_H

#include "kernels/cuda/cuda_ops.h"
#include "kernels/upscale_masks/upscale_masks.h"

#ifdef __cplusplus
extern "C" {
#endif

/* src and both weights all f32, all f16 or all bf16; everything else f32. */

/* Which kernel serves a shape; a pure function. c, c4, c8: channels of src and of the two maps. */
typedef enum samc__upscale_kernel {
    SAMC__UPSCALE_ANY,  /* fp32 products */
    SAMC__UPSCALE_CELLS /* 16-bit: c 256 or 128, c4 = c / 4, c8 = c / 8, at most 4 masks, grid a multiple of 8 */
} samc__upscale_kernel;
samc__upscale_kernel samc__upscale_masks_cuda_kernel(samc__dtype type, int c, int c4, int c8, int masks, int grid);

#ifdef __cplusplus
}
#endif

#endif
