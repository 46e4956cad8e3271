/* choose_masks: SAM 2's answers from what its decoder predicts: the IoU as probabilities, and where a prompt has one
 * answer, its first mask, or if that is not stable the best of the others.
 *
 * Stable: of the logits above -delta at least `threshold` are above delta, too (all of none). The best has the largest
 * probability, the first of several; one that is NaN is the best, so that it is told of. */
#ifndef SAMC_KERNELS_CHOOSE_MASKS_CHOOSE_MASKS_H
#define SAMC_KERNELS_CHOOSE_MASKS_CHOOSE_MASKS_H

#include "runtime/base/view.h"

typedef struct samc__choose_masks_args {
    samc__view iou;    /* [prompts, masks] logits */
    samc__view logits; /* [prompts, masks, side, side], two masks at least; or absent, then nothing is chosen */
    samc__view y;      /* [prompts, side, side] of the chosen; absent without logits */
    samc__view y_iou;  /* [prompts, given]: of the chosen, 1; else of `given` masks from `first` on */
    int first;
    float delta, threshold;
} samc__choose_masks_args;

#endif
