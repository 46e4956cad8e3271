/* depthwise in vectors of channels, for activations of floats (cpu.c) and of bf16 (low.c): four pixels of a row at a
 * time share the weights they meet, and of kernels of 3 with stride 1 each other's columns, where all their taps lie
 * within the image. A sum is f32 and takes its taps in the same order wherever its pixel lies.
 *
 * In 16 bits two vectors go together, the even and the odd of 32 channels: the 18 lines that a strip of four meets lie
 * a pixel apart, which for a power of two of channels is the same set of the first cache, too small for them all to
 * stay until their second half is asked for.
 *
 * Who includes it says before how `lanes` channels are read, and activated and written: x_load(), y_store(); `low`: 16
 * bits. */
#ifndef SAMC_KERNELS_DEPTHWISE_ROWS_H
#define SAMC_KERNELS_DEPTHWISE_ROWS_H

#include "kernels/cpu/linear.h"
#include "kernels/depthwise/depthwise.h"

enum { STRIP = 4 }; /* pixels */

typedef struct depthwise_task {
    const samc__depthwise_args *args;
    const float *weights; /* [side * side][padded] by tap, then the bias [padded]; 16 bits: even ones of 32 first */
    int64_t padded;       /* channels in whole vectors */
} depthwise_task;

/* Which taps of a pixel of y lie within the image: rows [y0, y1) and columns [x0, x1), and which element of x the first
 * of them is for channel 0. */
typedef struct taps {
    int64_t y0, y1, x0, x1, first;
} taps;

static taps taps_of(const samc__depthwise_args *a, int64_t pixel) {
    const int64_t h = a->x.n[1], w = a->x.n[2], side = a->w.n[1];
    const int64_t left = pixel % a->y.n[2] * a->stride - side / 2,
                  top = pixel / a->y.n[2] % a->y.n[1] * a->stride - samc__depthwise_top(a),
                  image = pixel / (a->y.n[1] * a->y.n[2]);
    taps t = {.y0 = top < 0 ? -top : 0, .x0 = left < 0 ? -left : 0};
    t.y1 = top + side > h ? h - top : side, t.x1 = left + side > w ? w - left : side;
    t.first = ((image * h + top + t.y0) * w + left + t.x0) * a->x.n[3];
    return t;
}

/* `lanes` channels from `c` on of `count` neighbours whose taps are the same; `count`, `low` and `three` (a kernel of 3
 * with stride 1 and all columns) are constants where this is inlined, `lanes` too but for a last vector's. `to`: the
 * first pixel's place in y. */
SAMC__INLINE void strip(const depthwise_task *t, const taps *of, int count, bool low, bool three, int64_t c,
                        int64_t lanes, int64_t to) {
    const samc__depthwise_args *a = t->args;
    const int64_t channels = a->x.n[3], row = a->x.n[2] * channels, side = a->w.n[1], step = a->stride * channels;
    const int vectors = lanes > VW ? 2 : 1;
    vf sum[STRIP][2];
    for (int i = 0; i < count; i++)
        for (int v = 0; v < vectors; v++) sum[i][v] = vf_load(t->weights + side * side * t->padded + c + v * VW);
    for (int64_t ky = of->y0; ky < of->y1; ky++) {
        const int64_t in = of->first + (ky - of->y0) * row + c;
        const float *weight = t->weights + (ky * side + of->x0) * t->padded + c;
        if (three) {
            vf column[STRIP + 2][2];
#pragma GCC unroll 6
            for (int i = 0; i < count + 2; i++) x_load(a, low, in + i * channels, lanes, column[i]);
#pragma GCC unroll 3
            for (int kx = 0; kx < 3; kx++)
#pragma GCC unroll 2
                for (int v = 0; v < vectors; v++) {
                    const vf by = vf_load(weight + kx * t->padded + v * VW);
#pragma GCC unroll 4
                    for (int i = 0; i < count; i++) sum[i][v] = vf_fma(column[i + kx][v], by, sum[i][v]);
                }
            continue;
        }
        for (int64_t kx = of->x0; kx < of->x1; kx++, weight += t->padded) {
#pragma GCC unroll 4
            for (int i = 0; i < count; i++) {
                vf x[2];
                x_load(a, low, in + (kx - of->x0) * channels + i * step, lanes, x);
#pragma GCC unroll 2
                for (int v = 0; v < vectors; v++) sum[i][v] = vf_fma(x[v], vf_load(weight + v * VW), sum[i][v]);
            }
        }
    }
    for (int i = 0; i < count; i++) y_store(a, low, to + i * channels + c, lanes, sum[i]);
}

/* Rows [begin, end) of y, of all images. */
SAMC__INLINE void depthwise_part(const depthwise_task *t, bool low, int64_t begin, int64_t end) {
    const samc__depthwise_args *a = t->args;
    const int64_t channels = a->x.n[3], width = a->y.n[2], side = a->w.n[1], step = low ? 2 * VW : VW,
                  whole = channels / step * step;
    for (int64_t pixel = begin * width; pixel < end * width;) {
        const int64_t left = width - pixel % width; /* of the row */
        const taps first = taps_of(a, pixel), last = left >= STRIP ? taps_of(a, pixel + STRIP - 1) : first;
        const bool together = left >= STRIP && first.x0 == 0 && first.x1 == side && last.x0 == 0 && last.x1 == side;
        for (int64_t c = 0; c < whole; c += step)
            if (together && side == 3 && a->stride == 1) strip(t, &first, STRIP, low, true, c, step, pixel * channels);
            else if (together) strip(t, &first, STRIP, low, false, c, step, pixel * channels);
            else strip(t, &first, 1, low, false, c, step, pixel * channels);
        for (int i = 0; whole < channels && i < (together ? STRIP : 1); i++) {
            const taps one = taps_of(a, pixel + i);
            for (int64_t c = whole; c < channels; c += VW)
                strip(t, &one, 1, low, false, c, channels - c < VW ? channels - c : VW, (pixel + i) * channels);
        }
        pixel += together ? STRIP : 1;
    }
}

/* Where the weights of channel c are. */
static int64_t place_of(int64_t c, int64_t channels, bool low) {
    const int64_t within = c % (2 * VW), group = c - within;
    return low && group + 2 * VW <= channels ? group + within % 2 * VW + within / 2 : c;
}

/* The whole operator: the weight by tap, then `rows`, depthwise_part() of `low`, over the rows of y. */
static samc_status depthwise_run(const samc__exec *exec, const samc__depthwise_args *a, bool low, samc__task *rows) {
    const int64_t channels = a->x.n[3], count = a->w.n[1] * a->w.n[1];
    depthwise_task t = {.args = a, .padded = (channels + VW - 1) / VW * VW};
    float *weights = exec->allocate(exec->memory, (size_t)((count + 1) * t.padded) * sizeof(float));
    if (weights == NULL) return samc__fail(exec->error, SAMC_OUT_OF_MEMORY, "no memory for a convolution's weight");
    for (int64_t c = 0; c < t.padded && !exec->rehearsal; c++) {
        float *to = weights + place_of(c, channels, low);
        for (int64_t tap = 0; tap < count; tap++)
            to[tap * t.padded] = c < channels ? samc__f32(a->w)[c * count + tap] : 0.0f;
        to[count * t.padded] = c < channels && a->b.data ? samc__f32(a->b)[c] : 0.0f;
    }
    t.weights = weights;
    samc__parallel(exec, 4 * samc__depthwise_flops(a), a->y.n[0] * a->y.n[1], 1, rows, &t);
    exec->release(exec->memory, weights);
    return SAMC_OK;
}

#endif
