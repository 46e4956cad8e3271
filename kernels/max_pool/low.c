/* max_pool of bf16 activations, or of f32 where a model keeps its residual in that: what is largest is one of x's
 * values, so that nothing is rounded. */
#include "kernels/max_pool/max_pool.h"

#include "kernels/cpu/linear.h"
#include "kernels/cpu/low.h"

#include <string.h>

/* y [c] = the larger of y and x, NaN where one is. */
static void larger(const uint16_t *restrict x, int64_t c, uint16_t *restrict y) {
    for (int64_t i = 0; i < c; i++) {
        const uint32_t bits[2] = {(uint32_t)x[i] << 16, (uint32_t)y[i] << 16};
        float value[2];
        memcpy(value, bits, sizeof bits);
        y[i] = value[0] > value[1] || value[0] != value[0] ? x[i] : y[i];
    }
}

/* One item: one row of y. */
static void pool_rows(void *context, int64_t begin, int64_t end, int worker) {
    const samc__max_pool_args *a = context;
    const int64_t w = a->y.n[2], c = a->y.n[3], step = a->x.n[3];
    (void)worker;
    for (int64_t row = begin; row < end; row++) {
        const uint16_t *x = (const uint16_t *)a->x.data + row * 4 * w * step;
        uint16_t *y = (uint16_t *)a->y.data + row * w * c;
        for (int64_t pixel = 0; pixel < w; pixel++, x += 2 * step, y += c) {
            memcpy(y, x, (size_t)c * sizeof *y);
            larger(x + step, c, y);
            larger(x + 2 * w * step, c, y);
            larger(x + (2 * w + 1) * step, c, y);
        }
    }
}

samc_status SAMC__RUNG(samc__max_pool)(const samc__exec *exec, const samc__max_pool_args *a) {
    if (a->x.dtype != a->y.dtype)
        return samc__fail(exec->error, SAMC_UNSUPPORTED, "max_pool from one type to another has no version here");
    if (a->x.dtype == SAMC__F32) return samc__max_pool_ref(exec, a);
    samc__parallel(exec, 16.0 * (double)samc__elements(a->y), a->y.n[0] * a->y.n[1], 1, pool_rows, (void *)a);
    return SAMC_OK;
}
