/* finish_masks: low-resolution logits -> bit-packed mask in the image's size, with area, stability counts and box.
 *
 * `index` picks the masks that are worth it out of all that were decoded, without moving any logits.
 *
 * The resize to the image's size is `path`'s, then comes the threshold. NaN is below every threshold, and a mix with a
 * NaN or, where it has a weight of 0, with an infinity is NaN; `spoilt` tells of it, in the same pass. Bit x % 64 of
 * word x / 64 of a row is pixel x; bits beyond the width are 0. */
#ifndef SAMC_KERNELS_FINISH_MASKS_FINISH_MASKS_H
#define SAMC_KERNELS_FINISH_MASKS_FINISH_MASKS_H

#include "runtime/base/view.h"

/* None of them antialiased, all with align_corners=False. */
typedef enum samc__mask_path {
    SAMC__MASKS_VIA_SQUARE, /* Sam.postprocess_masks: bilinear to img_size, the padding cut off, bilinear to the image
                             */
    SAMC__MASKS_DIRECT,     /* bilinear to the image in one step */
    SAMC__MASKS_BICUBIC,    /* torch's bicubic to the image in one step */
    SAMC__MASK_PATHS
} samc__mask_path;

typedef struct samc__mask_stats {
    int64_t area;           /* logit > threshold */
    int64_t above, below;   /* logit > threshold + offset, logit > threshold - offset */
    int32_t x0, y0, x1, y1; /* inclusive corners of the box; x1 < x0 when the mask is empty */
    int64_t
        spoilt; /* 1: a logit is NaN or infinite, from the first to the last row and column that pixels read; or 0 */
} samc__mask_stats;

typedef struct samc__finish_masks_args {
    samc__view logits;    /* [rows, low, low] */
    const int32_t *index; /* [count] mask i has the logits index[i], below `rows`; NULL: masks are the rows, in order */
    int64_t count;        /* masks, where `index` is given */
    const int32_t *picked; /* how many of these there are, beside `index`: at most `count`, the rest is left alone;
                              NULL: `count` */
    samc__mask_path path;
    int img_size;              /* of VIA_SQUARE alone, as the two below */
    int new_height, new_width; /* of the resized image inside the padded square */
    int height, width;         /* of the image */
    float threshold, offset;
    uint64_t *bits;          /* [masks, height, (width + 63) / 64]; NULL: statistics only */
    samc__mask_stats *stats; /* [masks] */
} samc__finish_masks_args;

/* One bilinear step is two of which the first goes to a square of the logits' own size, where it changes nothing. */
static inline samc__finish_masks_args samc__finish_masks_steps(const samc__finish_masks_args *a) {
    samc__finish_masks_args steps = *a;
    if (a->path != SAMC__MASKS_VIA_SQUARE) steps.img_size = steps.new_height = steps.new_width = (int)a->logits.n[1];
    return steps;
}

/* At most, and where `picked` is the host's to read. */
static inline int64_t samc__finish_masks_count(const samc__finish_masks_args *a) {
    return a->index ? a->count : a->logits.n[0];
}
static inline int64_t samc__finish_masks_picked(const samc__finish_masks_args *a) {
    return a->picked ? *a->picked : samc__finish_masks_count(a);
}

#endif
