// The check of nms: boxes, kind (0 scattered, 1 crowded on a coarse grid: equal boxes and equal overlaps, 2 without
// area or inside out, 3 NaN and infinity), threshold in thousandths. Equal to the reference to the bit.
#include "emu_test.h"
#include "kernels/nms/nms.h"

#include <cmath>

namespace emu_test {

static void nms(const Case &c, uint64_t seed) {
    size_t count = size_t(c.p[0]);
    Random random = {seed};
    std::vector<float> boxes(4 * count);
    std::vector<int32_t> order(count);
    for (size_t i = 0; i < count; i++) {
        float x = random.uniform() * 1000, y = random.uniform() * 700, w = 20 + random.uniform() * 200,
              h = 20 + random.uniform() * 200;
        if (c.p[1] == 1)
            x = std::floor(x / 100) * 50, y = std::floor(y / 100) * 50, w = 100, h = 50 + std::floor(h / 100) * 50;
        if (c.p[1] == 2) w = float(random.bits() % 3) * 40 - 40, h = float(random.bits() % 3) * 40 - 40;
        float box[4] = {x, y, x + w, y + h};
        if (c.p[1] == 3 && random.bits() % 3 == 0) box[random.bits() % 4] = random.bits() % 2 ? NAN : INFINITY;
        std::copy(box, box + 4, &boxes[4 * i]);
        order[i] = int32_t(i);
    }
    for (size_t i = count; i > 1; i--) std::swap(order[i - 1], order[random.bits() % i]);
    std::unique_ptr<emu::Buffer> device_boxes = upload(boxes), device_order = upload(order);
    emu::Buffer keep(count);
    samc__nms_args args = {device_boxes->as<float>(), device_order->as<int32_t>(), int64_t(count), c.p[2] / 1000.0,
                           keep.as<uint8_t>()};
    emu::Buffer scratch(samc__nms_cuda_scratch(&args));
    samc__cuda cuda = device(scratch);
    if (samc__nms_cuda(&cuda, &args) != SAMC_OK) failed("not accepted");

    std::vector<uint8_t> expected(count + 1);
    samc__nms_args host = args;
    host.boxes = boxes.data(), host.order = order.data(), host.keep = expected.data();
    if (samc__nms_ref(&reference, &host) != SAMC_OK) failed("the reference failed");
    size_t kept = 0;
    for (size_t i = 0; i < count; i++) {
        kept += expected[i];
        if (keep.as<uint8_t>()[i] != expected[i]) failed("box %zu: %d, not %d", i, keep.as<uint8_t>()[i], expected[i]);
    }
    report("%-66s %zu kept\n", emu::config.what.c_str(), kept);
    for (const emu::Buffer *b : {device_boxes.get(), device_order.get(), &keep, &scratch}) b->check();
}

static const Check check("nms", "count kind threshold",
                         {
                             {false, {0, 0, 700}},
                             {false, {1, 0, 700}},
                             {false, {2, 1, 500}},
                             {false, {32, 1, 333}},
                             {false, {33, 1, 500}},
                             {false, {100, 0, 100}},
                             {false, {257, 1, 200}},
                             {false, {300, 0, 300}},
                             {false, {70, 2, 0}},
                             {false, {70, 2, -1000}},
                             {false, {90, 3, 700}},
                             {true, {1100, 1, 700}},
                             {true, {3072, 0, 700}},
                         },
                         nms);

} // namespace emu_test
