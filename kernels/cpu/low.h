/* bf16 on hosts: vectors of pairs and the block product that every 16-bit operator (low.c) runs on.
 *
 * low.c files are compiled once for each 16-bit rung (kernels/CMakeLists.txt): AVX512-BF16, AMX, both again with the
 * instructions in software, bit for bit, on any machine, and on aarch64 BF16 (low_neon.h). Vectors have 16 floats on
 * all of them. Layouts are those of the instructions: b is a panel [k / 2][32][2], pairs of k beside each other
 * (samc__pack_panel_bf16), k a multiple of LOW_K with zeros behind its end in both sides.
 *
 * vdpbf16ps adds the product of the odd elements, then that of the even ones, by FMA. tdpbf16ps sums 16 even and 16 odd
 * products in one chain of FMAs each, adds the chains, and that to the tile. Both take denormals for zeros. */
#ifndef SAMC_KERNELS_CPU_LOW_H
#define SAMC_KERNELS_CPU_LOW_H

#include "kernels/cpu/packed.h"
#include "kernels/cpu/vec.h"
#include "runtime/base/view.h"

enum {
    LOW_K = SAMC__PACKED_K, /* 32 elements of k: a row of a tile */
#if defined(SAMC_LOW_AMX)
    LOW_STEP = LOW_K, /* what k of a block is a multiple of */
#else
    LOW_STEP = 2, /* a pair: zeros behind need not be multiplied */
#endif
    LOW_COLUMNS = SAMC__PANEL,
    LOW_ROWS = 16, /* a and c of a block have room for their rows rounded up to that */
};

static inline int64_t low_round_up(int64_t n, int64_t to) { return (n + to - 1) / to * to; }

/* ---- Vectors --------------------------------------------------------------------------------- */

#if defined(SAMC_LOW_SOFT)

typedef struct vb {
    uint16_t at[32];
} vb;

SAMC__INLINE float low_flush(float x) { return fabsf(x) < 0x1p-126f ? copysignf(0.0f, x) : x; }
SAMC__INLINE vb vb_load(const uint16_t *p) {
    vb x;
    memcpy(x.at, p, sizeof x.at);
    return x;
}
SAMC__INLINE void vb_store(uint16_t *p, vb x) { memcpy(p, x.at, sizeof x.at); }
SAMC__INLINE vb vb_pair(const uint16_t *p) {
    vb x;
    for (int i = 0; i < 32; i++) x.at[i] = p[i & 1];
    return x;
}
#if !defined(SAMC_LOW_NEON)
SAMC__INLINE vf vb_dot(vf sum, vb a, vb b) {
    for (int i = 0; i < VW; i++) {
        float odd = low_flush(fmaf(low_flush(samc__bf16_to_float(a.at[2 * i + 1])),
                                   low_flush(samc__bf16_to_float(b.at[2 * i + 1])), low_flush(sum[i])));
        sum[i] = low_flush(
            fmaf(low_flush(samc__bf16_to_float(a.at[2 * i])), low_flush(samc__bf16_to_float(b.at[2 * i])), odd));
    }
    return sum;
}
#endif
SAMC__INLINE vb vb_round(vf low, vf high) {
    vb x;
    for (int i = 0; i < 32; i++) x.at[i] = samc__float_to_bf16(low_flush(i < VW ? low[i] : high[i - VW]));
    return x;
}
SAMC__INLINE vf vf_load_bf16_first(const uint16_t *p, int64_t n) {
    vf x = {0};
    for (int i = 0; i < n; i++) x[i] = samc__bf16_to_float(p[i]);
    return x;
}
SAMC__INLINE vf vf_load_bf16(const uint16_t *p) { return vf_load_bf16_first(p, VW); }
SAMC__INLINE void vf_store_bf16_first(uint16_t *p, int64_t n, vf x) {
    for (int i = 0; i < n; i++) p[i] = samc__float_to_bf16(low_flush(x[i]));
}
SAMC__INLINE void vf_store_bf16(uint16_t *p, vf x) { vf_store_bf16_first(p, VW, x); }

