/* Every tensor of a SAM model in one list.
 *
 * Names, shapes and order are those of the state_dict() of segment_anything.modeling.Sam; D = embed_dim, C = out_chans.
 * What the tensors do not say but every use needs stands here too: the epsilon of a norm, the heads of an attention. */
#include "runtime/model/tensors.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- Adding to the list ---------------------------------------------------------------------- */

/* [rows, last]: `last` sides are multiplied up for the last dimension, the others for the first. */
static samc__view folded(const samc__entry *e, int last) {
    int64_t n[2] = {1, 1};
    for (int i = 0; i < e->rank; i++) n[i >= e->rank - last] *= e->shape[i];
    return samc__view2(NULL, n[0], n[1]);
}

static samc__view view_of(const samc__entry *e) {
    if (e->role == SAMC__ROLE_VECTOR) return samc__view1(NULL, folded(e, 0).n[0]);
    if (e->role == SAMC__ROLE_TABLE) return folded(e, 1);
    bool point = e->rank == 4 && e->shape[2] == 1 && e->shape[3] == 1;
    if (e->role != SAMC__ROLE_OPERAND || point) return folded(e, e->rank - 1);
    return (samc__view){.dtype = SAMC__F32, .rank = e->rank, .n = {e->shape[0], e->shape[1], e->shape[2], e->shape[3]}};
}

/* Lists BASE.LEAF with the shape [a, b, c, d], of which the first `rank` sides count. */
typedef struct shape {
    int rank;
    int64_t n[4];
} shape;
#define S1(a) ((shape){1, {a}})
#define S2(a, b) ((shape){2, {a, b}})
#define S4(a, b, c, d) ((shape){4, {a, b, c, d}})

static void tensor(samc__tensor_list *list, samc__view *view, samc__role role, const char *base, const char *leaf,
                   shape s) {
    if (list->count == list->capacity && !list->failed) {
        size_t capacity = list->capacity ? 2 * list->capacity : 256;
        samc__entry *more = realloc(list->at, capacity * sizeof *more);
        list->failed = more == NULL;
        if (more != NULL) list->at = more, list->capacity = capacity;
    }
    if (list->failed) return;
    samc__entry *e = &list->at[list->count++];
    *e = (samc__entry){.role = role, .rank = s.rank, .view = view};
    memcpy(e->shape, s.n, sizeof s.n);
    snprintf(e->name, sizeof e->name, "%s.%s", base, leaf);
    *view = view_of(e);
}

static void copy(samc__tensor_list *list, samc__view *view, const samc__view *of) {
    *view = *of;
    list->copies[list->copy_count].view = view;
    list->copies[list->copy_count++].of = of;
}

/* A weight [out, in] and a bias [out] under BASE.LEAF. */
static void linear(samc__tensor_list *list, samc__projection *to, samc__role role, const char *base, const char *leaf,
                   int64_t out, int64_t in) {
    char full[128];
    snprintf(full, sizeof full, "%s.%s", base, leaf);
    tensor(list, &to->w, role, full, "weight", S2(out, in));
    tensor(list, &to->b, SAMC__ROLE_VECTOR, full, "bias", S1(out));
}

/* A convolution's weight and its bias, [bias]. */
static void convolution(samc__tensor_list *list, samc__projection *to, samc__role role, const char *base, shape s,
                        int64_t bias) {
    tensor(list, &to->w, role, base, "weight", s);
    tensor(list, &to->b, SAMC__ROLE_VECTOR, base, "bias", S1(bias));
}

static void norm(samc__tensor_list *list, samc__norm *to, const char *base, const char *leaf, int64_t channels,
                 float eps) {
    char full[128];
    snprintf(full, sizeof full, "%s.%s", base, leaf);
    tensor(list, &to->g, SAMC__ROLE_VECTOR, full, "weight", S1(channels));
    tensor(list, &to->b, SAMC__ROLE_VECTOR, full, "bias", S1(channels));
    to->eps = eps;
}

static void attention(samc__tensor_list *list, samc__attention *to, const char *base, const char *leaf,
                      int64_t channels, int64_t inner, int heads) {
    char full[96];
    snprintf(full, sizeof full, "%s.%s", base, leaf);
    linear(list, &to->q, SAMC__ROLE_SHARED, full, "q_proj", inner, channels);
    linear(list, &to->k, SAMC__ROLE_SHARED, full, "k_proj", inner, channels);
    linear(list, &to->v, SAMC__ROLE_SHARED, full, "v_proj", inner, channels);
    linear(list, &to->out, SAMC__ROLE_SHARED, full, "out_proj", channels, inner);
    to->heads = heads;
}

/* ---- The list -------------------------------------------------------------------------------- */

