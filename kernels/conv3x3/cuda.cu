// conv3x3 on the GPU: the matrix product of cuda/gemm_step.h on rows gathered from nine neighbours, k = (tap, channel).
//
// Each stage's columns lie within one tap, so a stage copies rows of the image moved by one pixel, zeros beyond the
// border. The weight is laid out anew by tap before each call, [c_out, 9, c_in] in scratch: 1.2 MB for SAM's neck, a
// few microseconds. The neck of one image, 4096 pixels x 256 -> 256: 4.8 GFLOP; each byte once, 5.4 MB: 890 flops a
// byte; the nine neighbours come from L2.
#include "kernels/cuda/gemm_plain.h"
#include "kernels/cuda/wrapper.h"
#include "kernels/conv3x3/conv3x3.h"
#include "kernels/conv3x3/cuda.h"

namespace samc {

constexpr int kWeightThreads = 256;

// w [c_out, c_in, 9] -> by_tap [c_out, 9, c_in]; one thread for each element of the result.
template <class T> SAMC_KERNEL(kWeightThreads, 4) conv3x3_weights(const T *w, T *by_tap, int c_in, int count) {
    const int to = static_cast<int>(blockIdx.x * kWeightThreads + threadIdx.x);
    if (to >= count) return;
    const int o = to / (9 * c_in), tap = to / c_in % 9, i = to % c_in;
    by_tap[to] = w[(o * c_in + i) * 9 + tap];
}

// Sides of x and y, channels of x.
struct ConvShape {
    int h, w, y_h, y_w, stride, c_in;
};

// x [images, h, w, c_in], w [c_out, 9, c_in], y [images, y_h, y_w, c_out] in f; c_in is a multiple of G::k, c_out of 4.
template <class G, int blocks>
SAMC_KERNEL((G::threads), blocks)
conv3x3_tiles(const typename G::T *x, const typename G::T *w, ConvShape s, int tiles_n, Finish f) {
    SAMC_SHARED(shared);
    const int row0 = static_cast<int>(blockIdx.x) / tiles_n * G::m,
              column0 = static_cast<int>(blockIdx.x) % tiles_n * G::n;
    constexpr int rows_per_pass = G::threads / G::a_chunks, passes = G::m / rows_per_pass;
    int place[passes], middle[passes]; // of this thread's pixels, in x: row * 65536 + column, and the pixel itself
    SAMC_UNROLL
    for (int pass = 0; pass < passes; pass++) {
        const int pixel = row0 + pass * rows_per_pass + static_cast<int>(threadIdx.x) / G::a_chunks;
        const int py = pixel / s.y_w % s.y_h * s.stride, px = pixel % s.y_w * s.stride;
        place[pass] = py << 16 | px;
        middle[pass] = (pixel / (s.y_h * s.y_w) * s.h + py) * s.w + px;
    }
    float sum[G::tiles_m][G::tiles_n][4];
    gemm_loop<G>(sum, shared, 9 * s.c_in / G::k, [&](char *stage, int index) {
        const int tap = index * G::k / s.c_in, channel = index * G::k % s.c_in, dy = tap / 3 - 1, dx = tap % 3 - 1;
        copy_a<G>(stage, x, [&](int pass, int row, int chunk) -> const void * {
            const int py = (place[pass] >> 16) + dy, px = (place[pass] & 0xffff) + dx;
            const bool inside = row0 + row < f.m && py >= 0 && py < s.h && px >= 0 && px < s.w;
            return inside ? x + static_cast<int64_t>(middle[pass] + dy * s.w + dx) * s.c_in + channel + chunk * 8
                          : nullptr;
        });
        copy_b<G>(stage, w, [&](int, int row, int chunk) -> const void * {
            return column0 + row < f.n ? w + (column0 + row) * (9 * s.c_in) + index * G::k + chunk * 8 : nullptr;
        });
    });
    finish_tile<G>(sum, shared, row0, column0, f);
}

// The same for any shape and type, on the weight as it is: w [c_out, c_in, 9], k = (channel, tap).
template <class T>
SAMC_KERNEL(kPlainThreads, 2)
conv3x3_any(const T *x, const T *w, ConvShape s, int tiles_n, Finish f) {
    SAMC_SHARED(shared);
    const int row0 = static_cast<int>(blockIdx.x) / tiles_n * kPlainTile,
              column0 = static_cast<int>(blockIdx.x) % tiles_n * kPlainTile;
    plain_tile<T>(
        shared, 9 * s.c_in, row0, column0, f,
        [&](int row, int at) {
            const int pixel = row0 + row, py = pixel / s.y_w % s.y_h * s.stride + at % 9 / 3 - 1,
                      px = pixel % s.y_w * s.stride + at % 3 - 1, image = pixel / (s.y_h * s.y_w);
            const bool inside = pixel < f.m && py >= 0 && py < s.h && px >= 0 && px < s.w;
            return inside ? to_float(x[(static_cast<int64_t>(image * s.h + py) * s.w + px) * s.c_in + at / 9]) : 0.0f;
        },
        [&](int row, int at) { return column0 + row < f.n ? to_float(w[(column0 + row) * (9 * s.c_in) + at]) : 0.0f; });
}

// ---- host ---------------------------------------------------------------------------------------

static Finish finish_of(const samc__conv3x3_args *a) {
    Finish f = {};
    f.bias = static_cast<const float *>(a->b.data);
    f.residual = a->residual.data;
    f.y = a->y.data;
    f.y_stride = a->y.n[3];
    f.m = static_cast<int>(a->y.n[0] * a->y.n[1] * a->y.n[2]);
    f.n = static_cast<int>(a->y.n[3]);
    f.residual_rows = f.m;
    f.residual_is_float = a->residual.dtype == SAMC__F32;
    f.y_is_float = a->y.dtype == SAMC__F32;
    f.act = a->act;
    f.act_last = a->act_last;
    return f;
}

static ConvShape shape_of(const samc__conv3x3_args *a) {
    return {static_cast<int>(a->x.n[1]),
            static_cast<int>(a->x.n[2]),
            static_cast<int>(a->y.n[1]),
            static_cast<int>(a->y.n[2]),
            a->stride,
            static_cast<int>(a->x.n[3])};
}

template <class T> static const char *lay_out_by_tap(const samc__cuda *cuda, samc__view w, void *by_tap) {
    const int c_in = static_cast<int>(w.n[1]), count = static_cast<int>(w.n[0]) * 9 * c_in;
    return launch("conv3x3_weights", conv3x3_weights<T>,
                  Grid{static_cast<unsigned>(tiles_of(count, kWeightThreads)), 1, 1}, kWeightThreads, 0, cuda->stream,
                  static_cast<const T *>(w.data), static_cast<T *>(by_tap), c_in, count);
}

template <class G, int blocks> static const char *run_tiles(const samc__cuda *cuda, const samc__conv3x3_args *a) {
    using T = typename G::T;
    const T *by_tap = static_cast<const T *>(cuda->scratch);
    const char *problem = lay_out_by_tap<T>(cuda, a->w, cuda->scratch);
    if (problem != nullptr) return problem;
    const Finish f = finish_of(a);
    const int tiles_n = static_cast<int>(tiles_of(f.n, G::n));
    Grid grid = {static_cast<unsigned>(tiles_of(f.m, G::m) * tiles_n), 1, 1};
    return launch("conv3x3_tiles", conv3x3_tiles<G, blocks>, grid, G::threads, G::bytes, cuda->stream,
                  static_cast<const T *>(a->x.data), by_tap, shape_of(a), tiles_n, f);
}

template <class T> static const char *run_any(const samc__cuda *cuda, const samc__conv3x3_args *a) {
    const Finish f = finish_of(a);
    const int tiles_n = static_cast<int>(tiles_of(f.n, kPlainTile));
    Grid grid = {static_cast<unsigned>(tiles_of(f.m, kPlainTile) * tiles_n), 1, 1};
    return launch("conv3x3_any", conv3x3_any<T>, grid, kPlainThreads, kPlainBytes, cuda->stream,
                  static_cast<const T *>(a->x.data), static_cast<const T *>(a->w.data), shape_of(a), tiles_n, f);
}

static samc__conv3x3_kernel kernel_of(const samc__conv3x3_args *a) {
    bool aligned = aligned16(a->x.data) && aligned16(a->y.data) && aligned16(a->b.data) && aligned16(a->residual.data);
    return samc__conv3x3_cuda_kernel(a->y.n[0] * a->y.n[1] * a->y.n[2], a->x.n[3], a->y.n[3], a->x.dtype, aligned);
}

template <class T>
static const char *conv3x3_run(const samc__cuda *cuda, const samc__conv3x3_args *a, samc__conv3x3_kernel kernel) {
    if (kernel == SAMC__CONV3X3_ANY) return run_any<T>(cuda, a);
    return kernel == SAMC__CONV3X3_LARGE ? run_tiles<LargeTile<T>, 2>(cuda, a) : run_tiles<SmallTile<T, T>, 3>(cuda, a);
}

} // namespace samc

