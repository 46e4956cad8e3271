/* CLIP's image features: how an image is prepared, and the class token behind the blocks.
 *
 * Prepared as transformers' CLIPImageProcessorPil does it, to the bit: Pillow's antialiased bicubic until the shorter
 * side fits, the centre of that, then normalised. Its other processor, torchvision's, differs by one in some pixels. */
#include "runtime/model/text_image.h"

#include "kernels/layernorm/layernorm.h"
#include "kernels/linear/linear.h"
#include "kernels/place.h"
#include "kernels/preprocess/preprocess.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- Pillow's bicubic ------------------------------------------------------------------------ */

enum { BITS = 32 - 8 - 2 }; /* of its fixed-point weights */

/* Output i of the axis is the sum of weight[i * taps + j] times input first[i] + j, in fixed point. */
typedef struct axis {
    int taps, *first, *count;
    int32_t *weight;
} axis;

static double bicubic(double x) {
    const double a = -0.5;
    x = fabs(x);
    if (x < 1.0) return ((a + 2.0) * x - (a + 3.0)) * x * x + 1;
    return x < 2.0 ? (((x - 5) * x + 8) * x - 4) * a : 0.0;
}

/* Outputs [from, from + count) of `in` pixels that become `out` (src/libImaging/Resample.c). */
static bool axis_init(axis *x, int in, int out, int from, int count) {
    const double scale = (double)in / out, filter = scale < 1.0 ? 1.0 : scale, support = 2.0 * filter;
    x->taps = (int)ceil(support) * 2 + 1;
    const size_t outs = (size_t)count, taps = (size_t)x->taps;
    double *value = malloc(taps * sizeof *value);
    x->first = malloc(outs * (2 * sizeof *x->first + taps * sizeof *x->weight));
    const bool done = value && x->first;
    if (done) x->count = x->first + outs, x->weight = (int32_t *)(x->count + outs);
    for (int i = 0; i < count && done; i++) {
        const double center = (from + i + 0.5) * scale;
        int first = (int)(center - support + 0.5), last = (int)(center + support + 0.5);
        double sum = 0;
        first = first < 0 ? 0 : first, last = last > in ? in : last;
        for (int j = 0; j < last - first; j++) sum += value[j] = bicubic((j + first - center + 0.5) * (1.0 / filter));
        for (int j = 0; j < last - first; j++) {
            const double weight = (sum != 0.0 ? value[j] / sum : value[j]) * (1 << BITS);
            x->weight[(size_t)i * taps + (size_t)j] = (int32_t)(weight < 0 ? weight - 0.5 : weight + 0.5);
        }
        x->first[i] = first, x->count[i] = last - first;
    }
    free(value);
    return done;
}

static uint8_t clip8(int32_t sum) {
    const int32_t value = sum >> BITS;
    return value < 0 ? 0 : value > 255 ? 255 : (uint8_t)value;
}

/* The sum over an axis at `in`, whose samples are `apart`. */
static uint8_t filtered(const axis *x, int i, const uint8_t *in, size_t apart) {
    const int32_t *weight = x->weight + (size_t)i * (size_t)x->taps;
    int32_t sum = 1 << (BITS - 1);
    for (int j = 0; j < x->count[i]; j++) sum += weight[j] * in[(size_t)(x->first[i] + j) * apart];
    return clip8(sum);
}

/* A window of the resized image; an axis that keeps its size is not touched. */
typedef struct window {
    int width, height; /* of the whole */
    int left, top, side;
} window;

static samc_status resize(const samc_image *image, const window *w, uint8_t *out, samc_error *error) {
    const size_t row = 3 * (size_t)w->side;
    const int height = image->height;
    axis x = {0}, y = {0};
    uint8_t *middle = malloc(row * (size_t)height); /* [height, side, 3] */
    const bool made = middle && axis_init(&x, image->width, w->width, w->left, w->side) &&
                      axis_init(&y, height, w->height, w->top, w->side);
    int from = made ? y.first[0] : 0, to = made ? y.first[w->side - 1] + y.count[w->side - 1] : 0;
    if (w->height == height) from = w->top, to = w->top + w->side;
    for (int line = from; line < to; line++) {
        const uint8_t *in = image->pixels + (ptrdiff_t)line * image->row_bytes;
        uint8_t *at = middle + row * (size_t)line;
        if (w->width == image->width) memcpy(at, in + 3 * w->left, row);
        else
            for (int i = 0; i < w->side; i++)
                for (int c = 0; c < 3; c++) at[3 * i + c] = filtered(&x, i, in + c, 3);
    }
    for (int line = 0; line < w->side && made; line++) {
        if (w->height == height) memcpy(out + row * (size_t)line, middle + row * (size_t)(w->top + line), row);
        else
            for (size_t i = 0; i < row; i++) out[row * (size_t)line + i] = filtered(&y, line, middle + i, row);
    }
    free(middle), free(x.first), free(y.first);
    return made ? SAMC_OK : samc__fail(error, SAMC_OUT_OF_MEMORY, "no memory to resize an image");
}

samc_status samc__clip_prepare(const samc_image *image, int side, uint8_t *out, samc_error *error) {
    const int width = image->width, height = image->height, shorter = width <= height ? width : height,
              longer = width <= height ? height : width;
    const double length = (double)((int64_t)side * longer) / shorter;
    if (length > 1 << 20)
        return samc__fail(error, SAMC_UNSUPPORTED, "an image of %d x %d pixels is too narrow to be looked at", width,
                          height);
    window w = {.width = width <= height ? side : (int)length, .height = width <= height ? (int)length : side};
    w.left = (w.width - side) / 2, w.top = (w.height - side) / 2, w.side = side;
    return resize(image, &w, out, error);
}

