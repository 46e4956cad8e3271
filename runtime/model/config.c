/* The configuration in metadata: reading "samc.config", comparing it with the tensors, defaults, bounds, and writing
 * it. */
#include "runtime/model/config.h"

#include <math.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

/* SAM's normalisation (ImageNet's, in units of 8-bit pixels). */
static const float default_mean[3] = {123.675f, 116.28f, 103.53f}, default_std[3] = {58.395f, 57.12f, 57.375f};

/* How an image becomes the encoder's input. samc does exactly this; a model that asks for anything else is refused, as
 * it would give wrong masks without any sign of it. */
static const char *const recipe[][2] = {
    {"resize", "longest_side"},        {"filter", "bilinear_antialias"}, /* Pillow's, in fixed point */
    {"order", "resize_normalize_pad"}, {"pad", "zero_bottom_right"},     {"channels", "rgb"},
};
enum { RECIPE = sizeof recipe / sizeof *recipe };

/* Defaults of SamAutomaticMaskGenerator, and where each lives in samc_auto_options. Not points_per_batch, which files
 * may also hold: it speaks of a machine's memory. */
static const struct {
    const char *name;
    double value;
    bool integer;
    size_t offset;
} automatic[] = {
    {"points_per_side", 32, true, offsetof(samc_auto_options, points_per_side)},
    {"pred_iou_thresh", 0.88, false, offsetof(samc_auto_options, pred_iou_thresh)},
    {"stability_score_thresh", 0.95, false, offsetof(samc_auto_options, stability_score_thresh)},
    {"stability_score_offset", 1.0, false, offsetof(samc_auto_options, stability_score_offset)},
    {"box_nms_thresh", 0.7, false, offsetof(samc_auto_options, box_nms_thresh)},
    {"crop_n_layers", 0, true, offsetof(samc_auto_options, crop_n_layers)},
    {"crop_nms_thresh", 0.7, false, offsetof(samc_auto_options, crop_nms_thresh)},
    {"crop_overlap_ratio", 512.0 / 1500.0, false, offsetof(samc_auto_options, crop_overlap_ratio)},
    {"crop_n_points_downscale_factor", 1, true, offsetof(samc_auto_options, crop_n_points_downscale_factor)},
    {"min_mask_region_area", 0, true, offsetof(samc_auto_options, min_mask_region_area)},
};
enum { AUTOMATIC = sizeof automatic / sizeof *automatic };

/* ---- Reading --------------------------------------------------------------------------------- */

samc_status samc__config_metadata(const samc__checkpoint *checkpoint, samc__json *json, samc_error *error) {
    enum { MAX_FIELDS = 256 };
    const char *text = samc__checkpoint_metadata(checkpoint, "samc.config"), *cursor = NULL, *other;
    size_t at;
    int fields = 0;
    *json = (samc__json){NULL, NULL};
    if (text == NULL) return SAMC_OK;
    const char *wrong = samc__json_check(text, strlen(text), json, &at);
    if (wrong != NULL)
        return samc__fail(error, SAMC_FORMAT, "%s: metadata samc.config is not valid JSON: %s (byte %zu)",
                          checkpoint->label, wrong, at);
    if (!samc__json_is_object(*json))
        return samc__fail(error, SAMC_FORMAT, "%s: metadata samc.config is not a JSON object", checkpoint->label);
    /* A field that occurs twice says two things. */
    for (samc__json key, item, before; samc__json_next(*json, &cursor, &key, &item);) {
        if (++fields > MAX_FIELDS)
            return samc__fail(error, SAMC_UNSUPPORTED, "%s: metadata samc.config has more than %d fields",
                              checkpoint->label, MAX_FIELDS);
        char name[64];
        other = NULL;
        if (!samc__json_string(key, name, sizeof name)) continue; /* none of samc's */
        while (samc__json_next(*json, &other, &before, &item) && before.begin < key.begin)
            if (samc__json_equals(before, name))
                return samc__fail(error, SAMC_FORMAT, "%s: metadata samc.config: %s occurs twice", checkpoint->label,
                                  samc__printable(name, strlen(name)).text);
    }
    return SAMC_OK;
}

/* The metadata being merged; the first failure is kept in `status`. */
typedef struct merge {
    samc__json json; /* may be absent */
    const char *label;
    samc_status status;
    samc_error *error;
} merge;

static void contradicts(merge *m, const char *key, double says, double tensors) {
    if (m->status == SAMC_OK)
        m->status = samc__fail(m->error, SAMC_MISMATCH, "%s: metadata samc.config says %s %g, the tensors say %g",
                               m->label, key, says, tensors);
}

