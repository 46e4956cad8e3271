// grouped_linear on the GPU: a block is 32 rows of one group, whose matrix lies in shared memory. Bound by memory: a
// group of 32 channels has 32 multiply-adds for each value written.
#include "kernels/cuda/gemm_step.h"
#include "kernels/cuda/wrapper.h"
#include "kernels/grouped_linear/grouped_linear.h"

namespace samc {

constexpr int kGroupThreads = 256, kGroupRows = 32;

struct GroupShape {
    int m, groups, in, out;
};
SAMC_CONSTEXPR size_t group_bytes(const GroupShape &s) {
    return static_cast<size_t>(kGroupRows * s.in + s.out * (s.in + 1)) * sizeof(float);
}

// x [m, groups, in], w [groups, out, in], y [m, groups, out]. grid.x: blocks of rows times groups.
template <class T> SAMC_KERNEL(kGroupThreads, 4) grouped_linear(const T *x, const T *w, T *y, GroupShape s) {
    SAMC_SHARED(shared);
    float *rows = reinterpret_cast<float *>(shared); // [kGroupRows][in]
    float *matrix = rows + kGroupRows * s.in;        // [out][in + 1], so that lanes meet other banks
    const int thread = static_cast<int>(threadIdx.x), group = static_cast<int>(blockIdx.x) % s.groups,
              row0 = static_cast<int>(blockIdx.x) / s.groups * kGroupRows,
              count = s.m - row0 < kGroupRows ? s.m - row0 : kGroupRows;
    for (int i = thread; i < count * s.in; i += kGroupThreads)
        rows[i] = to_float(x[(static_cast<int64_t>(row0 + i / s.in) * s.groups + group) * s.in + i % s.in]);
    for (int i = thread; i < s.out * s.in; i += kGroupThreads)
        matrix[i / s.in * (s.in + 1) + i % s.in] = to_float(w[static_cast<int64_t>(group) * s.out * s.in + i]);
    __syncthreads(); // rows and matrix were written by everyone
    for (int i = thread; i < count * s.out; i += kGroupThreads) {
        const float *of = rows + i / s.out * s.in, *by = matrix + i % s.out * (s.in + 1);
        float sum = 0.0f;
        for (int k = 0; k < s.in; k++) sum = fmaf(of[k], by[k], sum);
        store(y + (static_cast<int64_t>(row0 + i / s.out) * s.groups + group) * s.out + i % s.out, sum);
    }
}

// ---- host ---------------------------------------------------------------------------------------

template <class T> static const char *grouped_run(const samc__cuda *cuda, const samc__grouped_linear_args *a) {
    const GroupShape s = {static_cast<int>(a->x.n[0]), a->groups, static_cast<int>(a->w.n[1]),
                          static_cast<int>(a->w.n[0] / a->groups)};
    const Grid grid = {static_cast<unsigned>(tiles_of(s.m, kGroupRows) * s.groups), 1, 1};
    return launch("grouped_linear", grouped_linear<T>, grid, kGroupThreads, group_bytes(s), cuda->stream,
                  static_cast<const T *>(a->x.data), static_cast<const T *>(a->w.data), static_cast<T *>(a->y.data), s);
}

} // namespace samc

// All views f32, all f16 or all bf16.
extern "C" samc_status samc__grouped_linear_cuda(const samc__cuda *cuda, const samc__grouped_linear_args *a) {
    using namespace samc;
    const samc__dtype type = a->x.dtype;
    SAMC_REQUIRE("grouped_linear", type == SAMC__F32 || type == SAMC__F16 || type == SAMC__BF16);
    SAMC_REQUIRE("grouped_linear", a->y.dtype == type && a->w.dtype == type);
    SAMC_REQUIRE("grouped_linear",
                 a->x.n[0] <= INT32_MAX - kGroupRows && tiles_of(a->x.n[0], kGroupRows) * a->groups <= INT32_MAX);
    const char *problem = type == SAMC__F32   ? grouped_run<float>(cuda, a)
                          : type == SAMC__F16 ? grouped_run<f16>(cuda, a)
                                              : grouped_run<bf16>(cuda, a);
    return started(cuda, "grouped_linear", problem);
}
