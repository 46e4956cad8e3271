// The check of embed_mask: prompts, images, grid, channels of both maps and of the result, type (0 f32, 1 f16, 2 bf16).
#include "emu_test.h"
#include "kernels/embed_mask/embed_mask.h"

#include <cmath>

namespace emu_test {

static void norm_gelu(std::vector<double> &x, const std::vector<float> &gain, const std::vector<float> &shift,
                      double eps) {
    double mean = 0, squares = 0;
    for (double v : x) mean += v / double(x.size());
    for (double v : x) squares += (v - mean) * (v - mean) / double(x.size());
    for (size_t i = 0; i < x.size(); i++) {
        double v = (x[i] - mean) / std::sqrt(squares + eps) * gain[i] + shift[i];
        x[i] = 0.5 * v * (1 + std::erf(v * std::sqrt(0.5)));
    }
}

static void embed_mask(const Case &c, uint64_t seed) {
    int64_t prompts = c.p[0], images = c.p[1], grid = c.p[2], c1 = c.p[3], c2 = c.p[4], channels = c.p[5],
            cells = grid * grid, low = 4 * grid;
    samc__dtype type = samc__dtype(c.p[6]);
    Random random = {seed};
    Tensor mask(SAMC__F32, size_t(prompts * low * low), random, 0.0f, 5.0f),
        image(type, size_t(images * cells * channels), random, 0.0f, 1.0f);
    Tensor w1(type, size_t(c1 * 4), random, 0.0f, 0.3f), b1(SAMC__F32, size_t(c1), random, 0.0f, 0.3f);
    Tensor g1(SAMC__F32, size_t(c1), random, 1.0f, 0.3f), s1(SAMC__F32, size_t(c1), random, 0.0f, 0.3f);
    Tensor w2(type, size_t(c2 * c1 * 4), random, 0.0f, 0.5f), b2(SAMC__F32, size_t(c2), random, 0.0f, 0.3f);
    Tensor g2(SAMC__F32, size_t(c2), random, 1.0f, 0.3f), s2(SAMC__F32, size_t(c2), random, 0.0f, 0.3f);
    Tensor w3(type, size_t(channels * c2), random, 0.0f, 0.3f), b3(SAMC__F32, size_t(channels), random, 0.0f, 0.3f);
    Tensor y(type, size_t(prompts * cells * channels));
    // The same arguments with tensors of the device and of the host: the reference operator is the naive kernel.
    std::vector<float> naive(y.count);
    auto arguments = [&](bool host) {
        auto at = [&](const Tensor &t, samc__view shape) {
            samc__view v = t.view(shape);
            if (!host) return v;
            v.data = const_cast<float *>(t.host.data());
            v.dtype = SAMC__F32;
            return v;
        };
        samc__embed_mask_args args = {};
        args.mask = at(mask, samc__view3(nullptr, prompts, low, low));
        args.conv1 = {at(w1, samc__view4(nullptr, c1, 1, 2, 2)), at(b1, samc__view1(nullptr, c1))};
        args.norm1 = {at(g1, samc__view1(nullptr, c1)), at(s1, samc__view1(nullptr, c1)), 1e-6f};
        args.conv2 = {at(w2, samc__view4(nullptr, c2, c1, 2, 2)), at(b2, samc__view1(nullptr, c2))};
        args.norm2 = {at(g2, samc__view1(nullptr, c2)), at(s2, samc__view1(nullptr, c2)), 1e-6f};
        args.conv3 = {at(w3, samc__view2(nullptr, channels, c2)), at(b3, samc__view1(nullptr, channels))};
        args.image = at(image, samc__view3(nullptr, images, cells, channels));
        args.y = host ? samc__view3(naive.data(), prompts, cells, channels)
                      : y.view(samc__view3(nullptr, prompts, cells, channels));
        args.grid = int(grid);
        return args;
    };
    samc__embed_mask_args args = arguments(false), host = arguments(true);
    samc__cuda cuda = device();
    work(samc__embed_mask_flops(&args));
    if (samc__embed_mask_cuda(&cuda, &args) != SAMC_OK) failed("not accepted");
    if (samc__embed_mask_ref(&reference, &host) != SAMC_OK) failed("the reference failed");

    // Of large problems a prime step of cells is compared; whatever was not written is NaN and is found anyway.
    int64_t step = prompts * cells > 2000 ? 61 : 1;
    std::vector<double> exact, first(static_cast<size_t>(c1)), second(static_cast<size_t>(c2));
    std::vector<float> low_precision, got;
    for (size_t i = 0; i < y.count; i++)
        if (std::isnan(y.at(i)))
            failed("cell %zu, channel %zu not written or NaN", i / size_t(channels), i % size_t(channels));
    for (int64_t cell = 0; cell < prompts * cells; cell += step) {
        int64_t prompt = cell / cells, py = cell % cells / grid, px = cell % grid;
        std::fill(second.begin(), second.end(), 0.0);
        for (int64_t pixel = 0; pixel < 4; pixel++) {
            for (int64_t i = 0; i < c1; i++) {
                first[size_t(i)] = b1.host[size_t(i)];
                for (int64_t tap = 0; tap < 4; tap++) {
                    int64_t row = py * 4 + pixel / 2 * 2 + tap / 2, column = px * 4 + pixel % 2 * 2 + tap % 2;
                    first[size_t(i)] +=
                        double(mask.host[size_t((prompt * low + row) * low + column)]) * w1.host[size_t(i * 4 + tap)];
                }
            }
            norm_gelu(first, g1.host, s1.host, 1e-6);
            for (int64_t o = 0; o < c2; o++)
                for (int64_t i = 0; i < c1; i++)
                    second[size_t(o)] += first[size_t(i)] * w2.host[size_t((o * c1 + i) * 4 + pixel)];
        }
        for (int64_t o = 0; o < c2; o++) second[size_t(o)] += b2.host[size_t(o)];
        norm_gelu(second, g2.host, s2.host, 1e-6);
        for (int64_t o = 0; o < channels; o++) {
            double sum = b3.host[size_t(o)] +
                         image.host[size_t((prompt / (prompts / images) * cells + cell % cells) * channels + o)];
            for (int64_t i = 0; i < c2; i++) sum += second[size_t(i)] * w3.host[size_t(o * c2 + i)];
            exact.push_back(sum);
            low_precision.push_back(rounded(type, naive[size_t(cell * channels + o)]));
            got.push_back(y.at(size_t(cell * channels + o)));
        }
    }
    Error e = compare(got, exact), limit = compare(low_precision, exact);
    report("%-66s error %.1e rms %.1e, naive %.1e rms %.1e\n", emu::config.what.c_str(), e.largest, e.rms,
           limit.largest, limit.rms);
    double last_place = type == SAMC__F32   ? 0x1p-22
                        : type == SAMC__F16 ? 0x1p-10
                                            : 0x1p-7; // where the naive result happens to be exact
    if (e.missing || e.largest > 2 * limit.largest + last_place || e.rms > 2 * limit.rms + last_place / 8)
        failed("error %.2e rms %.2e, allowed twice %.2e rms %.2e", e.largest, e.rms, limit.largest, limit.rms);
    for (const Tensor *t : {&mask, &image, &w1, &b1, &g1, &s1, &w2, &b2, &g2, &s2, &w3, &b3, &y}) t->device->check();
}

static const Check check(
    "embed_mask", "prompts images grid c1 c2 c type",
    {
        // One cell, blocks that are not full, channels that are not vectors; prompts of one and of several images.
        {false, {1, 1, 1, 1, 1, 1, 0}},
        {false, {2, 1, 3, 3, 5, 6, 0}},
        {false, {2, 2, 9, 4, 16, 132, 2}},
        {false, {1, 1, 5, 2, 7, 13, 1}},
        {false, {4, 2, 4, 4, 16, 256, 1}},
        {false, {1, 1, 9, 4, 16, 256, 0}},
        {true, {3, 1, 32, 4, 16, 128, 1}},
        {true, {2, 2, 64, 4, 16, 256, 2}},
    },
    embed_mask);

} // namespace emu_test
