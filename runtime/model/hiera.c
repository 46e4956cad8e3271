/* Hiera, the encoder of SAM 2: blocks of attention in windows and of everything, in stages that halve the side and
 * double the width; then the embedding and two finer levels of a feature pyramid.
 *
 * Mirrors Hiera, FpnNeck and what SAM2Base and SAM2ImagePredictor make of their results. Activations are [images * h *
 * w, channels]; "A" is the model's precision; D is a stage's width, C the embedding's.
 *
 * Folded when a model is opened: the stem's 7x7 kernel in steps of 4 is a 3x3 kernel over patches of 4x4; both position
 * embeddings are one table; a level's 1x1 and the decoder's behind it are one; what stands for no memory is part of the
 * embedding's bias. */
#include "runtime/model/hiera.h"

#include "kernels/add_rows/add_rows.h"
#include "kernels/attention_relpos/attention_relpos.h"
#include "kernels/conv3x3/conv3x3.h"
#include "kernels/layernorm/layernorm.h"
#include "kernels/linear/linear.h"
#include "kernels/max_pool/max_pool.h"
#include "kernels/place.h"
#include "runtime/model/cubic.h"
#include "runtime/model/steps.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { STAGES = SAMC__HIERA_STAGES, STRIDE = 4, KERNEL = 7, PATCH = 3 * STRIDE * STRIDE };

static int64_t dim_of(const samc__hiera *h, int stage) { return (int64_t)h->embed_dim << stage; }
static int side_of(const samc__config *c, int stage) { return c->recipe.side / STRIDE >> stage; }

/* ---- Its tensors ----------------------------------------------------------------------------- */

/* The stem's kernel [D, 3, 7, 7] as one of 3x3 over patches, [D, 48, 3, 3]: row y of the kernel meets pixel y - 3 from
 * the patch's first, in the patch before for y < 3. Nothing lies in the patch behind. */
static void patch_kernel(const samc__view *of, const samc__view *to, float *values) {
    memset(values, 0, (size_t)samc__elements(*to) * sizeof *values);
    for (int64_t i = 0; i < to->n[0] * 3; i++) /* over outputs and colours */
        for (int y = 0; y < KERNEL; y++)
            for (int x = 0; x < KERNEL; x++) {
                const int py = y + STRIDE - KERNEL / 2, px = x + STRIDE - KERNEL / 2; /* from the patch before */
                const int pixel = py % STRIDE * STRIDE + px % STRIDE, tap = py / STRIDE * 3 + px / STRIDE;
                values[(i * STRIDE * STRIDE + pixel) * 9 + tap] = samc__f32(*of)[(i * KERNEL + y) * KERNEL + x];
            }
}

/* What positions are made of, in files: [1, D, side, side] each, the first stretched over the image, the second
 * repeated. */
static void positions(const samc__view *of, const samc__view *to, float *values) {
    const int64_t d = to->n[1], repeat = of[1].n[1];
    const int out = (int)lround(sqrt((double)to->n[0])), in = (int)of[0].n[1];
    samc__stretch_cubic(&(samc__cubic_map){samc__f32(of[0]), in, 1, (int64_t)in * in}, d, out, values);
    for (int64_t cell = 0; cell < to->n[0]; cell++) {
        const float *added = samc__f32(of[1]) + cell / out % repeat * repeat + cell % out % repeat;
        for (int64_t c = 0; c < d; c++) values[cell * d + c] += added[c * repeat * repeat];
    }
}

/* Two layers, one behind the other, as one: of = w0 [C, k], b0 [C], w1 [n, C], b1 [n], to [n, k]. */
static void product_of(const samc__view *of, const samc__view *to, float *values) {
    const int64_t n = to->n[0], k = to->n[1], middle = of[1].n[0];
    for (int64_t i = 0; i < n; i++)
        for (int64_t j = 0; j < k; j++) {
            double sum = 0;
            for (int64_t m = 0; m < middle; m++)
                sum += (double)samc__f32(of[2])[i * middle + m] * (double)samc__f32(of[0])[m * k + j];
            values[i * k + j] = (float)sum;
        }
}
static void bias_of(const samc__view *of, const samc__view *to, float *values) {
    const int64_t middle = of[1].n[0];
    for (int64_t i = 0; i < to->n[0]; i++) {
        double sum = (double)samc__f32(of[3])[i];
        for (int64_t m = 0; m < middle; m++)
            sum += (double)samc__f32(of[2])[i * middle + m] * (double)samc__f32(of[1])[m];
        values[i] = (float)sum;
    }
}
static void sum_of(const samc__view *of, const samc__view *to, float *values) {
    for (int64_t i = 0; i < to->n[0]; i++) values[i] = samc__f32(of[0])[i] + samc__f32(of[1])[i];
}

