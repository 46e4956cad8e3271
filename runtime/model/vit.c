/* SAM's image encoder: ViT with windowed and global attention, then the neck.
 *
 * Mirrors ImageEncoderViT. N = grid * grid tokens an image, D = embed_dim, C = channels of the embedding. */
#include "runtime/model/steps.h"

#include "kernels/attention_relpos/attention_relpos.h"
#include "kernels/layernorm/layernorm.h"
#include "kernels/linear/linear.h"
#include "kernels/place.h"

#include <stdio.h>
#include <string.h>

/* ---- Its tensors ----------------------------------------------------------------------------- */

static void list_block(samc__tensor_list *list, const samc__vit *v, int grid, int index, samc__vit_block *to) {
    const int64_t D = v->embed_dim, table = 2 * (int64_t)(v->global_attn[index] ? grid : v->window_size) - 1;
    /* What the first block makes of patches, and the last of what the decoder sees, is worth more than the time. */
    const bool eight = index > 0 && index < v->depth - 1;
    char base[48];
    snprintf(base, sizeof base, "image_encoder.blocks.%d", index);
    samc__list_norm(list, &to->norm1, base, "norm1", D, 1e-6f);
    if (v->use_rel_pos) {
        samc__list_tensor(list, &to->rel_pos_h, SAMC__ROLE_OPERAND, base, "attn.rel_pos_h",
                          SAMC__SHAPE2(table, D / v->num_heads));
        samc__list_tensor(list, &to->rel_pos_w, SAMC__ROLE_OPERAND, base, "attn.rel_pos_w",
                          SAMC__SHAPE2(table, D / v->num_heads));
    }
    samc__list_tensor(list, &to->qkv.w, SAMC__ROLE_MATRIX, base, "attn.qkv.weight", SAMC__SHAPE2(3 * D, D));
    if (eight) samc__list_eight(list, 0, &to->norm1);
    if (v->qkv_bias) {
        samc__list_tensor(list, &to->qkv.b, SAMC__ROLE_VECTOR, base, "attn.qkv.bias", SAMC__SHAPE1(3 * D));
        samc__list_copy(list, &to->pad_qkv, &to->qkv.b);
    }
    samc__list_linear(list, &to->proj, SAMC__ROLE_MATRIX, base, "attn.proj", D, D);
    samc__list_norm(list, &to->norm2, base, "norm2", D, 1e-6f);
    samc__list_linear(list, &to->lin1, SAMC__ROLE_MATRIX, base, "mlp.lin1", v->mlp_dim, D);
    if (eight) samc__list_eight(list, 1, &to->norm2); /* the weight, before its bias */
    samc__list_linear(list, &to->lin2, SAMC__ROLE_MATRIX, base, "mlp.lin2", D, v->mlp_dim);
    if (eight) samc__list_eight(list, 1, NULL);
}

static void list_tensors(samc__tensor_list *list, const samc__config *config, samc__encoder_weights *weights) {
    const samc__vit *v = &config->encoder.vit;
    samc__vit_weights *to = &weights->vit;
    const int64_t D = v->embed_dim, C = config->decoder.channels, grid = config->grid, patch = v->patch_size;
    if (v->use_abs_pos)
        samc__list_tensor(list, &to->pos_embed, SAMC__ROLE_TABLE, "image_encoder", "pos_embed",
                          SAMC__SHAPE4(1, grid, grid, D));
    samc__list_convolution(list, &to->patch, SAMC__ROLE_MATRIX, "image_encoder.patch_embed.proj",
                           SAMC__SHAPE4(D, 3, patch, patch), D);
    for (int i = 0; i < v->depth; i++) list_block(list, v, config->grid, i, &to->blocks[i]);
    samc__list_neck(list, &to->neck, D, C);
}

/* ---- Running it ------------------------------------------------------------------------------ */

static int64_t largest(int64_t a, int64_t b) { return a > b ? a : b; }

/* Elements for each token in the widest buffer. */
static int64_t wide_channels(const samc__config *c) {
    const samc__vit *v = &c->encoder.vit;
    int64_t patch = 3 * (int64_t)v->patch_size * v->patch_size;
    return largest(largest(3 * (int64_t)v->embed_dim, v->mlp_dim), largest(patch, 2 * (int64_t)c->decoder.channels));
}

/* Three buffers suffice: the residual stream x, normed input and attention output y, and the wide one: patches, q k v,
 * hidden layer, neck. "A" is the model's precision. */
