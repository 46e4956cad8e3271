/* preprocess, reference: Pillow's antialiased bilinear resize in its fixed-point arithmetic, then normalisation and
 * padding.
 *
 * Pillow (src/libImaging/Resample.c) weights a triangle filter whose half-width is the scale factor (at least 1),
 * rounds the normalised weights to 22 bits, and resizes rows first, to 8 bits, then columns. Every rounding matters: a
 * pixel that differs by one changes masks. Output rows are made one at a time, so that the memory needed does not grow
 * with the image's height. */
#include "kernels/resize_axis.h"

#include <math.h>
#include <string.h>

samc_status samc__preprocess_check(const samc__preprocess_args *a, samc_error *error) {
    int64_t side = (int64_t)a->patch * a->grid;
    SAMC__REQUIRE(error, "preprocess", a->rgb != NULL && a->height > 0 && a->width > 0);
    SAMC__REQUIRE(error, "preprocess", a->row_bytes >= (ptrdiff_t)3 * a->width);
    SAMC__REQUIRE(error, "preprocess", a->new_height > 0 && a->new_height <= side);
    SAMC__REQUIRE(error, "preprocess", a->new_width > 0 && a->new_width <= side);
    SAMC__REQUIRE(error, "preprocess",
                  samc__is2(a->patches, (int64_t)a->grid * a->grid, 3 * (int64_t)a->patch * a->patch));
    return SAMC_OK;
}

double samc__preprocess_flops(const samc__preprocess_args *a) {
    (void)a;
    return 0.0;
}

samc_status samc__resize_axis_init(const samc__exec *exec, int in, int out, samc__resize_axis *x) {
    double scale = (double)in / out, support = scale < 1.0 ? 1.0 : scale;
    x->taps = (int)ceil(support) * 2 + 1;
    size_t outs = (size_t)out, weights_bytes = outs * (size_t)x->taps * sizeof(int32_t);
    size_t doubles = (size_t)x->taps * sizeof(double);
    x->block = exec->allocate(exec->memory, doubles + 2 * outs * sizeof(int32_t) + weights_bytes);
    if (x->block == NULL)
        return samc__fail(exec->error, SAMC_OUT_OF_MEMORY, "no memory to resize an image of %d pixels", in);
    double *value = x->block; /* [taps] */
    x->first = (int32_t *)(value + x->taps);
    x->count = x->first + outs;
    x->weight = x->count + outs;
    for (int i = 0; i < out; i++) {
        double center = (i + 0.5) * scale, sum = 0.0;
        int first = (int)(center - support + 0.5), last = (int)(center + support + 0.5);
        if (first < 0) first = 0;
        if (last > in) last = in;
        for (int j = 0; j < last - first; j++) {
            double distance = fabs((j + first - center + 0.5) * (1.0 / support));
            value[j] = distance < 1.0 ? 1.0 - distance : 0.0;
            sum += value[j];
        }
        for (int j = 0; j < last - first; j++) {
            double normalised = sum != 0.0 ? value[j] / sum : value[j];
            x->weight[(size_t)i * (size_t)x->taps + (size_t)j] = (int32_t)(0.5 + normalised * (1 << SAMC__RESIZE_BITS));
        }
        x->first[i] = first;
        x->count[i] = last - first;
    }
    return SAMC_OK;
}

static uint8_t clip8(int32_t sum) {
    int32_t value = sum >> SAMC__RESIZE_BITS;
    return value < 0 ? 0 : value > 255 ? 255 : (uint8_t)value;
}

/* One input row [width, 3] -> [new_width, 3]. */
static void resize_row(const samc__resize_axis *x, const uint8_t *in, int out_width, uint8_t *out) {
    for (int i = 0; i < out_width; i++) {
        const int32_t *weight = x->weight + (size_t)i * (size_t)x->taps;
        const uint8_t *pixel = in + (size_t)x->first[i] * 3;
        int32_t sum[3] = {1 << (SAMC__RESIZE_BITS - 1), 1 << (SAMC__RESIZE_BITS - 1), 1 << (SAMC__RESIZE_BITS - 1)};
        for (int j = 0; j < x->count[i]; j++)
            for (int c = 0; c < 3; c++) sum[c] += weight[j] * pixel[3 * j + c];
        for (int c = 0; c < 3; c++) out[3 * i + c] = clip8(sum[c]);
    }
}

