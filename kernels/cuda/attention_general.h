// attention_general.h - attention with decomposed relative position for any dtype and shape, by plain fp32
// multiply-adds.
//
// The kernel for f32 (checking) and for shapes that the tensor-core kernels do not know: correct rather than fast.
// Flash style: a block is 16 queries of one window (or of the grid) and one head, keys pass by in tiles of 32 through
// shared memory, one key for each lane. Scores, softmax and sums are fp32 with the accurate exp, rounded once, when y
// is stored.
#ifndef SAMC_KERNELS_CUDA_ATTENTION_GENERAL_H
#define SAMC_KERNELS_CUDA_ATTENTION_GENERAL_H

#include "kernels/cuda/device.h"

namespace samc {

constexpr int kGeneralWarps = 4, kGeneralThreads = kGeneralWarps * 32;
constexpr int kGeneralWarpQueries = 4, kGeneralQueries = kGeneralWarps * kGeneralWarpQueries, kGeneralKeys = 32;

// Shared memory, in floats. Rows of keys are hd + 1 apart where hd is even: lanes then read different banks.
struct GeneralMemory {
    int key_stride, q, k, v, out, rel_h, rel_w, p, end;
};
SAMC_CONSTEXPR GeneralMemory general_memory(int hd, int side) {
    GeneralMemory m = {};
    m.key_stride = hd | 1;
    m.k = kGeneralQueries * hd;                 // after q [queries][hd]
    m.v = m.k + kGeneralKeys * m.key_stride;    // [keys][hd]
    m.out = m.v + kGeneralKeys * hd;            // [queries][hd]
    m.rel_h = m.out + kGeneralQueries * hd;     // [queries][side]
    m.rel_w = m.rel_h + kGeneralQueries * side; // [queries][side]
    m.p = m.rel_w + kGeneralQueries * side;     // [queries][keys]
    m.end = m.p + kGeneralQueries * kGeneralKeys;
    return m;
}
constexpr size_t general_bytes(int hd, int side) {
    return static_cast<size_t>(general_memory(hd, side).end) * sizeof(float);
}
constexpr size_t kMostShared =
    99 << 10; // of one block, on every architecture from sm_80 on: hd 192 with side 64, hd 80 with side 400

// Where q, k and v lie in a token's row: part p of head h at p * part + h * head.
struct GeneralLayout {
    int part, head;
};

// qkv [images, grid * grid, 3 * heads * hd], pad: [3 * heads * hd] or NULL for zeros, table_h and table_w [2 side - 1,
// hd] or NULL, table [heads, side, side] or NULL, y [images, grid * grid, heads, hd]. `pooled`: queries as y, each of 2
// x 2 tokens, or NULL. grid.x: blocks of queries, window by window; grid.y: heads; grid.z: images.
template <class T>
SAMC_KERNEL(kGeneralThreads, 2)
attention_general(const T *qkv, const T *pooled, const T *pad, GeneralLayout layout, const T *table_h, const T *table_w,
                  const float *table, T *y, int heads, int hd, int grid, int side, float scale) {
    SAMC_SHARED(shared);
    const GeneralMemory m = general_memory(hd, side);
    float *all = reinterpret_cast<float *>(shared);
    float *q = all + m.q, *k = all + m.k, *v = all + m.v, *out = all + m.out, *rel_h = all + m.rel_h,
          *rel_w = all + m.rel_w;
    const int thread = static_cast<int>(threadIdx.x), warp = thread / 32, lane = thread % 32;
    const int pool = pooled == nullptr ? 1 : 2, rows = side / pool; // queries of a window along an axis
    const int blocks_per_window = (rows * rows + kGeneralQueries - 1) / kGeneralQueries,
              windows = (grid + side - 1) / side;
    const int window = static_cast<int>(blockIdx.x) / blocks_per_window;
    const int x0 = window % windows * side, y0 = window / windows * side, width = min_of(side, grid - x0) / pool,
              height = min_of(side, grid - y0) / pool;
    const int first_query = static_cast<int>(blockIdx.x) % blocks_per_window * kGeneralQueries,
              queries = width * height;
    if (first_query >= queries) return; // a window of the edge has fewer
    const int keys = side * side;
    const int64_t row = static_cast<int64_t>(heads) * hd, head = static_cast<int64_t>(blockIdx.y) * hd; // of y
    const int mine = static_cast<int>(blockIdx.y) * layout.head;                                        // of q, k and v
    const int64_t image = static_cast<int64_t>(blockIdx.z) * grid * grid;
    // The query's place in y.
    auto query_token = [&](int query) {
        const int across = grid / pool;
        return (static_cast<int64_t>(blockIdx.z) * across + y0 / pool + query / width) * across + x0 / pool +
               query % width;
    };

    // The token's q, k or v (part 0, 1, 2) of this head; beyond the grid's edge the bias.
    auto element = [&](int ty, int tx, int part, int c) {
        if (ty < grid && tx < grid)
            return to_float(
                qkv[(image + static_cast<int64_t>(ty) * grid + tx) * 3 * row + part * layout.part + mine + c]);
        return pad == nullptr ? 0.0f : to_float(pad[part * layout.part + mine + c]);
    };
    for (int i = thread; i < kGeneralQueries * hd;
         i += kGeneralThreads) { // beyond the last query: the last one again, not stored
        int query = min_of(first_query + i / hd, queries - 1);
        q[i] = pooled == nullptr ? element(y0 + query / width, x0 + query % width, 0, i % hd)
                                 : to_float(pooled[query_token(query) * row + head + i % hd]);
        out[i] = 0.0f;
    }
    __syncthreads(); // q has arrived for everyone
    for (int i = thread; i < kGeneralQueries * side; i += kGeneralThreads) {
        int query = min_of(first_query + i / side, queries - 1), at = i % side;
        const float *mine = q + i / side * hd;
        float up = 0.0f, across = 0.0f;
        if (table_h != nullptr) {
            const T *row_h = table_h + static_cast<int64_t>(query / width - at + side - 1) * hd;
            const T *row_w = table_w + static_cast<int64_t>(query % width - at + side - 1) * hd;
            for (int c = 0; c < hd; c++) {
                up = fmaf(mine[c], to_float(row_h[c]), up);
                across = fmaf(mine[c], to_float(row_w[c]), across);
            }
        }
        rel_h[i] = up;
        rel_w[i] = across;
    }

    const int own = warp * kGeneralWarpQueries; // this warp's first query
    if (table != nullptr) table += static_cast<int64_t>(blockIdx.y) * side * side;
    float *p = all + m.p + own * kGeneralKeys;
    float max[kGeneralWarpQueries], sum[kGeneralWarpQueries]; // sum: over this lane's keys only
    SAMC_UNROLL
    for (int i = 0; i < kGeneralWarpQueries; i++) {
        max[i] = kNever;
        sum[i] = 0.0f;
    }
    for (int tile = 0; tile < keys; tile += kGeneralKeys) {
        __syncthreads(); // everyone has left the previous tile; the first time: the relative terms are there
        for (int i = thread; i < kGeneralKeys * hd; i += kGeneralThreads) {
            int key = min_of(tile + i / hd, keys - 1), c = i % hd; // beyond the last key: finite, and its p is 0
            k[i / hd * m.key_stride + c] = element(y0 + key / side, x0 + key % side, 1, c);
            v[i] = element(y0 + key / side, x0 + key % side, 2, c);
        }
        __syncthreads(); // the tile has arrived for everyone

        float s[kGeneralWarpQueries];
        SAMC_UNROLL
        for (int i = 0; i < kGeneralWarpQueries; i++) s[i] = 0.0f;
        for (int c0 = 0; c0 < hd; c0 += 8) { // sums of 8 products each, added up: rounds less than one long sum
            float part[kGeneralWarpQueries] = {};
            for (int c = c0; c < min_of(c0 + 8, hd); c++) {
                float key = k[lane * m.key_stride + c];
                SAMC_UNROLL
                for (int i = 0; i < kGeneralWarpQueries; i++) part[i] = fmaf(q[(own + i) * hd + c], key, part[i]);
            }
            SAMC_UNROLL
            for (int i = 0; i < kGeneralWarpQueries; i++) s[i] += part[i];
        }
        const int my_key = tile + lane;
        float shrink[kGeneralWarpQueries];
        SAMC_UNROLL
        for (int i = 0; i < kGeneralWarpQueries; i++) {
            const int at = (own + i) * side;
            s[i] = my_key < keys ? fmaf(s[i], scale, rel_h[at + my_key / side] + rel_w[at + my_key % side]) : -INFINITY;
            if (table != nullptr && my_key < keys) {
                const int query = min_of(first_query + own + i, queries - 1), dy = query / width - my_key / side,
                          dx = query % width - my_key % side;
                s[i] += table[(dy < 0 ? -dy : dy) * side + (dx < 0 ? -dx : dx)];
            }
            shrink[i] = 1.0f;
            if (any(s[i] > max[i])) { // the same answer in every lane
                float most = fmaxf(max[i], s[i]);
                SAMC_UNROLL
                for (int lanes = 16; lanes > 0; lanes /= 2) most = fmaxf(most, shuffle_xor(most, lanes));
                shrink[i] = expf(max[i] - most);
                sum[i] *= shrink[i];
                max[i] = most;
            }
            float e = expf(s[i] - max[i]);
            sum[i] += e;
            p[i * kGeneralKeys + lane] = e;
        }
        sync_warp(); // p was written by the whole warp
        for (int c = lane; c < hd; c += 32) {
            float add[kGeneralWarpQueries];
            SAMC_UNROLL
            for (int i = 0; i < kGeneralWarpQueries; i++) add[i] = 0.0f;
            for (int key = 0; key < kGeneralKeys; key++) {
                float value = v[key * hd + c];
                SAMC_UNROLL
                for (int i = 0; i < kGeneralWarpQueries; i++) add[i] = fmaf(p[i * kGeneralKeys + key], value, add[i]);
            }
            SAMC_UNROLL
            for (int i = 0; i < kGeneralWarpQueries; i++)
                out[(own + i) * hd + c] = fmaf(out[(own + i) * hd + c], shrink[i], add[i]);
        }
    }
    SAMC_UNROLL
    for (int i = 0; i < kGeneralWarpQueries; i++) {
        int query = first_query + own + i;
        float total = warp_sum(sum[i]);
        if (query >= queries) continue;
        T *to = y + query_token(query) * row + head;
        for (int c = lane; c < hd; c += 32) store(to + c, out[(own + i) * hd + c] / total); // its own columns
    }
}

} // namespace samc

#endif
