/* conv3x3 in products of 16 bits: the linear layer's matrix product on rows gathered from nine neighbours, k = (tap,
 * channel). */
#include "kernels/conv3x3/conv3x3.h"

#include "kernels/cpu/low_linear.h"

typedef struct conv_task {
    const samc__conv3x3_args *args;
    uint16_t *panels; /* of [n, 9 * c] */
} conv_task;

/* The nine neighbours of one pixel; zeros beyond the border. */
static void gather_pixel(const void *source, int64_t pixel, uint16_t *out) {
    const samc__conv3x3_args *a = source;
    const int64_t c = a->x.n[3], h = a->x.n[1], w = a->x.n[2];
    const int64_t left = pixel % a->y.n[2] * a->stride - 1, top = pixel / a->y.n[2] % a->y.n[1] * a->stride - 1,
                  image = pixel / (a->y.n[1] * a->y.n[2]);
    for (int tap = 0; tap < 9; tap++, out += c) {
        const int64_t y = top + tap / 3, x = left + tap % 3, at = ((image * h + y) * w + x) * c;
        const bool inside = y >= 0 && y < h && x >= 0 && x < w;
        if (!inside) memset(out, 0, (size_t)c * sizeof *out);
        else if (a->x.dtype == SAMC__F32) low_round(samc__f32(a->x) + at, c, out);
        else memcpy(out, (const uint16_t *)a->x.data + at, (size_t)c * sizeof *out);
    }
}

static void pack_panels(void *context, int64_t begin, int64_t end, int worker) {
    const conv_task *t = context;
    const int64_t n = t->args->w.n[0], c = t->args->w.n[1];
    (void)worker;
    for (int64_t panel = begin; panel < end; panel++)
        samc__pack_taps_bf16(samc__f32(t->args->w), n, c, panel,
                             t->panels + panel * SAMC__PANEL * samc__packed_k(9 * c));
}

samc_status SAMC__RUNG(samc__conv3x3)(const samc__exec *exec, const samc__conv3x3_args *a) {
    const int64_t c = a->x.n[3], n = a->y.n[3], k = 9 * c;
    const uint16_t *panels = samc__packed_find_taps(exec->packed, a->w.data, n, c, SAMC__BF16);
    uint16_t *made = NULL;
    if (panels == NULL) {
        panels = made = exec->allocate(exec->memory, samc__packed_halves(n, k) * sizeof *panels);
        if (made == NULL) return samc__fail(exec->error, SAMC_OUT_OF_MEMORY, "no memory for a convolution's weight");
        samc__parallel(exec, (double)(n * k) * 16, samc__panels(n), 1, pack_panels, &(conv_task){a, made});
    }
    samc__view residual = a->residual; /* as rows */
    residual.rank = 2, residual.n[0] = a->y.n[0] * a->y.n[1] * a->y.n[2], residual.n[1] = n;
    const samc_status status =
        SAMC__RUNG(samc__low_gemm)(exec, &(samc__low_gemm){.gather = gather_pixel,
                                                           .source = a,
                                                           .m = a->y.n[0] * a->y.n[1] * a->y.n[2],
                                                           .n = n,
                                                           .k = k,
                                                           .panels = panels,
                                                           .bias = samc__f32(a->b),
                                                           .residual = residual,
                                                           .y = a->y,
                                                           .y_stride = n,
                                                           .act = a->act,
                                                           .act_last = a->act_last});
    exec->release(exec->memory, made);
    return status;
}
