/* Reads a model's configuration from the shapes of its tensors, as a checkpoint of the original carries nothing else.
 *
 * What shapes cannot say (heads and windows without rel_pos, the decoder's heads) comes from the metadata
 * "samc.config".
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/model/config.h"

/* ---- Reports --------------------------------------------------------------------------------- */

samc__text samc__shape_text(int rank, const int64_t *shape) {
    samc__text text;
    size_t used = (size_t)snprintf(text.text, sizeof text.text, "[");
    for (int i = 0; i < rank && used < sizeof text.text; i++)
        used +=
            (size_t)snprintf(text.text + used, sizeof text.text - used, "%s%lld", i ? ", " : "", (long long)shape[i]);
    if (used < sizeof text.text) snprintf(text.text + used, sizeof text.text - used, "]");
    return text;
}

void samc__report_add(samc__report *report, const char *kind, const char *format, ...) {
    char item[320];
    int used = 0;
    report->count++;
    if (report->kind == NULL || strcmp(report->kind, kind) != 0)
        used = snprintf(item, sizeof item, "%s%s ", report->kind ? "; " : "", kind);
    else used = snprintf(item, sizeof item, ", ");
    va_list arguments;
    va_start(arguments, format);
    int more = vsnprintf(item + used, sizeof item - (size_t)used, format, arguments);
    va_end(arguments);
    size_t length = (size_t)used + (size_t)(more < 0 ? 0 : more);
    /* Once one was left out, so are all later ones: "and N more" stands at the end. */
    if (length >= sizeof item || report->used + length >= sizeof report->text || report->left_out > 0) {
        report->left_out++;
        return;
    }
    memcpy(report->text + report->used, item, length + 1);
    report->used += length;
    report->kind = kind;
}

samc_status samc__report_finish(samc__report *report, const samc__checkpoint *checkpoint, samc_error *error) {
    if (report->count == 0) return SAMC_OK;
    if (checkpoint->architecture != NULL)
        return samc__fail(error, SAMC_UNSUPPORTED,
                          "%s: weights of %s (tensor %s); samc runs SAM's own architecture only", checkpoint->label,
                          checkpoint->architecture, checkpoint->characteristic.text);
    /* "model-00001-of-00002.safetensors" */
    const char *of = strstr(checkpoint->label, "-of-");
    int part, parts;
    if (of != NULL && of - checkpoint->label >= 6 && sscanf(of - 6, "-%5d-of-%5d", &part, &parts) == 2 && parts > 1)
        return samc__fail(error, SAMC_UNSUPPORTED,
                          "%s: one of the %d files of a checkpoint; samc reads one file, which save_pretrained() with "
                          "a larger max_shard_size writes",
                          checkpoint->label, parts);
    char more[48] = "";
    if (report->left_out > 0) snprintf(more, sizeof more, " ... and %zu more", report->left_out);
    return samc__fail(error, SAMC_MISMATCH, "%s: not a complete SAM model: %s%s", checkpoint->label, report->text,
                      more);
}

/* ---- Shapes ---------------------------------------------------------------------------------- */

/* One side of a shape as a number to compute with; 0 if it is absurd. */
static int side(const samc__tensor *tensor, int axis) {
    int64_t value = tensor != NULL && axis < tensor->rank ? tensor->shape[axis] : 0;
    return value > 0 && value <= 1 << 24 ? (int)value : 0;
}

/* Finds a tensor that the configuration is read from, and reports it if it is missing or of another rank. */
static const samc__tensor *key_tensor(const samc__checkpoint *checkpoint, const char *name, int rank,
                                      samc__report *report) {
    const samc__tensor *tensor = samc__checkpoint_find(checkpoint, name);
    if (tensor == NULL) {
        samc__report_add(report, "missing", "%s", name);
        return NULL;
    }
    bool sane = tensor->rank == rank;
    for (int i = 0; i < rank && sane; i++) sane = side(tensor, i) > 0;
    if (sane) return tensor;
    samc__report_add(report, "misshapen", "%s %s", name, samc__shape_text(tensor->rank, tensor->shape).text);
    return NULL;
}

