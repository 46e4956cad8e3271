/* upscale_masks: conv-transpose -> LayerNorm2d -> GELU -> conv-transpose -> GELU -> product with the hypernetwork
 * vectors.
 *
 * The 4x larger feature map never exists: each token yields the 4x4 logits of its cell for every mask.
 *
 * The first conv-transpose is linear in the keys, and these are the image's but for one update for each layer of the
 * decoder: where `layers` are given, src is what it makes of the images, once for all prompts, and f = src; for each
 * layer, f = (f + o . fold) / deviation + add with o and deviation of its update (kernels/key_update.h).
 *
 * An image's finer features may join on the way, SAM 2's: one map before the norm, another before the second GELU. They
 * come as they are, or on hosts as panels, which samc__upscale_panels() makes once of an image: the values that 32
 * tokens add at the same place lie next to each other, so that no prompt has to turn pixels into lanes. */
#ifndef SAMC_KERNELS_UPSCALE_MASKS_UPSCALE_MASKS_H
#define SAMC_KERNELS_UPSCALE_MASKS_UPSCALE_MASKS_H

#include "kernels/key_update.h"

typedef struct samc__up_layer {
    samc__key_update update; /* of this layer */
    samc__view fold;         /* [inner, C] from heads' outputs to f; f is [2 x 2 pixels, C / 4] */
    samc__view add;          /* [C] */
} samc__up_layer;

typedef struct samc__upscale_masks_args {
    samc__view src;               /* [prompts, grid * grid, C] */
    samc__projection up1;         /* w [C, C / 4, 2, 2], b [C / 4]; not read where there are layers */
    const samc__up_layer *layers; /* [depth], and src is [B, grid * grid, 4 (C / 4)], B dividing prompts; on hosts */
    int depth, heads;             /* of the layers */
    samc__norm norm;              /* [C / 4] */
    samc__projection up2;         /* w [C / 4, C / 8, 2, 2], b [C / 8] */
    samc__view hyper;             /* [prompts, masks, C / 8] */
    samc__view y;                 /* [prompts, masks, 4 grid, 4 grid] logits */
    int grid;
    samc__view add1; /* [images, 2 grid * 2 grid, C / 4] in the type of src or absent, images dividing prompts; or its
                      * panels [images, ceil(N / 32), 2 * 2 places * C / 4, 32], N = grid * grid, zeros beyond N */
    samc__view add2; /* [images, 4 grid * 4 grid, C / 8], or panels [.., 4 * 4 places * C / 8, 32]; both or none */
} samc__upscale_masks_args;

/* Where pixel i of the `side` x `side` under a token lies in a map, which has side * grid of them in a row. */
static inline int64_t samc__upscale_at(int64_t grid, int64_t side, int64_t token, int64_t i) {
    const int64_t row = token / grid * side + i / side;
    return row * side * grid + token % grid * side + i % side;
}

/* The first pixel of a prompt's image in a map. */
static inline int64_t samc__upscale_image(samc__view map, int64_t prompts, int64_t prompt) {
    return prompt / (prompts / map.n[0]) * map.n[1];
}

/* Where in the panels of a map row `row` of token `token` of a prompt's image stands; rows are SAMC__UPDATE_KEYS apart.
 */
static inline int64_t samc__upscale_row(samc__view panels, int64_t prompts, int64_t prompt, int64_t token,
                                        int64_t row) {
    const int64_t block = samc__upscale_image(panels, prompts, prompt) + token / SAMC__UPDATE_KEYS;
    return (block * panels.n[2] + row) * SAMC__UPDATE_KEYS + token % SAMC__UPDATE_KEYS;
}

typedef struct samc__exec samc__exec; /* kernels/ops.h */

/* The panels of a map with side x side places under a token, of the same type, on a host. */
void samc__upscale_panels(const samc__exec *exec, samc__view map, int64_t grid, int64_t side, samc__view panels);

#endif