#else

typedef __m512i vb; /* 32 elements, or 16 pairs */

SAMC__INLINE vb vb_load(const uint16_t *p) { return _mm512_loadu_si512(p); }
SAMC__INLINE void vb_store(uint16_t *p, vb x) { _mm512_storeu_si512(p, x); }
/* p[0], p[1] in every pair. */
SAMC__INLINE vb vb_pair(const uint16_t *p) {
    int32_t pair;
    __builtin_memcpy(&pair, p, sizeof pair);
    return _mm512_set1_epi32(pair);
}
SAMC__INLINE vf vb_dot(vf sum, vb a, vb b) { return _mm512_dpbf16_ps(sum, (__m512bh)a, (__m512bh)b); }
/* 16 and 16 floats, rounded to nearest even. */
SAMC__INLINE vb vb_round(vf low, vf high) { return (vb)_mm512_cvtne2ps_pbh(high, low); }
SAMC__INLINE vf vf_load_bf16_first(const uint16_t *p, int64_t n) {
    const __m256i halves = _mm256_maskz_loadu_epi16((__mmask16)((1u << n) - 1u), p);
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(halves), 16));
}
SAMC__INLINE vf vf_load_bf16(const uint16_t *p) {
    const __m256i halves = _mm256_loadu_si256((const __m256i *)(const void *)p);
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(halves), 16));
}
SAMC__INLINE void vf_store_bf16_first(uint16_t *p, int64_t n, vf x) {
    _mm256_mask_storeu_epi16(p, (__mmask16)((1u << n) - 1u), (__m256i)_mm512_cvtneps_pbh(x));
}
SAMC__INLINE void vf_store_bf16(uint16_t *p, vf x) {
    _mm256_storeu_si256((__m256i *)(void *)p, (__m256i)_mm512_cvtneps_pbh(x));
}

#endif

/* Elements [at, at + n), n <= VW, of an array of floats or of bf16, as its view says. */
SAMC__INLINE vf vf_load_first_of(samc__view v, int64_t at, int64_t n) {
    return v.dtype == SAMC__F32 ? vf_load_first((const float *)v.data + at, n)
                                : vf_load_bf16_first((const uint16_t *)v.data + at, n);
}
SAMC__INLINE void vf_store_first_of(samc__view v, int64_t at, int64_t n, vf x) {
    if (v.dtype == SAMC__F32) vf_store_first((float *)v.data + at, n, x);
    else vf_store_bf16_first((uint16_t *)v.data + at, n, x);
}

/* Both floats of each of VW pairs. */
SAMC__INLINE void load_pairs(const uint16_t *in, vf *even, vf *odd) {
#if defined(SAMC_LOW_SOFT)
    for (int j = 0; j < VW; j++)
        (*even)[j] = samc__bf16_to_float(in[2 * j]), (*odd)[j] = samc__bf16_to_float(in[2 * j + 1]);
#else
    *even = _mm512_castsi512_ps(_mm512_slli_epi32(vb_load(in), 16));
    *odd = _mm512_castsi512_ps(_mm512_and_si512(vb_load(in), _mm512_set1_epi32((int32_t)0xffff0000u)));
#endif
}

/* Pairs of `even` and `odd`, rounded. */
SAMC__INLINE vb vb_pairs(vf even, vf odd) {
#if defined(SAMC_LOW_SOFT)
    const vb x = vb_round(even, odd);
    vb y;
    for (int i = 0; i < 32; i++) y.at[i] = x.at[i % 2 * 16 + i / 2];
    return y;
#else
    const __m512i order = _mm512_set_epi16(31, 15, 30, 14, 29, 13, 28, 12, 27, 11, 26, 10, 25, 9, 24, 8, 23, 7, 22, 6,
                                           21, 5, 20, 4, 19, 3, 18, 2, 17, 1, 16, 0);
    return _mm512_permutexvar_epi16(order, vb_round(even, odd));
#endif
}

