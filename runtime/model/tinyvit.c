/* TinyViT, the encoder of MobileSAM and TinySAM: a stem of two convolutions, a stage of MBConvs, three of attention in
 * windows, each with a convolution of every channel between attention and MLP; then SAM's neck.
 *
 * Mirrors TinyViT of mobile_sam. Batch norms are folded when the file is read (weights/fold.c). Activations are [images
 * * h * w, channels]; "A" is the model's precision. Stages have sides of 1/4, 1/8, 1/16 and 1/16 of the input's: the
 * last merge has stride 1. */
#include "runtime/model/steps.h"

#include "kernels/attention_relpos/attention_relpos.h"
#include "kernels/conv3x3/conv3x3.h"
#include "kernels/depthwise/depthwise.h"
#include "kernels/layernorm/layernorm.h"
#include "kernels/linear/linear.h"
#include "kernels/place.h"

#include <stdio.h>
#include <string.h>

enum { STAGES = SAMC__TINYVIT_STAGES, MBCONVS = 0 /* the stage of them */ };

/* ---- Its tensors ----------------------------------------------------------------------------- */

/* A convolution with its folded norm: 1x1. */
static void list_point(samc__tensor_list *list, samc__projection *to, const char *base, const char *leaf, int64_t out,
                       int64_t in) {
    char full[96];
    snprintf(full, sizeof full, "%s.%s", base, leaf);
    samc__list_convolution(list, to, SAMC__ROLE_MATRIX, full, SAMC__SHAPE4(out, in, 1, 1), out);
}

/* 3x3 of each channel by itself. */
static void list_depthwise(samc__tensor_list *list, samc__projection *to, const char *base, const char *leaf,
                           int64_t channels) {
    char full[96];
    snprintf(full, sizeof full, "%s.%s", base, leaf);
    samc__list_convolution(list, to, SAMC__ROLE_TABLE, full, SAMC__SHAPE4(channels, 1, 3, 3), channels);
}

static void list_inverted(samc__tensor_list *list, samc__inverted *to, const char *base, int64_t in, int64_t hidden,
                          int64_t out) {
    list_point(list, &to->conv1, base, "conv1", hidden, in);
    list_depthwise(list, &to->conv2, base, "conv2", hidden);
    list_point(list, &to->conv3, base, "conv3", out, hidden);
}

static void list_block(samc__tensor_list *list, const samc__tinyvit *v, int stage, const char *base,
                       samc__tinyvit_block *to) {
    const int64_t D = v->dim[stage], window = v->window[stage];
    samc__list_tensor(list, &to->biases, SAMC__ROLE_TABLE, base, "attn.attention_biases",
                      SAMC__SHAPE2(v->heads[stage], window * window));
    samc__list_norm(list, &to->norm1, base, "attn.norm", D, 1e-5f);
    samc__list_linear(list, &to->qkv, SAMC__ROLE_MATRIX, base, "attn.qkv", 3 * D, D);
    samc__list_copy(list, &to->qkv_b, &to->qkv.b);
    samc__list_product(list, &to->pad_qkv, &to->qkv, &to->norm1.b);
    samc__list_linear(list, &to->proj, SAMC__ROLE_MATRIX, base, "attn.proj", D, D);
    samc__list_norm(list, &to->norm2, base, "mlp.norm", D, 1e-5f);
    samc__list_linear(list, &to->fc1, SAMC__ROLE_MATRIX, base, "mlp.fc1", v->mlp_dim[stage], D);
    samc__list_linear(list, &to->fc2, SAMC__ROLE_MATRIX, base, "mlp.fc2", D, v->mlp_dim[stage]);
    list_depthwise(list, &to->local_conv, base, "local_conv", D);
}

