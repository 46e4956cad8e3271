/* conv3x3 of stride 1 by Winograd's F(2 x 2, 3 x 3), compiled for each rung: four pixels of y from 4 x 4 of x by 16
 * products a channel in place of 36. Both sides are transformed, 16 matrix products follow, and their results become
 * pixels: y = A' ((G w G') * (B' x B)) A. A tile's pixels depend on nothing but the tile, whatever it is computed with.
 */
#ifndef SAMC_KERNELS_CONV3X3_WINOGRAD_H
#define SAMC_KERNELS_CONV3X3_WINOGRAD_H

#include "kernels/conv3x3/conv3x3.h"
#include "kernels/cpu/gemm.h"
#include "kernels/cpu/linear.h"

enum {
    POINTS = 16,               /* of a transformed tile */
    TILES = 36,                /* of a block: with 256 channels its 16 matrices stay in the second cache */
    MOST_CHANNELS = 256,       /* of x */
    WIDE = MOST_CHANNELS + 16, /* between rows: a power of two would share few sets of the cache */
};
SAMC__DEFINE_TILE(point, WIDE, 1)

typedef struct winograd_scratch {
    float x[POINTS][TILES][WIDE];
    float sums[POINTS][TILES][SAMC__PANEL];
} winograd_scratch;

typedef struct winograd_task {
    const samc__conv3x3_args *args;
    float *panels;             /* [panels][POINTS][c_in][PANEL] */
    winograd_scratch *scratch; /* [workers] */
    int64_t down, across;      /* tiles of an image */
} winograd_task;

/* G of three values. */
SAMC__INLINE void of_weights(vf a, vf b, vf c, vf out[4]) {
    const vf half = vf_set(0.5f), ends = vf_mul(half, vf_add(a, c)), middle = vf_mul(half, b);
    out[0] = a, out[1] = vf_add(ends, middle), out[2] = vf_sub(ends, middle), out[3] = c;
}
/* B' of four. */
SAMC__INLINE void of_pixels(vf a, vf b, vf c, vf d, vf out[4]) {
    out[0] = vf_sub(a, c), out[1] = vf_add(b, c), out[2] = vf_sub(c, b), out[3] = vf_sub(b, d);
}
/* A' of four. */
SAMC__INLINE void of_sums(vf a, vf b, vf c, vf d, vf out[2]) {
    out[0] = vf_add(vf_add(a, b), c), out[1] = vf_sub(vf_sub(b, c), d);
}

static void winograd_weights(void *context, int64_t begin, int64_t end, int worker) {
    const winograd_task *t = context;
    const int64_t n = t->args->w.n[0], c = t->args->w.n[1];
    (void)worker;
    for (int64_t panel = begin; panel < end; panel++)
        for (int64_t i = 0; i < c; i++) {
            float taps[9][SAMC__PANEL];
            for (int64_t o = 0; o < SAMC__PANEL; o++)
                for (int tap = 0; tap < 9; tap++)
                    taps[tap][o] = panel * SAMC__PANEL + o < n
                                       ? samc__f32(t->args->w)[((panel * SAMC__PANEL + o) * c + i) * 9 + tap]
                                       : 0.0f;
            for (int v = 0; v < SAMC__PANEL; v += VW) {
                vf down[3][4], all[4];
                for (int k = 0; k < 3; k++)
                    of_weights(vf_load(taps[k] + v), vf_load(taps[3 + k] + v), vf_load(taps[6 + k] + v), down[k]);
                for (int row = 0; row < 4; row++) {
                    of_weights(down[0][row], down[1][row], down[2][row], all);
                    for (int k = 0; k < 4; k++)
                        vf_store(t->panels + ((panel * POINTS + row * 4 + k) * c + i) * SAMC__PANEL + v, all[k]);
                }
            }
        }
}

/* The 4 x 4 pixels of a tile, zeros beyond the border, to row `at` of the block. */
static void winograd_pixels(const winograd_task *t, int64_t tile, int at, winograd_scratch *s) {
    const samc__conv3x3_args *a = t->args;
    const int64_t h = a->x.n[1], w = a->x.n[2], c = a->x.n[3], left = tile % t->across * 2 - 1,
                  top = tile / t->across % t->down * 2 - 1, image = tile / (t->across * t->down);
    for (int64_t i = 0; i < c; i += VW) {
        const int64_t lanes = c - i < VW ? c - i : VW;
        vf down[4][4], all[4];
        for (int k = 0; k < 4; k++) {
            vf column[4];
            for (int row = 0; row < 4; row++) {
                const int64_t y = top + row, x = left + k;
                const float *from = samc__f32(a->x) + ((image * h + y) * w + x) * c + i;
                const bool inside = y >= 0 && y < h && x >= 0 && x < w;
                column[row] = !inside ? vf_set(0.0f) : lanes == VW ? vf_load(from) : vf_load_first(from, lanes);
            }
            of_pixels(column[0], column[1], column[2], column[3], down[k]);
        }
        for (int row = 0; row < 4; row++) {
            of_pixels(down[0][row], down[1][row], down[2][row], down[3][row], all);
            for (int k = 0; k < 4; k++) vf_store(&s->x[row * 4 + k][at][i], all[k]);
        }
    }
}

