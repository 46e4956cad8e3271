// attention_relpos on the GPU: tensor-core attention with decomposed relative position, global and in windows.
//
// Key tiles are whole image rows: within one, rel_h is a number per query and rel_w the same vector for every row
// (cuda/attention_step.h). Both tables are multiplied on the tensor cores in the prologue, from buffers that the keys
// use later. Every shared-memory row has row_bytes(hd): ldmatrix without bank conflicts. qkv [images, grid * grid, 3,
// heads, hd]. Without any such term: cuda/attention_bare.h. Other dtypes and shapes: cuda/attention_general.h.
#include "kernels/cuda/attention_bare.h"
#include "kernels/cuda/attention_general.h"
#include "kernels/cuda/attention_step.h"
#include "kernels/cuda/wrapper.h"
#include "kernels/attention_relpos/attention_relpos.h"
#include "kernels/attention_relpos/cuda.h"

namespace samc {

// ---- global: one block is 128 queries of one head; keys stream through two buffers of 64 --------

constexpr int kWarpQueries = 32, kGlobalWarps = 4, kGlobalThreads = kGlobalWarps * 32,
              kGlobalQueries = kGlobalWarps * kWarpQueries;
constexpr int kTileKeys = 64;

constexpr int largest_of(int a, int b, int c) { return a > b ? (a > c ? a : c) : (b > c ? b : c); }

// Shared memory: K0 K1 V0 V1 [64 rows each], then a part that is Q first, rel_w patches next, and the rel_h table at
// last.
//   prologue: K0 K1 hold rel_h's table, V0 V1 rel_w's (2 grid - 1 <= 128 rows)
template <int grid, int hd> struct GlobalMemory {
    static constexpr int tile = kTileKeys * row_bytes(hd);
    static constexpr int patch_stride = grid + 4; // floats; rel_w: [128 queries][grid]
    static constexpr int rel_h_stride =
        kGlobalQueries + 4; // floats; rel_h: [grid][128 queries], rows g and g + 8 side by side
    static constexpr int mixed = 4 * tile;
    static constexpr int bytes =
        mixed + largest_of(kGlobalQueries * row_bytes(hd), kGlobalQueries *patch_stride * 4, grid *rel_h_stride * 4);
    static_assert(2 * grid - 1 <= 2 * kTileKeys && grid % 16 == 0 && kTileKeys % grid == 0,
                  "tables fit the buffers; tiles are whole rows");
};

// grid.x: blocks of 128 queries, grid.y: heads, grid.z: images. scale_log2e: a parameter as it is used costs no
// register.
template <class T, int grid, int hd, bool ones>
SAMC_KERNEL(kGlobalThreads, 2)
attention_global(const T *qkv, const T *table_h, const T *table_w, T *y, int heads, float scale_log2e) {
    using S = Shape<T, hd, grid / 8, grid, 2, ones>;
    using M = GlobalMemory<grid, hd>;
    constexpr int stride = S::stride, chunks = hd / 8, tokens = grid * grid;
    SAMC_SHARED(shared);
    char *k = shared, *v = shared + 2 * M::tile;
    float *patches = reinterpret_cast<float *>(shared + M::mixed), *rel_h = patches;
    const int thread = static_cast<int>(threadIdx.x), warp = thread / 32, lane = thread % 32;
    const int first_query = static_cast<int>(blockIdx.x) * kGlobalQueries, warp_query = warp * kWarpQueries;
    const unsigned part_bytes = static_cast<unsigned>(heads) * hd * 2,
                   token_bytes = 3 * part_bytes; // from q to k to v; to the next token
    const char *head = reinterpret_cast<const char *>(qkv) + static_cast<size_t>(blockIdx.z) * tokens * token_bytes +
                       blockIdx.y * (hd * 2);

    for (int i = thread; i < kGlobalQueries * chunks; i += kGlobalThreads)
        copy_async16(shared + M::mixed + i / chunks * stride + i % chunks * 16,
                     head + (first_query + i / chunks) * token_bytes + i % chunks * 16, true);
    for (int i = thread; i < (2 * grid - 1) * chunks; i += kGlobalThreads) {
        copy_async16(k + i / chunks * stride + i % chunks * 16, reinterpret_cast<const char *>(table_h) + i * 16, true);
        copy_async16(v + i / chunks * stride + i % chunks * 16, reinterpret_cast<const char *>(table_w) + i * 16, true);
    }
    copy_commit();
    copy_wait<0>();
    __syncthreads(); // Q and tables have arrived for everyone

    Rows<S> w;
    rows_start(w);
    SAMC_UNROLL
    for (int tile = 0; tile < 2; tile++) {
        SAMC_UNROLL
        for (int kk = 0; kk < hd / 16; kk++)
            ldmatrix_x4(w.q[tile][kk],
                        shared + M::mixed + (warp_query + tile * 16) * stride + lane_offset_a(lane, stride) + kk * 32);
    }
    __syncthreads(); // everyone has its Q: the patches may overwrite it

    // rel_w: an m16 tile lies in one image row, so its 16 queries meet rows qx .. qx + 15 + grid of the table; the
    // product comes out skewed and is stored straight into a patch [16][grid].
    const int g = lane / 4, t = lane % 4 * 2;
    const float inverse = kLog2e * reciprocal_fast(scale_log2e); // 1 / scale
    SAMC_UNROLL
    for (int tile = 0; tile < 2; tile++) {
        const int row0 = warp_query + tile * 16, qx0 = (first_query + row0) % grid;
        float *patch = patches + row0 * M::patch_stride;
        for (int n = 0; n < grid + 16; n += 16) {
            float product[2][4];
            table_product<S>(product, w.q[tile], v + (qx0 + n) * stride + lane_offset_b(lane, stride));
            SAMC_UNROLL
            for (int e = 0; e < 8; e++) {
                int row = g + e % 4 / 2 * 8, x = row - (n + e / 4 * 8 + t + e % 2) + grid - 1; // of the key
                if (x >= 0 && x < grid) patch[row * M::patch_stride + x] = product[e / 4][e % 4] * inverse;
            }
        }
        sync_warp(); // the patch was written by the whole warp
        take_rel_w(w, tile, patch, M::patch_stride, lane, grid);
    }
    __syncthreads(); // rel_h overwrites the patches of other warps
    SAMC_UNROLL
    for (int tile = 0; tile < 2; tile++) {
        const int row0 = warp_query + tile * 16, qy = (first_query + row0) / grid;
        for (int n = 0; n < grid;
             n += 16) { // one image row of queries: rows qy .. qy + grid - 1 of the table, backwards
            float product[2][4];
            table_product<S>(product, w.q[tile], k + (qy + n) * stride + lane_offset_b(lane, stride));
            SAMC_UNROLL
            for (int e = 0; e < 8; e++) {
                int ky = grid - 1 - (n + e / 4 * 8 + t + e % 2);
                rel_h[ky * M::rel_h_stride + row0 + g * 2 + e % 4 / 2] = product[e / 4][e % 4] * kLog2e;
            }
        }
    }
    __syncthreads(); // the tables have been read: K and V may overwrite them

    // Each copy takes 8 lanes to a row of 8 chunks; rows of 10 chunks take 2 lanes at a time, 32 bytes, a whole sector
    // of L2.
    constexpr int row_lanes = chunks == 8 ? 8 : 2, rows_per_pass = kGlobalThreads / row_lanes;
    static_assert(chunks % row_lanes == 0 && kTileKeys % rows_per_pass == 0, "whole passes");
    const char *from = head + part_bytes + thread / row_lanes * token_bytes + thread % row_lanes * 16;
    auto load_tile = [&](int buffer) {
        const int again = thread_again(),
                  to = again / row_lanes * stride + again % row_lanes * 16; // not kept: no register to spare
        SAMC_UNROLL
        for (int row = 0; row < kTileKeys; row += rows_per_pass) {
            SAMC_UNROLL
            for (int chunk = 0; chunk < chunks; chunk += row_lanes) {
                copy_async16(k + to + buffer + row * stride + chunk * 16, from + chunk * 16, true);
                copy_async16(v + to + buffer + row * stride + chunk * 16, from + part_bytes + chunk * 16, true);
            }
            from += rows_per_pass * token_bytes; // step by step: multiples kept for later would cost registers
        }
        copy_commit();
    };
    int buffer = 0; // byte offset of the buffer in use
    load_tile(0);
    SAMC_NO_UNROLL
    for (int tile = 0; tile < tokens / kTileKeys; tile++) {
        copy_wait<0>();
        __syncthreads(); // this tile has arrived for everyone, and everyone has left the one whose buffer is filled
                         // next
        if (tile + 1 < tokens / kTileKeys) load_tile(buffer ^ M::tile);
        const int again = thread_again();
        const char *my_k = k + buffer + lane_offset_b(again % 32, stride), *my_v = my_k + 2 * M::tile;
        const float *my_rel_h =
            rel_h + tile * (kTileKeys / grid * M::rel_h_stride) + again / 32 * kWarpQueries + again % 32 / 4 * 2;
        attention_step<S, 0>(w, my_k, my_v, my_rel_h, M::rel_h_stride, scale_log2e);
        constexpr int second = kStepTiles % S::row_tiles; // grid 64: the other half of the row; grid 32: the next row
        constexpr int next_row = second ? 0 : S::step_rows;
        attention_step<S, second>(w, my_k + next_row * S::pitch * stride, my_v + next_row * S::pitch * stride,
                                  my_rel_h + next_row * M::rel_h_stride, M::rel_h_stride, scale_log2e);
        buffer ^= M::tile;
    }
    rows_finish(w);
    SAMC_UNROLL
    for (int row = 0; row < 4; row++) {
        size_t token = blockIdx.z * static_cast<size_t>(tokens) + first_query + warp_query + row * 8 + g;
        store_row(w, row / 2, row % 2, y + (token * heads + blockIdx.y) * hd, lane);
    }
}

// ---- windows: one block is one window of one head, all its keys in shared memory ----------------

// Shared memory: K, V [side * side rows, and what the last image row reads too far], the tables, and for each warp its
// rel_w patch, later its rel_h. ldmatrix reads tables by 16 rows: past rel_h's into rel_w's, past rel_w's into rows
// that exist for that.
template <int side, int hd, int m_tiles> struct WindowMemory {
    static constexpr int padded = (side + 7) / 8 * 8; // keys of an image row as the products see it
    static constexpr int warps = m_tiles == 1 ? (side + 1) / 2 : side > 8 ? 4 : 2, threads = warps * 32;
    static constexpr int rows = side * side + padded - side;
    static constexpr int v = rows * row_bytes(hd), table_h = 2 * v, table_w = table_h + (2 * side - 1) * row_bytes(hd);
    static constexpr int own = table_w + (2 * side - 1 + 15) / 16 * 16 * row_bytes(hd);
    static constexpr int patch_stride = padded + 4, rel_h_stride = m_tiles * 16; // floats
    static constexpr int own_bytes = largest_of(16 * patch_stride * 4, side *rel_h_stride * 4, 0);
    static constexpr int bytes = own + warps * own_bytes;
};

// grid.x: heads, grid.y: windows, grid.z: images. `pad`: the qkv bias, or NULL for zeros; full_windows: along one axis.
// ones, m_tiles: see Shape; with m_tiles 1 seven warps of 16 queries share a window of 14 instead of four of 32.
template <class T, int side, int hd, int m_tiles, bool ones>
SAMC_KERNEL((WindowMemory<side, hd, m_tiles>::threads), (side == 14 && hd == 80 ? 1 : 2))
attention_window(const T *qkv, const T *pad, const T *table_h, const T *table_w, T *y, int heads, int grid,
                 int full_windows, float scale_log2e) {
    using M = WindowMemory<side, hd, m_tiles>;
    using S = Shape<T, hd, M::padded / 8, side, m_tiles, ones>;
    constexpr int stride = S::stride, chunks = hd / 8;
    SAMC_SHARED(shared);
    // Full windows come first, the short ones of the right and lower edge last: they fill the last wave of blocks.
    const int window = static_cast<int>(blockIdx.y), edge = window - full_windows * full_windows;
    const int wx = edge < 0 ? window % full_windows : edge < full_windows ? full_windows : edge - full_windows;
    const int wy = edge < 0 ? window / full_windows : edge < full_windows ? edge : full_windows;
    const int x0 = wx * side, y0 = wy * side, width = min_of(side, grid - x0), height = min_of(side, grid - y0);
    const int queries = width * height,
              query_tiles = (queries + 15) / 16; // only real queries are computed, packed into m16 tiles
    const int thread = static_cast<int>(threadIdx.x), warp = thread / 32, lane = thread % 32, g = lane / 4,
              t = lane % 4 * 2;
    const size_t part_bytes = static_cast<size_t>(heads) * hd * 2, token_bytes = 3 * part_bytes;
    const char *head = reinterpret_cast<const char *>(qkv) +
                       static_cast<size_t>(blockIdx.z) * grid * grid * token_bytes + blockIdx.x * (hd * 2);
    const char *pad_head = pad == nullptr ? nullptr : reinterpret_cast<const char *>(pad) + blockIdx.x * (hd * 2);

    // Keys beyond the grid's edge are the bias; the rows after the last image row are zeros.
    auto load_part = [&](char *to, int part) {
        for (int i = thread; i < M::rows * chunks; i += M::threads) {
            int row = i / chunks, chunk = i % chunks, ky = y0 + row / side, kx = x0 + row % side;
            const char *from =
                ky < grid && kx < grid ? head + (static_cast<size_t>(ky) * grid + kx) * token_bytes : pad_head;
            bool real = row < side * side && from != nullptr;
            copy_async16(to + row * stride + chunk * 16, real ? from + part * part_bytes + chunk * 16 : head, real);
        }
    };
    load_part(shared, 1);
    for (int i = thread; i < (2 * side - 1) * chunks; i += M::threads) {
        copy_async16(shared + M::table_h + i / chunks * stride + i % chunks * 16,
                     reinterpret_cast<const char *>(table_h) + i * 16, true);
        copy_async16(shared + M::table_w + i / chunks * stride + i % chunks * 16,
                     reinterpret_cast<const char *>(table_w) + i * 16, true);
    }
    copy_commit();
    load_part(shared + M::v, 2);
    copy_commit();
    copy_wait<1>();
    __syncthreads(); // keys and tables have arrived for everyone; values not yet

    float *own = reinterpret_cast<float *>(shared + M::own + warp * M::own_bytes);
    const char *my_k = shared + lane_offset_b(lane, stride), *my_v = my_k + M::v;
    const float inverse = kLog2e * reciprocal_fast(scale_log2e); // 1 / scale
    bool values_arrived = false;
    int tile0 = warp * m_tiles; // this warp's first m16 tile
    do {
        Rows<S> w;
        if (tile0 < query_tiles) {
            rows_start(w);
            int qy[m_tiles][2],
                qx[m_tiles][2]; // of rows g and g + 8; beyond the last query: the last one again, not stored
            SAMC_UNROLL
            for (int row = 0; row < 2 * m_tiles; row++) {
                int tile = row / 2, i = row % 2, query = min_of((tile0 + tile) * 16 + i * 8 + g, queries - 1);
                qy[tile][i] = query / width;
                qx[tile][i] = query % width;
                // Q's fragments come straight from global memory: the four lanes of a row read 16 bytes side by side.
                const char *q =
                    head + (static_cast<size_t>(y0 + qy[tile][i]) * grid + x0 + qx[tile][i]) * token_bytes + t * 2;
                SAMC_UNROLL
                for (int kk = 0; kk < hd / 16; kk++) {
                    w.q[tile][kk][i] = *reinterpret_cast<const uint32_t *>(q + kk * 32);
                    w.q[tile][kk][i + 2] = *reinterpret_cast<const uint32_t *>(q + kk * 32 + 16);
                }
            }
            SAMC_UNROLL
            for (int tile = 0; tile < m_tiles; tile++) {
                for (int n = 0; n < 2 * side - 1; n += 16) {
                    float product[2][4];
                    table_product<S>(product, w.q[tile],
                                     shared + M::table_w + n * stride + lane_offset_b(lane, stride));
                    SAMC_UNROLL
                    for (int e = 0; e < 8; e++) {
                        int x = qx[tile][e % 4 / 2] - (n + e / 4 * 8 + t + e % 2) + side - 1;
                        if (x >= 0 && x < side)
                            own[(g + e % 4 / 2 * 8) * M::patch_stride + x] = product[e / 4][e % 4] * inverse;
                    }
                }
                sync_warp(); // the patch was written by the whole warp
                take_rel_w(w, tile, own, M::patch_stride, lane, side);
                sync_warp(); // and is overwritten next
            }
            SAMC_UNROLL
            for (int tile = 0; tile < m_tiles;
                 tile++) { // the tile's image rows, first .. last, need side + last - first rows of the table
                const int first = min_of((tile0 + tile) * 16, queries - 1) / width,
                          last = min_of((tile0 + tile) * 16 + 15, queries - 1) / width;
                for (int n = 0; n < side + last - first; n += 16) {
                    float product[2][4];
                    table_product<S>(product, w.q[tile],
                                     shared + M::table_h + (first + n) * stride + lane_offset_b(lane, stride));
                    SAMC_UNROLL
                    for (int e = 0; e < 8; e++) {
                        int ky = qy[tile][e % 4 / 2] - (first + n + e / 4 * 8 + t + e % 2) + side - 1;
                        if (ky >= 0 && ky < side)
                            own[ky * M::rel_h_stride + tile * 16 + g * 2 + e % 4 / 2] = product[e / 4][e % 4] * kLog2e;
                    }
                }
            }
            sync_warp(); // rel_h was written by the whole warp
        }
        if (!values_arrived) {
            copy_wait<0>();
            __syncthreads(); // values have arrived for everyone
            values_arrived = true;
        }
        if (tile0 < query_tiles) {
            SAMC_NO_UNROLL
            for (int row = 0; row < side; row += S::step_rows)
                attention_step<S, 0>(w, my_k + row * S::pitch * stride, my_v + row * S::pitch * stride,
                                     own + g * 2 + row * M::rel_h_stride, M::rel_h_stride, scale_log2e);
            rows_finish(w);
            SAMC_UNROLL
            for (int row = 0; row < 2 * m_tiles; row++) {
                int query = tile0 * 16 + row * 8 + g;
                if (query >= queries) continue;
                size_t token =
                    (static_cast<size_t>(blockIdx.z) * grid + y0 + query / width) * grid + x0 + query % width;
                store_row(w, row / 2, row % 2, y + (token * heads + blockIdx.x) * hd, lane);
            }
            sync_warp(); // rel_h has been read before the next tiles' patch overwrites it
        }
        tile0 += M::warps * m_tiles;
    } while (tile0 < query_tiles);
}

// ---- host ---------------------------------------------------------------------------------------

template <class T, int grid, int hd, bool ones = false>
static const char *run_global(const samc__cuda *cuda, const samc__attention_relpos_args *a) {
    Grid blocks = {grid * grid / kGlobalQueries, static_cast<unsigned>(a->heads), static_cast<unsigned>(a->qkv.n[0])};
    return launch("attention_global", attention_global<T, grid, hd, ones>, blocks, kGlobalThreads,
                  GlobalMemory<grid, hd>::bytes, cuda->stream, static_cast<const T *>(a->qkv.data),
                  static_cast<const T *>(a->rel_h.data), static_cast<const T *>(a->rel_w.data),
                  static_cast<T *>(a->y.data), a->heads, kLog2e / sqrtf(static_cast<float>(hd)));
}

template <class T, int side, int hd, int m_tiles = 2, bool ones = false>
static const char *run_window(const samc__cuda *cuda, const samc__attention_relpos_args *a) {
    using M = WindowMemory<side, hd, m_tiles>;
    unsigned windows = static_cast<unsigned>((a->grid + side - 1) / side);
    Grid blocks = {static_cast<unsigned>(a->heads), windows * windows, static_cast<unsigned>(a->qkv.n[0])};
    return launch("attention_window", attention_window<T, side, hd, m_tiles, ones>, blocks, M::threads, M::bytes,
                  cuda->stream, static_cast<const T *>(a->qkv.data), static_cast<const T *>(a->qkv_bias.data),
                  static_cast<const T *>(a->rel_h.data), static_cast<const T *>(a->rel_w.data),
                  static_cast<T *>(a->y.data), a->heads, a->grid, a->grid / side,
                  kLog2e / sqrtf(static_cast<float>(hd)));
}

template <class T>
static const char *run_general(const samc__cuda *cuda, const samc__attention_relpos_args *a, int hd) {
    int side = a->window ? a->window : a->grid, windows = (a->grid + side - 1) / side;
    const int rows = side / samc__attention_relpos_pool(a);
    unsigned per_window = static_cast<unsigned>((rows * rows + kGeneralQueries - 1) / kGeneralQueries);
    Grid blocks = {static_cast<unsigned>(windows * windows) * per_window, static_cast<unsigned>(a->heads),
                   static_cast<unsigned>(a->qkv.n[0])};
    return launch("attention_general", attention_general<T>, blocks, kGeneralThreads, general_bytes(hd, side),
                  cuda->stream, static_cast<const T *>(a->qkv.data), static_cast<const T *>(a->q.data),
                  static_cast<const T *>(a->qkv_bias.data),
                  a->by_head ? GeneralLayout{hd, 3 * hd} : GeneralLayout{a->heads * hd, hd},
                  static_cast<const T *>(a->rel_h.data), static_cast<const T *>(a->rel_w.data),
                  static_cast<const float *>(a->table.data), static_cast<T *>(a->y.data), a->heads, hd, a->grid, side,
                  1.0f / sqrtf(static_cast<float>(hd)));
}

template <class T, int hd> static const char *run_bare(const samc__cuda *cuda, const samc__attention_relpos_args *a) {
    const int side = a->window ? a->window : a->grid, windows = (a->grid + side - 1) / side,
              rows = side / samc__attention_relpos_pool(a);
    const unsigned per_window = static_cast<unsigned>((rows * rows + kBareQueries - 1) / kBareQueries);
    const Grid blocks = {static_cast<unsigned>(windows * windows) * per_window, static_cast<unsigned>(a->heads),
                         static_cast<unsigned>(a->qkv.n[0])};
    return launch("attention_bare", attention_bare<T, hd>, blocks, kBareThreads, BareMemory<hd>::bytes(side * side),
                  cuda->stream, static_cast<const T *>(a->qkv.data), static_cast<const T *>(a->q.data),
                  static_cast<const T *>(a->qkv_bias.data), static_cast<T *>(a->y.data), a->heads, a->grid, side,
                  kLog2e / sqrtf(static_cast<float>(hd)));
}

template <class T> static const char *run_fast(const samc__cuda *cuda, const samc__attention_relpos_args *a, int hd) {
    if (a->rel_h.data == nullptr)
        return hd == 56 ? run_bare<T, 56>(cuda, a) : hd == 72 ? run_bare<T, 72>(cuda, a) : run_bare<T, 96>(cuda, a);
    if (a->window == 0) {
        if (a->grid == 32) return run_global<T, 32, 64>(cuda, a);
        return hd == 64 ? run_global<T, 64, 64>(cuda, a) : run_global<T, 64, 80>(cuda, a);
    }
    if (a->window == 8) return run_window<T, 8, 64>(cuda, a);
    return hd == 64 ? run_window<T, 14, 64>(cuda, a) : run_window<T, 14, 80>(cuda, a);
}

// The second best of each by the static model, until a run on hardware decides: bf16 and SAM's own shapes are enough
// for that.
static const char *run_second(const samc__cuda *cuda, const samc__attention_relpos_args *a, int hd) {
    if (a->window == 0) return run_global<bf16, 64, 80, true>(cuda, a);
    return hd == 64 ? run_window<bf16, 14, 64, 1, true>(cuda, a) : run_window<bf16, 14, 80, 1, true>(cuda, a);
}

// Whether a kernel can serve the arguments.
static bool serves(samc__attention_kernel kernel, const samc__attention_relpos_args *a) {
    int64_t hd = a->y.n[2] / a->heads;
    bool half = a->qkv.dtype == SAMC__F16 || a->qkv.dtype == SAMC__BF16, sam = hd == 64 || hd == 80;
    if (kernel == SAMC__ATTENTION_GENERAL)
        return general_bytes(static_cast<int>(hd), a->window ? a->window : a->grid) <= kMostShared;
    if (!half || a->by_head) return false;
    if (kernel == SAMC__ATTENTION_BARE)
        return a->rel_h.data == nullptr && a->table.data == nullptr && (hd == 56 || hd == 72 || hd == 96);
    if (a->rel_h.data == nullptr) return false;
    switch (kernel) {
    case SAMC__ATTENTION_GLOBAL:
        return a->window == 0 && ((a->grid == 64 && sam) || (a->grid == 32 && hd == 64));
    case SAMC__ATTENTION_WINDOW:
        return (a->window == 14 && sam) || (a->window == 8 && hd == 64);
    case SAMC__ATTENTION_GLOBAL_ONES:
        return a->qkv.dtype == SAMC__BF16 && a->window == 0 && a->grid == 64 && hd == 80; // hd 64 spills
    case SAMC__ATTENTION_WINDOW_16:
        return a->qkv.dtype == SAMC__BF16 && a->window == 14 && sam;
    default:
        return false;
    }
}

} // namespace samc