typedef struct encoder_buffers {
    int64_t rows; /* images * N */
    float *x;     /* [rows, D] */
    void *y;      /* [rows, D] A */
    void *wide;   /* [rows, wide_channels] A */
} encoder_buffers;

static samc_status run_block(const samc__exec *exec, const samc__network *net, int index, int images,
                             const encoder_buffers *b) {
    const samc__vit *v = &net->config.encoder.vit;
    const samc__vit_block *w = &net->weights.encoder.vit.blocks[index];
    int64_t d = v->embed_dim, n = b->rows / images;
    const samc__dtype a = net->precision;
    samc__view x = samc__view2(b->x, b->rows, d), y = samc__as(a, samc__view2(b->y, b->rows, d)),
               qkv = samc__as(a, samc__view2(b->wide, b->rows, 3 * d)),
               hidden = samc__as(a, samc__view2(b->wide, b->rows, v->mlp_dim));

    SAMC__TRY(samc__layernorm(exec, &(samc__layernorm_args){.x = x, .norm = w->norm1, .y = y}));
    SAMC__TRY(samc__linear(exec, &(samc__linear_args){.x = y, .p = w->qkv, .b_of_y = w->pad_qkv, .y = qkv}));
    SAMC__TRY(samc__attention_relpos(exec, &(samc__attention_relpos_args){
                                               .qkv = samc__as(a, samc__view3(b->wide, images, n, 3 * d)),
                                               .qkv_bias = w->pad_qkv,
                                               .rel_h = w->rel_pos_h,
                                               .rel_w = w->rel_pos_w,
                                               .y = samc__as(a, samc__view3(b->y, images, n, d)),
                                               .heads = v->num_heads,
                                               .grid = net->config.grid,
                                               .window = v->global_attn[index] ? 0 : v->window_size,
                                           }));
    SAMC__TRY(samc__linear(exec, &(samc__linear_args){.x = y, .p = w->proj, .residual = x, .y = x}));
    SAMC__TRY(samc__layernorm(exec, &(samc__layernorm_args){.x = x, .norm = w->norm2, .y = y}));
    SAMC__TRY(samc__linear(exec, &(samc__linear_args){.x = y, .p = w->lin1, .y = hidden, .act = SAMC__ACT_GELU}));
    return samc__linear(exec, &(samc__linear_args){.x = hidden, .p = w->lin2, .residual = x, .y = x});
}

/* The block whose output is the early feature: the first that is global. */
static int early_block(const samc__vit *v) {
    int block = 0;
    while (block < v->depth && !v->global_attn[block]) block++;
    return block;
}

static int early_channels(const samc__config *config) {
    const samc__vit *v = &config->encoder.vit;
    return early_block(v) < v->depth ? v->embed_dim : 0;
}

static samc_status encode_with(const samc__exec *exec, const samc__network *net, const samc_image *inputs, int images,
                               const encoder_buffers *b, const samc__features *to) {
    const int early = to->early.data ? early_block(&net->config.encoder.vit) : -1;
    const samc__vit_weights *w = &net->weights.encoder.vit;
    SAMC__TRY(samc__make_patches(exec, net, inputs, images, net->config.encoder.vit.patch_size, b->wide));
    samc__view patches = samc__as(net->precision, samc__view2(b->wide, b->rows, w->patch.w.n[1]));
    samc__view x = samc__view2(b->x, b->rows, w->patch.w.n[0]);
    SAMC__TRY(samc__linear(exec, &(samc__linear_args){.x = patches, .p = w->patch, .residual = w->pos_embed, .y = x}));
    for (int i = 0; i < net->config.encoder.vit.depth; i++) {
        SAMC__TRY(run_block(exec, net, i, images, b));
        if (i == early) SAMC__TRY(samc__keep_early(exec, x, to));
    }
    return samc__run_neck(exec, net, &w->neck, x, b->y, b->wide, images, to->level[0].data);
}

static samc_status encode(const samc__exec *exec, const samc__network *net, const samc_image *inputs, int images,
                          const samc__features *features) {
    const samc__config *c = &net->config;
    encoder_buffers b = {.rows = (int64_t)images * c->grid * c->grid};
    size_t d = (size_t)b.rows * (size_t)c->encoder.vit.embed_dim, size = samc__dtype_size(net->precision);
    size_t bytes = d * (sizeof(float) + size) + (size_t)(b.rows * wide_channels(c)) * size;
    b.x = samc__tensor_allocate(exec, bytes);
    if (b.x == NULL)
        return samc__fail(exec->error, SAMC_OUT_OF_MEMORY, "no memory to encode %d image(s): %zu bytes", images, bytes);
    b.y = b.x + d;
    b.wide = (char *)b.y + d * size;
    samc_status status = encode_with(exec, net, inputs, images, &b, features);
    samc__tensor_release(exec, b.x);
    return status;
}

