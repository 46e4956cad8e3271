/* The first conv-transpose of the mask decoder folded back through the decoder's layers: weights of the model alone,
 * made when it is opened (kernels/upscale_masks/upscale_masks.h says what they are for). */
#ifndef SAMC_RUNTIME_MODEL_UP_FOLD_H
#define SAMC_RUNTIME_MODEL_UP_FOLD_H

#include "runtime/base/status.h"
#include "runtime/model/tensors.h"

typedef struct samc__up_fold {
    int64_t rows;                              /* 4 (C / 4): 2 x 2 pixels, then channel */
    samc__projection image;                    /* [rows, C], [rows]: from the image's keys before the first layer */
    samc__view fold[SAMC__MAX_DECODER_LAYERS]; /* [inner, rows]: from the heads' outputs of a layer's image_to_token */
    samc__view add[SAMC__MAX_DECODER_LAYERS];  /* [rows] */
} samc__up_fold;

/* One block, for free(). */
samc_status samc__up_fold_make(const samc__config *config, const samc__weights *weights, samc__up_fold **fold,
                               samc_error *error);

#endif
