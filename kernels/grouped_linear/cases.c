/* The cases of grouped_linear: m groups in out; type. */
#include "kernels/grouped_linear/grouped_linear.h"
#include "tests/checkops/book.h"
#include "tests/checkops/checkops.h"

#include <math.h>
#include <string.h>

static const test_case listed[] = {
    {ALL, {1, 1, 1, 1}},
    {ALL, {3, 2, 5, 7}},
    {ALL, {33, 3, 8, 4}},
    {ALL, {7, 1, 64, 64}},
    {HOSTS, {50, 5, 32, 32}},
    {HOSTS, {97, 2, 33, 17}},
    {MODEL, {256, 48, 32, 32}},
    {MODEL, {1024, 48, 32, 32}},
    {MODEL, {256, 96, 32, 32}},
    {QUICK, {40, 3, 32, 32, F16}},
    {QUICK, {5, 2, 12, 9, BF16}},
    {QUICK, {65, 1, 32, 32, BF16}},
    {FULL, {256, 12, 32, 32, BF16}},
};

static void grouped_build(check *c, const int *p) {
    const int64_t m = p[0], groups = p[1], in = p[2], out = p[3];
    samc__grouped_linear_args *a = ARGS(c, grouped_linear);
    *a = (samc__grouped_linear_args){
        .x = samc__view2(input(c, m * groups * in, 1), m, groups * in),
        .w = samc__view2(input_around(c, groups * out * in, 0, 1.0f / sqrtf((float)in)), groups * out, in),
        .y = samc__view2(output(c, m * groups * out), m, groups * out),
        .groups = p[1]};
}

static void grouped_draw(check *c, int *p) {
    p[0] = random_size(c, 200), p[1] = 1 + random_below(c, 6);
    p[2] = random_size(c, SAMC__GROUP_MOST), p[3] = random_size(c, SAMC__GROUP_MOST);
}

static bool grouped_narrow(check *c, const int *p) {
    samc__grouped_linear_args *a = ARGS(c, grouped_linear);
    a->x = last_of(a->x), a->y = last_of(a->y);
    return p[0] > 1;
}

static void grouped_book(book *b, const check *of) {
    const samc__grouped_linear_args *a = ARGS(of, grouped_linear);
    const int64_t in = a->w.n[1], outs = a->w.n[0], out = outs / a->groups;
    const double *x = values(b, a->x), *w = values(b, a->w);
    double *y = result(b, a->y);
    for (int64_t i = 0; i < count_of(a->y); i++)
        for (int64_t k = 0; k < in; k++)
            y[i] += x[i / outs * a->x.n[1] + i % outs / out * in + k] * w[i % outs * in + k];
}

static int grouped_typed(check *c, samc__view **views) {
    samc__grouped_linear_args *a = ARGS(c, grouped_linear);
    samc__view *own[] = {&a->x, &a->y, &a->w};
    memcpy(views, own, sizeof own);
    return (int)(sizeof own / sizeof *own);
}

/* Weights are arrays of floats on hosts. */
static int grouped_low(check *c, samc__view **views) { return grouped_typed(c, views) - 1; }

static void grouped_types(const int *p, samc__dtype *of_views) {
    for (int i = 0; i < 3; i++) of_views[i] = (samc__dtype)p[4];
}

ROW(grouped_linear) = {
    .name = "grouped_linear",
    .fields = "m groups in out type",
    /* At most 64 products to a sum. */
    .nmse = 5e-13,
    .deviation = 5e-6,
    .cases = listed,
    .case_count = COUNT(listed),
    .build = grouped_build,
    .narrow = grouped_narrow,
    .draw = grouped_draw,
    .book = grouped_book,
    .typed = grouped_typed,
    .types = grouped_types,
    .low = grouped_low,
};
