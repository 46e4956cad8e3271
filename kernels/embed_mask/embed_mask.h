/* embed_mask: mask prompts added to the image embedding (PromptEncoder.mask_downscaling and the sum in MaskDecoder).
 *
 * conv 2x2 stride 2 -> LayerNorm2d -> GELU -> conv 2x2 stride 2 -> LayerNorm2d -> GELU -> conv 1x1, then + image. */
#ifndef SAMC_KERNELS_EMBED_MASK_EMBED_MASK_H
#define SAMC_KERNELS_EMBED_MASK_EMBED_MASK_H

#include "runtime/base/view.h"

typedef struct samc__embed_mask_args {
    samc__view mask;        /* [prompts, 4 grid, 4 grid] logits */
    samc__projection conv1; /* w [c1, 1, 2, 2], b [c1] */
    samc__norm norm1;       /* [c1] */
    samc__projection conv2; /* w [c2, c1, 2, 2], b [c2] */
    samc__norm norm2;       /* [c2] */
    samc__projection conv3; /* w [C, c2], b [C] */
    samc__view image;       /* [B, grid * grid, C]: B divides prompts, prompt p reads entry p / (prompts / B) */
    samc__view y;           /* [prompts, grid * grid, C] */
    int grid;
} samc__embed_mask_args;

#endif