static void list_stem(samc__tensor_list *list, const samc__config *config, samc__hiera_weights *to) {
    static const char trunk[] = "image_encoder.trunk", patch[] = "image_encoder.trunk.patch_embed.proj";
    const samc__hiera *h = &config->encoder.hiera;
    const int64_t D = h->embed_dim, side = side_of(config, 0);
    samc__list_tensor(list, &to->file_positions[0], SAMC__ROLE_TABLE, trunk, "pos_embed",
                      SAMC__SHAPE4(1, D, h->pos_side, h->pos_side));
    samc__list_tensor(list, &to->file_positions[1], SAMC__ROLE_TABLE, trunk, "pos_embed_window",
                      SAMC__SHAPE4(1, D, h->pos_window, h->pos_window));
    samc__list_tensor(list, &to->file_stem, SAMC__ROLE_TABLE, patch, "weight", SAMC__SHAPE4(D, 3, KERNEL, KERNEL));
    samc__list_tensor(list, &to->stem.b, SAMC__ROLE_VECTOR, patch, "bias", SAMC__SHAPE1(D));
    to->stem.w = samc__view4(NULL, D, PATCH, 3, 3);
    samc__list_made(list, &to->stem.w, SAMC__ROLE_OPERAND, &to->file_stem, patch_kernel);
    to->positions = samc__view2(NULL, side * side, D);
    samc__list_made(list, &to->positions, SAMC__ROLE_TABLE, to->file_positions, positions);
}

static void list_block(samc__tensor_list *list, const char *base, int64_t in, int64_t D, int ratio,
                       samc__hiera_block *to) {
    samc__list_norm(list, &to->norm1, base, "norm1", in, 1e-6f);
    samc__list_linear(list, &to->qkv, SAMC__ROLE_MATRIX, base, "attn.qkv", 3 * D, in);
    samc__list_copy(list, &to->qkv_b, &to->qkv.b);
    samc__list_linear(list, &to->proj, SAMC__ROLE_MATRIX, base, "attn.proj", D, D);
    samc__list_norm(list, &to->norm2, base, "norm2", D, 1e-6f);
    samc__list_linear(list, &to->lin1, SAMC__ROLE_MATRIX, base, "mlp.layers.0", ratio * D, D);
    samc__list_linear(list, &to->lin2, SAMC__ROLE_MATRIX, base, "mlp.layers.1", D, ratio * D);
    if (in != D) samc__list_linear(list, &to->shortcut, SAMC__ROLE_MATRIX, base, "proj", D, in);
}

/* The pyramid's convolutions, the coarsest first; of the finer two the decoder's follow. */
static void list_neck(samc__tensor_list *list, const samc__hiera *h, int64_t C, samc__hiera_weights *to) {
    char base[64];
    for (int i = 0; i < STAGES; i++) {
        const bool fine = i > 1;
        const int64_t in = dim_of(h, STAGES - 1 - i);
        samc__view *file = to->file_fine[fine ? STAGES - 1 - i : 0],
                   *w = fine ? file
                        : i  ? &to->middle.w
                             : &to->coarse.w,
                   *bias = fine ? file + 1
                           : i  ? to->file_bias
                                : &to->coarse.b;
        snprintf(base, sizeof base, "image_encoder.neck.convs.%d.conv", i);
        samc__list_tensor(list, w, fine ? SAMC__ROLE_TABLE : SAMC__ROLE_MATRIX, base, "weight",
                          SAMC__SHAPE4(C, in, 1, 1));
        samc__list_tensor(list, bias, SAMC__ROLE_VECTOR, base, "bias", SAMC__SHAPE1(C));
    }
    samc__list_tensor(list, &to->file_bias[1], SAMC__ROLE_VECTOR, "", "no_mem_embed", (samc__shape){3, {1, 1, C}});
    to->middle.b = samc__view1(NULL, C);
    samc__list_made(list, &to->middle.b, SAMC__ROLE_VECTOR, to->file_bias, sum_of);
    for (int i = 0; i < 2; i++) {
        const int64_t out = C / (i == 0 ? 8 : 4);
        samc__view *file = to->file_fine[i];
        snprintf(base, sizeof base, "mask_decoder.conv_s%d", i);
        samc__list_tensor(list, &file[2], SAMC__ROLE_TABLE, base, "weight", SAMC__SHAPE4(out, C, 1, 1));
        samc__list_tensor(list, &file[3], SAMC__ROLE_VECTOR, base, "bias", SAMC__SHAPE1(out));
        to->fine[i].w = samc__view2(NULL, out, dim_of(h, i)), to->fine[i].b = samc__view1(NULL, out);
        samc__list_made(list, &to->fine[i].w, SAMC__ROLE_OPERAND, file, product_of);
        samc__list_made(list, &to->fine[i].b, SAMC__ROLE_VECTOR, file, bias_of);
    }
}