extern "C" samc__attention_kernel samc__attention_relpos_cuda_kernel(const samc__attention_relpos_args *a) {
    samc__attention_kernel fast = a->rel_h.data == nullptr ? SAMC__ATTENTION_BARE
                                  : a->window              ? SAMC__ATTENTION_WINDOW
                                                           : SAMC__ATTENTION_GLOBAL;
    return samc::serves(fast, a) ? fast : SAMC__ATTENTION_GENERAL;
}

extern "C" samc_status samc__attention_relpos_cuda_by(const samc__cuda *cuda, const samc__attention_relpos_args *a,
                                                      samc__attention_kernel kernel) {
    using namespace samc;
    int hd = static_cast<int>(a->y.n[2] / a->heads);
    SAMC_REQUIRE("attention_relpos", a->heads <= 65535 && a->qkv.n[0] <= 65535);
    samc__dtype type = a->qkv.dtype;
    SAMC_REQUIRE("attention_relpos", type == SAMC__F32 || type == SAMC__F16 || type == SAMC__BF16);
    SAMC_REQUIRE("attention_relpos", a->y.dtype == type && (a->qkv_bias.data == nullptr || a->qkv_bias.dtype == type));
    SAMC_REQUIRE("attention_relpos", a->rel_h.data == nullptr || (a->rel_h.dtype == type && a->rel_w.dtype == type));
    SAMC_REQUIRE("attention_relpos", a->table.data == nullptr || a->table.dtype == SAMC__F32);
    SAMC_REQUIRE("attention_relpos", a->q.data == nullptr || a->q.dtype == type);
    SAMC_REQUIRE("attention_relpos", serves(kernel, a));
    if (kernel == SAMC__ATTENTION_GENERAL)
        return started(cuda, "attention_relpos",
                       type == SAMC__F32   ? run_general<float>(cuda, a, hd)
                       : type == SAMC__F16 ? run_general<f16>(cuda, a, hd)
                                           : run_general<bf16>(cuda, a, hd));
    SAMC_REQUIRE("attention_relpos", aligned16(a->qkv.data) && aligned16(a->qkv_bias.data) && aligned16(a->rel_h.data));
    SAMC_REQUIRE("attention_relpos", aligned16(a->rel_w.data) && aligned16(a->y.data) && aligned16(a->q.data));
    if (kernel == SAMC__ATTENTION_GLOBAL_ONES || kernel == SAMC__ATTENTION_WINDOW_16)
        return started(cuda, "attention_relpos", run_second(cuda, a, hd));
    return started(cuda, "attention_relpos",
                   type == SAMC__F16 ? run_fast<f16>(cuda, a, hd) : run_fast<bf16>(cuda, a, hd));
}

extern "C" samc_status samc__attention_relpos_cuda(const samc__cuda *cuda, const samc__attention_relpos_args *a) {
    return samc__attention_relpos_cuda_by(cuda, a, samc__attention_relpos_cuda_kernel(a));
}
