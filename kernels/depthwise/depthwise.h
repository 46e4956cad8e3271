/* depthwise: a convolution of each channel by itself, side x side, padding side / 2, stride 1 or 2, on [h, w, channels]
 * activations: y = act(conv(x) + b). */
#ifndef SAMC_KERNELS_DEPTHWISE_DEPTHWISE_H
#define SAMC_KERNELS_DEPTHWISE_DEPTHWISE_H

#include "kernels/linear/linear.h"

enum { SAMC__DEPTHWISE_MOST = 7 }; /* side */

typedef struct samc__depthwise_args {
    samc__view x; /* [images, h, w, c] */
    samc__view w; /* f32 [c * side, side], what a file has as [c, 1, side, side] */
    samc__view b; /* f32 [c] or absent */
    samc__view y; /* [images, (h - 1) / stride + 1, (w - 1) / stride + 1, c], of a band fewer rows */
    int stride;
    samc__act act;
    /* x is a band of a larger image (on hosts alone): above its first output, or below its last one, it begins and ends
     * with the side / 2 rows that their taps reach, and has no padding there. */
    bool above, below;
} samc__depthwise_args;

/* Rows of padding above x, and rows of y. */
static inline int64_t samc__depthwise_top(const samc__depthwise_args *a) { return a->above ? 0 : a->w.n[1] / 2; }
static inline int64_t samc__depthwise_rows(const samc__depthwise_args *a) {
    const int64_t bottom = a->below ? 0 : a->w.n[1] / 2;
    return (a->x.n[1] + samc__depthwise_top(a) + bottom - a->w.n[1]) / a->stride + 1;
}

#endif
