/* What a SAM model consists of: its configuration, read from tensor shapes and metadata, and every tensor's name and
 * shape.
 *
 * One function, samc__manifest_visit(), lists the tensors; checking, loading, hashing and converting all walk that
 * list. Names and layouts are those of the original implementation (segment_anything.modeling), linear weights [out,
 * in].
 */
#ifndef SAMC_RUNTIME_MODEL_TENSORS_H
#define SAMC_RUNTIME_MODEL_TENSORS_H

#include "runtime/model/recipe.h"
#include "weights/checkpoint.h"

/* Bounds that keep every later size computation far from overflow. */
enum { SAMC__MAX_BLOCKS = 64, SAMC__MAX_DECODER_LAYERS = 8, SAMC__MAX_MASK_TOKENS = 16, SAMC__MAX_MLP_LAYERS = 8 };

/* Fields carry the argument names of ImageEncoderViT, PromptEncoder and MaskDecoder where those have one. */
typedef struct samc__config {
    samc__recipe recipe;
    int patch_size; /* 16 */
    int grid;       /* recipe.side / patch_size */
    int embed_dim, depth, num_heads, mlp_dim;
    int window_size; /* 14; 0 if every block is global */
    bool global_attn[SAMC__MAX_BLOCKS];
    bool use_rel_pos, use_abs_pos, qkv_bias;
    int out_chans;     /* transformer_dim of the decoder */
    int mask_in_chans; /* 16 */
    int decoder_depth, decoder_num_heads, decoder_mlp_dim;
    int decoder_attention_dim; /* inner width of the cross attentions, out_chans / 2 */
    int mask_tokens;           /* num_multimask_outputs + 1 */
    int iou_head_depth, iou_head_hidden_dim;
    samc_auto_options automatic;             /* the model's defaults for automatic masks */
    char name[128], licence[128], card[256]; /* "" where unknown */
} samc__config;

typedef struct samc__linear_weights {
    const float *w /* [out, in] */, *b /* [out] or NULL */;
} samc__linear_weights;
typedef struct samc__norm_weights {
    const float *g, *b /* [channels] */;
} samc__norm_weights;
typedef struct samc__attention_weights {
    samc__linear_weights q, k, v /* [inner, C] */, out /* [C, inner] */;
} samc__attention_weights;

typedef struct samc__block_weights { /* D = embed_dim, s = window or grid side, hd = D / num_heads */
    samc__norm_weights norm1, norm2; /* [D] */
    samc__linear_weights qkv;        /* [3D, D] */
    const float *pad_qkv; /* [3D] qkv.b again, q, k and v of pad tokens; its own copy where activations are not f32 */
    samc__linear_weights proj;          /* [D, D] */
    samc__linear_weights lin1, lin2;    /* [mlp_dim, D], [D, mlp_dim] */
    const float *rel_pos_h, *rel_pos_w; /* [2s - 1, hd], NULL without use_rel_pos */
} samc__block_weights;

typedef struct samc__decoder_layer_weights {      /* C = out_chans */
    samc__attention_weights self_attn;            /* inner width C */
    samc__attention_weights cross_token_to_image; /* inner width decoder_attention_dim */
    samc__attention_weights cross_image_to_token;
    samc__norm_weights norm1, norm2, norm3, norm4; /* [C] */
    samc__linear_weights lin1, lin2;               /* [decoder_mlp_dim, C], [C, decoder_mlp_dim] */
} samc__decoder_layer_weights;

typedef struct samc__weights {
    /* image encoder */
    samc__linear_weights patch; /* [D, 3 * patch_size * patch_size] */
    const float *pos_embed;     /* [grid * grid, D] or NULL */
    samc__block_weights blocks[SAMC__MAX_BLOCKS];
    const float *neck_conv1;       /* [C, D] */
    samc__norm_weights neck_norm1; /* [C] */
    const float *neck_conv2;       /* [C, C, 3, 3] */
    samc__norm_weights neck_norm2;
    /* prompt encoder */
    const float *pe_gaussian;        /* [2, C / 2] */
    const float *point_embed[4];     /* [C] each: background, foreground, box corner 0, box corner 1 */
    const float *not_a_point_embed;  /* [C] */
    const float *no_mask_embed;      /* [C] */
    samc__linear_weights mask_conv1; /* [mask_in_chans / 4, 1, 2, 2] */
    samc__norm_weights mask_norm1;
    samc__linear_weights mask_conv2; /* [mask_in_chans, mask_in_chans / 4, 2, 2] */
    samc__norm_weights mask_norm2;
    samc__linear_weights mask_conv3; /* [C, mask_in_chans] */
    /* mask decoder */
    const float *iou_token;   /* [1, C] */
    const float *mask_tokens; /* [mask_tokens, C] */
    samc__decoder_layer_weights layers[SAMC__MAX_DECODER_LAYERS];
    samc__attention_weights final_attn; /* token to image */
    samc__norm_weights norm_final;
    samc__linear_weights up1;                             /* conv-transpose [C, C / 4, 2, 2] */
    samc__norm_weights up_norm;                           /* [C / 4] */
    samc__linear_weights up2;                             /* conv-transpose [C / 4, C / 8, 2, 2] */
    samc__linear_weights hyper[SAMC__MAX_MASK_TOKENS][3]; /* C -> C -> C -> C / 8 */
    samc__linear_weights iou_head[SAMC__MAX_MLP_LAYERS];  /* C -> hidden ... -> mask_tokens */
} samc__weights;

/* Reads the configuration from shapes and, where present, the metadata "samc.config"; checks that it is consistent. */
samc_status samc__config_infer(const samc__checkpoint *checkpoint, samc__config *config, samc_error *error);

/* The original's defaults for automatic masks. */
samc_auto_options samc__auto_defaults(void);

/* Called for each tensor of the model in a fixed order; `slot` is where its pointer lives in `weights`. */
typedef samc_status samc__manifest_visitor(void *context, const float **slot, const char *name, int rank,
                                           const int64_t *shape);
samc_status samc__manifest_visit(const samc__config *config, samc__weights *weights, samc__manifest_visitor *visitor,
                                 void *context);

/* Reports all missing, misshapen and unexpected tensors in one message. Tensors that SAM checkpoints may carry without
 * being part of the model (pixel_mean, pixel_std) are not unexpected. */
samc_status samc__manifest_check(const samc__config *config, const samc__checkpoint *checkpoint, samc_error *error);

/* Binds every tensor as f32: in place where the file has aligned f32, else converted into one block that the caller
 * frees with free(*owned). The checkpoint must stay open as long as the weights are used. *owned_bytes: size of that
 * block. */
samc_status samc__weights_load(const samc__config *config, const samc__checkpoint *checkpoint, samc__weights *weights,
                               void **owned, size_t *owned_bytes, samc_error *error);

/* SHA-256 over name, shape, type and row-major bytes of each tensor, in manifest order; 64 hexadecimal digits and a
 * NUL. */
samc_status samc__manifest_hash(const samc__config *config, const samc__checkpoint *checkpoint, char hex[65],
                                samc_error *error);

#endif
