// linear on the GPU: tensor-core products for 16-bit weights (cuda/gemm_step.h), a tiled fp32 kernel for everything
// else.
//
// ViT-B's four products of a block have 4.8 to 19 GFLOP and 145 to 535 flops a byte, ViT-H's 13 to 54 and 240 to 820:
// bound by the tensor cores. The decoder's tokens are few and f32: their tile is 32 x 32 and four warps share its k, so
// that a sum over 2048 is 16 stages long. README.md of this folder has the table.
#include "kernels/cuda/gemm_plain.h"
#include "kernels/cuda/wrapper.h"
#include "kernels/linear/cuda.h"
#include "kernels/linear/linear.h"

namespace samc {

template <class T> using TokenTile = Gemm<T, float, 32, 32, 128, 1, 1, 4, 3>; // 75 KiB

// x [m, k] rows x_stride apart, w [n, k]; k, x_stride multiples of 8, n of 4. One block is one tile, tiles of a row
// side by side.
template <class G, int blocks, bool groups = false>
SAMC_KERNEL((G::threads), blocks)
linear_tiles(const typename G::X *x, const typename G::T *w, int k, int64_t x_stride, int tiles_n, Finish f) {
    using X = typename G::X;
    SAMC_SHARED_1024(shared);
    const int row0 = static_cast<int>(blockIdx.x) / tiles_n * G::m,
              column0 = static_cast<int>(blockIdx.x) % tiles_n * G::n;
    float sum[G::tiles_m][G::tiles_n][4];
    auto load = [&](char *stage, int index) {
        copy_a<G>(stage, x, [&](int, int row, int chunk) -> const void * {
            const int at = index * G::k + chunk * (16 / static_cast<int>(sizeof(X)));
            return row0 + row < f.m && at < k ? x + (row0 + row) * x_stride + at : nullptr;
        });
        copy_b<G>(stage, w, [&](int, int row, int chunk) -> const void * {
            const int at = index * G::k + chunk * 8;
            return column0 + row < f.n && at < k ? w + static_cast<size_t>(column0 + row) * static_cast<size_t>(k) + at
                                                 : nullptr;
        });
    };
    if constexpr (groups) group_loop<G>(sum, shared, (k + G::k - 1) / G::k, load);
    else gemm_loop<G>(sum, shared, (k + G::k - 1) / G::k, load);
    finish_tile<G>(sum, shared, row0, column0, f);
}

// ---- any shape, any of the types ----------------------------------------------------------------

SAMC_DEVICE float rounded_to(float x, float) { return x; }
SAMC_DEVICE float rounded_to(float x, f16) { return to_float(f16{static_cast<uint16_t>(pack2(x, 0.0f, f16()))}); }
SAMC_DEVICE float rounded_to(float x, bf16) { return to_float(bf16{static_cast<uint16_t>(pack2(x, 0.0f, bf16()))}); }

// x [m, k] rows x_stride apart, w [n, k].
template <class X, class W>
SAMC_KERNEL(kPlainThreads, 2)
linear_any(const X *x, const W *w, int k, int64_t x_stride, int tiles_n, Finish f) {
    SAMC_SHARED(shared);
    const int row0 = static_cast<int>(blockIdx.x) / tiles_n * kPlainTile,
              column0 = static_cast<int>(blockIdx.x) % tiles_n * kPlainTile;
    plain_tile<W>(
        shared, k, row0, column0, f,
        [&](int row, int at) {
            return row0 + row < f.m ? rounded_to(to_float(x[(row0 + row) * x_stride + at]), W()) : 0.0f;
        },
        [&](int row, int at) {
            return column0 + row < f.n ? to_float(w[static_cast<size_t>(column0 + row) * static_cast<size_t>(k) + at])
                                       : 0.0f;
        });
}

// ---- what cuBLASLt leaves to do -----------------------------------------------------------------

constexpr int kPassThreads = 128, kPassRows = 4; // a thread: 8 columns of four rows, for which it reads the bias once

// y [m, 8 chunks], rows y_stride apart: y = gelu(y + bias) in place; bias [8 chunks] or NULL. grid.x: pieces of a row
// times blocks of rows.
template <class T>
SAMC_KERNEL(kPassThreads, 8)
bias_gelu(T *y, const float *bias, int m, int chunks, int64_t y_stride) {
    const int pieces = (chunks + kPassThreads - 1) / kPassThreads, block = static_cast<int>(blockIdx.x);
    const int chunk = block % pieces * kPassThreads + static_cast<int>(threadIdx.x), row0 = block / pieces * kPassRows;
    if (chunk >= chunks) return;
    f32x4 added[2] = {{0.0f, 0.0f, 0.0f, 0.0f}, {0.0f, 0.0f, 0.0f, 0.0f}};
    if (bias != nullptr) added[0] = load4(bias + chunk * 8), added[1] = load4(bias + chunk * 8 + 4);
    T *at = y + row0 * y_stride + chunk * 8;
    u32x4 v[kPassRows];
    SAMC_UNROLL
    for (int r = 0; r < kPassRows; r++) // all loads before the first use
        if (row0 + r < m) v[r] = *reinterpret_cast<const u32x4 *>(at + r * y_stride);
    SAMC_UNROLL
    for (int r = 0; r < kPassRows; r++) {
        if (row0 + r >= m) break;
        const float b[8] = {added[0].x, added[0].y, added[0].z, added[0].w,
                            added[1].x, added[1].y, added[1].z, added[1].w};
        SAMC_UNROLL
        for (int i = 0; i < 4; i++) {
            f32x2 pair = unpack2(v[r].at[i], T());
            v[r].at[i] = pack2(gelu(pair.x + b[2 * i]), gelu(pair.y + b[2 * i + 1]), T());
        }
        *reinterpret_cast<u32x4 *>(at + r * y_stride) = v[r];
    }
}

// ---- host ---------------------------------------------------------------------------------------

static Finish finish_of(const samc__linear_args *a) {
    Finish f = {};
    f.bias = static_cast<const float *>(a->p.b.data);
    f.residual = a->residual.data;
    f.y = a->y.data;
    f.y_stride = a->y_stride ? a->y_stride : a->y.n[1];
    f.m = static_cast<int>(a->x.n[0]);
    f.n = static_cast<int>(a->p.w.n[0]);
    f.residual_rows = a->residual.data ? static_cast<int>(a->residual.n[0]) : 1;
    f.residual_is_float = a->residual.dtype == SAMC__F32;
    f.y_is_float = a->y.dtype == SAMC__F32;
    f.act = a->act;
    f.act_last = a->act_last;
    return f;
}

template <class G, int blocks, bool groups = false>
static const char *run_tiles(const samc__cuda *cuda, const samc__linear_args *a) {
    int64_t tiles_n = tiles_of(a->p.w.n[0], G::n), k = a->x.n[1];
    Grid grid = {static_cast<unsigned>(tiles_of(a->x.n[0], G::m) * tiles_n), 1, 1};
    return launch("linear_tiles", linear_tiles<G, blocks, groups>, grid, G::threads, G::bytes, cuda->stream,
                  static_cast<const typename G::X *>(a->x.data), static_cast<const typename G::T *>(a->p.w.data),
                  static_cast<int>(k), a->x_stride ? a->x_stride : k, static_cast<int>(tiles_n), finish_of(a));
}

template <class X, class W> static const char *run_any(const samc__cuda *cuda, const samc__linear_args *a) {
    int64_t tiles_n = tiles_of(a->p.w.n[0], kPlainTile), k = a->x.n[1];
    Grid grid = {static_cast<unsigned>(tiles_of(a->x.n[0], kPlainTile) * tiles_n), 1, 1};
    return launch("linear_any", linear_any<X, W>, grid, kPlainThreads, kPlainBytes, cuda->stream,
                  static_cast<const X *>(a->x.data), static_cast<const W *>(a->p.w.data), static_cast<int>(k),
                  a->x_stride ? a->x_stride : k, static_cast<int>(tiles_n), finish_of(a));
}

template <class T>
static const char *linear_run(const samc__cuda *cuda, const samc__linear_args *a, samc__linear_kernel kernel) {
    bool x_is_float = a->x.dtype == SAMC__F32;
    switch (kernel) {
    case SAMC__LINEAR_LARGE:
        return run_tiles<LargeTile<T>, 2>(cuda, a);
    case SAMC__LINEAR_SMALL:
        return x_is_float ? run_tiles<SmallTile<T, float>, 2>(cuda, a) : run_tiles<SmallTile<T, T>, 3>(cuda, a);
    case SAMC__LINEAR_GROUPS:
        return run_tiles<GroupTile<T>, 1, true>(cuda, a);
    case SAMC__LINEAR_TOKENS:
        return run_tiles<TokenTile<T>, 2>(cuda, a);
    case SAMC__LINEAR_ANY:
        break;
    }
    return x_is_float ? run_any<float, T>(cuda, a) : run_any<T, T>(cuda, a);
}

template <class T>
static const char *run_bias_gelu(const samc__cuda *cuda, samc__view y, int64_t y_stride, const float *bias) {
    int64_t chunks = y.n[1] / 8;
    Grid grid = {static_cast<unsigned>(tiles_of(chunks, kPassThreads) * tiles_of(y.n[0], kPassRows)), 1, 1};
    return launch("bias_gelu", bias_gelu<T>, grid, kPassThreads, 0, cuda->stream, static_cast<T *>(y.data), bias,
                  static_cast<int>(y.n[0]), static_cast<int>(chunks), y_stride);
}

// Whether copies and stores of whole vectors meet this tensor's rows.
static bool rows_aligned(samc__view v, int64_t stride, int64_t elements) {
    return v.data == nullptr || (aligned16(v.data) && stride % elements == 0);
}

} // namespace samc

