/* finish_masks, reference: both bilinear steps written out, one mask at a time.
 *
 * torch.nn.functional.interpolate(mode="bilinear", align_corners=False): source = (out + 0.5) * in / out_size - 0.5,
 * clamped at 0; the neighbour is clamped at the last sample; rows are mixed after columns. */
#include "kernels/ops.h"
#include "kernels/finish_masks/finish_masks.h"

#include <math.h>
#include <string.h>

samc_status samc__finish_masks_check(const samc__finish_masks_args *a, samc_error *error) {
    int64_t rows = a->logits.n[0], low = a->logits.n[1];
    SAMC__REQUIRE(error, "finish_masks", rows > 0 && low > 0 && samc__is3(a->logits, rows, low, low));
    SAMC__REQUIRE(error, "finish_masks", samc__finish_masks_count(a) > 0 && (a->picked == NULL || a->index != NULL));
    SAMC__REQUIRE(error, "finish_masks", a->img_size > 0 && a->height > 0 && a->width > 0 && a->stats != NULL);
    SAMC__REQUIRE(error, "finish_masks", a->new_height > 0 && a->new_height <= a->img_size);
    SAMC__REQUIRE(error, "finish_masks", a->new_width > 0 && a->new_width <= a->img_size);
    SAMC__REQUIRE(error, "finish_masks", a->offset >= 0.0f);
    return SAMC_OK;
}

double samc__finish_masks_flops(const samc__finish_masks_args *a) {
    return 8.0 * (double)samc__finish_masks_count(a) *
           ((double)a->height * a->width + (double)a->new_height * a->new_width);
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

typedef struct finish_task {
    const samc__finish_masks_args *args;
    float *square; /* [workers, new_height, new_width]: the crop of the img_size square */
} finish_task;

static void finish_one(const samc__finish_masks_args *a, float *square, int64_t mask) {
    int low = (int)a->logits.n[1], words = (a->width + 63) / 64;
    const float *logits = samc__f32(a->logits) + (a->index ? a->index[mask] : mask) * low * low;
    for (int y = 0; y < a->new_height; y++) {
        tap row = bilinear_tap(y, low, a->img_size);
        for (int x = 0; x < a->new_width; x++)
            square[(int64_t)y * a->new_width + x] =
                mix(logits + row.low * low, logits + row.high * low, bilinear_tap(x, low, a->img_size), row.t);
    }
    samc__mask_stats s = {.x0 = a->width, .y0 = a->height, .x1 = -1, .y1 = -1};
    int rows = bilinear_tap(bilinear_tap(a->height - 1, a->new_height, a->height).high, low, a->img_size).high + 1;
    int columns = bilinear_tap(bilinear_tap(a->width - 1, a->new_width, a->width).high, low, a->img_size).high + 1;
    for (int i = 0; i < rows * columns; i++) s.spoilt |= !isfinite(logits[(int64_t)(i / columns) * low + i % columns]);
    uint64_t *bits = a->bits ? a->bits + mask * a->height * words : NULL;
    if (bits) memset(bits, 0, (size_t)a->height * (size_t)words * sizeof *bits);
    for (int y = 0; y < a->height; y++) {
        tap row = bilinear_tap(y, a->new_height, a->height);
        const float *row0 = square + (int64_t)row.low * a->new_width, *row1 = square + (int64_t)row.high * a->new_width;
        for (int x = 0; x < a->width; x++) {
            float logit = mix(row0, row1, bilinear_tap(x, a->new_width, a->width), row.t);
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
    float *square = t->square + (int64_t)worker * t->args->new_height * t->args->new_width;
    for (int64_t mask = begin; mask < end; mask++) finish_one(t->args, square, mask);
}

samc_status samc__finish_masks_ref(const samc__exec *exec, const samc__finish_masks_args *a) {
    finish_task task = {a, NULL};
    task.square = exec->allocate(exec->memory,
                                 (size_t)exec->workers * (size_t)a->new_height * (size_t)a->new_width * sizeof(float));
    if (task.square == NULL)
        return samc__fail(exec->error, SAMC_OUT_OF_MEMORY, "no memory to resize masks to %d x %d pixels", a->width,
                          a->height);
    exec->parallel(exec->pool, samc__finish_masks_picked(a), 1, finish_range, &task);
    exec->release(exec->memory, task.square);
    return SAMC_OK;
}
