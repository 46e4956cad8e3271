/* How much a mask on one slice looks like the object on the slice beside it: by the grey values in it and around it. */
#ifndef SAMC_HOST_IO_LIKENESS_H
#define SAMC_HOST_IO_LIKENESS_H

#include "host/io/samc_volume.h"

typedef struct samc__likeness {
    int width, height;
    int x0, y0, x1, y1; /* the mask's box, a quarter wider on each side; edges exclusive */
    float part[256];    /* of a pixel of this grey value, the odds that it was the object's, 0 to 1 */
} samc__likeness;

/* Learns from a mask, which is not empty, on its own slice: grey [height, width]. SAMC_OUT_OF_MEMORY. */
samc_status samc__likeness_learn(samc__likeness *likeness, const samc_rle *mask, const uint8_t *grey,
                                 samc_error *error);
/* Of a mask on a slice with these grey values, 0 to 1: the odds of its pixels within the box, over its area and the
 * odds that it leaves out there: the IoU of a mask with a soft one. */
double samc__likeness_of(const samc__likeness *likeness, const samc_rle *mask, const uint8_t *grey);

#endif