/* ---- Its configuration ----------------------------------------------------------------------- */

static const char patch_name[] = "image_encoder.patch_embed.proj.weight";

static bool recognise(const samc__checkpoint *checkpoint) {
    return samc__checkpoint_find(checkpoint, patch_name) != NULL;
}

static const samc__tensor *block_tensor(const samc__checkpoint *checkpoint, int block, const char *leaf) {
    char name[96];
    snprintf(name, sizeof name, "image_encoder.blocks.%d.%s", block, leaf);
    return samc__checkpoint_find(checkpoint, name);
}

/* Heads, grid and windows, which the tables of relative positions tell: [2 s - 1, head_dim] with s the window or the
 * grid. */
static void infer_attention(samc__reading *r, samc__config *config) {
    const samc__checkpoint *checkpoint = r->checkpoint;
    samc__vit *v = &config->encoder.vit;
    int lengths[SAMC__MAX_BLOCKS] = {0}, longest = 0, head_dim = 0;
    for (int i = 0; i < v->depth; i++) {
        const samc__tensor *table = block_tensor(checkpoint, i, "attn.rel_pos_h");
        if (table == NULL) table = block_tensor(checkpoint, i, "attn.rel_pos_w");
        if (table == NULL || table->rank != 2) continue;
        lengths[i] = samc__read_side(table, 0);
        if (lengths[i] > longest) longest = lengths[i];
        if (head_dim == 0) head_dim = samc__read_side(table, 1);
    }
    const char *lacks = NULL;
    v->use_rel_pos = head_dim > 0;
    if (!v->use_rel_pos) {
        static const char *const needed[] = {"num_heads", "window_size"};
        for (int i = 0; i < 2 && lacks == NULL; i++)
            if (samc__read_field(r, needed[i]).begin == NULL) lacks = needed[i];
        if (lacks != NULL)
            return samc__read_fail(
                r, SAMC_MISMATCH,
                "%s is unknown: there are no tensors image_encoder.blocks.*.attn.rel_pos_h to read it "
                "from, and no metadata samc.config that says it",
                lacks);
    } else {
        if (v->embed_dim % head_dim != 0)
            return samc__read_fail(r, SAMC_MISMATCH,
                                   "embed_dim %d is not a multiple of the head width %d of attn.rel_pos_h",
                                   v->embed_dim, head_dim);
        v->num_heads = v->embed_dim / head_dim;
    }

    const samc__tensor *position = samc__checkpoint_find(checkpoint, "image_encoder.pos_embed");
    int64_t image;
    v->use_abs_pos = samc__read_expected(r, "use_abs_pos", position != NULL);
    if (position != NULL && position->rank == 4 && samc__read_side(position, 1) > 0) {
        config->grid = samc__read_side(position, 1);
    } else if (samc__json_integer(samc__read_field(r, "img_size"), &image) && image > 0 && image <= 1 << 24) {
        config->grid = (int)image / v->patch_size;
    } else if (longest > 0) {
        config->grid = (longest + 1) / 2;
    } else {
        return samc__read_fail(
            r, SAMC_MISMATCH,
            "img_size is unknown: there is no tensor image_encoder.pos_embed to read it from, and no "
            "metadata samc.config that says it");
    }
    if (config->grid > (1 << 24) / v->patch_size) config->grid = (1 << 24) / v->patch_size; /* refused later */
    config->recipe.side = config->grid * v->patch_size;

    for (int i = 0; i < v->depth; i++) {
        v->global_attn[i] = lengths[i] == 2 * config->grid - 1;
        if (!v->global_attn[i] && v->window_size == 0 && lengths[i] > 0) v->window_size = (lengths[i] + 1) / 2;
    }
    /* A block without its tables is windowed like the others, or global where no block is windowed. */
    for (int i = 0; i < v->depth; i++)
        if (v->window_size == 0) v->global_attn[i] = true;
}

/* window_size and global_attn_indexes. A window as large as the grid is the same as a global block, and is stored so.
 */
