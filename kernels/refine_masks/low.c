/* refine_masks in products of 16 bits: as the f32 version (cpu.c), a band of rows of one prompt at a time with pixels
 * as lanes.
 *
 * Rows of the map and of what lies between the convolutions are kept as pairs of channels, so that a neighbour is a
 * pair further. The first convolution is one product with k = (tap, channel), whose columns are copied together; the
 * second, a sixteenth of its work, sums in f32: the folded weight and the prompt's vectors are not rounded. */
#include "kernels/cpu/low_upscale.h"
#include "kernels/refine_masks/refine_masks.h"

enum { BAND = 32 }; /* rows of an item: two more are made of what lies between, 6 % */

typedef struct refine_task {
    const samc__refine_masks_args *args;
    int64_t c, middle, cp, middlep; /* the latter rounded up to LOW_K */
    int64_t side, pitch, bands;     /* pitch: pixels of a row that is kept */
    uint16_t *w1;                   /* [middle rounded up to LOW_ROWS][9][cp] */
    float *folded;                  /* [prompts][9][middlep]: the second weight times the prompt's vector */
    float *bias;                    /* [prompts] */
    char *scratch;                  /* [workers][scratch_bytes] */
    int64_t scratch_bytes;
} refine_task;

/* What a worker keeps: row y of map and between is in place (y + 3) % 3, pixel x at 1 + x. */
typedef struct worker_buffers {
    uint16_t *map, *between; /* [3][cp / 2][pitch][2], [3][middlep / 2][pitch][2] */
    uint16_t *image;         /* [cp / 2][pitch][2], pixel x at x */
    uint16_t *rows, *panel;  /* [PANEL][cp], [9 cp / 2][PANEL][2] */
    uint16_t *made;          /* [middlep / 2][PANEL][2] */
    float *sums, *logits;    /* [middle rounded up to LOW_ROWS][PANEL], [pitch] */
    float *fold;             /* [middle][9] of fold_prompts(), in place of all these */
} worker_buffers;

static int64_t lay_worker(const refine_task *t, char *base, worker_buffers *b) {
    const int64_t fold = 9 * t->middle * (int64_t)sizeof(float);
    int64_t at = 0;
#define PART(type, count)                                                                                              \
    (at += round_to((count) * (int64_t)sizeof(type), 64),                                                              \
     base ? (type *)(void *)(base + at - round_to((count) * (int64_t)sizeof(type), 64)) : NULL)
    b->map = PART(uint16_t, 3 * t->cp * t->pitch);
    b->between = PART(uint16_t, 3 * t->middlep * t->pitch);
    b->image = PART(uint16_t, t->cp * t->pitch);
    b->rows = PART(uint16_t, t->cp * PANEL);
    b->panel = PART(uint16_t, 9 * t->cp * PANEL);
    b->made = PART(uint16_t, t->middlep * PANEL);
    b->sums = PART(float, low_round_up(t->middle, LOW_ROWS) * PANEL);
    b->logits = PART(float, t->pitch);
    b->fold = (float *)(void *)base;
#undef PART
    return at > fold ? at : fold;
}

static void place_first(const samc__projection *p, int64_t cp, uint16_t *to) {
    const int64_t n = p->w.n[0], c = p->w.n[1];
    memset(to, 0, (size_t)(low_round_up(n, LOW_ROWS) * 9 * cp) * sizeof *to);
    for (int64_t row = 0; row < n; row++)
        for (int64_t i = 0; i < c; i++)
            for (int64_t tap = 0; tap < 9; tap++)
                to[(row * 9 + tap) * cp + i] = samc__float_to_bf16(samc__f32(p->w)[(row * c + i) * 9 + tap]);
}

/* One item: a prompt's weight and bias, and its choice. */
static void fold_prompts(void *context, int64_t begin, int64_t end, int worker) {
    const refine_task *t = context;
    const samc__refine_masks_args *a = t->args;
    const int64_t c = t->c, middle = t->middle, masks = a->hyper.n[1];
    worker_buffers b;
    lay_worker(t, t->scratch + worker * t->scratch_bytes, &b);
    for (int64_t prompt = begin; prompt < end; prompt++) {
        const float *vector = samc__f32(a->refiner) + prompt * c, *iou = samc__f32(a->iou) + prompt * masks;
        float *out = t->folded + prompt * 9 * t->middlep;
        fold_row(vector, samc__f32(a->conv2.w), c, 9 * middle, 1.0f, b.fold);
        memset(out, 0, (size_t)(9 * t->middlep) * sizeof *out);
        for (int64_t i = 0; i < middle; i++)
            for (int64_t tap = 0; tap < 9; tap++) out[tap * t->middlep + i] = b.fold[i * 9 + tap];
        t->bias[prompt] = dot(vector, samc__f32(a->conv2.b), c);
        samc__f32(a->y_iou)[prompt] = iou[samc__refine_masks_best(iou, masks)];
    }
}