/* ---- Features -------------------------------------------------------------------------------- */

enum { BATCH_ROWS = 3200 }; /* tokens: enough for the products, bounded memory */

/* Prepared bytes [side, side, 3] of image i -> its patches. */
static samc_status make_patches(const samc__exec *exec, const samc__text_image *net, const uint8_t *bytes, int i,
                                const samc__plain_rows *r) {
    static const float mean[] = SAMC__CLIP_MEAN, std[] = SAMC__CLIP_STD;
    const samc__vision_spec *v = &net->config.vision;
    const bool own = net->config.kind == SAMC__TEXT_IMAGE_CLIP;
    const int side = v->table_grid * v->patch;
    const int64_t n = (int64_t)v->table_grid * v->table_grid, patch = 3 * (int64_t)v->patch * v->patch;
    const samc_image image = {.pixels = bytes, .width = side, .height = side, .row_bytes = 3 * (ptrdiff_t)side};
    samc__preprocess_args args = {
        .height = side,
        .width = side,
        .new_height = side,
        .new_width = side,
        .patch = v->patch,
        .grid = v->table_grid,
        .filter = SAMC__FILTER_PILLOW_U8,
        .range = SAMC__RANGE_1,
        .patches =
            samc__as(r->a, samc__view2((char *)r->wide + (size_t)(i * n * patch) * samc__dtype_size(r->a), n, patch)),
    };
    memcpy(args.mean, own ? v->mean : mean, sizeof args.mean);
    memcpy(args.std, own ? v->std : std, sizeof args.std);
    SAMC__TRY(exec->place->image(exec, &image, &args.rgb, &args.row_bytes));
    SAMC__TRY(samc__preprocess(exec, &args));
    return exec->place->image_read(exec);
}

/* Of rows whose patches are there: features [sequences, dim], behind the class tokens at `ends`. */
static samc_status run(const samc__exec *exec, const samc__text_image *net, const samc__plain_rows *r, float *ends) {
    const samc__plain *p = &net->config.vision.plain;
    const samc__vision_weights *w = &net->weights.vision;
    const int64_t n = r->sequences;
    const samc__view x = samc__view2(ends, n, p->dim), y = samc__as(r->a, samc__view2(r->y, n, p->dim));
    SAMC__TRY(samc__vision_embed(exec, net, r));
    SAMC__TRY(samc__plain_run(exec, p, w->blocks, 0, p->depth - 1, r));
    SAMC__TRY(samc__plain_last(exec, p, &w->blocks[p->depth - 1], r, ends));
    SAMC__TRY(samc__layernorm(exec, &(samc__layernorm_args){.x = x, .norm = w->after, .y = y}));
    return samc__linear(
        exec, &(samc__linear_args){.x = y, .p = w->out, .y = samc__view2(ends + n * p->dim, n, net->config.dim)});
}

static samc_status run_batch(const samc__exec *exec, const samc__text_image *net, const samc_image *images, int count,
                             uint8_t *bytes, float *out) {
    const int64_t d = net->config.vision.plain.dim, dim = net->config.dim;
    const int grid = net->config.vision.table_grid, side = grid * net->config.vision.patch;
    samc__plain_group group;
    samc__plain_rows rows;
    SAMC__TRY(samc__vision_begin(exec, net, count, grid, &group, &rows));
    float *ends = samc__tensor_allocate(exec, (size_t)(count * (d + dim)) * sizeof *ends);
    samc_status status =
        ends == NULL ? samc__fail(exec->error, SAMC_OUT_OF_MEMORY, "no memory for %d images", count) : SAMC_OK;
    for (int i = 0; i < count && status == SAMC_OK; i++) {
        status = samc__clip_prepare(&images[i], side, bytes, exec->error);
        if (status == SAMC_OK) status = make_patches(exec, net, bytes, i, &rows);
    }
    if (status == SAMC_OK) status = run(exec, net, &rows, ends);
    if (status == SAMC_OK) status = samc__download(exec, out, ends + count * d, (size_t)(count * dim) * sizeof *out);
    samc__tensor_release(exec, ends);
    samc__plain_end(exec, &rows);
    return status;
}

samc_status samc__clip_image(const samc__exec *exec, const samc__text_image *net, const samc_image *images, int count,
                             float *out) {
    const samc__vision_spec *v = &net->config.vision;
    const int tokens = v->table_grid * v->table_grid + 1, side = v->table_grid * v->patch,
              most = BATCH_ROWS / tokens > 1 ? BATCH_ROWS / tokens : 1;
    uint8_t *bytes = malloc(3 * (size_t)side * (size_t)side);
    if (bytes == NULL) return samc__fail(exec->error, SAMC_OUT_OF_MEMORY, "no memory to prepare an image");
    samc_status status = SAMC_OK;
    for (int i = 0; i < count && status == SAMC_OK; i += most)
        status = run_batch(exec, net, images + i, count - i < most ? count - i : most, bytes,
                           out + (int64_t)i * net->config.dim);
    free(bytes);
    return status;
}

void samc__unit_features(float *features, int count, int dim, float eps) {
    for (int row = 0; row < count; row++, features += dim) {
        double squares = 0;
        for (int i = 0; i < dim; i++) squares += (double)features[i] * (double)features[i];
        const float length = (float)sqrt(squares) + eps;
        for (int i = 0; i < dim; i++) features[i] /= length;
    }
}
