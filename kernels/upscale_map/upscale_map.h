/* upscale_map: conv-transpose -> LayerNorm2d -> GELU -> conv-transpose [-> GELU] [+ another map]: features of four
 * times the side.
 *
 * As upscale_masks, without the product at its end: SAM-HQ's chains of the embedding and of an early feature, once an
 * image, whose sum is one map, and that of a prompt's keys, with the second GELU. */
#ifndef SAMC_KERNELS_UPSCALE_MAP_UPSCALE_MAP_H
#define SAMC_KERNELS_UPSCALE_MAP_UPSCALE_MAP_H

#include "runtime/base/view.h"

typedef struct samc__upscale_map_args {
    samc__view x;         /* [images, grid * grid, in] */
    samc__projection up1; /* w [in, middle, 2, 2], b [middle] */
    samc__norm norm;      /* [middle] */
    samc__projection up2; /* w [middle, out, 2, 2], b [out] */
    samc__view add;       /* [images, 4 grid * 4 grid, out] or absent; may be y */
    samc__view y;         /* [images, 4 grid * 4 grid, out] */
    int grid;
    bool gelu; /* of the second too, before `add` */
} samc__upscale_map_args;

#endif
