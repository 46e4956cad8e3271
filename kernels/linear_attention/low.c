/* linear_attention of activations in bf16, or in f32 (heads.h): products and sums in f32, which they need: a
 * head's sums over keys are of thousands of terms. */
#include "kernels/cpu/low.h"
#include "kernels/linear_attention/linear_attention.h"

SAMC__INLINE vf x_load(samc__view v, int64_t at, int64_t n) { return vf_load_first_of(v, at, n); }
SAMC__INLINE void y_store(samc__view v, int64_t at, int64_t n, vf x) { vf_store_first_of(v, at, n, x); }
#include "kernels/linear_attention/heads.h"

samc_status SAMC__RUNG(samc__linear_attention)(const samc__exec *exec, const samc__linear_attention_args *a) {
    return attention_run(exec, a);
}
