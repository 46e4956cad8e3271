/* max_pool, reference. */
#include "kernels/max_pool/max_pool.h"
#include "kernels/ops.h"

samc_status samc__max_pool_check(const samc__max_pool_args *a, samc_error *error) {
    const int64_t *x = a->x.n, *y = a->y.n; /* images, h, w, channels */
    SAMC__REQUIRE(error, "max_pool", y[0] > 0 && y[1] > 0 && y[2] > 0 && y[3] > 0 && x[3] >= y[3]);
    SAMC__REQUIRE(error, "max_pool", samc__is4(a->x, y[0], 2 * y[1], 2 * y[2], x[3]));
    SAMC__REQUIRE(error, "max_pool", samc__is4(a->y, y[0], y[1], y[2], y[3]));
    return SAMC_OK;
}

double samc__max_pool_flops(const samc__max_pool_args *a) { return 3.0 * (double)samc__elements(a->y); }

/* One item: one row of y. */
static void pool_rows(void *context, int64_t begin, int64_t end, int worker) {
    const samc__max_pool_args *a = context;
    const int64_t w = a->y.n[2], c = a->y.n[3], step = a->x.n[3];
    (void)worker;
    for (int64_t row = begin; row < end; row++) {
        const float *x = samc__f32(a->x) + row * 4 * w * step;
        float *restrict y = samc__f32(a->y) + row * w * c;
        for (int64_t pixel = 0; pixel < w; pixel++, x += 2 * step, y += c) {
            const float *const of[4] = {x, x + step, x + 2 * w * step, x + (2 * w + 1) * step};
            for (int64_t i = 0; i < c; i++) y[i] = of[0][i];
            for (int k = 1; k < 4; k++)
                for (int64_t i = 0; i < c; i++) y[i] = of[k][i] > y[i] || of[k][i] != of[k][i] ? of[k][i] : y[i];
        }
    }
}

samc_status samc__max_pool_ref(const samc__exec *exec, const samc__max_pool_args *a) {
    exec->parallel(exec->pool, a->y.n[0] * a->y.n[1], 1, pool_rows, (void *)a);
    return SAMC_OK;
}
