// unit_rows on the GPU: one warp for each row of x [m, c], read twice.
#include "kernels/cuda/device.h"
#include "kernels/cuda/wrapper.h"
#include "kernels/unit_rows/unit_rows.h"

namespace samc {

constexpr int kUnitRows = 4; // of a block, a warp each

// x, y [m, c]; y may lie in place of x: a lane reads again what it alone writes.
SAMC_KERNEL(kUnitRows * 32, 4)
unit_rows(const float *x, float *y, int64_t m, int c, float eps) {
    const int lane = static_cast<int>(threadIdx.x) % 32;
    const int64_t row = static_cast<int64_t>(blockIdx.x) * kUnitRows + threadIdx.x / 32;
    if (row >= m) return;
    float squares = 0.0f;
    for (int i = lane; i < c; i += 32) squares = fmaf(x[row * c + i], x[row * c + i], squares);
    const float length = sqrtf(warp_sum(squares)) + eps;
    for (int i = lane; i < c; i += 32) y[row * c + i] = x[row * c + i] / length;
}

} // namespace samc

extern "C" samc_status samc__unit_rows_cuda(const samc__cuda *cuda, const samc__unit_rows_args *a) {
    using namespace samc;
    const int64_t blocks = (a->x.n[0] + kUnitRows - 1) / kUnitRows;
    SAMC_REQUIRE("unit_rows", a->x.dtype == SAMC__F32 && a->y.dtype == SAMC__F32);
    SAMC_REQUIRE("unit_rows", blocks <= INT32_MAX && a->x.n[1] <= INT32_MAX);
    return started(cuda, "unit_rows",
                   launch("unit_rows", unit_rows, Grid{static_cast<unsigned>(blocks), 1, 1}, kUnitRows * 32, 0,
                          cuda->stream, static_cast<const float *>(a->x.data), static_cast<float *>(a->y.data),
                          a->x.n[0], static_cast<int>(a->x.n[1]), a->eps));
}
