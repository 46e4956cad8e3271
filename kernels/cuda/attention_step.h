// attention_step.h - the inner step of the encoder's attention on tensor cores, shared by the global and the window
// kernel.
//
// A warp holds 32 query rows as two m16 tiles and meets 32 keys per step, so that every K or V fragment read from
// shared memory serves two products: with 16 rows the shared-memory pipe is the bound, but twice the warps fit. Online
// softmax in powers of two:
//     s = q.k + rel_w / scale            the product starts from rel_w / scale as its C operand, which costs nothing
//     p = 2^(s * scale*log2e + (rel_h*log2e - max))    one multiply-add and one exp2 per score; rel_h is one number per
//     query row
//                                                       and image row of keys, and sits in the addend
// Fragments (PTX manual, mma.m16n8k16), lane = 4 g + t: a thread holds rows g and g + 8 of an m16 tile and columns 8 n
// + 2 t, 8 n + 2 t + 1 of n8 tile n: elements [0], [1] are row g, [2], [3] row g + 8.
#ifndef SAMC_KERNELS_CUDA_ATTENTION_STEP_H
#define SAMC_KERNELS_CUDA_ATTENTION_STEP_H

#include "kernels/cuda/device.h"

namespace samc {

constexpr int kStepKeys = 32, kStepTiles = kStepKeys / 8; // keys and n8 tiles of one step
constexpr float kLog2e = 1.44269504088896f;
constexpr float kLazyGrowth = 8.0f; // the maximum moves when a score exceeds it by this power of two

// Bytes from one row to the next in shared memory: an odd number of 16-byte chunks, so that the eight rows of a matrix
// lie in different banks wherever they start, and every address is a base plus a constant.
SAMC_CONSTEXPR int row_bytes(int hd) { return 2 * hd + 16; }

// hd: head dim; row_tiles: n8 tiles of one image row of keys (rounded up); pitch: keys from one image row to the next
// in shared memory, less than 8 * row_tiles where rows overlap (windows of 14: the last 2 columns are the next row's
// and get -infinity). m_tiles: m16 tiles of queries in a warp. ones: probabilities are summed on the tensor cores, by a
// product with ones (4 more of 132 at hd 64), instead of by additions.
template <class T_, int hd_, int row_tiles_, int pitch_, int m_tiles_ = 2, bool ones_ = false> struct Shape {
    using T = T_;
    static constexpr int hd = hd_, row_tiles = row_tiles_, pitch = pitch_, stride = row_bytes(hd_), m_tiles = m_tiles_;
    static constexpr bool ones = ones_;
    static constexpr int step_rows =
        row_tiles_ < kStepTiles ? kStepTiles / row_tiles_ : 1;   // image rows met in one step
    static constexpr int tiles_per_row = kStepTiles / step_rows; // n8 tiles of each in the step
    SAMC_CONSTEXPR int row_of(int tile) {
        return tile / row_tiles_ * pitch_ + tile % row_tiles_ * 8;
    } // its first key's row
    static_assert(hd_ % 16 == 0 && kStepTiles % (row_tiles_ < kStepTiles ? row_tiles_ : kStepTiles) == 0,
                  "whole tiles");
};

// What a warp carries from step to step, for its m16 tiles.
template <class S> struct Rows {
    uint32_t q[S::m_tiles][S::hd / 16][4];
    float rel_w[S::m_tiles][S::row_tiles][4]; // divided by the scale; the same for every image row of keys
    float out[S::m_tiles][S::hd / 8][4];
    float sum[S::m_tiles]
             [4]; // a product's fragment: [0] is row g's, [2] row g + 8's; without `ones` over this lane's columns only
    float max[S::m_tiles][2]; // of rows g and g + 8
};

// Where a lane points ldmatrix for 16 rows x 16 columns: for the product's B operand (K, V, tables; one offset for all
// saves a register), and for its A operand (Q).
SAMC_DEVICE int lane_offset_b(int lane, int stride) { return (lane % 8 + lane / 16 * 8) * stride + lane / 8 % 2 * 16; }
SAMC_DEVICE int lane_offset_a(int lane, int stride) { return lane % 16 * stride + lane / 16 * 16; }

template <class S> SAMC_DEVICE void rows_start(Rows<S> &w) {
    SAMC_UNROLL
    for (int tile = 0; tile < S::m_tiles; tile++) {
        w.max[tile][0] = w.max[tile][1] = kNever;
        SAMC_UNROLL
        for (int i = 0; i < 4; i++) w.sum[tile][i] = 0.0f;
        SAMC_UNROLL
        for (int n = 0; n < S::hd / 8; n++) {
            SAMC_UNROLL
            for (int i = 0; i < 4; i++) w.out[tile][n][i] = 0.0f;
        }
    }
}

// 16 queries against 16 rows of a relative-position table: q . row, in two n8 tiles. `table`: this lane's ldmatrix
// address.
template <class S>
SAMC_DEVICE void table_product(float (&product)[2][4], const uint32_t (&q)[S::hd / 16][4], const char *table) {
    SAMC_UNROLL
    for (int i = 0; i < 4; i++) product[0][i] = product[1][i] = 0.0f;
    SAMC_UNROLL
    for (int k = 0; k < S::hd / 16; k++) {
        uint32_t b[4];
        ldmatrix_x4(b, table + k * 32);
        mma_16816(product[0], q[k], b[0], b[1], product[0], typename S::T());
        mma_16816(product[1], q[k], b[2], b[3], product[1], typename S::T());
    }
}

// rel_w of one m16 tile from its patch in shared memory, [16 rows] of `patch_stride` floats with columns 0 .. valid - 1
// written.
template <class S>
SAMC_DEVICE void take_rel_w(Rows<S> &w, int tile, const float *patch, int patch_stride, int lane, int valid) {
    SAMC_UNROLL
    for (int n = 0; n < S::row_tiles; n++) {
        SAMC_UNROLL
        for (int i = 0; i < 4; i++) {
            int column = n * 8 + lane % 4 * 2 + i % 2;
            w.rel_w[tile][n][i] = column < valid ? patch[(lane / 4 + i / 2 * 8) * patch_stride + column] : -INFINITY;
        }
    }
}

// One step against kStepKeys keys, of which the first n8 tile is number `first_tile` within its image row.
// k, v: this lane's ldmatrix addresses of the step's first image row. rel_h: log2e * rel_h for rows g and g + 8 side by
// side, m16 tiles 16 floats apart, image rows of keys `rel_h_stride` floats apart.
template <class S, int first_tile>
SAMC_DEVICE void attention_step(Rows<S> &w, const char *k, const char *v, const float *rel_h, int rel_h_stride,
                                float scale_log2e) {
    using T = typename S::T;
    float s[S::m_tiles][kStepTiles][4];
    SAMC_UNROLL
    for (int tile = 0; tile < S::m_tiles; tile++) {
        SAMC_UNROLL
        for (int n = 0; n < kStepTiles; n++) {
            SAMC_UNROLL
            for (int i = 0; i < 4; i++)
                s[tile][n][i] = w.rel_w[tile][(first_tile + n) % S::row_tiles][i]; // no move: the C operand
        }
    }
    SAMC_UNROLL
    for (int kk = 0; kk < S::hd / 16; kk++) {
        SAMC_UNROLL
        for (int n = 0; n < kStepTiles; n += 2) {
            uint32_t b[4]; // two n8 tiles of K: their rows are the product's n
            ldmatrix_x4(b, k + S::row_of(first_tile + n) * S::stride + kk * 32);
            SAMC_UNROLL
            for (int tile = 0; tile < S::m_tiles; tile++) {
                mma_16816(s[tile][n], w.q[tile][kk], b[0], b[1], s[tile][n], T());
                mma_16816(s[tile][n + 1], w.q[tile][kk], b[2], b[3], s[tile][n + 1], T());
            }
        }
    }

    float addend[S::m_tiles][S::step_rows][2]; // [m16 tile][image row of keys][row g or g + 8]
    float largest[S::m_tiles][2];
    bool grown = false;
    SAMC_UNROLL
    for (int tile = 0; tile < S::m_tiles; tile++) {
        SAMC_UNROLL
        for (int r = 0; r < S::step_rows; r++) {
            f32x2 h = *reinterpret_cast<const f32x2 *>(rel_h + r * rel_h_stride + tile * 16);
            addend[tile][r][0] = h.x;
            addend[tile][r][1] = h.y;
        }
        SAMC_UNROLL
        for (int i = 0; i < 2; i++) {
            SAMC_UNROLL
            for (int r = 0; r < S::step_rows; r++) {
                const float(*row)[4] = s[tile] + r * S::tiles_per_row;
                float most = fmaxf(row[0][2 * i], row[0][2 * i + 1]);
                SAMC_UNROLL
                for (int n = 1; n < S::tiles_per_row; n++) most = fmaxf(most, fmaxf(row[n][2 * i], row[n][2 * i + 1]));
                most = fmaf(most, scale_log2e, addend[tile][r][i]);
                largest[tile][i] = r ? fmaxf(largest[tile][i], most) : most;
            }
            grown |= largest[tile][i] > w.max[tile][i] + kLazyGrowth;
        }
    }
    // The maximum only keeps exp2 in range: it moves, and everything is rescaled, when some row of the warp grew by
    // 2^8. In the usual step there is neither a shuffle nor a rescale, and p stays below 2^8.
    if (any(grown)) {
        SAMC_UNROLL
        for (int tile = 0; tile < S::m_tiles; tile++) {
            SAMC_UNROLL
            for (int i = 0; i < 2; i++) {
                float most = fmaxf(w.max[tile][i], largest[tile][i]);
                most = fmaxf(most, shuffle_xor(most, 1)); // the four lanes of a row
                most = fmaxf(most, shuffle_xor(most, 2));
                float shrink = exp2_fast(w.max[tile][i] - most);
                w.max[tile][i] = most;
                w.sum[tile][2 * i] *= shrink;
                SAMC_UNROLL
                for (int n = 0; n < S::hd / 8; n++) {
                    w.out[tile][n][2 * i] *= shrink;
                    w.out[tile][n][2 * i + 1] *= shrink;
                }
            }
        }
    }
    SAMC_UNROLL
    for (int tile = 0; tile < S::m_tiles; tile++) {
        SAMC_UNROLL
        for (int r = 0; r < S::step_rows; r++) {
            addend[tile][r][0] -= w.max[tile][0];
            addend[tile][r][1] -= w.max[tile][1];
        }
    }

    SAMC_UNROLL
    for (int kk = 0; kk < kStepTiles / 2;
         kk++) { // 16 keys: two n8 tiles of scores are one k16 fragment of probabilities
        uint32_t p[S::m_tiles][4];
        SAMC_UNROLL
        for (int tile = 0; tile < S::m_tiles; tile++) {
            SAMC_UNROLL
            for (int half = 0; half < 2; half++) {
                int n = 2 * kk + half;
                float e[4];
                SAMC_UNROLL
                for (int i = 0; i < 4; i++)
                    e[i] = exp2_fast(fmaf(s[tile][n][i], scale_log2e, addend[tile][n / S::tiles_per_row][i / 2]));
                if (!S::ones) {
                    w.sum[tile][0] += e[0] + e[1];
                    w.sum[tile][2] += e[2] + e[3];
                }
                p[tile][2 * half] = pack2(e[0], e[1], T());
                p[tile][2 * half + 1] = pack2(e[2], e[3], T());
            }
        }
        if (S::ones) {
            const uint32_t one = pack2(1.0f, 1.0f, T());
            SAMC_UNROLL
            for (int tile = 0; tile < S::m_tiles; tile++) mma_16816(w.sum[tile], p[tile], one, one, w.sum[tile], T());
        }
        SAMC_UNROLL
        for (int n = 0; n < S::hd / 8; n += 2) {
            uint32_t b[4]; // V's rows are the product's k: transposed on the way; [0] and [2] are one n8 tile
            ldmatrix_x4_trans(b, v + S::row_of(first_tile + 2 * kk) * S::stride + n * 16);
            SAMC_UNROLL
            for (int tile = 0; tile < S::m_tiles; tile++) {
                mma_16816(w.out[tile][n], p[tile], b[0], b[2], w.out[tile][n], T());
                mma_16816(w.out[tile][n + 1], p[tile], b[1], b[3], w.out[tile][n + 1], T());
            }
        }
    }
}

// Divides by the row sums, which without `ones` the four lanes of a row hold in parts.
template <class S> SAMC_DEVICE void rows_finish(Rows<S> &w) {
    SAMC_UNROLL
    for (int tile = 0; tile < S::m_tiles; tile++) {
        SAMC_UNROLL
        for (int i = 0; i < 2; i++) {
            float sum = w.sum[tile][2 * i];
            if (!S::ones) {
                sum += shuffle_xor(sum, 1);
                sum += shuffle_xor(sum, 2);
            }
            float factor = reciprocal_fast(sum);
            SAMC_UNROLL
            for (int n = 0; n < S::hd / 8; n++) {
                w.out[tile][n][2 * i] *= factor;
                w.out[tile][n][2 * i + 1] *= factor;
            }
        }
    }
}

// Stores row g (i = 0) or g + 8 (i = 1) of an m16 tile at `to`, the first of the head's `width` channels of that token.
template <class S, int width = S::hd>
SAMC_DEVICE void store_row(const Rows<S> &w, int tile, int i, typename S::T *to, int lane) {
    SAMC_UNROLL
    for (int n = 0; n < width / 8; n++)
        *reinterpret_cast<uint32_t *>(to + n * 8 + lane % 4 * 2) =
            pack2(w.out[tile][n][2 * i], w.out[tile][n][2 * i + 1], typename S::T());
}

} // namespace samc

#endif
