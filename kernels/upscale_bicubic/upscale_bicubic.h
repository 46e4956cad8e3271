/* upscale_bicubic: features at another size, as torch's interpolate() has them in mode "bicubic" without aligned
 * corners: four by four neighbours, those beyond the border being its own, Keys' kernel with a = -0.75. All in f32; y
 * may be what is added. */
#ifndef SAMC_KERNELS_UPSCALE_BICUBIC_UPSCALE_BICUBIC_H
#define SAMC_KERNELS_UPSCALE_BICUBIC_UPSCALE_BICUBIC_H

#include "runtime/base/view.h"

typedef struct samc__upscale_bicubic_args {
    samc__view x;   /* f32 [images, h, w, c] */
    samc__view add; /* f32 as y, or absent */
    samc__view y;   /* f32 [images, H, W, c] */
} samc__upscale_bicubic_args;

#endif
