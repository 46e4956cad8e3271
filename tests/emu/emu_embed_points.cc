// The check of embed_points: tokens, C, img_size. Labels go round from -1 to 3; some points lie far outside the image.
#include "emu_test.h"

#include <cmath>

namespace emu_test {

static void embed_points(const Case &c, uint64_t seed) {
    size_t tokens = size_t(c.p[0]), channels = size_t(c.p[1]), half = channels / 2;
    Random random = {seed};
    Tensor xy(SAMC__F32, 2 * tokens, random, float(c.p[2]) / 2, float(c.p[2])), gaussian(SAMC__F32, channels, random, 0, 1.5f), y(SAMC__F32, tokens * channels);
    std::vector<Tensor> tables; // of the labels -1 to 3
    for (int i = 0; i < 5; i++) tables.emplace_back(SAMC__F32, channels, random, 0.0f, 0.5f);
    emu::Buffer labels(tokens * sizeof(int32_t));
    for (size_t i = 0; i < tokens; i++) labels.as<int32_t>()[i] = int32_t((i + tokens) % 5) - 1;
    samc__embed_points_args args = {}, host = {};
    std::vector<float> naive(y.count);
    for (samc__embed_points_args *a : {&args, &host}) {
        bool device = a == &args;
        auto view = [&](const Tensor &t, samc__view shape) {
            shape.data = device ? t.device->data() : const_cast<float *>(t.host.data());
            return shape;
        };
        a->xy = device ? xy.device->as<float>() : xy.host.data();
        a->labels = labels.as<int32_t>();
        a->tokens = int64_t(tokens);
        a->img_size = c.p[2];
        a->gaussian = view(gaussian, samc__view2(nullptr, 2, int64_t(half)));
        a->not_a_point = view(tables[0], samc__view1(nullptr, int64_t(channels)));
        for (size_t i = 0; i < 4; i++) a->label_embed[i] = view(tables[i + 1], samc__view1(nullptr, int64_t(channels)));
        a->y = samc__view2(device ? y.device->as<float>() : naive.data(), int64_t(tokens), int64_t(channels));
    }
    samc__cuda cuda = device();
    if (samc__embed_points_cuda(&cuda, &args) != SAMC_OK) failed("not accepted");
    if (samc__embed_points_ref(&reference, &host) != SAMC_OK) failed("reference");

    std::vector<double> exact(y.count);
    for (size_t token = 0; token < tokens; token++)
        for (size_t i = 0; i < half; i++) {
            int label = labels.as<int32_t>()[token];
            double u = 2 * (xy.host[2 * token] + 0.5) / c.p[2] - 1, v = 2 * (xy.host[2 * token + 1] + 0.5) / c.p[2] - 1;
            double angle = 2 * M_PI * (u * gaussian.host[i] + v * gaussian.host[half + i]), real = label < 0 ? 0 : 1;
            exact[token * channels + i] = real * std::sin(angle) + tables[size_t(label + 1)].host[i];
            exact[token * channels + half + i] = real * std::cos(angle) + tables[size_t(label + 1)].host[half + i];
        }
    Error e = compare(y, exact), limit = compare(naive, exact);
    report("%-66s error %.1e rms %.1e, naive %.1e rms %.1e\n", emu::config.what.c_str(), e.largest, e.rms, limit.largest, limit.rms);
    if (e.missing || e.largest > 2 * limit.largest + 0x1p-22 || e.rms > 2 * limit.rms + 0x1p-24)
        failed("error %.2e rms %.2e, allowed twice %.2e rms %.2e; %zu elements not written", e.largest, e.rms, limit.largest, limit.rms, e.missing);
    for (const Tensor *t : {&xy, &gaussian, &y}) t->device->check();
    labels.check();
}

static const Check check("embed_points", "tokens C img_size", {
    {0, {1, 2, 7}},
    {0, {11, 258, 512}},
    {0, {64, 256, 1024}},
    {1, {640, 256, 1024}},
}, embed_points);

} // namespace emu_test
