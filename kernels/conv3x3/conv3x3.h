/* conv3x3: the neck's 3x3 convolution, padding 1, no bias, on [pixels, channels] activations. */
#ifndef SAMC_KERNELS_CONV3X3_CONV3X3_H
#define SAMC_KERNELS_CONV3X3_CONV3X3_H

#include "runtime/base/view.h"

typedef struct samc__conv3x3_args {
    samc__view x; /* [images, grid * grid, c_in] */
    samc__view w; /* [c_out, c_in, 3, 3] */
    samc__view y; /* [images, grid * grid, c_out] */
    int grid;
} samc__conv3x3_args;

#endif
