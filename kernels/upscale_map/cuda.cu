// upscale_map on the GPU, any shape: eight tokens in a block, their pixels after the first conv-transpose in shared
// memory, all sums in fp32. Four times a prompt's upscale_masks at most, and once an image.
#include "kernels/cuda/gelu.h"
#include "kernels/cuda/gemm_step.h"
#include "kernels/cuda/wrapper.h"
#include "kernels/upscale_map/upscale_map.h"

namespace samc {

constexpr int kMapTokens = 8, kMapThreads = 128;

struct MapShape {
    int in, middle, out, grid, gelu;
    int64_t tokens; // of all images
};
SAMC_CONSTEXPR size_t map_floats(const MapShape &s) {
    return static_cast<size_t>(kMapTokens) * (static_cast<size_t>(s.in) + 4 * static_cast<size_t>(s.middle));
}

// x [tokens, in], w1 [in, middle, 4], w2 [middle, out, 4], add and y [images, 4 grid * 4 grid, out]; add may be NULL or
// y.
template <class X, class T>
SAMC_KERNEL(kMapThreads, 4)
upscale_map(const X *x, const T *w1, const float *b1, const float *gain, const float *shift, float eps, const T *w2,
            const float *b2, const T *add, T *y, MapShape s) {
    SAMC_SHARED(shared);
    float *in = reinterpret_cast<float *>(shared); // [kMapTokens][in]
    float *first = in + kMapTokens * s.in;         // [kMapTokens][4 pixels][middle]
    const int thread = static_cast<int>(threadIdx.x), lane = thread % 32;
    const int64_t token0 = static_cast<int64_t>(blockIdx.x) * kMapTokens;
    const int count = s.tokens - token0 < kMapTokens ? static_cast<int>(s.tokens - token0) : kMapTokens;
    for (int i = thread; i < kMapTokens * s.in; i += kMapThreads)
        in[i] = i < count * s.in ? to_float(x[token0 * s.in + i]) : 0.0f;
    __syncthreads(); // the tokens were read by everyone

    for (int n = thread; n < 4 * s.middle; n += kMapThreads) { // channel n / 4, pixel n % 4, of all tokens
        float sum[kMapTokens];
        SAMC_UNROLL
        for (int t = 0; t < kMapTokens; t++) sum[t] = b1[n / 4];
        for (int k = 0; k < s.in; k++) {
            const float w = to_float(w1[static_cast<size_t>(k) * 4 * s.middle + n]);
            SAMC_UNROLL
            for (int t = 0; t < kMapTokens; t++) sum[t] = fmaf(in[t * s.in + k], w, sum[t]);
        }
        SAMC_UNROLL
        for (int t = 0; t < kMapTokens; t++) first[(t * 4 + n % 4) * s.middle + n / 4] = sum[t];
    }
    __syncthreads(); // every channel of a pixel is there
    for (int pixel = thread / 32; pixel < kMapTokens * 4; pixel += kMapThreads / 32) { // a warp each
        float *of = first + pixel * s.middle, sum = 0.0f, squares = 0.0f;
        for (int i = lane; i < s.middle; i += 32) sum += of[i];
        const float mean = warp_sum(sum) / static_cast<float>(s.middle);
        for (int i = lane; i < s.middle; i += 32) squares += (of[i] - mean) * (of[i] - mean);
        const float scale = 1.0f / sqrtf(warp_sum(squares) / static_cast<float>(s.middle) + eps);
        for (int i = lane; i < s.middle; i += 32) of[i] = gelu_erf((of[i] - mean) * scale * gain[i] + shift[i]);
    }
    __syncthreads(); // all pixels are normalised
    const int tokens = s.grid * s.grid, low = 4 * s.grid;
    for (int item = thread; item < 16 * s.out; item += kMapThreads) { // channel fastest, so that y is written in rows
        const int o = item % s.out, pixel = item / s.out / 4, under = item / s.out % 4;
        float sum[kMapTokens];
        SAMC_UNROLL
        for (int t = 0; t < kMapTokens; t++) sum[t] = b2[o];
        for (int k = 0; k < s.middle; k++) {
            const float w = to_float(w2[(static_cast<size_t>(k) * s.out + o) * 4 + under]);
            SAMC_UNROLL
            for (int t = 0; t < kMapTokens; t++) sum[t] = fmaf(first[(t * 4 + pixel) * s.middle + k], w, sum[t]);
        }
        SAMC_UNROLL
        for (int t = 0; t < kMapTokens; t++) {
            if (t >= count) continue;
            const int image = static_cast<int>((token0 + t) / tokens), token = static_cast<int>((token0 + t) % tokens),
                      row = token / s.grid * 4 + pixel / 2 * 2 + under / 2,
                      column = token % s.grid * 4 + pixel % 2 * 2 + under % 2;
            const size_t at = ((static_cast<size_t>(image) * low + row) * low + column) * s.out + o;
            float value = s.gelu ? gelu_erf(sum[t]) : sum[t];
            if (add != nullptr) value += to_float(add[at]);
            store(y + at, value);
        }
    }
}

// ---- host ---------------------------------------------------------------------------------------

template <class X, class T>
static const char *map_run(const samc__cuda *cuda, const samc__upscale_map_args *a, const MapShape &s) {
    const unsigned blocks = static_cast<unsigned>(tiles_of(s.tokens, kMapTokens));
    return launch("upscale_map", upscale_map<X, T>, Grid{blocks, 1, 1}, kMapThreads, map_floats(s) * sizeof(float),
                  cuda->stream, static_cast<const X *>(a->x.data), static_cast<const T *>(a->up1.w.data),
                  static_cast<const float *>(a->up1.b.data), static_cast<const float *>(a->norm.g.data),
                  static_cast<const float *>(a->norm.b.data), a->norm.eps, static_cast<const T *>(a->up2.w.data),
                  static_cast<const float *>(a->up2.b.data), static_cast<const T *>(a->add.data),
                  static_cast<T *>(a->y.data), s);
}

} // namespace samc

