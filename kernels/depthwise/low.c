/* depthwise of activations in bf16, or in f32 where a model keeps its residual in that: in vectors of channels
 * (rows.h), sums and weights in f32. There are no products of pairs here: taps of one channel are all that is added. */
#include "kernels/cpu/low.h"
#include "kernels/depthwise/depthwise.h"

/* lanes == 2 * VW: pairs, the even ones to x[0]. */
SAMC__INLINE void x_load(const samc__depthwise_args *a, bool low, int64_t at, int64_t lanes, vf x[2]) {
    if (lanes > VW) load_pairs((const uint16_t *)a->x.data + at, &x[0], &x[1]);
    else if (lanes < VW) x[0] = vf_load_first_of(a->x, at, lanes);
    else x[0] = low ? vf_load_bf16((const uint16_t *)a->x.data + at) : vf_load((const float *)a->x.data + at);
}
SAMC__INLINE vf value_of(const samc__depthwise_args *a, bool low, vf sum) {
    if (low && a->act == SAMC__ACT_GELU) return vf_gelu_low(sum);
    if (low && a->act == SAMC__ACT_GELU_TANH) return vf_gelu_tanh_low(sum);
    return vf_activate(sum, a->act);
}
SAMC__INLINE void y_store(const samc__depthwise_args *a, bool low, int64_t at, int64_t lanes, const vf sum[2]) {
    const vf value = value_of(a, low, sum[0]);
    if (lanes > VW) vb_store((uint16_t *)a->y.data + at, vb_pairs(value, value_of(a, low, sum[1])));
    else if (lanes < VW) vf_store_first_of(a->y, at, lanes, value);
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
    const bool low = a->x.dtype != SAMC__F32;
    return depthwise_run(exec, a, low, low ? depthwise_low_rows : depthwise_rows);
}