static void merge_windows(samc__reading *r, int grid, samc__vit *v) {
    const samc__json indexes = samc__read_field(r, "global_attn_indexes");
    const char *cursor = NULL;
    int window;
    bool global[SAMC__MAX_BLOCKS] = {false};
    if (!samc__read_count(r, "window_size", &window)) return; /* the tables of rel_pos have said it */
    if (indexes.begin != NULL && !samc__json_is_array(indexes))
        samc__read_malformed(r, "global_attn_indexes", "a list of block numbers");
    for (samc__json item; samc__json_next(indexes, &cursor, NULL, &item);) {
        int64_t block;
        if (!samc__json_integer(item, &block) || block < 0 || block >= v->depth) {
            samc__read_malformed(r, "global_attn_indexes", "a list of block numbers");
        } else {
            global[block] = true;
        }
    }
    bool every = true;
    for (int i = 0; i < v->depth; i++) {
        global[i] = global[i] || window == 0 || window == grid;
        every = every && global[i];
    }
    if (every) window = 0;
    if (v->use_rel_pos) {
        if (window != v->window_size) samc__read_contradicts(r, "window_size", window, v->window_size);
        for (int i = 0; i < v->depth && r->status == SAMC_OK; i++)
            if (global[i] != v->global_attn[i])
                samc__read_fail(r, SAMC_MISMATCH, "%s says block %d is %s, the tensors say it is %s",
                                samc__read_where(r), i, global[i] ? "global" : "windowed",
                                v->global_attn[i] ? "global" : "windowed");
    }
    v->window_size = window;
    memcpy(v->global_attn, global, sizeof global);
}

static void merge(samc__reading *r, samc__config *config) {
    samc__vit *v = &config->encoder.vit;
    samc__merge_count(r, "patch_size", &v->patch_size, true);
    samc__merge_count(r, "embed_dim", &v->embed_dim, true);
    samc__merge_count(r, "depth", &v->depth, true);
    samc__merge_count(r, "out_chans", &config->decoder.channels, true);
    samc__merge_count(r, "num_heads", &v->num_heads, v->num_heads != 0);
    samc__merge_count(r, "img_size", &config->recipe.side, config->recipe.side != 0);
    samc__merge_flag(r, "use_rel_pos", v->use_rel_pos);
    samc__merge_flag(r, "use_abs_pos", v->use_abs_pos);
    samc__merge_flag(r, "qkv_bias", v->qkv_bias);
    if (r->status != SAMC_OK) return;
    config->grid = config->recipe.side / v->patch_size;
    merge_windows(r, config->grid, v);
    samc__merge_count(r, "mlp_dim", &v->mlp_dim, true);
    const samc__json ratio = samc__read_field(r, "mlp_ratio");
    if (ratio.begin != NULL && samc__read_field(r, "mlp_dim").begin == NULL) { /* the ratio is what it follows from */
        double value = 0;
        if (!samc__json_number(ratio, &value)) samc__read_malformed(r, "mlp_ratio", "a number");
        /* int(embed_dim * mlp_ratio) in Python; the margin forgives a ratio written in decimals. */
        double dim = value * v->embed_dim;
        bool equal = dim > 0 && dim < 1e9 && ((int)dim == v->mlp_dim || (int)(dim + 1e-3) == v->mlp_dim);
        if (!equal) samc__read_contradicts(r, "mlp_ratio", value, (double)v->mlp_dim / v->embed_dim);
    }
}

static void infer(samc__reading *r, samc__config *config) {
    samc__vit *v = &config->encoder.vit;
    const samc__tensor *patch = samc__read_tensor(r, patch_name, 4);
    const samc__tensor *mlp = samc__read_tensor(r, "image_encoder.blocks.0.mlp.lin1.weight", 2);
    const samc__tensor *neck = samc__read_tensor(r, "image_encoder.neck.0.weight", 4);
    if (r->report.count > 0) return;
    v->embed_dim = samc__read_side(patch, 0);
    v->patch_size = samc__read_side(patch, 2);
    v->mlp_dim = samc__read_side(mlp, 0);
    v->depth = samc__read_layers(r, "image_encoder.blocks.");
    config->decoder.channels = samc__read_side(neck, 0);
    if (v->depth > SAMC__MAX_BLOCKS)
        return samc__read_fail(r, SAMC_UNSUPPORTED, "depth is %d; samc can do 1 to %d", v->depth, SAMC__MAX_BLOCKS);
    bool bias = false;
    for (int i = 0; i < v->depth; i++) bias = bias || block_tensor(r->checkpoint, i, "attn.qkv.bias") != NULL;
    v->qkv_bias = samc__read_expected(r, "qkv_bias", bias);
    infer_attention(r, config);
    if (r->status == SAMC_OK) merge(r, config);
}

