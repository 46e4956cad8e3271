/* conv3x3: 3x3 convolution, padding 1, stride 1 or 2, on [h, w, channels] activations, with linear's epilogue:
 * y = act(conv(x) + b) + residual, or act(conv(x) + b + residual) where `act_last`. y may be the residual. */
#ifndef SAMC_KERNELS_CONV3X3_CONV3X3_H
#define SAMC_KERNELS_CONV3X3_CONV3X3_H

#include "kernels/linear/linear.h"

typedef struct samc__conv3x3_args {
    samc__view x;        /* [images, h, w, c_in] */
    samc__view w;        /* [c_out, c_in, 3, 3] */
    samc__view b;        /* [c_out] or absent */
    samc__view residual; /* as y, or absent */
    samc__view y;        /* [images, (h - 1) / stride + 1, (w - 1) / stride + 1, c_out] */
    int stride;
    samc__act act;
    bool act_last;
    /* Stride 1: Winograd's way may be taken, half the products and other roundings; what is not finite then spreads to
     * neighbours. */
    bool winograd;
} samc__conv3x3_args;

#endif
