/* EfficientViT-L and XL, the encoders of EfficientViT-SAM: stages of convolutions, the last ones with linear attention;
 * a neck that adds up three of them at one size.
 *
 * Mirrors EfficientViTLargeBackbone and SamNeck of efficientvit. Batch norms are folded when the file is read
 * (weights/fold.c). Activations are [images * h * w, channels]; "A" is the model's precision. Stage i has 1 / 2^(i + 1)
 * of the input's side; the embedding has the side of the third from last. The residual stream is f32; what convolutions
 * read of it is A. Every GELU is the one by tanh. */
#include "runtime/model/steps.h"

#include "kernels/add_rows/add_rows.h"
#include "kernels/conv3x3/conv3x3.h"
#include "kernels/depthwise/depthwise.h"
#include "kernels/grouped_linear/grouped_linear.h"
#include "kernels/layernorm/layernorm.h"
#include "kernels/linear/linear.h"
#include "kernels/linear_attention/linear_attention.h"
#include "kernels/place.h"
#include "kernels/upscale_bicubic/upscale_bicubic.h"

#include <stdio.h>
#include <string.h>

enum { STAGES = SAMC__EFFICIENTVIT_STAGES, LEVELS = SAMC__EFFICIENTVIT_LEVELS };

/* Kinds of blocks: those of stages, and stage 0's of two 3x3 convolutions. */
enum { FUSED = SAMC__EFFICIENTVIT_FUSED, INVERTED = SAMC__EFFICIENTVIT_INVERTED, RESIDUAL = -1 };

static const float norm_eps = 1e-6f; /* of every norm of its models, decoder and batch norms (weights/fold.c) too */
static const float attention_eps = 1e-15f;

/* ---- Its tensors ----------------------------------------------------------------------------- */

/* A convolution, in groups where `in` is the width of one, side x side. */
static void list_convolution(samc__tensor_list *list, samc__projection *to, samc__role role, const char *base,
                             const char *leaf, samc__shape shape) {
    char full[128];
    snprintf(full, sizeof full, "%s.%s.conv", base, leaf);
    samc__list_convolution(list, to, role, full, shape, shape.n[0]);
}

static void list_point(samc__tensor_list *list, samc__projection *to, const char *base, const char *leaf, int64_t out,
                       int64_t in) {
    list_convolution(list, to, SAMC__ROLE_MATRIX, base, leaf, SAMC__SHAPE4(out, in, 1, 1));
}

static void list_inverted(samc__tensor_list *list, samc__inverted *to, const char *base, int64_t in, int64_t hidden,
                          int64_t out) {
    list_point(list, &to->conv1, base, "inverted_conv", hidden, in);
    list_convolution(list, &to->conv2, SAMC__ROLE_TABLE, base, "depth_conv", SAMC__SHAPE4(hidden, 1, 3, 3));
    list_point(list, &to->conv3, base, "point_conv", out, hidden);
}

static void list_fused(samc__tensor_list *list, samc__inverted *to, const char *base, int64_t in, int64_t hidden,
                       int64_t out) {
    list_convolution(list, &to->conv1, SAMC__ROLE_OPERAND, base, "spatial_conv", SAMC__SHAPE4(hidden, in, 3, 3));
    list_point(list, &to->conv3, base, "point_conv", out, hidden);
}

static void list_attention(samc__tensor_list *list, samc__efficientvit_block *to, const char *base, int64_t d,
                           int64_t dim, int64_t reach) {
    samc__list_tensor(list, &to->qkv.w, SAMC__ROLE_MATRIX, base, "qkv.conv.weight", SAMC__SHAPE4(3 * d, d, 1, 1));
    samc__list_tensor(list, &to->gather.w, SAMC__ROLE_TABLE, base, "aggreg.0.0.weight",
                      SAMC__SHAPE4(3 * d, 1, reach, reach));
    samc__list_tensor(list, &to->mixed.w, SAMC__ROLE_OPERAND, base, "aggreg.0.1.weight",
                      SAMC__SHAPE4(3 * d, dim, 1, 1));
    list_point(list, &to->proj, base, "proj", d, 2 * d);
}