static void block(samc__tensor_list *list, const samc__config *config, int index, samc__vit_block *to) {
    const int64_t D = config->embed_dim,
                  table = 2 * (int64_t)(config->global_attn[index] ? config->grid : config->window_size) - 1;
    char base[48];
    snprintf(base, sizeof base, "image_encoder.blocks.%d", index);
    norm(list, &to->norm1, base, "norm1", D, 1e-6f);
    if (config->use_rel_pos) {
        tensor(list, &to->rel_pos_h, SAMC__ROLE_OPERAND, base, "attn.rel_pos_h", S2(table, D / config->num_heads));
        tensor(list, &to->rel_pos_w, SAMC__ROLE_OPERAND, base, "attn.rel_pos_w", S2(table, D / config->num_heads));
    }
    tensor(list, &to->qkv.w, SAMC__ROLE_MATRIX, base, "attn.qkv.weight", S2(3 * D, D));
    if (config->qkv_bias) {
        tensor(list, &to->qkv.b, SAMC__ROLE_VECTOR, base, "attn.qkv.bias", S1(3 * D));
        copy(list, &to->pad_qkv, &to->qkv.b);
    }
    linear(list, &to->proj, SAMC__ROLE_MATRIX, base, "attn.proj", D, D);
    norm(list, &to->norm2, base, "norm2", D, 1e-6f);
    linear(list, &to->lin1, SAMC__ROLE_MATRIX, base, "mlp.lin1", config->mlp_dim, D);
    linear(list, &to->lin2, SAMC__ROLE_MATRIX, base, "mlp.lin2", D, config->mlp_dim);
}

static void image_encoder(samc__tensor_list *list, const samc__config *config, samc__vit_weights *to) {
    const int64_t D = config->embed_dim, C = config->out_chans, grid = config->grid, patch = config->patch_size;
    if (config->use_abs_pos)
        tensor(list, &to->pos_embed, SAMC__ROLE_TABLE, "image_encoder", "pos_embed", S4(1, grid, grid, D));
    convolution(list, &to->patch, SAMC__ROLE_MATRIX, "image_encoder.patch_embed.proj", S4(D, 3, patch, patch), D);
    for (int i = 0; i < config->depth; i++) block(list, config, i, &to->blocks[i]);
    tensor(list, &to->neck_conv1.w, SAMC__ROLE_MATRIX, "image_encoder.neck.0", "weight", S4(C, D, 1, 1));
    norm(list, &to->neck_norm1, "image_encoder.neck", "1", C, 1e-6f);
    tensor(list, &to->neck_conv2, SAMC__ROLE_OPERAND, "image_encoder.neck.2", "weight", S4(C, C, 3, 3));
    norm(list, &to->neck_norm2, "image_encoder.neck", "3", C, 1e-6f);
}

static void prompt_encoder(samc__tensor_list *list, const samc__config *config, samc__weights *to) {
    static const char prompt[] = "prompt_encoder", mask[] = "prompt_encoder.mask_downscaling";
    const int64_t C = config->out_chans, M = config->mask_in_chans;
    char base[48];
    tensor(list, &to->pe_gaussian, SAMC__ROLE_TABLE, prompt, "pe_layer.positional_encoding_gaussian_matrix",
           S2(2, C / 2));
    for (int i = 0; i < 4; i++) {
        snprintf(base, sizeof base, "prompt_encoder.point_embeddings.%d", i);
        tensor(list, &to->point_embed[i], SAMC__ROLE_VECTOR, base, "weight", S2(1, C));
    }
    tensor(list, &to->not_a_point_embed, SAMC__ROLE_VECTOR, prompt, "not_a_point_embed.weight", S2(1, C));
    convolution(list, &to->mask_conv1, SAMC__ROLE_OPERAND, "prompt_encoder.mask_downscaling.0", S4(M / 4, 1, 2, 2),
                M / 4);
    norm(list, &to->mask_norm1, mask, "1", M / 4, 1e-6f);
    convolution(list, &to->mask_conv2, SAMC__ROLE_OPERAND, "prompt_encoder.mask_downscaling.3", S4(M, M / 4, 2, 2), M);
    norm(list, &to->mask_norm2, mask, "4", M, 1e-6f);
    convolution(list, &to->mask_conv3, SAMC__ROLE_OPERAND, "prompt_encoder.mask_downscaling.6", S4(C, M, 1, 1), C);
    tensor(list, &to->no_mask_embed, SAMC__ROLE_VECTOR, prompt, "no_mask_embed.weight", S2(1, C));
}

