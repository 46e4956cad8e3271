/* The cases of refine_masks: prompts images grid c middle masks alone, type of map, image and weights. */
#include "kernels/refine_masks/refine_masks.h"
#include "tests/checkops/book.h"
#include "tests/checkops/checkops.h"

#include <math.h>
#include <string.h>

static const test_case listed[] = {
    {ALL, {1, 1, 1, 1, 2, 1, 0}},         {ALL, {2, 1, 2, 4, 8, 3, 0}},          {ALL, {4, 2, 3, 5, 9, 3, 0}},
    {ALL, {2, 2, 1, 8, 3, 2, 1}},         {HOSTS, {1, 1, 9, 8, 16, 3, 0}}, /* more rows than a band */
    {HOSTS, {3, 1, 5, 17, 33, 4, 0}},                                      /* a row that fills no vector */
    {HOSTS, {1, 1, 8, 32, 64, 3, 1}},     {MODEL, {1, 1, 64, 32, 64, 1, 0}},     {MODEL, {8, 1, 64, 32, 64, 3, 0}},
    {QUICK, {2, 1, 3, 7, 10, 3, 0, F16}}, {QUICK, {2, 2, 2, 8, 16, 1, 0, BF16}}, {QUICK, {1, 1, 3, 33, 34, 3, 1, BF16}},
    {FULL, {2, 1, 8, 32, 64, 3, 0, F16}},
};

static void refine_build(check *c, const int *p) {
    const int64_t prompts = p[0], images = p[1], g = p[2], n = p[3], middle = p[4], masks = p[5], pixels = 16 * g * g;
    const float by_n = 1.0f / (3.0f * __builtin_sqrtf((float)n)),
                by_middle = 1.0f / (3.0f * __builtin_sqrtf((float)middle));
    samc__refine_masks_args *a = ARGS(c, refine_masks);
    *a = (samc__refine_masks_args){
        .map = samc__view3(input(c, prompts * pixels * n, 1), prompts, pixels, n),
        .conv1 = {.w = samc__view4(input_around(c, middle * n * 9, 0, by_n), middle, n, 3, 3),
                  .b = samc__view1(input_around(c, middle, 0, 0.1f), middle)},
        .norm = norm(c, middle, 1e-6f),
        .conv2 = {.w = samc__view4(input_around(c, n * middle * 9, 0, by_middle), n, middle, 3, 3),
                  .b = samc__view1(input_around(c, n, 0, 0.1f), n)},
        .image = samc__view3(input(c, images * pixels * n, 1), images, pixels, n),
        .refiner = samc__view2(input_around(c, prompts * n, 0, 1), prompts, n),
        .hyper = samc__view3(input_around(c, prompts * masks * n, 0, 1), prompts, masks, n),
        .iou = samc__view2(input_around(c, prompts * masks, 0.5f, 0.5f), prompts, masks),
        .y = samc__view3(output(c, prompts * pixels), prompts, 4 * g, 4 * g),
        .y_iou = samc__view1(output(c, prompts), prompts),
        .grid = p[2],
        .alone = p[6],
    };
}

static void refine_draw(check *c, int *p) {
    p[1] = 1 + random_below(c, 2), p[0] = p[1] * (1 + random_below(c, 2)), p[2] = random_size(c, 10);
    p[3] = random_size(c, 40), p[4] = random_size(c, 70), p[5] = random_size(c, 5), p[6] = random_below(c, 2);
}

static bool refine_narrow(check *c, const int *p) {
    samc__refine_masks_args *a = ARGS(c, refine_masks);
    a->map = last_of(a->map), a->image = last_of(a->image), a->refiner = last_of(a->refiner);
    a->hyper = last_of(a->hyper), a->iou = last_of(a->iou), a->y = last_of(a->y), a->y_iou = last_of(a->y_iou);
    return p[0] > 1;
}

