/* upscale_masks in vectors: one panel of image tokens at a time from its channels to its logits.
 *
 * Weights are the broadcast side of every product, tokens the lanes, so that the norm, both activations and the product
 * with the hypernetwork vectors need no sums across lanes; nothing larger than a panel's 4 x C / 4 channels is ever
 * stored. Where the decoder's layers are given, each prompt's tokens go through their folds first, so that a layer is
 * one product with heads x T columns: 2 x 56 in place of 256 for a point in SAM. */
#include "kernels/cpu/upscale.h"
#include "kernels/upscale_masks/upscale_masks.h"

#include <string.h>

typedef struct upscale_task {
    const samc__upscale_masks_args *args;
    float *folded;         /* [prompts][depth][4 C / 4 rows in tiles of MR][heads T][MR] */
    int64_t folded_floats; /* of one layer of one prompt */
    float *w1,
        *w2; /* [4 C / 4 rows in tiles of MR][C][MR] and [4 C / 8 rows ...][C / 4][MR]; rows by pixel, then channel */
    float *scratch; /* [workers][scratch_floats] */
    int64_t scratch_floats, c, c4, c8, panels;
} upscale_task;

/* One item: the folded tokens of one layer of one prompt. */
static void fold_layers(void *context, int64_t begin, int64_t end, int worker) {
    const upscale_task *t = context;
    int64_t heads = t->args->heads, c = t->c;
    float *row = t->scratch + worker * t->scratch_floats; /* [C] */
    for (int64_t item = begin; item < end; item++) {
        const samc__up_layer *l = &t->args->layers[item % t->args->depth];
        int64_t prompt = item / t->args->depth, tokens = l->update.values.n[1], inner = l->update.values.n[2],
                hd = inner / heads;
        float *out = t->folded + item * t->folded_floats;
        for (int64_t j = 0; j < heads * tokens; j++) {
            int64_t first = j / tokens * hd;
            fold_row(samc__f32(l->update.values) + (prompt * tokens + j % tokens) * inner + first,
                     samc__f32(l->fold) + first * c, hd, c, 1.0f, row);
            for (int64_t r = 0; r < c; r++) out[(r / MR * heads * tokens + j) * MR + r % MR] = row[r];
        }
    }
}

/* Where pixel j of the second map under pixel i of the first lies in the 4x4 of a token. */
static int64_t under(int64_t i, int64_t j) { return (2 * (i / 2) + j / 2) * 4 + 2 * (i % 2) + j % 2; }

/* Tokens of a prompt that one item has. */
typedef struct item_tokens {
    int64_t prompt, first, count;
} item_tokens;

/* The rows [n][PANEL tokens] of a map, `ld` apart; none: NULL. */
typedef struct map_rows {
    const float *at;
    int64_t ld;
} map_rows;

/* Row `row` and those after it of an item's panel. */
static map_rows panel_rows(const samc__upscale_masks_args *a, samc__view panels, item_tokens of, int64_t row) {
    return (map_rows){samc__f32(panels) + samc__upscale_row(panels, a->hyper.n[0], of.prompt, of.first, row),
                      SAMC__UPDATE_KEYS};
}

/* Place i of the side x side under each of an item's tokens, of its image in a map. turned [n][PANEL]: room. */
static map_rows pixel_rows(const samc__upscale_masks_args *a, samc__view map, int64_t side, item_tokens of, int64_t i,
                           float *turned) {
    if (map.rank == 0) return (map_rows){NULL, 0};
    if (map.rank == 4) return panel_rows(a, map, of, i * map.n[2] / (side * side));
    const int64_t token = of.first, tokens = of.count, g = a->grid, n = map.n[2];
    const float *from = samc__f32(map) + samc__upscale_image(map, a->hyper.n[0], of.prompt) * n;
    /* Eight tokens of one row of the grid are side * n apart. */
    const int64_t whole = g % 8 == 0 ? tokens / 8 * 8 : 0, even = n / 8 * 8;
    for (int64_t t = 0; t < whole; t += 8) {
        const float *pixel = from + samc__upscale_at(g, side, token + t, i) * n;
        for (int64_t c = 0; c < even; c += 8) transpose8(pixel + c, side * n, turned + c * PANEL + t, PANEL);
    }
    for (int64_t t = 0; t < tokens; t++) {
        const float *pixel = from + samc__upscale_at(g, side, token + t, i) * n;
        for (int64_t c = t < whole ? even : 0; c < n; c++) turned[c * PANEL + t] = pixel[c];
    }
    for (int64_t c = 0; c < n && tokens < PANEL; c++)
        for (int64_t t = tokens; t < PANEL; t++) turned[c * PANEL + t] = 0.0f;
    return (map_rows){turned, PANEL};
}

