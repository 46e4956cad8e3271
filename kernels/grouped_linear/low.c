/* grouped_linear of activations in bf16, or in f32 (rows.h): products in f32, of which a value takes part in
 * a group's width alone. */
#include "kernels/cpu/low.h"
#include "kernels/grouped_linear/grouped_linear.h"

SAMC__INLINE vf x_load(samc__view v, int64_t at, int64_t n) { return vf_load_first_of(v, at, n); }
SAMC__INLINE void y_store(samc__view v, int64_t at, int64_t n, vf x) { vf_store_first_of(v, at, n, x); }
#include "kernels/grouped_linear/rows.h"

samc_status SAMC__RUNG(samc__grouped_linear)(const samc__exec *exec, const samc__grouped_linear_args *a) {
    return grouped_run(exec, a);
}
