/* token_attention: self-attention of the prompt tokens, residual and norm (first part of TwoWayAttentionBlock).
 *
 * queries = norm(queries + attn(q = k = queries + pe, v = queries)); the first layer has no pe and no residual. */
#ifndef SAMC_KERNELS_TOKEN_ATTENTION_TOKEN_ATTENTION_H
#define SAMC_KERNELS_TOKEN_ATTENTION_TOKEN_ATTENTION_H

#include "runtime/base/view.h"

typedef struct samc__token_attention_args {
    samc__view queries;        /* [prompts, T, C], in and out */
    samc__view pe;             /* [prompts, T, C]; absent in the first layer, which then also has no residual */
    samc__attention attention; /* inner width C */
    samc__norm norm;           /* [C] */
} samc__token_attention_args;

#endif
