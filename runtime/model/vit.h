/* The image encoder: patches of preprocessed images -> embeddings. */
#ifndef SAMC_RUNTIME_MODEL_VIT_H
#define SAMC_RUNTIME_MODEL_VIT_H

#include "runtime/model/network.h"
#include "runtime/model/settings.h"

extern const samc__setting samc__vit_settings[];

/* Encodes `images` images; embeddings [images, grid * grid, out_chans] in the model's precision. */
samc_status samc__encode(const samc__exec *exec, const samc__network *net, const samc_image *inputs, int images,
                         void *embeddings);

#endif
