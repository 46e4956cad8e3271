/* embed_points: points and box corners -> sparse prompt tokens (PromptEncoder._embed_points and _embed_boxes).
 *
 * Coordinates are pixels of the resized image; half a pixel is added here. Labels: -1 padding (its position encoding is
 * dropped), 0 background, 1 foreground, 2 and 3 the corners of a box. */
#ifndef SAMC_KERNELS_EMBED_POINTS_H
#define SAMC_KERNELS_EMBED_POINTS_H

#include "kernels/view.h"

typedef struct samc__embed_points_args {
    const float *xy; /* [tokens, 2] */
    const int32_t *labels; /* [tokens], -1 to 3 */
    int64_t tokens;
    int img_size;
    samc__view gaussian; /* [2, C / 2] */
    samc__view label_embed[4]; /* [C] each */
    samc__view not_a_point; /* [C] */
    samc__view y; /* [tokens, C] */
} samc__embed_points_args;

#endif