static samc_status check(const samc__config *config, const char *label, samc_error *error) {
    const samc__vit *v = &config->encoder.vit;
    const samc__bounds bounds[] = {
        {"patch_size", v->patch_size, 1, 64},    {"grid (img_size / patch_size)", config->grid, 1, 512},
        {"embed_dim", v->embed_dim, 1, 8192},    {"depth", v->depth, 1, SAMC__MAX_BLOCKS},
        {"num_heads", v->num_heads, 1, 256},     {"MLP width", v->mlp_dim, 1, 65536},
        {"window_size", v->window_size, 0, 256},
    };
    SAMC__TRY(samc__check_bounds(label, bounds, sizeof bounds / sizeof *bounds, error));
    /* A window that reaches over the grid is padded, as in the original. Beyond SAM's own grid of 64 that is no model's
     * intent: a few tokens would cost tens of thousands of pads each, and megabytes for each channel. */
    enum { MOST_PADDED = 64 };
    if (v->window_size > MOST_PADDED && v->window_size > config->grid)
        return samc__fail(error, SAMC_UNSUPPORTED,
                          "%s: window_size is %d on a grid of %d x %d; samc pads to windows of at most %d", label,
                          v->window_size, config->grid, config->grid, MOST_PADDED);
    const samc__multiple multiples[] = {
        {"img_size", config->recipe.side, "patch_size", v->patch_size},
        {"embed_dim", v->embed_dim, "num_heads", v->num_heads},
    };
    return samc__check_multiples(label, multiples, sizeof multiples / sizeof *multiples, error);
}

static void write_globals(samc__json_text *text, const samc__vit *v) {
    const char *before = "[";
    samc__json_put_key(text, "global_attn_indexes");
    for (int i = 0; i < v->depth; i++) {
        if (!v->global_attn[i] || v->window_size == 0) continue;
        samc__json_put(text, before, 1);
        samc__json_put_integer(text, i);
        before = ",";
    }
    samc__json_put(text, *before == '[' ? "[]" : "]", *before == '[' ? 2 : 1);
}

/* In the order of files that are there; what is the decoder's stands among it. */
static void write_config(const samc__config *config, samc__json_text *text) {
    const samc__vit *v = &config->encoder.vit;
    samc__write_count(text, "patch_size", v->patch_size);
    samc__write_count(text, "embed_dim", v->embed_dim);
    samc__write_count(text, "depth", v->depth);
    samc__write_count(text, "num_heads", v->num_heads);
    samc__write_count(text, "window_size", v->window_size);
    samc__write_count(text, "out_chans", config->decoder.channels);
    samc__write_count(text, "decoder_num_heads", config->decoder.heads);
    samc__json_put_key(text, "mlp_ratio");
    samc__json_put_double(text, (double)v->mlp_dim / v->embed_dim);
    write_globals(text, v);
    samc__write_flag(text, "qkv_bias", v->qkv_bias);
    samc__write_flag(text, "use_abs_pos", v->use_abs_pos);
    samc__write_flag(text, "use_rel_pos", v->use_rel_pos);
}

static void describe(const samc__config *config, samc_model_info *info) {
    const samc__vit *v = &config->encoder.vit;
    info->family = "SAM";
    info->patch_size = v->patch_size;
    info->encoder_dim = v->embed_dim;
    info->encoder_depth = v->depth;
    info->encoder_heads = v->num_heads;
    info->encoder_mlp_dim = v->mlp_dim;
    info->window_size = v->window_size;
    info->global_blocks = 0;
    for (int i = 0; i < v->depth; i++) info->global_blocks += v->global_attn[i];
}

const samc__setting samc__sam_settings[] = {
    {"mask_threshold", -1000, 1000, offsetof(samc__config, recipe.threshold)},
    {.name = NULL},
};

static const samc__recipe recipes[] = {SAMC__RECIPE_SAM, SAMC__RECIPE_MEDSAM, SAMC__RECIPE_MICRO_SAM};

const samc__encoder samc__encoder_vit = {.name = "vit",
                                         .recognise = recognise,
                                         .infer = infer,
                                         .check = check,
                                         .write = write_config,
                                         .tensors = list_tensors,
                                         .describe = describe,
                                         .early_channels = early_channels,
                                         .encode = encode,
                                         .settings = samc__sam_settings,
                                         .recipes = recipes,
                                         .recipe_count = sizeof recipes / sizeof *recipes};
