/* unit_rows, reference. */
#include "kernels/unit_rows/unit_rows.h"
#include "kernels/ops.h"

#include <math.h>

samc_status samc__unit_rows_check(const samc__unit_rows_args *a, samc_error *error) {
    const int64_t m = a->x.n[0], c = a->x.n[1];
    SAMC__REQUIRE(error, "unit_rows", samc__is2(a->x, m, c) && m > 0 && c > 0);
    SAMC__REQUIRE(error, "unit_rows", samc__is2(a->y, m, c) && a->eps >= 0.0f);
    return SAMC_OK;
}

double samc__unit_rows_flops(const samc__unit_rows_args *a) { return 3.0 * (double)a->x.n[0] * (double)a->x.n[1]; }

static void scale_rows(void *context, int64_t begin, int64_t end, int worker) {
    const samc__unit_rows_args *a = context;
    const int64_t c = a->x.n[1];
    (void)worker;
    for (int64_t row = begin; row < end; row++) {
        const float *x = samc__f32(a->x) + row * c;
        double squares = 0.0;
        for (int64_t i = 0; i < c; i++) squares += (double)x[i] * (double)x[i];
        const float length = (float)sqrt(squares) + a->eps;
        for (int64_t i = 0; i < c; i++) samc__f32(a->y)[row * c + i] = x[i] / length;
    }
}

samc_status samc__unit_rows_ref(const samc__exec *exec, const samc__unit_rows_args *a) {
    exec->parallel(exec->pool, a->x.n[0], 64, scale_rows, (void *)a);
    return SAMC_OK;
}
