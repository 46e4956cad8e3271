/* What Hugging Face's files beside a model say of it: config.json, whose numbers are held against the tensors', and
 * preprocessor_config.json, which becomes the recipe.
 *
 * Published files repeat the defaults of transformers' classes, and of these one is not the original's: the decoder's
 * layer_norm_eps of 1e-6, where the weights were trained with 1e-5. It is not heeded. */
#include "runtime/model/huggingface.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* ---- config.json ----------------------------------------------------------------------------- */

#define VISION "vision_config"
#define PROMPT "prompt_encoder_config"
#define DECODER "mask_decoder_config"

static const samc__foreign_name names[] = {
    {"img_size", VISION, "image_size"},
    {"patch_size", VISION, "patch_size"},
    {"embed_dim", VISION, "hidden_size"},
    {"depth", VISION, "num_hidden_layers"},
    {"num_heads", VISION, "num_attention_heads"},
    {"mlp_dim", VISION, "mlp_dim"},
    {"mlp_ratio", VISION, "mlp_ratio"},
    {"window_size", VISION, "window_size"},
    {"global_attn_indexes", VISION, "global_attn_indexes"},
    {"out_chans", VISION, "output_channels"},
    {"qkv_bias", VISION, "qkv_bias"},
    {"use_abs_pos", VISION, "use_abs_pos"},
    {"use_rel_pos", VISION, "use_rel_pos"},
    {"encoder_act", VISION, "hidden_act"},
    {"encoder_eps", VISION, "layer_norm_eps"},
    {"prompt_channels", PROMPT, "hidden_size"},
    {"mask_in_chans", PROMPT, "mask_input_channels"},
    {"prompt_act", PROMPT, "hidden_act"},
    {"prompt_eps", PROMPT, "layer_norm_eps"},
    {"decoder_channels", DECODER, "hidden_size"},
    {"decoder_num_heads", DECODER, "num_attention_heads"},
    {"decoder_depth", DECODER, "num_hidden_layers"},
    {"decoder_mlp_dim", DECODER, "mlp_dim"},
    {"attention_downsample_rate", DECODER, "attention_downsample_rate"},
    {"num_multimask_outputs", DECODER, "num_multimask_outputs"},
    {"iou_head_depth", DECODER, "iou_head_depth"},
    {"iou_head_hidden_dim", DECODER, "iou_head_hidden_dim"},
    {"decoder_act", DECODER, "hidden_act"},
    {"early_channels", DECODER, "vit_dim"}, /* SamHQModel's */
    {NULL, NULL, NULL},
};

#define HIERA "vision_config.backbone_config"

/* Sam2Model's and Sam2VideoModel's. */
static const samc__foreign_name names_of_2[] = {
    {"img_size", PROMPT, "image_size"},
    {"embed_dim", HIERA, "hidden_size"},
    {"num_heads", HIERA, "num_attention_heads"},
    {"stages", HIERA, "blocks_per_stage"},
    {"window_spec", HIERA, "window_size_per_stage"},
    {"global_att_blocks", HIERA, "global_attention_blocks"},
    {"q_pool", HIERA, "num_query_pool_stages"},
    {"encoder_act", HIERA, "hidden_act"},
    {"encoder_eps", HIERA, "layer_norm_eps"},
    {"out_chans", VISION, "fpn_hidden_size"},
    {"prompt_channels", PROMPT, "hidden_size"},
    {"mask_in_chans", PROMPT, "mask_input_channels"},
    {"prompt_act", PROMPT, "hidden_act"},
    {"prompt_eps", PROMPT, "layer_norm_eps"},
    {"decoder_channels", DECODER, "hidden_size"},
    {"decoder_num_heads", DECODER, "num_attention_heads"},
    {"decoder_depth", DECODER, "num_hidden_layers"},
    {"decoder_mlp_dim", DECODER, "mlp_dim"},
    {"attention_downsample_rate", DECODER, "attention_downsample_rate"},
    {"num_multimask_outputs", DECODER, "num_multimask_outputs"},
    {"iou_head_depth", DECODER, "iou_head_depth"},
    {"iou_head_hidden_dim", DECODER, "iou_head_hidden_dim"},
    {"dynamic_multimask_via_stability", DECODER, "dynamic_multimask_via_stability"},
    {"dynamic_multimask_stability_delta", DECODER, "dynamic_multimask_stability_delta"},
    {"dynamic_multimask_stability_thresh", DECODER, "dynamic_multimask_stability_thresh"},
    {NULL, NULL, NULL},
};

