/* embed_grid, reference. */
#include "kernels/ref/fourier.h"
#include "kernels/ops.h"
#include "kernels/embed_grid/embed_grid.h"

samc_status samc__embed_grid_check(const samc__embed_grid_args *a, samc_error *error) {
    int64_t c = a->y.n[1];
    SAMC__REQUIRE(error, "embed_grid", a->grid > 0 && c > 0 && c % 2 == 0);
    SAMC__REQUIRE(error, "embed_grid", samc__is2(a->gaussian, 2, c / 2));
    SAMC__REQUIRE(error, "embed_grid", samc__is2(a->y, (int64_t)a->grid * a->grid, c));
    return SAMC_OK;
}

double samc__embed_grid_flops(const samc__embed_grid_args *a) { return 6.0 * (double)a->y.n[0] * (double)a->y.n[1]; }

samc_status samc__embed_grid_ref(const samc__exec *exec, const samc__embed_grid_args *a) {
    (void)exec;
    int64_t g = a->grid, c = a->y.n[1];
    for (int64_t y = 0; y < g; y++)
        for (int64_t x = 0; x < g; x++)
            samc__fourier_ref(((float)x + 0.5f) / (float)g, ((float)y + 0.5f) / (float)g, samc__f32(a->gaussian), c,
                              samc__f32(a->y) + (y * g + x) * c);
    return SAMC_OK;
}