static void malformed(merge *m, const char *key, const char *expected) {
    if (m->status == SAMC_OK)
        m->status =
            samc__fail(m->error, SAMC_FORMAT, "%s: metadata samc.config: %s is not %s", m->label, key, expected);
}

/* Reads a number from 0 to 2^24, far more than any field may have. False if absent. */
static bool read_count(merge *m, const char *key, int *value) {
    samc__json field = samc__json_get(m->json, key);
    int64_t count;
    if (field.begin == NULL) return false;
    if (samc__json_integer(field, &count) && count >= 0 && count <= 1 << 24) {
        *value = (int)count;
        return true;
    }
    malformed(m, key, "a whole number from 0 to 16777216");
    return false;
}

/* The tensors win only in being right: where both speak and differ, the file is refused. `known`: the tensors say it.
 */
static void merge_count(merge *m, const char *key, int *value, bool known) {
    int says;
    if (!read_count(m, key, &says)) return;
    if (known && says != *value) contradicts(m, key, says, *value);
    *value = says;
}

static void merge_flag(merge *m, const char *key, bool value) {
    const char kind = samc__json_kind(samc__json_get(m->json, key));
    if (kind == '\0') return;
    if (kind != 't' && kind != 'f') {
        malformed(m, key, "true or false");
    } else if ((kind == 't') != value) {
        contradicts(m, key, kind == 't', value);
    }
}

static void merge_float(merge *m, const char *key, samc__json field, float *value, bool positive) {
    double number = 0;
    if (samc__json_number(field, &number) && isfinite((float)number) && (!positive || (float)number > 0)) {
        *value = (float)number;
    } else {
        malformed(m, key, positive ? "made of positive numbers" : "made of finite numbers");
    }
}

static void merge_triple(merge *m, const char *key, float values[3], bool positive) {
    const samc__json field = samc__json_get(m->json, key);
    const char *cursor = NULL;
    samc__json item;
    int count = 0;
    if (field.begin == NULL) return;
    while (samc__json_next(field, &cursor, NULL, &item) && count < 4) {
        if (count < 3) merge_float(m, key, item, &values[count], positive);
        count++;
    }
    if (count != 3) malformed(m, key, "a list of three numbers");
}

static void merge_recipe(merge *m) {
    const samc__json given = samc__json_get(m->json, "preprocess");
    if (given.begin == NULL) return;
    if (!samc__json_is_object(given)) malformed(m, "preprocess", "an object");
    for (int i = 0; i < RECIPE; i++) {
        const samc__json field = samc__json_get(given, recipe[i][0]);
        if (field.begin == NULL || samc__json_equals(field, recipe[i][1])) continue;
        if (!samc__json_is_string(field)) {
            malformed(m, recipe[i][0], "a string");
        } else if (m->status == SAMC_OK) {
            m->status =
                samc__fail(m->error, SAMC_UNSUPPORTED,
                           "%s: the model wants its images with %s %s; samc can only do \"%s\"", m->label, recipe[i][0],
                           samc__printable(field.begin, (size_t)(field.end - field.begin)).text, recipe[i][1]);
        }
    }
}

/* window_size and global_attn_indexes. A window as large as the grid is the same as a global block, and is stored so.
 */
static void merge_windows(merge *m, samc__config *config) {
    const samc__json indexes = samc__json_get(m->json, "global_attn_indexes");
    const char *cursor = NULL;
    int window;
    bool global[SAMC__MAX_BLOCKS] = {false};
    if (!read_count(m, "window_size", &window)) return; /* the tables of rel_pos have said it */
    if (indexes.begin != NULL && !samc__json_is_array(indexes))
        malformed(m, "global_attn_indexes", "a list of block numbers");
    for (samc__json item; samc__json_next(indexes, &cursor, NULL, &item);) {
        int64_t block;
        if (!samc__json_integer(item, &block) || block < 0 || block >= config->depth) {
            malformed(m, "global_attn_indexes", "a list of block numbers");
        } else {
            global[block] = true;
        }
    }
    bool every = true;
    for (int i = 0; i < config->depth; i++) {
        global[i] = global[i] || window == 0 || window == config->grid;
        every = every && global[i];
    }
    if (every) window = 0;
    if (config->use_rel_pos) {
        if (window != config->window_size) contradicts(m, "window_size", window, config->window_size);
        for (int i = 0; i < config->depth && m->status == SAMC_OK; i++)
            if (global[i] != config->global_attn[i])
                m->status = samc__fail(
                    m->error, SAMC_MISMATCH, "%s: metadata samc.config says block %d is %s, the tensors say it is %s",
                    m->label, i, global[i] ? "global" : "windowed", config->global_attn[i] ? "global" : "windowed");
    }
    config->window_size = window;
    memcpy(config->global_attn, global, sizeof global);
}

