// token_rows.h - steps on 16 rows of prompt tokens, for the token side of the decoder's attentions: projections,
// folding, norm.
//
// The tokens of all prompts are rows one after another. A block takes 16 of them, whichever prompts they belong to, and
// treats every row alone: no result depends on what else is in the batch. Rows stay fp32 in shared memory from the
// first load to the last store; tensor cores see them rounded, as they load them. Weights come from L2, each once for a
// block.
#ifndef SAMC_KERNELS_CUDA_TOKEN_ROWS_H
#define SAMC_KERNELS_CUDA_TOKEN_ROWS_H

#include "kernels/cuda/device.h"

namespace samc {

constexpr int kTokenRows = 16, kTokenThreads = 256;

// Floats from row to row of [16][k]: an odd number of 16-byte chunks for k in whole 32s, so that two rows never share
// banks.
SAMC_CONSTEXPR int row_floats(int k) { return (k + 3) / 4 * 4 + 4; }
// Floats from column to column of the transposed [k][16]: 16-byte aligned, and stores of neighbouring columns spread
// over the banks.
constexpr int kColumnFloats = kTokenRows + 4;

// to [16][row_floats(k)] = rows first .. first + 15 of x [rows, k], plus those of `added` unless NULL; zeros beyond the
// last.
SAMC_DEVICE void load_rows(float *to, const float *x, const float *added, int64_t first, int64_t rows, int k) {
    for (int i = static_cast<int>(threadIdx.x); i < kTokenRows * k; i += kTokenThreads) {
        int row = i / k, c = i % k;
        float v = 0.0f;
        if (first + row < rows) {
            v = x[(first + row) * k + c];
            if (added != nullptr) v += added[(first + row) * k + c];
        }
        to[row * row_floats(k) + c] = v;
    }
}

// Sixteen rows times 16 outputs for each warp in turn. Within 32 channels lane t of four takes 8 neighbours, of rows
// and weights alike: the order of a sum is free, and both are then read 16 bytes at a time.
template <class W, class Put>
SAMC_DEVICE void project_tensor(const float *x, int k, const W *w, const float *b, int n, const Put &put) {
    const int lane = static_cast<int>(threadIdx.x) % 32, warp = static_cast<int>(threadIdx.x) / 32, g = lane / 4,
              t = lane % 4;
    for (int n0 = warp * 16; n0 < n; n0 += kTokenThreads / 32 * 16) {
        float sum[2][4] = {{0.0f, 0.0f, 0.0f, 0.0f}, {0.0f, 0.0f, 0.0f, 0.0f}};
        const float *row = x + g * row_floats(k) + 8 * t;
        const W *weights = w + static_cast<int64_t>(n0 + g) * k + 8 * t;
        SAMC_UNROLL_BY(4)
        for (int kk = 0; kk < k; kk += 32) {
            uint32_t a[2][4];
            SAMC_UNROLL
            for (int i = 0; i < 2; i++) { // rows g and g + 8
                f32x4 low = load4(row + 8 * i * row_floats(k) + kk), high = load4(row + 8 * i * row_floats(k) + kk + 4);
                a[0][i] = pack2(low.x, low.y, W());
                a[0][i + 2] = pack2(low.z, low.w, W());
                a[1][i] = pack2(high.x, high.y, W());
                a[1][i + 2] = pack2(high.z, high.w, W());
            }
            SAMC_UNROLL
            for (int tile = 0; tile < 2; tile++) {
                u32x4 v = *reinterpret_cast<const u32x4 *>(weights + 8 * tile * k + kk);
                mma_16816(sum[tile], a[0], v.at[0], v.at[1], sum[tile], W());
                mma_16816(sum[tile], a[1], v.at[2], v.at[3], sum[tile], W());
            }
        }
        SAMC_UNROLL
        for (int i = 0; i < 8; i++) {
            int output = n0 + i / 4 * 8 + 2 * t + i % 2;
            put(g + i % 4 / 2 * 8, output, sum[i / 4][i % 4] + (b == nullptr ? 0.0f : b[output]));
        }
    }
}

// The same with plain products, for f32 weights and for any k and n.
template <class W, class Put>
SAMC_DEVICE void project_plain(const float *x, int k, const W *w, const float *b, int n, const Put &put) {
    for (int item = static_cast<int>(threadIdx.x); item < 2 * n; item += kTokenThreads) { // an output for 8 of the rows
        const int output = item / 2, row0 = item % 2 * 8;
        const W *weights = w + static_cast<int64_t>(output) * k;
        float sum[8] = {0.0f, 0.0f, 0.0f, 0.0f, 0.0f, 0.0f, 0.0f, 0.0f};
        for (int kk = 0; kk < k; kk++) {
            float v = to_float(weights[kk]);
            SAMC_UNROLL
            for (int r = 0; r < 8; r++) sum[r] = fmaf(x[(row0 + r) * row_floats(k) + kk], v, sum[r]);
        }
        SAMC_UNROLL
        for (int r = 0; r < 8; r++) put(row0 + r, output, sum[r] + (b == nullptr ? 0.0f : b[output]));
    }
}

// put(row, output, x[row] . w[output] + b[output]) for x [16][row_floats(k)] in shared memory, w [n, k], b [n] or NULL.
template <class W, class Put>
SAMC_DEVICE void project(const float *x, int k, const W *w, const float *b, int n, const Put &put) {
    if constexpr (sizeof(W) == 2) {
        if (k % 32 == 0 && n % 16 == 0) return project_tensor(x, k, w, b, n, put);
    }
    project_plain(x, k, w, b, n, put);
}

// A projection read backwards, onto every row and head: put(head, row, c, y0, y1) with y = sum over i < hd of
// x[head hd + i][row] * weights(head hd + i, c) for channels c and c + 1. x: [heads hd][kColumnFloats] in shared
// memory.
template <class Weights, class Put>
SAMC_DEVICE void fold_rows(const float *x, int heads, int hd, int channels, const Weights &weights, const Put &put) {
    for (int item = static_cast<int>(threadIdx.x); item < heads * (channels / 2); item += kTokenThreads) {
        const int head = item / (channels / 2), c = item % (channels / 2) * 2;
        float y[kTokenRows][2];
        SAMC_UNROLL
        for (int row = 0; row < kTokenRows; row++) y[row][0] = y[row][1] = 0.0f;
        for (int i = head * hd; i < (head + 1) * hd; i++) {
            f32x2 w = weights(i, c);
            SAMC_UNROLL
            for (int row = 0; row < kTokenRows; row += 4) {
                f32x4 v = load4(x + i * kColumnFloats + row);
                const float four[4] = {v.x, v.y, v.z, v.w};
                SAMC_UNROLL
                for (int r = 0; r < 4; r++) {
                    y[row + r][0] = fmaf(four[r], w.x, y[row + r][0]);
                    y[row + r][1] = fmaf(four[r], w.y, y[row + r][1]);
                }
            }
        }
        SAMC_UNROLL
        for (int row = 0; row < kTokenRows; row++) put(head, row, c, y[row][0], y[row][1]);
    }
}

// put(i, LayerNorm of x [c] over its channels), by one warp; variance in a second pass.
template <class Put>
SAMC_DEVICE void normalise_row(const float *x, int c, const float *gain, const float *bias, float eps, const Put &put) {
    const int lane = static_cast<int>(threadIdx.x) % 32;
    float sum = 0.0f, squares = 0.0f;
    for (int i = lane; i < c; i += 32) sum += x[i];
    const float mean = warp_sum(sum) / static_cast<float>(c);
    for (int i = lane; i < c; i += 32) squares += (x[i] - mean) * (x[i] - mean);
    const float scale = 1.0f / sqrtf(warp_sum(squares) / static_cast<float>(c) + eps);
    for (int i = lane; i < c; i += 32) put(i, (x[i] - mean) * scale * gain[i] + bias[i]);
}

// Softmax scale of heads of hd channels, for powers of two.
static inline float scale_log2e(int hd) { return 1.44269504088896f / sqrtf(static_cast<float>(hd)); }

} // namespace samc

#endif