extern "C" samc__linear_kernel samc__linear_cuda_kernel(int64_t m, int64_t n, int64_t k, bool x_is_float,
                                                        bool aligned) {
    if (!aligned || n % 4 != 0 || k % 8 != 0) return SAMC__LINEAR_ANY;
    if (x_is_float && n <= 512) return SAMC__LINEAR_TOKENS;
    return !x_is_float && samc::tiles_are_large(m, n) ? SAMC__LINEAR_LARGE : SAMC__LINEAR_SMALL;
}

// By the kernel that the shape asks for, or by `own`.
static samc_status linear_by(const samc__cuda *cuda, const samc__linear_args *a, const samc__linear_kernel *own) {
    using namespace samc;
    int64_t m = a->x.n[0], k = a->x.n[1], n = a->p.w.n[0], y_stride = a->y_stride ? a->y_stride : n;
    samc__dtype type = a->p.w.dtype;
    SAMC_REQUIRE("linear", type == SAMC__F32 || type == SAMC__F16 || type == SAMC__BF16);
    SAMC_REQUIRE("linear", a->x.dtype == SAMC__F32 || a->x.dtype == type);
    SAMC_REQUIRE("linear", a->p.b.data == nullptr || a->p.b.dtype == SAMC__F32);
    SAMC_REQUIRE("linear", a->residual.data == nullptr || a->residual.dtype == SAMC__F32 || a->residual.dtype == type);
    SAMC_REQUIRE("linear", a->y.dtype == SAMC__F32 || a->y.dtype == type);
    SAMC_REQUIRE("linear", m <= INT32_MAX - 128 && n <= INT32_MAX - 128 && k <= INT32_MAX - 128);
    SAMC_REQUIRE("linear", tiles_of(m, 32) * tiles_of(n, 32) <= INT32_MAX);
    if (type == SAMC__F32) return started(cuda, "linear", run_any<float, float>(cuda, a));
    bool aligned = rows_aligned(a->x, a->x_stride, 8) && rows_aligned(a->p.w, k, 8) && rows_aligned(a->p.b, n, 4) &&
                   rows_aligned(a->residual, n, 4) && rows_aligned(a->y, y_stride, 4);
    samc__linear_kernel kernel = own ? *own : samc__linear_cuda_kernel(m, n, k, a->x.dtype == SAMC__F32, aligned);
    if (kernel == SAMC__LINEAR_GROUPS)
        SAMC_REQUIRE("linear", aligned && n % 4 == 0 && k % 8 == 0 && a->x.dtype == type && cuda->capability == 90);
    return started(cuda, "linear",
                   type == SAMC__F16 ? linear_run<f16>(cuda, a, kernel) : linear_run<bf16>(cuda, a, kernel));
}

