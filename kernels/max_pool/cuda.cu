// max_pool on the GPU: four channels of a pixel for each thread where rows are whole fours, else one.
#include "kernels/cuda/device.h"
#include "kernels/cuda/wrapper.h"
#include "kernels/max_pool/max_pool.h"

namespace samc {

constexpr int kPoolThreads = 256;

// The larger of the two, NaN where one is.
SAMC_DEVICE float larger_of(float a, float b) { return b > a || b != b ? b : a; }

// Where pixel `pixel` of y [images * h, w] begins in x [images * 2 h, 2 w, step].
SAMC_DEVICE int64_t pooled_from(int64_t pixel, int w, int step) { return (pixel / w * 4 * w + pixel % w * 2) * step; }

// x [images, 2 h, 2 w, step], y [pixels, c], both read by fours.
template <class T>
SAMC_KERNEL(kPoolThreads, 4)
max_pool_vectors(const T *x, T *y, int64_t pixels, int w, int c, int step) {
    const int64_t i = (static_cast<int64_t>(blockIdx.x) * kPoolThreads + threadIdx.x) * 4;
    if (i >= pixels * c) return;
    const T *from = x + pooled_from(i / c, w, step) + i % c;
    f32x4 most = load4(from);
    SAMC_UNROLL
    for (int k = 1; k < 4; k++) {
        const f32x4 other = load4(from + (static_cast<int64_t>(k / 2) * 2 * w + k % 2) * step);
        most = {larger_of(most.x, other.x), larger_of(most.y, other.y), larger_of(most.z, other.z),
                larger_of(most.w, other.w)};
    }
    store4(y + i, most);
}

template <class T> SAMC_KERNEL(kPoolThreads, 4) max_pool_any(const T *x, T *y, int64_t pixels, int w, int c, int step) {
    const int64_t i = static_cast<int64_t>(blockIdx.x) * kPoolThreads + threadIdx.x;
    if (i >= pixels * c) return;
    const T *from = x + pooled_from(i / c, w, step) + i % c;
    float most = to_float(from[0]);
    SAMC_UNROLL
    for (int k = 1; k < 4; k++)
        most = larger_of(most, to_float(from[(static_cast<int64_t>(k / 2) * 2 * w + k % 2) * step]));
    store(y + i, most);
}

template <class T> static const char *max_pool_run(const samc__cuda *cuda, const samc__max_pool_args *a) {
    const int64_t count = samc__elements(a->y), step = a->x.n[3], c = a->y.n[3];
    const bool vectors = c % 4 == 0 && step % 4 == 0 && aligned16(a->x.data) && aligned16(a->y.data);
    const int64_t blocks = (count / (vectors ? 4 : 1) + kPoolThreads - 1) / kPoolThreads;
    if (blocks > INT32_MAX) return "too many blocks";
    return launch("max_pool", vectors ? max_pool_vectors<T> : max_pool_any<T>,
                  Grid{static_cast<unsigned>(blocks), 1, 1}, kPoolThreads, 0, cuda->stream,
                  static_cast<const T *>(a->x.data), static_cast<T *>(a->y.data), count / c,
                  static_cast<int>(a->y.n[2]), static_cast<int>(c), static_cast<int>(step));
}

} // namespace samc

// x and y both f32, both f16 or both bf16.
extern "C" samc_status samc__max_pool_cuda(const samc__cuda *cuda, const samc__max_pool_args *a) {
    using namespace samc;
    const samc__dtype type = a->y.dtype;
    SAMC_REQUIRE("max_pool", a->x.dtype == type && a->x.n[3] <= INT32_MAX && a->y.n[2] <= INT32_MAX / 4);
    SAMC_REQUIRE("max_pool", type == SAMC__F32 || type == SAMC__F16 || type == SAMC__BF16);
    return started(cuda, "max_pool",
                   type == SAMC__F32   ? max_pool_run<float>(cuda, a)
                   : type == SAMC__F16 ? max_pool_run<f16>(cuda, a)
                                       : max_pool_run<bf16>(cuda, a));
}
