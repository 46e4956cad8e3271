// The check of preprocess: width, height, patch, grid, spare bytes after a row, black and white only, dtype of the
// patches, filter, range, squashed to the whole square. Equal to the reference's result rounded to the dtype, to the
// bit.
#include "emu_test.h"
#include "kernels/preprocess/preprocess.h"

namespace emu_test {

static void preprocess(const Case &c, uint64_t seed) {
    int width = c.p[0], height = c.p[1], side = c.p[2] * c.p[3], longest = std::max(width, height);
    samc__dtype dtype = samc__dtype(c.p[6]);
    Random random = {seed};
    size_t row = 3 * size_t(width) + size_t(c.p[4]);
    std::vector<uint8_t> rgb(row * size_t(height));
    for (uint8_t &v : rgb) v = c.p[5] ? uint8_t(random.bits() % 2 * 255) : uint8_t(random.bits());
    rgb.resize(rgb.size() - size_t(c.p[4])); // nothing is promised behind the last pixel
    std::unique_ptr<emu::Buffer> device_rgb = upload(rgb);
    int64_t tokens = int64_t(c.p[3]) * c.p[3], size = 3 * int64_t(c.p[2]) * c.p[2];
    Tensor patches(dtype, size_t(tokens * size));
    double scale = double(side) / longest;
    samc__preprocess_args args = {};
    args.rgb = device_rgb->as<uint8_t>(), args.row_bytes = ptrdiff_t(row);
    args.width = width, args.height = height;
    args.new_width = std::max(1, int(width * scale + 0.5)), args.new_height = std::max(1, int(height * scale + 0.5));
    if (c.p[9]) args.new_width = args.new_height = side;
    args.patch = c.p[2], args.grid = c.p[3];
    args.filter = samc__filter(c.p[7]), args.range = samc__range(c.p[8]);
    const float mean[3] = {123.675f, 116.28f, 103.53f}, deviation[3] = {58.395f, 57.12f, 57.375f};
    for (int i = 0; i < 3; i++) args.mean[i] = mean[i], args.std[i] = deviation[i];
    args.patches = patches.view(samc__view2(nullptr, tokens, size));
    emu::Buffer scratch(samc__preprocess_cuda_scratch(&args));
    samc__cuda cuda = device(scratch);
    if (samc__preprocess_cuda(&cuda, &args) != SAMC_OK) failed("not accepted");

    std::vector<float> expected(size_t(tokens * size));
    samc__preprocess_args host = args;
    host.rgb = rgb.data();
    host.patches = samc__view2(expected.data(), tokens, size);
    if (samc__preprocess_ref(&reference, &host) != SAMC_OK) failed("the reference failed");
    for (size_t i = 0; i < expected.size(); i++)
        if (!(patches.at(i) == rounded(dtype, expected[i])))
            failed("element %zu of patch %zu: %.9g, not %.9g", i % size_t(size), i / size_t(size),
                   double(patches.at(i)), double(rounded(dtype, expected[i])));
    report("%-66s %zu elements equal\n", emu::config.what.c_str(), expected.size());
    for (const emu::Buffer *b : {device_rgb.get(), patches.device.get(), &scratch}) b->check();
}

static const Check check("preprocess", "width height patch grid spare extreme dtype filter range squash",
                         {
                             {false, {1, 1, 4, 4, 0, 0, 0}},
                             {false, {2, 1, 4, 4, 1, 0, 1}},
                             {false, {64, 64, 16, 4, 0, 0, 0}}, // keeps its size
                             {false, {64, 31, 16, 4, 5, 1, 2}},
                             {false, {33, 64, 8, 8, 0, 0, 0}},
                             {false, {300, 7, 8, 8, 3, 0, 1}},
                             {false, {13, 500, 16, 4, 0, 1, 0}},
                             {false, {97, 61, 7, 5, 0, 0, 2}},
                             {false, {21, 30, 16, 4, 2, 0, 0}},
                             {false, {129, 128, 16, 8, 0, 0, 2}},
                             {false, {4000, 3, 16, 4, 1, 1, 0}},
                             {false, {97, 61, 8, 5, 3, 0, 0, 0, 1, 1}}, // Pillow's, other ranges
                             {false, {61, 97, 8, 5, 0, 0, 2, 0, 2, 0}},
                             {false, {30, 41, 8, 5, 1, 0, 1, 0, 1, 1}},
                             {false, {97, 61, 8, 5, 1, 0, 0, 1, 1, 1}}, // torch antialiased, floats
                             {false, {5, 700, 8, 5, 0, 1, 0, 1, 0, 0}},
                             {false, {40, 33, 8, 5, 0, 0, 1, 1, 2, 1}},
                             {false, {97, 61, 8, 5, 2, 0, 0, 2, 1, 1}}, // bytes
                             {false, {13, 9, 8, 5, 0, 0, 2, 2, 0, 1}},
                             {false, {97, 61, 8, 5, 0, 0, 0, 3, 1, 1}}, // bilinear
                             {false, {1, 30, 8, 5, 0, 0, 0, 3, 1, 1}},
                             {false, {97, 61, 8, 5, 5, 0, 0, 4, 2, 1}}, // cubic
                             {false, {200, 7, 8, 5, 0, 1, 0, 4, 0, 1}},
                             {false, {40, 1, 8, 5, 0, 1, 0, 4, 1, 1}},
                             {false, {13, 21, 8, 5, 0, 1, 2, 4, 2, 0}},
                             {true, {1800, 1200, 16, 64, 0, 0, 2, 1, 1, 1}},
                             {true, {1800, 1200, 16, 64, 0, 0, 2}},
                             {true, {640, 480, 16, 64, 3, 1, 1}},
                             {true, {1024, 683, 16, 64, 0, 0, 0}},
                             {true, {65535, 1, 16, 64, 0, 1, 0}},
                             {true, {1, 65535, 16, 64, 2, 0, 2}},
                         },
                         preprocess);

} // namespace emu_test
