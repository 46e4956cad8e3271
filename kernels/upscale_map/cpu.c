/* upscale_map in vectors: one panel of tokens at a time from its channels to its pixels, tokens the lanes, as
 * upscale_masks does it; each pixel's channels are turned back into rows at the end. */
#include "kernels/cpu/upscale.h"
#include "kernels/upscale_map/upscale_map.h"

#include <string.h>

typedef struct map_task {
    const samc__upscale_map_args *args;
    float *w1, *w2; /* [4 middle rows in tiles of MR][in][MR], [4 out rows ...][middle][MR]; by pixel, then channel */
    float *scratch; /* [workers][scratch_floats] */
    int64_t scratch_floats, in, middle, out, panels;
} map_task;

/* pixels [tokens, out] of the tokens from `token` on of an image, at (row, column) of the 4 x 4 under each. */
static void place_pixels(const samc__upscale_map_args *a, int64_t image, int64_t token, int64_t tokens, int64_t row,
                         int64_t column, const float *pixels) {
    const int64_t g = a->grid, out = a->y.n[2];
    for (int64_t i = 0; i < tokens; i++, pixels += out) {
        const int64_t y = (token + i) / g * 4 + row, x = (token + i) % g * 4 + column,
                      at = ((image * 4 * g + y) * 4 * g + x) * out;
        float *to = samc__f32(a->y) + at;
        if (a->add.data) add_rows(pixels, samc__f32(a->add) + at, out, to);
        else memcpy(to, pixels, (size_t)out * sizeof *to);
    }
}

static void map_panels(void *context, int64_t begin, int64_t end, int worker) {
    const map_task *t = context;
    const samc__upscale_map_args *a = t->args;
    const int64_t n = a->x.n[1], middle = t->middle, out = t->out;
    float *x = t->scratch + worker * t->scratch_floats;                     /* [in][PANEL] */
    float *first = x + t->in * PANEL, *second = first + 4 * middle * PANEL; /* [4][middle][PANEL], [4][out][PANEL] */
    float *pixels = second + 4 * out * PANEL;                               /* [PANEL][out] */
    for (int64_t item = begin; item < end; item++) {
        const int64_t image = item / t->panels, token = item % t->panels * PANEL,
                      tokens = n - token < PANEL ? n - token : PANEL;
        to_panel(samc__f32(a->x) + (image * n + token) * t->in, tokens, t->in, x);
        product(t->w1, 4 * middle, t->in, x, samc__f32(a->up1.b), middle, first);
        for (int64_t i = 0; i < 4; i++) { /* the 2 x 2 pixels of the first map */
            float *pixel = first + i * middle * PANEL;
            norm_panel(pixel, middle, samc__f32(a->norm.g), samc__f32(a->norm.b), a->norm.eps, NULL);
            gelu_all(pixel, middle * PANEL);
            product(t->w2, 4 * out, middle, pixel, samc__f32(a->up2.b), out, second);
            if (a->gelu) gelu_all(second, 4 * out * PANEL);
            for (int64_t j = 0; j < 4; j++) { /* the 2 x 2 pixels of the second map under it */
                from_panel(second + j * out * PANEL, tokens, out, pixels);
                place_pixels(a, image, token, tokens, 2 * (i / 2) + j / 2, 2 * (i % 2) + j % 2, pixels);
            }
        }
    }
}

/* Hands out the parts of a block, and returns how many floats they take. base NULL: only counts. */
static int64_t lay_out(map_task *t, int workers, float *base) {
    const samc__upscale_map_args *a = t->args;
    t->in = a->x.n[2], t->middle = a->norm.g.n[0], t->out = a->y.n[2];
    t->panels = (a->x.n[1] + PANEL - 1) / PANEL;
    t->scratch_floats = round_to((t->in + 4 * t->middle + 5 * t->out) * PANEL, 16);
    const int64_t w1 = round_to(round_to(4 * t->middle, MR) * t->in, 16),
                  w2 = round_to(round_to(4 * t->out, MR) * t->middle, 16);
    if (base) t->w1 = base, t->w2 = base + w1, t->scratch = base + w1 + w2;
    return w1 + w2 + workers * t->scratch_floats;
}

samc_status SAMC__RUNG(samc__upscale_map)(const samc__exec *exec, const samc__upscale_map_args *a) {
    map_task t = {.args = a};
    float *block = exec->allocate(exec->memory, (size_t)lay_out(&t, exec->workers, NULL) * sizeof(float));
    if (block == NULL) return samc__fail(exec->error, SAMC_OUT_OF_MEMORY, "no memory to upscale a map");
    lay_out(&t, exec->workers, block);
    if (!exec->rehearsal) {
        pack_tiles(samc__f32(a->up1.w), t.in, t.middle, t.w1);
        pack_tiles(samc__f32(a->up2.w), t.middle, t.out, t.w2);
    }
    samc__parallel(exec, samc__upscale_map_flops(a), a->x.n[0] * t.panels, 4, map_panels, &t);
    exec->release(exec->memory, block);
    return SAMC_OK;
}