static void list_first(samc__tensor_list *list, const samc__efficientvit *v, int stage, const char *base,
                       samc__efficientvit_block *to) {
    const int64_t in = v->dim[stage - 1], hidden = v->first_hidden[stage], out = v->dim[stage];
    char full[80];
    snprintf(full, sizeof full, "%s.main", base);
    if (v->kind[stage] == SAMC__EFFICIENTVIT_FUSED) list_fused(list, &to->conv, full, in, hidden, out);
    else list_inverted(list, &to->conv, full, in, hidden, out);
}

static void list_block(samc__tensor_list *list, const samc__efficientvit *v, int stage, const char *base,
                       samc__efficientvit_block *to) {
    const int64_t d = v->dim[stage], hidden = v->hidden[stage];
    const bool attention = v->kind[stage] == SAMC__EFFICIENTVIT_ATTENTION;
    char full[96];
    if (attention) {
        snprintf(full, sizeof full, "%s.context_module.main", base);
        list_attention(list, to, full, d, v->head_dim[stage], v->reach[stage]);
    }
    snprintf(full, sizeof full, "%s%s.main", base, attention ? ".local_module" : "");
    if (stage == 0) {
        list_convolution(list, &to->conv.conv1, SAMC__ROLE_OPERAND, full, "conv1", SAMC__SHAPE4(hidden, d, 3, 3));
        list_convolution(list, &to->conv.conv3, SAMC__ROLE_OPERAND, full, "conv2", SAMC__SHAPE4(d, hidden, 3, 3));
    } else if (v->kind[stage] == SAMC__EFFICIENTVIT_FUSED) list_fused(list, &to->conv, full, d, hidden, d);
    else list_inverted(list, &to->conv, full, d, hidden, d);
}

static void list_neck(samc__tensor_list *list, const samc__efficientvit *v, int64_t channels,
                      samc__efficientvit_weights *to) {
    char base[64];
    for (int level = 0; level < LEVELS; level++) {
        snprintf(base, sizeof base, "image_encoder.neck.input_ops.%d", level);
        list_point(list, &to->level[level], base, "op_list.0", v->neck_dim, v->dim[v->stages - 1 - level]);
    }
    for (int i = 0; i < v->neck_depth; i++) {
        snprintf(base, sizeof base, "image_encoder.neck.middle.op_list.%d.main", i);
        list_fused(list, &to->middle[i].conv, base, v->neck_dim, v->neck_hidden, v->neck_dim);
    }
    list_point(list, &to->out, "image_encoder.neck.output_ops.0", "op_list.0", channels, v->neck_dim);
    samc__list_norm(list, &to->norm, "image_encoder", "norm", channels, norm_eps);
}

static void list_tensors(samc__tensor_list *list, const samc__config *config, samc__encoder_weights *weights) {
    const samc__efficientvit *v = &config->encoder.efficientvit;
    samc__efficientvit_weights *to = &weights->efficientvit;
    samc__efficientvit_block *block = to->blocks;
    char base[64];
    list_convolution(list, &to->stem, SAMC__ROLE_OPERAND, "image_encoder.backbone.stages.0", "op_list.0",
                     SAMC__SHAPE4(v->dim[0], 3, 3, 3));
    for (int stage = 0; stage < v->stages; stage++)
        for (int i = stage == 0; i < v->depth[stage]; i++, block++) {
            snprintf(base, sizeof base, "image_encoder.backbone.stages.%d.op_list.%d", stage, i);
            if (i == 0) list_first(list, v, stage, base, block);
            else list_block(list, v, stage, base, block);
        }
    list_neck(list, v, config->decoder.channels, to);
}

/* ---- Running it ------------------------------------------------------------------------------ */

static int64_t largest(int64_t a, int64_t b) { return a > b ? a : b; }

/* Side of a stage's activations: each first block takes every other pixel. */
static int side_of(const samc__config *c, int stage) {
    int side = c->recipe.side;
    for (int i = 0; i <= stage; i++) side = (side - 1) / 2 + 1;
    return side;
}

/* The residual stream, of a stage and then of the neck; what the neck has added up so far; what is to be upscaled. A: x
 * again for convolutions, and two wide ones that a block's convolutions go through. */