extern "C" samc__conv3x3_kernel samc__conv3x3_cuda_kernel(int64_t pixels, int64_t c_in, int64_t c_out, samc__dtype type,
                                                          bool aligned) {
    if (type == SAMC__F32 || !aligned || c_in % 32 != 0 || c_out % 4 != 0) return SAMC__CONV3X3_ANY;
    return c_in % 64 != 0 || samc::tiles_are_large(pixels, c_out) ? SAMC__CONV3X3_LARGE : SAMC__CONV3X3_SMALL;
}

extern "C" size_t samc__conv3x3_cuda_scratch(const samc__conv3x3_args *a) {
    return samc::kernel_of(a) == SAMC__CONV3X3_ANY ? 0 : static_cast<size_t>(a->y.n[3] * 9 * a->x.n[3] * 2);
}

extern "C" samc_status samc__conv3x3_by_tap_cuda(const samc__cuda *cuda, samc__view w, void *by_tap) {
    using namespace samc;
    SAMC_REQUIRE("conv3x3", w.dtype == SAMC__F32 || w.dtype == SAMC__F16 || w.dtype == SAMC__BF16);
    SAMC_REQUIRE("conv3x3", w.n[0] * 9 * w.n[1] <= INT32_MAX - 256);
    const char *problem = w.dtype == SAMC__F32   ? lay_out_by_tap<float>(cuda, w, by_tap)
                          : w.dtype == SAMC__F16 ? lay_out_by_tap<f16>(cuda, w, by_tap)
                                                 : lay_out_by_tap<bf16>(cuda, w, by_tap);
    return started(cuda, "conv3x3", problem);
}

