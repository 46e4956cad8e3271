/* linear with 8-bit weights, compiled once for each kind of products (kernels/CMakeLists.txt): vpdpbusd in vectors of
 * 64 and of 32 bytes, tiles of AMX, usmmla and sdot, and for machines without any of them widened products or plain C.
 * All give the same bytes (int8.h).
 *
 * An item of work is a block of rows times a group of weight panels. As the block's rows are gathered they become u8;
 * nothing of them passes through memory a second time. */
#include "kernels/linear/int8.h"

#if defined(SAMC_LOW_AMX)
#include "kernels/cpu/low.h"
#endif
#include "kernels/cpu/linear.h"
#include "runtime/base/eight_bits.h"
#if defined(__ARM_FEATURE_DOTPROD) || defined(__ARM_FEATURE_MATMUL_INT8)
#include <arm_neon.h>
#endif

#include <string.h>

#define SAMC__JOIN(a, b) a##b
#define SAMC__NAMED(name, rung) SAMC__JOIN(name, rung)
#define LINEAR8 SAMC__NAMED(samc__linear8_, SAMC_INT8_RUNG)

enum {
#if defined(SAMC_LOW_AMX)
    ROWS = 192, /* of a block */
#else
    ROWS = 96,
#endif
    K4 = 4 * SAMC__PANEL, /* bytes of a panel for four of k */
};

/* ---- Products: sums [rows, 32] = a [rows, kp] . one panel ------------------------------------- */

#if defined(SAMC_LOW_AMX)

/* a and sums have room for the rows rounded up to 16. */
static void block(int64_t rows, const uint8_t *a, int64_t lda, const int8_t *b, int64_t kp, int32_t *c) {
    for (; rows > 0; rows -= 32, a += 32 * lda, c += 32 * SAMC__PANEL) {
        const bool both = rows > 16;
        LOW_TILE_ZERO(0);
        LOW_TILE_ZERO(1);
        LOW_TILE_ZERO(2);
        LOW_TILE_ZERO(3);
        for (int64_t i = 0; i < kp; i += 64) {
            LOW_TILE_LOAD(4, a + i, lda);
            LOW_TILE_LOAD(6, b + i * SAMC__PANEL, K4);
            LOW_TILE_LOAD(7, b + i * SAMC__PANEL + 64, K4);
            LOW_TILE_DOT8(0, 4, 6);
            LOW_TILE_DOT8(1, 4, 7);
            if (both) {
                LOW_TILE_LOAD(5, a + 16 * lda + i, lda);
                LOW_TILE_DOT8(2, 5, 6);
                LOW_TILE_DOT8(3, 5, 7);
            }
        }
        LOW_TILE_STORE(0, c, 4 * SAMC__PANEL);
        LOW_TILE_STORE(1, c + 16, 4 * SAMC__PANEL);
        if (both) LOW_TILE_STORE(2, c + 16 * SAMC__PANEL, 4 * SAMC__PANEL);
        if (both) LOW_TILE_STORE(3, c + 16 * SAMC__PANEL + 16, 4 * SAMC__PANEL);
    }
}

#else

/* Tasks on tiles begin and end with these (low.h). */
static inline void low_begin(void) {}
static inline void low_end(void) {}

#if defined(__AVX512BW__) || defined(__AVX2__)

/* A vector of sums, one of each column's four bytes, and four bytes of a row for all columns. */
#if defined(__AVX512BW__)
enum { WIDE = 16, HIGH = 12 };
typedef __m512i vi;
#define VI(name) _mm512_##name
SAMC__INLINE vi vi_load(const int8_t *p) { return _mm512_loadu_si512(p); }
SAMC__INLINE void vi_store(int32_t *p, vi x) { _mm512_storeu_si512(p, x); }
SAMC__INLINE vi vi_zero(void) { return _mm512_setzero_si512(); }
#define vi_and _mm512_and_si512
#elif defined(__AVX2__)
#if defined(__AVXVNNI__)
enum { WIDE = 8, HIGH = 6 };
#else
enum { WIDE = 8, HIGH = 4 }; /* even and odd bytes take a register each */
#endif
typedef __m256i vi;
#define VI(name) _mm256_##name
SAMC__INLINE vi vi_load(const int8_t *p) { return _mm256_loadu_si256((const __m256i *)(const void *)p); }
SAMC__INLINE void vi_store(int32_t *p, vi x) { _mm256_storeu_si256((__m256i *)(void *)p, x); }
SAMC__INLINE vi vi_zero(void) { return _mm256_setzero_si256(); }
#define vi_and _mm256_and_si256
#endif