typedef struct encoder_buffers {
    int images, side;         /* of the stage at hand */
    float *x, *sum, *between; /* [images * side * side, D], [images * grid * grid, neck_dim], [.., neck_dim] */
    void *low, *narrow, *wide;
} encoder_buffers;

/* Elements of each buffer for one image; narrow and wide of the type A. */
typedef struct sizes {
    int64_t x, sum, between, narrow, wide;
} sizes;

static sizes sizes_of(const samc__config *c) {
    const samc__efficientvit *v = &c->encoder.efficientvit;
    const int64_t cells = (int64_t)c->grid * c->grid;
    sizes s = {.x = cells * v->neck_dim, .sum = cells * v->neck_dim, .between = 1};
    s.narrow = cells * c->decoder.channels;
    s.wide = largest(3 * (int64_t)c->recipe.side * c->recipe.side, cells * v->neck_hidden);
    for (int stage = 0; stage < v->stages; stage++) {
        const int64_t n = (int64_t)side_of(c, stage) * side_of(c, stage), d = v->dim[stage];
        const int64_t before = stage == 0 ? 0 : (int64_t)side_of(c, stage - 1) * side_of(c, stage - 1);
        const bool fused = v->kind[stage] == SAMC__EFFICIENTVIT_FUSED;
        s.x = largest(s.x, n * d);
        s.narrow = largest(s.narrow, fused ? 0 : n * largest(v->first_hidden[stage], v->hidden[stage]));
        s.wide = largest(s.wide, largest((fused ? n : before) * v->first_hidden[stage], n * v->hidden[stage]));
        if (v->kind[stage] == SAMC__EFFICIENTVIT_ATTENTION)
            s.narrow = largest(s.narrow, 3 * n * d), s.wide = largest(s.wide, 6 * n * d);
        if (stage > v->stages - LEVELS) s.between = largest(s.between, n * v->neck_dim);
    }
    return s;
}

/* The residual stream as convolutions read it: [images, side, side, d] of A. */
static samc_status run_low(const samc__exec *exec, const samc__network *net, const encoder_buffers *b, int64_t d,
                           samc__view *low) {
    *low = samc__view4(b->x, b->images, b->side, b->side, d);
    if (net->precision == SAMC__F32) return SAMC_OK;
    const int64_t rows = (int64_t)b->images * b->side * b->side;
    *low = samc__as(net->precision, samc__view4(b->low, b->images, b->side, b->side, d));
    return samc__add_rows(exec, &(samc__add_rows_args){.x = samc__view2(b->x, rows, d),
                                                       .y = samc__as(net->precision, samc__view2(b->low, rows, d))});
}

static samc__view as_rows(samc__view v) {
    return samc__as(v.dtype, samc__view2(v.data, v.n[0] * v.n[1] * v.n[2], v.n[3]));
}

/* Two or three convolutions: x -> x, with the stride at the first that is 3x3. One of stride 1 adds its input. */
static samc_status run_convolutions(const samc__exec *exec, const samc__network *net, const samc__inverted *w, int kind,
                                    int stride, encoder_buffers *b) {
    const samc__dtype a = net->precision;
    const int64_t in = w->conv1.w.n[1], hidden = w->conv1.w.n[0], out = w->conv3.w.n[0];
    const int before = b->side, after = (before - 1) / stride + 1;
    samc__view x, within = samc__as(a, samc__view4(b->wide, b->images, after, after, hidden));
    SAMC__TRY(run_low(exec, net, b, in, &x));
    if (kind == INVERTED) {
        const samc__view first = samc__as(a, samc__view4(b->wide, b->images, before, before, hidden));
        within.data = b->narrow;
        SAMC__TRY(samc__linear(
            exec,
            &(samc__linear_args){.x = as_rows(x), .p = w->conv1, .y = as_rows(first), .act = SAMC__ACT_GELU_TANH}));
        SAMC__TRY(samc__depthwise(exec, &(samc__depthwise_args){.x = first,
                                                                .w = w->conv2.w,
                                                                .b = w->conv2.b,
                                                                .y = within,
                                                                .stride = stride,
                                                                .act = SAMC__ACT_GELU_TANH}));
    } else {
        SAMC__TRY(samc__conv3x3(exec, &(samc__conv3x3_args){.x = x,
                                                            .w = w->conv1.w,
                                                            .b = w->conv1.b,
                                                            .y = within,
                                                            .stride = stride,
                                                            .act = SAMC__ACT_GELU_TANH,
                                                            .winograd = true}));
    }
    b->side = after;
    const samc__view y = samc__view4(b->x, b->images, after, after, out), added = stride == 1 ? y : (samc__view){0};
    if (kind == RESIDUAL)
        return samc__conv3x3(exec, &(samc__conv3x3_args){.x = within,
                                                         .w = w->conv3.w,
                                                         .b = w->conv3.b,
                                                         .residual = added,
                                                         .y = y,
                                                         .stride = 1,
                                                         .winograd = true});
    samc__linear_args last = {.x = as_rows(within), .p = w->conv3, .y = as_rows(y)};
    if (stride == 1) last.residual = last.y;
    return samc__linear(exec, &last);
}

