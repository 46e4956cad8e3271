// upscale_bicubic on the GPU: a thread for each value of y, its sixteen neighbours from L1 and L2.
#include "kernels/cuda/cubic_tap.h"
#include "kernels/cuda/gemm_step.h"
#include "kernels/cuda/wrapper.h"
#include "kernels/upscale_bicubic/upscale_bicubic.h"

namespace samc {

constexpr int kBicubicThreads = 256;

struct BicubicShape {
    int h, w, y_h, y_w, c;
    float down, across; // h / y_h, w / y_w
    int64_t count;      // of y
};

// x [images, h, w, c], add and y [images, y_h, y_w, c]; add may be NULL or y.
SAMC_KERNEL(kBicubicThreads, 4) upscale_bicubic(const float *x, const float *add, float *y, BicubicShape s) {
    const int64_t i = static_cast<int64_t>(blockIdx.x) * kBicubicThreads + threadIdx.x;
    if (i >= s.count) return;
    const int channel = static_cast<int>(i % s.c);
    const int64_t pixel = i / s.c;
    const int column = static_cast<int>(pixel % s.y_w), row = static_cast<int>(pixel / s.y_w % s.y_h);
    const CubicTap down = cubic_tap(row, s.down, s.h), across = cubic_tap(column, s.across, s.w);
    const float *of = x + pixel / s.y_w / s.y_h * s.h * s.w * s.c + channel;
    float sum = 0.0f;
    SAMC_UNROLL
    for (int j = 0; j < 4; j++) {
        float part = 0.0f;
        SAMC_UNROLL
        for (int k = 0; k < 4; k++)
            part = fmaf(of[(static_cast<int64_t>(down.at[j]) * s.w + across.at[k]) * s.c], across.weight[k], part);
        sum = fmaf(part, down.weight[j], sum);
    }
    y[i] = add != nullptr ? sum + add[i] : sum;
}

} // namespace samc

// All f32.
extern "C" samc_status samc__upscale_bicubic_cuda(const samc__cuda *cuda, const samc__upscale_bicubic_args *a) {
    using namespace samc;
    SAMC_REQUIRE("upscale_bicubic", a->x.dtype == SAMC__F32 && a->y.dtype == SAMC__F32);
    SAMC_REQUIRE("upscale_bicubic", a->add.data == nullptr || a->add.dtype == SAMC__F32);
    const int64_t count = a->y.n[0] * a->y.n[1] * a->y.n[2] * a->y.n[3], blocks = tiles_of(count, kBicubicThreads);
    SAMC_REQUIRE("upscale_bicubic", blocks <= INT32_MAX && a->x.n[3] <= INT32_MAX);
    const BicubicShape s = {static_cast<int>(a->x.n[1]),
                            static_cast<int>(a->x.n[2]),
                            static_cast<int>(a->y.n[1]),
                            static_cast<int>(a->y.n[2]),
                            static_cast<int>(a->x.n[3]),
                            static_cast<float>(a->x.n[1]) / static_cast<float>(a->y.n[1]),
                            static_cast<float>(a->x.n[2]) / static_cast<float>(a->y.n[2]),
                            count};
    const char *problem = launch("upscale_bicubic", upscale_bicubic, Grid{static_cast<unsigned>(blocks), 1, 1},
                                 kBicubicThreads, 0, cuda->stream, static_cast<const float *>(a->x.data),
                                 static_cast<const float *>(a->add.data), static_cast<float *>(a->y.data), s);
    return started(cuda, "upscale_bicubic", problem);
}
