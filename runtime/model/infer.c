/* A model's configuration from its file, as a checkpoint of the original carries nothing else than tensors: their
 * shapes, and what these cannot say (heads and windows without rel_pos, the decoder's heads) from the metadata
 * "samc.config". */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/model/automatic.h"
#include "runtime/model/families.h"
#include "runtime/model/hq.h"
#include "runtime/model/huggingface.h"
#include "runtime/model/recipe_choice.h"

static const char dynamic_key[] = "dynamic_multimask_via_stability", delta_key[] = "dynamic_multimask_stability_delta",
                  thresh_key[] = "dynamic_multimask_stability_thresh";

/* ---- Decoder --------------------------------------------------------------------------------- */

/* What only other programs' configurations say. */
static void merge_decoder(samc__reading *r, const samc__config *config, samc__decoder_spec *d) {
    int outputs = d->masks - 1, rate = d->inner > 0 ? d->channels / d->inner : 0;
    samc__merge_count(r, "decoder_channels", &d->channels, true);
    samc__merge_count(r, "prompt_channels", &d->channels, true);
    samc__merge_count(r, "decoder_depth", &d->depth, true);
    samc__merge_count(r, "decoder_mlp_dim", &d->mlp_dim, true);
    samc__merge_count(r, "num_multimask_outputs", &outputs, true);
    samc__merge_count(r, "attention_downsample_rate", &rate, true);
    samc__merge_count(r, "iou_head_depth", &d->iou_depth, true);
    samc__merge_count(r, "iou_head_hidden_dim", &d->iou_dim, true);
    samc__merge_count(r, "mask_in_chans", &d->mask_in_chans, true);
    if (samc__has_hq(config)) {
        int early = samc__encoder_of(config)->early_channels(config);
        samc__merge_count(r, "early_channels", &early, true);
    }
}

/* What build_sam2() has a model with, unless its file says otherwise. */
static void infer_stability(samc__reading *r, samc__decoder_spec *d) {
    const char kind = samc__json_kind(samc__read_field(r, dynamic_key));
    const samc__json delta = samc__read_field(r, delta_key), thresh = samc__read_field(r, thresh_key);
    d->dynamic = 1.0f, d->stability_delta = 0.05f, d->stability_thresh = 0.98f;
    if (kind == 'f') d->dynamic = 0.0f;
    else if (kind != '\0' && kind != 't') samc__read_malformed(r, dynamic_key, "true or false");
    if (delta.begin != NULL) samc__merge_float(r, delta_key, delta, &d->stability_delta, false);
    if (thresh.begin != NULL) samc__merge_float(r, thresh_key, thresh, &d->stability_thresh, false);
}

static void infer_decoder(samc__reading *r, samc__config *config) {
    samc__decoder_spec *d = &config->decoder;
    const samc__tensor *mask_in = samc__read_tensor(r, "prompt_encoder.mask_downscaling.3.weight", 4);
    const samc__tensor *tokens = samc__read_tensor(r, "mask_decoder.mask_tokens.weight", 2);
    const samc__tensor *mlp = samc__read_tensor(r, "mask_decoder.transformer.layers.0.mlp.lin1.weight", 2);
    const samc__tensor *cross =
        samc__read_tensor(r, "mask_decoder.transformer.layers.0.cross_attn_token_to_image.q_proj.weight", 2);
    const samc__tensor *iou = samc__read_tensor(r, "mask_decoder.iou_prediction_head.layers.0.weight", 2);
    d->mask_in_chans = samc__read_side(mask_in, 0);
    d->masks = samc__read_side(tokens, 0);
    d->mlp_dim = samc__read_side(mlp, 0);
    d->inner = samc__read_side(cross, 0);
    d->iou_dim = samc__read_side(iou, 0);
    d->depth = samc__read_layers(r, "mask_decoder.transformer.layers.");
    d->iou_depth = samc__read_layers(r, "mask_decoder.iou_prediction_head.layers.");
    d->heads = 8;
    if (d->norm_eps == 0.0f) d->norm_eps = 1e-5f;
    samc__merge_count(r, "decoder_num_heads", &d->heads, false);
    d->object_at = samc__checkpoint_find(r->checkpoint, "mask_decoder.obj_score_token.weight") ? 0 : -1;
    d->iou_at = d->object_at + 1;
    d->mask_at = d->iou_at + 1;
    d->hq_at = samc__checkpoint_find(r->checkpoint, "mask_decoder.hf_token.weight") ? d->mask_at + d->masks : -1;
    d->high_res = samc__checkpoint_find(r->checkpoint, "mask_decoder.conv_s0.weight") != NULL;
    d->box_points = d->iou_sigmoid = d->high_res;
    if (d->high_res) infer_stability(r, d);
    if (r->names != NULL && r->report.count == 0) merge_decoder(r, config, d);
}

