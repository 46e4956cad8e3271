/* attention_relpos: the encoder's self-attention with decomposed relative position, global or in windows.
 *
 * score[q, k] = scale * q.k + q.rel_h[qy - ky + s - 1] + q.rel_w[qx - kx + s - 1] with scale = hd^-0.5 (the relative
 * terms use the unscaled q), s = side of the window or of the whole grid. Where windows reach over the grid's edge the
 * original pads with zeros *after* the norm: such tokens have q, k, v equal to the qkv bias, take part in the softmax
 * as keys with their own relative position, and are dropped as queries. Mirrors Attention, window_partition and
 * add_decomposed_rel_pos.
 *
 * TinyViT's has `table` in place of both relative terms, pads before the norm, so that what stands for the bias is
 * another vector, and lays q, k and v of a head side by side.
 *
 * Hiera's adds nothing to scores. Where its stages change, queries were pooled 2 x 2 and come in `q`: a window has half
 * as many of them along each axis as keys. */
#ifndef SAMC_KERNELS_ATTENTION_RELPOS_ATTENTION_RELPOS_H
#define SAMC_KERNELS_ATTENTION_RELPOS_ATTENTION_RELPOS_H

#include "runtime/base/view.h"

typedef struct samc__attention_relpos_args {
    samc__view qkv;          /* [images, grid * grid, 3 * D], q then k then v, each [heads, hd] */
    samc__view qkv_bias;     /* [3 * D] in qkv's order, or absent (then pads are zero) */
    samc__view rel_h, rel_w; /* [2 s - 1, hd], both or neither */
    samc__view table;        /* f32 [heads, s * s] added to a score at |qy - ky| * s + |qx - kx|, or absent */
    samc__view
        q; /* [images, (grid / 2) * (grid / 2), D] in place of qkv's, or absent; grid and window even, no terms */
    samc__view y; /* [images, grid * grid, D], or as q */
    int heads, grid;
    int window;   /* 0: global */
    bool by_head; /* qkv as [heads, 3, hd] */
} samc__attention_relpos_args;

/* Tokens along an axis for which there is one query. */
static inline int samc__attention_relpos_pool(const samc__attention_relpos_args *a) { return a->q.data ? 2 : 1; }

#endif
