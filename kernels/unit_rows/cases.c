/* The cases of unit_rows: m c, y in place of x, whether there is an eps. */
#include "kernels/unit_rows/unit_rows.h"
#include "tests/checkops/book.h"
#include "tests/checkops/checkops.h"

#include <math.h>

static const test_case listed[] = {
    {ALL, {1, 1, 0, 0}},   {ALL, {3, 7, 1, 1}},    {ALL, {5, 32, 0, 1}},       {ALL, {4, 33, 1, 0}},
    {ALL, {9, 512, 0, 1}}, {ALL, {130, 70, 1, 1}}, {MODEL, {3600, 512, 1, 1}},
};

static void unit_build(check *c, const int *p) {
    const int64_t m = p[0], n = p[1];
    samc__unit_rows_args *a = ARGS(c, unit_rows);
    a->x = samc__view2(p[2] ? in_out(c, m * n, 1) : input(c, m * n, 1), m, n);
    a->y = p[2] ? a->x : samc__view2(output(c, m * n), m, n);
    a->eps = p[3] ? 1e-6f : 0.0f;
}

static void unit_draw(check *c, int *p) {
    p[0] = random_size(c, 200), p[1] = random_size(c, 700), p[2] = random_below(c, 2), p[3] = random_below(c, 2);
}

static bool unit_narrow(check *c, const int *p) {
    samc__unit_rows_args *a = ARGS(c, unit_rows);
    samc__view *rows[] = {&a->x, &a->y};
    for (int i = 0; i < 2; i++) *rows[i] = samc__view2(samc__f32(*rows[i]) + (p[0] - 1) * (int64_t)p[1], 1, p[1]);
    return p[0] > 1;
}

static void unit_book(book *b, const check *of) {
    const samc__unit_rows_args *a = ARGS(of, unit_rows);
    const int64_t c = a->x.n[1];
    const double *x = values(b, a->x);
    double *y = result(b, a->y);
    for (int64_t row = 0; row < a->x.n[0]; row++) {
        double squares = 0;
        for (int64_t i = 0; i < c; i++) squares += x[row * c + i] * x[row * c + i];
        for (int64_t i = 0; i < c; i++) y[row * c + i] = x[row * c + i] / (sqrt(squares) + (double)a->eps);
    }
}

ROW(unit_rows) = {
    .name = "unit_rows",
    .fields = "m c in_place eps",
    .nmse = 1e-13, /* for a fast version; the reference is the only one on a host */
    .deviation = 1e-6,
    .cases = listed,
    .case_count = COUNT(listed),
    .build = unit_build,
    .narrow = unit_narrow,
    .draw = unit_draw,
    .book = unit_book,
};
