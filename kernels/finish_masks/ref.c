/* finish_masks, reference: both steps of a path written out, one mask at a time.
 *
 * torch.nn.functional.interpolate(mode="bilinear", align_corners=False): source = (out + 0.5) * in / out_size - 0.5,
 * clamped at 0; the neighbour is clamped at the last sample; rows are mixed after columns. mode="bicubic": the same
 * source without the clamp, Keys' kernel with a = -0.75, and four samples clamped at both ends. */
#include "kernels/cubic_tap.h"
#include "kernels/ops.h"
#include "kernels/finish_masks/finish_masks.h"

#include <math.h>
#include <string.h>

samc_status samc__finish_masks_check(const samc__finish_masks_args *a, samc_error *error) {
    int64_t rows = a->logits.n[0], low = a->logits.n[1];
    SAMC__REQUIRE(error, "finish_masks", rows > 0 && low > 0 && samc__is3(a->logits, rows, low, low));
    SAMC__REQUIRE(error, "finish_masks", samc__finish_masks_count(a) > 0 && (a->picked == NULL || a->index != NULL));
    SAMC__REQUIRE(error, "finish_masks", (unsigned)a->path < SAMC__MASK_PATHS);
    SAMC__REQUIRE(error, "finish_masks", a->height > 0 && a->width > 0 && a->stats != NULL);
    if (a->path == SAMC__MASKS_VIA_SQUARE) {
        SAMC__REQUIRE(error, "finish_masks", a->img_size > 0);
        SAMC__REQUIRE(error, "finish_masks", a->new_height > 0 && a->new_height <= a->img_size);
        SAMC__REQUIRE(error, "finish_masks", a->new_width > 0 && a->new_width <= a->img_size);
    }
    SAMC__REQUIRE(error, "finish_masks", a->offset >= 0.0f);
    return SAMC_OK;
}

double samc__finish_masks_flops(const samc__finish_masks_args *a) {
    const samc__finish_masks_args s = samc__finish_masks_steps(a);
    return 8.0 * (double)samc__finish_masks_count(a) *
           ((double)s.height * s.width + (double)s.new_height * s.new_width);
}

typedef struct tap { /* out = low * (1 - t) + high * t */
    int low, high;
    float t;
} tap;

static tap bilinear_tap(int out, int in_size, int out_size) {
    float source = (float)in_size / (float)out_size * ((float)out + 0.5f) - 0.5f;
    if (source < 0.0f) source = 0.0f;
    int low = (int)source;
    if (low > in_size - 1) low = in_size - 1;
    return (tap){low, low + (low < in_size - 1), source - (float)low};
}

static float mix(const float *row0, const float *row1, tap x, float t) {
    float upper = row0[x.low] * (1.0f - x.t) + row0[x.high] * x.t;
    float lower = row1[x.low] * (1.0f - x.t) + row1[x.high] * x.t;
    return upper * (1.0f - t) + lower * t;
}

static float cubic_sum(const float *in, ptrdiff_t stride, const samc__cubic_tap *tap) {
    float sum = in[tap->at[0] * stride] * tap->weight[0];
    for (int k = 1; k < 4; k++) sum += in[tap->at[k] * stride] * tap->weight[k];
    return sum;
}

typedef struct finish_task {
    const samc__finish_masks_args *args;
    /* [workers, between_height, between_width]: the crop of the img_size square; of BICUBIC, the logit rows [low,
     * width]
     */
    float *between;
    int between_height, between_width;
} finish_task;

/* What the second step starts from. */
static void first_step(const finish_task *t, const float *logits, float *between) {
    const samc__finish_masks_args *a = t->args;
    int low = (int)a->logits.n[1];
    for (int x = 0; a->path == SAMC__MASKS_BICUBIC && x < a->width; x++) {
        const samc__cubic_tap tap = samc__cubic_tap_of(x, low, a->width);
        for (int y = 0; y < low; y++) between[(int64_t)y * a->width + x] = cubic_sum(logits + y * low, 1, &tap);
    }
    for (int y = 0; a->path != SAMC__MASKS_BICUBIC && y < a->new_height; y++) {
        tap row = bilinear_tap(y, low, a->img_size);
        for (int x = 0; x < a->new_width; x++)
            between[(int64_t)y * a->new_width + x] =
                mix(logits + row.low * low, logits + row.high * low, bilinear_tap(x, low, a->img_size), row.t);
    }
}