#if defined(__AVX512VNNI__) || defined(__AVXVNNI__)
typedef vi vi_right, vi_left;
SAMC__INLINE vi_right vi_columns(const int8_t *p) { return vi_load(p); }
SAMC__INLINE vi_left vi_row(const uint8_t *p) {
    int32_t bytes;
    memcpy(&bytes, p, sizeof bytes);
    return VI(set1_epi32)(bytes);
}
#if defined(__AVX512VNNI__)
SAMC__INLINE vi vi_dot(vi sum, vi_left a, vi_right b) { return _mm512_dpbusd_epi32(sum, a, b); }
#else
SAMC__INLINE vi vi_dot(vi sum, vi_left a, vi_right b) { return _mm256_dpbusd_avx_epi32(sum, a, b); }
#endif
#else
/* vpmaddubsw would saturate: bytes are widened, the even and the odd ones apart, and two exact products of pairs are
 * added. */
typedef struct vi_pair {
    vi even, odd;
} vi_pair;
typedef vi_pair vi_right, vi_left;
SAMC__INLINE vi_right vi_columns(const int8_t *p) {
    const vi x = vi_load(p);
    return (vi_right){VI(srai_epi16)(VI(slli_epi16)(x, 8), 8), VI(srai_epi16)(x, 8)};
}
SAMC__INLINE vi_left vi_row(const uint8_t *p) {
    uint32_t bytes;
    memcpy(&bytes, p, sizeof bytes);
    return (vi_left){VI(set1_epi32)((int32_t)(bytes & 0x00ff00ffu)),
                     VI(set1_epi32)((int32_t)(bytes >> 8 & 0x00ff00ffu))};
}
SAMC__INLINE vi vi_dot(vi sum, vi_left a, vi_right b) {
    sum = VI(add_epi32)(sum, VI(madd_epi16)(a.even, b.even));
    return VI(add_epi32)(sum, VI(madd_epi16)(a.odd, b.odd));
}
#endif

/* The register tile, two vectors wide: `rows` <= HIGH is a constant wherever this is inlined. */
SAMC__INLINE void tile(int rows, const uint8_t *a, int64_t lda, const int8_t *b, int64_t kp, int32_t *c) {
    vi sum[HIGH][2];
#pragma GCC unroll 12
    for (int r = 0; r < rows; r++) sum[r][0] = sum[r][1] = vi_zero();
    for (int64_t i = 0; i < kp; i += 4, b += K4) {
        const vi_right left = vi_columns(b), right = vi_columns(b + 4 * WIDE);
#pragma GCC unroll 12
        for (int r = 0; r < rows; r++) {
            const vi_left x = vi_row(a + r * lda + i);
            sum[r][0] = vi_dot(sum[r][0], x, left);
            sum[r][1] = vi_dot(sum[r][1], x, right);
        }
    }
#pragma GCC unroll 12
    for (int r = 0; r < rows; r++) {
        vi_store(c + r * SAMC__PANEL, sum[r][0]);
        vi_store(c + r * SAMC__PANEL + WIDE, sum[r][1]);
    }
}

static void block(int64_t rows, const uint8_t *a, int64_t lda, const int8_t *b, int64_t kp, int32_t *c) {
    for (int64_t column = 0; column < SAMC__PANEL; column += 2 * WIDE) {
        const uint8_t *x = a;
        int32_t *y = c + column;
        int64_t left = rows;
        for (; left >= HIGH; left -= HIGH, x += HIGH * lda, y += HIGH * SAMC__PANEL)
            tile(HIGH, x, lda, b + 4 * column, kp, y);
        if (left >= 4) tile(4, x, lda, b + 4 * column, kp, y), left -= 4, x += 4 * lda, y += 4 * SAMC__PANEL;
        for (; left > 0; left--, x += lda, y += SAMC__PANEL) tile(1, x, lda, b + 4 * column, kp, y);
    }
}

