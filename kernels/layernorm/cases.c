/* The cases of layernorm: m c, y in place of x. */
#include "tests/checkops/checkops.h"
#include "tests/checkops/book.h"
#include "kernels/layernorm/layernorm.h"

#include <string.h>

static const test_case listed[] = {
    {0, {1, 1, 0}},
    {0, {3, 2, 0}},
    {0, {5, 7, 1}},
    {0, {2, 15, 0}},
    {0, {9, 17, 1}},
    {0, {65, 64, 0}},
    {0, {130, 192, 1}},
    {0, {4, 1283, 0}},
    {0, {5, 17, 0}},
    {0, {9, 64, 0}},
    {0, {130, 193, 1}},
    {0, {66, 256, 0}},
    {1, {4096, 768, 0}},
    {1, {4096, 256, 1}},
    {1, {1024, 192, 0}},
    {1, {448, 256, 1}},
    /* Tensor cores, for NaN and infinities. */
    {CUDA_SHAPE, {5, 64, 0}},
};

static void layernorm_build(check *c, const int *p) {
    int64_t m = p[0], n = p[1];
    samc__layernorm_args *a = ARGS(c, layernorm);
    *a = (samc__layernorm_args){.x = samc__view2(p[2] ? in_out(c, m * n, 2) : input(c, m * n, 2), m, n)};
    a->norm =
        (samc__norm){samc__view1(input_around(c, n, 1, 0.2f), n), samc__view1(input_around(c, n, 0, 0.2f), n), 1e-6f};
    a->y = p[2] ? a->x : samc__view2(output(c, m * n), m, n);
}

static void layernorm_draw(check *c, int *p) {
    p[0] = random_size(c, 200), p[1] = random_size(c, 800), p[2] = random_below(c, 2);
}

static bool layernorm_narrow(check *c, const int *p) {
    samc__layernorm_args *a = ARGS(c, layernorm);
    samc__view *rows[] = {&a->x, &a->y};
    for (int i = 0; i < 2; i++) *rows[i] = samc__view2(samc__f32(*rows[i]) + (p[0] - 1) * (int64_t)p[1], 1, p[1]);
    return p[0] > 1;
}

static void layernorm_book(book *b, const check *of) {
    const samc__layernorm_args *a = ARGS(of, layernorm);
    int64_t count = count_of(a->x);
    double *t = values(b, a->x);
    normalise(b, t, a->x.n[0], a->norm, NULL);
    memcpy(result(b, a->y), t, (size_t)count * sizeof *t);
}

static int layernorm_typed(check *c, samc__view **views) {
    samc__layernorm_args *a = ARGS(c, layernorm);
    samc__view *own[] = {&a->x, &a->y};
    memcpy(views, own, sizeof own);
    return (int)(sizeof own / sizeof *own);
}

ROW(layernorm) = {
    .name = "layernorm",
    .fields = "m c in_place",
    .nmse = 1e-12,
    .deviation = 5e-6,
    .cases = listed,
    .case_count = COUNT(listed),
    .build = layernorm_build,
    .narrow = layernorm_narrow,
    .draw = layernorm_draw,
    .book = layernorm_book,
    .typed = layernorm_typed,
};
