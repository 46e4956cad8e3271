/* The few formulas that several references share. */
#ifndef SAMC_KERNELS_REF_MATH_H
#define SAMC_KERNELS_REF_MATH_H

#include "kernels/linear/linear.h"

#include <math.h>
#include <stdint.h>

/* x . y over n elements. */
static inline float samc__dot_ref(const float *x, const float *y, int64_t n) {
    float sum = 0.0f;
#pragma omp simd reduction(+ : sum)
    for (int64_t i = 0; i < n; i++) sum += x[i] * y[i];
    return sum;
}

/* GELU with the error function, torch.nn.GELU's default. */
static inline float samc__gelu_ref(float x) { return 0.5f * x * (1.0f + erff(x * 0.70710678118654752440f)); }

static inline float samc__activate_ref(float x, samc__act act) {
    if (act == SAMC__ACT_GELU) return samc__gelu_ref(x);
    if (act == SAMC__ACT_RELU) return x < 0.0f ? 0.0f : x; /* NaN stays */
    if (act == SAMC__ACT_GELU_TANH)
        return 0.5f * x * (1.0f + tanhf(0.79788456080286535588f * (x + 0.044715f * x * x * x)));
    if (act == SAMC__ACT_GELU_QUICK) return x / (1.0f + expf(-1.702f * x));
    if (act == SAMC__ACT_ELU) return x > 0.0f ? x : expm1f(x);
    if (act == SAMC__ACT_HARDSWISH) return x * (x < -3.0f ? 0.0f : x > 3.0f ? 6.0f : x + 3.0f) / 6.0f;
    return x;
}

/* What linear layers and convolutions do to a sum: act(sum) + added, or act(sum + added) where `last`; `added` NULL: no
 * residual. */
static inline float samc__finish_ref(float sum, samc__act act, bool last, const float *added) {
    if (added != NULL && last) sum += *added;
    sum = samc__activate_ref(sum, act);
    return added != NULL && !last ? sum + *added : sum;
}

/* y = (x - mean) / sqrt(var + eps) * g + b over c elements; the variance in a second pass, so that a large mean does
 * not cancel it. y may be x. */
static inline void samc__layernorm_ref_row(const float *x, const float *g, const float *b, float eps, int64_t c,
                                           float *y) {
    float sum = 0.0f, squares = 0.0f;
    for (int64_t i = 0; i < c; i++) sum += x[i];
    float mean = sum / (float)c;
    for (int64_t i = 0; i < c; i++) squares += (x[i] - mean) * (x[i] - mean);
    float scale = 1.0f / sqrtf(squares / (float)c + eps);
    for (int64_t i = 0; i < c; i++) y[i] = (x[i] - mean) * scale * g[i] + b[i];
}

/* Softmax in place over n scores. Sums over keys are in double: those of thousands of equal terms, as pads make, round
 * the same way at every step, up to n 2^-25 of the sum (1e-3 for a window of 180: an NMSE of 1e-6). */
static inline void samc__softmax_ref(float *score, int64_t n) {
    float largest = score[0];
    double sum = 0.0;
    for (int64_t i = 1; i < n; i++) largest = score[i] > largest ? score[i] : largest;
    for (int64_t i = 0; i < n; i++) {
        score[i] = expf(score[i] - largest);
        sum += score[i];
    }
    for (int64_t i = 0; i < n; i++) score[i] = (float)(score[i] / sum);
}

/* out [n] = the sum over keys of weight[key] times row `key` of rows [keys, n], which are `stride` apart; a few columns
 * at a time. */
static inline void samc__weighted_rows_ref(const float *weight, const float *rows, int64_t keys, int64_t stride,
                                           int64_t n, float *out) {
    enum { COLUMNS = 8 };
    for (int64_t first = 0; first < n; first += COLUMNS) {
        int64_t columns = n - first < COLUMNS ? n - first : COLUMNS;
        double sum[COLUMNS] = {0.0};
        for (int64_t key = 0; key < keys; key++)
            for (int64_t i = 0; i < columns; i++) sum[i] += (double)weight[key] * rows[key * stride + first + i];
        for (int64_t i = 0; i < columns; i++) out[first + i] = (float)sum[i];
    }
}

#endif
