/* linear, reference: one dot product for each output, bias, activation, residual. */
#include "kernels/ref/math.h"
#include "kernels/ops.h"
#include "kernels/linear/int8.h"
#include "kernels/linear/linear.h"
#include "runtime/base/eight_bits.h"

samc_status samc__linear_check(const samc__linear_args *a, samc_error *error) {
    int64_t m = a->x.n[0], k = a->x.n[1], n = a->p.w.n[0];
    SAMC__REQUIRE(error, "linear", samc__is2(a->x, m, k) && m > 0 && k > 0);
    SAMC__REQUIRE(error, "linear", samc__is2(a->p.w, n, k) && n > 0);
    SAMC__REQUIRE(error, "linear", samc__absent_or_is1(a->p.b, n));
    SAMC__REQUIRE(error, "linear", samc__is2(a->y, m, n));
    SAMC__REQUIRE(error, "linear",
                  a->residual.data == NULL ||
                      (samc__is2(a->residual, a->residual.n[0], n) && m % a->residual.n[0] == 0));
    SAMC__REQUIRE(error, "linear", a->p.w.dtype != SAMC__I8 || (a->p.w.scale != NULL && k <= SAMC__INT8_MOST_K));
    SAMC__REQUIRE(error, "linear", (unsigned)a->act < SAMC__ACTS);
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
    static const float nothing = 0.0f;
    for (int64_t row = begin; row < end; row++) {
        const float *x = samc__f32(a->x) + row * x_stride; /* [k] */
        float *y = samc__f32(a->y) + row * y_stride;       /* [n] */
        const float *added = residual ? residual + row % a->residual.n[0] * n : NULL;
        for (int64_t i = 0; i < n; i++) {
            float value = samc__dot_ref(x, w + i * k, k) + (bias ? bias[i] : 0.0f);
            y[i] = samc__finish_ref(value, a->act, a->act_last, added ? added + i : &nothing);
        }
    }
}

/* One row of x [k], elements `at` and on, as whole numbers q - zero, and its scale. */
static float row_as_integers(samc__view x, int64_t at, int32_t *q) {
    float least = 0.0f, most = 0.0f;
    bool finite = true;
    for (int64_t i = 0; i < x.n[1]; i++) {
        const float value = samc__load_element(x.dtype, x.data, at + i);
        least = value < least ? value : least, most = value > most ? value : most;
        finite = finite && isfinite(value);
    }
    const samc__int8_range range = finite ? samc__int8_range_of(least, most) : (samc__int8_range){NAN, 0, 0};
    for (int64_t i = 0; i < x.n[1]; i++)
        q[i] = samc__int8_of(range, samc__load_element(x.dtype, x.data, at + i)) - range.zero;
    return range.scale;
}

typedef struct integers {
    const samc__linear_args *args;
    int32_t *rows; /* [workers, k] */
} integers;

static void linear8_rows(void *context, int64_t begin, int64_t end, int worker) {
    const integers *t = context;
    const samc__linear_args *a = t->args;
    const int64_t k = a->x.n[1], n = a->p.w.n[0];
    const float *bias = samc__f32(a->p.b);
    int32_t *q = t->rows + worker * k;
    for (int64_t row = begin; row < end; row++) {
        const float scale = row_as_integers(a->x, row * (a->x_stride ? a->x_stride : k), q);
        for (int64_t i = 0; i < n; i++) {
            const int8_t *w = (const int8_t *)a->p.w.data + i * k;
            int32_t sum = 0;
            for (int64_t j = 0; j < k; j++) sum += q[j] * w[j];
            const float value = (float)sum * (a->p.w.scale[i] * scale) + (bias ? bias[i] : 0.0f);
            float added = 0.0f;
            if (a->residual.data)
                added = samc__load_element(a->residual.dtype, a->residual.data, row % a->residual.n[0] * n + i);
            samc__store_element(a->y.dtype, a->y.data, row * (a->y_stride ? a->y_stride : n) + i,
                                samc__finish_ref(value, a->act, a->act_last, a->residual.data ? &added : NULL));
        }
    }
}

samc_status samc__linear8_ref(const samc__exec *exec, const samc__linear_args *a) {
    integers t = {a, exec->allocate(exec->memory, (size_t)(exec->workers * a->x.n[1]) * sizeof(int32_t))};
    if (t.rows == NULL) return samc__fail(exec->error, SAMC_OUT_OF_MEMORY, "no memory for a product in 8 bits");
    exec->parallel(exec->pool, a->x.n[0], 8, linear8_rows, &t);
    exec->release(exec->memory, t.rows);
    return SAMC_OK;
}

samc_status samc__linear_ref(const samc__exec *exec, const samc__linear_args *a) {
    if (a->p.w.dtype == SAMC__I8) return samc__linear8_ref(exec, a);
    exec->parallel(exec->pool, a->x.n[0], 8, linear_rows, (void *)a);
    return SAMC_OK;
}
