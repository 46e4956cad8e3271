/* What a panel of grid cells sees of a mask prompt before conv3, in vectors: the cells are lanes. In f32 on every rung:
 * the maps have few channels, and what follows has most of the products. */
#ifndef SAMC_KERNELS_EMBED_MASK_CELLS_H
#define SAMC_KERNELS_EMBED_MASK_CELLS_H

#include "kernels/cpu/decoder.h"
#include "kernels/embed_mask/embed_mask.h"

enum { MAX_CHANNELS = 256 }; /* of the intermediate maps; SAM has 4 and 16 */
SAMC__DEFINE_TILE(tile_w, 1, MR)

/* y [rows][PANEL] = w . x [k][PANEL] + bias. */
static void product(const float *tiles, int64_t rows, int64_t k, const float *x, const float *bias, float *y) {
    for (int64_t r = 0; r < rows; r++)
        for (int v = 0; v < PANEL; v += VW) vf_store(y + r * PANEL + v, vf_set(bias[r]));
    for (int64_t r = 0; r < rows; r += MR)
        tile_w_2((int)(rows - r < MR ? rows - r : MR), tiles + r * k, x, PANEL, k, y + r * PANEL, PANEL, TILE_ADD);
}

static void norm_gelu(float *x, const samc__norm *norm, int64_t c) {
    norm_panel(x, c, samc__f32(norm->g), samc__f32(norm->b), norm->eps, NULL);
    for (int64_t i = 0; i < c * PANEL; i += VW) vf_store(x + i, vf_gelu(vf_load(x + i)));
}

/* conv2's weight [c2, c1, 2, 2] -> [4 c1][MR] in tiles of MR rows, columns by pixel, then channel. */
static void place_conv2(const samc__embed_mask_args *a, float *w2) {
    int64_t c1 = a->norm1.g.n[0], c2 = a->norm2.g.n[0];
    for (int64_t o = 0; o < c2; o++) {
        float row[4 * MAX_CHANNELS];
        for (int64_t i = 0; i < 4 * c1; i++) row[i] = samc__f32(a->conv2.w)[(o * c1 + i % c1) * 4 + i / c1];
        place_row(row, o, 4 * c1, w2);
    }
}

/* Floats of scratch of embed_cells(). */
static int64_t cell_floats(int64_t c1) { return (16 + 4 * c1) * PANEL; }

/* second [c2][PANEL]: the second map of the cells from `cell` on, w2 as place_conv2() leaves it. */
static void embed_cells(const samc__embed_mask_args *a, const float *w2, int64_t prompt, int64_t cell, float *scratch,
                        float *second) {
    int64_t g = a->grid, n = g * g, low = 4 * g, c1 = a->norm1.g.n[0], c2 = a->norm2.g.n[0];
    int64_t cells = n - cell < PANEL ? n - cell : PANEL;
    const float *w1 = samc__f32(a->conv1.w), *b1 = samc__f32(a->conv1.b);
    const float *logits = samc__f32(a->mask) + prompt * low * low;
    float *in = scratch, *first = in + 16 * PANEL; /* [4 pixels][2x2 logits][PANEL], [4 pixels][c1][PANEL] */
    for (int64_t i = 0; i < PANEL; i++) {
        int64_t y = (cell + i) / g, x = (cell + i) % g;
        for (int tap = 0; tap < 16; tap++) { /* pixel, then its 2x2 logits */
            int64_t row = 4 * y + 2 * (tap / 8) + tap / 2 % 2, col = 4 * x + 2 * (tap / 4 % 2) + tap % 2;
            in[tap * PANEL + i] = i < cells ? logits[row * low + col] : 0.0f;
        }
    }
    for (int pixel = 0; pixel < 4; pixel++) {
        for (int64_t o = 0; o < c1; o++)
            for (int v = 0; v < PANEL; v += VW) {
                vf sum = vf_set(b1[o]);
                for (int tap = 0; tap < 4; tap++)
                    sum = vf_fma(vf_load(in + (pixel * 4 + tap) * PANEL + v), vf_set(w1[4 * o + tap]), sum);
                vf_store(first + (pixel * c1 + o) * PANEL + v, sum);
            }
        norm_gelu(first + pixel * c1 * PANEL, &a->norm1, c1);
    }
    product(w2, c2, 4 * c1, first, samc__f32(a->conv2.b), second);
    norm_gelu(second, &a->norm2, c2);
}

#endif
