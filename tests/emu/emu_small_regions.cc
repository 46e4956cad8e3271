// The check of small_regions: masks, width, height, kind (0 noise, 1 sparse noise, 2 dense noise, 3 empty, 4 full, 5
// diagonals, 6 spiral, 7 combs), min_area. Equal to the reference.
#include "emu_test.h"
#include "kernels/small_regions/small_regions.h"

namespace emu_test {

// A spiral one pixel wide: the longest component that there is.
static bool spiral(int x, int y, int width, int height) {
    int ring = std::min(std::min(x, y), std::min(width - 1 - x, height - 1 - y));
    if (x == ring && y == ring + 1 && ring % 2 == 0) return false;
    return ring % 2 == 0 || (x == ring && y == ring + 1);
}

static bool pixel_of(int kind, int x, int y, int width, int height, Random &random) {
    switch (kind) {
    case 0:
        return random.bits() % 2;
    case 1:
        return random.bits() % 6 == 0;
    case 2:
        return random.bits() % 6 != 0;
    case 4:
        return true;
    case 5:
        return (x + y) % 4 == 0 || (x - y + 4 * height) % 9 == 0;
    case 6:
        return spiral(x, y, width, height);
    case 7:
        return y % 8 == 0 || (x % 2 == 0 && y % 8 < 6 && (x / 2) % 5 != 0);
    default:
        return false;
    }
}

static void small_regions(const Case &c, uint64_t seed) {
    size_t masks = size_t(c.p[0]);
    int width = c.p[1], height = c.p[2];
    size_t words = size_t(width + 63) / 64, size = words * size_t(height);
    Random random = {seed};
    std::vector<uint64_t> bits(masks * size);
    for (size_t m = 0; m < masks; m++)
        for (int y = 0; y < height; y++)
            for (int x = 0; x < width; x++)
                if (pixel_of(c.p[3], x, y, width, height, random))
                    bits[m * size + size_t(y) * words + size_t(x) / 64] |= uint64_t(1) << x % 64;
    std::unique_ptr<emu::Buffer> device_bits = upload(bits);
    emu::Buffer changed(masks);
    samc__small_regions_args args = {device_bits->as<uint64_t>(), int64_t(masks), height, width, c.p[4] / 10.0,
                                     changed.as<uint8_t>()};
    emu::Buffer scratch(samc__small_regions_cuda_scratch(&args));
    samc__cuda cuda = device(scratch);
    if (samc__small_regions_cuda(&cuda, &args) != SAMC_OK) failed("not accepted");

    std::vector<uint8_t> expected(masks);
    samc__small_regions_args host = args;
    host.bits = bits.data(), host.changed = expected.data();
    if (samc__small_regions_ref(&reference, &host) != SAMC_OK) failed("the reference failed");
    int64_t pixels = 0;
    for (size_t m = 0; m < masks; m++)
        if (args.changed[m] != expected[m]) failed("mask %zu: changed %d, not %d", m, args.changed[m], expected[m]);
    for (size_t i = 0; i < bits.size(); i++) {
        pixels += __builtin_popcountll(bits[i]);
        if (args.bits[i] != bits[i])
            failed("word %zu of row %zu: %016llx, not %016llx", i % words, i / words, (unsigned long long)args.bits[i],
                   (unsigned long long)bits[i]);
    }
    report("%-66s %lld pixels stay\n", emu::config.what.c_str(), (long long)pixels);
    for (const emu::Buffer *b : {device_bits.get(), &changed, &scratch}) b->check();
}

static const Check
    check("small_regions", "masks width height kind tenths",
          {
              {false, {1, 1, 1, 3, 20}},
              {false, {1, 1, 1, 4, 20}},
              {false, {3, 64, 33, 0, 45}},
              {false, {2, 65, 40, 1, 30}},
              {false, {2, 130, 37, 2, 50}},
              {false, {2, 63, 50, 1, 2000}}, // every island is small: the largest stays, the first of equals
              {false, {1, 200, 60, 0, 0}},
              {false, {1, 70, 70, 3, 100}},
              {false, {1, 70, 70, 4, 100000}},
              {false, {1, 129, 60, 5, 400}},
              {false, {1, 67, 61, 6, 15000}},
              {false, {1, 150, 64, 7, 900}},
              {false, {2, 700, 1, 0, 25}},
              {false, {2, 1, 700, 0, 25}},
              {true, {1, 2250, 1500, 2, 1000}},
              {true, {2, 1800, 1200, 5, 500}},
              {true, {1, 65535, 1, 0, 30}},
              {true, {1, 1, 65535, 0, 30}},
              {true, {45, 2250, 1500, 3, 1000}}, // more masks than the scratch holds at a time
          },
          small_regions);

} // namespace emu_test
