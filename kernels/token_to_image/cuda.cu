// token_to_image on the GPU: the tokens of many prompts attend to their image, with the image's projections folded onto
// the tokens.
//
//     scores = (keys + key_pe) . f + 0,  f[token, head] = Wk_h^T q_h      bk cancels in the softmax, unless it is not
//     finite: q takes 0 bk
//            = keys . f + position_keys_h . q_h,   position_keys = key_pe . Wk^T, once for all prompts of a call
//     out_h  = ((P . keys) / sum) . Wv_h^T + bv_h
// Keys are read once and are both K and V. Four launches: fold (16 rows of tokens a block), positions, attend, merge.
// For C = 256, inner 128, N = 4096, T <= 8 a prompt reads 2 MiB of keys and 1 MiB of position_keys, which stay in L2,
// and makes 64 x 4096 x (2 x 256 + 32) = 143 M multiply-adds on tensor cores; partial sums are 2 x 128 KiB. Keys are
// cut into segments of 1024, whatever the number of prompts: few prompts still fill the GPU, and the result of a prompt
// does not depend on how many came with it. More than 8 tokens go by in groups of 8, each of which reads the keys.
#include "kernels/cuda/attention_step.h"
#include "kernels/cuda/token_rows.h"
#include "kernels/cuda/wrapper.h"
#include "kernels/token_to_image/cuda.h"
#include "kernels/token_to_image/token_to_image.h"

