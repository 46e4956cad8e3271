/* Vectors of 16 floats in plain C, lane for lane what AVX-512 computes; included by vec.h.
 *
 * For the software versions of the 16-bit rungs (low.h): whole vectors have the same width, every sum the same tree and
 * every multiply-add one rounding, so that a result has the same bits as on the hardware it stands for. */
#ifndef SAMC_KERNELS_CPU_VEC_SOFT_H
#define SAMC_KERNELS_CPU_VEC_SOFT_H

#include <math.h>
#include <stdint.h>
#include <string.h>

#define SAMC__INLINE static inline __attribute__((always_inline, unused))
#if defined(SAMC_LOW_NEON)
#define SAMC__RUNG(name) name##_neon_bf16
#elif defined(SAMC_LOW_AMX)
#define SAMC__RUNG(name) name##_amx_soft
#else
#define SAMC__RUNG(name) name##_bf16_soft
#endif

enum { VW = 16, MR = 12 };
typedef float vf __attribute__((vector_size(64)));
typedef int32_t vf_bits __attribute__((vector_size(64)));

SAMC__INLINE vf vf_load(const float *p) {
    vf x;
    memcpy(&x, p, sizeof x);
    return x;
}
SAMC__INLINE void vf_store(float *p, vf x) { memcpy(p, &x, sizeof x); }
SAMC__INLINE vf vf_set(float x) {
    vf y;
    for (int i = 0; i < VW; i++) y[i] = x;
    return y;
}
SAMC__INLINE vf vf_add(vf a, vf b) { return a + b; }
SAMC__INLINE vf vf_sub(vf a, vf b) { return a - b; }
SAMC__INLINE vf vf_mul(vf a, vf b) { return a * b; }
SAMC__INLINE vf vf_div(vf a, vf b) { return a / b; }
SAMC__INLINE vf vf_max(vf a, vf b) {
    for (int i = 0; i < VW; i++) b[i] = a[i] > b[i] ? a[i] : b[i];
    return b;
}
SAMC__INLINE vf vf_min(vf a, vf b) {
    for (int i = 0; i < VW; i++) b[i] = a[i] < b[i] ? a[i] : b[i];
    return b;
}
SAMC__INLINE vf vf_sqrt(vf a) {
    for (int i = 0; i < VW; i++) a[i] = sqrtf(a[i]);
    return a;
}
SAMC__INLINE vf vf_abs(vf a) { return (vf)((vf_bits)a & 0x7fffffff); }
SAMC__INLINE vf vf_fma(vf a, vf b, vf c) {
    for (int i = 0; i < VW; i++) c[i] = fmaf(a[i], b[i], c[i]);
    return c;
}
SAMC__INLINE vf vf_fnma(vf a, vf b, vf c) {
    for (int i = 0; i < VW; i++) c[i] = fmaf(-a[i], b[i], c[i]);
    return c;
}
SAMC__INLINE float vf_sum(vf a) { /* halves on each other: the order of _mm512_reduce_add_ps() */
    for (int half = VW / 2; half > 0; half /= 2)
        for (int i = 0; i < half; i++) a[i] += a[i + half];
    return a[0];
}
SAMC__INLINE float vf_largest(vf a) { /* as _mm512_reduce_max_ps(), also in which operand outlives a NaN */
    for (int half = VW / 2; half > 2; half /= 2)
        for (int i = 0; i < half; i++) a[i] = a[i + half] > a[i] ? a[i + half] : a[i];
    for (int half = 2; half > 0; half /= 2)
        for (int i = 0; i < half; i++) a[i] = a[i] > a[i + half] ? a[i] : a[i + half];
    return a[0];
}
SAMC__INLINE vf vf_round(vf a) {
    for (int i = 0; i < VW; i++) a[i] = nearbyintf(a[i]);
    return a;
}
SAMC__INLINE vf vf_scale2(vf x, vf n) { /* with denormal results and the limits that scalef has */
    for (int i = 0; i < VW; i++) {
        if (isnan(n[i])) x[i] = n[i];
        else if (isinf(n[i]) && isnan(x[i])) x[i] = n[i] > 0 ? INFINITY : 0.0f;
        else if (isinf(n[i])) x[i] *= n[i] > 0 ? INFINITY : 0.0f;
        else x[i] = scalbnf(x[i], n[i] > 1000 ? 1000 : n[i] < -1000 ? -1000 : (int)n[i]);
    }
    return x;
}
SAMC__INLINE vf vf_load_first(const float *p, int64_t n) {
    vf x = {0};
    memcpy(&x, p, (size_t)n * sizeof(float));
    return x;
}
SAMC__INLINE void vf_store_first(float *p, int64_t n, vf x) { memcpy(p, &x, (size_t)n * sizeof(float)); }
SAMC__INLINE vf vf_gather(const float *base, const int32_t *index) {
    vf x;
    for (int i = 0; i < VW; i++) x[i] = base[index[i]];
    return x;
}
SAMC__INLINE vf vf_pick(vf x, const int32_t *index, int32_t first) {
    vf y;
    for (int i = 0; i < VW; i++) y[i] = x[(index[i] - first) & (VW - 1)];
    return y;
}
SAMC__INLINE uint64_t vf_greater(vf a, vf b) {
    uint64_t bits = 0;
    for (int i = 0; i < VW; i++) bits |= (uint64_t)(a[i] > b[i]) << i;
    return bits;
}

#endif
