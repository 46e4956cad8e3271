/* The cases of depthwise: images h w c side stride act, bias and whether x is a band; type. */
#include "kernels/depthwise/depthwise.h"
#include "tests/checkops/book.h"
#include "tests/checkops/checkops.h"

#include <math.h>
#include <string.h>

enum { BIAS = 1, ABOVE = 2, BELOW = 4 };
enum { GELU = SAMC__ACT_GELU, RELU = SAMC__ACT_RELU, TANH = SAMC__ACT_GELU_TANH, SWISH = SAMC__ACT_HARDSWISH };

static const test_case listed[] = {
    {ALL, {1, 1, 1, 1, 3, 1, 0, 0}},
    {ALL, {2, 2, 3, 5, 3, 2, GELU, 1}},
    {ALL, {1, 5, 7, 17, 5, 1, RELU, 1}},
    {ALL, {2, 9, 6, 8, 7, 1, 0, 1}},
    {HOSTS, {1, 3, 12, 33, 3, 1, GELU, 1}},
    {HOSTS, {2, 7, 11, 64, 3, 2, TANH, 1}},
    {HOSTS, {1, 4, 20, 48, 5, 2, SWISH, 0}},
    {HOSTS, {1, 2, 2, 16, 7, 1, 0, 1}},               /* a kernel wider than the image */
    {HOSTS, {1, 4, 9, 20, 3, 1, GELU, BIAS + ABOVE}}, /* bands: the first row of y, the last, one between */
    {HOSTS, {2, 5, 7, 33, 3, 2, 0, BIAS + BELOW}},
    {HOSTS, {1, 3, 8, 16, 3, 2, RELU, ABOVE + BELOW}},
    {HOSTS, {1, 8, 5, 17, 5, 1, GELU, BIAS + ABOVE + BELOW}},
    {MODEL, {1, 256, 256, 256, 3, 1, GELU, 1}},
    {MODEL, {1, 128, 128, 128, 3, 1, 0, 1}},
    {MODEL, {1, 256, 256, 128, 3, 2, GELU, 1}},
    {MODEL, {1, 64, 64, 320, 3, 1, GELU, 1}},
    {MODEL, {1, 32, 32, 768, 5, 1, 0, 0}},
    /* Fours and single channels of every type; pixels of several images in a block, channels of several blocks. */
    {QUICK, {3, 5, 5, 12, 3, 1, GELU, 1, F16}},
    {QUICK, {2, 6, 7, 68, 3, 2, GELU, 1, BF16}},
    {QUICK, {1, 9, 8, 19, 5, 1, RELU, 1, BF16}},
    {QUICK, {1, 3, 9, 132, 7, 2, SWISH, 0, F32}},
    {QUICK, {2, 4, 5, 21, 3, 1, TANH, 1, F16}},
    {FULL, {1, 32, 32, 160, 3, 1, GELU, 1, BF16}},
};

static void depthwise_build(check *c, const int *p) {
    const bool above = p[7] & ABOVE, below = p[7] & BELOW;
    const int64_t images = p[0], h = p[1], w = p[2], n = p[3], side = p[4], pads = side / 2 * (2 - above - below),
                  y_h = (h + pads - side) / p[5] + 1, y_w = (w - 1) / p[5] + 1;
    samc__depthwise_args *a = ARGS(c, depthwise);
    *a = (samc__depthwise_args){.x = samc__view4(input(c, images * h * w * n, 1), images, h, w, n),
                                .w = samc__view2(input_around(c, n * side * side, 0, 1 / (float)side), n * side, side),
                                .y = samc__view4(output(c, images * y_h * y_w * n), images, y_h, y_w, n),
                                .stride = p[5],
                                .act = (samc__act)p[6],
                                .above = above,
                                .below = below};
    if (p[7] & BIAS) a->b = samc__view1(input(c, n, 0.5f), n);
}

static void depthwise_draw(check *c, int *p) {
    p[0] = 1 + random_below(c, 3), p[1] = random_size(c, 20), p[2] = random_size(c, 30), p[3] = random_size(c, 150);
    p[4] = 1 + 2 * random_below(c, 4), p[5] = 1 + random_below(c, 2), p[6] = random_below(c, SAMC__ACTS);
    p[7] = random_below(c, 8);
    if (p[1] < 1 + p[4] / 2 * ((p[7] & ABOVE) / ABOVE + (p[7] & BELOW) / BELOW)) p[7] &= BIAS;
}

static bool depthwise_narrow(check *c, const int *p) {
    samc__depthwise_args *a = ARGS(c, depthwise);
    a->x = last_of(a->x), a->y = last_of(a->y);
    return p[0] > 1;
}

static void depthwise_book(book *b, const check *of) {
    const samc__depthwise_args *a = ARGS(of, depthwise);
    const int64_t n = a->x.n[3], h = a->x.n[1], w = a->x.n[2], side = a->w.n[1];
    const double *x = values(b, a->x), *weight = values(b, a->w), *bias = values_at(b, a->b.data, n);
    double *y = result(b, a->y);
    for (int64_t i = 0; i < count_of(a->y); i++) {
        const int64_t c = i % n, column = i / n % a->y.n[2], row = i / n / a->y.n[2] % a->y.n[1],
                      image = i / n / a->y.n[2] / a->y.n[1];
        double sum = bias[c];
        for (int64_t dy = -(side / 2); dy <= side / 2; dy++)
            for (int64_t dx = -(side / 2); dx <= side / 2; dx++) {
                const int64_t py = row * a->stride + dy + (a->above ? side / 2 : 0), px = column * a->stride + dx;
                const double by = weight[(c * side + dy + side / 2) * side + dx + side / 2];
                if (py >= 0 && py < h && px >= 0 && px < w) sum += x[((image * h + py) * w + px) * n + c] * by;
            }
        y[i] = finished(sum, a->act, false, NULL);
    }
}

static int depthwise_typed(check *c, samc__view **views) {
    samc__depthwise_args *a = ARGS(c, depthwise);
    samc__view *own[] = {&a->x, &a->y};
    memcpy(views, own, sizeof own);
    return (int)(sizeof own / sizeof *own);
}

static int depthwise_low(check *c, samc__view **views) { return depthwise_typed(c, views); }

static bool depthwise_for_hosts(const check *c) {
    const samc__depthwise_args *a = ARGS(c, depthwise);
    return a->above || a->below;
}

static void depthwise_types(const int *p, samc__dtype *of_views) { of_views[0] = of_views[1] = (samc__dtype)p[8]; }

ROW(depthwise) = {
    .name = "depthwise",
    .fields = "images h w c side stride act more type",
    /* At most 50 products to a sum. */
    .nmse = 5e-13,
    .deviation = 5e-6,
    .cases = listed,
    .case_count = COUNT(listed),
    .build = depthwise_build,
    .narrow = depthwise_narrow,
    .draw = depthwise_draw,
    .book = depthwise_book,
    .typed = depthwise_typed,
    .types = depthwise_types,
    .for_hosts = depthwise_for_hosts,
    .low = depthwise_low,
};
