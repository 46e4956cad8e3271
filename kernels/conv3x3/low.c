/* conv3x3 in products of 16 bits: the linear layer's matrix product on rows gathered from nine neighbours, k = (tap,
 * channel). */
#include "kernels/conv3x3/conv3x3.h"

#include "kernels/cpu/low_linear.h"

typedef struct conv_task {
    const samc__conv3x3_args *args;
    uint16_t *panels; /* of [n, 9 * c] */
} conv_task;

/* n elements of x from `at` on. */
static void copy(samc__view x, int64_t at, int64_t n, uint16_t *out) {
    if (x.dtype == SAMC__F32) low_round(samc__f32(x) + at, n, out);
    else memcpy(out, (const uint16_t *)x.data + at, (size_t)n * sizeof *out);
}

/* The nine neighbours of one pixel; zeros beyond the border. The three of a row lie beside each other in x too. */
static void gather_pixel(const void *source, int64_t pixel, uint16_t *out) {
    const samc__conv3x3_args *a = source;
    const int64_t c = a->x.n[3], h = a->x.n[1], w = a->x.n[2];
    const int64_t left = pixel % a->y.n[2] * a->stride - 1, top = pixel / a->y.n[2] % a->y.n[1] * a->stride - 1,
                  image = pixel / (a->y.n[1] * a->y.n[2]);
    const int64_t before = left < 0 ? c : 0, behind = left + 3 > w ? (left + 3 - w) * c : 0; /* beyond the border */
    for (int64_t y = top; y < top + 3; y++, out += 3 * c) {
        if (y < 0 || y >= h) {
            memset(out, 0, (size_t)(3 * c) * sizeof *out);
            continue;
        }
        if (before > 0) memset(out, 0, (size_t)before * sizeof *out);
        copy(a->x, ((image * h + y) * w + left) * c + before, 3 * c - before - behind, out + before);
        if (behind > 0) memset(out + 3 * c - behind, 0, (size_t)behind * sizeof *out);
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
