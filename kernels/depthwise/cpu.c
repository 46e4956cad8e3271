/* depthwise in vectors of channels (rows.h), of floats. */
#include "kernels/cpu/vec.h"
#include "kernels/depthwise/depthwise.h"

SAMC__INLINE void x_load(const samc__depthwise_args *a, bool low, int64_t at, int64_t lanes, vf x[2]) {
    (void)low;
    x[0] = lanes == VW ? vf_load(samc__f32(a->x) + at) : vf_load_first(samc__f32(a->x) + at, lanes);
}
SAMC__INLINE void y_store(const samc__depthwise_args *a, bool low, int64_t at, int64_t lanes, const vf sum[2]) {
    const vf value = vf_activate(sum[0], a->act);
    (void)low;
    if (lanes == VW) vf_store(samc__f32(a->y) + at, value);
    else vf_store_first(samc__f32(a->y) + at, lanes, value);
}
#include "kernels/depthwise/rows.h"

static void depthwise_rows(void *context, int64_t begin, int64_t end, int worker) {
    (void)worker;
    depthwise_part(context, false, begin, end);
}

samc_status SAMC__RUNG(samc__depthwise)(const samc__exec *exec, const samc__depthwise_args *a) {
    return depthwise_run(exec, a, false, depthwise_rows);
}
