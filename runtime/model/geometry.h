/* Every coordinate transform between an image, its resized form and the low-resolution logits, in one place.
 *
 *   image [height, width] -> resized [new_height, new_width], longest side = img_size -> padded square [img_size,
 * img_size]
 *   -> embedding [grid, grid], patch_size pixels a token -> logits [4 grid, 4 grid].  Mirrors utils/transforms.py. */
#ifndef SAMC_RUNTIME_MODEL_GEOMETRY_H
#define SAMC_RUNTIME_MODEL_GEOMETRY_H

typedef struct samc__geometry {
    int img_size;
    int width, height;
    int new_width, new_height;
} samc__geometry;

/* ResizeLongestSide.get_preprocess_shape; a side that would round to 0 becomes 1. */
samc__geometry samc__geometry_of(int img_size, int width, int height);

/* ResizeLongestSide.apply_coords: a point of the image -> the same point of the resized image. */
void samc__geometry_apply(const samc__geometry *geometry, const float in[2], float out[2]);

#endif
