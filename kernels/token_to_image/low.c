/* token_to_image of bf16 keys: the f32 version's form (cpu.c), both products over the keys on blocks of 16 bits.
 *
 * Scores have queries as rows and a panel of keys as columns: the softmax runs along a row, and its weights, rounded,
 * are the rows of the second product, whose columns are channels of keys or values and whose k are keys. Sums are f32.
 * Keys go by in tiles, fixed segments of them are merged in order at the end. */
#include "kernels/cpu/low_decoder.h"
#include "kernels/token_to_image/token_to_image.h"

#include <math.h>

enum { TILE_KEYS = 128, SEGMENT = 1024 };

typedef struct image_task {
    const samc__token_to_image_args *args;
    int64_t p, t, c, n, inner, hd, heads;
    int64_t b, each;         /* entries of keys, and prompts that read one */
    int64_t first, together; /* first entry of this round, and entries of a round */
    int64_t now;             /* prompts of this round */
    bool projected;
    int64_t groups, rows, space; /* folded: 1 and heads * T; projected: heads and T; rows of a group with its padding */
    int64_t kp;                  /* elements of a query: C or those of a head, rounded up to LOW_K */
    int64_t wide;                /* columns of a group's output: C, or those of the panels that a head touches */
    int64_t segments, panels;    /* of one entry of keys */
    int64_t columns;             /* panels of values: of C, or of inner */
    float *q;                    /* [P, T, inner] */
    uint16_t *left;              /* [P][groups][space][kp] */
    uint16_t *features;          /* of this round's entries [..][panels][groups][kp / 2][PANEL][2]; folded: NULL */
    uint16_t *values;            /* of this round's entries [..][columns][panels * PANEL / 2][PANEL][2]; folded: NULL */
    float *part; /* [P][segments][part_floats]: out [groups][space][wide], largest, sum [groups, rows] */
    int64_t part_floats;
    float *heads_out; /* [P, T, inner] */
    uint16_t *sums;   /* [entries of a round, N, C]: keys + key_pe, where they are projected here */
    samc__view k, v;  /* projections [.., N, inner], from this round's entries on */
    char *scratch;    /* [workers][scratch_bytes] */
    int64_t scratch_bytes;
} image_task;

/* The first column of head h in its first panel, in the projected form. */
static int64_t column_of(const image_task *t, int64_t h) { return t->projected ? h * t->hd % PANEL : 0; }

/* Left sides of one prompt. */
static void fold_prompts(void *context, int64_t begin, int64_t end, int worker) {
    const image_task *t = context;
    const samc__attention *a = &t->args->attention;
    const float *bk = t->args->image_k.data ? NULL : samc__f32(a->k.b);     /* image_k has it in it */
    float *row = (float *)(void *)(t->scratch + worker * t->scratch_bytes); /* [kp] */
    const float scale = (float)(1.4426950408889634 / sqrt((double)t->hd));
    for (int64_t prompt = begin; prompt < end; prompt++) {
        uint16_t *left = t->left + prompt * t->groups * t->space * t->kp;
        memset(left, 0, (size_t)(t->groups * t->space * t->kp) * sizeof *left);
        for (int64_t j = 0; j < t->heads * t->t; j++) {
            const int64_t h = j / t->t, token = j % t->t, size = t->projected ? t->hd : t->c;
            float *q = t->q + (prompt * t->t + token) * t->inner + h * t->hd;
            for (int64_t i = 0; bk && i < t->hd; i++)
                q[i] += 0.0f * bk[h * t->hd + i]; /* what cancels, but for NaN and infinity */
            if (t->projected)
                for (int64_t i = 0; i < t->hd; i++) row[i] = q[i] * scale;
            else fold_row(q, samc__f32(a->k.w) + h * t->hd * t->c, t->hd, t->c, scale, row);
            uint16_t *out = left + (t->projected ? h * t->space + token : j) * t->kp;
            for (int64_t i = 0; i < size; i += VW)
                vf_store_bf16_first(out + i, size - i < VW ? size - i : VW,
                                    vf_load_first(row + i, size - i < VW ? size - i : VW));
        }
    }
}

/* One row of scores [keys] -> its weights, relative to the largest so far, which also scales what out has. */
static void weigh_row(float *score, int64_t keys, int64_t wide, uint16_t *weight, float *out, float *largest,
                      float *sum) {
    const int64_t all = low_round_up(keys, LOW_K);
    for (int64_t key = keys; key < all; key++) score[key] = -INFINITY;
    vf most = vf_load(score), total = vf_set(0.0f);
    for (int64_t key = VW; key < all; key += VW) most = vf_max(most, vf_load(score + key));
    const float before = *largest, now = vf_largest(most);
    if (now > before) {
        const vf shrink = vf_exp2(vf_set(before - now));
        for (int64_t c = 0; c < wide; c += VW) vf_store(out + c, vf_mul(vf_load(out + c), shrink));
        vf_store_first(sum, 1, vf_mul(vf_set(*sum), shrink));
        *largest = now;
    }
    const vf shift = vf_set(*largest);
    for (int64_t key = 0; key < all; key += 2 * VW) {
        const vf low = vf_exp2(vf_sub(vf_load(score + key), shift)),
                 high = vf_exp2(vf_sub(vf_load(score + key + VW), shift));
        total = vf_add(vf_add(total, low), high);
        vb_store(weight + key, vb_round(low, high));
    }
    *sum += vf_sum(total);
}