static void list_tensors(samc__tensor_list *list, const samc__config *config, samc__encoder_weights *weights) {
    static const char stem[] = "image_encoder.patch_embed.seq";
    const samc__tinyvit *v = &config->encoder.tinyvit;
    samc__tinyvit_weights *to = &weights->tinyvit;
    const int64_t half = v->stem_dim;
    char base[64];
    int block = 0;
    snprintf(base, sizeof base, "%s.0", stem);
    samc__list_convolution(list, &to->stem[0], SAMC__ROLE_OPERAND, base, SAMC__SHAPE4(half, 3, 3, 3), half);
    snprintf(base, sizeof base, "%s.2", stem);
    samc__list_convolution(list, &to->stem[1], SAMC__ROLE_OPERAND, base, SAMC__SHAPE4(v->dim[0], half, 3, 3),
                           v->dim[0]);
    for (int stage = 0; stage < STAGES; stage++) {
        for (int i = 0; i < v->depth[stage]; i++) {
            snprintf(base, sizeof base, "image_encoder.layers.%d.blocks.%d", stage, i);
            if (stage == MBCONVS)
                list_inverted(list, &to->mbconv[i], base, v->dim[stage], v->mlp_dim[stage], v->dim[stage]);
            else list_block(list, v, stage, base, &to->blocks[block++]);
        }
        if (stage == STAGES - 1) continue;
        snprintf(base, sizeof base, "image_encoder.layers.%d.downsample", stage);
        const int64_t out = v->dim[stage + 1];
        list_inverted(list, &to->merge[stage], base, v->dim[stage], out, out);
    }
    samc__list_neck(list, &to->neck, v->dim[STAGES - 1], config->decoder.channels);
}

/* ---- Running it ------------------------------------------------------------------------------ */

static int64_t largest(int64_t a, int64_t b) { return a > b ? a : b; }

/* Side of a stage's activations. */
static int side_of(const samc__config *c, int stage) { return c->recipe.side / (stage == 0 ? 4 : stage == 1 ? 8 : 16); }

/* Two residual streams, between which convolutions lead: the first one is a stage's until a merge, or a block's
 * convolution, has written the other. Two buffers of A, one behind the other: normed input and attention output, or the
 * first half of an MBConv; and the wide one: q k v, hidden layers. The stem's convolutions lie in both. */
typedef struct encoder_buffers {
    int images, side; /* of the stage at hand */
    float *x, *other; /* [images * side * side, D] */
    void *narrow, *wide;
} encoder_buffers;

/* Elements of each buffer. */
typedef struct sizes {
    int64_t x, other, narrow, wide;
} sizes;

/* An MBConv's or a merge's rows of y at a time: [rows, after], of one image or of all. */
static int64_t inverted_band(const samc__exec *exec, int64_t after, int64_t hidden) {
    return samc__band_of(exec, after, after * hidden, 4);
}
/* An MLP's pixels at a time: a multiple of the blocks that linear computes. */
static int64_t mlp_band(const samc__exec *exec, int64_t rows, int64_t hidden) {
    return samc__band_of(exec, rows, hidden, 192);
}

/* What lies behind is aligned as the block is. */
static int64_t aligned(int64_t elements) { return (elements + 31) / 32 * 32; }

static sizes sizes_of(const samc__exec *exec, const samc__config *c, int images) {
    const samc__tinyvit *v = &c->encoder.tinyvit;
    const int64_t input = (int64_t)c->recipe.side * c->recipe.side, count = exec->ops->in_bands ? 1 : images;
    sizes s = {.x = 3 * images * input};
    for (int stage = 0; stage < STAGES; stage++) {
        const int64_t side = side_of(c, stage), n = images * side * side, d = v->dim[stage];
        s.x = largest(s.x, n * d);
        if (stage != MBCONVS) {
            s.other = largest(s.other, n * d);
            s.narrow = largest(s.narrow, n * d);
            s.wide = largest(s.wide, largest(n * 3 * d, mlp_band(exec, n, v->mlp_dim[stage]) * v->mlp_dim[stage]));
        }
        for (int merge = 0; merge < 2; merge++) { /* an MBConv, or what follows the stage */
            if (merge ? stage == STAGES - 1 : stage != MBCONVS) continue;
            const int64_t hidden = merge ? v->dim[stage + 1] : v->mlp_dim[stage],
                          after = merge ? side_of(c, stage + 1) : side, stride = side / after,
                          band = inverted_band(exec, after, hidden);
            s.narrow = largest(s.narrow, count * hidden * side * (band < after ? (band - 1) * stride + 3 : side));
            s.wide = largest(s.wide, count * hidden * after * band);
        }
    }
    s.wide = largest(s.wide, images * (int64_t)c->grid * c->grid * c->decoder.channels);
    s.wide = largest(s.wide, images * input / 4 * v->stem_dim - s.narrow);
    s.x = aligned(s.x), s.other = aligned(s.other), s.narrow = aligned(s.narrow);
    return s;
}

