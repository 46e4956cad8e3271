/* What a SAM model consists of: its configuration, read from tensor shapes and metadata, and its tensors.
 *
 * Each tensor's name and shape is written once, in samc__tensors_list(), with its role and the view that operators get.
 * Names and layouts are those of the original implementation (segment_anything.modeling), linear weights [out, in].
 */
#ifndef SAMC_RUNTIME_MODEL_TENSORS_H
#define SAMC_RUNTIME_MODEL_TENSORS_H

#include "runtime/base/view.h"
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

/* The model's weights as operators take them. D = embed_dim, C = out_chans; shapes are of SAM. */
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

typedef struct samc__decoder_layer {
    samc__attention self_attn;            /* inner width C */
    samc__attention cross_token_to_image; /* inner width decoder_attention_dim */
    samc__attention cross_image_to_token;
    samc__norm norm1, norm2, norm3, norm4; /* [C] */
    samc__projection lin1, lin2;           /* [decoder_mlp_dim, C], [C, decoder_mlp_dim] */
} samc__decoder_layer;

typedef struct samc__weights {
    samc__vit_weights vit;
    /* prompt encoder */
    samc__view pe_gaussian;       /* [2, C / 2] */
    samc__view point_embed[4];    /* [C] each: background, foreground, box corner 0, box corner 1 */
    samc__view not_a_point_embed; /* [C] */
    samc__view no_mask_embed;     /* [C] */
    samc__projection mask_conv1;  /* [mask_in_chans / 4, 1, 2, 2] */
    samc__norm mask_norm1;
    samc__projection mask_conv2; /* [mask_in_chans, mask_in_chans / 4, 2, 2] */
    samc__norm mask_norm2;
    samc__projection mask_conv3; /* [C, mask_in_chans] */
    /* mask decoder */
    samc__view iou_token;   /* [C] */
    samc__view mask_tokens; /* [mask_tokens, C] */
    samc__decoder_layer layers[SAMC__MAX_DECODER_LAYERS];
    samc__attention final_attn; /* token to image */
    samc__norm norm_final;
    samc__projection up1;                             /* conv-transpose [C, C / 4, 2, 2] */
    samc__norm up_norm;                               /* [C / 4] */
    samc__projection up2;                             /* conv-transpose [C / 4, C / 8, 2, 2] */
    samc__projection hyper[SAMC__MAX_MASK_TOKENS][3]; /* C -> C -> C -> C / 8 */
    samc__projection iou_head[SAMC__MAX_MLP_LAYERS];  /* C -> hidden ... -> mask_tokens */
} samc__weights;

/* Reads the configuration from shapes and, where present, the metadata "samc.config"; checks that it is consistent. */
samc_status samc__config_infer(const samc__checkpoint *checkpoint, samc__config *config, samc_error *error);

/* The original's defaults for automatic masks. */
samc_auto_options samc__auto_defaults(void);

/* What a tensor is for: the type that it has on a device, the view that operators get of its shape, and what packing
 * may do with it. */
typedef enum samc__role {
    SAMC__ROLE_VECTOR,  /* f32 everywhere; a view of one dimension: biases, gains, single tokens */
    SAMC__ROLE_TABLE,   /* f32 everywhere; [rows, last side]: what is looked up or added */
    SAMC__ROLE_MATRIX,  /* [first side, the rest]; read by `linear` alone, so packing may drop the original */
    SAMC__ROLE_SHARED,  /* [first side, the rest]; packed, but kept: read as it is by other operators too, or small */
    SAMC__ROLE_OPERAND, /* read as it lies in the file: convolutions, but for a kernel of 1 x 1, which is a matrix;
                           tables of relative positions. Never packed */
} samc__role;

/* The type of a tensor's elements where activations have the type `precision`. */
static inline samc__dtype samc__role_type(samc__role role, samc__dtype precision) {
    return role == SAMC__ROLE_VECTOR || role == SAMC__ROLE_TABLE ? SAMC__F32 : precision;
}

/* A tensor of the model: its name and shape in files, and the view in samc__weights that it is bound to. */
typedef struct samc__entry {
    char name[192];
    samc__role role;
    int rank;
    int64_t shape[4];
    samc__view *view; /* f32, its shape as the role says; without data until it is bound */
} samc__entry;

typedef struct samc__tensor_list {
    samc__entry *at; /* [count], in the order of the original's state_dict() */
    size_t count, capacity;
    /* Views of others' values in the type of activations, in no file: */
    struct {
        samc__view *view;
        const samc__view *of;
    } copies[SAMC__MAX_BLOCKS];
    size_t copy_count;
    bool failed; /* there was no memory */
} samc__tensor_list;

/* Lists the model's tensors and gives the views in `weights` their shapes; checking, loading, packing, uploading,
 * hashing and converting walk this list. `weights` has to stay where it is as long as the list is used. */
samc_status samc__tensors_list(const samc__config *config, samc__weights *weights, samc__tensor_list *list,
                               samc_error *error);
void samc__tensors_free(samc__tensor_list *list);

/* Points every view at `data`, with the types of a model whose activations have the type `precision`. */
void samc__tensors_point(const samc__tensor_list *list, void *data, samc__dtype precision);

int64_t samc__tensors_parameters(const samc__tensor_list *list);

/* Reports all missing, misshapen and unexpected tensors in one message. Tensors that SAM checkpoints may carry without
 * being part of the model (pixel_mean, pixel_std) are not unexpected. */
samc_status samc__tensors_check(const samc__tensor_list *list, const samc__checkpoint *checkpoint, samc_error *error);

/* Checks, then binds every tensor as f32: in place where the file has aligned f32, else converted into one block that
 * the caller frees with free(*owned). The checkpoint must stay open as long as the weights are used. *owned_bytes: size
 * of that block. */
samc_status samc__tensors_load(const samc__tensor_list *list, const samc__checkpoint *checkpoint, void **owned,
                               size_t *owned_bytes, samc_error *error);

/* SHA-256 over name, shape, type and row-major bytes of each tensor, in the list's order; 64 hexadecimal digits and a
 * NUL. The checkpoint has been checked. */
samc_status samc__tensors_hash(const samc__tensor_list *list, const samc__checkpoint *checkpoint, char hex[65],
                               samc_error *error);

#endif
