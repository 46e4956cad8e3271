// attention_bare.h - attention that adds nothing to its scores, on tensor cores: windows of any side, global, queries
// of their own for 2 x 2 tokens.
//
// One block is 64 queries of one window (or of the grid) and one head, 16 for each warp; keys pass by in tiles of 64
// through two buffers and meet the queries 32 at a time (attention_step.h, whose columns' term is 0 or, beyond the last
// key, -infinity). Head widths that are no multiple of 16 have zeros behind them in shared memory.
#ifndef SAMC_KERNELS_CUDA_ATTENTION_BARE_H
#define SAMC_KERNELS_CUDA_ATTENTION_BARE_H

#include "kernels/cuda/attention_step.h"

namespace samc {

constexpr int kBareWarps = 4, kBareThreads = kBareWarps * 32, kBareQueries = kBareWarps * 16, kBareKeys = 64;

// Shared memory: rows' terms, all 0, then K and V of a tile, and those of the next where there is one.
template <int hd> struct BareMemory {
    static constexpr int padded = (hd + 15) / 16 * 16, tile = kBareKeys * row_bytes(padded);
    static constexpr int k = 16 * static_cast<int>(sizeof(float)), v = k + tile, buffer = 2 * tile;
    SAMC_CONSTEXPR size_t bytes(int keys) { return static_cast<size_t>(k + (keys > kBareKeys ? 2 : 1) * buffer); }
};

// qkv [images, grid * grid, 3, heads, hd], pooled as y or NULL, pad: [3, heads, hd] or NULL for zeros. grid.x: blocks
// of queries, window by window; grid.y: heads; grid.z: images.
template <class T, int hd>
SAMC_KERNEL(kBareThreads, 3)
attention_bare(const T *qkv, const T *pooled, const T *pad, T *y, int heads, int grid, int side, float scale_log2e) {
    using M = BareMemory<hd>;
    using S = Shape<T, M::padded, kStepTiles, kStepKeys, 1>;
    constexpr int stride = S::stride;
    SAMC_SHARED(shared);
    const int pool = pooled == nullptr ? 1 : 2, rows = side / pool; // queries of a window along an axis
    const int blocks_per_window = (rows * rows + kBareQueries - 1) / kBareQueries, windows = (grid + side - 1) / side;
    const int window = static_cast<int>(blockIdx.x) / blocks_per_window;
    const int x0 = window % windows * side, y0 = window / windows * side, width = min_of(side, grid - x0) / pool,
              queries = width * (min_of(side, grid - y0) / pool);
    const int first_query = static_cast<int>(blockIdx.x) % blocks_per_window * kBareQueries, keys = side * side;
    if (first_query >= queries) return; // a window of the edge has fewer
    const int thread = static_cast<int>(threadIdx.x), warp = thread / 32, lane = thread % 32, g = lane / 4;
    const int own = first_query + warp * 16; // this warp's first query; it may have none
    const size_t part_bytes = static_cast<size_t>(heads) * hd * 2, token_bytes = 3 * part_bytes;
    const char *head = reinterpret_cast<const char *>(qkv) +
                       static_cast<size_t>(blockIdx.z) * grid * grid * token_bytes + blockIdx.y * (hd * 2);
    const char *pad_head = pad == nullptr ? nullptr : reinterpret_cast<const char *>(pad) + blockIdx.y * (hd * 2);

    // Two threads for each key; beyond the grid's edge it is the bias, beyond the last key zeros.
    auto load_tile = [&](int tile) {
        const int row = thread / 2, key = tile * kBareKeys + row, ky = y0 + key / side, kx = x0 + key % side;
        const char *from =
            ky < grid && kx < grid ? head + (static_cast<size_t>(ky) * grid + kx) * token_bytes : pad_head;
        const bool real = key < keys && from != nullptr;
        char *to = shared + M::k + tile % 2 * M::buffer + row * stride;
        SAMC_UNROLL
        for (int step = 0; step < (M::padded / 8 + 1) / 2; step++) {
            const int chunk = step * 2 + thread % 2;
            if (chunk >= M::padded / 8) break;
            const bool good = real && chunk < hd / 8;
            copy_async16(to + chunk * 16, good ? from + part_bytes + chunk * 16 : head, good);
            copy_async16(to + M::tile + chunk * 16, good ? from + 2 * part_bytes + chunk * 16 : head, good);
        }
        copy_commit();
    };
    // The query's place in y, in tokens.
    auto query_token = [&](int query) {
        const int across = grid / pool;
        return (static_cast<size_t>(blockIdx.z) * across + y0 / pool + query / width) * across + x0 / pool +
               query % width;
    };

    if (thread < 16) reinterpret_cast<float *>(shared)[thread] = 0.0f;
    load_tile(0);
    Rows<S> w;
    rows_start(w);
    SAMC_UNROLL
    for (int i = 0; i < 2; i++) { // rows g and g + 8; beyond the last query: the last one again, not stored
        const int query = min_of(own + i * 8 + g, queries - 1);
        const char *q =
            pooled == nullptr
                ? head + ((static_cast<size_t>(y0 + query / width)) * grid + x0 + query % width) * token_bytes
                : reinterpret_cast<const char *>(pooled) + query_token(query) * part_bytes + blockIdx.y * (hd * 2);
        SAMC_UNROLL
        for (int kk = 0; kk < M::padded / 16; kk++) {
            SAMC_UNROLL
            for (int half = 0; half < 2; half++)
                w.q[0][kk][i + 2 * half] =
                    kk * 2 + half < hd / 8 ? *reinterpret_cast<const uint32_t *>(q + kk * 32 + half * 16 + lane % 4 * 4)
                                           : 0u;
        }
    }
    SAMC_UNROLL
    for (int n = 0; n < kStepTiles; n++) {
        SAMC_UNROLL
        for (int i = 0; i < 4; i++) w.rel_w[0][n][i] = 0.0f;
    }
    const float *zeros = reinterpret_cast<const float *>(shared) + g * 2;
    const int tiles = (keys + kBareKeys - 1) / kBareKeys;
    SAMC_NO_UNROLL
    for (int tile = 0; tile < tiles; tile++) {
        copy_wait<0>();
        __syncthreads(); // this tile has arrived for everyone, and everyone has left the one whose buffer comes next
        if (tile + 1 < tiles) load_tile(tile + 1);
        if (own >= queries) continue;
        const char *my_k = shared + M::k + tile % 2 * M::buffer + lane_offset_b(lane, stride);
        SAMC_NO_UNROLL
        for (int left = keys - tile * kBareKeys, step = 0; step < kBareKeys && left > 0;
             step += kStepKeys, left -= kStepKeys) {
            if (left < kStepKeys) { // the last step of all
                SAMC_UNROLL
                for (int n = 0; n < kStepTiles; n++) {
                    SAMC_UNROLL
                    for (int i = 0; i < 4; i++)
                        w.rel_w[0][n][i] = n * 8 + lane % 4 * 2 + i % 2 < left ? 0.0f : -INFINITY;
                }
            }
            attention_step<S, 0>(w, my_k + step * stride, my_k + M::tile + step * stride, zeros, 0, scale_log2e);
        }
    }
    if (own >= queries) return;
    rows_finish(w);
    SAMC_UNROLL
    for (int i = 0; i < 2; i++) {
        const int query = own + i * 8 + g;
        if (query >= queries) continue;
        store_row<S, hd>(w, 0, i, y + (query_token(query) * heads + blockIdx.y) * hd, lane);
    }
}

} // namespace samc

#endif
