// layernorm on the GPU: one warp for each row of x [m, c], statistics in fp32, variance in a second pass
// over the deviations.
//
// A row of up to 1536 channels stays in registers between the passes, so that it is read once; four neighbours per
// access. Other widths (more channels, or not a multiple of four) take the general kernel, which reads the row three
// times.
#include "kernels/cuda/device.h"
#include "kernels/cuda/wrapper.h"
#include "kernels/layernorm/layernorm.h"

namespace samc {

constexpr int kRowsPerBlock = 4; // one warp each
constexpr int kLaneVectors = 12; // four floats each, in registers: 12 * 4 * 32 = 1536 channels

// x, y [m, c], g, b [c]; y may lie in place of x. c a multiple of 4, at most 1536.
template <class In, class Out>
SAMC_KERNEL(kRowsPerBlock * 32, 4)
layernorm_registers(const In *x, const float *g, const float *b, float eps, Out *y, int64_t m, int c) {
    int lane = threadIdx.x % 32;
    int64_t row = static_cast<int64_t>(blockIdx.x) * kRowsPerBlock + threadIdx.x / 32;
    if (row >= m) return;
    f32x4 v[kLaneVectors];
    float total = 0.0f;
    SAMC_UNROLL
    for (int i = 0; i < kLaneVectors; i++) {
        int at = (i * 32 + lane) * 4;
        if (at >= c) continue;
        v[i] = load4(x + row * c + at);
        total += (v[i].x + v[i].y) + (v[i].z + v[i].w);
    }
    float mean = warp_sum(total) / static_cast<float>(c), squares = 0.0f;
    SAMC_UNROLL
    for (int i = 0; i < kLaneVectors; i++) {
        if ((i * 32 + lane) * 4 >= c) continue;
        v[i] = {v[i].x - mean, v[i].y - mean, v[i].z - mean, v[i].w - mean};
        squares += (v[i].x * v[i].x + v[i].y * v[i].y) + (v[i].z * v[i].z + v[i].w * v[i].w);
    }
    float scale = 1.0f / sqrtf(warp_sum(squares) / static_cast<float>(c) + eps);
    SAMC_UNROLL
    for (int i = 0; i < kLaneVectors; i++) {
        int at = (i * 32 + lane) * 4;
        if (at >= c) continue;
        f32x4 gain = load4(g + at), bias = load4(b + at);
        store4(y + row * c + at, {v[i].x * scale * gain.x + bias.x, v[i].y * scale * gain.y + bias.y,
                                  v[i].z * scale * gain.z + bias.z, v[i].w * scale * gain.w + bias.w});
    }
}

// The same for any c. Nothing is stored before the last pass: y may lie in place of x, which is read three times.
template <class In, class Out>
SAMC_KERNEL(kRowsPerBlock * 32, 4)
layernorm_any(const In *x, const float *g, const float *b, float eps, Out *y, int64_t m, int c) {
    int lane = threadIdx.x % 32;
    int64_t row = static_cast<int64_t>(blockIdx.x) * kRowsPerBlock + threadIdx.x / 32;
    if (row >= m) return;
    auto t = [&](int i) { return to_float(x[row * c + i]); };
    float total = 0.0f, squares = 0.0f;
    for (int i = lane; i < c; i += 32) total += t(i);
    float mean = warp_sum(total) / static_cast<float>(c);
    for (int i = lane; i < c; i += 32) squares += (t(i) - mean) * (t(i) - mean);
    float scale = 1.0f / sqrtf(warp_sum(squares) / static_cast<float>(c) + eps);
    for (int i = lane; i < c; i += 32) store(y + row * c + i, (t(i) - mean) * scale * g[i] + b[i]);
}

template <class In, class Out> static samc_status layernorm_run(const samc__cuda *cuda, const samc__layernorm_args *a) {
    int64_t m = a->x.n[0], c = a->x.n[1], blocks = (m + kRowsPerBlock - 1) / kRowsPerBlock;
    SAMC_REQUIRE("layernorm", blocks <= INT32_MAX && c <= INT32_MAX);
    const In *x = static_cast<const In *>(a->x.data);
    const float *g = static_cast<const float *>(a->norm.g.data), *b = static_cast<const float *>(a->norm.b.data);
    Out *y = static_cast<Out *>(a->y.data);
    bool vectors =
        c % 4 == 0 && c <= kLaneVectors * 4 * 32 && aligned16(x) && aligned16(g) && aligned16(b) && aligned16(y);
    const char *problem = launch("layernorm", vectors ? layernorm_registers<In, Out> : layernorm_any<In, Out>,
                                 Grid{static_cast<unsigned>(blocks), 1, 1}, kRowsPerBlock * 32, 0, cuda->stream, x, g,
                                 b, a->norm.eps, y, m, static_cast<int>(c));
    return started(cuda, "layernorm", problem);
}

} // namespace samc

// x f32 with y f32 or A, or both A (f16 or bf16); gain and bias f32.
extern "C" samc_status samc__layernorm_cuda(const samc__cuda *cuda, const samc__layernorm_args *a) {
    using namespace samc;
    SAMC_REQUIRE("layernorm", a->norm.g.dtype == SAMC__F32 && a->norm.b.dtype == SAMC__F32);
    samc__dtype in = a->x.dtype, out = a->y.dtype;
    SAMC_REQUIRE("layernorm", in == SAMC__F32 || in == SAMC__F16 || in == SAMC__BF16);
    SAMC_REQUIRE("layernorm", out == in || (in == SAMC__F32 && (out == SAMC__F16 || out == SAMC__BF16)));
    if (in == SAMC__F16) return layernorm_run<f16, f16>(cuda, a);
    if (in == SAMC__BF16) return layernorm_run<bf16, bf16>(cuda, a);
    if (out == SAMC__F16) return layernorm_run<float, f16>(cuda, a);
    if (out == SAMC__BF16) return layernorm_run<float, bf16>(cuda, a);
    return layernorm_run<float, float>(cuda, a);
}
