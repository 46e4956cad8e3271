/* upscale_masks of bf16: as the f32 version (cpu.c), a panel of image tokens from its channels to its logits with
 * tokens as lanes, weights as the rows and channels as the k of each product on blocks of 16 bits. */
#include "kernels/cpu/low_upscale.h"
#include "kernels/upscale_masks/upscale_masks.h"

typedef struct upscale_task {
    const samc__upscale_masks_args *args;
    int64_t c, c4, c8, panels;
    int64_t cp, c4p;       /* C and C / 4 rounded up to LOW_K */
    int64_t tp;            /* heads T of the layer with most, rounded up to LOW_K */
    int64_t first, second; /* rows of both maps, rounded up to LOW_ROWS */
    uint16_t *w1, *w2;     /* [first][cp] and [second][c4p]; rows by pixel, then channel */
    uint16_t *folded;      /* [prompts][depth][first][tp] */
    char *scratch;         /* [workers][scratch_bytes] */
    int64_t scratch_bytes;
} upscale_task;

/* Tokens of a prompt that one item has. */
typedef struct item_tokens {
    int64_t prompt, first, count;
} item_tokens;

typedef struct worker_buffers {
    float *map, *second, *logits; /* [first][PANEL], [second][PANEL], [masks][4 rows][4 columns][PANEL] */
    uint16_t *rows, *pairs;       /* [PANEL][cp], [longest k / 2][PANEL][2] */
    uint16_t *pixels;             /* [PANEL][c4p] of a map, and as many pairs */
    float *more;                  /* [C / 4][PANEL] of it */
    float *fold;                  /* [tp][C rounded up to PANEL] of fold_layers(), in place of all these */
} worker_buffers;

static int64_t longer(int64_t a, int64_t b) { return a > b ? a : b; }

static int64_t lay_worker(const upscale_task *t, char *base, worker_buffers *b) {
    int64_t at = 0;
#define PART(type, count)                                                                                              \
    (at += round_to((count) * (int64_t)sizeof(type), 64),                                                              \
     base ? (type *)(void *)(base + at - round_to((count) * (int64_t)sizeof(type), 64)) : NULL)
    b->map = PART(float, t->first *PANEL);
    b->second = PART(float, t->second *PANEL);
    b->logits = PART(float, 16 * t->args->hyper.n[1] * PANEL);
    b->rows = PART(uint16_t, t->cp * PANEL);
    b->pairs = PART(uint16_t, longer(longer(t->cp, t->c4p), t->tp) * PANEL);
    b->pixels = PART(uint16_t, t->args->add1.rank ? 2 * longer(t->c4p, low_round_up(t->c8, LOW_K)) * PANEL : 0);
    b->more = PART(float, t->args->add1.rank ? t->c4 *PANEL : 0);
    b->fold = (float *)(void *)base;
#undef PART
    return longer(at, t->tp * (t->cp + t->cp / 2) * 4);
}

/* One item: the folded tokens of one layer of one prompt, [first][tp]. */
static void fold_layers(void *context, int64_t begin, int64_t end, int worker) {
    const upscale_task *t = context;
    const int64_t heads = t->args->heads, c = t->c, cp = t->cp, tp = t->tp;
    worker_buffers b;
    lay_worker(t, t->scratch + worker * t->scratch_bytes, &b);
    uint16_t *pairs = (uint16_t *)(b.fold + tp * cp); /* [tp / 2][cp][2] */
    for (int64_t item = begin; item < end; item++) {
        const samc__up_layer *l = &t->args->layers[item % t->args->depth];
        const int64_t prompt = item / t->args->depth, tokens = l->update.values.n[1], inner = l->update.values.n[2],
                      hd = inner / heads;
        uint16_t *out = t->folded + item * t->first * tp;
        memset(b.fold, 0, (size_t)(tp * cp) * sizeof(float));
        for (int64_t j = 0; j < heads * tokens; j++) {
            const int64_t at = j / tokens * hd;
            fold_row(samc__f32(l->update.values) + (prompt * tokens + j % tokens) * inner + at,
                     samc__f32(l->fold) + at * c, hd, c, 1.0f, b.fold + j * cp);
        }
        for (int64_t j = 0; j < tp; j += 2)
            for (int64_t i = 0; i < cp; i += VW)
                vb_store(pairs + j * cp + 2 * i,
                         vb_pairs(vf_load(b.fold + j * cp + i), vf_load(b.fold + (j + 1) * cp + i)));
        for (int64_t j = 0; j < tp; j += LOW_K)
            for (int64_t i = 0; i < t->first; i += 16)
                transpose16(pairs + j * cp + 2 * i, cp * 4, out + i * tp + j, tp * 2);
    }
}