/* x += attention(x): one set of heads of q, k and v, another of what lies around each. */
static samc_status run_attention(const samc__exec *exec, const samc__network *net, const samc__efficientvit_block *w,
                                 encoder_buffers *b) {
    const samc__dtype a = net->precision;
    const int64_t d = w->proj.w.n[0], n = (int64_t)b->side * b->side, rows = b->images * n, dim = w->mixed.w.n[1];
    void *second = (char *)b->wide + (size_t)(rows * 3 * d) * samc__dtype_size(a);
    const samc__view qkv = samc__as(a, samc__view4(b->wide, b->images, b->side, b->side, 3 * d)),
                     around = samc__as(a, samc__view4(b->narrow, b->images, b->side, b->side, 3 * d)),
                     mixed = samc__as(a, samc__view3(second, b->images, n, 3 * d)),
                     y = samc__as(a, samc__view3(b->narrow, b->images, n, 2 * d));
    samc__view x;
    SAMC__TRY(run_low(exec, net, b, d, &x));
    SAMC__TRY(samc__linear(exec, &(samc__linear_args){.x = as_rows(x), .p = w->qkv, .y = as_rows(qkv)}));
    SAMC__TRY(samc__depthwise(exec, &(samc__depthwise_args){.x = qkv, .w = w->gather.w, .y = around, .stride = 1}));
    SAMC__TRY(
        samc__grouped_linear(exec, &(samc__grouped_linear_args){.x = as_rows(around),
                                                                .w = w->mixed.w,
                                                                .y = samc__as(a, samc__view2(second, rows, 3 * d)),
                                                                .groups = (int)(3 * d / dim)}));
    SAMC__TRY(samc__linear_attention(
        exec, &(samc__linear_attention_args){.qkv = {samc__as(a, samc__view3(b->wide, b->images, n, 3 * d)), mixed},
                                             .y = y,
                                             .heads = (int)(d / dim),
                                             .eps = attention_eps}));
    const samc__view to = samc__view2(b->x, rows, d);
    return samc__linear(
        exec, &(samc__linear_args){
                  .x = samc__as(a, samc__view2(b->narrow, rows, 2 * d)), .p = w->proj, .residual = to, .y = to});
}

/* The neck's part of the stage at hand, added to what there is: of the first, the third from last, nothing. */
static samc_status run_level(const samc__exec *exec, const samc__network *net, int stage, encoder_buffers *b) {
    const samc__efficientvit *v = &net->config.encoder.efficientvit;
    const int grid = net->config.grid, level = v->stages - 1 - stage;
    const samc__projection *p = &net->weights.encoder.efficientvit.level[level];
    samc__view x, sum = samc__view4(b->sum, b->images, grid, grid, v->neck_dim),
                  between = samc__view4(b->between, b->images, b->side, b->side, v->neck_dim);
    SAMC__TRY(run_low(exec, net, b, v->dim[stage], &x));
    if (level == LEVELS - 1)
        return samc__linear(exec, &(samc__linear_args){.x = as_rows(x), .p = *p, .y = as_rows(sum)});
    SAMC__TRY(samc__linear(exec, &(samc__linear_args){.x = as_rows(x), .p = *p, .y = as_rows(between)}));
    return samc__upscale_bicubic(exec, &(samc__upscale_bicubic_args){.x = between, .add = sum, .y = sum});
}

