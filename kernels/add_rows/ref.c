/* add_rows, reference. */
#include "kernels/ops.h"
#include "kernels/add_rows/add_rows.h"

samc_status samc__add_rows_check(const samc__add_rows_args *a, samc_error *error) {
    int64_t m = a->x.n[0], c = a->x.n[1];
    SAMC__REQUIRE(error, "add_rows", samc__is2(a->x, m, c) && m > 0 && c > 0);
    SAMC__REQUIRE(error, "add_rows", !a->b.data || samc__is1(a->b, c));
    SAMC__REQUIRE(error, "add_rows", samc__is2(a->y, m, c));
    return SAMC_OK;
}

double samc__add_rows_flops(const samc__add_rows_args *a) { return (double)a->x.n[0] * (double)a->x.n[1]; }

samc_status samc__add_rows_ref(const samc__exec *exec, const samc__add_rows_args *a) {
    if (exec->rehearsal) return SAMC_OK;
    int64_t m = a->x.n[0], c = a->x.n[1];
    const float *x = samc__f32(a->x), *b = samc__f32(a->b);
    float *y = samc__f32(a->y);
    for (int64_t row = 0; row < m; row++)
        for (int64_t i = 0; i < c; i++) y[row * c + i] = b ? x[row * c + i] + b[i] : x[row * c + i];
    return SAMC_OK;
}