/* The first map of a panel from the images', through the layers, but for the last one's scale and sum. f
 * [first][PANEL], in place. */
static void apply_layers(const upscale_task *t, const worker_buffers *b, int64_t prompt, int64_t token) {
    for (int layer = 0; layer < t->args->depth; layer++) {
        const samc__up_layer *l = &t->args->layers[layer];
        const uint16_t *left = t->folded + (prompt * t->args->depth + layer) * t->first * t->tp;
        const float *weights = samc__f32(l->update.weights) + samc__update_at(&l->update, prompt, token, 0),
                    *add = samc__f32(l->add);
        const int64_t all = l->update.weights.n[2] - 1;
        floats_to_pairs(weights, all, b->pairs);
        low_block(t->c, left, t->tp, b->pairs, low_round_up(all, LOW_K), b->map, PANEL, true);
        for (int v = 0; v < PANEL && layer < t->args->depth - 1; v += VW) {
            const vf scale = vf_load(weights + all * SAMC__UPDATE_KEYS + v);
            for (int64_t r = 0; r < t->c; r++)
                vf_store(b->map + r * PANEL + v, vf_fma(vf_load(b->map + r * PANEL + v), scale, vf_set(add[r])));
        }
    }
}

/* Of `masks` masks, a constant wherever this is inlined, the logits of one of the four pixels of the second map under a
 * pixel of the first: x [C / 8][PANEL] before bias and GELU, hyper [masks][C / 8] -> logits, for each mask 16 PANEL
 * apart. */
SAMC__INLINE void masks_of_pixel(int masks, const float *hyper, const float *bias, const float *x, int64_t c8,
                                 float *logits) {
    vf sum[4][2];
    for (int m = 0; m < masks; m++) sum[m][0] = sum[m][1] = vf_set(0.0f);
    for (int64_t o = 0; o < c8; o++) {
        const vf b = vf_set(bias[o]), low = vf_gelu_low(vf_add(vf_load(x + o * PANEL), b)),
                 high = vf_gelu_low(vf_add(vf_load(x + o * PANEL + VW), b));
        for (int m = 0; m < masks; m++) {
            const vf h = vf_set(hyper[m * c8 + o]);
            sum[m][0] = vf_fma(h, low, sum[m][0]), sum[m][1] = vf_fma(h, high, sum[m][1]);
        }
    }
    for (int m = 0; m < masks; m++)
        for (int v = 0; v < 2; v++) vf_store(logits + m * 16 * PANEL + v * VW, sum[m][v]);
}

static void finish_pixel(const samc__upscale_masks_args *a, const float *hyper, const float *x, float *logits) {
    const float *bias = samc__f32(a->up2.b);
    const int64_t c8 = a->hyper.n[2];
    int64_t masks = a->hyper.n[1];
    for (; masks >= 3; masks -= 3, hyper += 3 * c8, logits += 3 * 16 * PANEL)
        masks_of_pixel(3, hyper, bias, x, c8, logits);
    for (; masks > 0; masks--, hyper += c8, logits += 16 * PANEL) masks_of_pixel(1, hyper, bias, x, c8, logits);
}

/* out [16][4] = in [4][PANEL], of 16 tokens. */
SAMC__INLINE void interleave4(const float *in, float *out) {
#if defined(SAMC_LOW_SOFT)
    for (int i = 0; i < 64; i++) out[i] = in[i % 4 * PANEL + i / 4];
#else
    __m512 r[4], s[4];
    for (int i = 0; i < 2; i++) {
        const vf a = vf_load(in + 2 * i * PANEL), b = vf_load(in + (2 * i + 1) * PANEL);
        r[i] = _mm512_unpacklo_ps(a, b), r[i + 2] = _mm512_unpackhi_ps(a, b);
    }
    for (int i = 0; i < 4; i += 2) { /* s[i]: tokens i, i + 4, i + 8, i + 12 */
        s[i] = _mm512_castpd_ps(_mm512_unpacklo_pd(_mm512_castps_pd(r[i]), _mm512_castps_pd(r[i + 1])));
        s[i + 1] = _mm512_castpd_ps(_mm512_unpackhi_pd(_mm512_castps_pd(r[i]), _mm512_castps_pd(r[i + 1])));
    }
    for (int i = 0; i < 2; i++) {
        r[2 * i] = _mm512_shuffle_f32x4(s[2 * i], s[2 * i + 1], 0x44);
        r[2 * i + 1] = _mm512_shuffle_f32x4(s[2 * i], s[2 * i + 1], 0xee);
    }
    for (int i = 0; i < 2; i++) {
        vf_store(out + 32 * i, _mm512_shuffle_f32x4(r[i], r[i + 2], 0x88));
        vf_store(out + 32 * i + 16, _mm512_shuffle_f32x4(r[i], r[i + 2], 0xdd));
    }
#endif
}