static bool is_second(const samc__checkpoint *checkpoint) {
    return samc__checkpoint_find(checkpoint, "image_encoder.trunk.patch_embed.proj.weight") != NULL;
}

/* A string that has to be this one, or a number, where the file says anything. */
static void expect_text(samc__reading *r, const char *key, const char *expected) {
    const samc__json field = samc__read_field(r, key);
    if (field.begin == NULL || samc__json_equals(field, expected)) return;
    samc__read_fail(r, SAMC_UNSUPPORTED, "%s says %s %s; samc computes with \"%s\"", samc__read_where(r),
                    samc__read_name(r, key).text, samc__printable(field.begin, (size_t)(field.end - field.begin)).text,
                    expected);
}

static void expect_number(samc__reading *r, const char *key, double expected) {
    const samc__json field = samc__read_field(r, key);
    double number = 0;
    if (field.begin == NULL || (samc__json_number(field, &number) && fabs(number / expected - 1) < 1e-6)) return;
    samc__read_fail(r, SAMC_UNSUPPORTED, "%s says %s %s; samc computes with %g", samc__read_where(r),
                    samc__read_name(r, key).text, samc__printable(field.begin, (size_t)(field.end - field.begin)).text,
                    expected);
}

samc_status samc__huggingface_config(samc__reading *r) {
    const char *file, *text = samc__checkpoint_beside(r->checkpoint, SAMC__BESIDE_CONFIG, &file);
    if (text == NULL) return SAMC_OK;
    samc__json json;
    SAMC__TRY(samc__read_object(text, r->checkpoint->label, file, &json, r->error));
    const bool second = is_second(r->checkpoint);
    r->json = json, r->where = file, r->names = second ? names_of_2 : names;
    const samc__json type = samc__json_get(json, "model_type");
    const bool hq = samc__checkpoint_find(r->checkpoint, "mask_decoder.hf_token.weight") != NULL;
    const char *wanted = second ? "SAM 2" : hq ? "SAM-HQ" : "SAM";
    if (type.begin != NULL &&
        !samc__json_equals(type, second ? "sam2"
                                 : hq   ? "sam_hq"
                                        : "sam") &&
        !(second && samc__json_equals(type, "sam2_video")))
        samc__read_fail(r, SAMC_MISMATCH, "%s says model_type %s; weights of %s are wanted", file,
                        samc__printable(type.begin, (size_t)(type.end - type.begin)).text, wanted);
    expect_text(r, "encoder_act", "gelu");
    expect_text(r, "prompt_act", "gelu");
    expect_text(r, "decoder_act", "relu"); /* SAM 2's is not asked: theirs says "gelu" of what is not its MLPs */
    expect_number(r, "encoder_eps", 1e-6);
    expect_number(r, "prompt_eps", 1e-6);
    return r->status;
}

/* ---- preprocessor_config.json ---------------------------------------------------------------- */

static bool says(samc__json json, const char *key, char kind) {
    return samc__json_kind(samc__json_get(json, key)) == kind;
}

/* A whole number that the file may have under object.key and that has to be `expected`. */
static void expect_count(samc__reading *r, const char *file, const char *path, samc__json field, int expected,
                         const char *by) {
    int64_t number = 0;
    if (field.begin == NULL || (samc__json_integer(field, &number) && number == expected)) return;
    samc__read_fail(r, SAMC_MISMATCH, "%s says %s %s, %s %d", file, path,
                    samc__printable(field.begin, (size_t)(field.end - field.begin)).text, by, expected);
}

/* mean and std of the file are in units of pixels times `factor`. */
static void read_triple(samc__reading *r, const char *file, samc__json json, const char *key, double factor,
                        float values[3]) {
    const samc__json field = samc__json_get(json, key);
    const char *cursor = NULL;
    samc__json item;
    int count = 0;
    if (field.begin == NULL) return;
    for (double number; samc__json_next(field, &cursor, NULL, &item); count++) {
        bool good = count < 3 && samc__json_number(item, &number) && isfinite((float)(number / factor)) &&
                    (strcmp(key, "image_std") != 0 || (float)(number / factor) > 0);
        if (!good) count = 3;
        else values[count] = (float)(number / factor);
    }
    if (count != 3) samc__read_fail(r, SAMC_FORMAT, "%s: %s is not a list of three numbers", file, key);
}

