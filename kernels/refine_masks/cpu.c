/* refine_masks in vectors: a band of rows of one prompt at a time, pixels the lanes.
 *
 * Three rows of the map and three of what lies between the convolutions are kept, channel by channel with a pixel of
 * zeros on both sides, so that a neighbour is a load at another offset and nothing is gathered. The first convolution
 * is nine products of weights by such rows; the second, the prompt's vector being in its weight, one sum of 9 middle
 * products for each pixel. */
#include "kernels/cpu/upscale.h"
#include "kernels/refine_masks/refine_masks.h"

#include <string.h>

enum { BAND = 32 }; /* rows of an item: two more are made of what lies between, 6 % */

typedef struct refine_task {
    const samc__refine_masks_args *args;
    float *w1;      /* [9][middle rows in tiles of MR][c][MR] */
    float *folded;  /* [prompts][9 middle + 1]: the second weight times the prompt's vector, and the bias */
    float *scratch; /* [workers][scratch_floats] */
    int64_t tap_floats, scratch_floats, c, middle, side, pitch, bands;
} refine_task;

/* What a worker keeps: row y of both is in place (y + 3) % 3. */
typedef struct rows {
    float *map;     /* [3][c][pitch], pixel x at 1 + x */
    float *between; /* [3][middle][pitch] */
    float *image;   /* [c][pitch], pixel x at x */
    float *sums;    /* [middle][PANEL] */
    float *logits;  /* [pitch] */
} rows;

static void pack_first(const samc__projection *p, int64_t tap_floats, float *tiles) {
    const int64_t n = p->w.n[0], c = p->w.n[1];
    const float *w = samc__f32(p->w);
    for (int64_t tap = 0; tap < 9; tap++, tiles += tap_floats)
        for (int64_t row = 0; row < n; row++)
            for (int64_t i = 0; i < c; i++) tiles[(row / MR * c + i) * MR + row % MR] = w[(row * c + i) * 9 + tap];
}

/* One item: a prompt's weight and bias, and its choice. */
static void fold_prompts(void *context, int64_t begin, int64_t end, int worker) {
    const refine_task *t = context;
    const samc__refine_masks_args *a = t->args;
    const int64_t c = t->c, middle = t->middle, masks = a->hyper.n[1];
    (void)worker;
    for (int64_t prompt = begin; prompt < end; prompt++) {
        const float *vector = samc__f32(a->refiner) + prompt * c, *iou = samc__f32(a->iou) + prompt * masks;
        float *out = t->folded + prompt * (9 * middle + 1); /* [middle][9], as the weight lies */
        fold_row(vector, samc__f32(a->conv2.w), c, 9 * middle, 1.0f, out);
        out[9 * middle] = dot(vector, samc__f32(a->conv2.b), c);
        samc__f32(a->y_iou)[prompt] = iou[samc__refine_masks_best(iou, masks)];
    }
}

/* in [side, channels] -> out [channels][pitch], the first pixel at `out`. */
static void turn_row(const float *in, int64_t side, int64_t channels, int64_t pitch, float *out) {
    const int64_t whole = side / 8 * 8, even = channels / 8 * 8;
    for (int64_t i = 0; i < whole; i += 8)
        for (int64_t c = 0; c < even; c += 8) transpose8(in + i * channels + c, channels, out + c * pitch + i, pitch);
    for (int64_t c = 0; c < channels; c++)
        for (int64_t i = c < even ? whole : 0; i < side; i++) out[c * pitch + i] = in[i * channels + c];
}

/* Row y of the map, zeros beyond the border. */
static void load_map(const refine_task *t, const rows *r, int64_t prompt, int64_t y) {
    float *to = r->map + (y + 3) % 3 * t->c * t->pitch;
    if (y < 0 || y >= t->side) memset(to, 0, (size_t)(t->c * t->pitch) * sizeof *to);
    else turn_row(samc__f32(t->args->map) + (prompt * t->side + y) * t->side * t->c, t->side, t->c, t->pitch, to + 1);
}

/* Row y of what lies between the convolutions, of rows y - 1 to y + 1 of the map. */
static void make_between(const refine_task *t, const rows *r, int64_t y) {
    const samc__refine_masks_args *a = t->args;
    const int64_t c = t->c, middle = t->middle, pitch = t->pitch;
    float *to = r->between + (y + 3) % 3 * middle * pitch;
    if (y < 0 || y >= t->side) {
        memset(to, 0, (size_t)(middle * pitch) * sizeof *to);
        return;
    }
    for (int64_t x = 0; x < t->side; x += PANEL) {
        for (int64_t o = 0; o < middle; o++)
            for (int v = 0; v < PANEL; v += VW) vf_store(r->sums + o * PANEL + v, vf_set(samc__f32(a->conv1.b)[o]));
        for (int64_t tap = 0; tap < 9; tap++) {
            const float *from = r->map + (y + tap / 3 + 2) % 3 * c * pitch + x + tap % 3;
            for (int64_t o = 0; o < middle; o += MR)
                tile_w_2((int)(middle - o < MR ? middle - o : MR), t->w1 + tap * t->tap_floats + o * c, from, pitch, c,
                         r->sums + o * PANEL, PANEL, TILE_ADD);
        }
        norm_panel(r->sums, middle, samc__f32(a->norm.g), samc__f32(a->norm.b), a->norm.eps, NULL);
        gelu_all(r->sums, middle * PANEL);
        const int64_t left = t->side - x < PANEL ? t->side - x : PANEL;
        for (int64_t o = 0; o < middle; o++)
            memcpy(to + o * pitch + 1 + x, r->sums + o * PANEL, (size_t)left * sizeof *to);
    }
}

