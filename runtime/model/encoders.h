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

/* SAM's: 1x1 convolution, norm, 3x3 convolution, norm. */
typedef struct samc__neck {
    samc__projection conv1; /* [C, D], no bias */
    samc__norm norm1;       /* [C] */
    samc__view conv2;       /* [C, C, 3, 3] */
    samc__norm norm2;
} samc__neck;

typedef struct samc__vit_weights {
    samc__projection patch; /* [D, 3 * patch_size * patch_size] */
    samc__view pos_embed;   /* [grid * grid, D] or absent */
    samc__vit_block blocks[SAMC__MAX_BLOCKS];
    samc__neck neck;
} samc__vit_weights;

enum { SAMC__TINYVIT_STAGES = 4, SAMC__TINYVIT_BLOCKS = 32, SAMC__TINYVIT_MBCONVS = 16 };

/* TinyViT, of MobileSAM and TinySAM. The first stage has MBConvs, the others attention in windows. */
typedef struct samc__tinyvit {
    int stem_dim; /* between the two convolutions of the stem, 32 */
    int dim[SAMC__TINYVIT_STAGES], depth[SAMC__TINYVIT_STAGES];
    int mlp_dim[SAMC__TINYVIT_STAGES];                             /* of the first stage the width within an MBConv */
    int heads[SAMC__TINYVIT_STAGES], window[SAMC__TINYVIT_STAGES]; /* of the first stage 0 */
} samc__tinyvit;

/* 1x1, 3x3 of each channel by itself, 1x1: an MBConv, or what leads from one stage to the next. */
typedef struct samc__inverted {
    samc__projection conv1; /* [hidden, in] */
    samc__projection conv2; /* [hidden * 3, 3] */
    samc__projection conv3; /* [out, hidden] */
} samc__inverted;

typedef struct samc__tinyvit_block {
    samc__norm norm1, norm2;     /* [D] */
    samc__projection qkv, proj;  /* [3D, D] by heads, [D, D] */
    samc__view qkv_b;            /* [3D] qkv.b in the type of activations */
    samc__view pad_qkv;          /* [3D] q, k and v of what pads before the norm: of its bias alone */
    samc__view biases;           /* [heads, window * window] */
    samc__projection local_conv; /* [D * 3, 3] */
    samc__projection fc1, fc2;   /* [mlp_dim, D], [D, mlp_dim] */
} samc__tinyvit_block;

typedef struct samc__tinyvit_weights {
    samc__projection stem[2]; /* [stem_dim, 3, 3, 3], [D, stem_dim, 3, 3] */
    samc__inverted mbconv[SAMC__TINYVIT_MBCONVS];
    samc__inverted merge[SAMC__TINYVIT_STAGES - 1];
    samc__tinyvit_block blocks[SAMC__TINYVIT_BLOCKS];
    samc__neck neck;
} samc__tinyvit_weights;

#endif
