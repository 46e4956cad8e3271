/* linear, reference: one dot product for each output, bias, activation, residual. */
#include "kernels/ref/math.h"
#include "kernels/ops.h"
#include "kernels/linear/linear.h"

samc_status samc__linear_check(const samc__linear_args *a, samc_error *error) {
    int64_t m = a->x.n[0], k = a->x.n[1], n = a->p.w.n[0];
    SAMC__REQUIRE(error, "linear", samc__is2(a->x, m, k) && m > 0 && k > 0);
    SAMC__REQUIRE(error, "linear", samc__is2(a->p.w, n, k) && n > 0);
    SAMC__REQUIRE(error, "linear", samc__absent_or_is1(a->p.b, n));
    SAMC__REQUIRE(error, "linear", samc__is2(a->y, m, n));
    SAMC__REQUIRE(error, "linear",
                  a->residual.data == NULL ||
                      (samc__is2(a->residual, a->residual.n[0], n) && m % a->residual.n[0] == 0));
    SAMC__REQUIRE(error, "linear", a->x_stride == 0 || a->x_stride >= k);
    SAMC__REQUIRE(error, "linear", a->y_stride == 0 || a->y_stride >= n);
    return SAMC_OK;
}

double samc__linear_flops(const samc__linear_args *a) {
    return 2.0 * (double)a->x.n[0] * (double)a->x.n[1] * (double)a->p.w.n[0];
}

static void linear_rows(void *context, int64_t begin, int64_t end, int worker) {
    const samc__linear_args *a = context;
    (void)worker;
    int64_t k = a->x.n[1], n = a->p.w.n[0];
    int64_t x_stride = a->x_stride ? a->x_stride : k, y_stride = a->y_stride ? a->y_stride : n;
    const float *w = samc__f32(a->p.w), *bias = samc__f32(a->p.b), *residual = samc__f32(a->residual);
    for (int64_t row = begin; row < end; row++) {
        const float *x = samc__f32(a->x) + row * x_stride; /* [k] */
        float *y = samc__f32(a->y) + row * y_stride;       /* [n] */
        const float *added = residual ? residual + row % a->residual.n[0] * n : NULL;
        for (int64_t i = 0; i < n; i++) {
            float value = samc__dot_ref(x, w + i * k, k) + (bias ? bias[i] : 0.0f);
            if (a->act == SAMC__ACT_GELU) value = samc__gelu_ref(value);
            if (a->act == SAMC__ACT_RELU) value = value < 0.0f ? 0.0f : value; /* NaN stays */
            y[i] = value + (added ? added[i] : 0.0f);
        }
    }
}

samc_status samc__linear_ref(const samc__exec *exec, const samc__linear_args *a) {
    exec->parallel(exec->pool, a->x.n[0], 8, linear_rows, (void *)a);
    return SAMC_OK;
}
