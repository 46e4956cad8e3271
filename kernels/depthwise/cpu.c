/* depthwise in vectors of channels: four pixels of a row at a time share the weights they meet, where all their taps
 * lie within the image. A sum takes its taps in the same order wherever its pixel lies. */
#include "kernels/cpu/linear.h"
#include "kernels/cpu/vec.h"
#include "kernels/depthwise/depthwise.h"

enum { STRIP = 4 }; /* pixels */

typedef struct depthwise_task {
    const samc__depthwise_args *args;
    const float *weights; /* [side * side][padded] by tap, then the bias [padded] */
    int64_t padded;       /* channels in whole vectors */
} depthwise_task;

/* Which taps of `count` pixels of y from `pixel` on lie within the image: rows [y0, y1) and columns [x0, x1), and where
 * the first of them is for channel 0. */
typedef struct taps {
    int64_t y0, y1, x0, x1;
    const float *first;
} taps;

static taps taps_of(const samc__depthwise_args *a, int64_t pixel) {
    const int64_t h = a->x.n[1], w = a->x.n[2], side = a->w.n[1];
    const int64_t left = pixel % a->y.n[2] * a->stride - side / 2,
                  top = pixel / a->y.n[2] % a->y.n[1] * a->stride - side / 2, image = pixel / (a->y.n[1] * a->y.n[2]);
    taps t = {.y0 = top < 0 ? -top : 0, .x0 = left < 0 ? -left : 0};
    t.y1 = top + side > h ? h - top : side, t.x1 = left + side > w ? w - left : side;
    t.first = samc__f32(a->x) + ((image * h + top + t.y0) * w + left + t.x0) * a->x.n[3];
    return t;
}

/* `lanes` channels from `c` on of `count` neighbours whose taps are the same; both are constants where this is inlined,
 * but for a last vector's lanes. */
SAMC__INLINE void strip(const depthwise_task *t, const taps *of, int count, int64_t c, int64_t lanes, float *y) {
    const samc__depthwise_args *a = t->args;
    const int64_t channels = a->x.n[3], row = a->x.n[2] * channels, side = a->w.n[1], step = a->stride * channels;
    vf sum[STRIP];
    for (int i = 0; i < count; i++) sum[i] = vf_load(t->weights + side * side * t->padded + c);
    for (int64_t ky = of->y0; ky < of->y1; ky++) {
        const float *in = of->first + (ky - of->y0) * row + c;
        const float *weight = t->weights + (ky * side + of->x0) * t->padded + c;
        for (int64_t kx = of->x0; kx < of->x1; kx++, in += channels, weight += t->padded) {
            const vf by = vf_load(weight);
#pragma GCC unroll 4
            for (int i = 0; i < count; i++)
                sum[i] = vf_fma(lanes == VW ? vf_load(in + i * step) : vf_load_first(in + i * step, lanes), by, sum[i]);
        }
    }
    for (int i = 0; i < count; i++) {
        const vf value = vf_activate(sum[i], a->act);
        if (lanes == VW) vf_store(y + i * channels + c, value);
        else vf_store_first(y + i * channels + c, lanes, value);
    }
}

static void depthwise_rows(void *context, int64_t begin, int64_t end, int worker) {
    const depthwise_task *t = context;
    const samc__depthwise_args *a = t->args;
    const int64_t channels = a->x.n[3], width = a->y.n[2], side = a->w.n[1], whole = channels / VW * VW;
    (void)worker;
    for (int64_t pixel = begin * width; pixel < end * width;) {
        const int64_t left = width - pixel % width; /* of the row */
        const taps first = taps_of(a, pixel), last = left >= STRIP ? taps_of(a, pixel + STRIP - 1) : first;
        const bool together = left >= STRIP && first.x0 == 0 && first.x1 == side && last.x0 == 0 && last.x1 == side;
        float *y = samc__f32(a->y) + pixel * channels;
        for (int64_t c = 0; c < whole; c += VW)
            if (together) strip(t, &first, STRIP, c, VW, y);
            else strip(t, &first, 1, c, VW, y);
        for (int i = 0; whole < channels && i < (together ? STRIP : 1); i++) {
            const taps one = taps_of(a, pixel + i);
            strip(t, &one, 1, whole, channels - whole, y + i * channels);
        }
        pixel += together ? STRIP : 1;
    }
}

samc_status SAMC__RUNG(samc__depthwise)(const samc__exec *exec, const samc__depthwise_args *a) {
    const int64_t channels = a->x.n[3], count = a->w.n[1] * a->w.n[1];
    depthwise_task t = {.args = a, .padded = (channels + VW - 1) / VW * VW};
    float *weights = exec->allocate(exec->memory, (size_t)((count + 1) * t.padded) * sizeof(float));
    if (weights == NULL) return samc__fail(exec->error, SAMC_OUT_OF_MEMORY, "no memory for a convolution's weight");
    for (int64_t c = 0; c < t.padded && !exec->rehearsal; c++) {
        for (int64_t tap = 0; tap < count; tap++)
            weights[tap * t.padded + c] = c < channels ? samc__f32(a->w)[c * count + tap] : 0.0f;
        weights[count * t.padded + c] = c < channels && a->b.data ? samc__f32(a->b)[c] : 0.0f;
    }
    t.weights = weights;
    samc__parallel(exec, 4 * samc__depthwise_flops(a), a->y.n[0] * a->y.n[1], 1, depthwise_rows, &t);
    exec->release(exec->memory, weights);
    return SAMC_OK;
}
