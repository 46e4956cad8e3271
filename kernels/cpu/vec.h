/* Vectors of floats for the rung a file is compiled for, so that one source serves AVX-512, AVX2 and the vectors of 16
 * bytes that every processor has (vec16.h).
 *
 * The cpu.c of operators is compiled once for each rung (kernels/CMakeLists.txt); SAMC__RUNG(f) gives a function the
 * rung's suffix. Sums are always taken in the same order for a given shape, and every multiply-add is an explicit
 * vf_fma(), so that a result depends on nothing but its inputs and the rung. */
#ifndef SAMC_KERNELS_CPU_VEC_H
#define SAMC_KERNELS_CPU_VEC_H

#include "kernels/linear/linear.h"

#if defined(SAMC_LOW_SOFT)

#include "kernels/cpu/vec_soft.h"

#elif !defined(__AVX2__)

#include "kernels/cpu/vec16.h"

#else

#include <immintrin.h>
#include <stdint.h>

#define SAMC__INLINE static inline __attribute__((always_inline, unused))

#if defined(__AVX512F__)

#if defined(SAMC_LOW_AMX)
#define SAMC__RUNG(name) name##_amx
#elif defined(SAMC_LOW_BF16)
#define SAMC__RUNG(name) name##_bf16
#else
#define SAMC__RUNG(name) name##_avx512
#endif
enum {
    VW = 16 /* floats of a vector */,
    MR = 12 /* rows of a register tile, two vectors wide */
};
typedef __m512 vf;