void samc__hiera_tensors(samc__tensor_list *list, const samc__config *config, samc__encoder_weights *weights) {
    const samc__hiera *h = &config->encoder.hiera;
    samc__hiera_weights *to = &weights->hiera;
    int block = 0;
    list_stem(list, config, to);
    for (int stage = 0; stage < STAGES; stage++)
        for (int i = 0; i < h->stages[stage]; i++, block++) {
            char base[48];
            snprintf(base, sizeof base, "image_encoder.trunk.blocks.%d", block);
            list_block(list, base, dim_of(h, stage > 0 && i == 0 ? stage - 1 : stage), dim_of(h, stage), h->mlp_ratio,
                       &to->blocks[block]);
        }
    list_neck(list, h, config->decoder.channels, to);
}

/* ---- Running it ------------------------------------------------------------------------------ */

static int64_t largest(int64_t a, int64_t b) { return a > b ? a : b; }

/* Two residual streams, of even and of odd stages: a stage's last is read by the next one's first block, and the
 * embedding is made of the last two. Of A: normed input, attention output, pooled queries; and the wide one: patches,
 * shortcuts, q k v, hidden layers, the pyramid's. */
typedef struct encoder_buffers {
    int images;
    float *x[2]; /* [images * side * side, D] */
    void *narrow, *wide;
} encoder_buffers;

/* Elements of each buffer of an image. */
typedef struct sizes {
    int64_t x, other, narrow, wide;
} sizes;

static int64_t cells_of(const samc__config *c, int stage) { return (int64_t)side_of(c, stage) * side_of(c, stage); }

static sizes sizes_of(const samc__exec *exec, const samc__config *c, int images) {
    const samc__hiera *h = &c->encoder.hiera;
    const int64_t first = images * cells_of(c, 0), d = h->embed_dim, C = c->decoder.channels;
    const int64_t coarse = images * cells_of(c, STAGES - 1) * C * (int64_t)(sizeof(float) / sizeof(uint16_t));
    sizes s = {.x = first * d, .other = images * cells_of(c, 1) * 2 * d, .narrow = first * d};
    s.wide = largest(first * PATCH, coarse * (1 + 2 + 4));
    for (int stage = 0; stage < STAGES; stage++) { /* a stage's first block has q k v for the side before */
        const int64_t n = images * cells_of(c, stage), D = dim_of(h, stage), hidden = h->mlp_ratio * D;
        s.wide = largest(s.wide, images * cells_of(c, stage ? stage - 1 : 0) * 3 * D);
        s.wide = largest(s.wide, samc__band_of(exec, n, hidden, 192) * hidden);
    }
    return s;
}

/* A block at hand. */
typedef struct block {
    const samc__hiera_block *w;
    int stage, window;
    bool pools; /* the first of a further stage */
} block;

/* Norm and MLP, with their residual, in bands of pixels. */
static samc_status run_mlp(const samc__exec *exec, const samc__network *net, const samc__hiera_block *w, samc__view all,
                           const encoder_buffers *b) {
    const int64_t d = all.n[1], hidden = w->lin1.w.n[0], band = samc__band_of(exec, all.n[0], hidden, 192);
    for (int64_t at = 0; at < all.n[0]; at += band) {
        const samc__view x = samc__rows_of(all, at, at + band < all.n[0] ? at + band : all.n[0]),
                         y = samc__as(net->precision, samc__view2(b->narrow, x.n[0], d)),
                         between = samc__as(net->precision, samc__view2(b->wide, x.n[0], hidden));
        SAMC__TRY(samc__layernorm(exec, &(samc__layernorm_args){.x = x, .norm = w->norm2, .y = y}));
        SAMC__TRY(samc__linear(exec, &(samc__linear_args){.x = y, .p = w->lin1, .y = between, .act = SAMC__ACT_GELU}));
        SAMC__TRY(samc__linear(exec, &(samc__linear_args){.x = between, .p = w->lin2, .residual = x, .y = x}));
    }
    return SAMC_OK;
}

