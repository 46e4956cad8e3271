/* conv3x3 in vectors: the linear layer's matrix product on rows gathered from nine neighbours, k = (tap,
 * channel). */
#include "kernels/cpu/gemm.h"
#include "kernels/cpu/linear.h"
#include "kernels/conv3x3/conv3x3.h"

#include <string.h>

typedef struct conv_task {
    const samc__conv3x3_args *args;
    float *panels;
} conv_task;

/* Elements [begin, end) of the nine neighbours of one pixel; zeros beyond the border. */
static void gather_pixel(const void *source, int64_t pixel, int64_t begin, int64_t end, float *out) {
    const samc__conv3x3_args *a = source;
    int64_t c = a->x.n[2], g = a->grid, x = pixel % g, y = pixel / g % g;
    while (begin < end) {
        int64_t tap = begin / c, at = begin % c, count = c - at < end - begin ? c - at : end - begin;
        int64_t dy = tap / 3 - 1, dx = tap % 3 - 1;
        bool inside = y + dy >= 0 && y + dy < g && x + dx >= 0 && x + dx < g;
        if (inside) memcpy(out, samc__f32(a->x) + (pixel + dy * g + dx) * c + at, (size_t)count * sizeof(float));
        else memset(out, 0, (size_t)count * sizeof(float));
        out += count, begin += count;
    }
}

static void pack_panels(void *context, int64_t begin, int64_t end, int worker) {
    const conv_task *t = context;
    int64_t n = t->args->w.n[0], c = t->args->w.n[1];
    (void)worker;
    for (int64_t panel = begin; panel < end; panel++) /* w [n, c, 9]: each tap is a matrix with rows 9 c apart */
        for (int64_t tap = 0; tap < 9; tap++)
            samc__pack_panel(samc__f32(t->args->w) + tap, n, c, 9 * c, 9, panel,
                             t->panels + (panel * 9 + tap) * c * SAMC__PANEL);
}

samc_status SAMC__RUNG(samc__conv3x3)(const samc__exec *exec, const samc__conv3x3_args *a) {
    int64_t c = a->x.n[2], n = a->y.n[2];
    float *panels = exec->allocate(exec->memory, samc__packed_floats(n, 9 * c) * sizeof(float));
    if (panels == NULL) return samc__fail(exec->error, SAMC_OUT_OF_MEMORY, "no memory for the neck's convolution");
    samc__parallel(exec, (double)(n * 9 * c) * 16, samc__panels(n), 1, pack_panels, &(conv_task){a, panels});
    samc_status status = SAMC__RUNG(samc__gemm)(exec, &(samc__gemm){.gather = gather_pixel,
                                                                    .source = a,
                                                                    .m = a->x.n[0] * a->x.n[1],
                                                                    .n = n,
                                                                    .k = 9 * c,
                                                                    .panels = panels,
                                                                    .y = samc__f32(a->y),
                                                                    .y_stride = n,
                                                                    .act = SAMC__ACT_NONE});
    exec->release(exec->memory, panels);
    return status;
}
