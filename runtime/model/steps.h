/* Steps that encoders share: an image's patches, bands of rows, and SAM's neck. */
#ifndef SAMC_RUNTIME_MODEL_STEPS_H
#define SAMC_RUNTIME_MODEL_STEPS_H

#include "runtime/model/network.h"

/* Patches of the resized and normalised images in the model's precision: [images * grid * grid, 3 * side * side]. With
 * a side of 1 they are the image's pixels, [height, width, 3]. */
samc_status samc__make_patches(const samc__exec *exec, const samc__network *net, const samc_image *inputs, int images,
                               int side, void *patches);

/* Rows [begin, end) of a view of rows. */
samc__view samc__rows_of(samc__view v, int64_t begin, int64_t end);

/* Where caches are what counts, activations that would not fit pass from one operator to the next in bands: how many of
 * `all` rows at a time whose hidden layer has `elements` elements each, in whole multiples of `unit`. */
int64_t samc__band_of(const samc__exec *exec, int64_t all, int64_t elements, int64_t unit);

/* Keeps x f32 [images * N, early channels] as the early feature. */
samc_status samc__keep_early(const samc__exec *exec, samc__view x, const samc__features *to);

/* image_encoder.neck for an encoder of `in` channels. */
void samc__list_neck(samc__tensor_list *list, samc__neck *neck, int64_t in, int64_t channels);

/* 1x1 convolution, LayerNorm2d, 3x3 convolution, LayerNorm2d: x f32 [images * N, in] -> out [images * N, channels]. In
 * 16 bits `rounded` has room for as much as x holds, `narrow` always for as much as `out`. */
samc_status samc__run_neck(const samc__exec *exec, const samc__network *net, const samc__neck *neck, samc__view x,
                           void *rounded, void *narrow, int images, void *out);

#endif