/* The shortcut of a stage's first block: the largest of each 2 x 2 of a projection of the normed input y. */
static samc_status run_shortcut(const samc__exec *exec, const block *k, samc__view y, int side,
                                const encoder_buffers *b, float *x) {
    const int64_t d = k->w->shortcut.w.n[0];
    SAMC__TRY(
        samc__linear(exec, &(samc__linear_args){.x = y, .p = k->w->shortcut, .y = samc__view2(b->wide, y.n[0], d)}));
    return samc__max_pool(exec, &(samc__max_pool_args){.x = samc__view4(b->wide, b->images, side, side, d),
                                                       .y = samc__view4(x, b->images, side / 2, side / 2, d)});
}

static samc_status run_block(const samc__exec *exec, const samc__network *net, const block *k,
                             const encoder_buffers *b) {
    const samc__dtype a = net->precision;
    const int from = k->stage - k->pools, side = side_of(&net->config, from), pool = k->pools ? 2 : 1;
    const int64_t in = k->w->qkv.w.n[1], d = k->w->proj.w.n[0], n = (int64_t)side * side, queries = n / (pool * pool),
                  rows = b->images * n;
    void *pooled = (char *)b->narrow + (size_t)(b->images * queries * d) * samc__dtype_size(a);
    samc__view x = samc__view2(b->x[k->stage % 2], b->images * queries, d),
               y = samc__as(a, samc__view2(b->narrow, rows, in)),
               out = samc__as(a, samc__view2(b->narrow, b->images * queries, d)),
               qkv = samc__as(a, samc__view2(b->wide, rows, 3 * d));
    samc__attention_relpos_args attention = {.qkv = samc__as(a, samc__view3(b->wide, b->images, n, 3 * d)),
                                             .qkv_bias = k->w->qkv_b,
                                             .y = samc__as(a, samc__view3(b->narrow, b->images, queries, d)),
                                             .heads = net->config.encoder.hiera.num_heads << k->stage,
                                             .grid = side,
                                             .window = k->window};
    SAMC__TRY(samc__layernorm(
        exec, &(samc__layernorm_args){.x = samc__view2(b->x[from % 2], rows, in), .norm = k->w->norm1, .y = y}));
    if (k->pools) SAMC__TRY(run_shortcut(exec, k, y, side, b, samc__f32(x)));
    SAMC__TRY(samc__linear(exec, &(samc__linear_args){.x = y, .p = k->w->qkv, .b_of_y = k->w->qkv_b, .y = qkv}));
    if (k->pools) {
        attention.q = samc__as(a, samc__view3(pooled, b->images, queries, d));
        SAMC__TRY(samc__max_pool(
            exec, &(samc__max_pool_args){.x = samc__as(a, samc__view4(b->wide, b->images, side, side, 3 * d)),
                                         .y = samc__as(a, samc__view4(pooled, b->images, side / 2, side / 2, d))}));
    }
    SAMC__TRY(samc__attention_relpos(exec, &attention));
    SAMC__TRY(samc__linear(exec, &(samc__linear_args){.x = out, .p = k->w->proj, .residual = x, .y = x}));
    return run_mlp(exec, net, k->w, x, b);
}

/* Pixels -> x of the first stage. */
static samc_status run_stem(const samc__exec *exec, const samc__network *net, const samc_image *inputs,
                            const encoder_buffers *b) {
    const samc__hiera_weights *w = &net->weights.encoder.hiera;
    const int side = side_of(&net->config, 0);
    const int64_t n = (int64_t)side * side, d = net->config.encoder.hiera.embed_dim;
    const size_t size = samc__dtype_size(net->precision);
    SAMC__TRY(samc__make_patches(exec, net, inputs, b->images, STRIDE, b->wide));
    for (int i = 0; i < b->images; i++) {
        const void *patches = (const char *)b->wide + (size_t)(i * n * PATCH) * size;
        SAMC__TRY(samc__conv3x3(
            exec, &(samc__conv3x3_args){.x = samc__as(net->precision, samc__view4(patches, 1, side, side, PATCH)),
                                        .w = w->stem.w,
                                        .b = w->stem.b,
                                        .residual = samc__view4(w->positions.data, 1, side, side, d),
                                        .y = samc__view4(b->x[0] + i * n * d, 1, side, side, d),
                                        .stride = 1}));
    }
    return SAMC_OK;
}

/* x [rows, d] of a stage, for a product: in 16 bits where the model is. */
static samc_status run_low(const samc__exec *exec, const samc__network *net, int stage, const encoder_buffers *b,
                           samc__view *x) {
    const samc__view wide = samc__view2(b->x[stage % 2], b->images * cells_of(&net->config, stage),
                                        dim_of(&net->config.encoder.hiera, stage));
    *x = wide;
    if (net->precision == SAMC__F32) return SAMC_OK;
    *x = samc__as(net->precision, samc__view2(b->narrow, wide.n[0], wide.n[1]));
    return samc__add_rows(exec, &(samc__add_rows_args){.x = wide, .y = *x});
}