#elif defined(__ARM_FEATURE_MATMUL_INT8)

enum { TWOS = 4 }; /* pairs of rows, and of columns, of a register tile: 16 accumulators of 2 x 2 */

/* sums [rows, 8], rows <= 8, `twos` pairs of them, a constant where this is inlined; an odd last row is there twice.
 * usmmla takes eight of k: two rows of a panel, their columns beside each other. */
SAMC__INLINE void tile(int twos, int64_t rows, const uint8_t *a, int64_t lda, const int8_t *b, int64_t kp, int32_t *c) {
    int32x4_t sum[TWOS][TWOS];
#pragma GCC unroll 4
    for (int i = 0; i < twos; i++)
        for (int j = 0; j < TWOS; j++) sum[i][j] = vdupq_n_s32(0);
    for (int64_t k = 0; k < kp; k += 8, b += 2 * K4) {
        int8x16_t right[TWOS];
        for (int j = 0; j < TWOS; j += 2) {
            const int32x4_t one = vreinterpretq_s32_s8(vld1q_s8(b + 8 * j)),
                            two = vreinterpretq_s32_s8(vld1q_s8(b + 8 * j + K4));
            right[j] = vreinterpretq_s8_s32(vzip1q_s32(one, two));
            right[j + 1] = vreinterpretq_s8_s32(vzip2q_s32(one, two));
        }
#pragma GCC unroll 4
        for (int i = 0; i < twos; i++) {
            const uint8_t *x = a + 2 * i * lda + k;
            const uint8x16_t left = vcombine_u8(vld1_u8(x), vld1_u8(2 * i + 1 < rows ? x + lda : x));
            for (int j = 0; j < TWOS; j++) sum[i][j] = vusmmlaq_s32(sum[i][j], left, right[j]);
        }
    }
#pragma GCC unroll 4
    for (int i = 0; i < twos; i++)
        for (int j = 0; j < TWOS; j++) {
            vst1_s32(c + 2 * i * SAMC__PANEL + 2 * j, vget_low_s32(sum[i][j]));
            if (2 * i + 1 < rows) vst1_s32(c + (2 * i + 1) * SAMC__PANEL + 2 * j, vget_high_s32(sum[i][j]));
        }
}

static void block(int64_t rows, const uint8_t *a, int64_t lda, const int8_t *b, int64_t kp, int32_t *c) {
    for (int64_t row = 0; row < rows; row += 2 * TWOS)
        for (int64_t column = 0; column < SAMC__PANEL; column += 8) {
            const int64_t some = rows - row < 2 * TWOS ? rows - row : 2 * TWOS;
            const uint8_t *left = a + row * lda;
            int32_t *to = c + row * SAMC__PANEL + column;
            if (some > 6) tile(4, some, left, lda, b + 4 * column, kp, to);
            else if (some > 4) tile(3, some, left, lda, b + 4 * column, kp, to);
            else if (some > 2) tile(2, some, left, lda, b + 4 * column, kp, to);
            else tile(1, some, left, lda, b + 4 * column, kp, to);
        }
}

#elif defined(__ARM_FEATURE_DOTPROD)

enum { HIGH = 4, QUADS = 4 }; /* rows, and fours of columns, of a register tile */

/* sums [rows, 16], `rows` <= HIGH a constant where this is inlined. sdot multiplies s8 alone: a row less 128, which the
 * columns' sums, made beside, put back. */
