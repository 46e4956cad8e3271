/* Hiera's configuration. Tensors tell its widths and blocks; heads, windows, which blocks are global and the image's
 * size stand in none. Four models of them were published, known by width and blocks; others have to say it. */
#include "runtime/model/hiera.h"

#include <stdio.h>
#include <string.h>

enum { STAGES = SAMC__HIERA_STAGES, GLOBALS = 3, STRIDE = 4 /* of the stem */ };

/* sam2/configs. */
static const struct {
    int embed_dim, stages[STAGES], num_heads, window_spec[STAGES], global_att[GLOBALS];
} variants[] = {
    {96, {1, 2, 7, 2}, 1, {8, 4, 14, 7}, {5, 7, 9}},      /* tiny */
    {96, {1, 2, 11, 2}, 1, {8, 4, 14, 7}, {7, 10, 13}},   /* small */
    {112, {2, 3, 16, 3}, 2, {8, 4, 14, 7}, {12, 16, 20}}, /* base+ */
    {144, {2, 6, 36, 4}, 2, {8, 4, 16, 8}, {23, 33, 43}}, /* large */
};

static const char patch_name[] = "image_encoder.trunk.patch_embed.proj.weight";

static bool recognise(const samc__checkpoint *checkpoint) {
    return samc__checkpoint_find(checkpoint, patch_name) != NULL;
}

/* ---- From the tensors ------------------------------------------------------------------------ */

/* A block has a projection of its own where a stage begins. */
static void infer_stages(samc__reading *r, samc__hiera *h, int depth) {
    int stage = 0;
    for (int i = 0; i < depth; i++) {
        char name[80];
        snprintf(name, sizeof name, "image_encoder.trunk.blocks.%d.proj.weight", i);
        if (i > 0 && samc__checkpoint_find(r->checkpoint, name) != NULL) stage++;
        if (stage < STAGES) h->stages[stage]++;
    }
    if (stage != STAGES - 1)
        samc__read_fail(r, SAMC_UNSUPPORTED, "a Hiera of %d stages; samc can do %d", stage + 1, STAGES);
}

static bool of_a_variant(samc__hiera *h) {
    for (size_t i = 0; i < sizeof variants / sizeof *variants; i++) {
        if (variants[i].embed_dim != h->embed_dim || memcmp(variants[i].stages, h->stages, sizeof h->stages) != 0)
            continue;
        h->num_heads = variants[i].num_heads;
        memcpy(h->window_spec, variants[i].window_spec, sizeof h->window_spec);
        for (int j = 0; j < GLOBALS; j++) h->global_att[variants[i].global_att[j]] = true;
        return true;
    }
    return false;
}

/* ---- From what else says it ------------------------------------------------------------------ */

/* A list of whole numbers of 0 to `most`; -1 where the field is absent or no such list. */
static int read_list(samc__reading *r, const char *key, int64_t most, int *values, int room) {
    const samc__json field = samc__read_field(r, key);
    const char *cursor = NULL;
    int count = 0;
    if (field.begin == NULL) return -1;
    bool good = samc__json_is_array(field);
    for (samc__json item; good && samc__json_next(field, &cursor, NULL, &item); count++) {
        int64_t value = 0;
        good = count < room && samc__json_integer(item, &value) && value >= 0 && value <= most;
        if (good) values[count] = (int)value;
    }
    if (good) return count;
    samc__read_malformed(r, key, "a list of whole numbers that samc can do");
    return -1;
}

/* A list with one number for each stage, of which the tensors know `known`. */
static bool merge_stages(samc__reading *r, const char *key, int values[STAGES], int known) {
    int says[STAGES];
    const int count = read_list(r, key, 4096, says, STAGES);
    if (count < 0) return false;
    if (count != STAGES) samc__read_malformed(r, key, "a list of four numbers");
    for (int i = 0; i < STAGES && count == STAGES; i++) {
        if (i < known && says[i] != values[i]) samc__read_contradicts(r, key, says[i], values[i]);
        values[i] = says[i];
    }
    return true;
}

