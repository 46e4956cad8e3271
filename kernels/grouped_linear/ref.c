/* grouped_linear, reference: one dot product for each output. */
#include "kernels/grouped_linear/grouped_linear.h"
#include "kernels/ops.h"
#include "kernels/ref/math.h"

samc_status samc__grouped_linear_check(const samc__grouped_linear_args *a, samc_error *error) {
    const int64_t m = a->x.n[0], in = a->w.n[1], outs = a->w.n[0], groups = a->groups;
    SAMC__REQUIRE(error, "grouped_linear", m > 0 && groups > 0 && in > 0 && in <= SAMC__GROUP_MOST);
    SAMC__REQUIRE(error, "grouped_linear", outs > 0 && outs % groups == 0 && outs / groups <= SAMC__GROUP_MOST);
    SAMC__REQUIRE(error, "grouped_linear", samc__is2(a->x, m, groups * in) && samc__is2(a->w, outs, in));
    SAMC__REQUIRE(error, "grouped_linear", samc__is2(a->y, m, outs));
    return SAMC_OK;
}

double samc__grouped_linear_flops(const samc__grouped_linear_args *a) {
    return 2.0 * (double)samc__elements(a->y) * (double)a->w.n[1];
}

static void grouped_rows(void *context, int64_t begin, int64_t end, int worker) {
    const samc__grouped_linear_args *a = context;
    const int64_t in = a->w.n[1], outs = a->w.n[0], out = outs / a->groups;
    (void)worker;
    for (int64_t row = begin; row < end; row++)
        for (int64_t o = 0; o < outs; o++)
            samc__f32(a->y)[row * outs + o] =
                samc__dot_ref(samc__f32(a->x) + row * a->x.n[1] + o / out * in, samc__f32(a->w) + o * in, in);
}

samc_status samc__grouped_linear_ref(const samc__exec *exec, const samc__grouped_linear_args *a) {
    exec->parallel(exec->pool, a->x.n[0], 8, grouped_rows, (void *)a);
    return SAMC_OK;
}
