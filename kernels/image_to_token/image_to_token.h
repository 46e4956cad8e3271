/* image_to_token: the image attends to the tokens, residual and norm.
 *
 * y = norm(keys + attn(q = keys + key_pe, k = queries + pe, v = queries)). y may be keys where the shapes agree. */
#ifndef SAMC_KERNELS_IMAGE_TO_TOKEN_IMAGE_TO_TOKEN_H
#define SAMC_KERNELS_IMAGE_TO_TOKEN_IMAGE_TO_TOKEN_H

#include "kernels/key_update.h"

typedef struct samc__image_to_token_args {
    samc__view queries; /* [prompts, T, C] */
    samc__view pe;      /* [prompts, T, C] */
    samc__view keys;    /* [B, N, C]: B divides prompts, prompt p reads entry p / (prompts / B) */
    samc__view key_pe;  /* [N, C] */
    bool shared; /* an entry is the same for every prompt of its image, also of other batches: decides what is computed
                  * once, so that a prompt's result does not depend on how many came with it. Implied by B < prompts. */
    samc__view image_q;        /* [B, N, inner], taken in place of (keys + key_pe) Wq^T + bq where it has data */
    samc__attention attention; /* inner width C / 2 in SAM */
    samc__norm norm;           /* [C] */
    samc__view y;              /* [prompts, N, C] */
    samc__key_update update;   /* an output where it has data, on hosts, where projections fold onto T tokens
                                  (kernels/decoder_form.h) */
} samc__image_to_token_args;

#endif
