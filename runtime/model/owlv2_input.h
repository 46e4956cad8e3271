/* How OWLv2 sees an image: padded to a square with black below and to the right, blurred, sampled to its own side.
 *
 * As `transformers` 5.24 does it (Owlv2ImageProcessor): pixels over 255; where the square is larger than `side` a
 * Gaussian of deviation (square / side - 1) / 2 over 2 ceil(3 deviations) + 1 taps, edges mirrored; bilinear sampling
 * without antialiasing, half-pixel centres; mean and standard deviation, which black gets too. */
#ifndef SAMC_RUNTIME_MODEL_OWLV2_INPUT_H
#define SAMC_RUNTIME_MODEL_OWLV2_INPUT_H

#include "kernels/ops.h"

typedef struct samc__owlv2_input {
    int side, patch;       /* of the square that the model sees, and of its patches */
    float scale;           /* of pixels, 1 / 255 */
    float mean[3], std[3]; /* of scaled ones */
} samc__owlv2_input;

/* patches [(side / patch)^2, 3 * patch * patch] on the host, in the order of the convolution's weight. */
samc_status samc__owlv2_patches(const samc__exec *exec, const samc__owlv2_input *input, const samc_image *image,
                                float *patches);

#endif
