// The check of select_masks: masks, of a thousand how many pass, kind (0 random, 1 NaN among them, 2 all pass whatever
// they are). Equal to the reference, and nothing is written behind what passed.
#include "emu_test.h"
#include "kernels/select_masks/select_masks.h"

#include <cmath>

namespace emu_test {

static void select_masks(const Case &c, uint64_t seed) {
    size_t count = size_t(c.p[0]);
    Random random = {seed};
    std::vector<float> iou(count);
    for (float &v : iou) v = c.p[2] == 1 && random.bits() % 4 == 0 ? NAN : random.uniform();
    if (count > 1) iou[count / 2] = 1.0f - float(c.p[1]) / 1000; // the threshold itself, which does not pass
    std::unique_ptr<emu::Buffer> device_iou = upload(iou);
    std::vector<int32_t> untouched(count, -7);
    std::unique_ptr<emu::Buffer> index = upload(untouched);
    emu::Buffer picked(sizeof(int32_t));
    samc__select_masks_args args = {device_iou->as<float>(),     int64_t(count),
                                    1.0f - float(c.p[1]) / 1000, c.p[2] == 2,
                                    index->as<int32_t>(),        picked.as<int32_t>()};
    samc__cuda cuda = device();
    if (samc__select_masks_cuda(&cuda, &args) != SAMC_OK) failed("not accepted");

    std::vector<int32_t> expected(untouched);
    int32_t want = -1;
    samc__select_masks_args host = args;
    host.iou = iou.data(), host.index = expected.data(), host.picked = &want;
    if (samc__select_masks_ref(&reference, &host) != SAMC_OK) failed("the reference failed");
    if (*args.picked != want) failed("%d pass, not %d", *args.picked, want);
    for (size_t i = 0; i < count; i++)
        if (args.index[i] != expected[i]) failed("index %zu: %d, not %d", i, args.index[i], expected[i]);
    report("%-66s %d pass\n", emu::config.what.c_str(), want);
    for (const emu::Buffer *b : {device_iou.get(), index.get(), &picked}) b->check();
}

static const Check check("select_masks", "masks pass kind",
                         {
                             {false, {1, 500, 0}},
                             {false, {1, 0, 2}},
                             {false, {33, 300, 0}},
                             {false, {192, 0, 0}},
                             {false, {1024, 700, 1}},
                             {false, {1025, 999, 0}},
                             {false, {1536, 400, 0}},
                             {false, {3072, 400, 2}},
                             {true, {65536, 100, 1}},
                         },
                         select_masks);

} // namespace emu_test
