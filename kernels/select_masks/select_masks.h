/* select_masks: which masks are worth finishing, by their predicted IoU: their indices in order, and how many they are.
 *
 * Both stay where the IoU is, so that what comes next can be started on a GPU before the host knows either. */
#ifndef SAMC_KERNELS_SELECT_MASKS_SELECT_MASKS_H
#define SAMC_KERNELS_SELECT_MASKS_SELECT_MASKS_H

#include "runtime/base/view.h"

typedef struct samc__select_masks_args {
    const float *iou; /* [count] */
    int64_t count;
    float threshold; /* NaN passes none */
    bool all;        /* every mask passes, whatever its IoU */
    int32_t *index;  /* [count], of which the first *picked are written: ascending */
    int32_t *picked;
} samc__select_masks_args;

#endif
