// linear_attention on the GPU: a block for each head of each image. It sums up v k' over 32 keys at a time, each thread
// its own places of the [dim + 1, dim] sums, in registers; then 32 queries at a time read them from shared memory. All
// in fp32: products of f16 would leave its range.
#include "kernels/cuda/gemm_step.h"
#include "kernels/cuda/wrapper.h"
#include "kernels/linear_attention/linear_attention.h"

namespace samc {

constexpr int kHeadThreads = 256, kHeadMost = SAMC__LINEAR_ATTENTION_MOST, kHeadRows = 32;
constexpr int kHeadPlaces = (kHeadMost * (kHeadMost + 1) + kHeadThreads - 1) / kHeadThreads; // of a thread

struct HeadShape {
    int n, heads, sets, dim; // keys of an image; heads of a set
    float eps;
};
SAMC_CONSTEXPR size_t head_bytes(const HeadShape &s) {
    return (static_cast<size_t>(s.dim + 1) * static_cast<size_t>(s.dim) +
            static_cast<size_t>(kHeadRows) * static_cast<size_t>(2 * s.dim + 1)) *
           sizeof(float);
}

// set0, set1 [images, n, heads, 3, dim], y [images, n, sets * heads, dim]; set1 may be NULL. grid.x: images times
// heads.
template <class T> SAMC_KERNEL(kHeadThreads, 2) linear_attention(const T *set0, const T *set1, T *y, HeadShape s) {
    SAMC_SHARED(shared);
    const int thread = static_cast<int>(threadIdx.x), all = s.sets * s.heads, places = (s.dim + 1) * s.dim;
    const int image = static_cast<int>(blockIdx.x) / all, head = static_cast<int>(blockIdx.x) % all,
              wide = s.heads * 3 * s.dim;
    float *sums = reinterpret_cast<float *>(shared); // [dim + 1][dim], row v, column k; the last row that of ones
    float *left = sums + places;                     // [kHeadRows][dim], k or q behind the ReLU
    float *right = left + kHeadRows * s.dim;         // [kHeadRows][dim + 1], v and a one
    const T *qkv =
        (head < s.heads ? set0 : set1) + static_cast<int64_t>(image) * s.n * wide + head % s.heads * 3 * s.dim;
    float sum[kHeadPlaces] = {};
    for (int first = 0; first < s.n; first += kHeadRows) {
        const int keys = s.n - first < kHeadRows ? s.n - first : kHeadRows;
        for (int i = thread; i < keys * s.dim; i += kHeadThreads) {
            const T *k = qkv + static_cast<int64_t>(first + i / s.dim) * wide + s.dim + i % s.dim;
            const float value = to_float(k[0]);
            left[i] = value < 0.0f ? 0.0f : value; // NaN stays
            right[i / s.dim * (s.dim + 1) + i % s.dim] = to_float(k[s.dim]);
        }
        for (int i = thread; i < keys; i += kHeadThreads) right[i * (s.dim + 1) + s.dim] = 1.0f;
        __syncthreads(); // the keys were read by everyone
        SAMC_UNROLL
        for (int i = 0; i < kHeadPlaces; i++) {
            const int place = i * kHeadThreads + thread;
            if (place >= places) break;
            float part = 0.0f; // summed up apart, so that long sums round less
            for (int key = 0; key < keys; key++)
                part = fmaf(right[key * (s.dim + 1) + place / s.dim], left[key * s.dim + place % s.dim], part);
            sum[i] += part;
        }
        __syncthreads(); // everyone has left the keys before the next ones overwrite them
    }
    SAMC_UNROLL
    for (int i = 0; i < kHeadPlaces; i++)
        if (i * kHeadThreads + thread < places) sums[i * kHeadThreads + thread] = sum[i];
    for (int first = 0; first < s.n; first += kHeadRows) {
        const int queries = s.n - first < kHeadRows ? s.n - first : kHeadRows;
        for (int i = thread; i < queries * s.dim; i += kHeadThreads) {
            const float value = to_float(qkv[static_cast<int64_t>(first + i / s.dim) * wide + i % s.dim]);
            left[i] = value < 0.0f ? 0.0f : value;
        }
        __syncthreads(); // the sums, and the queries, were written by everyone
        for (int i = thread; i < queries * s.dim; i += kHeadThreads) {
            const float *q = left + i / s.dim * s.dim, *of = sums + i % s.dim * s.dim, *ones = sums + s.dim * s.dim;
            float above = 0.0f, below = 0.0f;
            for (int j = 0; j < s.dim; j++) {
                above = fmaf(of[j], q[j], above);
                below = fmaf(ones[j], q[j], below);
            }
            const int64_t row = static_cast<int64_t>(image) * s.n + first + i / s.dim;
            store(y + (row * all + head) * s.dim + i % s.dim, above / (below + s.eps));
        }
        __syncthreads(); // everyone has left the queries before the next ones overwrite them
    }
}

// ---- host ---------------------------------------------------------------------------------------

template <class T>
static const char *attention_run(const samc__cuda *cuda, const samc__linear_attention_args *a, const HeadShape &s) {
    const Grid grid = {static_cast<unsigned>(a->y.n[0] * s.sets * s.heads), 1, 1};
    return launch("linear_attention", linear_attention<T>, grid, kHeadThreads, head_bytes(s), cuda->stream,
                  static_cast<const T *>(a->qkv[0].data), static_cast<const T *>(a->qkv[1].data),
                  static_cast<T *>(a->y.data), s);
}

} // namespace samc

// All views f32, all f16 or all bf16.
extern "C" samc_status samc__linear_attention_cuda(const samc__cuda *cuda, const samc__linear_attention_args *a) {
    using namespace samc;
    const samc__dtype type = a->y.dtype;
    SAMC_REQUIRE("linear_attention", type == SAMC__F32 || type == SAMC__F16 || type == SAMC__BF16);
    SAMC_REQUIRE("linear_attention", a->qkv[0].dtype == type && (a->qkv[1].data == nullptr || a->qkv[1].dtype == type));
    SAMC_REQUIRE("linear_attention", a->y.n[1] <= INT32_MAX - kHeadRows && a->qkv[0].n[2] <= INT32_MAX &&
                                         a->y.n[0] * a->y.n[2] <= INT32_MAX);
    const HeadShape s = {static_cast<int>(a->y.n[1]), a->heads, samc__linear_attention_sets(a),
                         static_cast<int>(a->qkv[0].n[2] / (3 * a->heads)), a->eps};
    const char *problem = type == SAMC__F32   ? attention_run<float>(cuda, a, s)
                          : type == SAMC__F16 ? attention_run<f16>(cuda, a, s)
                                              : attention_run<bf16>(cuda, a, s);
    return started(cuda, "linear_attention", problem);
}
