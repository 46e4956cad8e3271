/* What torch's interpolate() reads in mode "bicubic" without aligned corners: four neighbours along an axis, those
 * beyond the border being its own, weighted by Keys' kernel with a = -0.75. */
#ifndef SAMC_KERNELS_CUBIC_TAP_H
#define SAMC_KERNELS_CUBIC_TAP_H

#include <math.h>

typedef struct samc__cubic_tap { /* out = sum of weight[k] * in[at[k]] */
    int at[4];
    float weight[4];
} samc__cubic_tap;

static inline float samc__cubic_near(float x) { return (1.25f * x - 2.25f) * x * x + 1.0f; }
static inline float samc__cubic_far(float x) { return ((-0.75f * x + 3.75f) * x - 6.0f) * x + 3.0f; }

static inline samc__cubic_tap samc__cubic_tap_of(int out, int in_size, int out_size) {
    float source = (float)in_size / (float)out_size * ((float)out + 0.5f) - 0.5f, from = floorf(source);
    float t = source - from, rest = 1.0f - t;
    samc__cubic_tap tap = {.weight = {samc__cubic_far(t + 1.0f), samc__cubic_near(t), samc__cubic_near(rest),
                                      samc__cubic_far(rest + 1.0f)}};
    for (int k = 0; k < 4; k++) {
        int at = (int)from - 1 + k;
        tap.at[k] = at < 0 ? 0 : at < in_size ? at : in_size - 1;
    }
    return tap;
}

#endif