SAMC__INLINE vf map_value(map_rows m, int64_t row, int64_t v) { return vf_load(m.at + row * m.ld + v); }

/* The first map of a panel from the images', through the layers, and what `more` adds behind the last. f [C][PANEL], in
 * place. */
static void apply_layers(const upscale_task *t, item_tokens of, map_rows more, float *f) {
    for (int layer = 0; layer < t->args->depth; layer++) {
        const samc__up_layer *l = &t->args->layers[layer];
        const float *left = t->folded + (of.prompt * t->args->depth + layer) * t->folded_floats;
        const float *weights = samc__f32(l->update.weights) + samc__update_at(&l->update, of.prompt, of.first, 0),
                    *add = samc__f32(l->add);
        const int64_t all = l->update.weights.n[2] - 1;
        const bool adds = more.at != NULL && layer == t->args->depth - 1;
        for (int64_t r = 0; r < t->c; r += MR)
            tile_w_2((int)(t->c - r < MR ? t->c - r : MR), left + r * all, weights, SAMC__UPDATE_KEYS, all,
                     f + r * PANEL, PANEL, TILE_ADD);
        for (int v = 0; v < PANEL; v += VW) {
            vf scale = vf_load(weights + all * SAMC__UPDATE_KEYS + v);
            for (int64_t r = 0; r < t->c; r++) {
                vf y = vf_fma(vf_load(f + r * PANEL + v), scale, vf_set(add[r]));
                vf_store(f + r * PANEL + v, adds ? vf_add(y, map_value(more, r, v)) : y);
            }
        }
    }
}

/* x [n][PANEL] += rows of a map. */
static void add_map(map_rows m, int64_t n, float *x) {
    for (int64_t r = 0; r < n && m.at != NULL; r++)
        for (int v = 0; v < PANEL; v += VW)
            vf_store(x + r * PANEL + v, vf_add(vf_load(x + r * PANEL + v), map_value(m, r, v)));
}

/* x [n][PANEL] = GELU of it and the rows of a map. */
static void gelu_map(map_rows m, int64_t n, float *x) {
    if (m.at == NULL) gelu_all(x, n * PANEL);
    for (int64_t r = 0; r < n && m.at != NULL; r++)
        for (int v = 0; v < PANEL; v += VW)
            vf_store(x + r * PANEL + v, vf_gelu(vf_add(vf_load(x + r * PANEL + v), map_value(m, r, v))));
}