static void store_logits(const samc__upscale_masks_args *a, int64_t prompt, int64_t token, int64_t tokens,
                         const float *logits) {
    const int64_t g = a->grid, low = 4 * g, masks = a->hyper.n[1];
    for (int64_t m = 0; m < masks; m++)
        for (int64_t row = 0; row < 4; row++) {
            const float *in = logits + (m * 4 + row) * 4 * PANEL; /* [4][PANEL] */
            float *image = samc__f32(a->y) + ((prompt * masks + m) * low + row) * low;
            for (int64_t i = 0; i < tokens;) {
                const int64_t y = (token + i) / g, column = (token + i) % g;
                float *out = image + 4 * y * low + 4 * column;
                if (i % 16 == 0 && tokens - i >= 16 && g - column >= 16) {
                    interleave4(in + i, out);
                    i += 16;
                    continue;
                }
                for (int64_t d = 0; d < 4; d++) out[d] = in[d * PANEL + i];
                i++;
            }
        }
}

/* Where pixel j of the second map under pixel i of the first lies in the 4x4 of a token. */
static int64_t under(int64_t i, int64_t j) { return (2 * (i / 2) + j / 2) * 4 + 2 * (i % 2) + j % 2; }

/* x [n][PANEL] = or, with `add`, += place i of the side x side under each of `tokens` tokens, of a prompt's image in a
 * map. */
static void read_pixels(const samc__upscale_masks_args *a, samc__view map, int64_t side, item_tokens of, int64_t i,
                        const worker_buffers *b, float *x, bool add) {
    if (map.rank == 4) {
        const int64_t rows = map.n[2] / (side * side),
                      at = samc__upscale_row(map, a->hyper.n[0], of.prompt, of.first, i * rows);
        for (int64_t c = 0; c < rows; c++)
            for (int v = 0; v < PANEL; v += VW) {
                float *to = x + c * PANEL + v;
                const vf value = vf_load_first_of(map, at + c * SAMC__UPDATE_KEYS + v, VW);
                vf_store(to, add ? vf_add(vf_load(to), value) : value);
            }
        return;
    }
    const int64_t n = map.n[2], kp = low_round_up(n, LOW_K), image = samc__upscale_image(map, a->hyper.n[0], of.prompt);
    uint16_t *pairs = b->pixels + kp * PANEL;
    for (int64_t t = 0; t < PANEL; t++) {
        uint16_t *row = b->pixels + t * kp;
        const int64_t at = t < of.count ? (image + samc__upscale_at(a->grid, side, of.first + t, i)) * n : 0,
                      left = t < of.count ? n : 0;
        if (left == kp && map.dtype == SAMC__BF16)
            memcpy(row, (const uint16_t *)map.data + at, (size_t)n * sizeof *row);
        else
            for (int64_t c = 0; c < kp; c += 2 * VW)
                vb_store(row + c,
                         vb_round(load_some(map, at + c, left - c), load_some(map, at + c + VW, left - c - VW)));
    }
    rows_to_pairs(b->pixels, kp, kp, pairs);
    for (int64_t c = 0; c < n; c++)
        for (int v = 0; v < PANEL; v += VW) {
            vf pair[2];
            float *to = x + c * PANEL + v;
            load_pairs(pairs + c / 2 * 2 * PANEL + 2 * v, &pair[0], &pair[1]);
            vf_store(to, add ? vf_add(vf_load(to), pair[c % 2]) : pair[c % 2]);
        }
}

