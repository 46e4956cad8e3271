/* preprocess, reference: the resize of the library that `filter` names, then normalisation and padding.
 *
 * Rows first, then columns. Pillow's arithmetic is in fixed point with 8 bits in between, and every rounding matters: a
 * pixel that differs by one changes masks. The others are sums of floats. Output rows are made one at a time, so that
 * the memory needed does not grow with the image's height. */
#include "kernels/resize_axis.h"
#include "kernels/preprocess/preprocess.h"

#include <math.h>
#include <string.h>

samc_status samc__preprocess_check(const samc__preprocess_args *a, samc_error *error) {
    int64_t side = (int64_t)a->patch * a->grid;
    SAMC__REQUIRE(error, "preprocess", a->rgb != NULL && a->height > 0 && a->width > 0);
    SAMC__REQUIRE(error, "preprocess", (unsigned)a->filter < SAMC__FILTERS && (unsigned)a->range < SAMC__RANGES);
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

typedef struct preprocess_task {
    const samc__preprocess_args *args;
    const samc__resize_axis *horizontal, *vertical; /* NULL: that axis keeps its size, and has no pass */
    void *scratch;                                  /* [workers, slots + 1, new_width, 3], bytes or floats */
    float least, most;                              /* of the image, for CUBIC_AA; later of the resized one */
    float *limits; /* [new_height, 2] least and most of each resized row, for MIN_MAX; or NULL */
} preprocess_task;

static uint8_t clip8(int32_t sum) {
    int32_t value = sum >> SAMC__RESIZE_BITS;
    return value < 0 ? 0 : value > 255 ? 255 : (uint8_t)value;
}

/* ---- Out ------------------------------------------------------------------------------------- */

static float *patch_at(const samc__preprocess_args *a, int y, int x) { /* of channel 0 */
    int64_t p = a->patch;
    return samc__f32(a->patches) + (y / p * a->grid + x / p) * 3 * p * p + y % p * p + x % p;
}

/* Row `y` of the resized image -> its place in the patches; with `limits` not yet normalised. */
static void store_value(const preprocess_task *t, int y, int x, int c, float value) {
    const samc__preprocess_args *a = t->args;
    float span = a->range == SAMC__RANGE_1 ? 255.0f : 1.0f;
    if (t->limits) {
        float *limit = t->limits + 2 * (int64_t)y;
        limit[0] = value < limit[0] ? value : limit[0];
        limit[1] = value > limit[1] ? value : limit[1];
    } else value = (value / span - a->mean[c]) / a->std[c];
    patch_at(a, y, x)[(int64_t)c * a->patch * a->patch] = value;
}

static void normalise_rows(void *context, int64_t begin, int64_t end, int worker) {
    const preprocess_task *t = context;
    const samc__preprocess_args *a = t->args;
    float span = t->most - t->least > 1e-8f ? t->most - t->least : 1e-8f;
    (void)worker;
    for (int y = (int)begin; y < (int)end; y++)
        for (int x = 0; x < a->new_width; x++)
            for (int c = 0; c < 3; c++) {
                float *value = patch_at(a, y, x) + (int64_t)c * a->patch * a->patch;
                *value = ((*value - t->least) / span - a->mean[c]) / a->std[c];
            }
}

/* ---- Pillow's fixed point -------------------------------------------------------------------- */

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

static void store_bytes(const preprocess_task *t, int y, const uint8_t *rgb) {
    for (int x = 0; x < t->args->new_width; x++)
        for (int c = 0; c < 3; c++) store_value(t, y, x, c, (float)rgb[3 * x + c]);
}

static void preprocess_rows(void *context, int64_t begin, int64_t end, int worker) {
    const preprocess_task *t = context;
    const samc__preprocess_args *a = t->args;
    size_t row_size = 3 * (size_t)a->new_width;
    int slots = t->vertical ? t->vertical->taps : 1;
    uint8_t *ring = (uint8_t *)t->scratch +
                    (size_t)worker * (size_t)(slots + 1) * row_size; /* input row r lives in slot r % slots */
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
            store_bytes(t, y, ring);
            continue;
        }
        const int32_t *weight = t->vertical->weight + (size_t)y * (size_t)t->vertical->taps;
        for (size_t i = 0; i < row_size; i++) {
            int32_t sum = 1 << (SAMC__RESIZE_BITS - 1);
            for (int j = 0; j < count; j++) sum += weight[j] * ring[(size_t)((first + j) % slots) * row_size + i];
            out[i] = clip8(sum);
        }
        store_bytes(t, y, out);
    }
}

/* ---- Floats ---------------------------------------------------------------------------------- */

/* One input row [width, 3] -> [new_width, 3]. */
static void soften_row(const samc__resize_axis *x, const uint8_t *in, int out_width, float *out) {
    for (int i = 0; i < out_width; i++) {
        const float *weight = x->real + (size_t)i * (size_t)x->taps;
        const uint8_t *pixel = in + (size_t)x->first[i] * 3;
        float sum[3] = {0.0f, 0.0f, 0.0f};
        for (int j = 0; j < x->count[i]; j++)
            for (int c = 0; c < 3; c++) sum[c] += weight[j] * (float)pixel[3 * j + c];
        for (int c = 0; c < 3; c++) out[3 * i + c] = sum[c];
    }
}

