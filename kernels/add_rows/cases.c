/* The cases of add_rows: m c, in_place (2: without b, x f32), type. One sum, one rounding. */
#include "tests/checkops/checkops.h"
#include "tests/checkops/book.h"
#include "kernels/add_rows/add_rows.h"

#include <math.h>
#include <string.h>

static const test_case add_cases[] = {
    {ALL, {1, 1, 0}},
    {ALL, {3, 7, 1}},
    {ALL, {65, 15, 0}},
    {ALL, {130, 257, 1}},
    {ALL, {2, 64, 0}},
    {ALL, {5, 33, 2}},
    {MODEL, {4096, 256, 0}},
    {MODEL, {1024, 128, 1}},
    {QUICK, {1, 1, 0, F32}},
    {QUICK, {5, 7, 1, F16}},
    {QUICK, {3, 5, 0, BF16}},
    {QUICK, {3, 132, 0, BF16}},
    {QUICK, {17, 256, 1, F16}},
    {QUICK, {9, 128, 0, F32}},
    {QUICK, {33, 64, 2, BF16}},
    {QUICK, {3, 64, 2, F16}},
    {QUICK, {5, 7, 2, F16}},
    {QUICK, {1, 5, 2, BF16}},
    {QUICK, {2, 12, 2, F32}},
    {FULL, {1024, 128, 0, BF16}},
    {FULL, {4096, 256, 1, BF16}},
};

static void add_build(check *c, const int *p) {
    int64_t m = p[0], n = p[1];
    samc__add_rows_args *a = ARGS(c, add_rows);
    a->x = samc__view2(p[2] == 1 ? in_out(c, m * n, 1) : input(c, m * n, 1), m, n);
    if (p[2] < 2) a->b = samc__view1(input(c, n, 1), n);
    a->y = p[2] == 1 ? a->x : samc__view2(output(c, m * n), m, n);
}

static void add_draw(check *c, int *p) {
    p[0] = random_size(c, 300), p[1] = random_size(c, 300), p[2] = random_below(c, 3);
}

static bool add_narrow(check *c, const int *p) {
    samc__add_rows_args *a = ARGS(c, add_rows);
    a->x = samc__view2(samc__f32(a->x) + (p[0] - 1) * (int64_t)p[1], 1, p[1]);
    a->y = samc__view2(samc__f32(a->y) + (p[0] - 1) * (int64_t)p[1], 1, p[1]);
    return p[0] > 1;
}

static const char *add_verify(const check *c, const int *p) {
    const samc__add_rows_args *a = ARGS(c, add_rows);
    const float *x = initial(c, samc__f32(a->x)), *b = samc__f32(a->b), *y = samc__f32(a->y);
    for (int64_t i = 0; i < (int64_t)p[0] * p[1]; i++)
        if (!(fabs((double)x[i] + (p[2] < 2 ? b[i % p[1]] : 0) - y[i]) <= 0x1p-24 * fabs((double)y[i]) + 0x1p-149))
            return "a sum is not the nearest float";
    return NULL;
}

static void add_book(book *b, const check *of) {
    const samc__add_rows_args *a = ARGS(of, add_rows);
    double *sum = sum_of(b, values(b, a->x), values(b, a->b), count_of(a->x), a->b.data ? a->b.n[0] : 1);
    memcpy(result(b, a->y), sum, (size_t)count_of(a->x) * sizeof *sum);
}

static void add_types(const int *p, samc__dtype *of_views) {
    of_views[0] = p[2] == 2 ? SAMC__F32 : (samc__dtype)p[3], of_views[1] = (samc__dtype)p[3];
}

static int add_typed(check *c, samc__view **views) {
    samc__add_rows_args *a = ARGS(c, add_rows);
    samc__view *own[] = {&a->x, &a->y};
    memcpy(views, own, sizeof own);
    return (int)(sizeof own / sizeof *own);
}

static int add_low(check *c, samc__view **views) {
    samc__add_rows_args *a = ARGS(c, add_rows);
    views[0] = &a->y, views[1] = &a->x;
    return a->b.data ? 2 : 1; /* without b x is the f32 that is to be rounded */
}

ROW(add_rows) = {
    .name = "add_rows",
    .fields = "m c in_place type",
    /* For a fast version; the reference is the only one on a host. */
    .nmse = 1e-14,
    .deviation = 1e-6,
    .cases = add_cases,
    .case_count = COUNT(add_cases),
    .build = add_build,
    .narrow = add_narrow,
    .verify = add_verify,
    .draw = add_draw,
    .book = add_book,
    .typed = add_typed,
    .types = add_types,
    .nearest = true,
    .low = add_low,
};