/* out [16][16] = in transposed, of floats or pairs; rows `from` and `to` bytes apart. */
SAMC__INLINE void transpose16(const void *in, int64_t from, void *out, int64_t to) {
#if defined(SAMC_LOW_SOFT)
    for (int i = 0; i < 16; i++)
        for (int j = 0; j < 16; j++) memcpy((char *)out + j * to + 4 * i, (const char *)in + i * from + 4 * j, 4);
#else
    __m512i r[16], s[16];
    for (int i = 0; i < 16; i++) r[i] = _mm512_loadu_si512((const char *)in + i * from);
    for (int i = 0; i < 16; i += 2)
        s[i] = _mm512_unpacklo_epi32(r[i], r[i + 1]), s[i + 1] = _mm512_unpackhi_epi32(r[i], r[i + 1]);
    for (int i = 0; i < 16; i += 4)
        for (int j = 0; j < 2; j++) {
            r[i + 2 * j] = _mm512_unpacklo_epi64(s[i + j], s[i + j + 2]);
            r[i + 2 * j + 1] = _mm512_unpackhi_epi64(s[i + j], s[i + j + 2]);
        }
    for (int i = 0; i < 16; i += 8) /* r[i + j]: columns j, j + 4, j + 8, j + 12 of four rows */
        for (int j = 0; j < 4; j++) {
            s[i + j] = _mm512_shuffle_i32x4(r[i + j], r[i + j + 4], 0x88);
            s[i + j + 4] = _mm512_shuffle_i32x4(r[i + j], r[i + j + 4], 0xdd);
        }
    for (int j = 0; j < 4; j++) {
        _mm512_storeu_si512((char *)out + j * to, _mm512_shuffle_i32x4(s[j], s[j + 8], 0x88));
        _mm512_storeu_si512((char *)out + (j + 4) * to, _mm512_shuffle_i32x4(s[j + 4], s[j + 12], 0x88));
        _mm512_storeu_si512((char *)out + (j + 8) * to, _mm512_shuffle_i32x4(s[j], s[j + 8], 0xdd));
        _mm512_storeu_si512((char *)out + (j + 12) * to, _mm512_shuffle_i32x4(s[j + 4], s[j + 12], 0xdd));
    }
#endif
}

/* max(x, 0) - u q(u - 9/4) with u = |x|, at most 9/2, and q a polynomial, from its highest power on; NaN for NaN and
 * both infinities. */
SAMC__INLINE vf vf_gelu_by(const float q[10], vf x) {
    const vf u = vf_min(vf_set(4.5f), vf_abs(x)), v = vf_sub(u, vf_set(2.25f));
    vf sum = vf_set(q[0]);
    for (int i = 1; i < 10; i++) sum = vf_fma(sum, v, vf_set(q[i]));
    return vf_fnma(u, sum, vf_fma(x, vf_set(0.0f), vf_max(vf_set(0.0f), x)));
}

/* GELU for what is rounded to bf16 next: within 1.5e-5 everywhere, at three fifths of vf_gelu()'s instructions, q being
 * fitted to Phi(-u). */
SAMC__INLINE vf vf_gelu_low(vf x) {
    static const float q[10] = {-0x1.b0a430p-17f, 0x1.7050e8p-15f, 0x1.65c808p-13f, -0x1.03576cp-10f, 0x1.518624p-11f,
                                0x1.8f7f02p-8f,   -0x1.6268f0p-6f, 0x1.24cb78p-5f,  -0x1.03c56ap-5f,  0x1.90750ap-7f};
    return vf_gelu_by(q, x);
}

