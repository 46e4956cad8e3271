// add_rows on the GPU: four neighbours for each thread where rows are whole fours, else one.
#include "kernels/cuda/device.h"
#include "kernels/cuda/wrapper.h"
#include "kernels/add_rows/add_rows.h"

namespace samc {

constexpr int kAddThreads = 256;

// y = x [m, c] + b [c], or x where b is NULL; flat: `count` = m c. y may be x.
template <class X, class Y>
SAMC_KERNEL(kAddThreads, 4)
add_rows_vectors(const X *x, const float *b, Y *y, int64_t count, int c) {
    const int64_t i = (static_cast<int64_t>(blockIdx.x) * kAddThreads + threadIdx.x) * 4;
    if (i >= count) return;
    f32x4 v = load4(x + i);
    if (b != nullptr) {
        const f32x4 added = load4(b + i % c);
        v = {v.x + added.x, v.y + added.y, v.z + added.z, v.w + added.w};
    }
    store4(y + i, v);
}

template <class X, class Y>
SAMC_KERNEL(kAddThreads, 4)
add_rows_any(const X *x, const float *b, Y *y, int64_t count, int c) {
    const int64_t i = static_cast<int64_t>(blockIdx.x) * kAddThreads + threadIdx.x;
    if (i < count) store(y + i, b != nullptr ? to_float(x[i]) + b[i % c] : to_float(x[i]));
}

template <class X, class Y> static samc_status add_rows_run(const samc__cuda *cuda, const samc__add_rows_args *a) {
    const int64_t count = a->x.n[0] * a->x.n[1];
    const bool vectors = a->x.n[1] % 4 == 0 && aligned16(a->x.data) && aligned16(a->b.data) && aligned16(a->y.data);
    const int64_t blocks = (count / (vectors ? 4 : 1) + kAddThreads - 1) / kAddThreads;
    SAMC_REQUIRE("add_rows", blocks <= INT32_MAX && a->x.n[1] <= INT32_MAX);
    const char *problem = launch("add_rows", vectors ? add_rows_vectors<X, Y> : add_rows_any<X, Y>,
                                 Grid{static_cast<unsigned>(blocks), 1, 1}, kAddThreads, 0, cuda->stream,
                                 static_cast<const X *>(a->x.data), static_cast<const float *>(a->b.data),
                                 static_cast<Y *>(a->y.data), count, static_cast<int>(a->x.n[1]));
    return started(cuda, "add_rows", problem);
}

} // namespace samc

// y f32, f16 or bf16; x of the same type or f32; b f32 or absent. y may be x where the types are the same.
extern "C" samc_status samc__add_rows_cuda(const samc__cuda *cuda, const samc__add_rows_args *a) {
    using namespace samc;
    const samc__dtype type = a->y.dtype;
    SAMC_REQUIRE("add_rows",
                 (a->b.data == nullptr || a->b.dtype == SAMC__F32) && (a->x.dtype == type || a->x.dtype == SAMC__F32));
    SAMC_REQUIRE("add_rows", type == SAMC__F32 || type == SAMC__F16 || type == SAMC__BF16);
    if (type == SAMC__F32) return add_rows_run<float, float>(cuda, a);
    const bool f32 = a->x.dtype == SAMC__F32;
    if (type == SAMC__F16) return f32 ? add_rows_run<float, f16>(cuda, a) : add_rows_run<f16, f16>(cuda, a);
    return f32 ? add_rows_run<float, bf16>(cuda, a) : add_rows_run<bf16, bf16>(cuda, a);
}