namespace samc {

constexpr int kSegmentKeys = 1024;
constexpr int kImageThreads = 128; // four warps of 16 rows: warp w has heads 2 w and 2 w + 1, 8 tokens each
constexpr int kImageTile = 32;     // keys in shared memory at a time, in two buffers
constexpr int kGroupTokens = 8;

// ---- tokens: queries and what they fold to ------------------------------------------------------

// Where f[token, head, c .. c + 1] lies, in registers: the fragments of the A operand as lanes load them, [prompt and
// group of 8 tokens][warp][C / 16][lane][4].
SAMC_DEVICE int64_t fragment_index(int64_t group, int token, int head, int c, int channels) {
    return (((group * 4 + head / 2) * (channels / 16) + c / 16) * 32 + token * 4 + c % 8 / 2) * 4 + head % 2 +
           c % 16 / 8 * 2;
}

// queries, pe [rows, C]; wq, wk [inner, C]; bq, bk [inner] or NULL. For tensor cores folded is fragment_index's, and q
// [rows, inner] is what meets position_keys; otherwise folded is [rows, heads, C] in fp32 and q is not written. Both
// scaled for powers of two.
template <class T, bool tensor>
SAMC_KERNEL(kTokenThreads, 2)
token_to_image_fold(const float *queries, const float *pe, const T *wq, const float *bq, const T *wk, const float *bk,
                    void *folded, T *q, int64_t rows, int tokens, int c, int inner, int heads, float scale) {
    SAMC_SHARED(shared);
    float *x = reinterpret_cast<float *>(shared), *columns = x + kTokenRows * row_floats(c); // [16][C], [inner][16]
    const int64_t first = static_cast<int64_t>(blockIdx.x) * kTokenRows;
    load_rows(x, queries, pe, first, rows, c);
    __syncthreads(); // the rows are there
    project(x, c, wq, bq, inner, [&](int row, int i, float v) {
        if (bk != nullptr) v += 0.0f * bk[i];
        columns[i * kColumnFloats + row] = v * scale;
        if (tensor && first + row < rows) store(q + (first + row) * inner + i, v * scale);
    });
    __syncthreads(); // so are their queries
    fold_rows(
        columns, heads, inner / heads, c,
        [&](int i, int channel) { return load2(wk + static_cast<int64_t>(i) * c + channel); },
        [&](int head, int row, int channel, float y0, float y1) {
            const int64_t index = first + row;
            if (index >= rows) return;
            if constexpr (tensor) {
                const int64_t prompt = index / tokens, token = index % tokens;
                const int64_t group = prompt * ((tokens + kGroupTokens - 1) / kGroupTokens) + token / kGroupTokens;
                const int64_t at = fragment_index(group, static_cast<int>(token % kGroupTokens), head, channel, c);
                static_cast<uint32_t *>(folded)[at] = pack2(y0, y1, T());
            } else {
                store2(static_cast<float *>(folded) + (index * heads + head) * c + channel, {y0, y1});
            }
        });
}

// position_keys [N, inner] = key_pe [N, C] . wk^T.
template <class T>
SAMC_KERNEL(kTokenThreads, 2)
token_to_image_positions(const T *key_pe, const T *wk, T *position_keys, int n, int c, int inner) {
    SAMC_SHARED(shared);
    float *x = reinterpret_cast<float *>(shared);
    const int first = static_cast<int>(blockIdx.x) * kTokenRows;
    for (int i = static_cast<int>(threadIdx.x); i < kTokenRows * c; i += kTokenThreads)
        x[i / c * row_floats(c) + i % c] =
            first + i / c < n ? to_float(key_pe[static_cast<int64_t>(first) * c + i]) : 0.0f;
    __syncthreads(); // the rows are there
    project(x, c, wk, static_cast<const float *>(nullptr), inner, [&](int row, int i, float v) {
        if (first + row < n) store(position_keys + static_cast<int64_t>(first + row) * inner + i, v);
    });
}

// ---- attention on tensor cores ------------------------------------------------------------------

template <int C, int hd> struct ImageMemory {
    static constexpr int inner = 8 * hd, stride = row_bytes(C), position_stride = row_bytes(inner);
    static constexpr int positions = 2 * kImageTile * stride, bytes = positions + 2 * kImageTile * position_stride;
};

// One segment of the keys for 8 tokens of one prompt. grid.x: prompts times groups, grid.y: segments.
// folded, q: of fold; keys [B, N, C], a prompt reads entry prompt / prompts_per_entry; position_keys [N, inner];
// part [rows * 8, segments, C] = sums / sum, level [rows * 8, segments, 2] = largest score and sum.
template <class T, int C, int hd>
SAMC_KERNEL(kImageThreads, 2)
token_to_image_attend(const uint32_t *folded, const T *q, const T *keys, const T *position_keys, T *part, float *level,
                      int tokens, int groups, int n, int prompts_per_entry) {
    using M = ImageMemory<C, hd>;
    constexpr int tiles = kImageTile / 8;
    SAMC_SHARED(shared);
    const int prompt = static_cast<int>(blockIdx.x) / groups,
              token0 = static_cast<int>(blockIdx.x) % groups * kGroupTokens;
    const int first = static_cast<int>(blockIdx.y) * kSegmentKeys, last = min_of(first + kSegmentKeys, n);

    const int64_t entry = static_cast<int64_t>(prompt / prompts_per_entry) * n;
    auto load_tile = [&](int key0, int buffer) { // rows beyond the last key become zeros
        constexpr int chunks = C / 8, key_rows = kImageThreads / chunks,
                      position_rows = kImageThreads / hd; // rows of one pass
        static_assert(kImageThreads % chunks == 0 && kImageTile % key_rows == 0 && kImageTile % position_rows == 0,
                      "whole passes");
        const int again = thread_again(); // not kept: no register to spare
        const T *from = keys + (entry + key0 + again / chunks) * C + again % chunks * 8;
        char *to = shared + (buffer * kImageTile + again / chunks) * M::stride + again % chunks * 16;
        SAMC_UNROLL
        for (int row = 0; row < kImageTile; row += key_rows)
            copy_async16(to + row * M::stride, from + row * C, key0 + again / chunks + row < last);
        from = position_keys + static_cast<int64_t>(key0 + again / hd) * M::inner + again % hd * 8;
        to = shared + M::positions + (buffer * kImageTile + again / hd) * M::position_stride + again % hd * 16;
        SAMC_UNROLL
        for (int row = 0; row < kImageTile; row += position_rows)
            copy_async16(to + row * M::position_stride, from + row * M::inner, key0 + again / hd + row < last);
        copy_commit();
    };
    load_tile(first, 0);

    // Rows g (head 2 warp) and g + 8 (head 2 warp + 1) of an m16 tile are the same token; a token that does not exist
    // is zeros.
    uint32_t f[C / 16][4], position_q[2][hd / 8];
    const int warp = static_cast<int>(threadIdx.x) / 32, lane = static_cast<int>(threadIdx.x) % 32,
              token = token0 + lane / 4;
    SAMC_UNROLL
    for (int kk = 0; kk < C / 16; kk++) {
        u32x4 v = {{0, 0, 0, 0}};
        if (token < tokens)
            v = *reinterpret_cast<const u32x4 *>(
                folded + (((static_cast<int64_t>(blockIdx.x) * 4 + warp) * (C / 16) + kk) * 32 + lane) * 4);
        SAMC_UNROLL
        for (int i = 0; i < 4; i++) f[kk][i] = v.at[i];
    }
    SAMC_UNROLL
    for (int head = 0; head < 2; head++) {
        SAMC_UNROLL
        for (int i = 0; i < hd / 8; i++)
            position_q[head][i] = token < tokens ? *reinterpret_cast<const uint32_t *>(
                                                       q + (static_cast<int64_t>(prompt) * tokens + token) * M::inner +
                                                       (2 * warp + head) * hd + 8 * i + lane % 4 * 2)
                                                 : 0;
    }

    float out[C / 8][4], sum[2] = {0.0f, 0.0f}, largest[2] = {kNever, kNever};
    SAMC_UNROLL
    for (int i = 0; i < C / 8; i++) out[i][0] = out[i][1] = out[i][2] = out[i][3] = 0.0f;

    SAMC_NO_UNROLL
    for (int key0 = first, buffer = 0; key0 < last; key0 += kImageTile, buffer ^= 1) {
        copy_wait<0>();
        __syncthreads(); // this tile has arrived for everyone, and everyone has left the one whose buffer is filled
                         // next
        if (key0 + kImageTile < last) load_tile(key0 + kImageTile, buffer ^ 1);
        const int again = thread_again();
        const char *my_keys = shared + buffer * kImageTile * M::stride + lane_offset_b(again % 32, M::stride);
        const char *my_positions = shared + M::positions + buffer * kImageTile * M::position_stride +
                                   lane_offset_b(again % 32, M::position_stride) + again / 32 * (4 * hd);

        float s[tiles][4];
        SAMC_UNROLL
        for (int i = 0; i < tiles; i++) s[i][0] = s[i][1] = s[i][2] = s[i][3] = 0.0f;
        SAMC_UNROLL
        for (int kk = 0; kk < C / 16; kk++) {
            SAMC_UNROLL
            for (int i = 0; i < tiles; i += 2) {
                uint32_t b[4];
                ldmatrix_x4(b, my_keys + i * 8 * M::stride + kk * 32);
                mma_16816(s[i], f[kk], b[0], b[1], s[i], T());
                mma_16816(s[i + 1], f[kk], b[2], b[3], s[i + 1], T());
            }
        }
        // Positions: the two heads of the tile lie side by side in k, so that A has zeros where a row meets the other
        // head.
        SAMC_UNROLL
        for (int kk = 0; kk < hd / 8; kk++) {
            uint32_t a[4] = {0, 0, 0, 0};
            if (hd == 16) {
                a[kk] = position_q[kk][0];
                a[kk + 2] = position_q[kk][hd / 8 - 1];
            } else {
                a[0] = position_q[0][0];
                a[3] = position_q[1][0];
            }
            SAMC_UNROLL
            for (int i = 0; i < tiles; i += 2) {
                uint32_t b[4];
                ldmatrix_x4(b, my_positions + i * 8 * M::position_stride + kk * 32);
                mma_16816(s[i], a, b[0], b[1], s[i], T());
                mma_16816(s[i + 1], a, b[2], b[3], s[i + 1], T());
            }
        }
        if (key0 + kImageTile > last) {
            SAMC_UNROLL
            for (int i = 0; i < tiles; i++) {
                SAMC_UNROLL
                for (int e = 0; e < 4; e++)
                    if (key0 + i * 8 + again % 4 * 2 + e % 2 >= last) s[i][e] = -INFINITY;
            }
        }

        // As in attention_step: the maximum moves, and everything is rescaled, when some row of the warp grew by 2^8.
        float most[2];
        SAMC_UNROLL
        for (int r = 0; r < 2; r++) {
            most[r] = fmaxf(s[0][2 * r], s[0][2 * r + 1]);
            SAMC_UNROLL
            for (int i = 1; i < tiles; i++) most[r] = fmaxf(most[r], fmaxf(s[i][2 * r], s[i][2 * r + 1]));
        }
        if (any(most[0] > largest[0] + kLazyGrowth || most[1] > largest[1] + kLazyGrowth)) {
            SAMC_UNROLL
            for (int r = 0; r < 2; r++) {
                float now = fmaxf(largest[r], most[r]);
                now = fmaxf(now, shuffle_xor(now, 1)); // the four lanes of a row
                now = fmaxf(now, shuffle_xor(now, 2));
                const float shrink = exp2_fast(largest[r] - now);
                largest[r] = now;
                sum[r] *= shrink;
                SAMC_UNROLL
                for (int i = 0; i < C / 8; i++) {
                    out[i][2 * r] *= shrink;
                    out[i][2 * r + 1] *= shrink;
                }
            }
        }
        SAMC_UNROLL
        for (int kk = 0; kk < tiles / 2;
             kk++) { // 16 keys: two n8 tiles of scores are one k16 fragment of probabilities
            uint32_t p[4];
            SAMC_UNROLL
            for (int half = 0; half < 2; half++) {
                float e[4];
                SAMC_UNROLL
                for (int i = 0; i < 4; i++) e[i] = exp2_fast(s[2 * kk + half][i] - largest[i / 2]);
                sum[0] += e[0] + e[1];
                sum[1] += e[2] + e[3];
                p[2 * half] = pack2(e[0], e[1], T());
                p[2 * half + 1] = pack2(e[2], e[3], T());
            }
            SAMC_UNROLL
            for (int i = 0; i < C / 8; i += 2) {
                uint32_t b[4];
                ldmatrix_x4_trans(b, my_keys + kk * 16 * M::stride + i * 16);
                mma_16816(out[i], p, b[0], b[2], out[i], T());
                mma_16816(out[i + 1], p, b[1], b[3], out[i + 1], T());
            }
        }
    }
    const int again = thread_again(), my_token = token0 + again % 32 / 4, t = again % 4;
    SAMC_UNROLL
    for (int r = 0; r < 2; r++) {
        sum[r] += shuffle_xor(sum[r], 1);
        sum[r] += shuffle_xor(sum[r], 2);
        if (my_token >= tokens) continue;
        const int64_t at =
            ((static_cast<int64_t>(prompt) * tokens + my_token) * 8 + again / 32 * 2 + r) * gridDim.y + blockIdx.y;
        const float factor =
            sum[r] == 0.0f ? 1.0f : reciprocal_fast(sum[r]); // all scores -infinity: a part without weight
        SAMC_UNROLL
        for (int i = 0; i < C / 8; i++)
            store2(part + at * C + 8 * i + 2 * t, {out[i][2 * r] * factor, out[i][2 * r + 1] * factor});
        if (t == 0) store2(level + at * 2, {largest[r], sum[r]});
    }
}

// ---- attention with plain products: f32, and any other shape ------------------------------------

// One row: a head of a token; every fourth key of a segment for each warp, which leaves a part of its own. grid.x: rows
// * heads, grid.y: segments. folded [rows, heads, C]; key_pe [N, C]; part [rows * heads, 4 segments, C], level [rows *
// heads, 4 segments, 2].
template <class T>
SAMC_KERNEL(kImageThreads, 2)
token_to_image_plain(const float *folded, const T *keys, const T *key_pe, T *part, float *level, int n, int c,
                     int64_t rows_per_entry) {
    SAMC_SHARED(shared);
    const int warp = static_cast<int>(threadIdx.x) / 32, lane = static_cast<int>(threadIdx.x) % 32;
    float *out = reinterpret_cast<float *>(shared) + warp * c; // a lane reads and writes its own channels only
    const float *f = folded + static_cast<int64_t>(blockIdx.x) * c;
    const T *entry = keys + blockIdx.x / rows_per_entry * n * c;
    const int first = static_cast<int>(blockIdx.y) * kSegmentKeys, last = min_of(first + kSegmentKeys, n);
    float largest = kNever, sum = 0.0f;
    for (int i = lane; i < c; i += 32) out[i] = 0.0f;
    for (int key = first + warp; key < last; key += 4) {
        const T *x = entry + static_cast<int64_t>(key) * c, *pe = key_pe + static_cast<int64_t>(key) * c;
        float score = 0.0f;
        for (int i = lane; i < c; i += 32) score = fmaf(to_float(x[i]) + to_float(pe[i]), f[i], score);
        score = warp_sum(score);
        const float now = fmaxf(largest, score), shrink = exp2_fast(largest - now), p = exp2_fast(score - now);
        largest = now;
        sum = sum * shrink + p;
        for (int i = lane; i < c; i += 32) out[i] = out[i] * shrink + p * to_float(x[i]);
    }
    const int64_t at = (static_cast<int64_t>(blockIdx.x) * gridDim.y + blockIdx.y) * 4 + warp;
    for (int i = lane; i < c; i += 32) store(part + at * c + i, sum == 0.0f ? out[i] : out[i] / sum); // as in attend
    if (lane == 0) store2(level + at * 2, {largest, sum});
}

// ---- merge, value and output projections, residual, norm ----------------------------------------

constexpr int kMergeChannels = 32, kMergeStride = kMergeChannels + 4, kMergeOutputs = kTokenThreads / 2;

// part, level: `parts` of each row and head; wv [inner, C], wout [C, inner]; bv [inner], bout [C] or NULL; queries
// [rows, C] in and out.
template <class T>
SAMC_KERNEL(kTokenThreads, 2)
token_to_image_merge(const T *part, const float *level, int parts, const T *wv, const float *bv, const T *wout,
                     const float *bout, const float *gain, const float *bias, float eps, float *queries, int64_t rows,
                     int c, int inner, int heads) {
    SAMC_SHARED(shared);
    float *weight = reinterpret_cast<float *>(shared);                // [16][heads][parts]
    float *chunk = weight + (kTokenRows * heads * parts + 3) / 4 * 4; // [heads][16][kMergeStride]
    float *x = chunk + heads * kTokenRows * kMergeStride;             // [16][inner]
    float *y = x + kTokenRows * row_floats(inner);                    // [16][C]
    constexpr int quads = kMergeChannels / 4;                         // of channels, which are whole fours
    const int thread = static_cast<int>(threadIdx.x), hd = inner / heads;
    const int64_t first = static_cast<int64_t>(blockIdx.x) * kTokenRows;
    for (int i = thread; i < kTokenRows * heads; i += kTokenThreads) {
        float most = kNever, sum = 0.0f;
        const bool real = first + i / heads < rows;
        const float *of = level + (first * heads + i) * parts * 2;
        for (int s = 0; s < parts && real; s++) most = fmaxf(most, of[2 * s]);
        for (int s = 0; s < parts; s++) {
            weight[i * parts + s] = real ? exp2_fast(of[2 * s] - most) * of[2 * s + 1] : 0.0f;
            sum += weight[i * parts + s];
        }
        for (int s = 0; s < parts && real; s++) weight[i * parts + s] /= sum;
    }
    for (int n0 = 0; n0 < inner; n0 += kMergeOutputs) {
        const int output = n0 + thread / 2, row0 = thread % 2 * 8; // a thread: one output of 8 rows
        float sum[8] = {0.0f, 0.0f, 0.0f, 0.0f, 0.0f, 0.0f, 0.0f, 0.0f};
        for (int c0 = 0; c0 < c; c0 += kMergeChannels) {
            __syncthreads(); // weights are there; everyone has left the last chunk
            for (int i = thread; i < heads * kTokenRows * quads; i += kTokenThreads) {
                const int row = i / (heads * quads), head = i / quads % heads, at = i % quads * 4;
                f32x4 v = {0.0f, 0.0f, 0.0f, 0.0f};
                if (c0 + at < c && first + row < rows) {
                    const T *from = part + ((first + row) * heads + head) * parts * c + c0 + at;
                    for (int s = 0; s < parts; s++) {
                        const float factor = weight[(row * heads + head) * parts + s];
                        const f32x4 u = load4(from + static_cast<int64_t>(s) * c);
                        v = {fmaf(factor, u.x, v.x), fmaf(factor, u.y, v.y), fmaf(factor, u.z, v.z),
                             fmaf(factor, u.w, v.w)};
                    }
                }
                store4(chunk + (head * kTokenRows + row) * kMergeStride + at, v);
            }
            __syncthreads(); // the chunk is there
            if (output >= inner) continue;
            const float *from = chunk + (output / hd * kTokenRows + row0) * kMergeStride;
            const T *w = wv + static_cast<int64_t>(output) * c + c0;
            for (int k = 0; k < min_of(kMergeChannels, c - c0); k += 4) {
                f32x4 v = load4(w + k);
                SAMC_UNROLL
                for (int r = 0; r < 8; r++) {
                    f32x4 u = load4(from + r * kMergeStride + k);
                    sum[r] = fmaf(u.x, v.x, fmaf(u.y, v.y, fmaf(u.z, v.z, fmaf(u.w, v.w, sum[r]))));
                }
            }
        }
        if (output >= inner) continue;
        SAMC_UNROLL
        for (int r = 0; r < 8; r++)
            x[(row0 + r) * row_floats(inner) + output] = sum[r] + (bv == nullptr ? 0.0f : bv[output]);
    }
    __syncthreads(); // the heads' outputs are there
    project(x, inner, wout, bout, c, [&](int row, int i, float v) {
        y[row * row_floats(c) + i] = v + (first + row < rows ? queries[(first + row) * c + i] : 0.0f);
    });
    __syncthreads(); // so are the sums
    for (int row = thread / 32; row < kTokenRows; row += kTokenThreads / 32)
        if (first + row < rows)
            normalise_row(y + row * row_floats(c), c, gain, bias, eps,
                          [&](int i, float v) { queries[(first + row) * c + i] = v; });
}

// ---- host ---------------------------------------------------------------------------------------

namespace {

struct ImagePlan {
    bool tensor;
    int64_t prompts, tokens, c, n, inner, heads, rows, groups, segments, parts;
    size_t folded, q, positions, part, level, bytes; // offsets in scratch, and its size
};

ImagePlan plan_of(const samc__token_to_image_args *a) {
    ImagePlan p = {};
    p.tensor = samc__token_to_image_cuda_kernel(a) == SAMC__CROSS_TENSOR;
    p.prompts = a->queries.n[0], p.tokens = a->queries.n[1], p.c = a->queries.n[2], p.n = a->keys.n[1];
    p.inner = a->attention.q.w.n[0], p.heads = a->attention.heads;
    p.rows = p.prompts * p.tokens, p.groups = (p.tokens + kGroupTokens - 1) / kGroupTokens;
    p.segments = (p.n + kSegmentKeys - 1) / kSegmentKeys, p.parts = p.tensor ? p.segments : 4 * p.segments;
    const size_t element = samc__dtype_size(a->keys.dtype);
    const int64_t left = p.rows * p.heads;
    p.q = p.tensor ? scratch_part(p.prompts * p.groups * kGroupTokens * p.heads * p.c, element)
                   : scratch_part(left * p.c, sizeof(float));
    p.positions = p.q + (p.tensor ? scratch_part(p.rows * p.inner, element) : 0);
    p.part = p.positions + (p.tensor ? scratch_part(p.n * p.inner, element) : 0);
    p.level = p.part + scratch_part(left * p.parts * p.c, element);
    p.bytes = p.level + scratch_part(left * p.parts * 2, sizeof(float));
    return p;
}

size_t fold_shared(const ImagePlan &p) {
    return sizeof(float) *
           static_cast<size_t>(kTokenRows * row_floats(static_cast<int>(p.c)) + p.inner * kColumnFloats);
}
size_t merge_shared(const ImagePlan &p) {
    const int64_t floats = (kTokenRows * p.heads * p.parts + 3) / 4 * 4 + p.heads * kTokenRows * kMergeStride +
                           kTokenRows * (row_floats(static_cast<int>(p.inner)) + row_floats(static_cast<int>(p.c)));
    return sizeof(float) * static_cast<size_t>(floats);
}

template <class T, int C, int hd>
const char *run_attend(const samc__cuda *cuda, const samc__token_to_image_args *a, const ImagePlan &p, const T *q,
                       const T *positions, T *part, float *level) {
    Grid blocks = {static_cast<unsigned>(p.prompts * p.groups), static_cast<unsigned>(p.segments), 1};
    return launch("token_to_image_attend", token_to_image_attend<T, C, hd>, blocks, kImageThreads,
                  ImageMemory<C, hd>::bytes, cuda->stream, static_cast<const uint32_t *>(cuda->scratch), q,
                  static_cast<const T *>(a->keys.data), positions, part, level, static_cast<int>(p.tokens),
                  static_cast<int>(p.groups), static_cast<int>(p.n), static_cast<int>(p.prompts / a->keys.n[0]));
}

template <class T> const char *run(const samc__cuda *cuda, const samc__token_to_image_args *a, const ImagePlan &p) {
    char *scratch = static_cast<char *>(cuda->scratch);
    T *q = reinterpret_cast<T *>(scratch + p.q), *positions = reinterpret_cast<T *>(scratch + p.positions);
    T *part = reinterpret_cast<T *>(scratch + p.part);
    float *level = reinterpret_cast<float *>(scratch + p.level), *queries = static_cast<float *>(a->queries.data);
    const samc__attention &w = a->attention;
    auto weights = [](const samc__projection &of) { return static_cast<const T *>(of.w.data); };
    auto bias = [](const samc__view &of) { return static_cast<const float *>(of.data); };
    const int c = static_cast<int>(p.c), inner = static_cast<int>(p.inner), heads = static_cast<int>(p.heads),
              n = static_cast<int>(p.n);
    const Grid row_blocks = {static_cast<unsigned>((p.rows + kTokenRows - 1) / kTokenRows), 1, 1};
    const char *problem =
        launch("token_to_image_fold", p.tensor ? token_to_image_fold<T, sizeof(T) == 2> : token_to_image_fold<T, false>,
               row_blocks, kTokenThreads, fold_shared(p), cuda->stream, queries, static_cast<const float *>(a->pe.data),
               weights(w.q), bias(w.q.b), weights(w.k), bias(w.k.b), cuda->scratch, q, p.rows,
               static_cast<int>(p.tokens), c, inner, heads, scale_log2e(inner / heads));
    if (problem != nullptr) return problem;
    if (p.tensor) {
        if constexpr (sizeof(T) == 2) {
            const Grid key_blocks = {static_cast<unsigned>((p.n + kTokenRows - 1) / kTokenRows), 1, 1};
            problem = launch("token_to_image_positions", token_to_image_positions<T>, key_blocks, kTokenThreads,
                             sizeof(float) * static_cast<size_t>(kTokenRows * row_floats(c)), cuda->stream,
                             static_cast<const T *>(a->key_pe.data), weights(w.k), positions, n, c, inner);
            if (problem == nullptr)
                problem = c == 256 ? run_attend<T, 256, 16>(cuda, a, p, q, positions, part, level)
                                   : run_attend<T, 128, 8>(cuda, a, p, q, positions, part, level);
        }
    } else {
        problem = launch("token_to_image_plain", token_to_image_plain<T>,
                         Grid{static_cast<unsigned>(p.rows * p.heads), static_cast<unsigned>(p.segments), 1},
                         kImageThreads, sizeof(float) * static_cast<size_t>(4 * c), cuda->stream,
                         static_cast<const float *>(cuda->scratch), static_cast<const T *>(a->keys.data),
                         static_cast<const T *>(a->key_pe.data), part, level, n, c, p.rows / a->keys.n[0] * p.heads);
    }
    if (problem != nullptr) return problem;
    return launch("token_to_image_merge", token_to_image_merge<T>, row_blocks, kTokenThreads, merge_shared(p),
                  cuda->stream, static_cast<const T *>(part), static_cast<const float *>(level),
                  static_cast<int>(p.parts), weights(w.v), bias(w.v.b), weights(w.out), bias(w.out.b), bias(a->norm.g),
                  bias(a->norm.b), a->norm.eps, queries, p.rows, c, inner, heads);
}

} // namespace

} // namespace samc