/* GELU by tanh likewise: within 1.5e-5, without its exponential and division. */
SAMC__INLINE vf vf_gelu_tanh_low(vf x) {
    static const float q[10] = {-0x1.87406cp-17f, 0x1.478a9ep-15f, 0x1.5196aep-13f, -0x1.e9112ep-11f, 0x1.5334f4p-11f,
                                0x1.809266p-8f,   -0x1.605c24p-6f, 0x1.27b0f6p-5f,  -0x1.05e33ep-5f,  0x1.8c15d6p-7f};
    return vf_gelu_by(q, x);
}

/* ---- Tiles ----------------------------------------------------------------------------------- */

#if defined(SAMC_LOW_AMX)

#if defined(SAMC_LOW_SOFT)

typedef struct low_tile {
    uint8_t row[16][64];
} low_tile;
static _Thread_local low_tile low_tiles[8];

SAMC__INLINE void low_tile_zero(int t) { memset(&low_tiles[t], 0, sizeof low_tiles[t]); }
SAMC__INLINE void low_tile_load(int t, const void *p, int64_t bytes) {
    for (int r = 0; r < 16; r++) memcpy(low_tiles[t].row[r], (const char *)p + r * bytes, 64);
}
SAMC__INLINE void low_tile_store(int t, void *p, int64_t bytes) {
    for (int r = 0; r < 16; r++) memcpy((char *)p + r * bytes, low_tiles[t].row[r], 64);
}
SAMC__INLINE void low_tile_dot(int c, int a, int b) {
    for (int r = 0; r < 16; r++) {
        uint16_t left[32], right[32];
        float sum[16], even[16] = {0}, odd[16] = {0};
        memcpy(left, low_tiles[a].row[r], sizeof left);
        memcpy(sum, low_tiles[c].row[r], sizeof sum);
        for (int k = 0; k < 16; k++) {
            float x = low_flush(samc__bf16_to_float(left[2 * k])), y = low_flush(samc__bf16_to_float(left[2 * k + 1]));
            memcpy(right, low_tiles[b].row[k], sizeof right);
            for (int i = 0; i < 16; i++) {
                even[i] = low_flush(fmaf(x, low_flush(samc__bf16_to_float(right[2 * i])), even[i]));
                odd[i] = low_flush(fmaf(y, low_flush(samc__bf16_to_float(right[2 * i + 1])), odd[i]));
            }
        }
        for (int i = 0; i < 16; i++) sum[i] = low_flush(low_flush(sum[i]) + low_flush(even[i] + odd[i]));
        memcpy(low_tiles[c].row[r], sum, sizeof sum);
    }
}
/* Whole numbers: u8 rows, s8 in fours of k. */
SAMC__INLINE void low_tile_dot8(int c, int a, int b) {
    for (int r = 0; r < 16; r++) {
        int32_t sum[16];
        memcpy(sum, low_tiles[c].row[r], sizeof sum);
        for (int k = 0; k < 64; k++)
            for (int i = 0; i < 16; i++)
                sum[i] += low_tiles[a].row[r][k] * (int8_t)low_tiles[b].row[k / 4][4 * i + k % 4];
        memcpy(low_tiles[c].row[r], sum, sizeof sum);
    }
}
#define LOW_TILE_ZERO(t) low_tile_zero(t)
#define LOW_TILE_LOAD(t, p, bytes) low_tile_load(t, p, bytes)
#define LOW_TILE_STORE(t, p, bytes) low_tile_store(t, p, bytes)
#define LOW_TILE_DOT(c, a, b) low_tile_dot(c, a, b)
#define LOW_TILE_DOT8(c, a, b) low_tile_dot8(c, a, b)
SAMC__INLINE void low_begin(void) {}
SAMC__INLINE void low_end(void) {}

#else

/* Tiles are named by constants. gcc 12 does not know that loading a tile reads memory, and is told. */
#define LOW_TILE_ZERO(t) _tile_zero(t)
#define LOW_TILE_LOAD(t, p, bytes)                                                                                     \
    do {                                                                                                               \
        __asm__ volatile("" : : : "memory");                                                                           \
        _tile_loadd(t, p, bytes);                                                                                      \
    } while (0)
