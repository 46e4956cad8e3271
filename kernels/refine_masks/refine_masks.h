/* refine_masks: SAM-HQ's mask of each prompt from its upscaled map: conv3x3 -> LayerNorm2d -> GELU -> conv3x3, plus the
 * image's map, times the prompt's vector; plus the mask of its own vectors that is predicted to be the best.
 *
 * Nothing follows the second convolution but that product, so it may be taken into its weight: one channel for each
 * prompt in place of c. */
#ifndef SAMC_KERNELS_REFINE_MASKS_REFINE_MASKS_H
#define SAMC_KERNELS_REFINE_MASKS_REFINE_MASKS_H

#include "runtime/base/view.h"

typedef struct samc__refine_masks_args {
    samc__view map;         /* [prompts, 4 grid * 4 grid, c] */
    samc__projection conv1; /* w [middle, c, 3, 3], b [middle] */
    samc__norm norm;        /* [middle] */
    samc__projection conv2; /* w [c, middle, 3, 3], b [c] */
    samc__view image;       /* [images, 4 grid * 4 grid, c], images dividing prompts */
    samc__view refiner;     /* [prompts, c] */
    samc__view hyper;       /* [prompts, masks, c], of the map itself */
    samc__view iou;         /* [prompts, masks]; the first of the largest is chosen */
    samc__view y;           /* [prompts, 4 grid, 4 grid] logits */
    samc__view y_iou;       /* [prompts] of the one that was chosen */
    int grid;
    bool alone; /* without the chosen mask, whose IoU is given all the same */
} samc__refine_masks_args;

/* Which of a prompt's masks is predicted to be the best. One whose IoU is no number is, so that it is told of. */
static inline int64_t samc__refine_masks_best(const float *iou, int64_t masks) {
    int64_t best = 0;
    for (int64_t i = 1; i < masks; i++)
        if (iou[i] > iou[best] || iou[i] != iou[i]) best = i;
    return best;
}

#endif
