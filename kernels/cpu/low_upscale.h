/* What the operators that upscale share in products of 16 bits: a conv-transpose's weight as rows, and the norm and
 * GELU between two products. */
#ifndef SAMC_KERNELS_CPU_LOW_UPSCALE_H
#define SAMC_KERNELS_CPU_LOW_UPSCALE_H

#include "kernels/cpu/low_decoder.h"

/* w [k, out, 2, 2] -> [4 out rows by pixel, then channel][kp], zeros behind k and 4 out. */
__attribute__((unused)) static void place_rows(samc__view w, int64_t rows, uint16_t *to) {
    const int64_t k = w.n[0], out = w.n[1], kp = low_round_up(k, LOW_K);
    memset(to, 0, (size_t)(rows * kp) * sizeof *to);
    for (int64_t row = 0; row < 4 * out; row++)
        for (int64_t i = 0; i < k; i++)
            to[row * kp + i] = samc__float_to_bf16(samc__f32(w)[(i * out + row % out) * 4 + row / out]);
}

/* x scale + add + more: scale [PANEL] or NULL: 1; add [c]; more [c][PANEL] or NULL: 0. */
typedef struct affine {
    const float *scale, *add, *more;
} affine;

/* pairs = GELU of the norm of what `of` makes of x over its c channels. x [c][PANEL]. The variance in a second pass. */
__attribute__((unused)) static void norm_gelu(float *x, affine of, const samc__norm *norm, int64_t c, uint16_t *pairs) {
    const float *g = samc__f32(norm->g), *b = samc__f32(norm->b);
    for (int v = 0; v < PANEL; v += VW) {
        const vf by = of.scale ? vf_load(of.scale + v) : vf_set(1.0f), count = vf_set((float)c);
        vf sum[4], mean, unit; /* four sums, so that additions do not wait for each other */
        for (int i = 0; i < 4; i++) sum[i] = vf_set(0.0f);
        for (int64_t o = 0; o < c; o += 4)
#pragma GCC unroll 4
            for (int i = 0; i < 4; i++) {
                if (o + i >= c) break;
                vf value = vf_fma(vf_load(x + (o + i) * PANEL + v), by, vf_set(of.add[o + i]));
                if (of.more) value = vf_add(value, vf_load(of.more + (o + i) * PANEL + v));
                vf_store(x + (o + i) * PANEL + v, value);
                sum[i] = vf_add(sum[i], value);
            }
        mean = vf_div(vf_add(vf_add(sum[0], sum[1]), vf_add(sum[2], sum[3])), count);
        for (int i = 0; i < 4; i++) sum[i] = vf_set(0.0f);
        for (int64_t o = 0; o < c; o += 4)
#pragma GCC unroll 4
            for (int i = 0; i < 4; i++) {
                if (o + i >= c) break;
                const vf d = vf_sub(vf_load(x + (o + i) * PANEL + v), mean);
                sum[i] = vf_fma(d, d, sum[i]);
            }
        unit = vf_add(vf_div(vf_add(vf_add(sum[0], sum[1]), vf_add(sum[2], sum[3])), count), vf_set(norm->eps));
        unit = vf_div(vf_set(1.0f), vf_sqrt(unit));
        for (int64_t o = 0; o < low_round_up(c, LOW_K); o += 2) {
            vf pair[2] = {vf_set(0.0f), vf_set(0.0f)};
            for (int i = 0; i < 2 && o + i < c; i++) {
                pair[i] = vf_mul(vf_sub(vf_load(x + (o + i) * PANEL + v), mean), unit);
                pair[i] = vf_gelu_low(vf_fma(pair[i], vf_set(g[o + i]), vf_set(b[o + i])));
            }
            vb_store(pairs + o * PANEL + 2 * v, vb_pairs(pair[0], pair[1]));
        }
    }
}

#endif
