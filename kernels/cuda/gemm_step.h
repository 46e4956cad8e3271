// gemm_step.h - the matrix product on tensor cores that linear, conv3x3 and upscale_masks share: a block's tile of y =
// a . b^T.
//
// Rows of a are contiguous along k; those of b too, or along n (a conv-transpose's weight). Stages of `k` columns
// travel by cp.async through a ring of buffers; a caller says where each 16 bytes come from, so that a convolution is
// the same loop with other addresses. A warp computes a rectangle of m16n8 tiles; where a tile of y is small (the
// prompt tokens), `slices` warps share it and each takes a part of every stage's k, which makes long sums short. 16-bit
// rows lie swizzled in shared memory: neither cp.async nor ldmatrix meets a bank conflict.
#ifndef SAMC_KERNELS_CUDA_GEMM_STEP_H
#define SAMC_KERNELS_CUDA_GEMM_STEP_H

#include "kernels/cuda/device.h"
#include "kernels/cuda/gelu.h"
#include "kernels/linear/linear.h"

namespace samc {

// T: f16 or bf16, of b and of the product. X: of a, T or float; floats are rounded to T on their way to the registers.
// The tile is m x n; warps_m x warps_n x slices warps. b_by_k: b lies as [k, n], otherwise as [n, k].
template <class T_, class X_, int m_, int n_, int k_, int warps_m_, int warps_n_, int slices_, int stages_,
          bool b_by_k_ = false>
struct Gemm {
    using T = T_;
    using X = X_;
    static constexpr int m = m_, n = n_, k = k_, warps_m = warps_m_, warps_n = warps_n_, slices = slices_,
                         stages = stages_;
    static constexpr int threads = warps_m_ * warps_n_ * slices_ * 32;
    static constexpr int warp_m = m_ / warps_m_, warp_n = n_ / warps_n_, tiles_m = warp_m / 16, tiles_n = warp_n / 8;
    static constexpr int steps = k_ / 16 / slices_; // of k16, for each warp in a stage
    static constexpr bool a_is_float = sizeof(X_) == 4, b_by_k = b_by_k_;
    // Floats are read as pairs, four lanes to a row: 32 bytes beyond a multiple of 128 put a half-warp's four rows side
    // by side.
    static constexpr int a_row = a_is_float ? k_ * 4 + 32 : k_ * 2, b_row = (b_by_k_ ? n_ : k_) * 2,
                         b_rows = b_by_k_ ? k_ : n_;
    static constexpr int a_chunks = k_ * (a_is_float ? 4 : 2) / 16, b_chunks = b_row / 16; // copies for each row
    static constexpr int b_at = m_ * a_row, stage = b_at + b_rows * b_row;                 // bytes
    static constexpr int patch_stride = warp_n + 8;                                        // floats; see finish_tile
    static constexpr int patch = 16 * patch_stride * 4;
    static constexpr int ring = stages_ * stage, patches = threads / 32 * patch,
                         bytes = ring > patches ? ring : patches;
    static_assert(m_ % (16 * warps_m_) == 0 && n_ % (16 * warps_n_) == 0 && k_ % (16 * slices_) == 0, "whole tiles");
    static_assert(k_ % 32 == 0, "rows of 64 bytes or of whole 128");
};

template <class T> using LargeTile = Gemm<T, T, 128, 128, 32, 2, 2, 1, 4>; // 64 KiB, two blocks on a multiprocessor
template <class T> using GroupTile = Gemm<T, T, 128, 256, 64, 8, 1, 1, 4>; // 192 KiB; two warpgroups of 64 x 256
template <class T, class X> using SmallTile = Gemm<T, X, 64, 64, 64, 2, 2, 1, 3>; // 48 KiB; x f32: 78 KiB

static inline int64_t tiles_of(int64_t n, int64_t tile) { return (n + tile - 1) / tile; }
// Whether large tiles keep a GPU of a hundred or so multiprocessors busy.
static inline bool tiles_are_large(int64_t m, int64_t n) { return tiles_of(m, 128) * tiles_of(n, 128) >= 96; }

// Where 16-byte chunk `chunk` of a 16-bit row lies in shared memory. The eight rows of an ldmatrix matrix, and the
// chunks that eight lanes copy, fall into different banks.
template <int row_bytes> SAMC_DEVICE int swizzled(int row, int chunk) {
    return row * row_bytes + (chunk ^ (row_bytes == 64 ? row / 2 % 4 : row % 8)) * 16;
}

// Copies rows of 16-byte chunks to `to`, `stride` bytes apart there; swizzled where nothing lies between them.
// where(pass, row, chunk) is the address of a chunk, NULL for zeros; a thread meets one row in each pass, so that what
// depends on the row can be kept by pass.
template <int threads, int rows, int chunks, int stride, class Where>
SAMC_DEVICE void copy_rows(char *to, const void *readable, const Where &where) {
    static_assert(rows * chunks % threads == 0 && threads % chunks == 0, "whole passes");
    const int thread = thread_again(), chunk = thread % chunks,
              row0 = thread / chunks; // not kept from stage to stage: registers are short
    SAMC_UNROLL
    for (int pass = 0; pass < rows * chunks / threads; pass++) {
        const int row = row0 + pass * (threads / chunks);
        const void *from = where(pass, row, chunk);
        const int place = stride == chunks * 16 ? swizzled<stride>(row, chunk) : row * stride + chunk * 16;
        copy_async16(to + place, from == nullptr ? readable : from, from != nullptr);
    }
}
template <class G, class Where> SAMC_DEVICE void copy_a(char *stage, const void *readable, const Where &where) {
    copy_rows<G::threads, G::m, G::a_chunks, G::a_row>(stage, readable, where);
}
template <class G, class Where> SAMC_DEVICE void copy_b(char *stage, const void *readable, const Where &where) {
    copy_rows<G::threads, G::b_rows, G::b_chunks, G::b_row>(stage + G::b_at, readable, where);
}

// Fragments of 16 rows of a, from row `row` and column `kk * 16` of a stage.
template <class G> SAMC_DEVICE void load_a(uint32_t (&a)[4], const char *stage, int row, int kk, int lane) {
    if constexpr (G::a_is_float) {
        SAMC_UNROLL
        for (int i = 0; i < 4; i++) {
            f32x2 v = *reinterpret_cast<const f32x2 *>(stage + (row + lane / 4 + i % 2 * 8) * G::a_row +
                                                       (kk * 16 + i / 2 * 8 + lane % 4 * 2) * 4);
            a[i] = pack2(v.x, v.y, typename G::T());
        }
    } else {
        ldmatrix_x4(a, stage + swizzled<G::a_row>(row + lane % 16, kk * 2 + lane / 16));
    }
}

// One stage: sum[m16 tile][n8 tile] += a . b^T over this warp's slice of k.
template <class G> SAMC_DEVICE void gemm_step(float (&sum)[G::tiles_m][G::tiles_n][4], const char *stage) {
    const int lane = static_cast<int>(threadIdx.x) % 32, warp = static_cast<int>(threadIdx.x) / 32;
    const int slice = warp % G::slices, row = warp / G::slices / G::warps_n * G::warp_m,
              column = warp / G::slices % G::warps_n * G::warp_n;
    SAMC_UNROLL
    for (int step = 0; step < G::steps; step++) {
        const int kk = slice * G::steps + step;
        uint32_t a[G::tiles_m][4];
        SAMC_UNROLL
        for (int i = 0; i < G::tiles_m; i++) load_a<G>(a[i], stage, row + i * 16, kk, lane);
        SAMC_UNROLL
        for (int j = 0; j < G::tiles_n; j += 2) {
            uint32_t b[4]; // two n8 tiles
            if constexpr (G::b_by_k)
                ldmatrix_x4_trans(b, stage + G::b_at +
                                         swizzled<G::b_row>(kk * 16 + lane % 16, column / 8 + j + lane / 16));
            else
                ldmatrix_x4(b,
                            stage + G::b_at +
                                swizzled<G::b_row>(column + j * 8 + lane % 8 + lane / 16 * 8, kk * 2 + lane / 8 % 2));
            SAMC_UNROLL
            for (int i = 0; i < G::tiles_m; i++) {
                mma_16816(sum[i][j], a[i], b[0], b[1], sum[i][j], typename G::T());
                mma_16816(sum[i][j + 1], a[i], b[2], b[3], sum[i][j + 1], typename G::T());
            }
        }
    }
}

// All `count` stages; load(stage, index) issues the copies of one. Leaves the shared memory free for other use.
template <class G, class Load>
SAMC_DEVICE void gemm_loop(float (&sum)[G::tiles_m][G::tiles_n][4], char *shared, int count, const Load &load) {
    SAMC_UNROLL
    for (int i = 0; i < G::tiles_m; i++) {
        SAMC_UNROLL
        for (int j = 0; j < G::tiles_n; j++) {
            SAMC_UNROLL
            for (int e = 0; e < 4; e++) sum[i][j][e] = 0.0f;
        }
    }
    SAMC_UNROLL
    for (int ahead = 0; ahead < G::stages - 1; ahead++) {
        if (ahead < count) load(shared + ahead * G::stage, ahead);
        copy_commit();
    }
    int use = 0, fill = (G::stages - 1) * G::stage; // byte offsets into the ring
    SAMC_NO_UNROLL
    for (int index = 0; index < count; index++) {
        copy_wait<G::stages - 2>();
        __syncthreads(); // this stage has arrived for everyone, and everyone has left the one whose buffer is filled
                         // next
        if (index + G::stages - 1 < count) load(shared + fill, index + G::stages - 1);
        copy_commit(); // also where nothing was issued: the waits count groups
        gemm_step<G>(sum, shared + use);
        use = use + G::stage == G::ring ? 0 : use + G::stage;
        fill = fill + G::stage == G::ring ? 0 : fill + G::stage;
    }
    copy_wait<0>();
    __syncthreads(); // everyone has left the last stages
}

// The same on Hopper's products, whose operands are a stage's rows as they lie. A warp of G is 16 rows of its
// warpgroup's 64 and all 256 columns. The products of one stage run while the next is waited for.
template <class G, class Load>
SAMC_DEVICE void group_loop(float (&sum)[1][32][4], char *shared, int count, const Load &load) {
    static_assert(G::warp_m == 16 && G::warps_m % 4 == 0 && G::n == 256 && G::a_row == 128 && G::b_row == 128 &&
                      !G::b_by_k,
                  "operands of a warpgroup");
    static_assert(G::stage % 1024 == 0 && G::b_at % 1024 == 0 && G::stages >= 4,
                  "descriptors; two stages on their way, two that may be read");
    constexpr int ahead = G::stages - 2;
    const int group = thread_again() / 128;
    SAMC_UNROLL
    for (int j = 0; j < 32; j++) {
        SAMC_UNROLL
        for (int e = 0; e < 4; e++) sum[0][j][e] = 0.0f;
    }
    SAMC_UNROLL
    for (int i = 0; i < ahead; i++) {
        if (i < count) load(shared + i * G::stage, i);
        copy_commit();
    }
    int use = 0, fill = ahead * G::stage; // byte offsets into the ring
    SAMC_NO_UNROLL
    for (int index = 0; index < count; index++) {
        copy_wait<ahead - 1>();
        publish_copies(); // this thread's part of the stage, to the tensor cores
        __syncthreads();  // the stage has arrived for everyone, and nobody's products read the one whose buffer is
                          // filled next
        const uint64_t a = group_operand(shared + use + group * 64 * G::a_row),
                       b = group_operand(shared + use + G::b_at);
        group_begin();
        SAMC_UNROLL
        for (int kk = 0; kk < G::steps; kk++)
            group_product(sum[0], a + static_cast<uint64_t>(2 * kk), b + static_cast<uint64_t>(2 * kk),
                          typename G::T());
        group_commit();
        if (index + ahead < count) load(shared + fill, index + ahead);
        copy_commit();
        group_wait<1>(); // the stage before this one is free
        use = use + G::stage == G::ring ? 0 : use + G::stage;
        fill = fill + G::stage == G::ring ? 0 : fill + G::stage;
    }
    group_wait<0>(); // the sums are there
    SAMC_UNROLL
    for (int j = 0; j < 32; j++) {
        SAMC_UNROLL
        for (int e = 0; e < 4; e++) keep_behind(sum[0][j][e]);
    }
    copy_wait<0>();
    __syncthreads(); // nobody's products read the last stages
}

// What happens to a product before it is stored: act(product + bias) + residual, or act of all of it, in fp32.
struct Finish {
    const float *bias;    // [n] or NULL
    const void *residual; // [residual_rows, n] or NULL; row i of y takes row i % residual_rows
    void *y;              // [m, n], rows y_stride apart; may be the residual
    int64_t y_stride;
    int m, n, residual_rows;
    bool residual_is_float, y_is_float; // otherwise T
    samc__act act;
    bool act_last; // behind the residual
};

template <class Gelu> SAMC_DEVICE float activate(float x, samc__act act, const Gelu &gelu_of) {
    if (act == SAMC__ACT_GELU) return gelu_of(x);
    if (act == SAMC__ACT_RELU) return x < 0.0f ? 0.0f : x; // fmaxf would lose NaN
    if (act == SAMC__ACT_GELU_TANH) return gelu_tanh(x);
    if (act == SAMC__ACT_GELU_QUICK) return gelu_quick(x);
    if (act == SAMC__ACT_ELU) return elu(x);
    return act == SAMC__ACT_HARDSWISH ? hardswish(x) : x;
}

// Four neighbours of a row. n and y_stride are multiples of 4, every pointer aligned to four elements.
template <class T> SAMC_DEVICE void finish4(const Finish &f, int row, int column, f32x4 v) {
    if (f.bias != nullptr) {
        f32x4 bias = load4(f.bias + column);
        v = {v.x + bias.x, v.y + bias.y, v.z + bias.z, v.w + bias.w};
    }
    f32x4 r = {0.0f, 0.0f, 0.0f, 0.0f};
    if (f.residual != nullptr) {
        const size_t at =
            static_cast<size_t>(row % f.residual_rows) * static_cast<size_t>(f.n) + static_cast<size_t>(column);
        r = f.residual_is_float ? load4(static_cast<const float *>(f.residual) + at)
                                : load4(static_cast<const T *>(f.residual) + at);
        if (f.act_last) v = {v.x + r.x, v.y + r.y, v.z + r.z, v.w + r.w};
    }
    v = {activate(v.x, f.act, gelu), activate(v.y, f.act, gelu), activate(v.z, f.act, gelu),
         activate(v.w, f.act, gelu)};
    if (f.residual != nullptr && !f.act_last) v = {v.x + r.x, v.y + r.y, v.z + r.z, v.w + r.w};
    const size_t at = static_cast<size_t>(row) * static_cast<size_t>(f.y_stride) + static_cast<size_t>(column);
    if (f.y_is_float) store4(static_cast<float *>(f.y) + at, v);
    else store4(static_cast<T *>(f.y) + at, v);
}

// Stores the block's tile, whose first element is y[row0][column0]. 16 rows at a time pass through a patch of shared
// memory for each warp, [16][patch_stride]: lanes then hold neighbours and store whole sectors, slices add up, and the
// epilogue's code exists once.
template <class G>
SAMC_DEVICE void finish_tile(const float (&sum)[G::tiles_m][G::tiles_n][4], char *shared, int row0, int column0,
                             const Finish &f) {
    const int lane = static_cast<int>(threadIdx.x) % 32, warp = static_cast<int>(threadIdx.x) / 32,
              slice = warp % G::slices;
    const int row = row0 + warp / G::slices / G::warps_n * G::warp_m,
              column = column0 + warp / G::slices % G::warps_n * G::warp_n;
    float *own = reinterpret_cast<float *>(shared + warp * G::patch);
    const float *first = reinterpret_cast<const float *>(shared + (warp - slice) * G::patch); // of the first slice
    constexpr int quads = G::warp_n / 4;
    SAMC_UNROLL
    for (int i = 0; i < G::tiles_m; i++) {
        SAMC_UNROLL
        for (int j = 0; j < G::tiles_n; j++) {
            SAMC_UNROLL
            for (int half = 0; half < 2; half++)
                *reinterpret_cast<f32x2 *>(own + (lane / 4 + half * 8) * G::patch_stride + j * 8 + lane % 4 * 2) =
                    f32x2{sum[i][j][2 * half], sum[i][j][2 * half + 1]};
        }
        if constexpr (G::slices == 1) sync_warp(); // the patch was written by the whole warp
        else __syncthreads();                      // the patches were written by every slice
        SAMC_NO_UNROLL
        for (int quad = slice * 32 + lane; quad < 16 * quads; quad += G::slices * 32) {
            const int r = quad / quads, c = quad % quads * 4;
            f32x4 v = load4(first + r * G::patch_stride + c);
            SAMC_UNROLL
            for (int s = 1; s < G::slices; s++) {
                f32x4 more = load4(first + s * (G::patch / 4) + r * G::patch_stride + c);
                v = {v.x + more.x, v.y + more.y, v.z + more.z, v.w + more.w};
            }
            if (row + i * 16 + r < f.m && column + c < f.n) finish4<typename G::T>(f, row + i * 16 + r, column + c, v);
        }
        if constexpr (G::slices == 1) sync_warp(); // the patch has been read before the next 16 rows overwrite it
        else __syncthreads();                      // the patches have been read by every slice
    }
}

} // namespace samc

#endif