/* A merge's, or an MBConv's. */
typedef struct inverted {
    const samc__inverted *w;
    int64_t images, side, after, stride; /* of the images it is given at a time */
    bool mbconv;
    samc__view x, y; /* [images * side * side, in], [images * after * after, out] */
} inverted;

/* Three convolutions, in bands of rows of y. What two bands of the first one's results have in common stays: it moves
 * to the beginning of its buffer. */
static samc_status run_bands(const samc__exec *exec, const samc__network *net, const inverted *c,
                             const encoder_buffers *b) {
    const samc__dtype a = net->precision;
    const int64_t hidden = c->w->conv1.w.n[0], all = c->images * c->side, band = inverted_band(exec, c->after, hidden),
                  rows = band < c->after ? c->after : c->images * c->after;
    const size_t row = (size_t)(c->side * hidden) * samc__dtype_size(a);
    int64_t first = 0, end = 0; /* which rows of x the first convolution's buffer has */
    for (int64_t at = 0; at < rows; at += band < c->after ? band : rows) {
        const int64_t last = band < c->after && at + band < rows ? at + band : rows; /* [at, last) of y */
        const int64_t from = at == 0 ? 0 : at * c->stride - 1, to = last == rows ? all : (last - 1) * c->stride + 2;
        if (from > first && !exec->rehearsal)
            memmove(b->narrow, (char *)b->narrow + (size_t)(from - first) * row, (size_t)(end - from) * row);
        first = from;
        samc__view between = samc__as(a, samc__view2(b->narrow, (to - from) * c->side, hidden));
        SAMC__TRY(samc__linear(
            exec, &(samc__linear_args){.x = samc__rows_of(c->x, end * c->side, to * c->side),
                                       .p = c->w->conv1,
                                       .y = samc__rows_of(between, (end - from) * c->side, (to - from) * c->side),
                                       .act = SAMC__ACT_GELU}));
        end = to;
        const int64_t images = last - at == rows ? c->images : 1;
        SAMC__TRY(samc__depthwise(
            exec, &(samc__depthwise_args){
                      .x = samc__as(a, samc__view4(b->narrow, images, (to - from) / images, c->side, hidden)),
                      .w = c->w->conv2.w,
                      .b = c->w->conv2.b,
                      .y = samc__as(a, samc__view4(b->wide, images, (last - at) / images, c->after, hidden)),
                      .stride = (int)c->stride,
                      .act = SAMC__ACT_GELU,
                      .above = at > 0,
                      .below = last < rows}));
        samc__linear_args third = {.x = samc__as(a, samc__view2(b->wide, (last - at) * c->after, hidden)),
                                   .p = c->w->conv3,
                                   .y = samc__rows_of(c->y, at * c->after, last * c->after)};
        if (c->mbconv) third.residual = samc__rows_of(c->x, at * c->after, last * c->after);
        if (c->mbconv) third.act = SAMC__ACT_GELU, third.act_last = true;
        SAMC__TRY(samc__linear(exec, &third));
    }
    return SAMC_OK;
}

/* What three convolutions do: 1x1, 3x3 of each channel with the stride, 1x1; x [images, side, side, in] -> b->x. An
 * MBConv adds its input before its last GELU, and overwrites it; a merge has none of either. */
static samc_status run_inverted(const samc__exec *exec, const samc__network *net, const samc__inverted *w, int stride,
                                bool mbconv, encoder_buffers *b) {
    const int64_t in = w->conv1.w.n[1], out = w->conv3.w.n[0], side = b->side, after = (side - 1) / stride + 1;
    const int64_t count = exec->ops->in_bands ? 1 : b->images; /* images at a time */
    float *x = b->x, *y = mbconv ? b->x : b->other;
    for (int64_t image = 0; image < b->images; image += count) {
        const inverted c = {.w = w,
                            .images = count,
                            .side = side,
                            .after = after,
                            .stride = stride,
                            .mbconv = mbconv,
                            .x = samc__view2(x + image * side * side * in, count * side * side, in),
                            .y = samc__view2(y + image * after * after * out, count * after * after, out)};
        SAMC__TRY(run_bands(exec, net, &c, b));
    }
    if (!mbconv) b->x = y, b->other = x;
    b->side = (int)after;
    return SAMC_OK;
}

