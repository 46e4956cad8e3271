// gemm_plain.h - the matrix product in fp32 for any shape and type: what has no tensor-core kernel, and sessions in
// f32.
//
// A block computes 64 x 64 of y = a . b^T; a caller says what the elements are. Each stage of 16 columns is summed by
// itself before it joins the rest, so that long sums lose little.
#ifndef SAMC_KERNELS_CUDA_GEMM_PLAIN_H
#define SAMC_KERNELS_CUDA_GEMM_PLAIN_H

#include "kernels/cuda/gemm_step.h"

namespace samc {

constexpr int kPlainTile = 64, kPlainColumns = 16, kPlainThreads = 256, kPlainStride = kPlainTile + 4;
constexpr int kPlainBytes = 2 * kPlainColumns * kPlainStride * 4;

// a(row, at), b(row, at): elements of the block's rows 0 .. 63 at column `at` < k; beyond the last row they give 0.
template <class T, class A, class B>
SAMC_DEVICE void plain_tile(char *shared, int k, int row0, int column0, const Finish &f, const A &a, const B &b) {
    float *as = reinterpret_cast<float *>(shared),
          *bs = as + kPlainColumns * kPlainStride; // [kPlainColumns][kPlainStride] each
    const int thread = static_cast<int>(threadIdx.x), tx = thread % 16,
              ty = thread / 16; // of y: rows 4 ty + i, columns tx + 16 j
    float sum[4][4] = {};
    for (int k0 = 0; k0 < k; k0 += kPlainColumns) {
        SAMC_UNROLL
        for (int i = 0; i < kPlainTile; i += kPlainThreads / kPlainColumns) { // 16 lanes along k
            const bool real = k0 + tx < k;
            as[tx * kPlainStride + i + ty] = real ? a(i + ty, k0 + tx) : 0.0f;
            bs[tx * kPlainStride + i + ty] = real ? b(i + ty, k0 + tx) : 0.0f;
        }
        __syncthreads(); // the stage was written by everyone
        float part[4][4] = {};
        SAMC_UNROLL
        for (int at = 0; at < kPlainColumns; at++) {
            f32x4 left = load4(as + at * kPlainStride + ty * 4);
            SAMC_UNROLL
            for (int j = 0; j < 4; j++) {
                float right = bs[at * kPlainStride + tx + 16 * j];
                part[0][j] = fmaf(left.x, right, part[0][j]);
                part[1][j] = fmaf(left.y, right, part[1][j]);
                part[2][j] = fmaf(left.z, right, part[2][j]);
                part[3][j] = fmaf(left.w, right, part[3][j]);
            }
        }
        SAMC_UNROLL
        for (int i = 0; i < 16; i++) sum[i / 4][i % 4] += part[i / 4][i % 4];
        __syncthreads(); // everyone has left the stage before the next one overwrites it
    }
    SAMC_UNROLL
    for (int i = 0; i < 4; i++) {
        SAMC_UNROLL
        for (int j = 0; j < 4; j++) {
            const int row = row0 + ty * 4 + i, column = column0 + tx + 16 * j;
            if (row >= f.m || column >= f.n) continue;
            float v = sum[i][j] + (f.bias != nullptr ? f.bias[column] : 0.0f), r = 0.0f;
            if (f.residual != nullptr) {
                const size_t at =
                    static_cast<size_t>(row % f.residual_rows) * static_cast<size_t>(f.n) + static_cast<size_t>(column);
                r = f.residual_is_float ? static_cast<const float *>(f.residual)[at]
                                        : to_float(static_cast<const T *>(f.residual)[at]);
                if (f.act_last) v += r;
            }
            v = activate(v, f.act, gelu_erf);
            if (f.residual != nullptr && !f.act_last) v += r;
            const size_t at = static_cast<size_t>(row) * static_cast<size_t>(f.y_stride) + static_cast<size_t>(column);
            if (f.y_is_float) static_cast<float *>(f.y)[at] = v;
            else store(static_cast<T *>(f.y) + at, v);
        }
    }
}

} // namespace samc

#endif
