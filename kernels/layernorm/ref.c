/* layernorm, reference. */
#include "kernels/ref/math.h"
#include "kernels/ops.h"
#include "kernels/layernorm/layernorm.h"

samc_status samc__layernorm_check(const samc__layernorm_args *a, samc_error *error) {
    int64_t m = a->x.n[0], c = a->x.n[1];
    SAMC__REQUIRE(error, "layernorm", samc__is2(a->x, m, c) && m > 0 && c > 0);
    SAMC__REQUIRE(error, "layernorm", samc__is1(a->norm.g, c) && samc__is1(a->norm.b, c) && a->norm.eps > 0.0f);
    SAMC__REQUIRE(error, "layernorm", samc__is2(a->y, m, c));
    return SAMC_OK;
}

double samc__layernorm_flops(const samc__layernorm_args *a) { return 8.0 * (double)a->x.n[0] * (double)a->x.n[1]; }

static void layernorm_rows(void *context, int64_t begin, int64_t end, int worker) {
    const samc__layernorm_args *a = context;
    (void)worker;
    int64_t c = a->x.n[1];
    for (int64_t row = begin; row < end; row++)
        samc__layernorm_ref_row(samc__f32(a->x) + row * c, samc__f32(a->norm.g), samc__f32(a->norm.b), a->norm.eps, c,
                                samc__f32(a->y) + row * c);
}

samc_status samc__layernorm_ref(const samc__exec *exec, const samc__layernorm_args *a) {
    exec->parallel(exec->pool, a->x.n[0], 64, layernorm_rows, (void *)a);
    return SAMC_OK;
}