static samc_status run_neck(const samc__exec *exec, const samc__network *net, encoder_buffers *b,
                            const samc__features *to) {
    const samc__efficientvit *v = &net->config.encoder.efficientvit;
    const samc__efficientvit_weights *w = &net->weights.encoder.efficientvit;
    const int64_t c = net->config.decoder.channels;
    samc__view x;
    b->x = b->sum, b->side = net->config.grid;
    for (int i = 0; i < v->neck_depth; i++) SAMC__TRY(run_convolutions(exec, net, &w->middle[i].conv, FUSED, 1, b));
    SAMC__TRY(run_low(exec, net, b, v->neck_dim, &x));
    const samc__view y = samc__as(net->precision, samc__view2(b->narrow, as_rows(x).n[0], c));
    SAMC__TRY(samc__linear(exec, &(samc__linear_args){.x = as_rows(x), .p = w->out, .y = y}));
    samc__view embedding = y;
    embedding.data = to->level[0].data;
    return samc__layernorm(exec, &(samc__layernorm_args){.x = y, .norm = w->norm, .y = embedding});
}

static samc_status encode_with(const samc__exec *exec, const samc__network *net, const samc_image *inputs,
                               encoder_buffers *b, const samc__features *to) {
    const samc__efficientvit *v = &net->config.encoder.efficientvit;
    const samc__efficientvit_weights *w = &net->weights.encoder.efficientvit;
    const samc__efficientvit_block *block = w->blocks;
    const int64_t side = net->config.recipe.side;
    SAMC__TRY(samc__make_patches(exec, net, inputs, b->images, 1, b->wide));
    b->side = side_of(&net->config, 0);
    SAMC__TRY(samc__conv3x3(
        exec, &(samc__conv3x3_args){.x = samc__as(net->precision, samc__view4(b->wide, b->images, side, side, 3)),
                                    .w = w->stem.w,
                                    .b = w->stem.b,
                                    .y = samc__view4(b->x, b->images, b->side, b->side, v->dim[0]),
                                    .stride = 2,
                                    .act = SAMC__ACT_GELU_TANH}));
    for (int stage = 0; stage < v->stages; stage++) {
        const int kind = stage == 0 ? RESIDUAL : v->kind[stage] == SAMC__EFFICIENTVIT_FUSED ? FUSED : INVERTED;
        for (int i = stage == 0; i < v->depth[stage]; i++, block++) {
            if (i > 0 && v->kind[stage] == SAMC__EFFICIENTVIT_ATTENTION) SAMC__TRY(run_attention(exec, net, block, b));
            SAMC__TRY(run_convolutions(exec, net, &block->conv, kind, i == 0 ? 2 : 1, b));
        }
        if (stage >= v->stages - LEVELS) SAMC__TRY(run_level(exec, net, stage, b));
    }
    return run_neck(exec, net, b, to);
}

static samc_status encode(const samc__exec *exec, const samc__network *net, const samc_image *inputs, int images,
                          const samc__features *features) {
    const sizes s = sizes_of(&net->config);
    const size_t many = (size_t)images, size = samc__dtype_size(net->precision), narrow = many * (size_t)s.narrow,
                 low = net->precision == SAMC__F32 ? 0 : many * (size_t)s.x;
    const size_t floats = many * (size_t)(s.x + s.sum + s.between);
    const size_t bytes = floats * sizeof(float) + (low + narrow + many * (size_t)s.wide) * size;
    encoder_buffers b = {.images = images, .x = samc__tensor_allocate(exec, bytes)};
    float *block = b.x;
    if (b.x == NULL)
        return samc__fail(exec->error, SAMC_OUT_OF_MEMORY, "no memory to encode %d image(s): %zu bytes", images, bytes);
    b.sum = b.x + many * (size_t)s.x;
    b.between = b.sum + many * (size_t)s.sum;
    b.low = b.x + floats;
    b.narrow = (char *)b.low + low * size;
    b.wide = (char *)b.narrow + narrow * size;
    samc_status status = encode_with(exec, net, inputs, &b, features);
    samc__tensor_release(exec, block);
    return status;
}

