// The check of layernorm: m, c, dtypes of x and y (0 f32, 1 f16, 2 bf16), mean of x in deviations, y in place of x.
#include "emu_test.h"
#include "kernels/layernorm/layernorm.h"

#include <cmath>

namespace emu_test {

static void layernorm(const Case &c, uint64_t seed) {
    size_t m = size_t(c.p[0]), n = size_t(c.p[1]);
    samc__dtype in = samc__dtype(c.p[2]), out = samc__dtype(c.p[3]);
    Random random = {seed};
    Tensor x(in, m * n, random, float(c.p[4]), 1.0f), g(SAMC__F32, n, random, 1.0f, 0.3f),
        b(SAMC__F32, n, random, 0.0f, 0.3f), own_y(out, c.p[5] ? 1 : m * n);
    const Tensor &y = c.p[5] ? x : own_y;
    samc__layernorm_args args = {};
    int64_t rows = int64_t(m), columns = int64_t(n);
    args.x = x.view(samc__view2(nullptr, rows, columns));
    args.y = y.view(samc__view2(nullptr, rows, columns));
    args.norm.g = g.view(samc__view1(nullptr, columns));
    args.norm.b = b.view(samc__view1(nullptr, columns));
    args.norm.eps = 1e-6f;
    samc__cuda cuda = device();
    if (samc__layernorm_cuda(&cuda, &args) != SAMC_OK) failed("not accepted");

    std::vector<double> exact(m * n);
    for (size_t row = 0; row < m; row++) {
        const float *t = x.host.data() + row * n;
        double mean = 0, squares = 0;
        for (size_t i = 0; i < n; i++) mean += double(t[i]) / double(n);
        for (size_t i = 0; i < n; i++) squares += std::pow(t[i] - mean, 2) / double(n);
        for (size_t i = 0; i < n; i++)
            exact[row * n + i] = (t[i] - mean) / std::sqrt(squares + double(args.norm.eps)) * g.host[i] + b.host[i];
    }
    // The naive kernel: the reference operator on the same inputs, its result rounded to the output's type.
    std::vector<float> naive(m * n);
    samc__layernorm_args host = args;
    host.x = samc__view2(x.host.data(), rows, columns);
    host.y = samc__view2(naive.data(), rows, columns);
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
    for (const Tensor *tensor : {&x, &g, &b, &own_y}) tensor->device->check();
}

static const Check check(
    "layernorm", "m c in out mean in_place",
    {
        // Widths of the general kernel (odd, beyond 1536) and of the vector kernel; rows that do not fill a block.
        {false, {1, 1, 0, 0, 0, 0}},
        {false, {3, 7, 1, 1, 2, 0}},
        {false, {5, 4, 0, 2, 0, 0}},
        {false, {6, 132, 2, 2, 1, 0}},
        {false, {9, 768, 0, 1, 100, 0}},
        {false, {4, 1280, 2, 2, 3, 0}},
        {false, {2, 1536, 1, 1, 0, 0}},
        {false, {2, 1540, 0, 0, 1000, 0}},
        {false, {3, 7, 0, 1, 2, 0}},
        {false, {2, 5, 0, 2, 0, 0}},
        {false, {7, 256, 0, 2, 0, 0}},
        {false, {2, 1541, 0, 1, 0, 0}},
        // In place: every dtype, by both kernels.
        {false, {2, 33, 0, 0, 0, 1}},
        {false, {3, 9, 2, 2, 0, 1}},
        {false, {4, 70, 1, 1, 1, 1}},
        {false, {5, 260, 0, 0, 1, 1}},
        {false, {3, 256, 1, 1, 0, 1}},
        {false, {5, 192, 2, 2, 1, 1}},
        {true, {196, 768, 0, 2, 1, 0}},
        {true, {256, 256, 2, 2, 1, 1}},
        {true, {130, 192, 1, 1, 1, 0}},
        // ViT-B and ViT-H, one image and four; the neck; the decoder's queries and keys of 64 prompts.
        {2, {4096, 768, 0, 2, 1, 0}},
        {2, {16384, 768, 0, 2, 1, 0}},
        {2, {4096, 1280, 0, 2, 1, 0}},
        {2, {16384, 1280, 0, 2, 1, 0}},
        {2, {16384, 256, 2, 2, 1, 1}},
        {2, {448, 256, 0, 0, 1, 1}},
        {2, {262144, 256, 2, 2, 1, 1}},
    },
    layernorm);

} // namespace emu_test
