/* linear_attention in vectors (heads.h), of floats. */
#include "kernels/cpu/vec.h"
#include "kernels/linear_attention/linear_attention.h"

SAMC__INLINE vf x_load(samc__view v, int64_t at, int64_t n) {
    return n == VW ? vf_load(samc__f32(v) + at) : vf_load_first(samc__f32(v) + at, n);
}
SAMC__INLINE void y_store(samc__view v, int64_t at, int64_t n, vf x) {
    if (n == VW) vf_store(samc__f32(v) + at, x);
    else vf_store_first(samc__f32(v) + at, n, x);
}
#include "kernels/linear_attention/heads.h"

samc_status SAMC__RUNG(samc__linear_attention)(const samc__exec *exec, const samc__linear_attention_args *a) {
    return attention_run(exec, a);
}
