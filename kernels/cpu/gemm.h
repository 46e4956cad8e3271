/* The register tile that every matrix product of the cpu table runs on: c [rows, 2 vectors] (+)= a [rows, k] . b [k, 2
 * vectors].
 *
 * `a` is broadcast one float at a time, `b` and `c` are vectors along memory. Each output is one chain of FMAs in the
 * order of k, whatever the tile it falls into: results do not depend on how rows and columns are cut into blocks.
 * Adding to c comes after the chain, so that long sums, cut into blocks of k, round less. */
#ifndef SAMC_KERNELS_CPU_GEMM_H
#define SAMC_KERNELS_CPU_GEMM_H

#include "kernels/cpu/vec.h"

typedef enum tile_start { TILE_ZERO, TILE_ADD } tile_start;

/* rows <= MR and vectors <= 2 are constants at every place where this is inlined. a(r, i) = a[r * ar + i * ak]. */
SAMC__INLINE void tile_body(int rows, int vectors, const float *a, int64_t ar, int64_t ak, const float *b, int64_t ldb,
                            int64_t k, float *c, int64_t ldc, tile_start start) {
    vf sum[MR][2];
#pragma GCC unroll 12
    for (int r = 0; r < rows; r++)
#pragma GCC unroll 2
        for (int v = 0; v < vectors; v++) sum[r][v] = vf_set(0.0f);
    for (int64_t i = 0; i < k; i++) {
        vf right[2];
#pragma GCC unroll 2
        for (int v = 0; v < vectors; v++) {
            right[v] = vf_load(b + v * VW);
            /* Sixteen steps ahead: the hardware's prefetch stops at page ends, every 32 steps of a panel. */
            if (v * VW % 8 == 0) __builtin_prefetch(b + 16 * ldb + v * VW);
        }
#pragma GCC unroll 12
        for (int r = 0; r < rows; r++) {
            vf left = vf_set(a[r * ar]);
#pragma GCC unroll 2
            for (int v = 0; v < vectors; v++) sum[r][v] = vf_fma(left, right[v], sum[r][v]);
        }
        a += ak;
        b += ldb;
    }
#pragma GCC unroll 12
    for (int r = 0; r < rows; r++)
#pragma GCC unroll 2
        for (int v = 0; v < vectors; v++) {
            if (start == TILE_ADD) sum[r][v] = vf_add(vf_load(c + r * ldc + v * VW), sum[r][v]);
            vf_store(c + r * ldc + v * VW, sum[r][v]);
        }
}

/* Defines name_2() and name_1(): tiles two and one vectors wide with fixed strides of `a`, for any number of rows up to
 * MR. */
#define SAMC__DEFINE_TILE(name, ar, ak)                                                                                \
    SAMC__DEFINE_TILE_WIDTH(name##_2, 2, ar, ak)                                                                       \
    SAMC__DEFINE_TILE_WIDTH(name##_1, 1, ar, ak)
#define SAMC__DEFINE_TILE_WIDTH(name, vectors, ar, ak)                                                                 \
    __attribute__((noinline, unused)) static void name(int rows, const float *a, const float *b, int64_t ldb,          \
                                                       int64_t k, float *c, int64_t ldc, tile_start start) {           \
        if (rows == MR) {                                                                                              \
            tile_body(MR, vectors, a, ar, ak, b, ldb, k, c, ldc, start);                                               \
            return;                                                                                                    \
        }                                                                                                              \
        if (rows >= 8) { /* never on a rung with MR below 8 */                                                         \
            tile_body(MR > 8 ? 8 : MR, vectors, a, ar, ak, b, ldb, k, c, ldc, start);                                  \
            rows -= 8, a += 8 * (ar), c += 8 * ldc;                                                                    \
        }                                                                                                              \
        if (rows >= 4) {                                                                                               \
            tile_body(4, vectors, a, ar, ak, b, ldb, k, c, ldc, start);                                                \
            rows -= 4, a += 4 * (ar), c += 4 * ldc;                                                                    \
        }                                                                                                              \
        if (rows >= 2) {                                                                                               \
            tile_body(2, vectors, a, ar, ak, b, ldb, k, c, ldc, start);                                                \
            rows -= 2, a += 2 * (ar), c += 2 * ldc;                                                                    \
        }                                                                                                              \
        if (rows >= 1) tile_body(1, vectors, a, ar, ak, b, ldb, k, c, ldc, start);                                     \
    }

/* Right sides are kept as panels [vectors / 2][k][2 VW], so that a tile reads consecutive memory: rows a power of two
 * apart would share few sets of the cache. An odd last vector fills half a panel. */
enum { PANEL = 2 * VW };

/* c [rows, vectors * VW] (+)= a . b for any number of vectors, with tiles `name` from SAMC__DEFINE_TILE. */
#define SAMC__TILE_ROW(name, rows, vectors, a, b, k, c, ldc, start)                                                    \
    do {                                                                                                               \
        int64_t at_ = 0, all_ = (vectors);                                                                             \
        for (; at_ + 2 <= all_; at_ += 2)                                                                              \
            name##_2(rows, a, (b) + at_ * VW * (k), PANEL, k, (c) + at_ * VW, ldc, start);                             \
        if (at_ < all_) name##_1(rows, a, (b) + at_ * VW * (k), PANEL, k, (c) + at_ * VW, ldc, start);                 \
    } while (0)

#endif