static samc_status check_decoder(const samc__decoder_spec *d, const char *label, samc_error *error) {
    const samc__bounds bounds[] = {
        {"out_chans", d->channels, 8, 1024},
        {"mask_in_chans", d->mask_in_chans, 4, 256},
        {"decoder depth", d->depth, 1, SAMC__MAX_DECODER_LAYERS},
        {"decoder_num_heads", d->heads, 1, 256},
        {"decoder MLP width", d->mlp_dim, 1, 65536},
        {"decoder attention width", d->inner, 1, 8192},
        {"number of mask tokens", d->masks, 2, SAMC__MAX_MASK_TOKENS},
        {"IoU head depth", d->iou_depth, 1, SAMC__MAX_MLP_LAYERS},
        {"IoU head width", d->iou_dim, 1, 65536},
    };
    const samc__multiple multiples[] = {
        {"out_chans", d->channels, "8", 8},
        {"out_chans", d->channels, "decoder_num_heads", d->heads},
        {"mask_in_chans", d->mask_in_chans, "4", 4},
        {"decoder attention width", d->inner, "decoder_num_heads", d->heads},
    };
    SAMC__TRY(samc__check_bounds(label, bounds, sizeof bounds / sizeof *bounds, error));
    SAMC__TRY(samc__check_multiples(label, multiples, sizeof multiples / sizeof *multiples, error));
    /* The order in which embed_prompts lays the tokens out, and what upscale_masks takes. */
    const bool finer = d->high_res && d->object_at == 0 && d->hq_at < 0, plain = !d->high_res && d->object_at < 0;
    if (!(finer || plain) || d->iou_at != d->object_at + 1 || d->mask_at != d->iou_at + 1 ||
        (d->hq_at >= 0 && d->hq_at != d->mask_at + d->masks))
        return samc__fail(error, SAMC_UNSUPPORTED, "%s: a mask decoder with other tokens or levels than SAM's", label);
    return SAMC_OK;
}

/* ---- All of it ------------------------------------------------------------------------------- */

samc_status samc__config_check(const samc__config *config, const char *label, samc_error *error) {
    const samc__bounds bounds[] = {{"img_size", config->recipe.side, 16, 8192}};
    SAMC__TRY(samc__check_bounds(label, bounds, 1, error));
    const samc__encoder *encoder = samc__encoder_of(config);
    if (!config->recipe_free)
        SAMC__TRY(samc__recipe_check(&config->recipe, encoder->recipes, encoder->recipe_count, label, error));
    SAMC__TRY(encoder->check(config, label, error));
    SAMC__TRY(check_decoder(&config->decoder, label, error));
    if (samc__has_hq(config) && encoder->early_channels(config) == 0)
        return samc__fail(error, SAMC_UNSUPPORTED,
                          "%s: a mask decoder that looks at an early feature, but the encoder has no global block",
                          label);
    return SAMC_OK;
}

static void copy_text(char *to, size_t room, const samc__checkpoint *checkpoint, const char *key) {
    const char *text = samc__checkpoint_metadata(checkpoint, key);
    snprintf(to, room, "%s", text ? text : "");
}

