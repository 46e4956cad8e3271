/* The cases of layernorm: m c, y in place of x, types of x and y, mean of x in deviations. */
#include "tests/checkops/checkops.h"
#include "tests/checkops/book.h"
#include "kernels/layernorm/layernorm.h"

#include <string.h>

static const test_case listed[] = {
    {ALL, {1, 1, 0}},
    {ALL, {3, 2, 0}},
    {ALL, {5, 7, 1}},
    {ALL, {2, 15, 0}},
    {ALL, {9, 17, 1}},
    {ALL, {65, 64, 0}},
    {ALL, {130, 192, 1}},
    {ALL, {4, 1283, 0}},
    {ALL, {5, 17, 0}},
    {ALL, {9, 64, 0}},
    {ALL, {130, 193, 1}},
    {ALL, {66, 256, 0}},
    {MODEL, {4096, 768, 0}},
    {MODEL, {4096, 256, 1}},
    {MODEL, {1024, 192, 0}},
    {MODEL, {448, 256, 1}},
    {CUDA_SHAPE, {5, 64, 0}},
    /* Widths of the general kernel (odd, beyond 1536) and of the vector kernel; rows that do not fill a block.
     * Large means are a pattern on hosts. */
    {QUICK, {1, 1, 0, F32, F32, 0}},
    {QUICK, {3, 7, 0, F16, F16, 2}},
    {QUICK, {5, 4, 0, F32, BF16, 0}},
    {QUICK, {6, 132, 0, BF16, BF16, 1}},
    {CUDA_QUICK, {9, 768, 0, F32, F16, 100}},
    {CUDA_QUICK, {4, 1280, 0, BF16, BF16, 3}},
    {QUICK, {2, 1536, 0, F16, F16, 0}},
    {CUDA_QUICK, {2, 1540, 0, F32, F32, 1000}},
    {QUICK, {3, 7, 0, F32, F16, 2}},
    {QUICK, {2, 5, 0, F32, BF16, 0}},
    {QUICK, {7, 256, 0, F32, BF16, 0}},
    {QUICK, {2, 1541, 0, F32, F16, 0}},
    /* In place: every dtype, by both kernels. */
    {QUICK, {2, 33, 1, F32, F32, 0}},
    {QUICK, {3, 9, 1, BF16, BF16, 0}},
    {QUICK, {4, 70, 1, F16, F16, 1}},
    {QUICK, {5, 260, 1, F32, F32, 1}},
    {QUICK, {3, 256, 1, F16, F16, 0}},
    {QUICK, {5, 192, 1, BF16, BF16, 1}},
    {FULL, {196, 768, 0, F32, BF16, 1}},
    {FULL, {256, 256, 1, BF16, BF16, 1}},
    {FULL, {130, 192, 0, F16, F16, 1}},
    /* ViT-B and ViT-H, one image and four; the neck; the decoder's queries and keys of 64 prompts. */
    {HARDWARE, {4096, 768, 0, F32, BF16, 1}},
    {HARDWARE, {16384, 768, 0, F32, BF16, 1}},
    {HARDWARE, {4096, 1280, 0, F32, BF16, 1}},
    {HARDWARE, {16384, 1280, 0, F32, BF16, 1}},
    {HARDWARE, {16384, 256, 1, BF16, BF16, 1}},
    {HARDWARE, {448, 256, 1, F32, F32, 1}},
    {HARDWARE, {262144, 256, 1, BF16, BF16, 1}},
};

static void layernorm_types(const int *p, samc__dtype *of_views) {
    of_views[0] = (samc__dtype)p[3], of_views[1] = (samc__dtype)p[4];
}

static void layernorm_build(check *c, const int *p) {
    int64_t m = p[0], n = p[1];
    samc__layernorm_args *a = ARGS(c, layernorm);
    *a = (samc__layernorm_args){.x = samc__view2(p[2] ? in_out(c, m * n, 2) : input(c, m * n, 2), m, n)};
    float *x = samc__f32(a->x);
    for (int64_t i = 0; i < m * n && p[5] != 0; i++) x[i] += 2 * (float)p[5];
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

/* The residual stream is f32, what is normed in place bf16. */
static int layernorm_low(check *c, samc__view **views) {
    samc__layernorm_args *a = ARGS(c, layernorm);
    views[0] = &a->y, views[1] = &a->x;
    return a->x.data == a->y.data ? 2 : 1;
}

ROW(layernorm) = {
    .name = "layernorm",
    .fields = "m c in_place in out mean",
    .nmse = 1e-12,
    .deviation = 5e-6,
    .cases = listed,
    .case_count = COUNT(listed),
    .build = layernorm_build,
    .narrow = layernorm_narrow,
    .draw = layernorm_draw,
    .book = layernorm_book,
    .typed = layernorm_typed,
    .types = layernorm_types,
    .low = layernorm_low,
};