/* Normalises row `y` of the resized image [new_width, 3] into its place in the patches. */
static void store_row(const samc__preprocess_args *a, int y, const uint8_t *rgb) {
    int64_t p = a->patch, patch_size = 3 * p * p;
    for (int x = 0; x < a->new_width; x++) {
        float *patch = samc__f32(a->patches) + (y / p * a->grid + x / p) * patch_size; /* [3, p, p] */
        for (int c = 0; c < 3; c++)
            patch[(c * p + y % p) * p + x % p] = ((float)rgb[3 * x + c] - a->mean[c]) / a->std[c];
    }
}

typedef struct preprocess_task {
    const samc__preprocess_args *args;
    const samc__resize_axis *horizontal, *vertical; /* NULL: that axis keeps its size, and Pillow skips its pass */
    uint8_t *scratch;                               /* [workers, taps + 1, new_width, 3] */
} preprocess_task;

static void preprocess_rows(void *context, int64_t begin, int64_t end, int worker) {
    const preprocess_task *t = context;
    const samc__preprocess_args *a = t->args;
    size_t row_size = 3 * (size_t)a->new_width;
    int slots = t->vertical ? t->vertical->taps : 1;
    uint8_t *ring =
        t->scratch + (size_t)worker * (size_t)(slots + 1) * row_size; /* input row r lives in slot r % slots */
    uint8_t *out = ring + (size_t)slots * row_size;
    int next = 0; /* input rows below this one are in the ring, as far as they are needed */
    for (int y = (int)begin; y < (int)end; y++) {
        int first = t->vertical ? t->vertical->first[y] : y, count = t->vertical ? t->vertical->count[y] : 1;
        if (next < first || y == begin) next = first;
        for (; next < first + count; next++) {
            const uint8_t *in = a->rgb + (ptrdiff_t)next * a->row_bytes;
            uint8_t *slot = ring + (size_t)(next % slots) * row_size;
            if (t->horizontal) resize_row(t->horizontal, in, a->new_width, slot);
            else memcpy(slot, in, row_size);
        }
        if (t->vertical == NULL) {
            store_row(a, y, ring);
            continue;
        }
        const int32_t *weight = t->vertical->weight + (size_t)y * (size_t)t->vertical->taps;
        for (size_t i = 0; i < row_size; i++) {
            int32_t sum = 1 << (SAMC__RESIZE_BITS - 1);
            for (int j = 0; j < count; j++) sum += weight[j] * ring[(size_t)((first + j) % slots) * row_size + i];
            out[i] = clip8(sum);
        }
        store_row(a, y, out);
    }
}

samc_status samc__preprocess_ref(const samc__exec *exec, const samc__preprocess_args *a) {
    samc__resize_axis horizontal = {0}, vertical = {0};
    bool resize_x = a->new_width != a->width, resize_y = a->new_height != a->height;
    memset(a->patches.data, 0, (size_t)(a->patches.n[0] * a->patches.n[1]) * sizeof(float));
    samc_status status = SAMC_OK;
    if (resize_x) status = samc__resize_axis_init(exec, a->width, a->new_width, &horizontal);
    if (resize_y && status == SAMC_OK) status = samc__resize_axis_init(exec, a->height, a->new_height, &vertical);
    preprocess_task task = {a, resize_x ? &horizontal : NULL, resize_y ? &vertical : NULL, NULL};
    if (status == SAMC_OK) {
        size_t slots = resize_y ? (size_t)vertical.taps : 1;
        task.scratch = exec->allocate(exec->memory, (size_t)exec->workers * (slots + 1) * 3 * (size_t)a->new_width);
        if (task.scratch == NULL) status = samc__fail(exec->error, SAMC_OUT_OF_MEMORY, "no memory to resize an image");
        else exec->parallel(exec->pool, a->new_height, 64, preprocess_rows, &task);
    }
    exec->release(exec->memory, task.scratch);
    exec->release(exec->memory, vertical.block);
    exec->release(exec->memory, horizontal.block);
    return status;
}