/* Row y of the logits. */
static void make_logits(const refine_task *t, const rows *r, int64_t prompt, int64_t y) {
    const samc__refine_masks_args *a = t->args;
    const int64_t c = t->c, middle = t->middle, pitch = t->pitch, side = t->side, masks = a->hyper.n[1],
                  image = prompt / (a->map.n[0] / a->image.n[0]);
    const float *folded = t->folded + prompt * (9 * middle + 1), *vector = samc__f32(a->refiner) + prompt * c,
                *iou = samc__f32(a->iou) + prompt * masks,
                *hyper = samc__f32(a->hyper) + (prompt * masks + samc__refine_masks_best(iou, masks)) * c,
                *map = r->map + (y + 3) % 3 * c * pitch + 1;
    turn_row(samc__f32(a->image) + (image * side + y) * side * c, side, c, pitch, r->image);
    for (int64_t x = 0; x < side; x += PANEL) {
        enum { VECTORS = PANEL / VW };
        vf sum[3][VECTORS], more[2][VECTORS]; /* a row of neighbours each, and vectors: sums that wait for no other */
        for (int v = 0; v < VECTORS; v++) sum[0][v] = sum[1][v] = sum[2][v] = more[0][v] = more[1][v] = vf_set(0.0f);
        const float *from[3];
        for (int row = 0; row < 3; row++) from[row] = r->between + (y + row + 2) % 3 * middle * pitch + x;
        for (int64_t i = 0; i < middle; i++)
            for (int column = 0; column < 3; column++)
                for (int row = 0; row < 3; row++)
                    for (int v = 0; v < VECTORS; v++)
                        sum[row][v] = vf_fma(vf_set(folded[9 * i + 3 * row + column]),
                                             vf_load(from[row] + i * pitch + column + v * VW), sum[row][v]);
        for (int64_t i = 0; i < c; i++)
            for (int v = 0; v < VECTORS; v++) {
                const int64_t at = i * pitch + x + v * VW;
                more[0][v] = vf_fma(vf_set(vector[i]), vf_load(r->image + at), more[0][v]);
                if (!a->alone) more[1][v] = vf_fma(vf_set(hyper[i]), vf_load(map + at), more[1][v]);
            }
        for (int v = 0; v < VECTORS; v++) {
            const vf all =
                vf_add(vf_add(vf_add(sum[0][v], sum[1][v]), vf_add(sum[2][v], vf_set(folded[9 * middle]))), more[0][v]);
            vf_store(r->logits + x + v * VW, a->alone ? all : vf_add(all, more[1][v]));
        }
    }
    memcpy(samc__f32(a->y) + (prompt * side + y) * side, r->logits, (size_t)side * sizeof(float));
}

static void refine_bands(void *context, int64_t begin, int64_t end, int worker) {
    const refine_task *t = context;
    const int64_t c = t->c, middle = t->middle, pitch = t->pitch;
    rows r = {.map = t->scratch + worker * t->scratch_floats};
    r.between = r.map + 3 * c * pitch;
    r.image = r.between + 3 * middle * pitch;
    r.sums = r.image + c * pitch;
    r.logits = r.sums + middle * PANEL;
    memset(r.map, 0, (size_t)((4 * c + 3 * middle) * pitch) * sizeof *r.map); /* the borders stay so */
    for (int64_t item = begin; item < end; item++) {
        const int64_t prompt = item / t->bands, first = item % t->bands * BAND,
                      last = first + BAND < t->side ? first + BAND : t->side;
        load_map(t, &r, prompt, first - 2);
        load_map(t, &r, prompt, first - 1);
        for (int64_t y = first - 1; y <= last; y++) {
            load_map(t, &r, prompt, y + 1);
            make_between(t, &r, y);
            if (y > first) make_logits(t, &r, prompt, y - 1);
        }
    }
}

/* Hands out the parts of a block, and returns how many floats they take. base NULL: only counts. */
static int64_t lay_out(refine_task *t, int workers, float *base) {
    const samc__refine_masks_args *a = t->args;
    t->c = a->map.n[2], t->middle = a->norm.g.n[0], t->side = 4 * (int64_t)a->grid;
    t->pitch = round_to(t->side, PANEL) + 16; /* a pixel beside the first, one beside the last; not a power of two */
    t->bands = (t->side + BAND - 1) / BAND;
    t->tap_floats = round_to(round_to(t->middle, MR) * t->c, 16);
    t->scratch_floats = round_to((4 * t->c + 3 * t->middle + 1) * t->pitch + t->middle * PANEL, 16);
    const int64_t w1 = 9 * t->tap_floats, folded = round_to(a->map.n[0] * (9 * t->middle + 1), 16);
    if (base) t->w1 = base, t->folded = base + w1, t->scratch = base + w1 + folded;
    return w1 + folded + workers * t->scratch_floats;
}

samc_status SAMC__RUNG(samc__refine_masks)(const samc__exec *exec, const samc__refine_masks_args *a) {
    refine_task t = {.args = a};
    float *block = exec->allocate(exec->memory, (size_t)lay_out(&t, exec->workers, NULL) * sizeof(float));
    if (block == NULL) return samc__fail(exec->error, SAMC_OUT_OF_MEMORY, "no memory to refine masks");
    lay_out(&t, exec->workers, block);
    if (!exec->rehearsal) pack_first(&a->conv1, t.tap_floats, t.w1);
    samc__parallel(exec, (double)a->map.n[0] * 18.0 * (double)(t.middle * t.c), a->map.n[0], 1, fold_prompts, &t);
    samc__parallel(exec, samc__refine_masks_flops(a), a->map.n[0] * t.bands, 1, refine_bands, &t);
    exec->release(exec->memory, block);
    return SAMC_OK;
}