static void upscale_panels(void *context, int64_t begin, int64_t end, int worker) {
    const upscale_task *t = context;
    const samc__upscale_masks_args *a = t->args;
    const int64_t n = (int64_t)a->grid * a->grid, c4 = t->c4, c8 = t->c8;
    const int64_t each = a->hyper.n[0] / a->src.n[0]; /* prompts of an entry of src */
    worker_buffers b;
    lay_worker(t, t->scratch + worker * t->scratch_bytes, &b);
    low_begin();
    for (int64_t item = begin; item < end; item++) {
        const int64_t prompt = item / t->panels, token = item % t->panels * PANEL;
        const int64_t tokens = n - token < PANEL ? n - token : PANEL;
        const float *hyper = samc__f32(a->hyper) + prompt * a->hyper.n[1] * c8; /* [masks][C / 8] */
        const int64_t at = (prompt / each * n + token) * t->c;
        const uint16_t *rows = b.rows;
        if (a->src.dtype == SAMC__BF16 && t->c == t->cp && tokens == PANEL) rows = (const uint16_t *)a->src.data + at;
        else sum_rows((tensor_rows){a->src, at, t->c}, (tensor_rows){0}, tokens, t->c, b.rows);
        rows_to_pairs(rows, t->cp, t->cp, b.pairs);
        const float *scale = NULL, *add = samc__f32(a->up1.b); /* [PANEL] or none, [C / 4] or for each pixel */
        if (a->depth) {
            const samc__up_layer *last = &a->layers[a->depth - 1];
            pairs_to_floats(b.pairs, t->c, b.map);
            apply_layers(t, &b, prompt, token);
            add = samc__f32(last->add), scale = samc__f32(last->update.weights) +
                                                samc__update_at(&last->update, prompt, token, 0) +
                                                (last->update.weights.n[2] - 1) * SAMC__UPDATE_KEYS;
        } else {
            low_block(4 * c4, t->w1, t->cp, b.pairs, t->cp, b.map, PANEL, false);
        }
        for (int64_t i = 0; i < 4; i++) { /* the 2x2 pixels of the first map */
            const item_tokens of = {prompt, token, tokens};
            if (a->add1.rank) read_pixels(a, a->add1, 2, of, i, &b, b.more, false);
            norm_gelu(b.map + i * c4 * PANEL,
                      (affine){scale, a->depth ? add + i * c4 : add, a->add1.rank ? b.more : NULL}, &a->norm, c4,
                      b.pairs);
            low_block(4 * c8, t->w2, t->c4p, b.pairs, t->c4p, b.second, PANEL, false);
            for (int64_t j = 0; j < 4; j++) { /* the 2x2 pixels of the second map under it */
                float *pixel = b.second + j * c8 * PANEL;
                if (a->add2.rank) read_pixels(a, a->add2, 4, of, under(i, j), &b, pixel, true);
                finish_pixel(a, hyper, pixel, b.logits + under(i, j) * PANEL);
            }
        }
        store_logits(a, prompt, token, tokens, b.logits);
    }
    low_end();
}

/* Hands out the parts of a block, and returns how many bytes they take. base NULL: only counts. */
static int64_t lay_out(upscale_task *t, int workers, char *base) {
    const samc__upscale_masks_args *a = t->args;
    int64_t at = 0;
    worker_buffers none;
    t->c = a->src.n[2], t->c4 = a->norm.g.n[0], t->c8 = a->hyper.n[2];
    t->panels = (a->src.n[1] + PANEL - 1) / PANEL;
    t->cp = low_round_up(t->c, LOW_K), t->c4p = low_round_up(t->c4, LOW_K);
    t->first = low_round_up(4 * t->c4, LOW_ROWS), t->second = low_round_up(4 * t->c8, LOW_ROWS);
    for (int i = 0; i < a->depth; i++) t->tp = longer(t->tp, low_round_up(a->layers[i].update.weights.n[2] - 1, LOW_K));
    t->scratch_bytes = round_to(lay_worker(t, NULL, &none), 64);
#define PART(type, count)                                                                                              \
    (at += round_to((count) * (int64_t)sizeof(type), 64),                                                              \
     base ? (type *)(void *)(base + at - round_to((count) * (int64_t)sizeof(type), 64)) : NULL)
    t->w1 = PART(uint16_t, a->depth ? 0 : t->first * t->cp);
    t->w2 = PART(uint16_t, t->second * t->c4p);
    t->folded = PART(uint16_t, a->hyper.n[0] * a->depth * t->first * t->tp);
    t->scratch = PART(char, workers * t->scratch_bytes);
#undef PART
    return at;
}

samc_status SAMC__RUNG(samc__upscale_masks)(const samc__exec *exec, const samc__upscale_masks_args *a) {
    upscale_task t = {.args = a};
    char *block = exec->allocate(exec->memory, (size_t)lay_out(&t, exec->workers, NULL));
    if (block == NULL) return samc__fail(exec->error, SAMC_OUT_OF_MEMORY, "no memory to upscale masks");
    lay_out(&t, exec->workers, block);
    if (a->depth)
        samc__parallel(exec, samc__upscale_masks_flops(a) / 100, a->hyper.n[0] * a->depth, 1, fold_layers, &t);
    else if (!exec->rehearsal) place_rows(a->up1.w, t.first, t.w1);
    if (!exec->rehearsal) place_rows(a->up2.w, t.second, t.w2);
    samc__parallel(exec, samc__upscale_masks_flops(a), a->hyper.n[0] * t.panels, 4, upscale_panels, &t);
    exec->release(exec->memory, block);
    return SAMC_OK;
}
