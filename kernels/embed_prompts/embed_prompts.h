/* embed_prompts: the tokens of every prompt, as queries and as their position encoding: the model's own (IoU, masks and
 * what else it has, in its order), then points and box corners (PromptEncoder._embed_points and _embed_boxes, and what
 * MaskDecoder puts before them).
 *
 * Coordinates are pixels of the resized image; half a pixel is added here. Labels: -1 padding (its position encoding is
 * dropped), 0 background, 1 foreground, 2 and 3 the corners of a box. */
#ifndef SAMC_KERNELS_EMBED_PROMPTS_EMBED_PROMPTS_H
#define SAMC_KERNELS_EMBED_PROMPTS_EMBED_PROMPTS_H

#include "runtime/base/view.h"

enum { SAMC__OWN_TOKENS = 4 }; /* kinds of a model's own tokens */

typedef struct samc__embed_prompts_args {
    const float *xy;       /* [P, S, 2]; absent where S is 0 */
    const int32_t *labels; /* [P, S], -1 to 3; likewise */
    int img_size;
    samc__view gaussian;              /* [2, C / 2] */
    samc__view label_embed[4];        /* [C] each */
    samc__view not_a_point;           /* [C] */
    samc__view own[SAMC__OWN_TOKENS]; /* [rows, C] each, in the order of the sequence; those behind the last absent */
    samc__view queries, pe;           /* [P, T, C], T = all rows of `own` + S; the same values in both */
} samc__embed_prompts_args;

/* Tokens of the model's own before the prompt's. */
static inline int64_t samc__embed_prompts_own(const samc__embed_prompts_args *a) {
    int64_t tokens = 0;
    for (int i = 0; i < SAMC__OWN_TOKENS; i++) tokens += a->own[i].data ? a->own[i].n[0] : 0;
    return tokens;
}
/* S, tokens of one prompt's points and corners. */
static inline int64_t samc__embed_prompts_sparse(const samc__embed_prompts_args *a) {
    return a->queries.n[1] - samc__embed_prompts_own(a);
}

#endif
