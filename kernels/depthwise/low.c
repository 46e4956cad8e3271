/* depthwise of activations in bf16, or in f32 where a model keeps its residual in that: in vectors of channels
 * (rows.h), sums and weights in f32. There are no products of pairs here: taps of one channel are all that is added. */
#include "kernels/cpu/low.h"
#include "kernels/depthwise/depthwise.h"

SAMC__INLINE vf x_load(const samc__depthwise_args *a, bool low, int64_t at, int64_t lanes) {
    if (lanes < VW) return vf_load_first_of(a->x, at, lanes);
    return low ? vf_load_bf16((const uint16_t *)a->x.data + at) : vf_load((const float *)a->x.data + at);
}
SAMC__INLINE void y_store(const samc__depthwise_args *a, bool low, int64_t at, int64_t lanes, vf sum) {
    const vf value = low && a->act == SAMC__ACT_GELU ? vf_gelu_low(sum) : vf_activate(sum, a->act);
    if (lanes < VW) vf_store_first_of(a->y, at, lanes, value);
    else if (low) vf_store_bf16((uint16_t *)a->y.data + at, value);
    else vf_store((float *)a->y.data + at, value);
}
#include "kernels/depthwise/rows.h"

static void depthwise_rows(void *context, int64_t begin, int64_t end, int worker) {
    (void)worker;
    depthwise_part(context, false, begin, end);
}
static void depthwise_low_rows(void *context, int64_t begin, int64_t end, int worker) {
    (void)worker;
    depthwise_part(context, true, begin, end);
}

samc_status SAMC__RUNG(samc__depthwise)(const samc__exec *exec, const samc__depthwise_args *a) {
    if (a->x.dtype != a->y.dtype)
        return samc__fail(exec->error, SAMC_UNSUPPORTED, "depthwise from one type to another has no version here");
    return depthwise_run(exec, a, a->x.dtype == SAMC__F32 ? depthwise_rows : depthwise_low_rows);
}
