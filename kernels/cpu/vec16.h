/* Vectors of 16 bytes: SSE2, which every x86-64 has, or NEON, which every aarch64 has; included by vec.h.
 *
 * SSE2 has no FMA: vf_fma() rounds the product and then the sum, so that a chain of k of them rounds 2 k times in place
 * of k. Masked loads and stores take one of four forms; memory beyond the first `n` is not touched here either. */
#ifndef SAMC_KERNELS_CPU_VEC16_H
#define SAMC_KERNELS_CPU_VEC16_H

#if defined(__x86_64__)
#include <emmintrin.h>
#else
#include <arm_neon.h>
#endif
#include <stdint.h>

#define SAMC__INLINE static inline __attribute__((always_inline, unused))
#define SAMC__RUNG(name) name##_vec16

#if defined(__x86_64__)

enum { VW = 4, MR = 6 }; /* 12 sums, 2 of the right side, the left and a product: all 16 registers */
typedef __m128 vf;

SAMC__INLINE vf vf_load(const float *p) { return _mm_loadu_ps(p); }
SAMC__INLINE void vf_store(float *p, vf x) { _mm_storeu_ps(p, x); }
SAMC__INLINE vf vf_set(float x) { return _mm_set1_ps(x); }
SAMC__INLINE vf vf_add(vf a, vf b) { return _mm_add_ps(a, b); }
SAMC__INLINE vf vf_sub(vf a, vf b) { return _mm_sub_ps(a, b); }
SAMC__INLINE vf vf_mul(vf a, vf b) { return _mm_mul_ps(a, b); }
SAMC__INLINE vf vf_div(vf a, vf b) { return _mm_div_ps(a, b); }
SAMC__INLINE vf vf_max(vf a, vf b) { return _mm_max_ps(a, b); }
SAMC__INLINE vf vf_min(vf a, vf b) { return _mm_min_ps(a, b); }
SAMC__INLINE vf vf_sqrt(vf a) { return _mm_sqrt_ps(a); }
SAMC__INLINE vf vf_abs(vf a) { return _mm_andnot_ps(_mm_set1_ps(-0.0f), a); }
SAMC__INLINE vf vf_fma(vf a, vf b, vf c) { return _mm_add_ps(_mm_mul_ps(a, b), c); }
SAMC__INLINE vf vf_fnma(vf a, vf b, vf c) { return _mm_sub_ps(c, _mm_mul_ps(a, b)); }
SAMC__INLINE float vf_sum(vf a) {
    vf x = _mm_add_ps(a, _mm_movehl_ps(a, a));
    return _mm_cvtss_f32(_mm_add_ss(x, _mm_shuffle_ps(x, x, 1)));
}
SAMC__INLINE float vf_largest(vf a) {
    vf x = _mm_max_ps(a, _mm_movehl_ps(a, a));
    return _mm_cvtss_f32(_mm_max_ss(x, _mm_shuffle_ps(x, x, 1)));
}
/* To a whole number for |a| <= 2^22. Beyond, it may be off by the last place of a, as nothing but 2^-1000 and the like
 * asks for; NaN and the infinities stay, which a conversion to integers would lose. */
SAMC__INLINE vf vf_round(vf a) {
    vf shift = _mm_set1_ps(0x1.8p23f);
    return _mm_sub_ps(_mm_add_ps(a, shift), shift);
}
SAMC__INLINE vf vf_scale2(vf x, vf n) {
    vf small = _mm_cmplt_ps(n, _mm_set1_ps(-126.0f)); /* denormal results become 0 */
    __m128i e = _mm_cvtps_epi32(_mm_max_ps(n, _mm_set1_ps(-126.0f)));
    vf power = _mm_castsi128_ps(_mm_slli_epi32(_mm_add_epi32(e, _mm_set1_epi32(127)), 23));
    return _mm_andnot_ps(small, _mm_mul_ps(x, power));
}
SAMC__INLINE vf vf_load_two(const float *p) {
    return _mm_castsi128_ps(_mm_loadl_epi64((const __m128i *)(const void *)p));
}
SAMC__INLINE void vf_store_two(float *p, vf x) { _mm_storel_pi((__m64 *)(void *)p, x); }
SAMC__INLINE vf vf_load_one(const float *p) { return _mm_load_ss(p); }
SAMC__INLINE void vf_store_one(float *p, vf x) { _mm_store_ss(p, x); }
SAMC__INLINE vf vf_join(vf low, vf high) { return _mm_movelh_ps(low, high); } /* the first two of each */
SAMC__INLINE vf vf_high(vf x) { return _mm_movehl_ps(x, x); }                 /* the last two first */
SAMC__INLINE vf vf_four(float a, float b, float c, float d) { return _mm_setr_ps(a, b, c, d); }
SAMC__INLINE uint64_t vf_greater(vf a, vf b) { return (uint64_t)_mm_movemask_ps(_mm_cmpgt_ps(a, b)); }
/* r [4] transposed. */
SAMC__INLINE void vf_transpose4(vf r[4]) { _MM_TRANSPOSE4_PS(r[0], r[1], r[2], r[3]); }

#elif defined(__aarch64__)

enum { VW = 4, MR = 12 }; /* 24 sums of 32 registers */
typedef float32x4_t vf;

