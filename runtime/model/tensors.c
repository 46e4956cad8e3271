/* The tensors of a SAM model: its encoder's, then those of prompt encoder and mask decoder.
 *
 * Names, shapes and order are those of the state_dict() of segment_anything.modeling.Sam; C = channels. What the
 * tensors do not say but every use needs stands here too: the epsilon of a norm, the heads of an attention. */
#include "runtime/model/tensors.h"

#include <stdio.h>
#include <string.h>

static void attention(samc__tensor_list *list, samc__attention *to, const char *base, const char *leaf,
                      int64_t channels, int64_t inner, int heads) {
    char full[96];
    snprintf(full, sizeof full, "%s.%s", base, leaf);
    samc__list_linear(list, &to->q, SAMC__ROLE_SHARED, full, "q_proj", inner, channels);
    samc__list_linear(list, &to->k, SAMC__ROLE_SHARED, full, "k_proj", inner, channels);
    samc__list_linear(list, &to->v, SAMC__ROLE_SHARED, full, "v_proj", inner, channels);
    samc__list_linear(list, &to->out, SAMC__ROLE_SHARED, full, "out_proj", channels, inner);
    to->heads = heads;
}

static void prompt_encoder(samc__tensor_list *list, const samc__decoder_spec *d, samc__weights *to) {
    static const char prompt[] = "prompt_encoder", mask[] = "prompt_encoder.mask_downscaling";
    const int64_t C = d->channels, M = d->mask_in_chans;
    char base[48];
    samc__list_tensor(list, &to->pe_gaussian, SAMC__ROLE_TABLE, prompt, "pe_layer.positional_encoding_gaussian_matrix",
                      SAMC__SHAPE2(2, C / 2));
    for (int i = 0; i < 4; i++) {
        snprintf(base, sizeof base, "prompt_encoder.point_embeddings.%d", i);
        samc__list_tensor(list, &to->point_embed[i], SAMC__ROLE_VECTOR, base, "weight", SAMC__SHAPE2(1, C));
    }
    samc__list_tensor(list, &to->not_a_point_embed, SAMC__ROLE_VECTOR, prompt, "not_a_point_embed.weight",
                      SAMC__SHAPE2(1, C));
    samc__list_convolution(list, &to->mask_conv1, SAMC__ROLE_OPERAND, "prompt_encoder.mask_downscaling.0",
                           SAMC__SHAPE4(M / 4, 1, 2, 2), M / 4);
    samc__list_norm(list, &to->mask_norm1, mask, "1", M / 4, 1e-6f);
    samc__list_convolution(list, &to->mask_conv2, SAMC__ROLE_OPERAND, "prompt_encoder.mask_downscaling.3",
                           SAMC__SHAPE4(M, M / 4, 2, 2), M);
    samc__list_norm(list, &to->mask_norm2, mask, "4", M, 1e-6f);
    samc__list_convolution(list, &to->mask_conv3, SAMC__ROLE_OPERAND, "prompt_encoder.mask_downscaling.6",
                           SAMC__SHAPE4(C, M, 1, 1), C);
    samc__list_tensor(list, &to->no_mask_embed, SAMC__ROLE_VECTOR, prompt, "no_mask_embed.weight", SAMC__SHAPE2(1, C));
}

static void decoder_layer(samc__tensor_list *list, const samc__decoder_spec *d, int index, samc__decoder_layer *to) {
    const int64_t C = d->channels, inner = d->inner, wide = d->mlp_dim;
    const int heads = d->heads;
    char base[48];
    snprintf(base, sizeof base, "mask_decoder.transformer.layers.%d", index);
    attention(list, &to->self_attn, base, "self_attn", C, C, heads);
    samc__list_norm(list, &to->norm1, base, "norm1", C, d->norm_eps);
    attention(list, &to->cross_token_to_image, base, "cross_attn_token_to_image", C, inner, heads);
    samc__list_norm(list, &to->norm2, base, "norm2", C, d->norm_eps);
    samc__list_linear(list, &to->lin1, SAMC__ROLE_MATRIX, base, "mlp.lin1", wide, C);
    samc__list_linear(list, &to->lin2, SAMC__ROLE_MATRIX, base, "mlp.lin2", C, wide);
    samc__list_norm(list, &to->norm3, base, "norm3", C, d->norm_eps);
    samc__list_norm(list, &to->norm4, base, "norm4", C, d->norm_eps);
    attention(list, &to->cross_image_to_token, base, "cross_attn_image_to_token", C, inner, heads);
}