SAMC__INLINE vf vf_load(const float *p) { return _mm512_loadu_ps(p); }
SAMC__INLINE void vf_store(float *p, vf x) { _mm512_storeu_ps(p, x); }
SAMC__INLINE vf vf_set(float x) { return _mm512_set1_ps(x); }
SAMC__INLINE vf vf_add(vf a, vf b) { return _mm512_add_ps(a, b); }
SAMC__INLINE vf vf_sub(vf a, vf b) { return _mm512_sub_ps(a, b); }
SAMC__INLINE vf vf_mul(vf a, vf b) { return _mm512_mul_ps(a, b); }
SAMC__INLINE vf vf_div(vf a, vf b) { return _mm512_div_ps(a, b); }
/* Where one of the two is NaN, the second: a limit comes first, the value that must stay NaN last. */
SAMC__INLINE vf vf_max(vf a, vf b) { return _mm512_max_ps(a, b); }
SAMC__INLINE vf vf_min(vf a, vf b) { return _mm512_min_ps(a, b); }
SAMC__INLINE vf vf_sqrt(vf a) { return _mm512_sqrt_ps(a); }
SAMC__INLINE vf vf_abs(vf a) { return _mm512_abs_ps(a); }
SAMC__INLINE vf vf_fma(vf a, vf b, vf c) { return _mm512_fmadd_ps(a, b, c); }   /* a b + c */
SAMC__INLINE vf vf_fnma(vf a, vf b, vf c) { return _mm512_fnmadd_ps(a, b, c); } /* c - a b */
SAMC__INLINE float vf_sum(vf a) { return _mm512_reduce_add_ps(a); }
SAMC__INLINE float vf_largest(vf a) { return _mm512_reduce_max_ps(a); }
SAMC__INLINE vf vf_round(vf a) { return _mm512_roundscale_ps(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }
/* x * 2^n for whole n; 0 where n is below every exponent. */
SAMC__INLINE vf vf_scale2(vf x, vf n) { return _mm512_scalef_ps(x, n); }
/* The first `n` of a vector; the rest of memory is not touched, the rest of the vector is 0. */
SAMC__INLINE vf vf_load_first(const float *p, int64_t n) {
    return _mm512_maskz_loadu_ps((__mmask16)((1u << n) - 1u), p);
}
SAMC__INLINE void vf_store_first(float *p, int64_t n, vf x) {
    _mm512_mask_storeu_ps(p, (__mmask16)((1u << n) - 1u), x);
}
/* base[index[i]] for every lane; one bit for every lane where a > b. */
SAMC__INLINE vf vf_gather(const float *base, const int32_t *index) {
    return _mm512_i32gather_ps(_mm512_loadu_si512(index), base, 4);
}
/* x[index[i] - first] for every lane, where that is a lane of x; anything where it is not. */
SAMC__INLINE vf vf_pick(vf x, const int32_t *index, int32_t first) {
    return _mm512_permutexvar_ps(_mm512_sub_epi32(_mm512_loadu_si512(index), _mm512_set1_epi32(first)), x);
}
SAMC__INLINE uint64_t vf_greater(vf a, vf b) { return _mm512_cmp_ps_mask(a, b, _CMP_GT_OQ); }

#elif defined(__FMA__)

#define SAMC__RUNG(name) name##_avx2
enum { VW = 8, MR = 6 };
typedef __m256 vf;

SAMC__INLINE vf vf_load(const float *p) { return _mm256_loadu_ps(p); }
SAMC__INLINE void vf_store(float *p, vf x) { _mm256_storeu_ps(p, x); }
SAMC__INLINE vf vf_set(float x) { return _mm256_set1_ps(x); }
SAMC__INLINE vf vf_add(vf a, vf b) { return _mm256_add_ps(a, b); }
SAMC__INLINE vf vf_sub(vf a, vf b) { return _mm256_sub_ps(a, b); }
SAMC__INLINE vf vf_mul(vf a, vf b) { return _mm256_mul_ps(a, b); }
SAMC__INLINE vf vf_div(vf a, vf b) { return _mm256_div_ps(a, b); }
SAMC__INLINE vf vf_max(vf a, vf b) { return _mm256_max_ps(a, b); }
SAMC__INLINE vf vf_min(vf a, vf b) { return _mm256_min_ps(a, b); }
SAMC__INLINE vf vf_sqrt(vf a) { return _mm256_sqrt_ps(a); }
SAMC__INLINE vf vf_abs(vf a) { return _mm256_andnot_ps(_mm256_set1_ps(-0.0f), a); }
SAMC__INLINE vf vf_fma(vf a, vf b, vf c) { return _mm256_fmadd_ps(a, b, c); }
SAMC__INLINE vf vf_fnma(vf a, vf b, vf c) { return _mm256_fnmadd_ps(a, b, c); }
SAMC__INLINE float vf_sum(vf a) {
    __m128 x = _mm_add_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
    x = _mm_add_ps(x, _mm_movehl_ps(x, x));
    return _mm_cvtss_f32(_mm_add_ss(x, _mm_shuffle_ps(x, x, 1)));
}
SAMC__INLINE float vf_largest(vf a) {
    __m128 x = _mm_max_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
    x = _mm_max_ps(x, _mm_movehl_ps(x, x));
    return _mm_cvtss_f32(_mm_max_ss(x, _mm_shuffle_ps(x, x, 1)));
}
SAMC__INLINE vf vf_round(vf a) { return _mm256_round_ps(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }
SAMC__INLINE vf vf_scale2(vf x, vf n) {
    vf small = _mm256_cmp_ps(n, _mm256_set1_ps(-126.0f), _CMP_LT_OQ); /* denormal results become 0 */
    __m256i e = _mm256_cvtps_epi32(_mm256_max_ps(n, _mm256_set1_ps(-126.0f)));
    vf power = _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_add_epi32(e, _mm256_set1_epi32(127)), 23));
    return _mm256_andnot_ps(small, _mm256_mul_ps(x, power));
}
SAMC__INLINE __m256i vf_first_mask(int64_t n) {
    return _mm256_cmpgt_epi32(_mm256_set1_epi32((int)n), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}
SAMC__INLINE vf vf_load_first(const float *p, int64_t n) { return _mm256_maskload_ps(p, vf_first_mask(n)); }
SAMC__INLINE void vf_store_first(float *p, int64_t n, vf x) { _mm256_maskstore_ps(p, vf_first_mask(n), x); }
SAMC__INLINE vf vf_gather(const float *base, const int32_t *index) {
    return _mm256_i32gather_ps(base, _mm256_loadu_si256((const __m256i *)index), 4);
}
SAMC__INLINE vf vf_pick(vf x, const int32_t *index, int32_t first) {
    return _mm256_permutevar8x32_ps(
        x, _mm256_sub_epi32(_mm256_loadu_si256((const __m256i *)index), _mm256_set1_epi32(first)));
}
SAMC__INLINE uint64_t vf_greater(vf a, vf b) { return (uint64_t)_mm256_movemask_ps(_mm256_cmp_ps(a, b, _CMP_GT_OQ)); }

#else
#error "this file is compiled for AVX2 without FMA"
#endif

#endif

/* Where a running maximum starts: below every score, and finite, so that a score of -infinity has a weight of 0 beside
 * it and keys that are not there, whose score that is, never have one. Where all scores are that, their sum is 0 and
 * the result NaN, as it should. */
#define SAMC__NEGLIGIBLE (-1e30f)

/* 2^x for x <= 127, to 1 ulp; 0 for everything below the normal numbers' exponents and for -infinity; NaN for NaN. */
SAMC__INLINE vf vf_exp2(vf x) {
    vf n = vf_round(x), f = vf_sub(x, n);
    /* 2^f on [-1/2, 1/2], minimax relative error 2.0e-9 */
    vf y = vf_set(0x1.41fbbcp-13f);
    y = vf_fma(y, f, vf_set(0x1.5f3e54p-10f));
    y = vf_fma(y, f, vf_set(0x1.3b2d4cp-7f));
    y = vf_fma(y, f, vf_set(0x1.c6aee8p-5f));
    y = vf_fma(y, f, vf_set(0x1.ebfbdcp-3f));
    y = vf_fma(y, f, vf_set(0x1.62e430p-1f));
    y = vf_fma(y, f, vf_set(1.0f));
    return vf_scale2(y, n);
}

/* GELU with the error function: x Phi(x) = max(x, 0) - |x| Phi(-|x|). NaN for NaN and both infinities, by the term 0 x.
 *
 * log2 Phi(-u) is fitted on [0, 6] by a polynomial of degree 9, weighted by u Phi(-u): 1.3e-9 from the exact product.
 * No cancellation for negative x, and no branch; beyond 6 the second term is held below 6e-9. */
SAMC__INLINE vf vf_gelu(vf x) {
    vf u = vf_min(vf_set(6.0f), vf_abs(x));
    vf q = vf_set(0x1.89f126p-22f);
    q = vf_fma(q, u, vf_set(-0x1.ee860ep-18f));
    q = vf_fma(q, u, vf_set(0x1.0195b4p-14f));
    q = vf_fma(q, u, vf_set(-0x1.f605e4p-13f));
    q = vf_fma(q, u, vf_set(-0x1.2dbb1cp-14f));
    q = vf_fma(q, u, vf_set(0x1.ccc9b8p-8f));
    q = vf_fma(q, u, vf_set(-0x1.ae17c8p-5f));
    q = vf_fma(q, u, vf_set(-0x1.d637ccp-2f));
    q = vf_fma(q, u, vf_set(-0x1.26af0ap+0f));
    q = vf_fma(q, u, vf_set(-0x1.fffff8p-1f));
    vf n = vf_round(q), f = vf_sub(q, n);
    vf y = vf_set(0x1.5bba14p-10f); /* 2^f on [-1/2, 1/2], minimax relative error 9.1e-8; the product is at most 0.17 */
    y = vf_fma(y, f, vf_set(0x1.3cea88p-7f));
    y = vf_fma(y, f, vf_set(0x1.c6b752p-5f));
    y = vf_fma(y, f, vf_set(0x1.ebf9bcp-3f));
    y = vf_fma(y, f, vf_set(0x1.62e42ap-1f));
    y = vf_fma(y, f, vf_set(1.0f));
    return vf_fnma(u, vf_scale2(y, n), vf_fma(x, vf_set(0.0f), vf_max(vf_set(0.0f), x)));
}

/* GELU by tanh: x / (1 + exp(-2 sqrt(2/pi) (x + 0.044715 x^3))), the exponential held below 2^126. NaN for NaN and both
 * infinities likewise. */
SAMC__INLINE vf vf_gelu_tanh(vf x) {
    vf cubic = vf_mul(x, vf_fma(vf_mul(x, x), vf_set(-0x1.a5a7d0p-4f), vf_set(-0x1.26aec2p+1f)));
    vf e = vf_exp2(vf_min(vf_set(126.0f), cubic));
    return vf_fma(x, vf_set(0.0f), vf_div(x, vf_add(vf_set(1.0f), e)));
}

/* x sigmoid(1.702 x) likewise. */
SAMC__INLINE vf vf_gelu_quick(vf x) {
    vf e = vf_exp2(vf_min(vf_set(126.0f), vf_mul(x, vf_set(-0x1.3a4cbep+1f))));
    return vf_fma(x, vf_set(0.0f), vf_div(x, vf_add(vf_set(1.0f), e)));
}

/* e^x - 1 below 0, x above: 2^n (2^f - 1) + (2^n - 1), so that nothing cancels near 0. */
SAMC__INLINE vf vf_elu(vf x) {
    vf u = vf_mul(vf_max(vf_set(-64.0f), vf_min(vf_set(0.0f), x)), vf_set(0x1.715476p+0f));
    vf n = vf_round(u), f = vf_sub(u, n);
    vf y = vf_set(0x1.41fbbcp-13f); /* as in vf_exp2() */
    y = vf_fma(y, f, vf_set(0x1.5f3e54p-10f));
    y = vf_fma(y, f, vf_set(0x1.3b2d4cp-7f));
    y = vf_fma(y, f, vf_set(0x1.c6aee8p-5f));
    y = vf_fma(y, f, vf_set(0x1.ebfbdcp-3f));
    y = vf_fma(y, f, vf_set(0x1.62e430p-1f));
    vf power = vf_scale2(vf_set(1.0f), n);
    return vf_add(vf_max(vf_set(0.0f), x), vf_fma(vf_mul(y, f), power, vf_sub(power, vf_set(1.0f))));
}

SAMC__INLINE vf vf_activate(vf x, samc__act act) {
    if (act == SAMC__ACT_GELU) return vf_gelu(x);
    if (act == SAMC__ACT_RELU) return vf_max(vf_set(0.0f), x);
    if (act == SAMC__ACT_GELU_TANH) return vf_gelu_tanh(x);
    if (act == SAMC__ACT_GELU_QUICK) return vf_gelu_quick(x);
    if (act == SAMC__ACT_ELU) return vf_elu(x);
    if (act == SAMC__ACT_HARDSWISH)
        return vf_mul(x, vf_div(vf_min(vf_set(6.0f), vf_max(vf_set(0.0f), vf_add(x, vf_set(3.0f)))), vf_set(6.0f)));
    return x;
}

/* act(sum) + added, or act(sum + added) where `last`. */
SAMC__INLINE vf vf_finish(vf sum, samc__act act, bool last, bool residual, vf added) {
    if (residual && last) sum = vf_add(sum, added);
    sum = vf_activate(sum, act);
    return residual && !last ? vf_add(sum, added) : sum;
}

#endif
