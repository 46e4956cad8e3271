/* embed_prompts: the tokens of every prompt, as queries and as their position encoding: SAM's own (IoU and masks), then
 * points and box corners (PromptEncoder._embed_points and _embed_boxes, and what MaskDecoder puts before them).
 *
 * Coordinates are pixels of the resized image; half a pixel is added here. Labels: -1 padding (its position encoding is
 * dropped), 0 background, 1 foreground, 2 and 3 the corners of a box. */
#ifndef SAMC_KERNELS_EMBED_PROMPTS_EMBED_PROMPTS_H
#define SAMC_KERNELS_EMBED_PROMPTS_EMBED_PROMPTS_H

#include "runtime/base/view.h"

typedef struct samc__embed_prompts_args {
    const float *xy;       /* [P, S, 2]; absent where S is 0 */
    const int32_t *labels; /* [P, S], -1 to 3; likewise */
    int img_size;
    samc__view gaussian;       /* [2, C / 2] */
    samc__view label_embed[4]; /* [C] each */
    samc__view not_a_point;    /* [C] */
    samc__view iou_token;      /* [C] */
    samc__view mask_tokens;    /* [M, C] */
    samc__view queries, pe;    /* [P, T, C], T = 1 + M + S; the same values in both */
} samc__embed_prompts_args;

/* S, tokens of one prompt's points and corners. */
static inline int64_t samc__embed_prompts_sparse(const samc__embed_prompts_args *a) {
    return a->queries.n[1] - 1 - a->mask_tokens.n[0];
}

#endif