extern "C" samc__cross_kernel samc__token_to_image_cuda_kernel(const samc__token_to_image_args *a) {
    const int64_t c = a->queries.n[2], inner = a->attention.q.w.n[0];
    const bool fits = a->attention.heads == 8 && ((c == 256 && inner == 128) || (c == 128 && inner == 64));
    return a->keys.dtype != SAMC__F32 && fits ? SAMC__CROSS_TENSOR : SAMC__CROSS_GENERAL;
}

extern "C" size_t samc__token_to_image_cuda_scratch(const samc__token_to_image_args *a) {
    return samc::plan_of(a).bytes;
}

extern "C" samc_status samc__token_to_image_cuda(const samc__cuda *cuda, const samc__token_to_image_args *a) {
    using namespace samc;
    const samc__dtype type = a->keys.dtype;
    SAMC_REQUIRE("token_to_image",
                 a->queries.dtype == SAMC__F32 && a->pe.dtype == SAMC__F32 && a->key_pe.dtype == type);
    SAMC_REQUIRE("token_to_image", attention_has(a->attention, type) && norm_is_float(a->norm));
    SAMC_REQUIRE("token_to_image", a->queries.n[2] % 4 == 0 && a->queries.n[0] % a->keys.n[0] == 0);
    SAMC_REQUIRE("token_to_image", aligned16(a->keys.data) && aligned16(a->key_pe.data) && aligned16(cuda->scratch));
    const ImagePlan p = plan_of(a);
    SAMC_REQUIRE("token_to_image", cuda->scratch != nullptr && cuda->scratch_bytes >= p.bytes);
    SAMC_REQUIRE("token_to_image", p.rows * p.heads <= INT32_MAX && p.prompts * p.groups <= INT32_MAX &&
                                       p.segments <= 65535 && p.n * p.c <= INT32_MAX);
    SAMC_REQUIRE("token_to_image", merge_shared(p) <= samc__shared_limit(cuda->capability) &&
                                       fold_shared(p) <= samc__shared_limit(cuda->capability));
    const char *problem = type == SAMC__F32   ? run<float>(cuda, a, p)
                          : type == SAMC__F16 ? run<f16>(cuda, a, p)
                                              : run<bf16>(cuda, a, p);
    return started(cuda, "token_to_image", problem);
}
