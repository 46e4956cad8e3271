// The check of linear: m, k, n, type of w (0 f32, 1 f16, 2 bf16), which of x, y, residual are f32 (bits 1, 2, 4;
// otherwise as w), act (0 none, 1 GELU, 2 ReLU), rows of the residual (0: none, -1: y is the residual), gap between the
// rows of x and y, no bias, the kernel that must serve it (PASS: the product alone, as cuBLASLt would, then bias and
// GELU in a second pass).
#include "emu_test.h"
#include "kernels/linear/cuda.h"
#include "kernels/linear/linear.h"

#include <algorithm>
#include <cmath>

namespace emu_test {

enum { PASS = 100 };

static samc_status compute(const samc__cuda &cuda, const samc__linear_args &args, int64_t kernel) {
    if (kernel == SAMC__LINEAR_GROUPS) return samc__linear_wgmma_cuda(&cuda, &args);
    if (kernel != PASS) return samc__linear_cuda(&cuda, &args);
    samc__linear_args product = args;
    product.p.b.data = nullptr;
    product.act = SAMC__ACT_NONE;
    samc_status status = samc__linear_cuda(&cuda, &product);
    return status == SAMC_OK ? samc__bias_gelu_cuda(&cuda, args.y, args.y_stride, args.p.b) : status;
}

static void linear(const Case &c, uint64_t seed) {
    int64_t m = c.p[0], k = c.p[1], n = c.p[2], r = c.p[6] < 0 ? m : c.p[6];
    bool in_place = c.p[6] < 0; // the residual's rows are dense
    int64_t x_stride = k + c.p[7], y_stride = in_place ? n : n + c.p[7];
    samc__dtype type = samc__dtype(c.p[3]);
    samc__dtype of_x = c.p[4] & 1 ? SAMC__F32 : type, of_r = c.p[4] & 4 ? SAMC__F32 : type;
    samc__dtype of_y = in_place ? of_r : c.p[4] & 2 ? SAMC__F32 : type;
    Random random = {seed};
    Tensor x(of_x, size_t((m - 1) * x_stride + k), random, 0.0f, 1.0f),
        w(type, size_t(n * k), random, 0.0f, 1.0f / sqrtf(float(k)));
    Tensor b(SAMC__F32, size_t(n), random, 0.0f, 0.5f), residual(of_r, size_t((r ? r : 1) * n), random, 0.0f, 1.0f);
    Tensor y(of_y, size_t((m - 1) * y_stride + n));
    samc__linear_args args = {};
    args.x = x.view(samc__view2(nullptr, m, k));
    args.p.w = w.view(samc__view2(nullptr, n, k));
    if (!c.p[8]) args.p.b = b.view(samc__view1(nullptr, n));
    if (r) args.residual = residual.view(samc__view2(nullptr, r, n));
    args.y = in_place ? args.residual : y.view(samc__view2(nullptr, m, n));
    if (c.p[7]) {
        args.x_stride = x_stride;
        args.y_stride = y_stride;
    }
    args.act = samc__act(c.p[5]);
    bool aligned = x_stride % 8 == 0 && k % 8 == 0 && n % 4 == 0 && y_stride % 4 == 0;
    samc__cuda cuda = device();
    if (c.p[9] == SAMC__LINEAR_GROUPS && cuda.capability != 90)
        return report("%-66s not on this GPU\n", emu::config.what.c_str());
    const bool asked = c.p[9] == PASS || c.p[9] == SAMC__LINEAR_GROUPS; // not by the shape
    if (!asked && type != SAMC__F32 && samc__linear_cuda_kernel(m, n, k, of_x == SAMC__F32, aligned) != c.p[9])
        failed("another kernel");
    work(samc__linear_flops(&args));
    if (compute(cuda, args, c.p[9]) != SAMC_OK) failed("not accepted");
    if (emu::now.counters.bank_conflicts)
        failed("%llu bank conflicts of ldmatrix", (unsigned long long)emu::now.counters.bank_conflicts);

    // The naive kernel: x in the weights' type, one sum in order, the epilogue in fp32, the result in y's type. Of
    // large problems a prime step of rows is compared; whatever was not written is NaN and is found anyway.
    int64_t step = m * n * k > 20000000 ? 61 : 1;
    const Tensor &out = in_place ? residual : y;
    std::vector<float> got;
    for (int64_t row = 0; row < m; row++)
        for (int64_t i = 0; i < n; i++) {
            float value = out.at(size_t(row * y_stride + i));
            if (std::isnan(value)) failed("row %d, column %d not written or NaN", int(row), int(i));
            if (row % step == 0) got.push_back(value);
        }
    hold(got,
         expected(c,
                  [&] {
                      Expected is;
                      for (int64_t row = 0; row < m; row += step)
                          for (int64_t i = 0; i < n; i++) {
                              double sum = 0, added = r ? residual.host[size_t(row % r * n + i)] : 0,
                                     bias = c.p[8] ? 0 : b.host[size_t(i)];
                              tensor_sum products = naive_sum(type != SAMC__F32 && c.p[9] != SAMC__LINEAR_ANY);
                              for (int64_t j = 0; j < k; j++) {
                                  float from = x.host[size_t(row * x_stride + j)], weight = w.host[size_t(i * k + j)];
                                  sum += double(from) * double(weight);
                                  tensor_sum_add(&products, rounded(type, from), weight);
                              }
                              sum += bias;
                              float low = tensor_sum_end(&products) + float(bias);
                              if (args.act == SAMC__ACT_GELU) {
                                  sum *= 0.5 * (1 + std::erf(sum * std::sqrt(0.5)));
                                  low *= 0.5f * (1 + std::erf(low * 0.70710678f));
                              }
                              if (args.act == SAMC__ACT_RELU) sum = std::max(sum, 0.0), low = std::max(low, 0.0f);
                              is.exact.push_back(sum + added);
                              is.naive.push_back(rounded(of_y, low + float(added)));
                          }
                      return is;
                  }),
         last_place(of_y));
    for (int64_t row = 0; row + 1 < m && !in_place; row++) // between the rows of y nothing is written
        for (int64_t i = n; i < y_stride; i++)
            if (!std::isnan(y.at(size_t(row * y_stride + i)))) failed("written behind row %d", int(row));
    for (const Tensor *t : {&x, &w, &b, &residual, &y}) t->device->check();
    if (in_place) return;

    // A row's result does not depend on how many come with it: the first rows alone, perhaps by another kernel, to the
    // bit.
    int64_t rows = std::min<int64_t>(m, 3);
    Tensor alone(of_y, size_t((rows - 1) * y_stride + n));
    args.x = x.view(samc__view2(nullptr, rows, k));
    args.y = alone.view(samc__view2(nullptr, rows, n));
    if (compute(cuda, args, c.p[9]) != SAMC_OK) failed("not accepted");
    for (int64_t row = 0; row < rows; row++)
        for (int64_t i = 0; i < n; i++)
            if (alone.at(size_t(row * y_stride + i)) != y.at(size_t(row * y_stride + i)))
                failed("row %d depends on the rows after it", int(row));
}

enum { F32 = 0, F16 = 1, BF16 = 2, X = 1, Y = 2, R = 4, GELU = 1, RELU = 2, SELF = -1 };
enum {
    ANY = SAMC__LINEAR_ANY,
    LARGE = SAMC__LINEAR_LARGE,
    SMALL = SAMC__LINEAR_SMALL,
    GROUPS = SAMC__LINEAR_GROUPS,
    TOKENS = SAMC__LINEAR_TOKENS
};

static const Check check(
    "linear", "m k n type f32 act residual stride no_bias kernel",
    {
        // The general kernel: every size ragged, every type; rows that are not whole vectors.
        {false, {1, 1, 1, F32, 0, 0, 0, 0, 0, ANY}},
        {false, {65, 33, 67, F32, 0, GELU, 5, 3, 0, ANY}},
        {false, {9, 40, 64, F32, 0, RELU, SELF, 0, 1, ANY}},
        {false, {3, 21, 6, F16, X | Y, GELU, 1, 1, 0, ANY}},
        {false, {5, 19, 6, F16, 0, 0, 0, 0, 0, ANY}},
        {false, {66, 24, 10, BF16, R, 0, 33, 0, 0, ANY}},
        {false, {7, 16, 8, BF16, Y, RELU, SELF, 4, 0, ANY}},
        // 64 x 64 tiles: one ragged tile, several, a k that ends within a stage; x f32 only with many columns.
        {false, {1, 8, 4, F16, 0, 0, 0, 0, 0, SMALL}},
        {false, {65, 200, 68, BF16, R | Y, GELU, 13, 8, 0, SMALL}},
        {false, {63, 264, 60, F16, 0, RELU, 0, 0, 1, SMALL}},
        {false, {5, 72, 516, BF16, X | Y | R, 0, SELF, 0, 0, SMALL}},
        {false, {70, 136, 576, F16, X, RELU, 0, 0, 0, SMALL}},
        // Sums as long as the MLP's, kept in fp32: here tensor cores lose most.
        {false, {3, 3072, 64, F16, Y, 0, 0, 0, 0, SMALL}},
        {false, {3, 2048, 4, BF16, Y, 0, 0, 0, 0, GROUPS}},
        // Tokens: heads and single tokens of a sequence.
        {false, {3, 256, 32, BF16, X | Y, 0, 0, 1024, 0, TOKENS}},
        {false, {35, 648, 36, F16, X | Y | R, RELU, SELF, 0, 0, TOKENS}},
        {false, {33, 8, 4, BF16, X, GELU, 11, 4, 0, ANY}},
        {false, {33, 8, 4, BF16, X, GELU, 11, 8, 0, TOKENS}},
        // The pass: rows that are no multiple of a block's, pieces of a row, no bias, rows apart.
        {false, {9, 40, 1032, BF16, 0, GELU, 0, 8, 0, PASS}},
        {false, {5, 24, 64, F16, 0, GELU, 0, 0, 1, PASS}},
        // Warpgroups: one ragged tile whose k ends within a stage and before the ring is full; more stages than
        // buffers; several tiles.
        {false, {3, 8, 4, BF16, 0, 0, 0, 0, 0, GROUPS}},
        {false, {70, 456, 260, F16, 0, GELU, 0, 8, 0, GROUPS}},
        {false, {129, 200, 516, BF16, R | Y, RELU, 43, 0, 1, GROUPS}},
        // 128 x 128 tiles: the smallest such problem; more stages than buffers.
        {false, {1030, 40, 1412, BF16, 0, 0, 0, 0, 0, LARGE}},
        {true, {4096, 192, 576, F16, 0, 0, 0, 0, 0, LARGE}},
        {true, {1030, 200, 1412, F16, R | Y, GELU, 515, 0, 0, LARGE}},
        {true, {1024, 192, 576, BF16, 0, 0, 0, 0, 0, SMALL}},
        {true, {1024, 192, 768, BF16, 0, GELU, 0, 0, 0, PASS}},
        {true, {256, 1280, 512, BF16, 0, GELU, 0, 0, 0, GROUPS}},
        {true, {448, 256, 2048, BF16, X | Y, RELU, 0, 0, 0, SMALL}},
        {true, {448, 2048, 256, BF16, X | Y | R, 0, SELF, 0, 0, TOKENS}},
        {true, {64, 256, 256, F16, X | Y, RELU, 0, 1536, 0, TOKENS}},
        {true, {4096, 768, 256, BF16, X, 0, 0, 0, 1, TOKENS}},
        {true, {256, 768, 768, F32, 0, GELU, 64, 0, 0, ANY}},
        // Layers of ViT-B and ViT-H: the hidden one by each way to its GELU, and two that cuBLASLt has, for comparison.
        {2, {4096, 768, 3072, BF16, 0, GELU, 0, 0, 0, LARGE}},
        {2, {4096, 1280, 5120, BF16, 0, GELU, 0, 0, 0, LARGE}},
        {2, {4096, 768, 3072, BF16, 0, GELU, 0, 0, 0, PASS}},
        {2, {4096, 1280, 5120, BF16, 0, GELU, 0, 0, 0, PASS}},
        {2, {4096, 768, 3072, BF16, 0, GELU, 0, 0, 0, GROUPS}},
        {2, {4096, 1280, 5120, BF16, 0, GELU, 0, 0, 0, GROUPS}},
        {2, {4096, 768, 2304, BF16, 0, 0, 0, 0, 0, LARGE}},
        {2, {4096, 3072, 768, BF16, Y | R, 0, 4096, 0, 0, LARGE}},
    },
    linear);

} // namespace emu_test
