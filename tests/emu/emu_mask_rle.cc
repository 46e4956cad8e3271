// The check of mask_rle: masks, width, height, kind (0 noise, 1 blobs, 2 empty, 3 full, 4 stripes, 5 checks), capacity.
// Equal to the reference; masks with more runs than fit are only counted, and nothing is written outside.
#include "emu_test.h"
#include "kernels/mask_rle/mask_rle.h"

namespace emu_test {

static bool pixel_of(int kind, int x, int y, int width, int height, Random &random) {
    switch (kind) {
    case 0:
        return random.bits() % 2;
    case 1:
        return (x - width / 3) * (x - width / 3) + (y - height / 2) * (y - height / 2) < width * height / 9 ||
               (x / 7 + y / 5) % 11 == 0;
    case 3:
        return true;
    case 4:
        return x % 3 == 1;
    case 5:
        return (x + y) % 2 == 0;
    default:
        return false;
    }
}

static void mask_rle(const Case &c, uint64_t seed) {
    size_t masks = size_t(c.p[0]);
    int width = c.p[1], height = c.p[2];
    int64_t capacity = c.p[4];
    size_t words = size_t(width + 63) / 64, size = words * size_t(height);
    Random random = {seed};
    std::vector<uint64_t> bits(masks * size);
    for (size_t m = 0; m < masks; m++)
        for (int y = 0; y < height; y++)
            for (int x = 0; x < width; x++)
                if (pixel_of(m % 2 && c.p[3] == 1 ? 0 : c.p[3], x, y, width, height, random))
                    bits[m * size + size_t(y) * words + size_t(x) / 64] |= uint64_t(1) << x % 64;
    std::unique_ptr<emu::Buffer> device_bits = upload(bits);
    emu::Buffer counts(masks * size_t(capacity) * sizeof(uint32_t)), lengths(masks * sizeof(int64_t));
    samc__mask_rle_args args = {
        device_bits->as<uint64_t>(), int64_t(masks), height, width, counts.as<uint32_t>(), capacity,
        lengths.as<int64_t>()};
    emu::Buffer scratch(samc__mask_rle_cuda_scratch(&args));
    samc__cuda cuda = device(scratch);
    if (samc__mask_rle_cuda(&cuda, &args) != SAMC_OK) failed("not accepted");

    std::vector<uint32_t> expected(masks * size_t(capacity));
    std::vector<int64_t> expected_lengths(masks);
    samc__mask_rle_args host = args;
    host.bits = bits.data(), host.counts = expected.data(), host.lengths = expected_lengths.data();
    if (samc__mask_rle_ref(&reference, &host) != SAMC_OK) failed("the reference failed");
    int64_t runs = 0;
    for (size_t m = 0; m < masks; m++) {
        int64_t want = expected_lengths[m];
        runs += want;
        if (args.lengths[m] != want)
            failed("mask %zu: %lld runs, not %lld", m, (long long)args.lengths[m], (long long)want);
        for (size_t i = 0, at = m * size_t(capacity); i < size_t(want) && want <= capacity; i++)
            if (args.counts[at + i] != expected[at + i])
                failed("mask %zu, run %zu: %u, not %u", m, i, args.counts[at + i], expected[at + i]);
    }
    report("%-66s %lld runs\n", emu::config.what.c_str(), (long long)runs);
    for (const emu::Buffer *b : {device_bits.get(), &counts, &lengths, &scratch}) b->check();
}

static const Check check("mask_rle", "masks width height kind capacity",
                         {
                             {false, {1, 1, 1, 2, 1}},
                             {false, {1, 1, 1, 3, 4}},
                             {false, {2, 63, 31, 0, 3000}},
                             {false, {3, 64, 32, 1, 2000}},
                             {false, {2, 65, 33, 1, 100}}, // the second one does not fit
                             {false, {3, 130, 100, 1, 9000}},
                             {false, {2, 100, 70, 2, 8}},
                             {false, {2, 100, 70, 3, 8}},
                             {false, {1, 90, 41, 4, 61}}, // just fits
                             {false, {1, 90, 41, 4, 60}},
                             {false, {1, 33, 20, 5, 700}},
                             {false, {2, 300, 1, 0, 400}},
                             {false, {2, 1, 300, 0, 400}},
                             {true, {3, 2250, 1500, 1, 400000}},
                             {true, {1, 65535, 1, 0, 70000}},
                             {true, {1, 1, 65535, 0, 70000}},
                         },
                         mask_rle);

} // namespace emu_test
