/* Softmax weights that will be rounded to bf16: 2^x from the integer that x is in units of 2^-23.
 *
 * Such an integer, with the exponent's bias added, is nearly the float 2^x already: its exponent is right, its mantissa
 * is the fraction of x and has to be bent to 2^fraction - 1. */
#ifndef SAMC_KERNELS_CPU_LOW_WEIGHT_H
#define SAMC_KERNELS_CPU_LOW_WEIGHT_H

#include "kernels/cpu/low.h"

#define LOW_UNIT 0x1p23f             /* of log2, in scores */
#define LOW_BIAS (127.0f * LOW_UNIT) /* a score whose weight is 1 */

#if defined(SAMC_LOW_SOFT)

typedef vf_bits vi;
SAMC__INLINE vi vi_of(vf x) { /* to nearest even; -2^31 for what does not fit and for NaN */
    vi y;
    for (int i = 0; i < VW; i++) y[i] = x[i] >= -0x1p31f && x[i] < 0x1p31f ? (int32_t)nearbyintf(x[i]) : INT32_MIN;
    return y;
}
SAMC__INLINE vi vi_zero(void) { return (vi){0}; }
SAMC__INLINE vi vi_max_unsigned(vi a, vi b) {
    for (int i = 0; i < VW; i++) b[i] = (uint32_t)a[i] > (uint32_t)b[i] ? a[i] : b[i];
    return b;
}
SAMC__INLINE bool vi_any_above(vi a, uint32_t limit) {
    bool any = false;
    for (int i = 0; i < VW; i++) any |= (uint32_t)a[i] > limit;
    return any;
}
SAMC__INLINE vf vi_mantissa(vi a) { return (vf)((a & 0x7fffff) | 0x3f800000); }
SAMC__INLINE vf vi_exponent(vi a, vf m) { return (vf)((a & ~0x7fffff) | ((vi)m & 0x7fffff)); }

#else

typedef __m512i vi;
SAMC__INLINE vi vi_of(vf x) { return _mm512_cvtps_epi32(x); }
SAMC__INLINE vi vi_zero(void) { return _mm512_setzero_si512(); }
SAMC__INLINE vi vi_max_unsigned(vi a, vi b) { return _mm512_max_epu32(a, b); }
SAMC__INLINE bool vi_any_above(vi a, uint32_t limit) {
    return _mm512_cmpgt_epu32_mask(a, _mm512_set1_epi32((int)limit)) != 0;
}
/* The mantissa of a as a float of [1, 2); the sign and exponent of a with the mantissa of m. */
SAMC__INLINE vf vi_mantissa(vi a) {
    return _mm512_castsi512_ps(
        _mm512_ternarylogic_epi32(a, _mm512_set1_epi32(0x7fffff), _mm512_set1_epi32(0x3f800000), 0xea));
}
SAMC__INLINE vf vi_exponent(vi a, vf m) {
    return _mm512_castsi512_ps(_mm512_ternarylogic_epi32(a, _mm512_castps_si512(m), _mm512_set1_epi32(0x7fffff), 0xd8));
}

#endif

/* The weight of a score, of relative error 8.6e-5, a twentieth of what rounding it to bf16 does; 0 for all that is
 * below the exponents of floats. `most` keeps what tells a score above LIMIT, +infinity and NaN.
 *
 * 2^(m - 1) on [1, 2) as a cubic that stays inside [1, 2): its mantissa alone is taken. */
SAMC__INLINE vf weight_of(vf score, vi *most) {
    const vi bits = vi_of(vf_max(vf_set(0.0f), score));
    *most = vi_max_unsigned(*most, bits);
    const vf m = vi_mantissa(bits);
    vf y = vf_set(0x1.3b8c32p-4f);
    y = vf_fma(y, m, vf_set(-0x1.c0833ep-9f));
    y = vf_fma(y, m, vf_set(0x1.e22026p-2f));
    y = vf_fma(y, m, vf_set(0x1.d27e5ap-2f));
    return vi_exponent(bits, y);
}

/* sum (+)= pairs of weights. */
SAMC__INLINE vf weights_sum(vf sum, vb weights) {
#if defined(SAMC_LOW_SOFT)
    vb ones;
    for (int i = 0; i < 32; i++) ones.at[i] = 0x3f80;
#else
    const vb ones = _mm512_set1_epi32(0x3f803f80);
#endif
    return vb_dot(sum, weights, ones);
}

#endif