static void mask_decoder(samc__tensor_list *list, const samc__decoder_spec *d, samc__weights *to) {
    static const char transformer[] = "mask_decoder.transformer", up[] = "mask_decoder.output_upscaling";
    const int64_t C = d->channels, inner = d->inner, tokens = d->masks;
    char base[64];
    for (int i = 0; i < d->depth; i++) decoder_layer(list, d, i, &to->layers[i]);
    attention(list, &to->final_attn, transformer, "final_attn_token_to_image", C, inner, d->heads);
    samc__list_norm(list, &to->norm_final, transformer, "norm_final_attn", C, d->norm_eps);
    samc__list_tensor(list, &to->iou_token, SAMC__ROLE_VECTOR, "mask_decoder", "iou_token.weight", SAMC__SHAPE2(1, C));
    samc__list_tensor(list, &to->mask_tokens, SAMC__ROLE_TABLE, "mask_decoder", "mask_tokens.weight",
                      SAMC__SHAPE2(tokens, C));
    samc__list_convolution(list, &to->up1, SAMC__ROLE_OPERAND, "mask_decoder.output_upscaling.0",
                           SAMC__SHAPE4(C, C / 4, 2, 2), C / 4);
    samc__list_norm(list, &to->up_norm, up, "1", C / 4, 1e-6f);
    samc__list_convolution(list, &to->up2, SAMC__ROLE_OPERAND, "mask_decoder.output_upscaling.3",
                           SAMC__SHAPE4(C / 4, C / 8, 2, 2), C / 8);
    for (int i = 0; i < d->masks; i++) {
        snprintf(base, sizeof base, "mask_decoder.output_hypernetworks_mlps.%d", i);
        samc__list_linear(list, &to->hyper[i][0], SAMC__ROLE_SHARED, base, "layers.0", C, C);
        samc__list_linear(list, &to->hyper[i][1], SAMC__ROLE_SHARED, base, "layers.1", C, C);
        samc__list_linear(list, &to->hyper[i][2], SAMC__ROLE_SHARED, base, "layers.2", C / 8, C);
    }
    for (int i = 0; i < d->iou_depth; i++) {
        int64_t in = i == 0 ? C : d->iou_dim;
        int64_t out = i == d->iou_depth - 1 ? tokens : d->iou_dim;
        snprintf(base, sizeof base, "layers.%d", i);
        samc__list_linear(list, &to->iou_head[i], SAMC__ROLE_SHARED, "mask_decoder.iou_prediction_head", base, out, in);
    }
}

/* SAM 2's; what its high-resolution features are made by is the encoder's. */
static void object_score(samc__tensor_list *list, const samc__decoder_spec *d, samc__weights *to) {
    static const char head[] = "mask_decoder.pred_obj_score_head";
    const int64_t C = d->channels;
    samc__list_tensor(list, &to->object_token, SAMC__ROLE_VECTOR, "mask_decoder", "obj_score_token.weight",
                      SAMC__SHAPE2(1, C));
    samc__list_linear(list, &to->object_head[0], SAMC__ROLE_SHARED, head, "layers.0", C, C);
    samc__list_linear(list, &to->object_head[1], SAMC__ROLE_SHARED, head, "layers.1", C, C);
    samc__list_linear(list, &to->object_head[2], SAMC__ROLE_SHARED, head, "layers.2", 1, C);
}

samc_status samc__tensors_list(const samc__config *config, samc__weights *weights, samc__tensor_list *list,
                               samc_error *error) {
    *list = (samc__tensor_list){0};
    memset(weights, 0, sizeof *weights);
    samc__encoder_of(config)->tensors(list, config, &weights->encoder);
    prompt_encoder(list, &config->decoder, weights);
    mask_decoder(list, &config->decoder, weights);
    if (config->decoder.object_at >= 0) object_score(list, &config->decoder, weights);
    if (samc__has_hq(config)) samc__hq_tensors(list, config, &weights->hq);
    if (!list->failed) return SAMC_OK;
    samc__tensors_free(list);
    return samc__fail(error, SAMC_OUT_OF_MEMORY, "no memory to list the model's tensors");
}