SAMC__INLINE void tile(int rows, const uint8_t *a, int64_t lda, const int8_t *b, int64_t kp, int32_t *c) {
    int32x4_t sum[HIGH][QUADS], columns[QUADS];
    for (int j = 0; j < QUADS; j++) {
        columns[j] = vdupq_n_s32(0);
#pragma GCC unroll 4
        for (int r = 0; r < rows; r++) sum[r][j] = vdupq_n_s32(0);
    }
    for (int64_t k = 0; k < kp; k += 4, b += K4) {
        int8x16_t right[QUADS];
        for (int j = 0; j < QUADS; j++) {
            right[j] = vld1q_s8(b + 16 * j);
            columns[j] = vdotq_s32(columns[j], right[j], vdupq_n_s8(1));
        }
#pragma GCC unroll 4
        for (int r = 0; r < rows; r++) {
            uint32_t bytes;
            memcpy(&bytes, a + r * lda + k, sizeof bytes);
            const int8x16_t left = vreinterpretq_s8_u32(vdupq_n_u32(bytes ^ 0x80808080u));
            for (int j = 0; j < QUADS; j++) sum[r][j] = vdotq_s32(sum[r][j], right[j], left);
        }
    }
    for (int j = 0; j < QUADS; j++)
#pragma GCC unroll 4
        for (int r = 0; r < rows; r++)
            vst1q_s32(c + r * SAMC__PANEL + 4 * j, vaddq_s32(sum[r][j], vshlq_n_s32(columns[j], 7)));
}

static void block(int64_t rows, const uint8_t *a, int64_t lda, const int8_t *b, int64_t kp, int32_t *c) {
    for (int64_t column = 0; column < SAMC__PANEL; column += 4 * QUADS) {
        int64_t row = 0;
        for (; row + HIGH <= rows; row += HIGH)
            tile(HIGH, a + row * lda, lda, b + 4 * column, kp, c + row * SAMC__PANEL + column);
        for (; row < rows; row++) tile(1, a + row * lda, lda, b + 4 * column, kp, c + row * SAMC__PANEL + column);
    }
}

#else

static void block(int64_t rows, const uint8_t *a, int64_t lda, const int8_t *b, int64_t kp, int32_t *c) {
    for (; rows > 0; rows--, a += lda, c += SAMC__PANEL) {
        int32_t sum[SAMC__PANEL] = {0};
        const int8_t *right = b;
        for (int64_t i = 0; i < kp; i += 4, right += K4) {
            const int32_t x[4] = {a[i], a[i + 1], a[i + 2], a[i + 3]};
            for (int column = 0; column < SAMC__PANEL; column++)
                for (int j = 0; j < 4; j++) sum[column] += x[j] * right[4 * column + j];
        }
        memcpy(c, sum, sizeof sum);
    }
}

#endif
#endif

/* ---- Vectors of the rung: bytes and bf16 ------------------------------------------------------ */