extern "C" samc_status samc__conv3x3_cuda(const samc__cuda *cuda, const samc__conv3x3_args *a) {
    using namespace samc;
    samc__dtype type = a->x.dtype;
    SAMC_REQUIRE("conv3x3", type == SAMC__F32 || type == SAMC__F16 || type == SAMC__BF16);
    SAMC_REQUIRE("conv3x3", a->w.dtype == type && (a->y.dtype == type || a->y.dtype == SAMC__F32));
    SAMC_REQUIRE("conv3x3", a->b.data == nullptr || a->b.dtype == SAMC__F32);
    SAMC_REQUIRE("conv3x3", a->residual.data == nullptr || a->residual.dtype == type || a->residual.dtype == SAMC__F32);
    SAMC_REQUIRE("conv3x3", a->x.n[1] < 32768 && a->x.n[2] < 32768 &&
                                a->x.n[0] * a->x.n[1] * a->x.n[2] <= INT32_MAX - 128 &&
                                a->y.n[3] * 9 * a->x.n[3] <= INT32_MAX - 256);
    samc__conv3x3_kernel kernel = kernel_of(a);
    SAMC_REQUIRE("conv3x3", kernel == SAMC__CONV3X3_ANY ||
                                (aligned16(cuda->scratch) && cuda->scratch_bytes >= samc__conv3x3_cuda_scratch(a)));
    SAMC_REQUIRE("conv3x3", tiles_of(a->y.n[0] * a->y.n[1] * a->y.n[2], 64) * tiles_of(a->y.n[3], 64) <= INT32_MAX);
    const char *problem = type == SAMC__F32   ? run_any<float>(cuda, a)
                          : type == SAMC__F16 ? conv3x3_run<f16>(cuda, a, kernel)
                                              : conv3x3_run<bf16>(cuda, a, kernel);
    return started(cuda, "conv3x3", problem);
}
