/* The image encoder in a straight line: ViT with windowed and global attention, then the neck.
 *
 * Mirrors ImageEncoderViT.forward. N = grid * grid tokens an image, D = embed_dim, C = out_chans. Three buffers
 * suffice: x (the residual stream, f32), y (normed input and attention output) and wide (patches, q k v, hidden layer,
 * neck), both in the model's precision, "A" below. */
#include "runtime/model/vit.h"
#include "kernels/add_rows/add_rows.h"
#include "kernels/attention_relpos/attention_relpos.h"
#include "kernels/conv3x3/conv3x3.h"
#include "kernels/layernorm/layernorm.h"
#include "kernels/linear/linear.h"
#include "kernels/preprocess/preprocess.h"

#include "runtime/model/geometry.h"
#include "kernels/place.h"

const samc__setting samc__vit_settings[] = {
    {"mask_threshold", -1000, 1000, offsetof(samc__config, recipe.threshold)},
    {.name = NULL},
};

static int64_t largest(int64_t a, int64_t b) { return a > b ? a : b; }

/* Elements for each token in the widest buffer. */
static int64_t wide_channels(const samc__config *c) {
    int64_t patch = 3 * (int64_t)c->patch_size * c->patch_size;
    return largest(largest(3 * (int64_t)c->embed_dim, c->mlp_dim), largest(patch, 2 * (int64_t)c->out_chans));
}

typedef struct encoder_buffers {
    int64_t rows; /* images * N */
    float *x;     /* [rows, D] */
    void *y;      /* [rows, D] A */
    void *wide;   /* [rows, wide_channels] A */
} encoder_buffers;

static samc_status run_block(const samc__exec *exec, const samc__network *net, int index, int images,
                             const encoder_buffers *b) {
    const samc__config *c = &net->config;
    const samc__vit_block *w = &net->weights.vit.blocks[index];
    int64_t d = c->embed_dim, n = (int64_t)c->grid * c->grid;
    const samc__dtype a = net->precision;
    samc__view x = samc__view2(b->x, b->rows, d), y = samc__as(a, samc__view2(b->y, b->rows, d)),
               qkv = samc__as(a, samc__view2(b->wide, b->rows, 3 * d)),
               hidden = samc__as(a, samc__view2(b->wide, b->rows, c->mlp_dim));

    SAMC__TRY(samc__layernorm(exec, &(samc__layernorm_args){.x = x, .norm = w->norm1, .y = y}));
    SAMC__TRY(samc__linear(exec, &(samc__linear_args){.x = y, .p = w->qkv, .b_of_y = w->pad_qkv, .y = qkv}));
    SAMC__TRY(samc__attention_relpos(exec, &(samc__attention_relpos_args){
                                               .qkv = samc__as(a, samc__view3(b->wide, images, n, 3 * d)),
                                               .qkv_bias = w->pad_qkv,
                                               .rel_h = w->rel_pos_h,
                                               .rel_w = w->rel_pos_w,
                                               .y = samc__as(a, samc__view3(b->y, images, n, d)),
                                               .heads = c->num_heads,
                                               .grid = c->grid,
                                               .window = c->global_attn[index] ? 0 : c->window_size,
                                           }));
    SAMC__TRY(samc__linear(exec, &(samc__linear_args){.x = y, .p = w->proj, .residual = x, .y = x}));
    SAMC__TRY(samc__layernorm(exec, &(samc__layernorm_args){.x = x, .norm = w->norm2, .y = y}));
    SAMC__TRY(samc__linear(exec, &(samc__linear_args){.x = y, .p = w->lin1, .y = hidden, .act = SAMC__ACT_GELU}));
    return samc__linear(exec, &(samc__linear_args){.x = hidden, .p = w->lin2, .residual = x, .y = x});
}