/* Buffers that some fine-tuned checkpoints carry beside the parameters: [3, 1, 1] in SAM. */
static void read_buffer(const samc__checkpoint *checkpoint, const char *name, bool positive, float values[3]) {
    const samc__tensor *tensor = samc__checkpoint_find(checkpoint, name);
    float found[3];
    if (tensor == NULL || tensor->dtype == SAMC__OTHER || samc__tensor_elements(tensor) != 3 ||
        !samc__tensor_fits_f32(tensor))
        return;
    samc__tensor_read_f32(tensor, found);
    for (int i = 0; i < 3; i++)
        if (!isfinite(found[i]) || (positive && found[i] <= 0)) return;
    memcpy(values, found, sizeof found);
}

static void set_automatic(samc_auto_options *options, size_t i, double value) {
    void *field = (char *)options + automatic[i].offset;
    if (automatic[i].integer) *(int *)field = (int)value;
    else *(double *)field = value;
}

samc_auto_options samc__auto_defaults(void) {
    samc_auto_options options = {0};
    for (size_t i = 0; i < AUTOMATIC; i++) set_automatic(&options, i, automatic[i].value);
    return options;
}

/* The model's own defaults for automatic masks; their bounds are checked where they are used. */
static void merge_automatic(merge *m, samc_auto_options *options) {
    const samc__json given = samc__json_get(m->json, "automatic");
    *options = samc__auto_defaults();
    for (size_t i = 0; i < AUTOMATIC; i++) {
        const samc__json own = samc__json_get(given, automatic[i].name);
        double value;
        if (own.begin == NULL) continue;
        if (!samc__json_number(own, &value) || !isfinite(value) || fabs(value) > 1e9)
            malformed(m, automatic[i].name, "a number");
        else set_automatic(options, i, value);
    }
}

static void copy_text(char *to, size_t room, const samc__checkpoint *checkpoint, const char *key) {
    const char *text = samc__checkpoint_metadata(checkpoint, key);
    snprintf(to, room, "%s", text ? text : "");
}

samc_status samc__config_merge(samc__json json, const samc__checkpoint *checkpoint, samc__config *config,
                               samc_error *error) {
    merge m = {.json = json, .label = checkpoint->label, .status = SAMC_OK, .error = error};
    merge_count(&m, "patch_size", &config->patch_size, true);
    merge_count(&m, "embed_dim", &config->embed_dim, true);
    merge_count(&m, "depth", &config->depth, true);
    merge_count(&m, "out_chans", &config->out_chans, true);
    merge_count(&m, "num_heads", &config->num_heads, config->num_heads != 0);
    merge_count(&m, "img_size", &config->recipe.side, config->recipe.side != 0);
    config->decoder_num_heads = 8;
    merge_count(&m, "decoder_num_heads", &config->decoder_num_heads, false);
    merge_flag(&m, "use_rel_pos", config->use_rel_pos);
    merge_flag(&m, "use_abs_pos", config->use_abs_pos);
    merge_flag(&m, "qkv_bias", config->qkv_bias);
    if (m.status != SAMC_OK) return m.status;
    config->grid = config->recipe.side / config->patch_size;
    config->recipe.frame = config->recipe.side;
    merge_windows(&m, config);

    const samc__json ratio = samc__json_get(json, "mlp_ratio");
    if (ratio.begin != NULL) {
        double value = 0;
        if (!samc__json_number(ratio, &value)) malformed(&m, "mlp_ratio", "a number");
        /* int(embed_dim * mlp_ratio) in Python; the margin forgives a ratio written in decimals. */
        double dim = value * config->embed_dim;
        bool equal = dim > 0 && dim < 1e9 && ((int)dim == config->mlp_dim || (int)(dim + 1e-3) == config->mlp_dim);
        if (!equal) contradicts(&m, "mlp_ratio", value, (double)config->mlp_dim / config->embed_dim);
    }

    memcpy(config->recipe.mean, default_mean, sizeof default_mean);
    memcpy(config->recipe.std, default_std, sizeof default_std);
    read_buffer(checkpoint, "pixel_mean", false, config->recipe.mean);
    read_buffer(checkpoint, "pixel_std", true, config->recipe.std);
    merge_automatic(&m, &config->automatic);
    config->recipe.threshold = 0;
    merge_triple(&m, "pixel_mean", config->recipe.mean, false);
    merge_triple(&m, "pixel_std", config->recipe.std, true);
    const samc__json threshold = samc__json_get(json, "mask_threshold");
    if (threshold.begin != NULL) merge_float(&m, "mask_threshold", threshold, &config->recipe.threshold, false);
    merge_recipe(&m);
    copy_text(config->name, sizeof config->name, checkpoint, "samc.name");
    copy_text(config->licence, sizeof config->licence, checkpoint, "samc.licence");
    copy_text(config->card, sizeof config->card, checkpoint, "samc.card");
    return m.status;
}