extern "C" samc_status samc__linear_cuda(const samc__cuda *cuda, const samc__linear_args *a) {
    return linear_by(cuda, a, nullptr);
}
extern "C" samc_status samc__linear_wgmma_cuda(const samc__cuda *cuda, const samc__linear_args *a) {
    const samc__linear_kernel groups = SAMC__LINEAR_GROUPS;
    return linear_by(cuda, a, &groups);
}

extern "C" samc_status samc__bias_gelu_cuda(const samc__cuda *cuda, samc__view y, int64_t y_stride, samc__view b) {
    using namespace samc;
    if (y_stride == 0) y_stride = y.n[1];
    SAMC_REQUIRE("linear", y.dtype == SAMC__F16 || y.dtype == SAMC__BF16);
    SAMC_REQUIRE("linear", b.data == nullptr || b.dtype == SAMC__F32);
    SAMC_REQUIRE("linear", y.n[1] % 8 == 0 && rows_aligned(y, y_stride, 8) && rows_aligned(b, 0, 8));
    SAMC_REQUIRE("linear", y.n[0] <= INT32_MAX - kPassRows && y.n[1] <= INT32_MAX &&
                               tiles_of(y.n[1] / 8, kPassThreads) * tiles_of(y.n[0], kPassRows) <= INT32_MAX);
    const float *bias = static_cast<const float *>(b.data);
    return started(cuda, "linear",
                   y.dtype == SAMC__F16 ? run_bias_gelu<f16>(cuda, y, y_stride, bias)
                                        : run_bias_gelu<bf16>(cuda, y, y_stride, bias));
}