/* 1x1 convolution, LayerNorm2d, 3x3 convolution, LayerNorm2d. */
static samc_status run_neck(const samc__exec *exec, const samc__network *net, int images, const encoder_buffers *b,
                            void *out) {
    const samc__config *config = &net->config;
    const samc__vit_weights *w = &net->weights.vit;
    int64_t d = config->embed_dim, c = config->out_chans, n = (int64_t)config->grid * config->grid;
    const samc__dtype a = net->precision;
    samc__view x = samc__view2(b->x, b->rows, d), narrow = samc__as(a, samc__view2(b->wide, b->rows, c)),
               result = samc__as(a, samc__view2(out, b->rows, c));
    if (a != SAMC__F32) { /* a product reads x in the type of its weight without a conversion for each of its tiles */
        samc__view rounded = samc__as(a, samc__view2(b->y, b->rows, d));
        SAMC__TRY(samc__add_rows(exec, &(samc__add_rows_args){.x = x, .y = rounded}));
        x = rounded;
    }
    SAMC__TRY(samc__linear(exec, &(samc__linear_args){.x = x, .p = w->neck_conv1, .y = narrow}));
    SAMC__TRY(samc__layernorm(exec, &(samc__layernorm_args){.x = narrow, .norm = w->neck_norm1, .y = narrow}));
    SAMC__TRY(samc__conv3x3(exec, &(samc__conv3x3_args){.x = samc__as(a, samc__view3(b->wide, images, n, c)),
                                                        .w = w->neck_conv2,
                                                        .y = samc__as(a, samc__view3(out, images, n, c)),
                                                        .grid = config->grid}));
    return samc__layernorm(exec, &(samc__layernorm_args){.x = result, .norm = w->neck_norm2, .y = result});
}

static samc_status encode_with(const samc__exec *exec, const samc__network *net, const samc_image *inputs, int images,
                               const encoder_buffers *b, void *embeddings) {
    const samc__config *c = &net->config;
    const samc__dtype a = net->precision;
    int64_t n = (int64_t)c->grid * c->grid, d = c->embed_dim, patch = 3 * (int64_t)c->patch_size * c->patch_size;
    for (int i = 0; i < images; i++) {
        samc__geometry g = samc__geometry_of(c->recipe.side, inputs[i].width, inputs[i].height);
        const uint8_t *rgb;
        ptrdiff_t row_bytes;
        SAMC__TRY(exec->place->image(exec, &inputs[i], &rgb, &row_bytes));
        samc__preprocess_args args = {
            .rgb = rgb,
            .row_bytes = row_bytes,
            .height = g.height,
            .width = g.width,
            .new_height = g.new_height,
            .new_width = g.new_width,
            .patch = c->patch_size,
            .grid = c->grid,
            .mean = {c->recipe.mean[0], c->recipe.mean[1], c->recipe.mean[2]},
            .std = {c->recipe.std[0], c->recipe.std[1], c->recipe.std[2]},
            .patches =
                samc__as(a, samc__view2((char *)b->wide + (size_t)(i * n * patch) * samc__dtype_size(a), n, patch)),
        };
        SAMC__TRY(samc__preprocess(exec, &args));
        SAMC__TRY(exec->place->image_read(exec));
    }
    SAMC__TRY(samc__linear(exec, &(samc__linear_args){.x = samc__as(a, samc__view2(b->wide, b->rows, patch)),
                                                      .p = net->weights.vit.patch,
                                                      .residual = net->weights.vit.pos_embed,
                                                      .y = samc__view2(b->x, b->rows, d)}));
    for (int i = 0; i < c->depth; i++) SAMC__TRY(run_block(exec, net, i, images, b));
    return run_neck(exec, net, images, b, embeddings);
}

samc_status samc__encode(const samc__exec *exec, const samc__network *net, const samc_image *inputs, int images,
                         void *embeddings) {
    const samc__config *c = &net->config;
    encoder_buffers b = {.rows = (int64_t)images * c->grid * c->grid};
    size_t d = (size_t)b.rows * (size_t)c->embed_dim, size = samc__dtype_size(net->precision);
    size_t bytes = d * (sizeof(float) + size) + (size_t)(b.rows * wide_channels(c)) * size;
    b.x = samc__tensor_allocate(exec, bytes);
    if (b.x == NULL)
        return samc__fail(exec->error, SAMC_OUT_OF_MEMORY, "no memory to encode %d image(s): %zu bytes", images, bytes);
    b.y = b.x + d;
    b.wide = (char *)b.y + d * size;
    samc_status status = encode_with(exec, net, inputs, images, &b, embeddings);
    samc__tensor_release(exec, b.x);
    return status;
}