typedef struct worker_buffers {
    uint16_t *sums, *features, *values, *weight; /* [PANEL][kp], a tile's, a tile's, [space][TILE_KEYS] */
    float *score;                                /* [space][TILE_KEYS] */
} worker_buffers;

static worker_buffers buffers_of(const image_task *t, int worker) {
    worker_buffers b;
    b.score = (float *)(void *)(t->scratch + worker * t->scratch_bytes);
    b.weight = (uint16_t *)(b.score + t->space * TILE_KEYS);
    b.sums = b.weight + t->space * TILE_KEYS;
    b.features = b.sums + PANEL * t->kp;
    b.values = b.features + TILE_KEYS * t->kp;
    return b;
}

/* A tile of keys against the rows of one group; the segment's results are in `part`. */
static void attend_tile(const image_task *t, const worker_buffers *b, int64_t prompt, int64_t group, int64_t keys,
                        const uint16_t *features, const uint16_t *values, float *part) {
    const uint16_t *left = t->left + (prompt * t->groups + group) * t->space * t->kp;
    float *out = part + group * t->space * t->wide, *limits = part + t->groups * t->space * t->wide;
    for (int64_t key = 0; key < keys; key += PANEL, features += t->groups * t->kp * PANEL)
        low_block(t->rows, left, t->kp, features, t->kp, b->score + key, TILE_KEYS, false);
    for (int64_t r = 0; r < t->rows; r++)
        weigh_row(b->score + r * TILE_KEYS, keys, t->wide, b->weight + r * TILE_KEYS, out + r * t->wide,
                  limits + group * t->rows + r, limits + (t->groups + group) * t->rows + r);
    const int64_t first = group * t->hd / PANEL; /* panel of the group's columns; 0 in the folded form */
    const int64_t stride = t->projected ? t->panels * PANEL * PANEL : TILE_KEYS * PANEL;
    for (int64_t i = 0; i < t->wide && first + i / PANEL < t->columns; i += PANEL)
        low_block(t->rows, b->weight, TILE_KEYS, values + i / PANEL * stride, low_round_up(keys, LOW_K), out + i,
                  t->wide, true);
}

/* One item: one segment of the keys of one prompt of this round; a segment of all prompts, then the next, as they share
 * its key_pe or all of it. */
static void attend_segments(void *context, int64_t begin, int64_t end, int worker) {
    const image_task *t = context;
    const samc__token_to_image_args *a = t->args;
    const worker_buffers b = buffers_of(t, worker);
    low_begin();
    for (int64_t item = begin; item < end; item++) {
        const int64_t segment = item / t->now, entry = item % t->now / t->each;
        const int64_t prompt = t->first * t->each + item % t->now;
        const int64_t first = segment * SEGMENT, last = first + SEGMENT < t->n ? first + SEGMENT : t->n;
        const int64_t row = (t->first + entry) * t->n; /* of keys [B N, C], where the entry begins */
        float *part = t->part + (prompt * t->segments + segment) * t->part_floats,
              *largest = part + t->groups * t->space * t->wide;
        memset(part, 0, (size_t)t->part_floats * sizeof(float));
        for (int64_t i = 0; i < t->groups * t->rows; i++) largest[i] = SAMC__NEGLIGIBLE;
        for (int64_t key = first; key < last; key += TILE_KEYS) {
            const int64_t count = last - key < TILE_KEYS ? last - key : TILE_KEYS;
            if (!t->projected) {
                for (int64_t i = 0; i < count; i += PANEL) {
                    sum_rows((tensor_rows){a->keys, (row + key + i) * t->c, t->c},
                             (tensor_rows){a->key_pe, (key + i) * t->c, t->c}, count - i < PANEL ? count - i : PANEL,
                             t->c, b.sums);
                    rows_to_pairs(b.sums, t->kp, t->kp, b.features + i * t->kp);
                }
                pair_rows(a->keys, row + key, count, t->c, TILE_KEYS * PANEL, b.values);
            }
            for (int64_t g = 0; g < t->groups; g++) {
                const uint16_t *features = b.features, *values = b.values;
                if (t->projected) {
                    features = t->features + ((entry * t->panels + key / PANEL) * t->groups + g) * t->kp * PANEL;
                    values =
                        t->values + (entry * t->columns + g * t->hd / PANEL) * t->panels * PANEL * PANEL + key * PANEL;
                }
                attend_tile(t, &b, prompt, g, count, features, values, part);
            }
        }
    }
    low_end();
}