/* [pixels, c_out] of x [side, side, c_in]. */
static double *convolve(book *b, const double *x, int64_t side, samc__projection p) {
    const int64_t c_out = p.w.n[0], c_in = p.w.n[1];
    const double *w = values(b, p.w), *bias = values(b, p.b);
    double *y = room(b, side * side * c_out);
    for (int64_t i = 0; i < side * side * c_out; i++) {
        const int64_t o = i % c_out, column = i / c_out % side, row = i / c_out / side;
        y[i] = bias[o];
        for (int64_t tap = 0; tap < 9; tap++) {
            const int64_t from_row = row + tap / 3 - 1, from = column + tap % 3 - 1;
            if (from_row < 0 || from_row >= side || from < 0 || from >= side) continue;
            for (int64_t k = 0; k < c_in; k++)
                y[i] += x[(from_row * side + from) * c_in + k] * w[(o * c_in + k) * 9 + tap];
        }
    }
    return y;
}

static void refine_book(book *b, const check *of) {
    const samc__refine_masks_args *a = ARGS(of, refine_masks);
    const int64_t prompts = a->map.n[0], side = 4 * a->grid, pixels = side * side, n = a->map.n[2],
                  middle = a->norm.g.n[0], masks = a->hyper.n[1];
    const double *map = values(b, a->map), *image = values(b, a->image), *refiner = values(b, a->refiner),
                 *hyper = values(b, a->hyper), *iou = values(b, a->iou);
    double *y = result(b, a->y), *y_iou = result(b, a->y_iou);
    for (int64_t prompt = 0; prompt < prompts; prompt++) {
        const double *own = map + prompt * pixels * n, *more = image + prompt / (prompts / a->image.n[0]) * pixels * n;
        double *between = convolve(b, own, side, a->conv1);
        int64_t best = 0;
        for (int64_t i = 1; i < masks; i++)
            if (iou[prompt * masks + i] > iou[prompt * masks + best] || isnan(iou[prompt * masks + i])) best = i;
        y_iou[prompt] = iou[prompt * masks + best];
        normalise(b, between, pixels, a->norm, NULL);
        for (int64_t i = 0; i < pixels * middle; i++) between[i] = lower(b, gelu(between[i])); /* meets a product */
        const double *refined = convolve(b, between, side, a->conv2);
        for (int64_t pixel = 0; pixel < pixels; pixel++) {
            double sum = 0;
            for (int64_t i = 0; i < n; i++) {
                sum += refiner[prompt * n + i] * (refined[pixel * n + i] + more[pixel * n + i]);
                if (!a->alone) sum += hyper[(prompt * masks + best) * n + i] * own[pixel * n + i];
            }
            y[prompt * pixels + pixel] = sum;
        }
    }
}

static int refine_typed(check *c, samc__view **views) {
    samc__refine_masks_args *a = ARGS(c, refine_masks);
    samc__view *own[] = {&a->map, &a->image, &a->conv1.w, &a->conv2.w};
    memcpy(views, own, sizeof own);
    return (int)(sizeof own / sizeof *own);
}

static void refine_types(const int *p, samc__dtype *of_views) {
    for (int i = 0; i < 4; i++) of_views[i] = (samc__dtype)p[7];
}

static int refine_low(check *c, samc__view **views) {
    samc__refine_masks_args *a = ARGS(c, refine_masks);
    views[0] = &a->map, views[1] = &a->image;
    return 2;
}

/* Beyond the border the reference leaves taps out, where the others have products with zeros. */
static bool refine_spreads(const check *c, const void *planted, float value, const void *data, bool cuda) {
    const samc__refine_masks_args *a = (const samc__refine_masks_args *)(const void *)c->args;
    (void)value, (void)cuda;
    return data == a->y.data && (planted == a->conv1.w.data || planted == a->conv2.w.data);
}

ROW(refine_masks) = {
    .name = "refine_masks",
    .fields = "prompts images grid c middle masks alone type",
    /* Sums of up to 288 and 576 terms with a norm between them, the second folded: as upscale_masks. */
    .nmse = 4e-12,
    .deviation = 2e-5,
    .cases = listed,
    .case_count = COUNT(listed),
    .build = refine_build,
    .narrow = refine_narrow,
    .draw = refine_draw,
    .book = refine_book,
    .typed = refine_typed,
    .types = refine_types,
    .low = refine_low,
    .may_spread = refine_spreads,
};
