/* Tables of positions stretched over another grid, as torch's interpolate(mode="bicubic", align_corners=False) does it:
 * a = -0.75, samples beyond the edge being those at it. In double. */
#ifndef SAMC_RUNTIME_MODEL_CUBIC_H
#define SAMC_RUNTIME_MODEL_CUBIC_H

#include <stdint.h>

/* [side, side] cells of so many channels: how far from one to the next. */
typedef struct samc__cubic_map {
    const float *values;
    int side;
    int64_t cell, channel;
} samc__cubic_map;

/* to [out, out, channels] */
void samc__stretch_cubic(const samc__cubic_map *from, int64_t channels, int out, float *to);

#endif