/* Segments of one prompt -> heads' outputs [T, inner]. */
static void merge_prompts(void *context, int64_t begin, int64_t end, int worker) {
    const image_task *t = context;
    const samc__attention *a = &t->args->attention;
    const int64_t all = t->groups * t->rows, limits = t->groups * t->space * t->wide;
    float *row = (float *)(void *)(t->scratch + worker * t->scratch_bytes); /* [wide] */
    for (int64_t prompt = begin; prompt < end; prompt++)
        for (int64_t j = 0; j < all; j++) { /* head j / T, token j % T, in either form */
            const float *part = t->part + prompt * t->segments * t->part_floats;
            const int64_t h = j / t->t, at = (t->projected ? h * t->space + j % t->t : j) * t->wide;
            float largest = SAMC__NEGLIGIBLE;
            for (int64_t s = 0; s < t->segments; s++) largest = fmaxf(largest, part[s * t->part_floats + limits + j]);
            vf total = vf_set(0.0f);
            memset(row, 0, (size_t)t->wide * sizeof(float));
            for (int64_t s = 0; s < t->segments; s++, part += t->part_floats) {
                const vf weight = vf_exp2(vf_set(part[limits + j] - largest));
                total = vf_fma(weight, vf_set(part[limits + all + j]), total);
                for (int64_t c = 0; c < t->wide; c += VW)
                    vf_store(row + c, vf_fma(weight, vf_load(part + at + c), vf_load(row + c)));
            }
            total = vf_div(vf_set(1.0f), total);
            for (int64_t c = 0; c < t->wide; c += VW) vf_store(row + c, vf_mul(vf_load(row + c), total));
            float *out = t->heads_out + (prompt * t->t + j % t->t) * t->inner + h * t->hd;
            const float *w = samc__f32(a->v.w) + h * t->hd * t->c,
                        *b = a->v.b.data ? samc__f32(a->v.b) + h * t->hd : NULL;
            for (int64_t i = 0; i < t->hd; i++)
                out[i] = t->projected ? row[column_of(t, h) + i] : dot(row, w + i * t->c, t->c) + (b ? b[i] : 0.0f);
        }
}

/* One item: one panel of keys of one of this round's entries, as columns of both products. */
static void place_panels(void *context, int64_t begin, int64_t end, int worker) {
    const image_task *t = context;
    const worker_buffers b = buffers_of(t, worker);
    for (int64_t item = begin; item < end; item++) {
        const int64_t entry = item / t->panels, panel = item % t->panels, row = entry * t->n + panel * PANEL;
        const int64_t tokens = t->n - panel * PANEL < PANEL ? t->n - panel * PANEL : PANEL;
        place_heads(t->k, row, tokens, t->heads, b.sums, t->features + item * t->heads * t->kp * PANEL);
        pair_rows(t->v, row, tokens, t->inner, t->panels * PANEL * PANEL,
                  t->values + (entry * t->columns * t->panels + panel) * PANEL * PANEL);
    }
}

/* Projected keys and values of the round's entries. bk cancels in the softmax. */
static samc_status project_round(const samc__exec *exec, image_task *t, int64_t entries) {
    const samc__token_to_image_args *a = t->args;
    if (a->image_k.data) {
        t->k = entries_from(a->image_k, t->first), t->v = entries_from(a->image_v, t->first);
    } else {
        const samc__projection no_bias = {.w = a->attention.k.w};
        t->k.n[0] = t->v.n[0] = entries;
        SAMC__TRY(project_entries(exec, a->keys, a->key_pe, t->first, no_bias, t->sums, t->k));
        SAMC__TRY(project_entries(exec, a->keys, (samc__view){0}, t->first, a->attention.v, NULL, t->v));
    }
    samc__parallel(exec, (double)(entries * t->n * t->inner) * 8, entries * t->panels, 4, place_panels, t);
    return SAMC_OK;
}

