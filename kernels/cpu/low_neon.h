/* bf16 on aarch64 with BF16: pairs by bfdot, blocks by bfmmla; included by low.h.
 *
 * Everything else of this rung is the plain C of the software rungs, whose vectors of 16 floats the compiler makes of
 * NEON's (vec_soft.h). bfmmla adds for each of 2 x 2 sums the products of four k as two pairs: the two products of a
 * pair and their sum are rounded to odd, the sum onto the accumulator too, denormals are zeros. That is an order of
 * sums of its own: results differ from those of the other rungs in last places. */
#ifndef SAMC_KERNELS_CPU_LOW_NEON_H
#define SAMC_KERNELS_CPU_LOW_NEON_H

#include <arm_neon.h>

/* gcc 12 writes a constant 1 of bf16 as one of f16: it is not to know that there are constants. */
SAMC__INLINE bfloat16x8_t low_pairs(const uint16_t *p) {
    uint16x8_t pairs = vld1q_u16(p);
    __asm__("" : "+w"(pairs));
    return vreinterpretq_bf16_u16(pairs);
}

SAMC__INLINE vf vb_dot(vf sum, vb a, vb b) {
    float lanes[VW];
    vf_store(lanes, sum);
    for (int i = 0; i < VW; i += 4)
        vst1q_f32(lanes + i, vbfdotq_f32(vld1q_f32(lanes + i), low_pairs(a.at + 2 * i), low_pairs(b.at + 2 * i)));
    return vf_load(lanes);
}

enum { LOW_TWOS = 4 /* pairs of rows, and of columns, of a register tile: 16 accumulators */ };

/* Four of k, or the last two and zeros, of two rows. */
SAMC__INLINE bfloat16x8_t low_two_rows(const uint16_t *first, const uint16_t *second, bool four) {
    uint16_t k[8] = {0};
    memcpy(k, first, four ? 8 : 4);
    memcpy(k + 4, second, four ? 8 : 4);
    return low_pairs(k);
}

/* Columns [0, 4) of a panel's four k, b and the pairs behind it: two columns in each half. */
SAMC__INLINE void low_four_columns(const uint16_t *b, bool four, bfloat16x8_t out[2]) {
    const uint32x4_t one = vreinterpretq_u32_u16(vld1q_u16(b)),
                     two = four ? vreinterpretq_u32_u16(vld1q_u16(b + 2 * LOW_COLUMNS)) : vdupq_n_u32(0);
    out[0] = vreinterpretq_bf16_u32(vzip1q_u32(one, two));
    out[1] = vreinterpretq_bf16_u32(vzip2q_u32(one, two));
}

/* The rows of a register tile of a and c, `count` <= 8; an odd last one is there twice. */
typedef struct low_rows {
    int count;
    const uint16_t *a;
    int64_t lda;
    float *c;
    int64_t ldc;
} low_rows;

/* c [rows, 8] (+)= a [rows, k] . b, rows in `twos`, a constant where this is inlined. */
SAMC__INLINE void low_tile(int twos, low_rows of, const uint16_t *b, int64_t k, bool add) {
    const int rows = of.count;
    const int64_t ldc = of.ldc;
    float *c = of.c;
    float32x4_t sum[LOW_TWOS][LOW_TWOS];
    const uint16_t *left[2 * LOW_TWOS];
#pragma GCC unroll 8
    for (int r = 0; r < 2 * twos; r++) left[r] = of.a + (r < rows ? r : rows - 1) * of.lda;
#pragma GCC unroll 4
    for (int i = 0; i < twos; i++)
#pragma GCC unroll 4
        for (int j = 0; j < LOW_TWOS; j++) {
            const float *one = c + 2 * i * ldc + 2 * j, *two = 2 * i + 1 < rows ? one + ldc : one;
            sum[i][j] = add ? vcombine_f32(vld1_f32(one), vld1_f32(two)) : vdupq_n_f32(0.0f);
        }
    for (int64_t at = 0; at < k; at += 4, b += 4 * LOW_COLUMNS) {
        const bool four = at + 4 <= k;
        bfloat16x8_t right[LOW_TWOS];
        low_four_columns(b, four, right);
        low_four_columns(b + 8, four, right + 2);
#pragma GCC unroll 4
        for (int i = 0; i < twos; i++) {
            const bfloat16x8_t x = low_two_rows(left[2 * i] + at, left[2 * i + 1] + at, four);
#pragma GCC unroll 4
            for (int j = 0; j < LOW_TWOS; j++) sum[i][j] = vbfmmlaq_f32(sum[i][j], x, right[j]);
        }
    }
#pragma GCC unroll 4
    for (int i = 0; i < twos; i++)
#pragma GCC unroll 4
        for (int j = 0; j < LOW_TWOS; j++) {
            vst1_f32(c + 2 * i * ldc + 2 * j, vget_low_f32(sum[i][j]));
            if (2 * i + 1 < rows) vst1_f32(c + (2 * i + 1) * ldc + 2 * j, vget_high_f32(sum[i][j]));
        }
}

/* As everywhere (low.h); one chain in the order of k for each sum, whatever the tile. */
__attribute__((noinline, unused)) static void low_block(int64_t rows, const uint16_t *a, int64_t lda, const uint16_t *b,
                                                        int64_t k, float *c, int64_t ldc, bool add) {
    for (int64_t row = 0; row < rows; row += 2 * LOW_TWOS)
        for (int64_t column = 0; column < LOW_COLUMNS; column += 8) {
            const int some = rows - row < 2 * LOW_TWOS ? (int)(rows - row) : 2 * LOW_TWOS;
            const low_rows of = {some, a + row * lda, lda, c + row * ldc + column, ldc};
            const uint16_t *right = b + 2 * column;
            if (some > 6) low_tile(4, of, right, k, add);
            else if (some > 4) low_tile(3, of, right, k, add);
            else if (some > 2) low_tile(2, of, right, k, add);
            else low_tile(1, of, right, k, add);
        }
}

#endif