#if defined(__AVX512F__)
SAMC__INLINE vf halves_load(const uint16_t *p) {
    const __m256i x = _mm256_loadu_si256((const __m256i *)(const void *)p);
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(x), 16));
}
/* samc__float_to_bf16() in vectors: the rung's own instruction would make zeros of denormals. */
SAMC__INLINE void halves_store(uint16_t *p, vf x) {
    const __m512i bits = _mm512_castps_si512(x), high = _mm512_srli_epi32(bits, 16);
    const __m512i odd = _mm512_and_si512(high, _mm512_set1_epi32(1));
    const __m512i nearest =
        _mm512_srli_epi32(_mm512_add_epi32(bits, _mm512_add_epi32(odd, _mm512_set1_epi32(0x7fff))), 16);
    const __m512i half = _mm512_mask_or_epi32(nearest, _mm512_cmp_ps_mask(x, x, _CMP_UNORD_Q), high,
                                              _mm512_set1_epi32(0x40)); /* a NaN stays one */
    _mm256_storeu_si256((__m256i *)(void *)p, _mm512_cvtepi32_epi16(half));
}
SAMC__INLINE void bytes_store(uint8_t *p, vf q) {
    _mm_storeu_si128((__m128i *)(void *)p, _mm512_cvtusepi32_epi8(_mm512_cvtps_epi32(q)));
}
SAMC__INLINE vf sums_load(const int32_t *sums, const int32_t *column_sums, int32_t zero) {
    const __m512i shift = _mm512_mullo_epi32(_mm512_loadu_si512(column_sums), _mm512_set1_epi32(zero));
    return _mm512_cvtepi32_ps(_mm512_sub_epi32(_mm512_loadu_si512(sums), shift));
}
#elif defined(__AVX2__) && !defined(SAMC_LOW_SOFT)
SAMC__INLINE vf halves_load(const uint16_t *p) {
    const __m128i x = _mm_loadu_si128((const __m128i *)(const void *)p);
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(x), 16));
}
SAMC__INLINE void halves_store(uint16_t *p, vf x) {
    const __m256i bits = _mm256_castps_si256(x), high = _mm256_srli_epi32(bits, 16);
    const __m256i odd = _mm256_and_si256(high, _mm256_set1_epi32(1));
    const __m256i nearest =
        _mm256_srli_epi32(_mm256_add_epi32(bits, _mm256_add_epi32(odd, _mm256_set1_epi32(0x7fff))), 16);
    const __m256i nan = _mm256_castps_si256(_mm256_cmp_ps(x, x, _CMP_UNORD_Q));
    const __m256i half = _mm256_blendv_epi8(nearest, _mm256_or_si256(high, _mm256_set1_epi32(0x40)), nan);
    _mm_storeu_si128((__m128i *)(void *)p,
                     _mm_packus_epi32(_mm256_castsi256_si128(half), _mm256_extracti128_si256(half, 1)));
}
SAMC__INLINE void bytes_store(uint8_t *p, vf q) {
    const __m256i x = _mm256_cvtps_epi32(q);
    const __m128i words = _mm_packs_epi32(_mm256_castsi256_si128(x), _mm256_extracti128_si256(x, 1));
    _mm_storel_epi64((__m128i *)(void *)p, _mm_packus_epi16(words, words));
}
SAMC__INLINE vf sums_load(const int32_t *sums, const int32_t *column_sums, int32_t zero) {
    const __m256i shift =
        _mm256_mullo_epi32(_mm256_loadu_si256((const __m256i *)(const void *)column_sums), _mm256_set1_epi32(zero));
    return _mm256_cvtepi32_ps(_mm256_sub_epi32(_mm256_loadu_si256((const __m256i *)(const void *)sums), shift));
}
#else
SAMC__INLINE vf halves_load(const uint16_t *p) {
    float x[VW];
    for (int i = 0; i < VW; i++) x[i] = samc__bf16_to_float(p[i]);
    return vf_load(x);
}
SAMC__INLINE void halves_store(uint16_t *p, vf x) {
    float some[VW];
    vf_store(some, x);
    for (int i = 0; i < VW; i++) p[i] = samc__float_to_bf16(some[i]);
}
SAMC__INLINE void bytes_store(uint8_t *p, vf q) {
    float x[VW];
    vf_store(x, q);
    for (int i = 0; i < VW; i++) p[i] = (uint8_t)x[i];
}
SAMC__INLINE vf sums_load(const int32_t *sums, const int32_t *column_sums, int32_t zero) {
    float x[VW];
    for (int i = 0; i < VW; i++) x[i] = (float)(sums[i] - zero * column_sums[i]);
    return vf_load(x);
}
#endif

/* Elements [at, at + n), n <= VW, of floats or bf16. */
SAMC__INLINE vf load_of(samc__view v, int64_t at, int64_t n) {
    if (v.dtype == SAMC__F32) {
        const float *p = (const float *)v.data + at;
        return n == VW ? vf_load(p) : vf_load_first(p, n);
    }
    const uint16_t *p = (const uint16_t *)v.data + at;
    if (n == VW) return halves_load(p);
    uint16_t some[VW] = {0};
    memcpy(some, p, (size_t)n * sizeof *some);
    return halves_load(some);
}
SAMC__INLINE void store_of(samc__view v, int64_t at, int64_t n, vf x) {
    if (v.dtype == SAMC__F32) {
        float *p = (float *)v.data + at;
        if (n == VW) vf_store(p, x);
        else vf_store_first(p, n, x);
        return;
    }
    uint16_t *p = (uint16_t *)v.data + at, some[VW];
    halves_store(n == VW ? p : some, x);
    if (n < VW) memcpy(p, some, (size_t)n * sizeof *some);
}

/* ---- Rows of x -------------------------------------------------------------------------------- */

