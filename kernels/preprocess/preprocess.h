/* preprocess: one 8-bit RGB image -> resized, normalised, padded patches, ready for the patch embedding's GEMM.
 *
 * Mirrors ResizeLongestSide.apply_image and Sam.preprocess: Pillow's antialiased bilinear resize (below 12.2,
 * bit-exact, 22-bit fixed point, horizontal pass first, 8-bit intermediate), (x - mean) / std, zeros below and to the
 * right. Row p of `patches` is patch (p / grid, p % grid) in the order of the convolution weight: channel, row, column.
 */
#ifndef SAMC_KERNELS_PREPROCESS_PREPROCESS_H
#define SAMC_KERNELS_PREPROCESS_PREPROCESS_H

#include "runtime/base/view.h"

typedef struct samc__preprocess_args {
    const uint8_t *rgb; /* [height, row_bytes], interleaved */
    ptrdiff_t row_bytes;
    int height, width;         /* of the image */
    int new_height, new_width; /* after the resize; at most patch * grid */
    int patch, grid;
    float mean[3], std[3];
    samc__view patches; /* [grid * grid, 3 * patch * patch] */
} samc__preprocess_args;

#endif
