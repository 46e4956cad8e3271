// The check of embed_grid: grid, C, type of y (0 f32, 1 f16, 2 bf16).
#include "emu_test.h"
#include "kernels/embed_grid/embed_grid.h"

#include <cmath>

namespace emu_test {

static void embed_grid(const Case &c, uint64_t seed) {
    int grid = c.p[0], channels = c.p[1], half = channels / 2;
    samc__dtype type = samc__dtype(c.p[2]);
    Random random = {seed};
    Tensor gaussian(SAMC__F32, size_t(channels), random, 0, 3), y(type, size_t(grid * grid * channels));
    samc__embed_grid_args args = {};
    args.gaussian = gaussian.view(samc__view2(nullptr, 2, half));
    args.y = y.view(samc__view2(nullptr, grid * grid, channels));
    args.grid = grid;
    samc__cuda cuda = device();
    if (samc__embed_grid_cuda(&cuda, &args) != SAMC_OK) failed("not accepted");

    std::vector<float> naive(y.count);
    samc__embed_grid_args host = args;
    host.gaussian.data = gaussian.host.data();
    host.y = samc__view2(naive.data(), grid * grid, channels);
    if (samc__embed_grid_ref(&reference, &host) != SAMC_OK) failed("reference");
    for (float &v : naive) v = rounded(type, v);
    std::vector<double> exact(y.count);
    for (int cell = 0; cell < grid * grid; cell++)
        for (int i = 0; i < half; i++) {
            double u = 2 * (cell % grid + 0.5) / grid - 1, v = 2 * (cell / grid + 0.5) / grid - 1;
            double angle = 2 * M_PI * (u * gaussian.host[size_t(i)] + v * gaussian.host[size_t(half + i)]);
            exact[size_t(cell * channels + i)] = std::sin(angle);
            exact[size_t(cell * channels + half + i)] = std::cos(angle);
        }
    Error e = compare(y, exact), limit = compare(naive, exact);
    report("%-66s error %.1e rms %.1e, naive %.1e rms %.1e\n", emu::config.what.c_str(), e.largest, e.rms,
           limit.largest, limit.rms);
    if (e.missing || e.largest > 2 * limit.largest + 0x1p-23 || e.rms > 2 * limit.rms + 0x1p-24)
        failed("error %.2e rms %.2e, allowed twice %.2e rms %.2e; %zu elements not written", e.largest, e.rms,
               limit.largest, limit.rms, e.missing);
    for (const Tensor *t : {&gaussian, &y}) t->device->check();
}

static const Check check("embed_grid", "grid C type",
                         {
                             {0, {1, 2, 0}},
                             {0, {3, 10, 2}},
                             {0, {5, 258, 1}},
                             {0, {8, 256, 0}},
                             {1, {32, 128, 2}},
                             {1, {64, 256, 2}},
                         },
                         embed_grid);

} // namespace emu_test
