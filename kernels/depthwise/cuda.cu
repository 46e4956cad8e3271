// depthwise on the GPU: bound by memory. A block is 64 pixels of 16 threads' channels, four a thread where channels are
// whole fours, else one; their weights lie in shared memory by tap. Neighbours' pixels come from L1.
#include "kernels/cuda/gelu.h"
#include "kernels/cuda/gemm_step.h"
#include "kernels/cuda/wrapper.h"
#include "kernels/depthwise/depthwise.h"

namespace samc {

constexpr int kDepthThreads = 256, kDepthGroup = 16, kDepthPixels = 64; // threads, those along channels, pixels

struct DepthShape {
    int h, w, y_h, y_w, c, side, stride, pixels; // pixels: of y, all images
};

// x [images, h, w, c], w [c, side * side], b [c] or NULL, y [images, y_h, y_w, c]. grid.x: groups of channels times
// blocks of pixels.
template <class T, int lanes>
SAMC_KERNEL(kDepthThreads, 4)
depthwise(const T *x, const float *w, const float *b, T *y, DepthShape s, samc__act act) {
    SAMC_SHARED(shared);
    constexpr int group = kDepthGroup * lanes;          // channels of a block
    float *weights = reinterpret_cast<float *>(shared); // [side * side][group]
    const int thread = static_cast<int>(threadIdx.x), groups = (s.c + group - 1) / group, taps = s.side * s.side;
    const int channel0 = static_cast<int>(blockIdx.x) % groups * group,
              pixel0 = static_cast<int>(blockIdx.x) / groups * kDepthPixels;
    for (int i = thread; i < taps * group; i += kDepthThreads) {
        const int c = channel0 + i % group;
        weights[i] = c < s.c ? w[c * taps + i / group] : 0.0f;
    }
    __syncthreads(); // the weights were written by everyone
    const int at = thread % kDepthGroup * lanes, c = channel0 + at;
    if (c >= s.c) return;
    for (int i = thread / kDepthGroup; i < kDepthPixels && pixel0 + i < s.pixels; i += kDepthThreads / kDepthGroup) {
        const int pixel = pixel0 + i, left = pixel % s.y_w * s.stride - s.side / 2,
                  top = pixel / s.y_w % s.y_h * s.stride - s.side / 2, image = pixel / (s.y_h * s.y_w);
        float sum[lanes];
        SAMC_UNROLL
        for (int lane = 0; lane < lanes; lane++) sum[lane] = b != nullptr ? b[c + lane] : 0.0f;
        for (int ky = 0; ky < s.side; ky++) {
            if (top + ky < 0 || top + ky >= s.h) continue;
            const T *row = x + (static_cast<int64_t>(image * s.h + top + ky) * s.w + left) * s.c + c;
            for (int kx = 0; kx < s.side; kx++) {
                if (left + kx < 0 || left + kx >= s.w) continue;
                const float *by = weights + (ky * s.side + kx) * group + at;
                if constexpr (lanes == 4) {
                    const f32x4 v = load4(row + kx * s.c), f = load4(by);
                    sum[0] = fmaf(v.x, f.x, sum[0]);
                    sum[1] = fmaf(v.y, f.y, sum[1]);
                    sum[2] = fmaf(v.z, f.z, sum[2]);
                    sum[3] = fmaf(v.w, f.w, sum[3]);
                } else {
                    sum[0] = fmaf(to_float(row[kx * s.c]), by[0], sum[0]);
                }
            }
        }
        SAMC_UNROLL
        for (int lane = 0; lane < lanes; lane++) sum[lane] = activate(sum[lane], act, gelu_erf);
        T *to = y + static_cast<int64_t>(pixel) * s.c + c;
        if constexpr (lanes == 4) store4(to, {sum[0], sum[1], sum[2], sum[3]});
        else store(to, sum[0]);
    }
}

// ---- host ---------------------------------------------------------------------------------------

template <class T> static const char *depthwise_run(const samc__cuda *cuda, const samc__depthwise_args *a) {
    const DepthShape s = {static_cast<int>(a->x.n[1]),
                          static_cast<int>(a->x.n[2]),
                          static_cast<int>(a->y.n[1]),
                          static_cast<int>(a->y.n[2]),
                          static_cast<int>(a->x.n[3]),
                          static_cast<int>(a->w.n[1]),
                          a->stride,
                          static_cast<int>(a->y.n[0] * a->y.n[1] * a->y.n[2])};
    const bool vectors = s.c % 4 == 0 && aligned16(a->x.data) && aligned16(a->y.data);
    const int group = kDepthGroup * (vectors ? 4 : 1);
    const Grid grid = {static_cast<unsigned>(tiles_of(s.c, group) * tiles_of(s.pixels, kDepthPixels)), 1, 1};
    return launch("depthwise", vectors ? depthwise<T, 4> : depthwise<T, 1>, grid, kDepthThreads,
                  static_cast<size_t>(s.side * s.side * group) * sizeof(float), cuda->stream,
                  static_cast<const T *>(a->x.data), static_cast<const float *>(a->w.data),
                  static_cast<const float *>(a->b.data), static_cast<T *>(a->y.data), s, a->act);
}

} // namespace samc

// x and y both f32, both f16 or both bf16, whole images; weight and bias f32.
extern "C" samc_status samc__depthwise_cuda(const samc__cuda *cuda, const samc__depthwise_args *a) {
    using namespace samc;
    const samc__dtype type = a->x.dtype;
    SAMC_REQUIRE("depthwise", type == SAMC__F32 || type == SAMC__F16 || type == SAMC__BF16);
    SAMC_REQUIRE("depthwise", a->y.dtype == type && a->w.dtype == SAMC__F32);
    SAMC_REQUIRE("depthwise", !a->above && !a->below);
    SAMC_REQUIRE("depthwise", a->b.data == nullptr || a->b.dtype == SAMC__F32);
    SAMC_REQUIRE("depthwise", a->x.n[0] * a->x.n[1] * a->x.n[2] <= INT32_MAX - kDepthPixels &&
                                  a->x.n[3] * SAMC__DEPTHWISE_MOST * SAMC__DEPTHWISE_MOST <= INT32_MAX &&
                                  a->x.n[1] < 1 << 24 && a->x.n[2] < 1 << 24);
    SAMC_REQUIRE("depthwise",
                 tiles_of(a->x.n[3], kDepthGroup) * tiles_of(a->y.n[0] * a->y.n[1] * a->y.n[2], kDepthPixels) <=
                     INT32_MAX);
    const char *problem = type == SAMC__F32   ? depthwise_run<float>(cuda, a)
                          : type == SAMC__F16 ? depthwise_run<f16>(cuda, a)
                                              : depthwise_run<bf16>(cuda, a);
    return started(cuda, "depthwise", problem);
}
