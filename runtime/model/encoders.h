/* The encoders: what each is configured by, and its weights. */
#ifndef SAMC_RUNTIME_MODEL_ENCODERS_H
#define SAMC_RUNTIME_MODEL_ENCODERS_H

#include "runtime/base/view.h"

enum { SAMC__MAX_BLOCKS = 64 };

/* SAM's own: a ViT with windowed and global attention. Fields carry the argument names of ImageEncoderViT where it has
 * one. */
typedef struct samc__vit {
    int patch_size; /* 16 */
    int embed_dim, depth, num_heads, mlp_dim;
    int window_size; /* 14; 0 if every block is global */
    bool global_attn[SAMC__MAX_BLOCKS];
    bool use_rel_pos, use_abs_pos, qkv_bias;
} samc__vit;

/* D = embed_dim, C = channels of the embedding; shapes are of SAM. */
typedef struct samc__vit_block {     /* s = window or grid side, hd = D / num_heads */
    samc__norm norm1, norm2;         /* [D] */
    samc__projection qkv;            /* [3D, D] */
    samc__view pad_qkv;              /* [3D] qkv.b in the type of activations: q, k and v of pad tokens */
    samc__projection proj;           /* [D, D] */
    samc__projection lin1, lin2;     /* [mlp_dim, D], [D, mlp_dim] */
    samc__view rel_pos_h, rel_pos_w; /* [2s - 1, hd], absent without use_rel_pos */
} samc__vit_block;

typedef struct samc__vit_weights {
    samc__projection patch; /* [D, 3 * patch_size * patch_size] */
    samc__view pos_embed;   /* [grid * grid, D] or absent */
    samc__vit_block blocks[SAMC__MAX_BLOCKS];
    samc__projection neck_conv1; /* [C, D], no bias */
    samc__norm neck_norm1;       /* [C] */
    samc__view neck_conv2;       /* [C, C, 3, 3] */
    samc__norm neck_norm2;
} samc__vit_weights;

#endif
