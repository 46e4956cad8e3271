/* How much a mask looks like the object did where it was annotated: by the grey values in it and around it. */
#ifndef SAMC_HOST_IO_LIKENESS_H
#define SAMC_HOST_IO_LIKENESS_H

#include "host/io/samc_volume.h"

typedef struct samc__likeness {
    float part[256]; /* of a pixel of this grey value, the odds that it was the object's, 0 to 1 */
    double own;      /* the `iou` of the mask that it was learned from, on its own slice */
} samc__likeness;

/* Learns from a mask, which is not empty, on its own slice: grey [height, width]. SAMC_OUT_OF_MEMORY. */
samc_status samc__likeness_learn(samc__likeness *likeness, const samc_rle *mask, const uint8_t *grey,
                                 samc_error *error);
/* What lies around a mask, which is not empty: its box, a quarter wider on each side; x0 y0 x1 y1, edges exclusive. */
samc_status samc__likeness_around(const samc_rle *mask, int around[4], samc_error *error);
/* How a mask fits the odds of the pixels within `around`, which beyond it are 0. */
typedef struct samc__match {
    double iou;      /* of the mask with the odds as a soft mask, 0 to 1: comparable between slices, but where nothing
                        looks much like the object a mask that is too large has more of it than the right one */
    double evidence; /* over the mask, odds for the object less odds against it: most of it has the mask that holds the
                        pixels that are rather the object's, and a mask below 0 is rather not the object */
} samc__match;

samc__match samc__likeness_of(const samc__likeness *likeness, const int around[4], const samc_rle *mask,
                              const uint8_t *grey);

#endif