// y, add and both weights f32, f16 or bf16 alike; x of that type or f32; the rest f32.
extern "C" samc_status samc__upscale_map_cuda(const samc__cuda *cuda, const samc__upscale_map_args *a) {
    using namespace samc;
    const samc__dtype type = a->y.dtype, in = a->x.dtype;
    SAMC_REQUIRE("upscale_map", type == SAMC__F32 || type == SAMC__F16 || type == SAMC__BF16);
    SAMC_REQUIRE("upscale_map", in == type || in == SAMC__F32);
    SAMC_REQUIRE("upscale_map", a->up1.w.dtype == type && a->up2.w.dtype == type);
    SAMC_REQUIRE("upscale_map", a->add.data == nullptr || a->add.dtype == type);
    SAMC_REQUIRE("upscale_map", a->up1.b.dtype == SAMC__F32 && a->up2.b.dtype == SAMC__F32 && norm_is_float(a->norm));
    const MapShape s = {static_cast<int>(a->x.n[2]),
                        static_cast<int>(a->norm.g.n[0]),
                        static_cast<int>(a->y.n[2]),
                        a->grid,
                        a->gelu ? 1 : 0,
                        a->x.n[0] * a->x.n[1]};
    SAMC_REQUIRE("upscale_map", a->grid < 1 << 13 && s.tokens <= INT32_MAX);
    SAMC_REQUIRE("upscale_map", map_floats(s) * sizeof(float) <= 99 << 10);
    const char *problem = type == SAMC__F32                      ? map_run<float, float>(cuda, a, s)
                          : type == SAMC__F16 && in == SAMC__F32 ? map_run<float, f16>(cuda, a, s)
                          : type == SAMC__F16                    ? map_run<f16, f16>(cuda, a, s)
                          : in == SAMC__F32                      ? map_run<float, bf16>(cuda, a, s)
                                                                 : map_run<bf16, bf16>(cuda, a, s);
    return started(cuda, "upscale_map", problem);
}
