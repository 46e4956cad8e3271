/* What the mask of one slice says to the next: a box, points, logits. Nothing here knows a model or a volume. */
#ifndef SAMC_HOST_IO_CARRY_H
#define SAMC_HOST_IO_CARRY_H

#include "host/io/samc_volume.h"

enum { SAMC__CARRY_POINTS = 6 }; /* at most 3 on the object, then at most 3 off it */

/* Of slices and of the model's low-resolution logits. */
typedef struct samc__carry_frame {
    int width, height;
    int low_res;
    bool squash; /* the logits cover the slice; else its longer side, and the rest of the square is padding */
} samc__carry_frame;

/* A prompt that is complete but for its slice, with room for what it points to. */
typedef struct samc__carried {
    samc_prompt prompt;
    float points[2 * SAMC__CARRY_POINTS], box[4];
    int32_t labels[SAMC__CARRY_POINTS];
} samc__carried;

/* The prompt of samc_carry bits that a mask, which is not empty, becomes. The box is that of its pixels, wider by
 * `extension` of its sides on each side, within the slice. Points on the object are where its edge is farthest, those
 * off it where the mask is, within a box a quarter wider. Logits (where `logits` is not NULL and the bits say so), to
 * [low_res, low_res], are 6.9 where at least half of a cell is mask, else -6.9, and 0 in the padding: probabilities of
 * 0.999 and 0.001. SAMC_OUT_OF_MEMORY. */
samc_status samc__carry(const samc_rle *mask, const samc__carry_frame *frame, unsigned bits, double extension,
                        float *logits, samc__carried *carried, samc_error *error);

/* Masks of the same size, by their runs. */
double samc__mask_iou(const samc_rle *a, const samc_rle *b); /* 0 where both are empty */
int64_t samc__mask_area(const samc_rle *mask);
/* What either has, or what both have; its run lengths are to be freed. */
samc_status samc__mask_both(const samc_rle *a, const samc_rle *b, bool either, samc_rle *both, samc_error *error);

#endif
