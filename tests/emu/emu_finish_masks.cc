// The check of finish_masks: masks, low, img_size, width, height, kind (0 noise, 1 shapes, 2 all at the threshold, 3 an
// ulp beyond threshold +- offset, 4 NaN, infinite and huge, 5 all in, 6 all out, 7 all in, by
// little or by much), bits, index (2: and only half of them are picked, which alone are written), path. Equal to the
// reference to the bit.
#include "emu_test.h"
#include "kernels/finish_masks/finish_masks.h"

#include <cmath>

namespace emu_test {

// Logits as the decoder makes them: a blob of one sign with an undulating edge, saturated away from it.
static void draw(std::vector<float> &logits, size_t low, size_t masks, Random &random) {
    for (size_t m = 0; m < masks; m++) {
        float cx = random.uniform() * float(low), cy = random.uniform() * float(low),
              radius = (0.05f + 0.3f * random.uniform()) * float(low);
        for (size_t i = 0; i < low * low; i++) {
            float x = float(i % low) - cx, y = float(i / low) - cy, wave = 2 * std::sin(x * 0.3f) * std::cos(y * 0.2f);
            logits[m * low * low + i] =
                std::fmin(15.0f, std::fmax(-15.0f, (radius - std::sqrt(x * x + y * y) + wave) * 1.5f));
        }
    }
}

static void finish_masks(const Case &c, uint64_t seed) {
    size_t masks = size_t(c.p[0]), low = size_t(c.p[1]), rows = c.p[7] ? masks + 3 : masks;
    int img_size = c.p[2], width = c.p[3], height = c.p[4], kind = c.p[5], longest = std::max(width, height);
    float threshold = kind == 3 ? 0.99f : 0.0f;
    Random random = {seed};
    std::vector<float> logits(rows * low * low);
    for (size_t i = 0; i < logits.size(); i++) {
        float &v = logits[i];
        float sign = random.bits() % 2 ? 1.0f : -1.0f;
        v = kind == 0   ? 5 * random.normal()
            : kind == 5 ? 3 + random.uniform()
            : kind == 6 ? -3 - random.uniform()
            : kind == 7 ? (random.bits() % 2 ? 1.01f : 30.0f)
                        : threshold;
        if (kind == 3)
            v +=
                (i % (low * low) < low * low / 2 ? 1.0f : -1.0f) * (1.0f + 0x1p-23f * float(random.bits() % 8 ? 1 : 2));
        if (kind == 4)
            v = sign * (random.bits() % 9 == 0 ? INFINITY : random.bits() % 9 == 0 ? NAN : random.uniform() * 1e37f);
    }
    if (kind == 1) draw(logits, low, rows, random);
    std::vector<int32_t> index(masks);
    for (size_t i = 0; i < masks; i++) index[i] = int32_t(random.bits() % rows);

    size_t words = size_t(width + 63) / 64;
    std::unique_ptr<emu::Buffer> device_logits = upload(logits), device_index = upload(index);
    emu::Buffer bits(masks * size_t(height) * words * sizeof(uint64_t)), stats(masks * sizeof(samc__mask_stats));
    samc__finish_masks_args args = {};
    args.logits = samc__view3(device_logits->as<float>(), int64_t(rows), int64_t(low), int64_t(low));
    args.index = c.p[7] ? device_index->as<int32_t>() : nullptr;
    args.count = c.p[7] ? int64_t(masks) : 0;
    std::vector<int32_t> half = {int32_t(masks / 2)};
    std::unique_ptr<emu::Buffer> picked = upload(half);
    size_t written = c.p[7] == 2 ? masks / 2 : masks;
    args.picked = c.p[7] == 2 ? picked->as<int32_t>() : nullptr;
    const uint64_t untouched = 0x0123456789abcdef;
    for (size_t i = 0; i < masks * size_t(height) * words; i++) bits.as<uint64_t>()[i] = untouched;
    args.path = samc__mask_path(c.p[8]);
    args.img_size = img_size;
    args.new_width = std::max(1, int(width * (double(img_size) / longest) + 0.5));
    args.new_height = std::max(1, int(height * (double(img_size) / longest) + 0.5));
    args.width = width, args.height = height;
    args.threshold = threshold, args.offset = 1.0f;
    args.bits = c.p[6] ? bits.as<uint64_t>() : nullptr;
    args.stats = stats.as<samc__mask_stats>();
    samc__cuda cuda = device();
    if (samc__finish_masks_cuda(&cuda, &args) != SAMC_OK) failed("not accepted");

    std::vector<uint64_t> expected_bits(masks * size_t(height) * words);
    std::vector<samc__mask_stats> expected(masks);
    samc__finish_masks_args host = args;
    host.logits.data = logits.data();
    host.index = c.p[7] ? index.data() : nullptr;
    host.picked = c.p[7] == 2 ? half.data() : nullptr;
    host.bits = expected_bits.data(), host.stats = expected.data();
    std::fill(expected_bits.begin(), expected_bits.end(), untouched);
    if (samc__finish_masks_ref(&reference, &host) != SAMC_OK) failed("the reference failed");
    int64_t area = 0, between = 0;
    for (size_t m = 0; m < written; m++) {
        samc__mask_stats got = args.stats[m], want = expected[m];
        area += want.area, between += want.below - want.above;
        if (got.area != want.area || got.above != want.above || got.below != want.below)
            failed("mask %zu: area %lld above %lld below %lld, not %lld %lld %lld", m, (long long)got.area,
                   (long long)got.above, (long long)got.below, (long long)want.area, (long long)want.above,
                   (long long)want.below);
        if (got.x0 != want.x0 || got.y0 != want.y0 || got.x1 != want.x1 || got.y1 != want.y1)
            failed("mask %zu: box %d %d %d %d, not %d %d %d %d", m, got.x0, got.y0, got.x1, got.y1, want.x0, want.y0,
                   want.x1, want.y1);
    }
    for (size_t i = 0; i < expected_bits.size() && c.p[6]; i++)
        if (bits.as<uint64_t>()[i] != expected_bits[i])
            failed("word %zu of row %zu: %016llx, not %016llx", i % words, i / words,
                   (unsigned long long)bits.as<uint64_t>()[i], (unsigned long long)expected_bits[i]);
    report("%-78s %lld pixels, %lld within the offset\n", emu::config.what.c_str(), (long long)area,
           (long long)between);
    for (const emu::Buffer *b : {device_logits.get(), device_index.get(), &bits, &stats, picked.get()}) b->check();
}

static const Check
    check("finish_masks", "masks low img width height kind bits index path",
          {
              {false, {1, 1, 4, 1, 1, 0, 1, 0}},           {false, {2, 4, 16, 16, 9, 0, 1, 1}},
              {false, {3, 16, 64, 63, 64, 1, 1, 0}},       {false, {1, 16, 64, 200, 65, 0, 1, 0}},
              {false, {5, 32, 128, 300, 201, 1, 0, 1}},    {false, {5, 32, 128, 150, 101, 1, 1, 2}},
              {false, {1, 16, 64, 40, 30, 1, 1, 2}},       {false, {2, 8, 32, 129, 50, 2, 1, 0}},
              {false, {2, 64, 256, 400, 300, 1, 1, 0}},    {false, {1, 33, 130, 77, 51, 3, 1, 0}},
              {false, {2, 16, 64, 150, 100, 3, 1, 0}},     {false, {2, 16, 64, 150, 40, 4, 1, 0}},
              {false, {2, 64, 256, 31, 20, 1, 1, 0}}, // shrinks
              {false, {1, 16, 64, 4200, 3, 0, 1, 0}}, // two chunks, not whole
              {false, {1, 16, 64, 4097, 17, 5, 1, 0}},     {false, {1, 16, 64, 1, 300, 0, 1, 0}},
              {false, {2, 16, 64, 96, 70, 5, 1, 0}},       {false, {2, 16, 64, 96, 70, 6, 1, 0}},
              {false, {2, 16, 0, 150, 100, 1, 1, 0, 1}}, // one bilinear step
              {false, {2, 33, 0, 31, 70, 4, 1, 1, 1}},     {false, {2, 16, 0, 150, 100, 1, 1, 0, 2}}, // bicubic
              {false, {2, 16, 0, 150, 100, 7, 1, 0, 2}},   {false, {3, 33, 0, 31, 70, 0, 0, 1, 2}},
              {false, {2, 16, 0, 150, 40, 4, 1, 0, 2}},    {false, {2, 64, 0, 20, 15, 4, 1, 2, 2}},
              {false, {1, 4, 0, 1, 1, 0, 1, 0, 2}},        {false, {1, 16, 0, 4097, 17, 5, 1, 0, 2}},
              {true, {2, 256, 1024, 2250, 1500, 1, 1, 1}}, {true, {2, 256, 1024, 640, 480, 1, 1, 0}},
              {true, {2, 128, 512, 1200, 1800, 1, 1, 0}},  {true, {1, 256, 1024, 65535, 1, 0, 1, 0}},
              {true, {1, 256, 1024, 1, 65535, 0, 1, 0}},
          },
          finish_masks);

} // namespace emu_test
