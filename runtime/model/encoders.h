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

enum {
    SAMC__EFFICIENTVIT_STAGES = 6, /* at most; 5 in L0 to L2 */
    SAMC__EFFICIENTVIT_LEVELS = 3, /* last stages, which the neck adds up */
    SAMC__EFFICIENTVIT_MIDDLE = 16
};

/* What a stage's blocks are, behind its first one. */
typedef enum samc__efficientvit_kind {
    SAMC__EFFICIENTVIT_FUSED,    /* 3x3 to the hidden width, 1x1; the first block of its stage too */
    SAMC__EFFICIENTVIT_INVERTED, /* 1x1, 3x3 of each channel by itself, 1x1 */
    SAMC__EFFICIENTVIT_ATTENTION /* linear attention, then an inverted one */
} samc__efficientvit_kind;

/* EfficientViT-L and XL, of EfficientViT-SAM. A stage halves the side by its first block; that of stage 0 is the stem,
 * behind which are two 3x3 convolutions a block. */
typedef struct samc__efficientvit {
    int stages;
    int dim[SAMC__EFFICIENTVIT_STAGES], depth[SAMC__EFFICIENTVIT_STAGES]; /* depth: blocks with the first */
    int first_hidden[SAMC__EFFICIENTVIT_STAGES], hidden[SAMC__EFFICIENTVIT_STAGES];
    samc__efficientvit_kind kind[SAMC__EFFICIENTVIT_STAGES];
    int head_dim[SAMC__EFFICIENTVIT_STAGES]; /* width of a head, 32 */
    int reach[SAMC__EFFICIENTVIT_STAGES];    /* side of the convolution that attention's second set is made by */
    int neck_dim, neck_hidden, neck_depth;   /* whose blocks are fused */
} samc__efficientvit;

typedef struct samc__efficientvit_block {
    samc__inverted conv;                       /* conv2 is absent where it is fused; w of conv1 then [.., 3, 3] */
    samc__projection qkv, gather, mixed, proj; /* of attention: [3D, D], [3D * reach, reach], [3D, head_dim], [D, 2D] */
} samc__efficientvit_block;

typedef struct samc__efficientvit_weights {
    samc__projection stem;                             /* [dim, 3, 3, 3] */
    samc__efficientvit_block blocks[SAMC__MAX_BLOCKS]; /* of all stages, but for the stem */
    samc__projection level[SAMC__EFFICIENTVIT_LEVELS]; /* [neck_dim, dim], the last stage's first */
    samc__efficientvit_block middle[SAMC__EFFICIENTVIT_MIDDLE];
    samc__projection out; /* [C, neck_dim] */
    samc__norm norm;      /* [C] */
} samc__efficientvit_weights;

enum { SAMC__HIERA_STAGES = 4 };

/* Hiera, of SAM 2: a stem of 7x7 in steps of 4, then stages of attention blocks, each further one with half the side
 * and twice the width and heads. Fields carry the argument names of Hiera. */
typedef struct samc__hiera {
    int embed_dim, num_heads;       /* of the first stage */
    int stages[SAMC__HIERA_STAGES]; /* blocks */
    int window_spec[SAMC__HIERA_STAGES];
    bool global_att[SAMC__MAX_BLOCKS];
    int pos_side;   /* of the position embedding that is stretched over the image, 7 or 14 */
    int pos_window; /* of the one that is repeated, 8 */
    int mlp_ratio;  /* 4 */
} samc__hiera;

static inline int samc__hiera_depth(const samc__hiera *h) {
    return h->stages[0] + h->stages[1] + h->stages[2] + h->stages[3];
}

enum { SAMC__HIERA_BLOCKS = 48 };

typedef struct samc__hiera_block { /* D = width of its results, I = of what it is given: half in a stage's first */
    samc__norm norm1, norm2;       /* [I], [D] */
    samc__projection qkv, proj;    /* [3D, I], [D, D] */
    samc__view qkv_b;              /* [3D] qkv.b in the type of activations: q, k and v of pad tokens too */
    samc__projection lin1, lin2;   /* [mlp_ratio * D, D], [D, mlp_ratio * D] */
    samc__projection shortcut;     /* [D, I], absent where I = D */
} samc__hiera_block;

/* `file_...`: as files have it, of which the others are made when a model is opened. */
typedef struct samc__hiera_weights {
    samc__view file_stem, file_positions[2]; /* [D, 3, 7, 7], [1, D, side, side] each: stretched, repeated */
    samc__projection stem;                   /* [D, 48, 3, 3], over patches of 4 x 4 */
    samc__view positions;                    /* [side * side, D] of the first stage */
    samc__hiera_block blocks[SAMC__HIERA_BLOCKS];
    samc__projection coarse, middle; /* [C, D] of the last stage, and of the one before: the embedding's */
    samc__view file_bias[2];         /* [C] of `middle`: its own, and what stands for no memory */
    samc__view file_fine[2][4];      /* weight and bias of the pyramid's convolution, then of the decoder's */
    samc__projection fine[2];        /* [C / 8, D] of the first stage, [C / 4, D] of the second */
} samc__hiera_weights;

#endif
