/* grouped_linear in vectors (rows.h), of floats. */
#include "kernels/cpu/vec.h"
#include "kernels/grouped_linear/grouped_linear.h"

SAMC__INLINE vf x_load(samc__view v, int64_t at, int64_t n) {
    return n == VW ? vf_load(samc__f32(v) + at) : vf_load_first(samc__f32(v) + at, n);
}
SAMC__INLINE void y_store(samc__view v, int64_t at, int64_t n, vf x) {
    if (n == VW) vf_store(samc__f32(v) + at, x);
    else vf_store_first(samc__f32(v) + at, n, x);
}
#include "kernels/grouped_linear/rows.h"

samc_status SAMC__RUNG(samc__grouped_linear)(const samc__exec *exec, const samc__grouped_linear_args *a) {
    return grouped_run(exec, a);
}