/* ---- Its configuration ----------------------------------------------------------------------- */

static const char stem_name[] = "image_encoder.backbone.stages.0.op_list.0.conv.weight";

static bool recognise(const samc__checkpoint *checkpoint) {
    return samc__checkpoint_find(checkpoint, stem_name) != NULL;
}

/* The name of a tensor of a stage's block. */
static const char *stage_name(int stage, int block, const char *leaf, char name[128]) {
    snprintf(name, 128, "image_encoder.backbone.stages.%d.op_list.%d.%s", stage, block, leaf);
    return name;
}

static const samc__tensor *stage_tensor(samc__reading *r, int stage, int block, const char *leaf) {
    char name[128];
    return samc__read_tensor(r, stage_name(stage, block, leaf, name), 4);
}

static bool stage_has(const samc__reading *r, int stage, int block, const char *leaf) {
    char name[128];
    return samc__checkpoint_find(r->checkpoint, stage_name(stage, block, leaf, name)) != NULL;
}

static void infer_stage(samc__reading *r, int stage, samc__efficientvit *v) {
    char prefix[64];
    snprintf(prefix, sizeof prefix, "image_encoder.backbone.stages.%d.op_list.", stage);
    v->depth[stage] = samc__read_layers(r, prefix);
    const bool further = v->depth[stage] > 1;
    if (stage == 0) {
        v->dim[0] = samc__read_side(samc__read_tensor(r, stem_name, 4), 0);
        v->first_hidden[0] = v->hidden[0] = v->dim[0];
        if (further) v->hidden[0] = samc__read_side(stage_tensor(r, 0, 1, "main.conv1.conv.weight"), 0);
        return;
    }
    const bool fused = stage_has(r, stage, 0, "main.spatial_conv.conv.weight"),
               attention = stage_has(r, stage, 1, "context_module.main.qkv.conv.weight");
    v->kind[stage] = fused       ? SAMC__EFFICIENTVIT_FUSED
                     : attention ? SAMC__EFFICIENTVIT_ATTENTION
                                 : SAMC__EFFICIENTVIT_INVERTED;
    const samc__tensor *last = stage_tensor(r, stage, 0, "main.point_conv.conv.weight");
    v->dim[stage] = samc__read_side(last, 0);
    v->first_hidden[stage] = v->hidden[stage] = samc__read_side(last, 1);
    if (further)
        v->hidden[stage] = samc__read_side(
            stage_tensor(r, stage, 1,
                         attention ? "local_module.main.point_conv.conv.weight" : "main.point_conv.conv.weight"),
            1);
    if (v->kind[stage] != SAMC__EFFICIENTVIT_ATTENTION) return;
    v->reach[stage] = samc__read_side(stage_tensor(r, stage, 1, "context_module.main.aggreg.0.0.weight"), 2);
    v->head_dim[stage] = samc__read_side(stage_tensor(r, stage, 1, "context_module.main.aggreg.0.1.weight"), 1);
}

static void infer(samc__reading *r, samc__config *config) {
    samc__efficientvit *v = &config->encoder.efficientvit;
    const samc__tensor *middle =
        samc__read_tensor(r, "image_encoder.neck.middle.op_list.0.main.point_conv.conv.weight", 4);
    const samc__tensor *out = samc__read_tensor(r, "image_encoder.neck.output_ops.0.op_list.0.conv.weight", 4);
    v->stages = samc__read_layers(r, "image_encoder.backbone.stages.");
    v->neck_depth = samc__read_layers(r, "image_encoder.neck.middle.op_list.");
    v->neck_dim = samc__read_side(middle, 0);
    v->neck_hidden = samc__read_side(middle, 1);
    config->decoder.channels = samc__read_side(out, 0);
    config->decoder.norm_eps = norm_eps;
    if (v->stages <= LEVELS || v->stages > STAGES) {
        samc__read_fail(r, SAMC_UNSUPPORTED, "an EfficientViT of %d stages; samc can do %d to %d", v->stages,
                        LEVELS + 1, STAGES);
        v->stages = 0;
    }
    for (int stage = 0; stage < v->stages; stage++) infer_stage(r, stage, v);
    if (r->report.count > 0 || v->stages == 0) return;
    config->recipe.side = 64 << (v->stages - LEVELS + 1); /* no tensor tells; every known file's: L 512, XL 1024 */
    if (r->image_size > 0) config->recipe.side = r->image_size;
    else samc__merge_count(r, "img_size", &config->recipe.side, false);
    samc__merge_count(r, "out_chans", &config->decoder.channels, true);
    config->grid = side_of(config, v->stages - LEVELS);
}

