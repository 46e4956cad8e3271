/* SAM-HQ's part of a decoder: one more token, whose masks are made of finer features of the image.
 *
 * These are made of the embedding and of what the encoder has early on, once an image; a prompt's map is refined and
 * meets them in the product with the token's vector (kernels/refine_masks/refine_masks.h). */
#ifndef SAMC_RUNTIME_MODEL_HQ_H
#define SAMC_RUNTIME_MODEL_HQ_H

#include "runtime/model/families.h"

/* Convolutions as in kernels/upscale_map/upscale_map.h. */
typedef struct samc__upscaling {
    samc__projection up1;
    samc__norm norm;
    samc__projection up2;
} samc__upscaling;

typedef struct samc__hq_weights { /* C = channels */
    samc__view token;             /* [C] */
    samc__projection mlp[3];      /* C -> C -> C -> C / 8 */
    samc__upscaling early;        /* the encoder's early channels -> C -> C / 8 */
    samc__upscaling embedding;    /* C -> C / 4 -> C / 8 */
    samc__projection conv1;       /* [C / 4, C / 8, 3, 3] */
    samc__norm norm;              /* [C / 4] */
    samc__projection conv2;       /* [C / 8, C / 4, 3, 3] */
} samc__hq_weights;

/* What a caller may set of such models. */
extern const samc__setting samc__hq_settings[];

static inline bool samc__has_hq(const samc__config *config) { return config->decoder.hq_at >= 0; }

/* Lists its tensors behind the decoder's. */
void samc__hq_tensors(samc__tensor_list *list, const samc__config *config, samc__hq_weights *weights);

#endif