/* Row y of an entry of x [.., side * side, c] as pairs, the first pixel at `to`; pixels beyond are zeros up to a panel.
 */
static void pair_row(const refine_task *t, samc__view x, int64_t entry, int64_t y, uint16_t *rows, uint16_t *to) {
    for (int64_t column = 0; column < t->side; column += PANEL) {
        const int64_t left = t->side - column < PANEL ? t->side - column : PANEL,
                      at = ((entry * t->side + y) * t->side + column) * t->c;
        const uint16_t *from = rows;
        if (x.dtype == SAMC__BF16 && t->c == t->cp && left == PANEL) from = (const uint16_t *)x.data + at;
        else sum_rows((tensor_rows){x, at, t->c}, (tensor_rows){0}, left, t->c, rows);
        for (int64_t i = 0; i < t->cp; i += LOW_K)
            for (int64_t pixel = 0; pixel < PANEL; pixel += 16)
                transpose16(from + pixel * t->cp + i, t->cp * 2, to + i * t->pitch + 2 * (column + pixel),
                            t->pitch * 4);
    }
}

/* Row y of the map, zeros beyond the border. */
static void load_map(const refine_task *t, const worker_buffers *b, int64_t prompt, int64_t y) {
    uint16_t *to = b->map + (y + 3) % 3 * t->cp * t->pitch;
    if (y < 0 || y >= t->side) memset(to, 0, (size_t)(t->cp * t->pitch) * sizeof *to);
    else pair_row(t, t->args->map, prompt, y, b->rows, to + 2);
}

/* Row y of what lies between the convolutions, of rows y - 1 to y + 1 of the map. */
static void make_between(const refine_task *t, const worker_buffers *b, int64_t y) {
    const samc__refine_masks_args *a = t->args;
    const int64_t cp = t->cp, pitch = t->pitch;
    uint16_t *to = b->between + (y + 3) % 3 * t->middlep * pitch;
    if (y < 0 || y >= t->side) {
        memset(to, 0, (size_t)(t->middlep * pitch) * sizeof *to);
        return;
    }
    for (int64_t x = 0; x < t->side; x += PANEL) {
        for (int64_t tap = 0; tap < 9; tap++) {
            const uint16_t *from = b->map + (y + tap / 3 + 2) % 3 * cp * pitch + 2 * (x + tap % 3);
            for (int64_t i = 0; i < cp; i += 2) memcpy(b->panel + (tap * cp + i) * PANEL, from + i * pitch, 4 * PANEL);
        }
        low_block(t->middle, t->w1, 9 * cp, b->panel, 9 * cp, b->sums, PANEL, false);
        norm_gelu(b->sums, (affine){.add = samc__f32(a->conv1.b)}, &a->norm, t->middle, b->made);
        const int64_t left = t->side - x < PANEL ? t->side - x : PANEL;
        for (int64_t i = 0; i < t->middlep; i += 2)
            memcpy(to + i * pitch + 2 * (1 + x), b->made + i * PANEL, (size_t)left * 4);
    }
}

/* sum + the channels of VW pixels, pairs `pitch` apart, times a vector [c]. */
SAMC__INLINE vf dot_pixels(vf sum, const float *vector, const uint16_t *pairs, int64_t pitch, int64_t c) {
    for (int64_t i = 0; i < c; i += 2) {
        vf even, odd;
        load_pairs(pairs + i * pitch, &even, &odd);
        sum = vf_fma(vf_set(vector[i]), even, sum);
        if (i + 1 < c) sum = vf_fma(vf_set(vector[i + 1]), odd, sum);
    }
    return sum;
}

