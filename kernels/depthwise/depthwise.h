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
    samc__view y; /* [images, (h - 1) / stride + 1, (w - 1) / stride + 1, c] */
    int stride;
    samc__act act;
} samc__depthwise_args;

#endif