/* Who prepares the images: a class of this name, or with "Fast" behind it. */
static void expect_processor(samc__reading *r, const char *file, samc__json json, const char *expected) {
    static const char *const kinds[] = {"image_processor_type", "feature_extractor_type"};
    for (int i = 0; i < 2; i++) {
        char kind[64];
        const samc__json type = samc__json_get(json, kinds[i]);
        if (type.begin == NULL || samc__json_kind(type) == 'n') continue;
        if (!samc__json_string(type, kind, sizeof kind) || strncmp(kind, expected, strlen(expected)) != 0)
            samc__read_fail(r, SAMC_UNSUPPORTED, "%s says %s %s; samc prepares images as %s does", file, kinds[i],
                            samc__printable(type.begin, (size_t)(type.end - type.begin)).text, expected);
    }
    if (says(json, "do_resize", 'f'))
        samc__read_fail(r, SAMC_UNSUPPORTED, "%s says do_resize false; samc resizes images", file);
}

/* SAM's longest side, or SAM 2's square. */
static void expect_size(samc__reading *r, const char *file, samc__json json, const samc__recipe *recipe) {
    const samc__json size = samc__json_get(json, "size"), pad = samc__json_get(json, "pad_size");
    if (recipe->resize == SAMC__RESIZE_SQUASH) {
        if (size.begin != NULL && samc__json_get(size, "height").begin == NULL)
            samc__read_fail(r, SAMC_UNSUPPORTED, "%s says size without height; give the recipe by --recipe", file);
        if (r->image_size > 0) return; /* which the caller knows better */
        expect_count(r, file, "size.height", samc__json_get(size, "height"), recipe->side, "the model's images are");
        expect_count(r, file, "size.width", samc__json_get(size, "width"), recipe->side, "the model's images are");
        return;
    }
    if (size.begin != NULL && samc__json_get(size, "longest_edge").begin == NULL)
        samc__read_fail(r, SAMC_UNSUPPORTED, "%s says size without longest_edge; give the recipe by --recipe", file);
    expect_count(r, file, "size.longest_edge", samc__json_get(size, "longest_edge"), recipe->side, "the tensors say");
    expect_count(r, file, "pad_size.height", samc__json_get(pad, "height"), recipe->side, "the tensors say");
    expect_count(r, file, "pad_size.width", samc__json_get(pad, "width"), recipe->side, "the tensors say");
}

static void read_recipe(samc__reading *r, const char *file, samc__json json, samc__recipe *recipe) {
    expect_processor(r, file, json, recipe->resize == SAMC__RESIZE_SQUASH ? "Sam2ImageProcessor" : "SamImageProcessor");
    expect_size(r, file, json, recipe);
    expect_count(r, file, "resample", samc__json_get(json, "resample"), 2, "samc knows Pillow's BILINEAR,");
    double factor = 1.0 / 255;
    const samc__json rescale = samc__json_get(json, "rescale_factor");
    if (says(json, "do_rescale", 'f')) factor = 1;
    else if (rescale.begin != NULL && (!samc__json_number(rescale, &factor) || !(factor > 1e-30 && factor < 1e30)))
        samc__read_fail(r, SAMC_FORMAT, "%s: rescale_factor is not a positive number that pixels can be scaled by",
                        file);
    if (r->status != SAMC_OK) return;
    if (recipe->range == SAMC__RANGE_1) factor *= 255; /* what mean and std are in units of there */
    if (says(json, "do_normalize", 'f')) {
        for (int i = 0; i < 3; i++) recipe->mean[i] = 0, recipe->std[i] = (float)(1 / factor);
        return;
    }
    read_triple(r, file, json, "image_mean", factor, recipe->mean);
    read_triple(r, file, json, "image_std", factor, recipe->std);
}

bool samc__huggingface_recipe(samc__reading *r, samc__recipe *recipe) {
    const char *file, *text = samc__checkpoint_beside(r->checkpoint, SAMC__BESIDE_PREPROCESSOR, &file);
    samc__json json;
    if (text == NULL || r->status != SAMC_OK || recipe->side == 0) return false;
    r->status = samc__read_object(text, r->checkpoint->label, file, &json, r->error);
    if (r->status != SAMC_OK) return false;
    const samc__json inner = samc__json_get(json, "image_processor"); /* of processor_config.json */
    read_recipe(r, file, samc__json_is_object(inner) ? inner : json, recipe);
    return true;
}