/* Of a square, whose sides some programs say both. */
static void merge_side(samc__reading *r, int *side) {
    int sides[2] = {0};
    if (r->image_size > 0) *side = r->image_size;
    else if (!samc__json_is_array(samc__read_field(r, "img_size"))) samc__merge_count(r, "img_size", side, false);
    else if (read_list(r, "img_size", 8192, sides, 2) == 2 && sides[0] == sides[1]) *side = sides[0];
    else samc__read_malformed(r, "img_size", "of a square");
}

static void merge(samc__reading *r, samc__config *config, bool known) {
    samc__hiera *h = &config->encoder.hiera;
    int blocks[SAMC__MAX_BLOCKS], pools = STAGES - 1, depth = samc__hiera_depth(h);
    samc__merge_count(r, "embed_dim", &h->embed_dim, true);
    samc__merge_count(r, "out_chans", &config->decoder.channels, true);
    samc__merge_count(r, "q_pool", &pools, true);
    merge_side(r, &config->recipe.side);
    merge_stages(r, "stages", h->stages, STAGES);
    h->window_spec[0] = h->pos_window;
    const bool windows = merge_stages(r, "window_spec", h->window_spec, 1);
    const int globals = read_list(r, "global_att_blocks", depth - 1, blocks, SAMC__MAX_BLOCKS);
    const bool heads = samc__read_count(r, "num_heads", &h->num_heads);
    if (globals >= 0) memset(h->global_att, 0, sizeof h->global_att);
    for (int i = 0; i < globals; i++) h->global_att[blocks[i]] = true;
    if (!known && !(windows && globals >= 0 && heads))
        samc__read_fail(r, SAMC_UNSUPPORTED,
                        "a Hiera of width %d and %d blocks, which none of SAM 2's is: no tensor tells its%s%s%s, and "
                        "neither metadata samc.config nor a config.json beside it does",
                        h->embed_dim, depth, heads ? "" : " num_heads", windows ? "" : " window_spec",
                        globals >= 0 ? "" : " global_att_blocks");
}

static void infer(samc__reading *r, samc__config *config) {
    samc__hiera *h = &config->encoder.hiera;
    const samc__tensor *patch = samc__read_tensor(r, patch_name, 4),
                       *position = samc__read_tensor(r, "image_encoder.trunk.pos_embed", 4),
                       *window = samc__read_tensor(r, "image_encoder.trunk.pos_embed_window", 4),
                       *mlp = samc__read_tensor(r, "image_encoder.trunk.blocks.0.mlp.layers.0.weight", 2),
                       *neck = samc__read_tensor(r, "image_encoder.neck.convs.0.conv.weight", 4);
    const int depth = samc__read_layers(r, "image_encoder.trunk.blocks.");
    if (r->report.count > 0) return;
    if (depth > SAMC__MAX_BLOCKS)
        return samc__read_fail(r, SAMC_UNSUPPORTED, "depth is %d; samc can do 1 to %d", depth, SAMC__MAX_BLOCKS);
    h->embed_dim = samc__read_side(patch, 0);
    h->pos_side = samc__read_side(position, 2);
    h->pos_window = samc__read_side(window, 2);
    h->mlp_ratio = samc__read_side(mlp, 0) / h->embed_dim;
    config->decoder.channels = samc__read_side(neck, 0);
    infer_stages(r, h, depth);
    if (r->status != SAMC_OK) return;
    config->recipe.side = 1024; /* of every published file */
    merge(r, config, of_a_variant(h));
    config->grid = config->recipe.side / (4 * STRIDE);
}