/* Form and sizes for the arguments. */
static image_task task_of(const samc__token_to_image_args *a) {
    image_task t = {.args = a,
                    .p = a->queries.n[0],
                    .t = a->queries.n[1],
                    .c = a->queries.n[2],
                    .n = a->keys.n[1],
                    .heads = a->attention.heads,
                    .b = a->keys.n[0]};
    t.each = t.p / t.b, t.inner = a->attention.q.w.n[0], t.hd = t.inner / t.heads;
    t.projected = a->shared || a->image_k.data || t.each > 1 || !samc__folds(t.t);
    t.groups = t.projected ? t.heads : 1, t.rows = t.projected ? t.t : t.heads * t.t;
    t.space = low_round_up(t.rows, LOW_ROWS), t.kp = low_round_up(t.projected ? t.hd : t.c, LOW_K);
    t.segments = (t.n + SEGMENT - 1) / SEGMENT, t.panels = (t.n + PANEL - 1) / PANEL;
    t.together = entries_together(t.projected, t.b, t.n);
    t.columns = samc__panels(t.projected ? t.inner : t.c);
    t.wide = t.columns * PANEL;
    if (t.projected) {
        t.wide = 0;
        for (int64_t h = 0; h < t.heads; h++) {
            const int64_t wide = low_round_up(column_of(&t, h) + t.hd, PANEL);
            t.wide = wide > t.wide ? wide : t.wide;
        }
    }
    t.part_floats = round_to(t.groups * (t.space * t.wide + 2 * t.rows), 16);
    t.scratch_bytes = t.space * TILE_KEYS * 6 + (PANEL + TILE_KEYS) * t.kp * 2 + TILE_KEYS * t.columns * PANEL * 2;
    const int64_t row = (t.wide > t.c ? t.wide : t.c) * 4; /* of fold_prompts() and merge_prompts() */
    t.scratch_bytes = round_to(t.scratch_bytes > row ? t.scratch_bytes : row, 64);
    return t;
}

/* Hands out the parts of a block, and returns how many bytes they take. base NULL: only counts. */
static int64_t lay_out(image_task *t, int workers, char *base, float **queries_pe) {
    int64_t tokens = t->p * t->t * t->inner, at = 0;
#define PART(type, count)                                                                                              \
    (at += round_to((count) * (int64_t)sizeof(type), 64),                                                              \
     base ? (type *)(void *)(base + at - round_to((count) * (int64_t)sizeof(type), 64)) : NULL)
    *queries_pe = PART(float, t->p * t->t * t->c);
    t->q = PART(float, tokens);
    t->heads_out = PART(float, tokens);
    t->left = PART(uint16_t, t->p * t->groups * t->space * t->kp);
    t->part = PART(float, t->p * t->segments * t->part_floats);
    t->scratch = PART(char, workers * t->scratch_bytes);
    if (t->projected) {
        const int64_t keys = t->together * t->panels * PANEL, made = t->args->image_k.data ? 0 : t->together * t->n;
        t->features = PART(uint16_t, keys * t->heads * t->kp);
        t->values = PART(uint16_t, keys * t->columns * PANEL);
        t->sums = PART(uint16_t, made * t->c);
        t->k = samc__as(SAMC__BF16, samc__view3(PART(uint16_t, made * t->inner), t->together, t->n, t->inner));
        t->v = samc__as(SAMC__BF16, samc__view3(PART(uint16_t, made * t->inner), t->together, t->n, t->inner));
    }
#undef PART
    return at;
}

samc_status SAMC__RUNG(samc__token_to_image)(const samc__exec *exec, const samc__token_to_image_args *a) {
    image_task t = task_of(a);
    float *queries_pe;
    char *block = exec->allocate(exec->memory, (size_t)lay_out(&t, exec->workers, NULL, &queries_pe));
    if (block == NULL)
        return samc__fail(exec->error, SAMC_OUT_OF_MEMORY, "no memory for the attention of %lld prompts",
                          (long long)t.p);
    lay_out(&t, exec->workers, block, &queries_pe);
    samc__view none = {0}, q = samc__view3(t.q, t.p, t.t, t.inner), out = samc__view3(t.heads_out, t.p, t.t, t.inner);
    double work = 4.0 * (double)(t.groups * t.rows * t.kp) * (double)t.n; /* of one prompt */
    if (!exec->rehearsal) add_rows(samc__f32(a->queries), samc__f32(a->pe), t.p * t.t * t.c, queries_pe);
    samc_status status = samc__project(exec, samc__view3(queries_pe, t.p, t.t, t.c), a->attention.q, none, q);
    if (status == SAMC_OK) samc__parallel(exec, work / 100 * (double)t.p, t.p, 1, fold_prompts, &t);
    for (; t.first < t.b && status == SAMC_OK; t.first += t.together) {
        int64_t entries = t.b - t.first < t.together ? t.b - t.first : t.together;
        t.now = entries * t.each;
        if (t.projected) status = project_round(exec, &t, entries);
        if (status == SAMC_OK) samc__parallel(exec, work * (double)t.now, t.now * t.segments, 1, attend_segments, &t);
    }
    if (status == SAMC_OK) {
        samc__parallel(exec, work / 100 * (double)t.p, t.p, 1, merge_prompts, &t);
        status = samc__project(exec, out, a->attention.out, a->queries, a->queries);
    }
    if (status == SAMC_OK) status = samc__normalise(exec, a->queries, a->norm);
    exec->release(exec->memory, block);
    return status;
}
