// The check of add_rows: m, c, type (0 f32, 1 f16, 2 bf16), y in place of x (0, 1; 2: x f32 and no b). Equal to
// the bit: one sum, one rounding.
#include "emu_test.h"
#include "kernels/add_rows/add_rows.h"

namespace emu_test {

static void add_rows(const Case &c, uint64_t seed) {
    size_t m = size_t(c.p[0]), n = size_t(c.p[1]);
    samc__dtype type = samc__dtype(c.p[2]);
    Random random = {seed};
    const bool alone = c.p[3] == 2;
    Tensor x(alone ? SAMC__F32 : type, m * n, random, 0, 1), b(SAMC__F32, n, random, 0, 1), other(type, m * n);
    const Tensor &y = c.p[3] == 1 ? x : other;
    samc__add_rows_args args = {};
    args.x = x.view(samc__view2(nullptr, int64_t(m), int64_t(n)));
    if (!alone) args.b = b.view(samc__view1(nullptr, int64_t(n)));
    args.y = y.view(samc__view2(nullptr, int64_t(m), int64_t(n)));
    samc__cuda cuda = device();
    if (samc__add_rows_cuda(&cuda, &args) != SAMC_OK) failed("not accepted");
    for (size_t i = 0; i < m * n; i++)
        if (y.at(i) != rounded(type, double(alone ? x.host[i] : x.host[i] + b.host[i % n])))
            failed("row %zu, channel %zu", i / n, i % n);
    report("%-66s equal\n", emu::config.what.c_str());
    for (const Tensor *t : {&x, &b, &other}) t->device->check();
}

static const Check check("add_rows", "m c type in_place",
                         {
                             {0, {1, 1, 0, 0}},
                             {0, {5, 7, 1, 1}},
                             {0, {3, 5, 2, 0}},
                             {0, {3, 132, 2, 0}},
                             {0, {17, 256, 1, 1}},
                             {0, {9, 128, 0, 0}},
                             {0, {33, 64, 2, 2}},
                             {0, {3, 64, 1, 2}},
                             {0, {5, 7, 1, 2}},
                             {0, {1, 5, 2, 2}},
                             {0, {2, 12, 0, 2}},
                             {1, {1024, 128, 2, 0}},
                             {1, {4096, 256, 2, 1}},
                         },
                         add_rows);

} // namespace emu_test