/* ---- Bounds ---------------------------------------------------------------------------------- */

samc_status samc__config_check(const samc__config *config, const char *label, samc_error *error) {
    const struct {
        const char *name;
        int value, least, most;
    } ranges[] = {
        {"img_size", config->recipe.side, 16, 8192},
        {"patch_size", config->patch_size, 1, 64},
        {"grid (img_size / patch_size)", config->grid, 1, 512},
        {"embed_dim", config->embed_dim, 1, 8192},
        {"depth", config->depth, 1, SAMC__MAX_BLOCKS},
        {"num_heads", config->num_heads, 1, 256},
        {"MLP width", config->mlp_dim, 1, 65536},
        {"window_size", config->window_size, 0, 256},
        {"out_chans", config->out_chans, 8, 1024},
        {"mask_in_chans", config->mask_in_chans, 4, 256},
        {"decoder depth", config->decoder_depth, 1, SAMC__MAX_DECODER_LAYERS},
        {"decoder_num_heads", config->decoder_num_heads, 1, 256},
        {"decoder MLP width", config->decoder_mlp_dim, 1, 65536},
        {"decoder attention width", config->decoder_attention_dim, 1, 8192},
        {"number of mask tokens", config->mask_tokens, 2, SAMC__MAX_MASK_TOKENS},
        {"IoU head depth", config->iou_head_depth, 1, SAMC__MAX_MLP_LAYERS},
        {"IoU head width", config->iou_head_hidden_dim, 1, 65536},
    };
    for (size_t i = 0; i < sizeof ranges / sizeof *ranges; i++)
        if (ranges[i].value < ranges[i].least || ranges[i].value > ranges[i].most)
            return samc__fail(error, SAMC_UNSUPPORTED, "%s: %s is %d; samc can do %d to %d", label, ranges[i].name,
                              ranges[i].value, ranges[i].least, ranges[i].most);
    /* A window that reaches over the grid is padded, as in the original. Beyond SAM's own grid of 64 that is no model's
     * intent: a few tokens would cost tens of thousands of pads each, and megabytes for each channel. */
    enum { MOST_PADDED = 64 };
    if (config->window_size > MOST_PADDED && config->window_size > config->grid)
        return samc__fail(error, SAMC_UNSUPPORTED,
                          "%s: window_size is %d on a grid of %d x %d; samc pads to windows of at most %d", label,
                          config->window_size, config->grid, config->grid, MOST_PADDED);
    const struct {
        const char *name;
        int value;
        const char *by_name;
        int by;
    } divisions[] = {
        {"img_size", config->recipe.side, "patch_size", config->patch_size},
        {"embed_dim", config->embed_dim, "num_heads", config->num_heads},
        {"out_chans", config->out_chans, "8", 8},
        {"out_chans", config->out_chans, "decoder_num_heads", config->decoder_num_heads},
        {"mask_in_chans", config->mask_in_chans, "4", 4},
        {"decoder attention width", config->decoder_attention_dim, "decoder_num_heads", config->decoder_num_heads},
    };
    for (size_t i = 0; i < sizeof divisions / sizeof *divisions; i++)
        if (divisions[i].value % divisions[i].by != 0)
            return samc__fail(error, SAMC_MISMATCH, "%s: %s %d is not a multiple of %s %d", label, divisions[i].name,
                              divisions[i].value, divisions[i].by_name, divisions[i].by);
    return SAMC_OK;
}

/* ---- Writing --------------------------------------------------------------------------------- */

static void put_triple(samc__json_text *text, const char *key, const float values[3]) {
    samc__json_put_key(text, key);
    for (int i = 0; i < 3; i++) {
        samc__json_put(text, i == 0 ? "[" : ",", 1);
        samc__json_put_float(text, values[i]);
    }
    samc__json_put(text, "]", 1);
}