/* Row `row` of x as u8 in q [kp], zeros behind k. */
SAMC__INLINE samc__int8_range gather_of(samc__view x, int64_t at, int64_t kp, uint8_t *q) {
    const int64_t k = x.n[1], whole = k / VW * VW, rest = k - whole;
    vf least = vf_set(0.0f), most = least, wrong = least;
    for (int64_t i = 0; i < k; i += VW) {
        const vf value = load_of(x, at + i, i < whole ? VW : rest);
        least = vf_min(value, least), most = vf_max(value, most);
        wrong = vf_add(wrong, vf_mul(value, vf_set(0.0f)));
    }
    float low[VW], high[VW], any[VW];
    vf_store(low, least), vf_store(high, most), vf_store(any, wrong);
    for (int i = 1; i < VW; i++) {
        low[0] = low[i] < low[0] ? low[i] : low[0];
        high[0] = high[i] > high[0] ? high[i] : high[0];
        any[0] += any[i];
    }
    samc__int8_range range = {NAN, 0.0f, 0};
    if (any[0] == 0.0f) range = samc__int8_range_of(low[0], high[0]);
    const vf inverse = vf_set(range.inverse), zero = vf_set((float)range.zero);
    for (int64_t i = 0; i < whole; i += VW) {
        vf value = vf_add(vf_round(vf_mul(load_of(x, at + i, VW), inverse)), zero);
        value = vf_min(vf_max(value, vf_set(0.0f)), vf_set(255.0f)); /* NaN becomes 0 */
        bytes_store(q + i, value);
    }
    for (int64_t i = whole; i < k; i++) q[i] = samc__int8_of(range, samc__load_element(x.dtype, x.data, at + i));
    memset(q + k, 0, (size_t)(kp - k));
    return range;
}
static samc__int8_range gather_row(samc__view x, int64_t at, int64_t kp, uint8_t *q) {
    return x.dtype == SAMC__F32 ? gather_of(samc__as(SAMC__F32, x), at, kp, q) : gather_of(x, at, kp, q);
}

/* ---- Epilogue --------------------------------------------------------------------------------- */

typedef struct linear8_task {
    const samc__linear_args *args;
    samc__panels8 panels;
    int64_t n, kp, stride; /* of a row in u8 */
    int64_t x_stride, y_stride;
    int64_t groups, group_panels;
    char *scratch; /* [workers]: sums [ROWS][PANEL], ranges [ROWS], rows [ROWS][stride] */
    int64_t scratch_bytes;
    void *made; /* panels that were not packed ahead */
} linear8_task;

SAMC__INLINE void finish_of(const linear8_task *t, samc__act act, int64_t row, int64_t rows, int64_t column,
                            const int32_t *sums, const samc__int8_range *ranges) {
    const samc__linear_args *a = t->args;
    const int64_t columns = t->n - column < SAMC__PANEL ? t->n - column : SAMC__PANEL;
    const float *bias = samc__f32(a->p.b);
    const bool added = a->residual.data != NULL;
    for (int64_t v = 0; v < columns; v += VW) {
        const int64_t count = columns - v < VW ? columns - v : VW;
        const vf scales = vf_load(t->panels.scales + column + v);
        const vf offset = bias ? vf_load_first(bias + column + v, count) : vf_set(0.0f);
        for (int64_t r = 0; r < rows; r++) {
            vf value = sums_load(sums + r * SAMC__PANEL + v, t->panels.sums + column + v, ranges[r].zero);
            value = vf_add(vf_mul(value, vf_mul(scales, vf_set(ranges[r].scale))), offset);
            const int64_t of = added ? (row + r) % a->residual.n[0] * t->n + column + v : 0;
            value = vf_finish(value, act, a->act_last, added, added ? load_of(a->residual, of, count) : value);
            store_of(a->y, (row + r) * t->y_stride + column + v, count, value);
        }
    }
}
static void finish(const linear8_task *t, int64_t row, int64_t rows, int64_t column, const int32_t *sums,
                   const samc__int8_range *ranges) {
    if (t->args->act == SAMC__ACT_GELU) finish_of(t, SAMC__ACT_GELU, row, rows, column, sums, ranges);
    else if (t->args->act == SAMC__ACT_RELU) finish_of(t, SAMC__ACT_RELU, row, rows, column, sums, ranges);
    else if (t->args->act == SAMC__ACT_NONE) finish_of(t, SAMC__ACT_NONE, row, rows, column, sums, ranges);
    else finish_of(t, t->args->act, row, rows, column, sums, ranges);
}