/* One of the finer levels, behind its stage. */
static samc_status run_fine(const samc__exec *exec, const samc__network *net, int stage, const encoder_buffers *b,
                            const samc__features *to) {
    const samc__projection *p = &net->weights.encoder.hiera.fine[stage];
    samc__view x, y = to->level[1 + stage];
    SAMC__TRY(run_low(exec, net, stage, b, &x));
    y.rank = 2, y.n[0] = x.n[0], y.n[1] = p->w.n[0];
    return samc__linear(exec, &(samc__linear_args){.x = x, .p = *p, .y = y});
}

/* The embedding: a product with the third stage, and with the fourth, of which each cell stands for 2 x 2. */
static samc_status run_embedding(const samc__exec *exec, const samc__network *net, const encoder_buffers *b,
                                 const samc__features *to) {
    const samc__hiera_weights *w = &net->weights.encoder.hiera;
    const int64_t c = net->config.decoder.channels, side = side_of(&net->config, STAGES - 1),
                  cells = b->images * side * side;
    const size_t cell = (size_t)c * sizeof(float), row = 2 * (size_t)side * cell;
    float *coarse = b->wide, *across = coarse + cells * c, *both = across + 2 * cells * c; /* each cell; twice; 2 x 2 */
    samc__view x, y = to->level[0];
    SAMC__TRY(run_low(exec, net, STAGES - 1, b, &x));
    SAMC__TRY(samc__linear(exec, &(samc__linear_args){.x = x, .p = w->coarse, .y = samc__view2(coarse, cells, c)}));
    for (int i = 0; i < 2; i++)
        SAMC__TRY(samc__copy_rows(exec, across + i * c, 2 * cell, coarse, cell, cell, (size_t)cells));
    for (int i = 0; i < 2; i++)
        SAMC__TRY(samc__copy_rows(exec, both + (size_t)i * row / sizeof(float), 2 * row, across, row, row,
                                  (size_t)(b->images * side)));
    SAMC__TRY(run_low(exec, net, STAGES - 2, b, &x));
    y.rank = 2, y.n[0] = x.n[0], y.n[1] = c;
    return samc__linear(
        exec, &(samc__linear_args){.x = x, .p = w->middle, .residual = samc__view2(both, 4 * cells, c), .y = y});
}

static samc_status encode_with(const samc__exec *exec, const samc__network *net, const samc_image *inputs,
                               const encoder_buffers *b, const samc__features *to) {
    const samc__hiera *h = &net->config.encoder.hiera;
    int index = 0;
    SAMC__TRY(run_stem(exec, net, inputs, b));
    for (int stage = 0; stage < STAGES; stage++) {
        for (int i = 0; i < h->stages[stage]; i++, index++) {
            /* A stage's first block has the windows of the stage before, in whose tokens it looks for keys. */
            const block k = {.w = &net->weights.encoder.hiera.blocks[index],
                             .stage = stage,
                             .window = h->global_att[index] ? 0 : h->window_spec[stage - (stage > 0 && i == 0)],
                             .pools = stage > 0 && i == 0};
            SAMC__TRY(run_block(exec, net, &k, b));
        }
        if (stage < 2) SAMC__TRY(run_fine(exec, net, stage, b, to));
    }
    return run_embedding(exec, net, b, to);
}

samc_status samc__hiera_encode(const samc__exec *exec, const samc__network *net, const samc_image *inputs, int images,
                               const samc__features *features) {
    const sizes s = sizes_of(exec, &net->config, images);
    const size_t x = (size_t)s.x, other = (size_t)s.other, narrow = (size_t)s.narrow, wide = (size_t)s.wide,
                 size = samc__dtype_size(net->precision);
    const size_t bytes = (x + other) * sizeof(float) + (narrow + wide) * size;
    encoder_buffers b = {.images = images};
    b.x[0] = samc__tensor_allocate(exec, bytes);
    if (b.x[0] == NULL)
        return samc__fail(exec->error, SAMC_OUT_OF_MEMORY, "no memory to encode %d image(s): %zu bytes", images, bytes);
    b.x[1] = b.x[0] + x;
    b.narrow = b.x[1] + other;
    b.wide = (char *)b.narrow + narrow * size;
    samc_status status = encode_with(exec, net, inputs, &b, features);
    samc__tensor_release(exec, b.x[0]);
    return status;
}