#define LOW_TILE_STORE(t, p, bytes) _tile_stored(t, p, bytes)
#define LOW_TILE_DOT(c, a, b) _tile_dpbf16ps(c, a, b)
#define LOW_TILE_DOT8(c, a, b) _tile_dpbusd(c, a, b)
/* Every task begins by giving its thread eight tiles of 16 x 64 bytes, and gives them back: their state makes changes
 * of context slow. */
SAMC__INLINE void low_begin(void) {
    struct {
        uint8_t palette, start, reserved[14];
        uint16_t bytes[16];
        uint8_t rows[16];
    } config __attribute__((aligned(64))) = {.palette = 1};
    for (int t = 0; t < 8; t++) config.bytes[t] = 64, config.rows[t] = 16;
    __asm__ volatile("ldtilecfg %0" : : "m"(config)); /* gcc 12's _tile_loadconfig() lets it drop all but 8 bytes */
}
SAMC__INLINE void low_end(void) { _tile_release(); }

#endif

/* The tiles of a block: c [32, 32] in tiles 0 to 3, or its first 16 rows in 0 and 1; a in 4 and 5, b in 6 and 7. */
SAMC__INLINE void low_tiles_begin(const float *c, int64_t ldc, bool both, bool add) {
    if (add) {
        LOW_TILE_LOAD(0, c, ldc * 4);
        LOW_TILE_LOAD(1, c + 16, ldc * 4);
        if (both) LOW_TILE_LOAD(2, c + 16 * ldc, ldc * 4);
        if (both) LOW_TILE_LOAD(3, c + 16 * ldc + 16, ldc * 4);
    } else {
        LOW_TILE_ZERO(0);
        LOW_TILE_ZERO(1);
        LOW_TILE_ZERO(2);
        LOW_TILE_ZERO(3);
    }
}
/* LOW_K of k. */
SAMC__INLINE void low_tiles_step(const uint16_t *a, int64_t lda, const uint16_t *b, bool both) {
    LOW_TILE_LOAD(4, a, lda * 2);
    LOW_TILE_LOAD(6, b, 128);
    LOW_TILE_LOAD(7, b + 32, 128);
    LOW_TILE_DOT(0, 4, 6);
    LOW_TILE_DOT(1, 4, 7);
    if (both) {
        LOW_TILE_LOAD(5, a + 16 * lda, lda * 2);
        LOW_TILE_DOT(2, 5, 6);
        LOW_TILE_DOT(3, 5, 7);
    }
}
SAMC__INLINE void low_tiles_end(float *c, int64_t ldc, bool both) {
    LOW_TILE_STORE(0, c, ldc * 4);
    LOW_TILE_STORE(1, c + 16, ldc * 4);
    if (both) LOW_TILE_STORE(2, c + 16 * ldc, ldc * 4);
    if (both) LOW_TILE_STORE(3, c + 16 * ldc + 16, ldc * 4);
}

/* c [rows, 32] (+)= a [rows, k] . b, any number of rows: a in rows `lda` elements apart, b one panel, c in rows `ldc`
 * floats apart. k is a multiple of LOW_STEP; a and c have room for the rows rounded up to LOW_ROWS (whatever is there
 * is read, and overwritten). Between low_begin() and low_end(). */
__attribute__((noinline, unused)) static void low_block(int64_t rows, const uint16_t *a, int64_t lda, const uint16_t *b,
                                                        int64_t k, float *c, int64_t ldc, bool add) {
    for (; rows > 0; rows -= 32, a += 32 * lda, c += 32 * ldc) {
        const bool both = rows > 16;
        low_tiles_begin(c, ldc, both, add);
        for (int64_t i = 0; i < k; i += LOW_K) low_tiles_step(a + i, lda, b + i * LOW_COLUMNS, both);
        low_tiles_end(c, ldc, both);
    }
}

#elif defined(SAMC_LOW_NEON)