static samc_status check_stage(const samc__efficientvit *v, int stage, const char *label, samc_error *error) {
    const bool attention = v->kind[stage] == SAMC__EFFICIENTVIT_ATTENTION;
    const samc__bounds bounds[] = {
        {"width of a stage", v->dim[stage], 1, 4096},
        {"blocks of a stage", v->depth[stage], 1, SAMC__MAX_BLOCKS},
        {"hidden width", v->first_hidden[stage], 1, 32768},
        {"hidden width", v->hidden[stage], 1, 32768},
        {"width of a head", v->head_dim[stage], attention, SAMC__GROUP_MOST},
        {"side of a convolution", v->reach[stage], attention, SAMC__DEPTHWISE_MOST},
    };
    const samc__multiple heads = {"width of a stage", v->dim[stage], "width of a head", v->head_dim[stage]};
    SAMC__TRY(samc__check_bounds(label, bounds, sizeof bounds / sizeof *bounds, error));
    if (!attention) return SAMC_OK;
    if (v->reach[stage] % 2 == 0)
        return samc__fail(error, SAMC_UNSUPPORTED, "%s: convolutions of even side, %d", label, v->reach[stage]);
    return samc__check_multiples(label, &heads, 1, error);
}

static samc_status check(const samc__config *config, const char *label, samc_error *error) {
    const samc__efficientvit *v = &config->encoder.efficientvit;
    const samc__bounds bounds[] = {
        {"stages", v->stages, LEVELS + 1, STAGES},
        {"width of the neck", v->neck_dim, 1, 4096},
        {"hidden width of the neck", v->neck_hidden, 1, 32768},
        {"blocks of the neck", v->neck_depth, 1, SAMC__EFFICIENTVIT_MIDDLE},
    };
    int blocks = 0;
    SAMC__TRY(samc__check_bounds(label, bounds, sizeof bounds / sizeof *bounds, error));
    for (int stage = 0; stage < v->stages; stage++) {
        SAMC__TRY(check_stage(v, stage, label, error));
        blocks += v->depth[stage];
    }
    return samc__check_bounds(label, &(samc__bounds){"blocks", blocks, 1, SAMC__MAX_BLOCKS}, 1, error);
}

static void write_config(const samc__config *config, samc__json_text *text) {
    samc__write_count(text, "out_chans", config->decoder.channels);
    samc__write_count(text, "decoder_num_heads", config->decoder.heads);
}

/* The last stage speaks for all. */
static void describe(const samc__config *config, samc_model_info *info) {
    const samc__efficientvit *v = &config->encoder.efficientvit;
    info->family = "EfficientViT-SAM";
    const int last = v->stages - 1;
    info->patch_size = config->recipe.side / config->grid;
    info->encoder_dim = v->dim[last];
    info->encoder_heads = v->head_dim[last] > 0 ? v->dim[last] / v->head_dim[last] : 0;
    info->encoder_mlp_dim = v->hidden[last];
    for (int stage = 0; stage < v->stages; stage++) info->encoder_depth += v->depth[stage];
}

static int early_channels(const samc__config *config) { return (void)config, 0; }

/* Prompts, mask inputs and masks are in a square of 1024 whatever side the encoder is given. */
static const samc__recipe recipes[] = {{SAMC__RECIPE_OF_SAM, .frame = 1024, .name = "efficientvit-sam"}};

const samc__encoder samc__encoder_efficientvit = {.name = "efficientvit",
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