/* How many logit rows or columns pixels read, from the first on. */
static int read_by(const samc__finish_masks_args *a, int size, int new_size) {
    int low = (int)a->logits.n[1];
    if (a->path == SAMC__MASKS_BICUBIC) return samc__cubic_tap_of(size - 1, low, size).at[3] + 1;
    return bilinear_tap(bilinear_tap(size - 1, new_size, size).high, low, a->img_size).high + 1;
}

static void finish_one(const finish_task *t, float *between, int64_t mask) {
    const samc__finish_masks_args *a = t->args;
    int low = (int)a->logits.n[1], words = (a->width + 63) / 64;
    bool cubic = a->path == SAMC__MASKS_BICUBIC;
    const float *logits = samc__f32(a->logits) + (a->index ? a->index[mask] : mask) * low * low;
    first_step(t, logits, between);
    samc__mask_stats s = {.x0 = a->width, .y0 = a->height, .x1 = -1, .y1 = -1};
    int rows = read_by(a, a->height, a->new_height), columns = read_by(a, a->width, a->new_width);
    for (int i = 0; i < rows * columns; i++) s.spoilt |= !isfinite(logits[(int64_t)(i / columns) * low + i % columns]);
    uint64_t *bits = a->bits ? a->bits + mask * a->height * words : NULL;
    if (bits) memset(bits, 0, (size_t)a->height * (size_t)words * sizeof *bits);
    for (int y = 0; y < a->height; y++) {
        const samc__cubic_tap down = samc__cubic_tap_of(y, low, a->height);
        tap row = bilinear_tap(y, a->new_height, a->height);
        const float *row0 = between + (int64_t)row.low * t->between_width,
                    *row1 = between + (int64_t)row.high * t->between_width;
        for (int x = 0; x < a->width; x++) {
            float logit = cubic ? cubic_sum(between + x, t->between_width, &down)
                                : mix(row0, row1, bilinear_tap(x, a->new_width, a->width), row.t);
            s.above += logit > a->threshold + a->offset;
            s.below += logit > a->threshold - a->offset;
            if (!(logit > a->threshold)) continue;
            s.area++;
            if (x < s.x0) s.x0 = x;
            if (x > s.x1) s.x1 = x;
            if (y < s.y0) s.y0 = y;
            if (y > s.y1) s.y1 = y;
            if (bits) bits[(int64_t)y * words + x / 64] |= UINT64_C(1) << (x % 64);
        }
    }
    a->stats[mask] = s;
}

static void finish_range(void *context, int64_t begin, int64_t end, int worker) {
    const finish_task *t = context;
    float *between = t->between + (int64_t)worker * t->between_height * t->between_width;
    for (int64_t mask = begin; mask < end; mask++) finish_one(t, between, mask);
}

samc_status samc__finish_masks_ref(const samc__exec *exec, const samc__finish_masks_args *args) {
    const samc__finish_masks_args a = samc__finish_masks_steps(args);
    finish_task task = {.args = &a, .between_height = a.new_height, .between_width = a.new_width};
    if (a.path == SAMC__MASKS_BICUBIC) task.between_width = a.width;
    size_t between = (size_t)task.between_height * (size_t)task.between_width;
    task.between = exec->allocate(exec->memory, (size_t)exec->workers * between * sizeof(float));
    if (task.between == NULL)
        return samc__fail(exec->error, SAMC_OUT_OF_MEMORY, "no memory to resize masks to %d x %d pixels", a.width,
                          a.height);
    exec->parallel(exec->pool, samc__finish_masks_picked(&a), 1, finish_range, &task);
    exec->release(exec->memory, task.between);
    return SAMC_OK;
}