samc_status samc__config_read(const samc__checkpoint *checkpoint, const samc__given *given, samc__config *config,
                              samc_error *error) {
    samc__reading r = {.checkpoint = checkpoint, .status = SAMC_OK, .error = error, .image_size = given->image_size};
    memset(config, 0, sizeof *config);
    if (given->image_size < 0)
        return samc__fail(error, SAMC_INVALID_ARGUMENT, "%s: an image_size of %d", checkpoint->label,
                          given->image_size);
    SAMC__TRY(samc__read_metadata(checkpoint, &r.json, error));
    if (r.json.begin == NULL) SAMC__TRY(samc__huggingface_config(&r));
    config->encoder.kind = samc__encoder_recognise(checkpoint);
    samc__encoder_of(config)->infer(&r, config);
    infer_decoder(&r, config);
    samc__recipe_choose(&r, samc__encoder_of(config), given->recipe, config);
    if (r.image_size > 0 && r.report.count == 0 && r.status == SAMC_OK && config->recipe.side != r.image_size)
        samc__read_fail(&r, SAMC_MISMATCH, "its images have %d x %d pixels, which its tensors say; not %d x %d",
                        config->recipe.side, config->recipe.side, r.image_size, r.image_size);
    samc__automatic_read(&r, samc__encoder_of(config)->pred_iou_thresh, &config->automatic);
    SAMC__TRY(samc__report_finish(&r.report, checkpoint, error));
    if (r.status != SAMC_OK) return r.status;
    copy_text(config->name, sizeof config->name, checkpoint, "samc.name");
    copy_text(config->licence, sizeof config->licence, checkpoint, "samc.licence");
    copy_text(config->card, sizeof config->card, checkpoint, "samc.card");
    return samc__config_check(config, checkpoint->label, error);
}

/* ---- Writing --------------------------------------------------------------------------------- */

static void write_stability(const samc__decoder_spec *d, samc__json_text *text) {
    if (!d->high_res) return;
    samc__write_flag(text, dynamic_key, d->dynamic != 0.0f);
    samc__json_put_key(text, delta_key);
    samc__json_put_float(text, d->stability_delta);
    samc__json_put_key(text, thresh_key);
    samc__json_put_float(text, d->stability_thresh);
}

char *samc__config_text(const samc__config *config) {
    samc__json_text written = {0};
    samc__json_put(&written, "{", 1);
    samc__write_count(&written, "img_size", config->recipe.side);
    samc__encoder_of(config)->write(config, &written);
    write_stability(&config->decoder, &written);
    samc__json_put(&written, "}", 1);
    if (!written.failed) return written.data;
    free(written.data);
    return NULL;
}

void samc__config_write(const samc__config *config, samc__json json, samc__json_text *text) {
    static const char *const known[] = {
        "img_size",       "patch_size",        "embed_dim",           "depth",      "num_heads",
        "mlp_ratio",      "window_size",       "global_attn_indexes", "out_chans",  "qkv_bias",
        "use_abs_pos",    "use_rel_pos",       "decoder_num_heads",   "pixel_mean", "pixel_std",
        "mask_threshold", "preprocess",        "automatic",           "recipe",     "stages",
        "window_spec",    "global_att_blocks", dynamic_key,           delta_key,    thresh_key,
    };
    samc__json_put(text, "{", 1);
    samc__write_count(text, "img_size", config->recipe.side);
    samc__encoder_of(config)->write(config, text);
    write_stability(&config->decoder, text);
    if (config->recipe_said || strcmp(config->recipe.name, samc__encoder_of(config)->recipes->name) != 0) {
        samc__json_put_key(text, "recipe");
        samc__json_put_string(text, config->recipe.name);
    }
    samc__recipe_write(&config->recipe, text);
    samc__automatic_write(text, samc__encoder_of(config)->pred_iou_thresh, samc__json_get(json, "automatic"));
    samc__write_others(text, json, known, sizeof known / sizeof *known);
    samc__json_put(text, "}", 1);
}
