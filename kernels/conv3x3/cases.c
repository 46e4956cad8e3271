/* The cases of conv3x3: images grid c_in c_out. */
#include "tests/checkops/checkops.h"
#include "tests/checkops/book.h"
#include "kernels/conv3x3/conv3x3.h"

#include <string.h>

static const test_case conv_cases[] = {
    {HOSTS, {1, 1, 1, 1}},
    {HOSTS, {2, 2, 3, 5}},
    {HOSTS, {1, 7, 16, 33}},
    {HOSTS, {1, 9, 130, 8}},
    {HOSTS, {2, 8, 32, 64}},
    {MODEL, {1, 64, 256, 256}},
    {MODEL, {1, 32, 128, 128}},
    /* Tensor cores, for NaN and infinities. */
    {CUDA_SHAPE, {1, 8, 64, 64}},
};

static void conv_build(check *c, const int *p) {
    int64_t images = p[0], n = (int64_t)p[1] * p[1], in = p[2], out = p[3];
    *ARGS(c, conv3x3) = (samc__conv3x3_args){.x = samc__view3(input(c, images * n * in, 1), images, n, in),
                                             .w = samc__view4(input_around(c, out * in * 9, 0, 0.05f), out, in, 3, 3),
                                             .y = samc__view3(output(c, images * n * out), images, n, out),
                                             .grid = p[1]};
}

static void conv_draw(check *c, int *p) {
    p[0] = 1 + random_below(c, 3), p[1] = random_size(c, 20), p[2] = random_size(c, 200), p[3] = random_size(c, 200);
}

static bool conv_narrow(check *c, const int *p) {
    samc__conv3x3_args *a = ARGS(c, conv3x3);
    int64_t n = (int64_t)p[1] * p[1], last = p[0] - 1;
    a->x = samc__view3(samc__f32(a->x) + last * n * p[2], 1, n, p[2]);
    a->y = samc__view3(samc__f32(a->y) + last * n * p[3], 1, n, p[3]);
    return last > 0;
}

static void conv_book(book *b, const check *of) {
    const samc__conv3x3_args *a = ARGS(of, conv3x3);
    int64_t in = a->x.n[2], out = a->y.n[2], g = a->grid;
    double *x = values(b, a->x), *w = values(b, a->w), *y = result(b, a->y);
    for (int64_t i = 0; i < count_of(a->y); i++) {
        int64_t pixel = i / out, row = pixel / g % g, column = pixel % g;
        y[i] = 0;
        for (int64_t j = 0; j < 9 * in; j++) {
            int64_t dy = j % 9 / 3 - 1, dx = j % 3 - 1;
            bool inside = row + dy >= 0 && row + dy < g && column + dx >= 0 && column + dx < g;
            y[i] += (inside ? x[(pixel + dy * g + dx) * in + j / 9] : 0) * w[i % out * in * 9 + j];
        }
    }
}

static int conv_typed(check *c, samc__view **views) {
    samc__conv3x3_args *a = ARGS(c, conv3x3);
    samc__view *own[] = {&a->x, &a->w, &a->y};
    memcpy(views, own, sizeof own);
    return (int)(sizeof own / sizeof *own);
}

ROW(conv3x3) = {
    .name = "conv3x3",
    .fields = "images grid c_in c_out",
    /* As for linear. */
    .nmse = 2e-12,
    .deviation = 2.5e-5,
    .cases = conv_cases,
    .case_count = COUNT(conv_cases),
    .check_apart = true,
    .build = conv_build,
    .narrow = conv_narrow,
    .draw = conv_draw,
    .book = conv_book,
    .typed = conv_typed,
};