static void put_globals(samc__json_text *text, const samc__config *config) {
    const char *before = "[";
    samc__json_put_key(text, "global_attn_indexes");
    for (int i = 0; i < config->depth; i++) {
        if (!config->global_attn[i] || config->window_size == 0) continue;
        samc__json_put(text, before, 1);
        samc__json_put_integer(text, i);
        before = ",";
    }
    samc__json_put(text, *before == '[' ? "[]" : "]", *before == '[' ? 2 : 1);
}

static void put_flag(samc__json_text *text, const char *key, bool value) {
    samc__json_put_key(text, key);
    samc__json_put(text, value ? "true" : "false", value ? 4 : 5);
}

/* Copies the fields of `from` that are not in the list `except`. */
static void put_others(samc__json_text *text, samc__json from, const char *const *except, size_t count) {
    const char *cursor = NULL;
    for (samc__json key, item; samc__json_next(from, &cursor, &key, &item);) {
        bool known = false;
        for (size_t i = 0; i < count; i++) known = known || samc__json_equals(key, except[i]);
        if (known) continue;
        samc__json_put(text, ",", 1); /* something always stands before */
        samc__json_put(text, key.begin, (size_t)(key.end - key.begin));
        samc__json_put(text, ":", 1);
        samc__json_put(text, item.begin, (size_t)(item.end - item.begin));
    }
}

/* What the input states itself stays, as a model may come with thresholds of its own; the defaults complete it. */
static void put_automatic(samc__json_text *text, samc__json given) {
    const char *names[AUTOMATIC];
    samc__json_put_key(text, "automatic");
    samc__json_put(text, "{", 1);
    for (size_t i = 0; i < AUTOMATIC; i++) {
        const samc__json own = samc__json_get(given, automatic[i].name);
        names[i] = automatic[i].name;
        samc__json_put_key(text, automatic[i].name);
        if (own.begin != NULL) {
            samc__json_put(text, own.begin, (size_t)(own.end - own.begin));
        } else if (automatic[i].integer) {
            samc__json_put_integer(text, (int64_t)automatic[i].value);
        } else {
            samc__json_put_double(text, automatic[i].value);
        }
    }
    if (samc__json_is_object(given)) put_others(text, given, names, AUTOMATIC);
    samc__json_put(text, "}", 1);
}

void samc__config_write(const samc__config *config, samc__json json, samc__json_text *text) {
    static const char *const known[] = {
        "img_size",          "patch_size",          "embed_dim", "depth",          "num_heads",   "mlp_ratio",
        "window_size",       "global_attn_indexes", "out_chans", "qkv_bias",       "use_abs_pos", "use_rel_pos",
        "decoder_num_heads", "pixel_mean",          "pixel_std", "mask_threshold", "preprocess",  "automatic",
    };
    const struct {
        const char *key;
        int value;
    } counts[] = {
        {"img_size", config->recipe.side}, {"patch_size", config->patch_size},
        {"embed_dim", config->embed_dim},  {"depth", config->depth},
        {"num_heads", config->num_heads},  {"window_size", config->window_size},
        {"out_chans", config->out_chans},  {"decoder_num_heads", config->decoder_num_heads},
    };
    samc__json_put(text, "{", 1);
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
        samc__json_put_key(text, counts[i].key);
        samc__json_put_integer(text, counts[i].value);
    }
    samc__json_put_key(text, "mlp_ratio");
    samc__json_put_double(text, (double)config->mlp_dim / config->embed_dim);
    put_globals(text, config);
    put_flag(text, "qkv_bias", config->qkv_bias);
    put_flag(text, "use_abs_pos", config->use_abs_pos);
    put_flag(text, "use_rel_pos", config->use_rel_pos);
    put_triple(text, "pixel_mean", config->recipe.mean);
    put_triple(text, "pixel_std", config->recipe.std);
    samc__json_put_key(text, "mask_threshold");
    samc__json_put_float(text, config->recipe.threshold);
    samc__json_put_key(text, "preprocess");
    samc__json_put(text, "{", 1);
    for (int i = 0; i < RECIPE; i++) {
        samc__json_put_key(text, recipe[i][0]);
        samc__json_put_string(text, recipe[i][1]);
    }
    samc__json_put(text, "}", 1);
    put_automatic(text, samc__json_get(json, "automatic"));
    put_others(text, json, known, sizeof known / sizeof *known);
    samc__json_put(text, "}", 1);
}