/* The number of layers named PREFIX0., PREFIX1. ...: one more than the highest, so that a gap shows as missing tensors.
 */
static int count_layers(const samc__checkpoint *checkpoint, const char *prefix) {
    size_t length = strlen(prefix);
    int layers = 0;
    for (size_t i = 0; i < samc__checkpoint_count(checkpoint); i++) {
        const char *name = samc__checkpoint_at(checkpoint, i)->name;
        if (strncmp(name, prefix, length) != 0) continue;
        int index = 0;
        const char *at = name + length;
        for (; *at >= '0' && *at <= '9' && index < 100000; at++) index = index * 10 + (*at - '0');
        if (at > name + length && *at == '.' && index >= layers) layers = index + 1;
    }
    return layers;
}

static const samc__tensor *block_tensor(const samc__checkpoint *checkpoint, int block, const char *leaf) {
    char name[96];
    snprintf(name, sizeof name, "image_encoder.blocks.%d.%s", block, leaf);
    return samc__checkpoint_find(checkpoint, name);
}

/* True unless the tensors are absent and the metadata says that they may be: a lost tensor must not pass for a choice.
 */
static bool expected(samc__json json, const char *key, bool found) {
    return found || samc__json_kind(samc__json_get(json, key)) != 'f';
}

/* Heads, grid and windows, which the tables of relative positions tell: [2 s - 1, head_dim] with s the window or the
 * grid. */
static samc_status infer_attention(const samc__checkpoint *checkpoint, samc__json json, samc__config *config,
                                   samc_error *error) {
    int lengths[SAMC__MAX_BLOCKS] = {0}, longest = 0, head_dim = 0;
    for (int i = 0; i < config->depth; i++) {
        const samc__tensor *table = block_tensor(checkpoint, i, "attn.rel_pos_h");
        if (table == NULL) table = block_tensor(checkpoint, i, "attn.rel_pos_w");
        if (table == NULL || table->rank != 2) continue;
        lengths[i] = side(table, 0);
        if (lengths[i] > longest) longest = lengths[i];
        if (head_dim == 0) head_dim = side(table, 1);
    }
    const char *lacks = NULL;
    config->use_rel_pos = head_dim > 0;
    if (!config->use_rel_pos) {
        static const char *const needed[] = {"num_heads", "window_size"};
        for (int i = 0; i < 2 && lacks == NULL; i++)
            if (samc__json_get(json, needed[i]).begin == NULL) lacks = needed[i];
        if (lacks != NULL)
            return samc__fail(
                error, SAMC_MISMATCH,
                "%s: %s is unknown: there are no tensors image_encoder.blocks.*.attn.rel_pos_h to read it "
                "from, and no metadata samc.config that says it",
                checkpoint->label, lacks);
    } else {
        if (config->embed_dim % head_dim != 0)
            return samc__fail(error, SAMC_MISMATCH,
                              "%s: embed_dim %d is not a multiple of the head width %d of attn.rel_pos_h",
                              checkpoint->label, config->embed_dim, head_dim);
        config->num_heads = config->embed_dim / head_dim;
    }

    const samc__tensor *position = samc__checkpoint_find(checkpoint, "image_encoder.pos_embed");
    int64_t image;
    config->use_abs_pos = expected(json, "use_abs_pos", position != NULL);
    if (position != NULL && position->rank == 4 && side(position, 1) > 0) {
        config->grid = side(position, 1);
    } else if (samc__json_integer(samc__json_get(json, "img_size"), &image) && image > 0 && image <= 1 << 24) {
        config->grid = (int)image / config->patch_size;
    } else if (longest > 0) {
        config->grid = (longest + 1) / 2;
    } else {
        return samc__fail(error, SAMC_MISMATCH,
                          "%s: img_size is unknown: there is no tensor image_encoder.pos_embed to read it from, and no "
                          "metadata samc.config that says it",
                          checkpoint->label);
    }
    if (config->grid > (1 << 24) / config->patch_size)
        config->grid = (1 << 24) / config->patch_size; /* refused later */
    config->recipe.side = config->grid * config->patch_size;

    for (int i = 0; i < config->depth; i++) {
        config->global_attn[i] = lengths[i] == 2 * config->grid - 1;
        if (!config->global_attn[i] && config->window_size == 0 && lengths[i] > 0)
            config->window_size = (lengths[i] + 1) / 2;
    }
    /* A block without its tables is windowed like the others, or global where no block is windowed. */
    for (int i = 0; i < config->depth; i++)
        if (config->window_size == 0) config->global_attn[i] = true;
    return SAMC_OK;
}