SAMC__INLINE void low_begin(void) {}
SAMC__INLINE void low_end(void) {}
#include "kernels/cpu/low_neon.h"

#else

SAMC__INLINE void low_begin(void) {}
SAMC__INLINE void low_end(void) {}

#if defined(SAMC_LOW_SOFT)
#define LOW_UNROLL
#define LOW_LAST rows /* no constants: nothing to unroll */
#else
#define LOW_UNROLL _Pragma("GCC unroll 12")
#define LOW_LAST 1
#endif

/* The register tile: `rows` <= MR is a constant wherever this is inlined. */
SAMC__INLINE void low_tile(int rows, const uint16_t *a, int64_t lda, const uint16_t *b, int64_t k, float *c,
                           int64_t ldc, bool add) {
    vf sum[MR][2];
    LOW_UNROLL
    for (int r = 0; r < rows; r++)
        for (int v = 0; v < 2; v++) sum[r][v] = add ? vf_load(c + r * ldc + v * VW) : vf_set(0.0f);
    for (int64_t i = 0; i < k; i += 2, b += 2 * LOW_COLUMNS) {
        const vb left = vb_load(b), right = vb_load(b + 2 * VW);
        __builtin_prefetch(b + 128 * LOW_COLUMNS); /* 64 steps ahead: the hardware's stops at ends of pages */
        __builtin_prefetch(b + 128 * LOW_COLUMNS + 2 * VW);
        LOW_UNROLL
        for (int r = 0; r < rows; r++) {
            const vb x = vb_pair(a + r * lda + i);
            sum[r][0] = vb_dot(sum[r][0], x, left);
            sum[r][1] = vb_dot(sum[r][1], x, right);
        }
    }
    LOW_UNROLL
    for (int r = 0; r < rows; r++)
        for (int v = 0; v < 2; v++) vf_store(c + r * ldc + v * VW, sum[r][v]);
}

/* One tile of any number of rows up to MR. */
__attribute__((noinline, unused)) static void low_rows(int rows, const uint16_t *a, int64_t lda, const uint16_t *b,
                                                       int64_t k, float *c, int64_t ldc, bool add) {
#if !defined(SAMC_LOW_SOFT)
#define LOW_CASE(n)                                                                                                    \
    case n:                                                                                                            \
        low_tile(n, a, lda, b, k, c, ldc, add);                                                                        \
        return
    switch (rows) {
        LOW_CASE(12);
        LOW_CASE(11);
        LOW_CASE(10);
        LOW_CASE(9);
        LOW_CASE(8);
        LOW_CASE(7);
        LOW_CASE(6);
        LOW_CASE(5);
        LOW_CASE(4);
        LOW_CASE(3);
        LOW_CASE(2);
    }
#undef LOW_CASE
#endif
    low_tile(LOW_LAST, a, lda, b, k, c, ldc, add);
}

enum { LOW_DEPTH = 768 /* of k, a multiple of LOW_K: what of a panel fits the nearest cache */ };

/* Sums are one chain in the order of k, so that it may be cut anywhere. Rows that do not fill the last tile are spread
 * over all of them. */
__attribute__((noinline, unused)) static void low_block(int64_t rows, const uint16_t *a, int64_t lda, const uint16_t *b,
                                                        int64_t k, float *c, int64_t ldc, bool add) {
    const int64_t tiles = (rows + MR - 1) / MR;
    int64_t at = 0;
    do {
        const int64_t depth = k - at < LOW_DEPTH ? k - at : LOW_DEPTH;
        for (int64_t tile = 0; tile < tiles; tile++) {
            const int64_t row = rows * tile / tiles, end = rows * (tile + 1) / tiles;
            low_rows((int)(end - row), a + row * lda + at, lda, b + at * LOW_COLUMNS, depth, c + row * ldc, ldc,
                     add || at > 0);
        }
        at += LOW_DEPTH;
    } while (at < k);
}

#endif

#endif
