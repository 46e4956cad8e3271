/* mask_rle: bit-packed masks -> COCO run lengths, column-major, the first run counting background.
 *
 * Runs change where a pixel differs from the one above it (or, at the top of a column, from the foot of the column
 * before): whole words of a row are compared with the row above, so that the work goes with the boundary and not with
 * the area. */
#ifndef SAMC_KERNELS_MASK_RLE_MASK_RLE_H
#define SAMC_KERNELS_MASK_RLE_MASK_RLE_H

#include "runtime/base/view.h"

typedef struct samc__mask_rle_args {
    const uint64_t *bits; /* [masks, height, (width + 63) / 64] as finish_masks writes them */
    int64_t masks;
    int height, width;
    uint32_t *counts; /* [masks, capacity] */
    int64_t capacity;
    int64_t *lengths; /* [masks] runs of each mask; one above `capacity` means that its counts are incomplete */
} samc__mask_rle_args;

#endif
