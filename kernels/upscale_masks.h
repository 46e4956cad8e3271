/* upscale_masks: conv-transpose -> LayerNorm2d -> GELU -> conv-transpose -> GELU -> product with the hypernetwork vectors.
 *
 * The 4x larger feature map never exists: each token yields the 4x4 logits of its cell for every mask. */
#ifndef SAMC_KERNELS_UPSCALE_MASKS_H
#define SAMC_KERNELS_UPSCALE_MASKS_H

#include "kernels/view.h"

typedef struct samc__upscale_masks_args {
    samc__view src; /* [prompts, grid * grid, C] */
    samc__projection up1; /* w [C, C / 4, 2, 2], b [C / 4] */
    samc__norm norm; /* [C / 4] */
    samc__projection up2; /* w [C / 4, C / 8, 2, 2], b [C / 8] */
    samc__view hyper; /* [prompts, masks, C / 8] */
    samc__view y; /* [prompts, masks, 4 grid, 4 grid] logits */
    int grid;
} samc__upscale_masks_args;

#endif