/* Row y of the logits. */
static void make_logits(const refine_task *t, const worker_buffers *b, int64_t prompt, int64_t y) {
    const samc__refine_masks_args *a = t->args;
    const int64_t c = t->c, pitch = t->pitch, side = t->side, masks = a->hyper.n[1],
                  image = prompt / (a->map.n[0] / a->image.n[0]);
    const float *folded = t->folded + prompt * 9 * t->middlep;
    const uint16_t *map = b->map + (y + 3) % 3 * t->cp * pitch + 2;
    const float *vector = samc__f32(a->refiner) + prompt * c, *iou = samc__f32(a->iou) + prompt * masks,
                *hyper = samc__f32(a->hyper) + (prompt * masks + samc__refine_masks_best(iou, masks)) * c;
    pair_row(t, a->image, image, y, b->rows, b->image);
    for (int64_t x = 0; x < side; x += VW) {
        vf sum[9]; /* a neighbour each, so that sums do not wait for each other */
        for (int tap = 0; tap < 9; tap++) sum[tap] = vf_set(0.0f);
        for (int64_t i = 0; i < t->middle; i += 2)
#pragma GCC unroll 9
            for (int tap = 0; tap < 9; tap++) {
                const uint16_t *from = b->between + ((y + tap / 3 + 2) % 3 * t->middlep + i) * pitch;
                const float *by = folded + tap * t->middlep + i;
                vf even, odd;
                load_pairs(from + 2 * (x + tap % 3), &even, &odd);
                sum[tap] = vf_fma(vf_set(by[1]), odd, vf_fma(vf_set(by[0]), even, sum[tap]));
            }
        vf all = vf_set(t->bias[prompt]);
        for (int tap = 0; tap < 9; tap++) all = vf_add(all, sum[tap]);
        all = dot_pixels(all, vector, b->image + 2 * x, pitch, c);
        vf_store(b->logits + x, a->alone ? all : dot_pixels(all, hyper, map + 2 * x, pitch, c));
    }
    memcpy(samc__f32(a->y) + (prompt * side + y) * side, b->logits, (size_t)side * sizeof(float));
}

static void refine_bands(void *context, int64_t begin, int64_t end, int worker) {
    const refine_task *t = context;
    worker_buffers b;
    lay_worker(t, t->scratch + worker * t->scratch_bytes, &b);
    memset(b.map, 0, (size_t)(3 * t->cp * t->pitch) * sizeof *b.map); /* the borders stay so */
    memset(b.between, 0, (size_t)(3 * t->middlep * t->pitch) * sizeof *b.between);
    memset(b.image, 0, (size_t)(t->cp * t->pitch) * sizeof *b.image);
    low_begin();
    for (int64_t item = begin; item < end; item++) {
        const int64_t prompt = item / t->bands, first = item % t->bands * BAND,
                      last = first + BAND < t->side ? first + BAND : t->side;
        load_map(t, &b, prompt, first - 2);
        load_map(t, &b, prompt, first - 1);
        for (int64_t y = first - 1; y <= last; y++) {
            load_map(t, &b, prompt, y + 1);
            make_between(t, &b, y);
            if (y > first) make_logits(t, &b, prompt, y - 1);
        }
    }
    low_end();
}

/* Hands out the parts of a block, and returns how many bytes they take. base NULL: only counts. */
static int64_t lay_out(refine_task *t, int workers, char *base) {
    const samc__refine_masks_args *a = t->args;
    worker_buffers none;
    t->c = a->map.n[2], t->middle = a->norm.g.n[0], t->side = 4 * (int64_t)a->grid;
    t->cp = low_round_up(t->c, LOW_K), t->middlep = low_round_up(t->middle, LOW_K);
    t->pitch = round_to(t->side, PANEL) + 16; /* a pixel beside the first, one beside the last; not a power of two */
    t->bands = (t->side + BAND - 1) / BAND;
    t->scratch_bytes = round_to(lay_worker(t, NULL, &none), 64);
    const int64_t w1 = round_to(low_round_up(t->middle, LOW_ROWS) * 9 * t->cp * 2, 64),
                  folded = round_to(a->map.n[0] * 9 * t->middlep * 4, 64), bias = round_to(a->map.n[0] * 4, 64);
    if (base) {
        t->w1 = (uint16_t *)(void *)base;
        t->folded = (float *)(void *)(base + w1);
        t->bias = (float *)(void *)(base + w1 + folded);
        t->scratch = base + w1 + folded + bias;
    }
    return w1 + folded + bias + workers * t->scratch_bytes;
}

samc_status SAMC__RUNG(samc__refine_masks)(const samc__exec *exec, const samc__refine_masks_args *a) {
    refine_task t = {.args = a};
    char *block = exec->allocate(exec->memory, (size_t)lay_out(&t, exec->workers, NULL));
    if (block == NULL) return samc__fail(exec->error, SAMC_OUT_OF_MEMORY, "no memory to refine masks");
    lay_out(&t, exec->workers, block);
    if (!exec->rehearsal) place_first(&a->conv1, t.cp, t.w1);
    samc__parallel(exec, (double)a->map.n[0] * 18.0 * (double)(t.middle * t.c), a->map.n[0], 1, fold_prompts, &t);
    samc__parallel(exec, samc__refine_masks_flops(a), a->map.n[0] * t.bands, 1, refine_bands, &t);
    exec->release(exec->memory, block);
    return SAMC_OK;
}
