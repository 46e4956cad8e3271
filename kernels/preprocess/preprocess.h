/* preprocess: one 8-bit RGB image -> resized, normalised, padded patches, ready for the patch embedding's GEMM.
 *
 * A separable filter over each axis (horizontal pass first; an axis that keeps its size is not touched), then
 * ((x - low) / span - mean) / std with low and span from `range`, zeros below and to the right. For SAM this is
 * ResizeLongestSide.apply_image and Sam.preprocess. Row p of `patches` is patch (p / grid, p % grid) in the order of
 * the convolution weight: channel, row, column. */
#ifndef SAMC_KERNELS_PREPROCESS_PREPROCESS_H
#define SAMC_KERNELS_PREPROCESS_PREPROCESS_H

#include "runtime/base/view.h"

/* Each is some library's, as models were trained with it. */
typedef enum samc__filter {
    SAMC__FILTER_PILLOW_U8,    /* Pillow's antialiased bilinear (below 12.2), bit-exact: 22-bit fixed point, 8 bits
                                  after each pass */
    SAMC__FILTER_TORCH_AA_F32, /* torchvision's antialiased bilinear on floats */
    SAMC__FILTER_TORCH_AA_U8,  /* the same on 8-bit tensors: floats, rounded at the end, half to even */
    SAMC__FILTER_BILINEAR,     /* torch's bilinear without antialiasing, align_corners=False */
    SAMC__FILTER_CUBIC_AA,     /* scikit-image's resize(order=3, anti_aliasing=True) and astype(uint8): a Gaussian, a
                                  cubic B-spline, clipped to the image's values, cut to 8 bits */
    SAMC__FILTERS
} samc__filter;

typedef enum samc__range {
    SAMC__RANGE_255,     /* low 0, span 1: mean and std are in units of 8-bit pixels */
    SAMC__RANGE_1,       /* low 0, span 255: in units of the brightest pixel */
    SAMC__RANGE_MIN_MAX, /* the least value of the resized image, and what lies between it and the largest */
    SAMC__RANGES
} samc__range;

typedef struct samc__preprocess_args {
    const uint8_t *rgb; /* [height, row_bytes], interleaved */
    ptrdiff_t row_bytes;
    int height, width;         /* of the image */
    int new_height, new_width; /* after the resize; at most patch * grid */
    int patch, grid;
    samc__filter filter;
    samc__range range;
    float mean[3], std[3];
    samc__view patches; /* [grid * grid, 3 * patch * patch] */
} samc__preprocess_args;

#endif
