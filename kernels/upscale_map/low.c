/* upscale_map in products of 16 bits: as the f32 version (cpu.c), a panel of tokens from its channels to its pixels
 * with tokens as lanes, weights as the rows and channels as the k of each product. */
#include "kernels/cpu/low_upscale.h"
#include "kernels/upscale_map/upscale_map.h"

typedef struct map_task {
    const samc__upscale_map_args *args;
    int64_t in, middle, out, panels;
    int64_t inp, middlep;  /* both rounded up to LOW_K */
    int64_t first, second; /* rows of both maps, rounded up to LOW_ROWS */
    uint16_t *w1, *w2;     /* [first][inp] and [second][middlep]; rows by pixel, then channel */
    char *scratch;         /* [workers][scratch_bytes] */
    int64_t scratch_bytes;
} map_task;

typedef struct worker_buffers {
    float *first, *second, *pixels; /* [first][PANEL], [second][PANEL], [PANEL][out] */
    uint16_t *rows, *pairs;         /* [PANEL][inp], [longest k / 2][PANEL][2] */
} worker_buffers;

static int64_t lay_worker(const map_task *t, char *base, worker_buffers *b) {
    int64_t at = 0;
#define PART(type, count)                                                                                              \
    (at += round_to((count) * (int64_t)sizeof(type), 64),                                                              \
     base ? (type *)(void *)(base + at - round_to((count) * (int64_t)sizeof(type), 64)) : NULL)
    b->first = PART(float, t->first *PANEL);
    b->second = PART(float, t->second *PANEL);
    b->pixels = PART(float, t->out *PANEL);
    b->rows = PART(uint16_t, t->inp * PANEL);
    b->pairs = PART(uint16_t, (t->inp > t->middlep ? t->inp : t->middlep) * PANEL);
#undef PART
    return at;
}

/* x [out][PANEL] becomes, with bias and all, the pixels at (row, column) of the 4 x 4 under `tokens` tokens of an image
 * from `token` on. */
static void place_pixels(const samc__upscale_map_args *a, int64_t image, int64_t token, int64_t tokens, int64_t row,
                         int64_t column, float *x, float *pixels) {
    const int64_t g = a->grid, out = a->y.n[2];
    for (int64_t o = 0; o < out; o++)
        for (int v = 0; v < PANEL; v += VW) {
            const vf sum = vf_add(vf_load(x + o * PANEL + v), vf_set(samc__f32(a->up2.b)[o]));
            vf_store(x + o * PANEL + v, a->gelu ? vf_gelu_low(sum) : sum);
        }
    from_panel(x, tokens, out, pixels);
    for (int64_t i = 0; i < tokens; i++, pixels += out) {
        const int64_t to_row = (token + i) / g * 4 + row, to_column = (token + i) % g * 4 + column,
                      at = ((image * 4 * g + to_row) * 4 * g + to_column) * out;
        for (int64_t o = 0; o < out; o += VW) {
            const int64_t left = out - o < VW ? out - o : VW;
            vf sum = vf_load_first(pixels + o, left);
            if (a->add.data) sum = vf_add(sum, vf_load_first_of(a->add, at + o, left));
            vf_store_first_of(a->y, at + o, left, sum);
        }
    }
}

static void map_panels(void *context, int64_t begin, int64_t end, int worker) {
    const map_task *t = context;
    const samc__upscale_map_args *a = t->args;
    const int64_t n = a->x.n[1], middle = t->middle, out = t->out;
    worker_buffers b;
    lay_worker(t, t->scratch + worker * t->scratch_bytes, &b);
    low_begin();
    for (int64_t item = begin; item < end; item++) {
        const int64_t image = item / t->panels, token = item % t->panels * PANEL,
                      tokens = n - token < PANEL ? n - token : PANEL;
        sum_rows((tensor_rows){a->x, (image * n + token) * t->in, t->in}, (tensor_rows){0}, tokens, t->in, b.rows);
        rows_to_pairs(b.rows, t->inp, t->inp, b.pairs);
        low_block(4 * middle, t->w1, t->inp, b.pairs, t->inp, b.first, PANEL, false);
        for (int64_t i = 0; i < 4; i++) { /* the 2 x 2 pixels of the first map */
            norm_gelu(b.first + i * middle * PANEL, (affine){.add = samc__f32(a->up1.b)}, &a->norm, middle, b.pairs);
            low_block(4 * out, t->w2, t->middlep, b.pairs, t->middlep, b.second, PANEL, false);
            for (int64_t j = 0; j < 4; j++) /* the 2 x 2 pixels of the second map under it */
                place_pixels(a, image, token, tokens, 2 * (i / 2) + j / 2, 2 * (i % 2) + j % 2,
                             b.second + j * out * PANEL, b.pixels);
        }
    }
    low_end();
}

/* Hands out the parts of a block, and returns how many bytes they take. base NULL: only counts. */
static int64_t lay_out(map_task *t, int workers, char *base) {
    const samc__upscale_map_args *a = t->args;
    worker_buffers none;
    t->in = a->x.n[2], t->middle = a->norm.g.n[0], t->out = a->y.n[2];
    t->panels = (a->x.n[1] + PANEL - 1) / PANEL;
    t->inp = low_round_up(t->in, LOW_K), t->middlep = low_round_up(t->middle, LOW_K);
    t->first = low_round_up(4 * t->middle, LOW_ROWS), t->second = low_round_up(4 * t->out, LOW_ROWS);
    t->scratch_bytes = round_to(lay_worker(t, NULL, &none), 64);
    const int64_t w1 = round_to(t->first * t->inp * 2, 64), w2 = round_to(t->second * t->middlep * 2, 64);
    if (base) {
        t->w1 = (uint16_t *)(void *)base;
        t->w2 = (uint16_t *)(void *)(base + w1);
        t->scratch = base + w1 + w2;
    }
    return w1 + w2 + workers * t->scratch_bytes;
}

samc_status SAMC__RUNG(samc__upscale_map)(const samc__exec *exec, const samc__upscale_map_args *a) {
    map_task t = {.args = a};
    char *block = exec->allocate(exec->memory, (size_t)lay_out(&t, exec->workers, NULL));
    if (block == NULL) return samc__fail(exec->error, SAMC_OUT_OF_MEMORY, "no memory to upscale a map");
    lay_out(&t, exec->workers, block);
    if (!exec->rehearsal) {
        place_rows(a->up1.w, t.first, t.w1);
        place_rows(a->up2.w, t.second, t.w2);
    }
    samc__parallel(exec, samc__upscale_map_flops(a), a->x.n[0] * t.panels, 4, map_panels, &t);
    exec->release(exec->memory, block);
    return SAMC_OK;
}