static void decoder_layer(samc__tensor_list *list, const samc__config *config, int index, samc__decoder_layer *to) {
    const int64_t C = config->out_chans, inner = config->decoder_attention_dim, wide = config->decoder_mlp_dim;
    const int heads = config->decoder_num_heads;
    char base[48];
    snprintf(base, sizeof base, "mask_decoder.transformer.layers.%d", index);
    attention(list, &to->self_attn, base, "self_attn", C, C, heads);
    norm(list, &to->norm1, base, "norm1", C, 1e-5f);
    attention(list, &to->cross_token_to_image, base, "cross_attn_token_to_image", C, inner, heads);
    norm(list, &to->norm2, base, "norm2", C, 1e-5f);
    linear(list, &to->lin1, SAMC__ROLE_MATRIX, base, "mlp.lin1", wide, C);
    linear(list, &to->lin2, SAMC__ROLE_MATRIX, base, "mlp.lin2", C, wide);
    norm(list, &to->norm3, base, "norm3", C, 1e-5f);
    norm(list, &to->norm4, base, "norm4", C, 1e-5f);
    attention(list, &to->cross_image_to_token, base, "cross_attn_image_to_token", C, inner, heads);
}

static void mask_decoder(samc__tensor_list *list, const samc__config *config, samc__weights *to) {
    static const char transformer[] = "mask_decoder.transformer", up[] = "mask_decoder.output_upscaling";
    const int64_t C = config->out_chans, inner = config->decoder_attention_dim, tokens = config->mask_tokens;
    char base[64];
    for (int i = 0; i < config->decoder_depth; i++) decoder_layer(list, config, i, &to->layers[i]);
    attention(list, &to->final_attn, transformer, "final_attn_token_to_image", C, inner, config->decoder_num_heads);
    norm(list, &to->norm_final, transformer, "norm_final_attn", C, 1e-5f);
    tensor(list, &to->iou_token, SAMC__ROLE_VECTOR, "mask_decoder", "iou_token.weight", S2(1, C));
    tensor(list, &to->mask_tokens, SAMC__ROLE_TABLE, "mask_decoder", "mask_tokens.weight", S2(tokens, C));
    convolution(list, &to->up1, SAMC__ROLE_OPERAND, "mask_decoder.output_upscaling.0", S4(C, C / 4, 2, 2), C / 4);
    norm(list, &to->up_norm, up, "1", C / 4, 1e-6f);
    convolution(list, &to->up2, SAMC__ROLE_OPERAND, "mask_decoder.output_upscaling.3", S4(C / 4, C / 8, 2, 2), C / 8);
    for (int i = 0; i < config->mask_tokens; i++) {
        snprintf(base, sizeof base, "mask_decoder.output_hypernetworks_mlps.%d", i);
        linear(list, &to->hyper[i][0], SAMC__ROLE_SHARED, base, "layers.0", C, C);
        linear(list, &to->hyper[i][1], SAMC__ROLE_SHARED, base, "layers.1", C, C);
        linear(list, &to->hyper[i][2], SAMC__ROLE_SHARED, base, "layers.2", C / 8, C);
    }
    for (int i = 0; i < config->iou_head_depth; i++) {
        int64_t in = i == 0 ? C : config->iou_head_hidden_dim;
        int64_t out = i == config->iou_head_depth - 1 ? tokens : config->iou_head_hidden_dim;
        snprintf(base, sizeof base, "layers.%d", i);
        linear(list, &to->iou_head[i], SAMC__ROLE_SHARED, "mask_decoder.iou_prediction_head", base, out, in);
    }
}

samc_status samc__tensors_list(const samc__config *config, samc__weights *weights, samc__tensor_list *list,
                               samc_error *error) {
    *list = (samc__tensor_list){0};
    memset(weights, 0, sizeof *weights);
    image_encoder(list, config, &weights->vit);
    prompt_encoder(list, config, weights);
    mask_decoder(list, config, weights);
    if (!list->failed) return SAMC_OK;
    samc__tensors_free(list);
    return samc__fail(error, SAMC_OUT_OF_MEMORY, "no memory to list the model's tensors");
}

void samc__tensors_free(samc__tensor_list *list) {
    free(list->at);
    *list = (samc__tensor_list){0};
}

void samc__tensors_point(const samc__tensor_list *list, void *data, samc__dtype precision) {
    for (size_t i = 0; i < list->count; i++) {
        list->at[i].view->data = data;
        list->at[i].view->dtype = samc__role_type(list->at[i].role, precision);
    }
    for (size_t i = 0; i < list->copy_count; i++) {
        list->copies[i].view->data = data;
        list->copies[i].view->dtype = precision;
    }
}

int64_t samc__tensors_parameters(const samc__tensor_list *list) {
    int64_t parameters = 0;
    for (size_t i = 0; i < list->count; i++) parameters += samc__elements(*list->at[i].view);
    return parameters;
}