/* Up to four pixels of y, columns [column, column + 32) as far as there are any, from row `at` of the block. */
SAMC__INLINE void winograd_finish(const winograd_task *t, samc__act act, int64_t tile, int at, int64_t column,
                                  const winograd_scratch *s) {
    const samc__conv3x3_args *a = t->args;
    const int64_t h = a->y.n[1], w = a->y.n[2], n = a->y.n[3], left = tile % t->across * 2,
                  top = tile / t->across % t->down * 2, image = tile / (t->across * t->down);
    for (int64_t v = 0; v < SAMC__PANEL && column + v < n; v += VW) {
        const int64_t lanes = n - column - v < VW ? n - column - v : VW;
        const vf bias = a->b.data ? vf_load_first(samc__f32(a->b) + column + v, lanes) : vf_set(0.0f);
        vf down[4][2], pixels[2];
        for (int k = 0; k < 4; k++)
            of_sums(vf_load(&s->sums[k][at][v]), vf_load(&s->sums[4 + k][at][v]), vf_load(&s->sums[8 + k][at][v]),
                    vf_load(&s->sums[12 + k][at][v]), down[k]);
        for (int row = 0; row < 2 && top + row < h; row++) {
            of_sums(down[0][row], down[1][row], down[2][row], down[3][row], pixels);
            for (int k = 0; k < 2 && left + k < w; k++) {
                const int64_t to = ((image * h + top + row) * w + left + k) * n + column + v;
                const vf added = a->residual.data ? vf_load_first(samc__f32(a->residual) + to, lanes) : bias;
                const vf value = vf_finish(vf_add(pixels[k], bias), act, a->act_last, a->residual.data != NULL, added);
                if (lanes == VW) vf_store(samc__f32(a->y) + to, value);
                else vf_store_first(samc__f32(a->y) + to, lanes, value);
            }
        }
    }
}

static void winograd_blocks(void *context, int64_t begin, int64_t end, int worker) {
    const winograd_task *t = context;
    const samc__conv3x3_args *a = t->args;
    const int64_t c = a->x.n[3], all = a->y.n[0] * t->down * t->across, panels = samc__panels(a->y.n[3]);
    winograd_scratch *s = t->scratch + worker;
    for (int64_t block = begin; block < end; block++) {
        const int64_t first = block * TILES;
        const int rows = (int)(all - first < TILES ? all - first : TILES);
        for (int r = 0; r < rows; r++) winograd_pixels(t, first + r, r, s);
        for (int64_t panel = 0; panel < panels; panel++) {
            for (int p = 0; p < POINTS; p++)
                for (int r = 0; r < rows; r += MR)
                    for (int64_t v = 0; v < SAMC__PANEL; v += 2 * VW)
                        point_2(rows - r < MR ? rows - r : MR, s->x[p][r],
                                t->panels + (panel * POINTS + p) * c * SAMC__PANEL + v, SAMC__PANEL, c,
                                &s->sums[p][r][v], SAMC__PANEL, TILE_ZERO);
            for (int r = 0; r < rows; r++)
                if (a->act == SAMC__ACT_GELU_TANH)
                    winograd_finish(t, SAMC__ACT_GELU_TANH, first + r, r, panel * SAMC__PANEL, s);
                else winograd_finish(t, a->act, first + r, r, panel * SAMC__PANEL, s);
        }
    }
}

/* Whether it is worth it, and possible. A residual that is y is read where it is written: each pixel by itself. */
static bool winograd_serves(const samc__conv3x3_args *a) {
    return a->winograd && a->stride == 1 && a->x.n[3] >= 16 && a->x.n[3] <= MOST_CHANNELS && a->y.n[3] >= 16;
}

static samc_status winograd_run(const samc__exec *exec, const samc__conv3x3_args *a) {
    const int64_t c = a->x.n[3], n = a->y.n[3], panels = samc__panels(n);
    winograd_task t = {.args = a, .down = (a->y.n[1] + 1) / 2, .across = (a->y.n[2] + 1) / 2};
    const size_t scratch = (size_t)exec->workers * sizeof *t.scratch;
    t.scratch = exec->allocate(exec->memory, scratch + (size_t)(panels * POINTS * c * SAMC__PANEL) * sizeof(float));
    if (t.scratch == NULL)
        return samc__fail(exec->error, SAMC_OUT_OF_MEMORY, "no memory for a convolution's transformed weight");
    t.panels = (float *)(void *)((char *)t.scratch + scratch);
    const int64_t tiles = a->y.n[0] * t.down * t.across;
    samc__parallel(exec, (double)(n * c) * 100, panels, 1, winograd_weights, &t);
    samc__parallel(exec, (double)(tiles * POINTS) * 2.0 * (double)(n * c), (tiles + TILES - 1) / TILES, 1,
                   winograd_blocks, &t);
    exec->release(exec->memory, t.scratch);
    return SAMC_OK;
}

#endif