/* Norm and MLP, with their residual, in bands of pixels. */
static samc_status run_mlp(const samc__exec *exec, const samc__network *net, const samc__tinyvit_block *w,
                           samc__view all, const encoder_buffers *b) {
    const int64_t d = all.n[1], hidden = w->fc1.w.n[0], band = mlp_band(exec, all.n[0], hidden);
    for (int64_t at = 0; at < all.n[0]; at += band) {
        samc__view x = samc__rows_of(all, at, at + band < all.n[0] ? at + band : all.n[0]),
                   y = samc__as(net->precision, samc__view2(b->narrow, x.n[0], d)),
                   between = samc__as(net->precision, samc__view2(b->wide, x.n[0], hidden));
        SAMC__TRY(samc__layernorm(exec, &(samc__layernorm_args){.x = x, .norm = w->norm2, .y = y}));
        SAMC__TRY(samc__linear(exec, &(samc__linear_args){.x = y, .p = w->fc1, .y = between, .act = SAMC__ACT_GELU}));
        SAMC__TRY(samc__linear(exec, &(samc__linear_args){.x = between, .p = w->fc2, .residual = x, .y = x}));
    }
    return SAMC_OK;
}

static samc_status run_block(const samc__exec *exec, const samc__network *net, int stage, const samc__tinyvit_block *w,
                             encoder_buffers *b) {
    const samc__tinyvit *v = &net->config.encoder.tinyvit;
    const samc__dtype a = net->precision;
    const int64_t d = v->dim[stage], n = (int64_t)b->side * b->side, rows = b->images * n;
    samc__view x = samc__view2(b->x, rows, d), y = samc__as(a, samc__view2(b->narrow, rows, d)),
               qkv = samc__as(a, samc__view2(b->wide, rows, 3 * d));
    SAMC__TRY(samc__layernorm(exec, &(samc__layernorm_args){.x = x, .norm = w->norm1, .y = y}));
    SAMC__TRY(samc__linear(exec, &(samc__linear_args){.x = y, .p = w->qkv, .b_of_y = w->qkv_b, .y = qkv}));
    SAMC__TRY(samc__attention_relpos(exec, &(samc__attention_relpos_args){
                                               .qkv = samc__as(a, samc__view3(b->wide, b->images, n, 3 * d)),
                                               .qkv_bias = w->pad_qkv,
                                               .table = w->biases,
                                               .y = samc__as(a, samc__view3(b->narrow, b->images, n, d)),
                                               .heads = v->heads[stage],
                                               .grid = b->side,
                                               .window = v->window[stage],
                                               .by_head = true,
                                           }));
    SAMC__TRY(samc__linear(exec, &(samc__linear_args){.x = y, .p = w->proj, .residual = x, .y = x}));
    SAMC__TRY(samc__depthwise(exec, &(samc__depthwise_args){.x = samc__view4(b->x, b->images, b->side, b->side, d),
                                                            .w = w->local_conv.w,
                                                            .b = w->local_conv.b,
                                                            .y = samc__view4(b->other, b->images, b->side, b->side, d),
                                                            .stride = 1}));
    float *before = b->x;
    b->x = b->other, b->other = before;
    x.data = b->x;
    return run_mlp(exec, net, w, x, b);
}

/* Two convolutions of stride 2, a GELU between them: pixels, where x will be, -> [images, side / 4, side / 4, D]. */
static samc_status run_stem(const samc__exec *exec, const samc__network *net, const samc_image *inputs,
                            encoder_buffers *b) {
    const samc__tinyvit *v = &net->config.encoder.tinyvit;
    const samc__projection *stem = net->weights.encoder.tinyvit.stem;
    const samc__dtype a = net->precision;
    const int64_t side = net->config.recipe.side, half = side / 2, images = b->images;
    SAMC__TRY(samc__make_patches(exec, net, inputs, b->images, 1, b->x));
    samc__view pixels = samc__as(a, samc__view4(b->x, images, side, side, 3)),
               between = samc__as(a, samc__view4(b->narrow, images, half, half, v->stem_dim)),
               x = samc__view4(b->x, images, half / 2, half / 2, v->dim[0]);
    SAMC__TRY(samc__conv3x3(
        exec, &(samc__conv3x3_args){
                  .x = pixels, .w = stem[0].w, .b = stem[0].b, .y = between, .stride = 2, .act = SAMC__ACT_GELU}));
    b->side = (int)half / 2;
    return samc__conv3x3(exec,
                         &(samc__conv3x3_args){.x = between, .w = stem[1].w, .b = stem[1].b, .y = x, .stride = 2});
}

