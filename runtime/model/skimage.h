/* scikit-image's resize, for models whose images were made by it. */
#ifndef SAMC_RUNTIME_MODEL_SKIMAGE_H
#define SAMC_RUNTIME_MODEL_SKIMAGE_H

#include "kernels/ops.h"
#include "runtime/samc.h"

/* skimage.transform.resize(image, (height, width), order=3, preserve_range=True, anti_aliasing=True).astype(uint8) into
 * `out` [height, width, 3]. */
samc_status samc__skimage_resize(const samc__exec *exec, const samc_image *image, int width, int height, uint8_t *out);

#endif
