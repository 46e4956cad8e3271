// add_rows on the GPU: four neighbours for each thread where rows are whole fours, else one.
#include "kernels/cuda/device.h"
#include "kernels/cuda/wrapper.h"
#include "kernels/add_rows/add_rows.h"

namespace samc {

constexpr int kAddThreads = 256;

// y = x [m, c] + b [c], both flat: `count` = m c. y may be x.
template <class T>
SAMC_KERNEL(kAddThreads, 4)
add_rows_vectors(const T *x, const float *b, T *y, int64_t count, int c) {
    const int64_t i = (static_cast<int64_t>(blockIdx.x) * kAddThreads + threadIdx.x) * 4;
    if (i >= count) return;
    f32x4 v = load4(x + i), added = load4(b + i % c);
    store4(y + i, {v.x + added.x, v.y + added.y, v.z + added.z, v.w + added.w});
}

template <class T> SAMC_KERNEL(kAddThreads, 4) add_rows_any(const T *x, const float *b, T *y, int64_t count, int c) {
    const int64_t i = static_cast<int64_t>(blockIdx.x) * kAddThreads + threadIdx.x;
    if (i < count) store(y + i, to_float(x[i]) + b[i % c]);
}

template <class T> static samc_status add_rows_run(const samc__cuda *cuda, const samc__add_rows_args *a) {
    const int64_t count = a->x.n[0] * a->x.n[1];
    const bool vectors = a->x.n[1] % 4 == 0 && aligned16(a->x.data) && aligned16(a->b.data) && aligned16(a->y.data);
    const int64_t blocks = (count / (vectors ? 4 : 1) + kAddThreads - 1) / kAddThreads;
    SAMC_REQUIRE("add_rows", blocks <= INT32_MAX && a->x.n[1] <= INT32_MAX);
    const char *problem =
        launch("add_rows", vectors ? add_rows_vectors<T> : add_rows_any<T>, Grid{static_cast<unsigned>(blocks), 1, 1},
               kAddThreads, 0, cuda->stream, static_cast<const T *>(a->x.data), static_cast<const float *>(a->b.data),
               static_cast<T *>(a->y.data), count, static_cast<int>(a->x.n[1]));
    return started(cuda, "add_rows", problem);
}

} // namespace samc

// x and y both f32, both f16 or both bf16; b f32. y may be x.
extern "C" samc_status samc__add_rows_cuda(const samc__cuda *cuda, const samc__add_rows_args *a) {
    using namespace samc;
    const samc__dtype type = a->x.dtype;
    SAMC_REQUIRE("add_rows", a->b.dtype == SAMC__F32 && a->y.dtype == type);
    SAMC_REQUIRE("add_rows", type == SAMC__F32 || type == SAMC__F16 || type == SAMC__BF16);
    return type == SAMC__F32   ? add_rows_run<float>(cuda, a)
           : type == SAMC__F16 ? add_rows_run<f16>(cuda, a)
                               : add_rows_run<bf16>(cuda, a);
}
