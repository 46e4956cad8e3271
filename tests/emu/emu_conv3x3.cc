// The check of conv3x3: images, grid, channels in, out, type (0 f32, 1 f16, 2 bf16), whether y is f32, the kernel that
// must serve it.
#include "emu_test.h"
#include "kernels/conv3x3/conv3x3.h"
#include "kernels/conv3x3/cuda.h"

#include <cmath>

namespace emu_test {

// The weight as cuDNN takes it: the same numbers, [c_out, 3, 3, c_in].
static void by_tap(const Tensor &w, samc__view view) {
    Tensor turned(w.dtype, w.count);
    samc__cuda cuda = device();
    if (samc__conv3x3_by_tap_cuda(&cuda, view, turned.device->data()) != SAMC_OK)
        failed("the weight by tap: not accepted");
    size_t c_in = size_t(view.n[1]);
    for (size_t i = 0; i < w.count; i++) {
        size_t o = i / (9 * c_in), channel = i / 9 % c_in, tap = i % 9;
        if (!(turned.at((o * 9 + tap) * c_in + channel) == w.host[i]))
            failed("the weight by tap: output %zu, channel %zu, tap %zu", o, channel, tap);
    }
    turned.device->check();
}

static void conv3x3(const Case &c, uint64_t seed) {
    int64_t images = c.p[0], grid = c.p[1], c_in = c.p[2], c_out = c.p[3], pixels = images * grid * grid;
    samc__dtype type = samc__dtype(c.p[4]), of_y = c.p[5] ? SAMC__F32 : type;
    Random random = {seed};
    Tensor x(type, size_t(pixels * c_in), random, 0.0f, 1.0f),
        w(type, size_t(c_out * c_in * 9), random, 0.0f, 1.0f / sqrtf(9 * float(c_in)));
    Tensor y(of_y, size_t(pixels * c_out));
    samc__conv3x3_args args = {};
    args.x = x.view(samc__view3(nullptr, images, grid * grid, c_in));
    args.w = w.view(samc__view4(nullptr, c_out, c_in, 3, 3));
    args.y = y.view(samc__view3(nullptr, images, grid * grid, c_out));
    args.grid = int(grid);
    if (samc__conv3x3_cuda_kernel(pixels, c_in, c_out, type, true) != c.p[6]) failed("another kernel");
    emu::Buffer scratch(samc__conv3x3_cuda_scratch(&args));
    samc__cuda cuda = device(scratch);
    work(samc__conv3x3_flops(&args));
    if (samc__conv3x3_cuda(&cuda, &args) != SAMC_OK) failed("not accepted");
    if (c.tier == 0) by_tap(w, args.w);
    if (emu::now.counters.bank_conflicts)
        failed("%llu bank conflicts of ldmatrix", (unsigned long long)emu::now.counters.bank_conflicts);

    // The naive kernel: one sum in order, rounded to y's type. Of large problems a prime step of outputs is compared;
    // whatever was not written is NaN and is found anyway.
    size_t step = y.count * size_t(c_in) > 1000000 ? 61 : 1;
    if (y.count * size_t(c_in) > 100000000) step = 1021;
    std::vector<float> got;
    for (size_t i = 0; i < y.count; i++) {
        if (std::isnan(y.at(i)))
            failed("pixel %zu, channel %zu not written or NaN", i / size_t(c_out), i % size_t(c_out));
        if (i % step == 0) got.push_back(y.at(i));
    }
    hold(got,
         expected(c,
                  [&] {
                      Expected is;
                      for (size_t i = 0; i < y.count; i += step) {
                          int64_t pixel = int64_t(i) / c_out, o = int64_t(i) % c_out, py = pixel / grid % grid,
                                  px = pixel % grid;
                          double sum = 0;
                          tensor_sum low = naive_sum(c.p[6] != SAMC__CONV3X3_ANY);
                          for (int64_t channel = 0; channel < c_in; channel++)
                              for (int tap = 0; tap < 9; tap++) {
                                  int dy = tap / 3 - 1, dx = tap % 3 - 1;
                                  if (py + dy < 0 || py + dy >= grid || px + dx < 0 || px + dx >= grid) continue;
                                  float from = x.host[size_t((pixel + dy * grid + dx) * c_in + channel)],
                                        weight = w.host[size_t((o * c_in + channel) * 9 + tap)];
                                  sum += double(from) * double(weight);
                                  tensor_sum_add(&low, from, weight);
                              }
                          is.exact.push_back(sum);
                          is.naive.push_back(rounded(of_y, tensor_sum_end(&low)));
                      }
                      return is;
                  }),
         last_place(of_y));
    for (const Tensor *t : {&x, &w, &y}) t->device->check();
    scratch.check();
}

enum { F32 = 0, F16 = 1, BF16 = 2, ANY = SAMC__CONV3X3_ANY, LARGE = SAMC__CONV3X3_LARGE, SMALL = SAMC__CONV3X3_SMALL };

static const Check check("conv3x3", "images grid c_in c_out type y_f32 kernel",
                         {
                             // The general kernel: one pixel, odd channels, tiles across images.
                             {false, {1, 1, 1, 1, F32, 0, ANY}},
                             {false, {3, 5, 7, 9, F32, 0, ANY}},
                             {false, {2, 6, 3, 70, BF16, 0, ANY}},
                             {false, {1, 3, 64, 6, F16, 1, ANY}},
                             // 64 x 64 tiles: borders of several images in one tile, ragged in both directions.
                             {false, {1, 1, 64, 4, F16, 0, SMALL}},
                             {false, {5, 5, 64, 68, BF16, 0, SMALL}},
                             {false, {1, 9, 128, 36, F16, 1, SMALL}},
                             // 128 x 128 tiles: many images.
                             {true, {12, 32, 64, 20, BF16, 0, LARGE}},
                             {true, {12, 32, 64, 20, F16, 1, LARGE}},
                             {true, {1, 32, 128, 128, F16, 0, SMALL}},
                             {true, {1, 64, 256, 256, BF16, 0, SMALL}},
                         },
                         conv3x3);

} // namespace emu_test
