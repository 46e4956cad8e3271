/* The cases of max_pool: images h w of y, c, channels of x beyond those; type. One of x's values, never rounded. */
#include "kernels/max_pool/max_pool.h"
#include "tests/checkops/book.h"
#include "tests/checkops/checkops.h"

#include <math.h>
#include <string.h>

static const test_case listed[] = {
    {ALL, {1, 1, 1, 1, 0}},
    {ALL, {2, 3, 5, 7, 0}},
    {ALL, {1, 2, 3, 16, 32}},
    {ALL, {3, 1, 9, 5, 3}},
    {HOSTS, {1, 9, 4, 33, 66}},
    {HOSTS, {2, 5, 7, 96, 192}},
    {MODEL, {1, 128, 128, 192, 384}},
    {MODEL, {1, 128, 128, 192, 0}},
    {MODEL, {1, 32, 32, 768, 1536}},
    /* Fours and single channels, alike and beside others, of every type. */
    {QUICK, {2, 3, 3, 12, 24, F16}},
    {QUICK, {1, 5, 4, 68, 0, BF16}},
    {QUICK, {2, 2, 7, 12, 2, BF16}},
    {QUICK, {1, 4, 3, 6, 2, F32}},
    {QUICK, {3, 2, 2, 9, 0, F16}},
    {FULL, {1, 32, 32, 96, 192, BF16}},
};

static void pool_build(check *c, const int *p) {
    const int64_t images = p[0], h = p[1], w = p[2], n = p[3], step = n + p[4];
    *ARGS(c, max_pool) =
        (samc__max_pool_args){.x = samc__view4(input(c, images * 4 * h * w * step, 1), images, 2 * h, 2 * w, step),
                              .y = samc__view4(output(c, images * h * w * n), images, h, w, n)};
}

static void pool_draw(check *c, int *p) {
    p[0] = 1 + random_below(c, 3), p[1] = random_size(c, 20), p[2] = random_size(c, 20), p[3] = random_size(c, 150);
    p[4] = random_below(c, 2) ? random_below(c, 150) : 0;
}

static bool pool_narrow(check *c, const int *p) {
    samc__max_pool_args *a = ARGS(c, max_pool);
    a->x = last_of(a->x), a->y = last_of(a->y);
    return p[0] > 1;
}

/* Every value of y is one of the four of x and no smaller than any. */
static const char *pool_verify(const check *c, const int *p) {
    const samc__max_pool_args *a = ARGS(c, max_pool);
    const float *x = initial(c, samc__f32(a->x)), *y = samc__f32(a->y);
    const int64_t w = p[2], n = p[3], step = n + p[4];
    for (int64_t i = 0; i < samc__elements(a->y); i++) {
        const int64_t row = i / n / w, column = i / n % w;
        bool met = false;
        for (int k = 0; k < 4; k++) {
            const float one = x[((2 * row + k / 2) * 2 * w + 2 * column + k % 2) * step + i % n];
            if (one > y[i]) return "a larger value is left";
            met |= one == y[i];
        }
        if (!met) return "a value is none of the four";
    }
    return NULL;
}

static void pool_book(book *b, const check *of) {
    const samc__max_pool_args *a = ARGS(of, max_pool);
    const double *x = values(b, a->x);
    double *y = result(b, a->y);
    const int64_t h = a->y.n[1], w = a->y.n[2], n = a->y.n[3], step = a->x.n[3];
    for (int64_t image = 0; image < a->y.n[0]; image++)
        for (int64_t i = 0; i < h; i++)
            for (int64_t j = 0; j < w; j++)
                for (int64_t c = 0; c < n; c++) {
                    double most = -INFINITY;
                    for (int dy = 0; dy < 2; dy++)
                        for (int dx = 0; dx < 2; dx++) {
                            const double one = x[((image * 2 * h + 2 * i + dy) * 2 * w + 2 * j + dx) * step + c];
                            most = isnan(most) || isnan(one) ? NAN : fmax(most, one);
                        }
                    *y++ = most;
                }
}

static int pool_typed(check *c, samc__view **views) {
    samc__max_pool_args *a = ARGS(c, max_pool);
    views[0] = &a->x, views[1] = &a->y;
    return 2;
}

static void pool_types(const int *p, samc__dtype *of_views) { of_views[0] = of_views[1] = (samc__dtype)p[5]; }

static int pool_low(check *c, samc__view **views) { return pool_typed(c, views); }

ROW(max_pool) = {
    .name = "max_pool",
    .fields = "images h w c beyond type",
    /* For a fast version; the reference is the only one on a host. */
    .nmse = 1e-14,
    .deviation = 1e-6,
    .cases = listed,
    .case_count = COUNT(listed),
    .build = pool_build,
    .narrow = pool_narrow,
    .verify = pool_verify,
    .draw = pool_draw,
    .book = pool_book,
    .typed = pool_typed,
    .types = pool_types,
    .nearest = true,
    .low = pool_low,
};
