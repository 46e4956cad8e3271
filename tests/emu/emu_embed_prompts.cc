// The check of embed_prompts: prompts, points of each, C, img_size, mask tokens. Labels go round from -1 to 3; some
// points lie far outside the image.
#include "emu_test.h"
#include "kernels/embed_prompts/embed_prompts.h"

#include <cmath>

namespace emu_test {

static void embed_prompts(const Case &c, uint64_t seed) {
    size_t prompts = size_t(c.p[0]), sparse = size_t(c.p[1]), channels = size_t(c.p[2]), half = channels / 2,
           own = 1 + size_t(c.p[4]), tokens = own + sparse;
    Random random = {seed};
    Tensor xy(SAMC__F32, 2 * prompts * sparse + 1, random, float(c.p[3]) / 2, float(c.p[3])),
        gaussian(SAMC__F32, channels, random, 0, 1.5f);
    Tensor y(SAMC__F32, prompts * tokens * channels), pe(SAMC__F32, y.count),
        first(SAMC__F32, own * channels, random, 0, 1);
    std::vector<Tensor> tables; // of the labels -1 to 3
    for (int i = 0; i < 5; i++) tables.emplace_back(SAMC__F32, channels, random, 0.0f, 0.5f);
    emu::Buffer labels((prompts * sparse + 1) * sizeof(int32_t));
    for (size_t i = 0; i < prompts * sparse; i++) labels.as<int32_t>()[i] = int32_t((i + prompts) % 5) - 1;
    samc__embed_prompts_args args = {}, host = {};
    std::vector<float> naive(y.count), naive_pe(y.count);
    for (samc__embed_prompts_args *a : {&args, &host}) {
        bool device = a == &args;
        auto view = [&](const Tensor &t, samc__view shape, size_t at = 0) {
            shape.data = (device ? t.device->as<float>() : const_cast<float *>(t.host.data())) + at;
            return shape;
        };
        a->xy = device ? xy.device->as<float>() : xy.host.data();
        a->labels = labels.as<int32_t>();
        a->img_size = c.p[3];
        a->gaussian = view(gaussian, samc__view2(nullptr, 2, int64_t(half)));
        a->not_a_point = view(tables[0], samc__view1(nullptr, int64_t(channels)));
        for (size_t i = 0; i < 4; i++) a->label_embed[i] = view(tables[i + 1], samc__view1(nullptr, int64_t(channels)));
        a->iou_token = view(first, samc__view1(nullptr, int64_t(channels)));
        a->mask_tokens = view(first, samc__view2(nullptr, int64_t(own) - 1, int64_t(channels)), channels);
        a->queries = samc__view3(device ? y.device->as<float>() : naive.data(), int64_t(prompts), int64_t(tokens),
                                 int64_t(channels));
        a->pe = samc__view3(device ? pe.device->as<float>() : naive_pe.data(), int64_t(prompts), int64_t(tokens),
                            int64_t(channels));
    }
    samc__cuda cuda = device();
    if (samc__embed_prompts_cuda(&cuda, &args) != SAMC_OK) failed("not accepted");
    if (samc__embed_prompts_ref(&reference, &host) != SAMC_OK) failed("reference");

    std::vector<double> exact(y.count);
    for (size_t row = 0; row < prompts * tokens; row++)
        for (size_t i = 0; i < half; i++) {
            size_t token = row % tokens, point = token < own ? 0 : row / tokens * sparse + token - own;
            int label = token < own ? -1 : labels.as<int32_t>()[point];
            const float *table = token < own ? &first.host[token * channels] : tables[size_t(label + 1)].host.data();
            double u = 2 * (xy.host[2 * point] + 0.5) / c.p[3] - 1, v = 2 * (xy.host[2 * point + 1] + 0.5) / c.p[3] - 1;
            double angle = 2 * M_PI * (u * gaussian.host[i] + v * gaussian.host[half + i]), real = label < 0 ? 0 : 1;
            exact[row * channels + i] = real * std::sin(angle) + table[i];
            exact[row * channels + half + i] = real * std::cos(angle) + table[half + i];
        }
    for (size_t i = 0; i < y.count; i++)
        if (y.at(i) != pe.at(i)) failed("element %zu: the query is %g, its position encoding %g", i, y.at(i), pe.at(i));
    Error e = compare(y, exact), limit = compare(naive, exact);
    report("%-66s error %.1e rms %.1e, naive %.1e rms %.1e\n", emu::config.what.c_str(), e.largest, e.rms,
           limit.largest, limit.rms);
    if (e.missing || e.largest > 2 * limit.largest + 0x1p-22 || e.rms > 2 * limit.rms + 0x1p-24)
        failed("error %.2e rms %.2e, allowed twice %.2e rms %.2e; %zu elements not written", e.largest, e.rms,
               limit.largest, limit.rms, e.missing);
    for (const Tensor *t : {&xy, &gaussian, &y, &pe, &first}) t->device->check();
    labels.check();
}

static const Check check("embed_prompts", "prompts points C img masks",
                         {
                             {0, {1, 1, 2, 7, 1}},
                             {0, {3, 4, 258, 512, 4}},
                             {0, {5, 0, 64, 512, 4}},
                             {0, {32, 2, 256, 1024, 4}},
                             {1, {320, 2, 256, 1024, 4}},
                         },
                         embed_prompts);

} // namespace emu_test
