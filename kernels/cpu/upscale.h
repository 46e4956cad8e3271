/* What the operators that upscale on the cpu table share: weights as the broadcast side of products, pixels as lanes.
 */
#ifndef SAMC_KERNELS_CPU_UPSCALE_H
#define SAMC_KERNELS_CPU_UPSCALE_H

#include "kernels/cpu/decoder.h"

SAMC__DEFINE_TILE(tile_w, 1, MR) /* weights as [k][MR] */

/* w [k, out, 2, 2] -> tiles of MR rows, row = pixel * out + channel. */
__attribute__((unused)) static void pack_tiles(const float *w, int64_t k, int64_t out, float *tiles) {
    for (int64_t row = 0; row < 4 * out; row++)
        for (int64_t i = 0; i < k; i++)
            tiles[(row / MR * k + i) * MR + row % MR] = w[(i * out + row % out) * 4 + row / out];
}

/* y [rows][PANEL] = w . x [k][PANEL] + bias[row % period]. */
__attribute__((unused)) static void product(const float *tiles, int64_t rows, int64_t k, const float *x,
                                            const float *bias, int64_t period, float *y) {
    for (int64_t r = 0; r < rows; r++)
        for (int v = 0; v < PANEL; v += VW) vf_store(y + r * PANEL + v, vf_set(bias[r % period]));
    for (int64_t r = 0; r < rows; r += MR)
        tile_w_2((int)(rows - r < MR ? rows - r : MR), tiles + r * k, x, PANEL, k, y + r * PANEL, PANEL, TILE_ADD);
}

__attribute__((unused)) static void gelu_all(float *x, int64_t n) {
    for (int64_t i = 0; i < n; i += VW) vf_store(x + i, vf_gelu(vf_load(x + i)));
}

#endif