static samc_status check(const samc__config *config, const char *label, samc_error *error) {
    const samc__hiera *h = &config->encoder.hiera;
    const samc__bounds bounds[] = {
        {"grid (img_size / 16)", config->grid, 2, 512},
        {"embed_dim", h->embed_dim, 1, 1024},
        {"depth", samc__hiera_depth(h), STAGES, 48},
        {"num_heads", h->num_heads, 1, 64},
        {"MLP ratio", h->mlp_ratio, 1, 16},
        {"side of pos_embed", h->pos_side, 1, 512},
        {"side of pos_embed_window", h->pos_window, 1, 64},
    };
    SAMC__TRY(samc__check_bounds(label, bounds, sizeof bounds / sizeof *bounds, error));
    for (int i = 0, side = 4 * config->grid; i < STAGES; i++, side /= 2) {
        const samc__bounds window = {"window_spec", h->window_spec[i], 1, 64};
        SAMC__TRY(samc__check_bounds(label, &window, 1, error));
        if (i < STAGES - 1) { /* the next stage's first block pools within such windows */
            const samc__multiple pooled[] = {{"window_spec", h->window_spec[i], "2", 2},
                                             {"side of a stage", side, "2", 2}};
            SAMC__TRY(samc__check_multiples(label, pooled, 2, error));
        }
    }
    const samc__multiple multiples[] = {
        {"img_size", config->recipe.side, "32", 32},
        {"embed_dim", h->embed_dim, "num_heads", h->num_heads},
        {"side of the first stage", 4 * config->grid, "side of pos_embed_window", h->pos_window},
    };
    return samc__check_multiples(label, multiples, sizeof multiples / sizeof *multiples, error);
}

/* ---- Writing --------------------------------------------------------------------------------- */

static void write_list(samc__json_text *text, const char *key, const int *values, int count) {
    samc__json_put_key(text, key);
    samc__json_put(text, "[", 1);
    for (int i = 0; i < count; i++) {
        if (i > 0) samc__json_put(text, ",", 1);
        samc__json_put_integer(text, values[i]);
    }
    samc__json_put(text, "]", 1);
}

static void write_config(const samc__config *config, samc__json_text *text) {
    const samc__hiera *h = &config->encoder.hiera;
    int blocks[SAMC__MAX_BLOCKS], count = 0;
    for (int i = 0; i < samc__hiera_depth(h); i++)
        if (h->global_att[i]) blocks[count++] = i;
    samc__write_count(text, "embed_dim", h->embed_dim);
    samc__write_count(text, "num_heads", h->num_heads);
    write_list(text, "stages", h->stages, STAGES);
    write_list(text, "window_spec", h->window_spec, STAGES);
    write_list(text, "global_att_blocks", blocks, count);
    samc__write_count(text, "out_chans", config->decoder.channels);
    samc__write_count(text, "decoder_num_heads", config->decoder.heads);
}

/* The last stage speaks for all. */
static void describe(const samc__config *config, samc_model_info *info) {
    const samc__hiera *h = &config->encoder.hiera;
    const int last = STAGES - 1;
    info->family = "SAM 2";
    info->patch_size = config->recipe.side / config->grid;
    info->encoder_dim = h->embed_dim << last;
    info->encoder_depth = samc__hiera_depth(h);
    info->encoder_heads = h->num_heads << last;
    info->encoder_mlp_dim = h->mlp_ratio * info->encoder_dim;
    info->window_size = h->window_spec[last];
    info->global_blocks = 0;
    for (int i = 0; i < info->encoder_depth; i++) info->global_blocks += h->global_att[i];
}

static int early_channels(const samc__config *config) { return (void)config, 0; }

static const samc__setting settings[] = {
    {"mask_threshold", -1000, 1000, offsetof(samc__config, recipe.threshold)},
    {"dynamic_multimask_via_stability", 0, 1, offsetof(samc__config, decoder.dynamic)},
    {"dynamic_multimask_stability_delta", 0, 1000, offsetof(samc__config, decoder.stability_delta)},
    {"dynamic_multimask_stability_thresh", 0, 1, offsetof(samc__config, decoder.stability_thresh)},
    {.name = NULL},
};

static const samc__recipe recipes[] = {SAMC__RECIPE_SAM2};

const samc__encoder samc__encoder_hiera = {.name = "hiera",
                                           .recognise = recognise,
                                           .infer = infer,
                                           .check = check,
                                           .write = write_config,
                                           .tensors = samc__hiera_tensors,
                                           .describe = describe,
                                           .early_channels = early_channels,
                                           .encode = samc__hiera_encode,
                                           .settings = settings,
                                           .recipes = recipes,
                                           .recipe_count = sizeof recipes / sizeof *recipes,
                                           .pred_iou_thresh = 0.8};
