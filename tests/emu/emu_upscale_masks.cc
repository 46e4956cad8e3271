// The check of upscale_masks: prompts, grid, channels of src, of both maps, masks, type (0 f32, 1 f16, 2 bf16), the
// kernel that must serve it.
#include "emu_test.h"
#include "kernels/upscale_masks/cuda.h"
#include "kernels/upscale_masks/upscale_masks.h"

#include <cmath>
#include <utility>

namespace emu_test {

namespace {

struct Problem {
    int c, c4, c8, masks;
    const std::vector<float> &w1, &b1, &gain, &shift, &w2, &b2, &hyper;
    float eps;
};

template <class Real> Real gelu_of(Real x) { return Real(0.5) * x * (1 + std::erf(x * Real(0.70710678118654752440))); }

// A sum of products in double, or as the naive kernel adds them.
template <class Real, class Product> Real sum_of(int n, bool tensor, const Product &product) {
    if (sizeof(Real) == sizeof(double)) {
        double sum = 0;
        for (int k = 0; k < n; k++) {
            auto [a, b] = product(k);
            sum += double(a) * double(b);
        }
        return Real(sum);
    }
    tensor_sum sum = naive_sum(tensor);
    for (int k = 0; k < n; k++) {
        auto [a, b] = product(k);
        tensor_sum_add(&sum, float(a), float(b));
    }
    return Real(tensor_sum_end(&sum));
}

// The 4x4 logits of one token for every mask, [masks][4][4]. In float, what meets the second product is rounded to
// `type`, as a kernel in that precision must; the products by channels take tensor cores in 16 bits (`tensor`), those
// with the hypernetwork never do.
template <class Real>
void upscale(const Problem &p, samc__dtype type, bool tensor, const float *src, const float *hyper, Real *logits) {
    std::vector<Real> first(static_cast<size_t>(p.c4)), second(static_cast<size_t>(p.c8));
    for (int i = 0; i < 4; i++) {
        Real mean = 0, squares = 0;
        for (int o = 0; o < p.c4; o++) {
            Real sum = sum_of<Real>(p.c, tensor, [&](int k) {
                return std::make_pair(Real(src[k]), Real(p.w1[size_t((k * p.c4 + o) * 4 + i)]));
            });
            first[size_t(o)] = sum + Real(p.b1[size_t(o)]);
            mean += first[size_t(o)];
        }
        mean /= Real(p.c4);
        for (Real x : first) squares += (x - mean) * (x - mean);
        Real scale = 1 / std::sqrt(squares / Real(p.c4) + Real(p.eps));
        for (int o = 0; o < p.c4; o++) {
            Real x = gelu_of((first[size_t(o)] - mean) * scale * Real(p.gain[size_t(o)]) + Real(p.shift[size_t(o)]));
            first[size_t(o)] = sizeof(Real) == sizeof(float) ? Real(rounded(type, double(x))) : x;
        }
        for (int j = 0; j < 4; j++) {
            for (int o = 0; o < p.c8; o++) {
                Real sum = sum_of<Real>(p.c4, tensor, [&](int k) {
                    return std::make_pair(first[size_t(k)], Real(p.w2[size_t((k * p.c8 + o) * 4 + j)]));
                });
                second[size_t(o)] = gelu_of(sum + Real(p.b2[size_t(o)]));
            }
            for (int m = 0; m < p.masks; m++) {
                Real sum = 0;
                for (int o = 0; o < p.c8; o++) sum += Real(hyper[m * p.c8 + o]) * second[size_t(o)];
                logits[m * 16 + (i / 2 * 2 + j / 2) * 4 + i % 2 * 2 + j % 2] = sum;
            }
        }
    }
}

} // namespace

static void upscale_masks(const Case &c, uint64_t seed) {
    int prompts = c.p[0], grid = c.p[1], channels = c.p[2], c4 = c.p[3], c8 = c.p[4], masks = c.p[5], low = 4 * grid,
        tokens = grid * grid;
    samc__dtype type = samc__dtype(c.p[6]);
    Random random = {seed};
    Tensor src(type, size_t(prompts * tokens * channels), random, 0.1f, 1.0f);
    Tensor w1(type, size_t(channels * c4 * 4), random, 0.0f, 1.0f / sqrtf(float(channels))),
        b1(SAMC__F32, size_t(c4), random, 0.0f, 0.3f);
    Tensor gain(SAMC__F32, size_t(c4), random, 1.0f, 0.3f), shift(SAMC__F32, size_t(c4), random, 0.0f, 0.3f);
    Tensor w2(type, size_t(c4 * c8 * 4), random, 0.0f, 1.0f / sqrtf(float(c4))),
        b2(SAMC__F32, size_t(c8), random, 0.0f, 0.3f);
    Tensor hyper(SAMC__F32, size_t(prompts * masks * c8), random, 0.0f, 1.0f),
        y(SAMC__F32, size_t(prompts * masks * low * low));
    samc__upscale_masks_args args = {};
    args.src = src.view(samc__view3(nullptr, prompts, tokens, channels));
    args.up1 = {w1.view(samc__view4(nullptr, channels, c4, 2, 2)), b1.view(samc__view1(nullptr, c4))};
    args.norm = {gain.view(samc__view1(nullptr, c4)), shift.view(samc__view1(nullptr, c4)), 1e-6f};
    args.up2 = {w2.view(samc__view4(nullptr, c4, c8, 2, 2)), b2.view(samc__view1(nullptr, c8))};
    args.hyper = hyper.view(samc__view3(nullptr, prompts, masks, c8));
    args.y = y.view(samc__view4(nullptr, prompts, masks, low, low));
    args.grid = grid;
    if (samc__upscale_masks_cuda_kernel(type, channels, c4, c8, masks, grid) != c.p[7]) failed("another kernel");
    samc__cuda cuda = device();
    work(samc__upscale_masks_flops(&args));
    if (samc__upscale_masks_cuda(&cuda, &args) != SAMC_OK) failed("not accepted");
    if (emu::now.counters.bank_conflicts)
        failed("%llu bank conflicts of ldmatrix", (unsigned long long)emu::now.counters.bank_conflicts);

    for (size_t i = 0; i < y.count; i++)
        if (std::isnan(y.at(i))) failed("logit %zu not written or NaN", i);
    Problem p = {channels,  c4,         c8,      masks,   w1.host,    b1.host,
                 gain.host, shift.host, w2.host, b2.host, hyper.host, args.norm.eps};
    std::vector<float> got;
    int step = prompts * tokens > 300   ? 61
               : prompts * tokens > 100 ? 7
                                        : 1; // a prime step meets every position in a warp and a row in turn
    for (int token = 0; token < prompts * tokens; token += step)
        for (int m = 0; m < masks; m++)
            for (int i = 0; i < 16; i++) {
                int row = token % tokens / grid * 4 + i / 4, column = token % grid * 4 + i % 4;
                got.push_back(y.at(size_t(((token / tokens * masks + m) * low + row) * low + column)));
            }
    hold(got,
         expected(c,
                  [&] {
                      Expected is;
                      std::vector<double> one(size_t(masks * 16));
                      std::vector<float> naive(size_t(masks * 16));
                      for (int token = 0; token < prompts * tokens; token += step) {
                          const float *from = src.host.data() + size_t(token) * size_t(channels),
                                      *vectors = hyper.host.data() + size_t(token / tokens * masks * c8);
                          upscale(p, type, false, from, vectors, one.data());
                          upscale(p, type, c.p[7] == SAMC__UPSCALE_CELLS, from, vectors, naive.data());
                          is.exact.insert(is.exact.end(), one.begin(), one.end());
                          is.naive.insert(is.naive.end(), naive.begin(), naive.end());
                      }
                      return is;
                  }),
         last_place(SAMC__F32));
    for (const Tensor *t : {&src, &w1, &b1, &gain, &shift, &w2, &b2, &hyper, &y}) t->device->check();
}

enum { F32 = 0, F16 = 1, BF16 = 2, ANY = SAMC__UPSCALE_ANY, CELLS = SAMC__UPSCALE_CELLS };

static const Check check("upscale_masks", "prompts grid c c4 c8 masks type kernel",
                         {
                             // The general kernel: tokens that do not fill a block, odd channels, many masks.
                             {false, {1, 1, 1, 1, 1, 1, F32, ANY}},
                             {false, {2, 3, 20, 7, 3, 5, F32, ANY}},
                             {false, {1, 3, 256, 64, 32, 3, F32, ANY}},
                             {false, {3, 3, 36, 9, 5, 2, BF16, ANY}},
                             {false, {1, 4, 128, 32, 16, 4, F16, ANY}},
                             {false, {1, 8, 128, 32, 16, 5, BF16, ANY}},
                             // One warp's tokens in one image row, in two; every number of masks.
                             {false, {1, 8, 256, 64, 32, 3, BF16, CELLS}},
                             {false, {2, 8, 256, 64, 32, 1, F16, CELLS}},
                             {false, {1, 16, 128, 32, 16, 4, F16, CELLS}},
                             {false, {3, 8, 128, 32, 16, 2, BF16, CELLS}},
                             {true, {2, 32, 128, 32, 16, 3, BF16, CELLS}},
                             {true, {2, 64, 256, 64, 32, 4, F16, CELLS}},
                             {true, {1, 64, 256, 64, 32, 3, BF16, CELLS}},
                         },
                         upscale_masks);

} // namespace emu_test
