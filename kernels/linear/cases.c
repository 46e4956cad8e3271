/* The cases of linear: m k n, act, residual (0 none, 1 own rows, 2 shared by halves, 3 in place), strided, bias. */
#include "tests/checkops/checkops.h"
#include "tests/checkops/book.h"
#include "kernels/linear/linear.h"

static const test_case listed[] = {
    {HOSTS, {1, 1, 1, 0, 0, 0, 1}},
    {HOSTS, {1, 3, 2, 1, 1, 0, 0}},
    {HOSTS, {2, 17, 33, 2, 2, 1, 1}},
    {HOSTS, {7, 256, 31, 0, 3, 0, 1}},
    {HOSTS, {13, 100, 65, 1, 3, 1, 1}},
    {HOSTS, {48, 64, 32, 2, 0, 1, 0}},
    {HOSTS, {49, 1024, 33, 0, 1, 0, 1}},
    {HOSTS, {50, 1025, 48, 1, 2, 0, 1}},
    {HOSTS, {61, 2049, 96, 0, 3, 1, 1}},
    {HOSTS, {97, 5, 4, 1, 0, 0, 1}},
    {HOSTS, {130, 192, 129, 0, 3, 0, 1}},
    {HOSTS, {11, 8, 16, 2, 1, 1, 1}},
    {MODEL, {4096, 768, 2304, 0, 0, 0, 1}},
    {MODEL, {4096, 768, 768, 0, 3, 0, 1}},
    {MODEL, {4096, 768, 3072, 1, 0, 0, 1}},
    {MODEL, {4096, 3072, 768, 0, 3, 0, 1}},
    {MODEL, {1024, 192, 768, 1, 0, 0, 1}},
    {MODEL, {1024, 768, 192, 0, 3, 0, 1}},
    {MODEL, {448, 256, 2048, 2, 0, 0, 1}},
    {MODEL, {448, 2048, 256, 0, 3, 0, 1}},
    {MODEL, {7, 256, 2048, 2, 0, 0, 1}},
    {MODEL, {1024, 1280, 5120, 1, 0, 0, 1}},
    {MODEL, {1024, 5120, 1280, 0, 3, 0, 1}},
    /* Tensor cores, for NaN and infinities. */
    {CUDA_SHAPE, {48, 64, 64, 2, 1, 0, 1}},
    {CUDA_SHAPE, {35, 128, 64, 2, 1, 0, 1}},
    {CUDA_SHAPE, {64, 64, 64, 1, 0, 0, 1}},
};

static void linear_build(check *c, const int *p) {
    int64_t m = p[0], k = p[1], n = p[2], xs = p[5] ? k + 3 : k, ys = p[5] ? n + 5 : n;
    int residual = p[4] == 2 && m % 2 ? 1 : p[4] == 3 && p[5] ? 1 : p[4]; /* the residual's rows are dense */
    samc__linear_args *a = ARGS(c, linear);
    *a = (samc__linear_args){.x = samc__view2(input(c, m * xs, 1), m, k),
                             .x_stride = p[5] ? xs : 0,
                             .y_stride = p[5] ? ys : 0,
                             .act = (samc__act)p[3]};
    a->p.w = samc__view2(input_around(c, n * k, 0, 0.05f), n, k);
    if (p[6]) a->p.b = samc__view1(input(c, n, 0.1f), n);
    if (residual == 1 || residual == 2) a->residual = samc__view2(input(c, m / residual * n, 1), m / residual, n);
    /* Spaced rows leave gaps that no version writes: in_out keeps them comparable. */
    a->y = samc__view2(residual == 3 || p[5] ? in_out(c, m * ys, 1) : output(c, m * n), m, n);
    if (residual == 3) a->residual = a->y;
}

static bool linear_narrow(check *c, const int *p) {
    samc__linear_args *a = ARGS(c, linear);
    int64_t m = p[0], xs = a->x_stride ? a->x_stride : p[1], ys = a->y_stride ? a->y_stride : p[2];
    if (m < 2) return false;
    if (a->residual.data)
        a->residual = samc__view2(samc__f32(a->residual) + (m - 1) % a->residual.n[0] * p[2], 1, p[2]);
    a->x = samc__view2(samc__f32(a->x) + (m - 1) * xs, 1, p[1]);
    a->y = samc__view2(samc__f32(a->y) + (m - 1) * ys, 1, p[2]);
    return true;
}

static void linear_draw(check *c, int *p) {
    p[0] = random_size(c, 200), p[1] = random_size(c, random_below(c, 3) ? 200 : 1700), p[2] = random_size(c, 200);
    p[3] = random_below(c, 3), p[4] = random_below(c, 4), p[5] = random_below(c, 2), p[6] = random_below(c, 4) != 0;
}

static void linear_book(book *b, const check *of) {
    const samc__linear_args *a = ARGS(of, linear);
    int64_t m = a->x.n[0], k = a->x.n[1], n = a->p.w.n[0], xs = a->x_stride ? a->x_stride : k,
            ys = a->y_stride ? a->y_stride : n;
    double *x = values_at(b, a->x.data, (m - 1) * xs + k), *dense = room(b, m * k), *residual = values(b, a->residual),
           *y = result(b, a->y);
    for (int64_t i = 0; i < m * k; i++) dense[i] = x[i / k * xs + i % k];
    double *product = project(b, dense, m, a->p);
    for (int64_t i = 0; i < m * n; i++) {
        double value = product[i];
        if (a->act == SAMC__ACT_GELU) value = gelu(value);
        if (a->act == SAMC__ACT_RELU && value < 0) value = 0;
        y[i / n * ys + i % n] = value + (a->residual.data ? residual[i % (a->residual.n[0] * n)] : 0);
    }
}

static samc__view linear_packed(const check *c) { return ARGS(c, linear)->p.w; }

/* Layers on an odd number of rows keep f32 for all but the weight. */
static int linear_typed(check *c, samc__view **views) {
    samc__linear_args *a = ARGS(c, linear);
    views[0] = &a->p.w, views[1] = &a->x, views[2] = &a->residual, views[3] = &a->y;
    return a->x.n[0] % 2 == 0 ? 4 : 1;
}

ROW(linear) = {
    .name = "linear",
    .fields = "m k n act residual strided bias",
    /* A sum of k products of unit size, rounded in another order, moves by about sqrt(k) 2^-24 / 2 of its deviation:
     * 2e-6 for k = 5120, nmse 4e-12 if both sides had one chain. The largest of 12 million outputs lies 6 of these out,
     * and GELU halves the deviation that errors are measured in. */
    .nmse = 2e-12,
    .deviation = 2.5e-5,
    .cases = listed,
    .case_count = COUNT(listed),
    .check_apart = true,
    .build = linear_build,
    .narrow = linear_narrow,
    .draw = linear_draw,
    .book = linear_book,
    .packed = linear_packed,
    .typed = linear_typed,
};