/* What the filter's library makes of a sum. */
static float finished(const preprocess_task *t, float sum) {
    if (t->args->filter == SAMC__FILTER_TORCH_AA_U8) return nearbyintf(sum);
    if (t->args->filter != SAMC__FILTER_CUBIC_AA) return sum;
    sum = sum < t->least ? t->least : sum > t->most ? t->most : sum;
    return floorf(sum + SAMC__CUT_GUARD);
}

static void soften_rows(void *context, int64_t begin, int64_t end, int worker) {
    const preprocess_task *t = context;
    const samc__preprocess_args *a = t->args;
    size_t row_size = 3 * (size_t)a->new_width;
    int slots = t->vertical ? t->vertical->taps : 1;
    float *ring =
        (float *)t->scratch + (size_t)worker * (size_t)(slots + 1) * row_size; /* input row r lives in slot r % slots */
    float *out = ring + (size_t)slots * row_size;
    int next = 0;
    for (int y = (int)begin; y < (int)end; y++) {
        int first = t->vertical ? t->vertical->first[y] : y, count = t->vertical ? t->vertical->count[y] : 1;
        if (next < first || y == begin) next = first;
        for (; next < first + count; next++) {
            const uint8_t *in = a->rgb + (ptrdiff_t)next * a->row_bytes;
            float *slot = ring + (size_t)(next % slots) * row_size;
            if (t->horizontal) soften_row(t->horizontal, in, a->new_width, slot);
            else
                for (size_t i = 0; i < row_size; i++) slot[i] = (float)in[i];
        }
        memset(out, 0, row_size * sizeof *out);
        for (int j = 0; j < count; j++) {
            float weight = t->vertical ? t->vertical->real[(size_t)y * (size_t)t->vertical->taps + (size_t)j] : 1.0f;
            const float *row = ring + (size_t)((first + j) % slots) * row_size;
            for (size_t i = 0; i < row_size; i++) out[i] += weight * row[i];
        }
        for (int i = 0; i < a->new_width; i++)
            for (int c = 0; c < 3; c++) store_value(t, y, i, c, finished(t, out[3 * i + c]));
    }
}

/* ---- In -------------------------------------------------------------------------------------- */

static void find_limits(const samc__preprocess_args *a, float *least, float *most) {
    uint8_t low = 255, high = 0;
    for (int y = 0; y < a->height; y++) {
        const uint8_t *row = a->rgb + (ptrdiff_t)y * a->row_bytes;
        for (int64_t i = 0; i < 3 * (int64_t)a->width; i++) {
            low = row[i] < low ? row[i] : low;
            high = row[i] > high ? row[i] : high;
        }
    }
    *least = (float)low, *most = (float)high;
}

static void run(const samc__exec *exec, preprocess_task *t) {
    const samc__preprocess_args *a = t->args;
    bool fixed = a->filter == SAMC__FILTER_PILLOW_U8;
    if (a->filter == SAMC__FILTER_CUBIC_AA) find_limits(a, &t->least, &t->most);
    for (int y = 0; t->limits && y < a->new_height; y++) t->limits[2 * y] = INFINITY, t->limits[2 * y + 1] = -INFINITY;
    exec->parallel(exec->pool, a->new_height, 64, fixed ? preprocess_rows : soften_rows, t);
    if (t->limits == NULL) return;
    t->least = t->limits[0], t->most = t->limits[1];
    for (int y = 1; y < a->new_height; y++) {
        t->least = t->limits[2 * y] < t->least ? t->limits[2 * y] : t->least;
        t->most = t->limits[2 * y + 1] > t->most ? t->limits[2 * y + 1] : t->most;
    }
    exec->parallel(exec->pool, a->new_height, 64, normalise_rows, t);
}

samc_status samc__preprocess_ref(const samc__exec *exec, const samc__preprocess_args *a) {
    samc__resize_axis horizontal = {0}, vertical = {0};
    bool resize_x = a->new_width != a->width, resize_y = a->new_height != a->height;
    if (!exec->rehearsal) memset(a->patches.data, 0, (size_t)(a->patches.n[0] * a->patches.n[1]) * sizeof(float));
    samc_status status = SAMC_OK;
    if (resize_x) status = samc__resize_axis_init(exec, a->filter, a->width, a->new_width, &horizontal);
    if (resize_y && status == SAMC_OK)
        status = samc__resize_axis_init(exec, a->filter, a->height, a->new_height, &vertical);
    preprocess_task task = {.args = a};
    if (resize_x) task.horizontal = &horizontal;
    if (resize_y) task.vertical = &vertical;
    if (status == SAMC_OK) {
        size_t slots = resize_y ? (size_t)vertical.taps : 1;
        size_t limits = a->range == SAMC__RANGE_MIN_MAX ? 2 * (size_t)a->new_height * sizeof(float) : 0;
        size_t size = a->filter == SAMC__FILTER_PILLOW_U8 ? 1 : sizeof(float);
        char *block = exec->allocate(exec->memory,
                                     limits + (size_t)exec->workers * (slots + 1) * 3 * (size_t)a->new_width * size);
        if (block == NULL) {
            status = samc__fail(exec->error, SAMC_OUT_OF_MEMORY, "no memory to resize an image");
        } else {
            if (limits) task.limits = (float *)(void *)block;
            task.scratch = block + limits;
            if (!exec->rehearsal) run(exec, &task);
        }
        exec->release(exec->memory, block);
    }
    exec->release(exec->memory, vertical.block);
    exec->release(exec->memory, horizontal.block);
    return status;
}
