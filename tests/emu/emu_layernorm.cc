// The check of layernorm: m, c, dtypes of x and y (0 f32, 1 f16, 2 bf16), mean of x in deviations, dtype of the
// residual (-1 none), sum (0 none, 1 its own, 2 in place of x).
#include "emu_test.h"

#include <cmath>

namespace emu_test {

static void layernorm(const Case &c, uint64_t seed) {
    size_t m = size_t(c.p[0]), n = size_t(c.p[1]);
    samc__dtype in = samc__dtype(c.p[2]), out = samc__dtype(c.p[3]);
    Random random = {seed};
    Tensor x(in, m * n, random, float(c.p[4]), 1.0f), g(SAMC__F32, n, random, 1.0f, 0.3f),
        b(SAMC__F32, n, random, 0.0f, 0.3f), y(out, m * n);
    bool with_residual = c.p[5] >= 0;
    samc__dtype other = with_residual ? samc__dtype(c.p[5]) : in;
    Tensor residual(other, with_residual ? m * n : 1, random, 0.0f, 1.0f), own_sum(in, c.p[6] == 1 ? m * n : 1);
    const Tensor &sum = c.p[6] == 2 ? x : own_sum;
    samc__layernorm_args args = {};
    int64_t rows = int64_t(m), columns = int64_t(n);
    args.x = x.view(samc__view2(nullptr, rows, columns));
    args.y = y.view(samc__view2(nullptr, rows, columns));
    args.norm.g = g.view(samc__view1(nullptr, columns));
    args.norm.b = b.view(samc__view1(nullptr, columns));
    args.norm.eps = 1e-6f;
    if (with_residual) args.residual = residual.view(samc__view2(nullptr, rows, columns));
    if (c.p[6]) args.sum = sum.view(samc__view2(nullptr, rows, columns));
    samc__cuda cuda = device();
    if (samc__layernorm_cuda(&cuda, &args) != SAMC_OK) failed("not accepted");

    std::vector<double> exact(m * n), t(m * n);
    std::vector<float> stored(m * n); // the sum, rounded to its type
    for (size_t i = 0; i < m * n; i++) {
        t[i] = x.host[i] + double(with_residual ? residual.host[i] : 0.0f);
        stored[i] = rounded(in, x.host[i] + (with_residual ? residual.host[i] : 0.0f));
        if (c.p[6] && sum.at(i) != stored[i]) failed("sum %zu is %g, not %g", i, double(sum.at(i)), double(stored[i]));
    }
    for (size_t row = 0; row < m; row++) {
        double mean = 0, squares = 0;
        for (size_t i = 0; i < n; i++) mean += t[row * n + i] / double(n);
        for (size_t i = 0; i < n; i++) squares += std::pow(t[row * n + i] - mean, 2) / double(n);
        for (size_t i = 0; i < n; i++)
            exact[row * n + i] =
                (t[row * n + i] - mean) / std::sqrt(squares + double(args.norm.eps)) * g.host[i] + b.host[i];
    }
    // The naive kernel: the reference operator on the same inputs, its result rounded to the output's type.
    std::vector<float> naive(m * n);
    samc__layernorm_args host = args;
    host.x = samc__view2(x.host.data(), rows, columns);
    host.y = samc__view2(naive.data(), rows, columns);
    host.sum = {};
    if (with_residual) host.residual = samc__view2(residual.host.data(), rows, columns);
    host.norm.g = samc__view1(g.host.data(), columns);
    host.norm.b = samc__view1(b.host.data(), columns);
    if (samc__layernorm_ref(&reference, &host) != SAMC_OK) failed("the reference failed");
    for (float &v : naive) v = rounded(out, v);
    Error e = compare(y, exact), limit = compare(naive, exact);
    report("%-66s error %.1e rms %.1e, naive %.1e rms %.1e\n", emu::config.what.c_str(), e.largest, e.rms,
           limit.largest, limit.rms);
    // Where the naive result happens to be exact (one channel, a few elements) an error in the last place must be
    // allowed.
    double step = out == SAMC__F32 ? 0x1p-22 : out == SAMC__F16 ? 0x1p-10 : 0x1p-7;
    if (e.missing || e.largest > 2 * limit.largest + step || e.rms > 2 * limit.rms + step / 8)
        failed("error %.2e rms %.2e, allowed twice %.2e rms %.2e; %zu elements not written", e.largest, e.rms,
               limit.largest, limit.rms, e.missing);
    for (const Tensor *tensor : {&x, &g, &b, &y, &residual, &own_sum}) tensor->device->check();
}

static const Check check(
    "layernorm", "m c in out mean residual sum",
    {
        // Widths of the general kernel (odd, beyond 1536) and of the vector kernel; rows that do not fill a block.
        {false, {1, 1, 0, 0, 0, -1, 0}},
        {false, {3, 7, 1, 1, 2, -1, 0}},
        {false, {5, 4, 0, 2, 0, -1, 0}},
        {false, {6, 132, 2, 2, 1, -1, 0}},
        {false, {9, 768, 0, 1, 100, -1, 0}},
        {false, {4, 1280, 2, 2, 3, -1, 0}},
        {false, {2, 1536, 1, 1, 0, -1, 0}},
        {false, {2, 1540, 0, 0, 1000, -1, 0}},
        // The residual: every dtype beside f32, all of 16 bits, by both kernels, in place.
        {false, {3, 7, 0, 1, 2, 1, 2}},
        {false, {2, 5, 0, 2, 0, -1, 0}},
        {false, {2, 33, 0, 0, 0, 1, 1}},
        {false, {2, 3, 0, 0, 0, 2, 2}},
        {false, {4, 70, 0, 2, 1, 2, 0}},
        {false, {3, 256, 0, 1, 0, 1, 2}},
        {false, {3, 192, 0, 0, 0, 2, 1}},
        {false, {5, 260, 0, 0, 1, 0, 1}},
        {false, {7, 256, 0, 2, 0, 2, 2}},
        {false, {6, 132, 0, 0, 3, 1, 0}},
        {false, {2, 1541, 0, 1, 0, 0, 1}},
        {false, {5, 192, 1, 1, 1, 1, 2}},
        {false, {3, 9, 2, 2, 0, 2, 1}},
        {true, {196, 768, 0, 2, 1, 2, 2}},
        {true, {196, 768, 0, 2, 1, -1, 0}},
        {true, {256, 256, 2, 2, 1, -1, 0}},
        {true, {130, 192, 1, 1, 1, -1, 0}},
        // ViT-B and ViT-H, one image and four; the neck; the decoder's queries and keys of 64 prompts.
        {2, {4096, 768, 0, 2, 1, -1, 0}},
        {2, {4096, 768, 0, 2, 1, 2, 2}},
        {2, {16384, 768, 0, 2, 1, -1, 0}},
        {2, {4096, 1280, 0, 2, 1, -1, 0}},
        {2, {16384, 1280, 0, 2, 1, -1, 0}},
        {2, {16384, 1280, 0, 2, 1, 2, 2}},
        {2, {16384, 256, 2, 2, 1, -1, 0}},
        {2, {448, 256, 0, 0, 1, 0, 0}},
        {2, {262144, 256, 2, 2, 1, -1, 0}},
    },
    layernorm);

} // namespace emu_test