/* What the third stage is given is the early feature: of the embedding's grid. */
enum { EARLY = 2 };

static int early_channels(const samc__config *config) { return config->encoder.tinyvit.dim[EARLY]; }

static samc_status encode_with(const samc__exec *exec, const samc__network *net, const samc_image *inputs,
                               encoder_buffers *b, const samc__features *to) {
    const samc__tinyvit *v = &net->config.encoder.tinyvit;
    const samc__tinyvit_weights *w = &net->weights.encoder.tinyvit;
    const samc__tinyvit_block *block = w->blocks;
    SAMC__TRY(run_stem(exec, net, inputs, b));
    for (int stage = 0; stage < STAGES; stage++) {
        if (stage == EARLY && to->early.data != NULL)
            SAMC__TRY(
                samc__keep_early(exec, samc__view2(b->x, (int64_t)b->images * b->side * b->side, v->dim[EARLY]), to));
        for (int i = 0; i < v->depth[stage]; i++)
            if (stage == MBCONVS) SAMC__TRY(run_inverted(exec, net, &w->mbconv[i], 1, true, b));
            else SAMC__TRY(run_block(exec, net, stage, block++, b));
        if (stage < STAGES - 1)
            SAMC__TRY(run_inverted(exec, net, &w->merge[stage], stage < STAGES - 2 ? 2 : 1, false, b));
    }
    samc__view x = samc__view2(b->x, (int64_t)b->images * b->side * b->side, v->dim[STAGES - 1]);
    return samc__run_neck(exec, net, &w->neck, x, b->narrow, b->wide, b->images, to->level[0].data);
}

static samc_status encode(const samc__exec *exec, const samc__network *net, const samc_image *inputs, int images,
                          const samc__features *features) {
    const sizes s = sizes_of(exec, &net->config, images);
    const size_t x = (size_t)s.x, other = (size_t)s.other, narrow = (size_t)s.narrow, wide = (size_t)s.wide,
                 size = samc__dtype_size(net->precision);
    const size_t bytes = (x + other) * sizeof(float) + (narrow + wide) * size;
    encoder_buffers b = {.images = images, .x = samc__tensor_allocate(exec, bytes)};
    float *block = b.x;
    if (b.x == NULL)
        return samc__fail(exec->error, SAMC_OUT_OF_MEMORY, "no memory to encode %d image(s): %zu bytes", images, bytes);
    b.other = b.x + x;
    b.narrow = b.other + other;
    b.wide = (char *)b.narrow + narrow * size;
    samc_status status = encode_with(exec, net, inputs, &b, features);
    samc__tensor_release(exec, block);
    return status;
}

/* ---- Its configuration ----------------------------------------------------------------------- */

static const char stem_name[] = "image_encoder.patch_embed.seq.0.weight";

static bool recognise(const samc__checkpoint *checkpoint) {
    return samc__checkpoint_find(checkpoint, stem_name) != NULL;
}

static const samc__tensor *stage_tensor(samc__reading *r, int stage, const char *leaf, int rank) {
    char name[96];
    snprintf(name, sizeof name, "image_encoder.layers.%d.blocks.0.%s", stage, leaf);
    return samc__read_tensor(r, name, rank);
}

static int root_of(int square) {
    int root = 0;
    while ((root + 1) * (root + 1) <= square && root < 256) root++;
    return root * root == square ? root : 0;
}

