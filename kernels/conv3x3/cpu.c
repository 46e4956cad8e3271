/* conv3x3 in vectors: the linear layer's matrix product on rows gathered from nine neighbours, k = (tap,
 * channel). */
#include "kernels/cpu/gemm.h"
#include "kernels/cpu/linear.h"
#include "kernels/conv3x3/conv3x3.h"
#include "kernels/conv3x3/winograd.h"

#include <string.h>

typedef struct conv_task {
    const samc__conv3x3_args *args;
    float *panels;
} conv_task;

/* Elements [begin, end) of the nine neighbours of one pixel of y; zeros beyond the border. The three of a row lie side
 * by side. */
static void gather_pixel(const void *source, int64_t pixel, int64_t begin, int64_t end, float *out) {
    const samc__conv3x3_args *a = source;
    const int64_t c = a->x.n[3], h = a->x.n[1], w = a->x.n[2];
    const int64_t x = pixel % a->y.n[2] * a->stride, y = pixel / a->y.n[2] % a->y.n[1] * a->stride,
                  image = pixel / (a->y.n[1] * a->y.n[2]);
    const bool within = x > 0 && x + 1 < w;
    const int64_t step = within ? 3 * c : c; /* what one copy may hold */
    while (begin < end) {
        int64_t part = begin / step, at = begin % step, count = step - at < end - begin ? step - at : end - begin;
        int64_t py = y + (within ? part : part / 3) - 1, px = x + (within ? 0 : part % 3) - 1;
        if (py >= 0 && py < h && px >= 0 && px < w)
            memcpy(out, samc__f32(a->x) + ((image * h + py) * w + px) * c + at, (size_t)count * sizeof(float));
        else memset(out, 0, (size_t)count * sizeof(float));
        out += count, begin += count;
    }
}

static void pack_panels(void *context, int64_t begin, int64_t end, int worker) {
    const conv_task *t = context;
    int64_t n = t->args->w.n[0], c = t->args->w.n[1];
    (void)worker;
    for (int64_t panel = begin; panel < end; panel++)
        samc__pack_taps(samc__f32(t->args->w), n, c, panel, t->panels + panel * 9 * c * SAMC__PANEL);
}

samc_status SAMC__RUNG(samc__conv3x3)(const samc__exec *exec, const samc__conv3x3_args *a) {
    int64_t c = a->x.n[3], n = a->y.n[3];
    if (winograd_serves(a)) return winograd_run(exec, a);
    const float *panels = samc__packed_find_taps(exec->packed, a->w.data, n, c, SAMC__F32);
    float *made = NULL;
    if (panels == NULL) {
        panels = made = exec->allocate(exec->memory, samc__packed_floats(n, 9 * c) * sizeof(float));
        if (made == NULL) return samc__fail(exec->error, SAMC_OUT_OF_MEMORY, "no memory for a convolution's weight");
        samc__parallel(exec, (double)(n * 9 * c) * 16, samc__panels(n), 1, pack_panels, &(conv_task){a, made});
    }
    samc_status status = SAMC__RUNG(samc__gemm)(exec, &(samc__gemm){.gather = gather_pixel,
                                                                    .source = a,
                                                                    .m = a->y.n[0] * a->y.n[1] * a->y.n[2],
                                                                    .n = n,
                                                                    .k = 9 * c,
                                                                    .panels = panels,
                                                                    .bias = samc__f32(a->b),
                                                                    .residual = samc__f32(a->residual),
                                                                    .residual_rows = a->y.n[0] * a->y.n[1] * a->y.n[2],
                                                                    .y = samc__f32(a->y),
                                                                    .y_stride = n,
                                                                    .act = a->act,
                                                                    .act_last = a->act_last});
    exec->release(exec->memory, made);
    return status;
}