static void linear8_items(void *context, int64_t begin, int64_t end, int worker) {
    const linear8_task *t = context;
    const samc__linear_args *a = t->args;
    const int64_t m = a->x.n[0], panels = samc__panels(t->n);
    int32_t *sums = (int32_t *)(void *)(t->scratch + worker * t->scratch_bytes);
    samc__int8_range *ranges = (samc__int8_range *)(void *)(sums + ROWS * SAMC__PANEL);
    uint8_t *left = (uint8_t *)(ranges + ROWS);
    low_begin();
    for (int64_t item = begin; item < end; item++) {
        const int64_t row = item / t->groups * ROWS, rows = m - row < ROWS ? m - row : ROWS;
        const int64_t first = item % t->groups * t->group_panels;
        const int64_t last = first + t->group_panels < panels ? first + t->group_panels : panels;
        for (int64_t r = 0; r < rows; r++)
            ranges[r] = gather_row(a->x, (row + r) * t->x_stride, t->kp, left + r * t->stride);
        for (int64_t panel = first; panel < last; panel++) {
            block(rows, left, t->stride, t->panels.panels + panel * SAMC__PANEL * t->kp, t->kp, sums);
            finish(t, row, rows, panel * SAMC__PANEL, sums, ranges);
        }
    }
    low_end();
}

static void pack_panels(void *context, int64_t begin, int64_t end, int worker) {
    const linear8_task *t = context;
    const samc__view w = t->args->p.w;
    (void)worker;
    for (int64_t panel = begin; panel < end; panel++)
        samc__pack_panel_int8((const int8_t *)w.data + panel * SAMC__PANEL * w.n[1], w.scale + panel * SAMC__PANEL,
                              w.n[0], w.n[1], panel, t->made);
}

samc_status LINEAR8(const samc__exec *exec, const samc__linear_args *a) {
    const int64_t m = a->x.n[0], k = a->x.n[1], n = a->p.w.n[0];
    const int64_t blocks = (m + ROWS - 1) / ROWS, panels = samc__panels(n);
    linear8_task t = {.args = a,
                      .n = n,
                      .kp = samc__packed_k8(k),
                      .x_stride = a->x_stride ? a->x_stride : k,
                      .y_stride = a->y_stride ? a->y_stride : n};
    int64_t wanted = exec->workers == 1 ? 1 : (4 * (int64_t)exec->workers + blocks - 1) / blocks;
    t.group_panels = (panels + wanted - 1) / wanted;
    t.groups = (panels + t.group_panels - 1) / t.group_panels;
    t.stride = (t.kp / 64 | 1) * 64; /* an odd number of cache lines: rows fall into all sets */
    t.scratch_bytes = ROWS * (SAMC__PANEL * (int64_t)sizeof(int32_t) + (int64_t)sizeof(samc__int8_range) + t.stride);
    const void *packed = samc__packed_find_int8(exec->packed, a->p.w.data);
    t.scratch = exec->allocate(exec->memory, (size_t)(exec->workers * t.scratch_bytes));
    if (packed == NULL) packed = t.made = exec->allocate(exec->memory, samc__packed_bytes8(n, k));
    if (t.scratch != NULL && packed != NULL) {
        const double flops = 2.0 * (double)m * (double)n * (double)k;
        if (t.made != NULL) samc__parallel(exec, (double)(n * k) * 16, panels, 1, pack_panels, &t);
        t.panels = samc__panels8_of(packed, n, k);
        samc__parallel(exec, flops, blocks * t.groups, 1, linear8_items, &t);
    }
    exec->release(exec->memory, t.made);
    exec->release(exec->memory, t.scratch);
    return t.scratch != NULL && packed != NULL
               ? SAMC_OK
               : samc__fail(exec->error, SAMC_OUT_OF_MEMORY, "no memory for a product in 8 bits");
}