static void infer_stage(samc__reading *r, int stage, samc__tinyvit *v) {
    char prefix[64];
    snprintf(prefix, sizeof prefix, "image_encoder.layers.%d.blocks.", stage);
    v->depth[stage] = samc__read_layers(r, prefix);
    if (stage == MBCONVS) {
        const samc__tensor *first = stage_tensor(r, stage, "conv1.weight", 4);
        v->mlp_dim[stage] = samc__read_side(first, 0);
        v->dim[stage] = samc__read_side(first, 1);
        return;
    }
    const samc__tensor *mlp = stage_tensor(r, stage, "mlp.fc1.weight", 2),
                       *biases = stage_tensor(r, stage, "attn.attention_biases", 2);
    v->mlp_dim[stage] = samc__read_side(mlp, 0);
    v->dim[stage] = samc__read_side(mlp, 1);
    v->heads[stage] = samc__read_side(biases, 0);
    v->window[stage] = root_of(samc__read_side(biases, 1));
}

static void infer(samc__reading *r, samc__config *config) {
    samc__tinyvit *v = &config->encoder.tinyvit;
    const samc__tensor *stem = samc__read_tensor(r, stem_name, 4),
                       *neck = samc__read_tensor(r, "image_encoder.neck.0.weight", 4);
    v->stem_dim = samc__read_side(stem, 0);
    config->decoder.channels = samc__read_side(neck, 0);
    for (int stage = 0; stage < STAGES; stage++) infer_stage(r, stage, v);
    if (r->report.count > 0) return;
    config->recipe.side = 1024; /* no tensor tells; every known file's */
    samc__merge_count(r, "img_size", &config->recipe.side, false);
    samc__merge_count(r, "out_chans", &config->decoder.channels, true);
    config->grid = config->recipe.side / 16;
}

static samc_status check(const samc__config *config, const char *label, samc_error *error) {
    const samc__tinyvit *v = &config->encoder.tinyvit;
    int blocks = 0;
    SAMC__TRY(samc__check_bounds(label, &(samc__bounds){"width of the stem", v->stem_dim, 1, 4096}, 1, error));
    for (int stage = 0; stage < STAGES; stage++) {
        const int least = stage == MBCONVS ? 0 : 1;
        const samc__bounds bounds[] = {
            {"width of a stage", v->dim[stage], 1, 4096},
            {"MLP width", v->mlp_dim[stage], 1, 16384},
            {"blocks of a stage", v->depth[stage], 1, SAMC__MAX_BLOCKS},
            {"heads", v->heads[stage], least, 256},
            {"window", v->window[stage], least, 64},
        };
        SAMC__TRY(samc__check_bounds(label, bounds, sizeof bounds / sizeof *bounds, error));
        if (stage != MBCONVS) {
            const samc__multiple heads = {"width of a stage", v->dim[stage], "heads", v->heads[stage]};
            SAMC__TRY(samc__check_multiples(label, &heads, 1, error));
            blocks += v->depth[stage];
        }
    }
    SAMC__TRY(samc__check_bounds(label, &(samc__bounds){"blocks", blocks, 1, SAMC__TINYVIT_BLOCKS}, 1, error));
    SAMC__TRY(samc__check_bounds(
        label, &(samc__bounds){"blocks of the first stage", v->depth[0], 1, SAMC__TINYVIT_MBCONVS}, 1, error));
    return samc__check_multiples(label, &(samc__multiple){"img_size", config->recipe.side, "16", 16}, 1, error);
}

static void write_config(const samc__config *config, samc__json_text *text) {
    samc__write_count(text, "out_chans", config->decoder.channels);
    samc__write_count(text, "decoder_num_heads", config->decoder.heads);
}

/* The last stage speaks for all; windows differ. */
static void describe(const samc__config *config, samc_model_info *info) {
    const samc__tinyvit *v = &config->encoder.tinyvit;
    info->family = "MobileSAM";
    info->patch_size = config->recipe.side / config->grid;
    info->encoder_dim = v->dim[STAGES - 1];
    info->encoder_heads = v->heads[STAGES - 1];
    info->encoder_mlp_dim = v->mlp_dim[STAGES - 1];
    info->window_size = v->window[STAGES - 1];
    for (int stage = 0; stage < STAGES; stage++) info->encoder_depth += v->depth[stage];
}

static const samc__recipe recipes[] = {SAMC__RECIPE_SAM, SAMC__RECIPE_MEDSAM, SAMC__RECIPE_MICRO_SAM};

const samc__encoder samc__encoder_tinyvit = {.name = "tinyvit",
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