static samc_status infer(const samc__checkpoint *checkpoint, samc__json json, samc__config *config, samc_error *error) {
    samc__report report = {0};
    const samc__checkpoint *c = checkpoint;
    const samc__tensor *patch = key_tensor(c, "image_encoder.patch_embed.proj.weight", 4, &report);
    const samc__tensor *mlp = key_tensor(c, "image_encoder.blocks.0.mlp.lin1.weight", 2, &report);
    const samc__tensor *neck = key_tensor(c, "image_encoder.neck.0.weight", 4, &report);
    const samc__tensor *mask_in = key_tensor(c, "prompt_encoder.mask_downscaling.3.weight", 4, &report);
    const samc__tensor *tokens = key_tensor(c, "mask_decoder.mask_tokens.weight", 2, &report);
    const samc__tensor *decoder_mlp = key_tensor(c, "mask_decoder.transformer.layers.0.mlp.lin1.weight", 2, &report);
    const samc__tensor *cross =
        key_tensor(c, "mask_decoder.transformer.layers.0.cross_attn_token_to_image.q_proj.weight", 2, &report);
    const samc__tensor *iou = key_tensor(c, "mask_decoder.iou_prediction_head.layers.0.weight", 2, &report);
    SAMC__TRY(samc__report_finish(&report, checkpoint, error));

    config->embed_dim = side(patch, 0);
    config->patch_size = side(patch, 2);
    config->mlp_dim = side(mlp, 0);
    config->out_chans = side(neck, 0);
    config->mask_in_chans = side(mask_in, 0);
    config->mask_tokens = side(tokens, 0);
    config->decoder_mlp_dim = side(decoder_mlp, 0);
    config->decoder_attention_dim = side(cross, 0);
    config->iou_head_hidden_dim = side(iou, 0);
    config->depth = count_layers(checkpoint, "image_encoder.blocks.");
    config->decoder_depth = count_layers(checkpoint, "mask_decoder.transformer.layers.");
    config->iou_head_depth = count_layers(checkpoint, "mask_decoder.iou_prediction_head.layers.");
    if (config->depth > SAMC__MAX_BLOCKS)
        return samc__fail(error, SAMC_UNSUPPORTED, "%s: depth is %d; samc can do 1 to %d", checkpoint->label,
                          config->depth, SAMC__MAX_BLOCKS);
    bool bias = false;
    for (int i = 0; i < config->depth; i++) bias = bias || block_tensor(checkpoint, i, "attn.qkv.bias") != NULL;
    config->qkv_bias = expected(json, "qkv_bias", bias);
    SAMC__TRY(infer_attention(checkpoint, json, config, error));
    SAMC__TRY(samc__config_merge(json, checkpoint, config, error));
    return samc__config_check(config, checkpoint->label, error);
}

samc_status samc__config_infer(const samc__checkpoint *checkpoint, samc__config *config, samc_error *error) {
    samc__json json;
    memset(config, 0, sizeof *config);
    SAMC__TRY(samc__config_metadata(checkpoint, &json, error));
    return infer(checkpoint, json, config, error);
}