static void upscale_panels(void *context, int64_t begin, int64_t end, int worker) {
    const upscale_task *t = context;
    const samc__upscale_masks_args *a = t->args;
    int64_t g = a->grid, n = g * g, low = 4 * g, masks = a->hyper.n[1], c4 = t->c4, c8 = t->c8;
    int64_t each = a->hyper.n[0] / a->src.n[0];                        /* prompts of an entry of src */
    float *x = t->scratch + worker * t->scratch_floats;                /* [C][PANEL] */
    float *first = x + t->c * PANEL, *second = first + 4 * c4 * PANEL; /* [4][C / 4][PANEL], [4][C / 8][PANEL] */
    float *logits = second + 4 * c8 * PANEL;                           /* [masks][4 rows][4 columns][PANEL] */
    float *turned = logits + 16 * masks * PANEL;                       /* [C / 4][PANEL] */
    for (int64_t item = begin; item < end; item++) {
        int64_t prompt = item / t->panels, token = item % t->panels * PANEL,
                tokens = n - token < PANEL ? n - token : PANEL;
        const float *hyper = samc__f32(a->hyper) + prompt * masks * c8; /* [masks][C / 8] */
        to_panel(samc__f32(a->src) + (prompt / each * n + token) * t->c, tokens, t->c, a->depth ? first : x);
        const item_tokens of = {prompt, token, tokens};
        const bool early = a->depth > 0 && a->add1.rank == 4; /* rows of the panel are those of the first map */
        if (a->depth) apply_layers(t, of, early ? panel_rows(a, a->add1, of, 0) : (map_rows){NULL, 0}, first);
        else product(t->w1, 4 * c4, t->c, x, samc__f32(a->up1.b), c4, first);
        for (int64_t i = 0; i < 4; i++) { /* the 2x2 pixels of the first map */
            float *pixel = first + i * c4 * PANEL;
            if (!early) add_map(pixel_rows(a, a->add1, 2, of, i, turned), c4, pixel);
            norm_panel(pixel, c4, samc__f32(a->norm.g), samc__f32(a->norm.b), a->norm.eps, NULL);
            gelu_all(pixel, c4 * PANEL);
            product(t->w2, 4 * c8, c4, pixel, samc__f32(a->up2.b), c8, second);
            for (int64_t j = 0; j < 4; j++)
                gelu_map(pixel_rows(a, a->add2, 4, of, under(i, j), turned), c8, second + j * c8 * PANEL);
            for (int64_t j = 0; j < 4; j++) { /* the 2x2 pixels of the second map under it */
                int64_t row = under(i, j) / 4, col = under(i, j) % 4;
                for (int64_t m = 0; m < masks; m++)
                    for (int v = 0; v < PANEL; v += VW) {
                        vf sum = vf_set(0.0f);
                        for (int64_t o = 0; o < c8; o++)
                            sum = vf_fma(vf_set(hyper[m * c8 + o]), vf_load(second + (j * c8 + o) * PANEL + v), sum);
                        vf_store(logits + ((m * 4 + row) * 4 + col) * PANEL + v, sum);
                    }
            }
        }
        for (int64_t m = 0; m < masks; m++)
            for (int64_t row = 0; row < 4; row++) {
                const float *in = logits + (m * 4 + row) * 4 * PANEL; /* [4][PANEL] */
                for (int64_t i = 0; i < tokens; i++) {
                    int64_t y = (token + i) / g, col = (token + i) % g;
                    float *out = samc__f32(a->y) + ((prompt * masks + m) * low + 4 * y + row) * low + 4 * col;
                    for (int64_t d = 0; d < 4; d++) out[d] = in[d * PANEL + i];
                }
            }
    }
}

/* Hands out the parts of a block, and returns how many floats they take. base NULL: only counts. */
static int64_t lay_out(upscale_task *t, int workers, float *base) {
    const samc__upscale_masks_args *a = t->args;
    t->c = a->src.n[2], t->c4 = a->norm.g.n[0], t->c8 = a->hyper.n[2];
    t->panels = (a->src.n[1] + PANEL - 1) / PANEL;
    t->scratch_floats = (t->c + 4 * t->c4 + 4 * t->c8 + 16 * a->hyper.n[1]) * PANEL;
    if (a->add1.rank) t->scratch_floats += (t->c4 > t->c8 ? t->c4 : t->c8) * PANEL;
    for (int i = 0; i < a->depth; i++) {
        int64_t floats = round_to(t->c, MR) * (a->layers[i].update.weights.n[2] - 1);
        t->folded_floats = floats > t->folded_floats ? floats : t->folded_floats;
    }
    int64_t folded = round_to(a->hyper.n[0] * a->depth * t->folded_floats, 16);
    int64_t w1 = a->depth ? 0 : round_to(round_to(4 * t->c4, MR) * t->c, 16),
            w2 = round_to(round_to(4 * t->c8, MR) * t->c4, 16);
    if (base) t->w1 = base, t->w2 = base + w1, t->folded = base + w1 + w2, t->scratch = t->folded + folded;
    return w1 + w2 + folded + workers * t->scratch_floats;
}

samc_status SAMC__RUNG(samc__upscale_masks)(const samc__exec *exec, const samc__upscale_masks_args *a) {
    upscale_task t = {.args = a};
    float *block = exec->allocate(exec->memory, (size_t)lay_out(&t, exec->workers, NULL) * sizeof(float));
    if (block == NULL) return samc__fail(exec->error, SAMC_OUT_OF_MEMORY, "no memory to upscale masks");
    lay_out(&t, exec->workers, block);
    if (a->depth)
        samc__parallel(exec, samc__upscale_masks_flops(a) / 100, a->hyper.n[0] * a->depth, 1, fold_layers, &t);
    else if (!exec->rehearsal) pack_tiles(samc__f32(a->up1.w), t.c, t.c4, t.w1);
    if (!exec->rehearsal) pack_tiles(samc__f32(a->up2.w), t.c4, t.c8, t.w2);
    samc__parallel(exec, samc__upscale_masks_flops(a), a->hyper.n[0] * t.panels, 4, upscale_panels, &t);
    exec->release(exec->memory, block);
    return SAMC_OK;
}
