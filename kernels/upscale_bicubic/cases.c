/* The cases of upscale_bicubic: images h w c H W, add (1: another map, 2: y itself). */
#include "kernels/upscale_bicubic/upscale_bicubic.h"
#include "tests/checkops/book.h"
#include "tests/checkops/checkops.h"

#include <math.h>
#include <string.h>

static const test_case listed[] = {
    {ALL, {1, 1, 1, 1, 1, 1, 0}},         {ALL, {2, 2, 3, 5, 4, 6, 2}},
    {ALL, {1, 4, 4, 33, 16, 16, 1}},      {ALL, {3, 5, 2, 7, 7, 9, 0}}, /* no whole factor, and another for rows */
    {ALL, {1, 6, 5, 12, 3, 5, 1}},                                      /* fewer than x has, and as many */
    {HOSTS, {2, 8, 8, 64, 16, 16, 2}},    {MODEL, {1, 16, 16, 256, 64, 64, 2}},
    {MODEL, {1, 32, 32, 256, 64, 64, 2}}, {FULL, {1, 16, 16, 32, 64, 64, 2}},
};

static void bicubic_build(check *c, const int *p) {
    const int64_t images = p[0], h = p[1], w = p[2], n = p[3], y_h = p[4], y_w = p[5], count = images * y_h * y_w * n;
    samc__upscale_bicubic_args *a = ARGS(c, upscale_bicubic);
    *a = (samc__upscale_bicubic_args){.x = samc__view4(input(c, images * h * w * n, 1), images, h, w, n)};
    if (p[6] == 1) a->add = samc__view4(input(c, count, 1), images, y_h, y_w, n);
    a->y = samc__view4(p[6] == 2 ? in_out(c, count, 1) : output(c, count), images, y_h, y_w, n);
    if (p[6] == 2) a->add = a->y;
}

static void bicubic_draw(check *c, int *p) {
    p[0] = 1 + random_below(c, 3), p[3] = random_size(c, 100), p[6] = random_below(c, 3);
    p[1] = random_size(c, 20), p[2] = random_size(c, 20), p[4] = random_size(c, 40), p[5] = random_size(c, 40);
}

static bool bicubic_narrow(check *c, const int *p) {
    samc__upscale_bicubic_args *a = ARGS(c, upscale_bicubic);
    a->x = last_of(a->x), a->y = last_of(a->y);
    if (p[6]) a->add = last_of(a->add);
    return p[0] > 1;
}

/* Keys' kernel at a distance, a = -0.75. */
static double keys(double x) {
    const double a = -0.75, d = fabs(x);
    if (d < 1.0) return (a + 2.0) * d * d * d - (a + 3.0) * d * d + 1.0;
    return d < 2.0 ? a * d * d * d - 5.0 * a * d * d + 8.0 * a * d - 4.0 * a : 0.0;
}

/* The four neighbours of output `at`, and their weights. */
static void neighbours(int64_t at, int64_t in, int64_t out, int64_t places[4], double weights[4]) {
    const double source = ((double)at + 0.5) * (double)in / (double)out - 0.5;
    for (int k = 0; k < 4; k++) {
        const int64_t place = (int64_t)floor(source) - 1 + k;
        weights[k] = keys((double)place - source);
        places[k] = place < 0 ? 0 : place < in ? place : in - 1;
    }
}

static void bicubic_book(book *b, const check *of) {
    const samc__upscale_bicubic_args *a = ARGS(of, upscale_bicubic);
    const int64_t h = a->x.n[1], w = a->x.n[2], n = a->x.n[3], y_h = a->y.n[1], y_w = a->y.n[2];
    const double *x = values(b, a->x), *add = a->add.data ? values(b, a->add) : NULL;
    double *y = result(b, a->y);
    for (int64_t i = 0; i < count_of(a->y); i++) {
        const int64_t image = i / n / y_w / y_h;
        int64_t rows[4], columns[4];
        double down[4], across[4];
        neighbours(i / n / y_w % y_h, h, y_h, rows, down);
        neighbours(i / n % y_w, w, y_w, columns, across);
        y[i] = add ? add[i] : 0.0;
        for (int k = 0; k < 16; k++)
            y[i] += x[((image * h + rows[k / 4]) * w + columns[k % 4]) * n + i % n] * down[k / 4] * across[k % 4];
    }
}

ROW(upscale_bicubic) = {
    .name = "upscale_bicubic",
    .fields = "images h w c H W add",
    /* Sixteen terms, whose weights come from a place that is itself rounded: 1e-6 of a pixel at a place of 16. */
    .nmse = 2e-12,
    .deviation = 1e-5,
    .cases = listed,
    .case_count = COUNT(listed),
    .build = bicubic_build,
    .narrow = bicubic_narrow,
    .draw = bicubic_draw,
    .book = bicubic_book,
};