SAMC__INLINE vf vf_load(const float *p) { return vld1q_f32(p); }
SAMC__INLINE void vf_store(float *p, vf x) { vst1q_f32(p, x); }
SAMC__INLINE vf vf_set(float x) { return vdupq_n_f32(x); }
SAMC__INLINE vf vf_add(vf a, vf b) { return vaddq_f32(a, b); }
SAMC__INLINE vf vf_sub(vf a, vf b) { return vsubq_f32(a, b); }
SAMC__INLINE vf vf_mul(vf a, vf b) { return vmulq_f32(a, b); }
SAMC__INLINE vf vf_div(vf a, vf b) { return vdivq_f32(a, b); }
/* Not vmaxq: where one of the two is NaN, the second. */
SAMC__INLINE vf vf_max(vf a, vf b) { return vbslq_f32(vcgtq_f32(a, b), a, b); }
SAMC__INLINE vf vf_min(vf a, vf b) { return vbslq_f32(vcltq_f32(a, b), a, b); }
SAMC__INLINE vf vf_sqrt(vf a) { return vsqrtq_f32(a); }
SAMC__INLINE vf vf_abs(vf a) { return vabsq_f32(a); }
SAMC__INLINE vf vf_fma(vf a, vf b, vf c) { return vfmaq_f32(c, a, b); }
SAMC__INLINE vf vf_fnma(vf a, vf b, vf c) { return vfmsq_f32(c, a, b); }
SAMC__INLINE float vf_sum(vf a) { return vaddvq_f32(a); }
SAMC__INLINE float vf_largest(vf a) { return vmaxvq_f32(a); }
SAMC__INLINE vf vf_round(vf a) { return vrndnq_f32(a); }
SAMC__INLINE vf vf_scale2(vf x, vf n) {
    uint32x4_t small = vcltq_f32(n, vdupq_n_f32(-126.0f)); /* denormal results become 0 */
    int32x4_t e = vcvtnq_s32_f32(vf_max(n, vdupq_n_f32(-126.0f)));
    vf power = vreinterpretq_f32_s32(vshlq_n_s32(vaddq_s32(e, vdupq_n_s32(127)), 23));
    return vreinterpretq_f32_u32(vbicq_u32(vreinterpretq_u32_f32(vmulq_f32(x, power)), small));
}
SAMC__INLINE vf vf_load_two(const float *p) { return vcombine_f32(vld1_f32(p), vdup_n_f32(0.0f)); }
SAMC__INLINE void vf_store_two(float *p, vf x) { vst1_f32(p, vget_low_f32(x)); }
SAMC__INLINE vf vf_load_one(const float *p) { return vsetq_lane_f32(*p, vdupq_n_f32(0.0f), 0); }
SAMC__INLINE void vf_store_one(float *p, vf x) { vst1q_lane_f32(p, x, 0); }
SAMC__INLINE vf vf_join(vf low, vf high) { return vcombine_f32(vget_low_f32(low), vget_low_f32(high)); }
SAMC__INLINE vf vf_high(vf x) { return vcombine_f32(vget_high_f32(x), vget_high_f32(x)); }
SAMC__INLINE vf vf_four(float a, float b, float c, float d) {
    float all[4] = {a, b, c, d};
    return vld1q_f32(all);
}
SAMC__INLINE uint64_t vf_greater(vf a, vf b) {
    static const uint32_t bits[4] = {1, 2, 4, 8};
    return vaddvq_u32(vandq_u32(vcgtq_f32(a, b), vld1q_u32(bits)));
}
SAMC__INLINE void vf_transpose4(vf r[4]) {
    vf a = vtrn1q_f32(r[0], r[1]), b = vtrn2q_f32(r[0], r[1]), c = vtrn1q_f32(r[2], r[3]), d = vtrn2q_f32(r[2], r[3]);
    r[0] = vf_join(a, c), r[1] = vf_join(b, d), r[2] = vf_join(vf_high(a), vf_high(c)),
    r[3] = vf_join(vf_high(b), vf_high(d));
}

#else
#error "this file is compiled for x86-64 or aarch64"
#endif

SAMC__INLINE vf vf_load_first(const float *p, int64_t n) {
    if (n >= 4) return vf_load(p);
    if (n == 3) return vf_join(vf_load_two(p), vf_load_one(p + 2));
    return n == 2 ? vf_load_two(p) : n == 1 ? vf_load_one(p) : vf_set(0.0f);
}
SAMC__INLINE void vf_store_first(float *p, int64_t n, vf x) {
    if (n >= 4) {
        vf_store(p, x);
        return;
    }
    if (n & 2) vf_store_two(p, x);
    if (n & 1) vf_store_one(p + (n & 2), n & 2 ? vf_high(x) : x);
}
SAMC__INLINE vf vf_gather(const float *base, const int32_t *index) {
    return vf_four(base[index[0]], base[index[1]], base[index[2]], base[index[3]]);
}
SAMC__INLINE vf vf_pick(vf x, const int32_t *index, int32_t first) {
    float lanes[4];
    vf_store(lanes, x);
    return vf_four(lanes[(index[0] - first) & 3], lanes[(index[1] - first) & 3], lanes[(index[2] - first) & 3],
                   lanes[(index[3] - first) & 3]);
}

#endif
