/* token_to_image: tokens attend to the image, residual and norm.
 *
 * queries = norm(queries + attn(q = queries + pe, k = keys + key_pe, v = keys)). Prompts of one image, which come one
 * after another, may share its entry of keys (the first layer without mask prompts): what depends on keys alone is then
 * computed once. */
#ifndef SAMC_KERNELS_TOKEN_TO_IMAGE_TOKEN_TO_IMAGE_H
#define SAMC_KERNELS_TOKEN_TO_IMAGE_TOKEN_TO_IMAGE_H

#include "runtime/base/view.h"

typedef struct samc__token_to_image_args {
    samc__view queries; /* [prompts, T, C], in and out */
    samc__view pe;      /* [prompts, T, C] */
    samc__view keys;    /* [B, N, C]: B divides prompts, prompt p reads entry p / (prompts / B) */
    samc__view key_pe;  /* [N, C] */
    bool shared; /* an entry is the same for every prompt of its image, also of other batches: decides what is computed
                  * once, so that a prompt's result does not depend on how many came with it. Implied by B < prompts. */
    samc__view image_k,
        image_v; /* [B, N, inner], taken in place of the projections of keys where they have data: (keys + key_pe)
                  * Wk^T + bk and keys Wv^T + bv, made once for an image that is prompted again and again */
    samc__attention attention; /* inner width C / 2 in SAM */
    samc__norm norm;           /* [C] */
} samc__token_to_image_args;

#endif
