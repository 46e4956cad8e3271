/* image_to_token of bf16 keys: the f32 version's forms (cpu.c), its products on blocks of 16 bits.
 *
 * Scores have prompt tokens as rows and a panel of image tokens as columns, so that the softmax needs no sums across
 * lanes. Its weights, transposed, are the rows of the second product: what it leaves lies as keys and y do, and the
 * norm runs along rows. */
#include "kernels/cpu/low_decoder.h"
#include "kernels/image_to_token/image_to_token.h"

#include <math.h>

enum { TERMS = 32 }; /* of a sum over tokens, summed up apart, as equal terms all round the same way */

typedef struct token_task {
    const samc__image_to_token_args *args;
    int64_t p, t, c, n, inner, hd, heads, panels;
    int64_t b, each;          /* entries of keys, and prompts that read one */
    int64_t first, together;  /* first entry of this round, and entries of a round */
    bool projected, folded;   /* the image's queries are projected; the output is folded */
    int64_t kp, space;        /* elements of a left row, C or hd rounded up; rows of a head, or of all */
    int64_t tp, wide, innerp; /* heads T or T, C and inner, rounded up to LOW_K */
    float *k, *v;             /* [P, T, inner] of the prompt tokens */
    float *w_out;             /* folded: Wout transposed, [inner, C] */
    const uint16_t *out;      /* else: its panels */
    uint16_t *left;           /* [P]: projected: [heads][space][kp], else [space][kp] */
    float *start;             /* [P][heads T]: bq . k, where queries are not projected */
    uint16_t *right; /* [P]: folded: panels of C [tp / 2][PANEL][2] of heads T rows, else panels of inner of T rows */
    int64_t left_halves, right_halves;
    uint16_t *queries; /* projected queries of this round's entries [..][panels][heads][kp / 2][PANEL][2] */
    samc__view q;      /* these [.., N, inner] from this round's entries on */
    uint16_t *sums;    /* [entries of a round, N, C]: keys + key_pe, where they are projected here */
    char *scratch;     /* [workers][scratch_bytes] */
    int64_t scratch_bytes;
} token_task;

/* Left and right sides of one prompt. */
static void fold_prompts(void *context, int64_t begin, int64_t end, int worker) {
    const token_task *t = context;
    const samc__attention *a = &t->args->attention;
    float *row = (float *)(void *)(t->scratch + worker * t->scratch_bytes); /* [2][the wider of wide and kp] */
    const int64_t all = t->heads * t->t, ld = t->wide > t->kp ? t->wide : t->kp;
    const float scale = (float)(1.4426950408889634 / sqrt((double)t->hd));
    for (int64_t prompt = begin; prompt < end; prompt++) {
        uint16_t *left = t->left + prompt * t->left_halves, *right = t->right + prompt * t->right_halves;
        memset(left, 0, (size_t)t->left_halves * sizeof *left);
        for (int64_t j = 0; j < all; j++) {
            const int64_t h = j / t->t, token = j % t->t, at = (prompt * t->t + token) * t->inner + h * t->hd;
            const int64_t size = t->projected ? t->hd : t->c;
            if (t->projected) {
                for (int64_t i = 0; i < t->hd; i++) row[i] = t->k[at + i] * scale;
            } else {
                fold_row(t->k + at, samc__f32(a->q.w) + h * t->hd * t->c, t->hd, t->c, scale, row);
                t->start[prompt * all + j] =
                    a->q.b.data ? dot(t->k + at, samc__f32(a->q.b) + h * t->hd, t->hd) * scale : 0.0f;
            }
            uint16_t *out = left + (t->projected ? h * t->space + token : j) * t->kp;
            for (int64_t i = 0; i < size; i += VW) {
                const int64_t count = size - i < VW ? size - i : VW;
                vf_store_bf16_first(out + i, count, vf_load_first(row + i, count));
            }
        }
        if (!t->folded) {
            pair_rows(samc__view3(t->v, t->p, t->t, t->inner), prompt * t->t, t->t, t->inner, t->tp * PANEL, right);
            continue;
        }
        for (int64_t j = 0; j < t->tp; j += 2) {
            memset(row, 0, (size_t)(2 * ld) * sizeof *row);
            for (int64_t i = 0; i < 2 && j + i < all; i++) {
                const int64_t h = (j + i) / t->t, at = (prompt * t->t + (j + i) % t->t) * t->inner + h * t->hd;
                fold_row(t->v + at, t->w_out + h * t->hd * t->c, t->hd, t->c, 1.0f, row + i * ld);
            }
            for (int64_t c = 0; c < t->wide; c += VW)
                vb_store(right + c / PANEL * t->tp * PANEL + j * PANEL + c % PANEL * 2,
                         vb_pairs(vf_load(row + c), vf_load(row + ld + c)));
        }
    }
}

/* Softmax over the prompt tokens of one head, in place: score [T][PANEL], to which start [T] is added. */
static void softmax_panel(float *score, const float *start, int64_t tokens) {
    for (int v = 0; v < PANEL; v += VW) {
        vf most = vf_set(0.0f), sum = vf_set(0.0f), part = vf_set(0.0f);
        for (int64_t i = 0; i < tokens; i++) {
            vf x = vf_load(score + i * PANEL + v);
            if (start) vf_store(score + i * PANEL + v, x = vf_add(x, vf_set(start[i])));
            most = i ? vf_max(most, x) : x;
        }
        for (int64_t i = 0; i < tokens; i++) {
            const vf e = vf_exp2(vf_sub(vf_load(score + i * PANEL + v), most));
            vf_store(score + i * PANEL + v, e);
            part = vf_add(part, e);
            if (i % TERMS == TERMS - 1) sum = vf_add(sum, part), part = vf_set(0.0f);
        }
        sum = vf_div(vf_set(1.0f), vf_add(sum, part));
        for (int64_t i = 0; i < tokens; i++)
            vf_store(score + i * PANEL + v, vf_mul(vf_load(score + i * PANEL + v), sum));
    }
}

/* Zeros the last blocks where keys do not fill them. */
static void clear_last_blocks(const samc__key_update *u, int64_t n) {
    const int64_t block = u->weights.n[2] * SAMC__UPDATE_KEYS;
    for (int64_t prompt = 0; n % SAMC__UPDATE_KEYS && prompt < u->weights.n[0]; prompt++)
        memset(samc__f32(u->weights) + ((prompt + 1) * u->weights.n[1] - 1) * block, 0, (size_t)block * sizeof(float));
}

typedef struct worker_buffers {
    float *score, *x, *heads;      /* [heads T or T, and LOW_ROWS][PANEL], [PANEL][wide], [PANEL][innerp] */
    uint16_t *sums, *pairs, *rows; /* [PANEL][kp], [kp or tp / 2][PANEL][2], [PANEL][tp or innerp] */
} worker_buffers;

static int64_t longer(int64_t a, int64_t b) { return a > b ? a : b; }

static int64_t lay_worker(const token_task *t, char *base, worker_buffers *b) {
    int64_t at = 0;
#define PART(type, count)                                                                                              \
    (at += round_to((count) * (int64_t)sizeof(type), 64),                                                              \
     base ? (type *)(void *)(base + at - round_to((count) * (int64_t)sizeof(type), 64)) : NULL)
    b->score = PART(float, (t->heads * t->t + LOW_ROWS) * PANEL);
    b->x = PART(float, longer(PANEL * t->wide, 2 * longer(t->wide, t->kp))); /* and rows of fold_prompts() before */
    b->heads = PART(float, t->folded ? 0 : PANEL *(t->innerp + PANEL));
    b->sums = PART(uint16_t, PANEL * t->kp);
    b->pairs = PART(uint16_t, longer(t->kp, t->tp) * PANEL);
    b->rows = PART(uint16_t, longer(t->tp, t->folded ? 0 : t->innerp) * PANEL);
#undef PART
    return at;
}

/* x [tokens][wide] = weights . folded rows, or heads' outputs . Wout. */
static void product_out(const token_task *t, const worker_buffers *b, int64_t prompt, int64_t tokens) {
    const uint16_t *right = t->right + prompt * t->right_halves;
    if (t->folded) {
        floats_to_pairs(b->score, t->heads * t->t, b->pairs);
        pairs_to_rows(b->pairs, t->tp, b->rows, t->tp);
        for (int64_t c = 0; c < t->wide; c += PANEL)
            low_block(tokens, b->rows, t->tp, right + c * t->tp, t->tp, b->x + c, t->wide, false);
        return;
    }
    float *block = b->heads + PANEL * t->innerp; /* [PANEL][PANEL] */
    for (int64_t h = 0; h < t->heads; h++) {
        const int64_t begin = h * t->hd, end = begin + t->hd;
        floats_to_pairs(b->score + h * t->t * PANEL, t->t, b->pairs);
        pairs_to_rows(b->pairs, t->tp, b->rows, t->tp);
        for (int64_t first = begin / PANEL * PANEL; first < end; first += PANEL) {
            low_block(tokens, b->rows, t->tp, right + first * t->tp, t->tp, block, PANEL, false);
            const int64_t from = longer(begin, first), to = end < first + PANEL ? end : first + PANEL;
            for (int64_t r = 0; r < tokens; r++)
                memcpy(b->heads + r * t->innerp + from, block + r * PANEL + from - first,
                       (size_t)(to - from) * sizeof(float));
        }
    }
    for (int64_t r = 0; r < tokens; r++)
        for (int64_t i = t->inner; i < t->innerp; i++) b->heads[r * t->innerp + i] = 0.0f;
    for (int64_t i = 0; i < tokens * t->innerp; i += 2 * VW)
        vb_store(b->rows + i, vb_round(vf_load(b->heads + i), vf_load(b->heads + i + VW)));
    for (int64_t c = 0; c < t->wide; c += PANEL)
        low_block(tokens, b->rows, t->innerp, t->out + c * t->innerp, t->innerp, b->x + c, t->wide, false);
}

/* x [C] + keys + bias, normed, to y; `at` is the place of both in their rows. The result is 1 / deviation. */
static float finish_row(const samc__image_to_token_args *a, float *x, int64_t c, int64_t key, int64_t at) {
    const float *bias = samc__f32(a->attention.out.b), *g = samc__f32(a->norm.g), *b = samc__f32(a->norm.b);
    vf sum[2] = {vf_set(0.0f), vf_set(0.0f)}, square[2] = {sum[0], sum[0]};
    for (int64_t i = 0; i < c; i += VW) {
        const int64_t left = c - i < VW ? c - i : VW;
        vf value = vf_add(vf_load_first(x + i, left), vf_load_first_of(a->keys, key + i, left));
        if (bias) value = vf_add(value, vf_load_first(bias + i, left));
        vf_store(x + i, value);
        sum[i / VW % 2] = vf_add(sum[i / VW % 2], value);
    }
    const float mean = vf_sum(vf_add(sum[0], sum[1])) / (float)c;
    for (int64_t i = 0; i < c; i += VW) {
        const int64_t left = c - i < VW ? c - i : VW;
        vf d = vf_sub(vf_load(x + i), vf_set(mean));
        vf_store(x + i, d);
        if (left < VW) d = vf_load_first(x + i, left);
        square[i / VW % 2] = vf_fma(d, d, square[i / VW % 2]);
    }
    const float scale = 1.0f / sqrtf(vf_sum(vf_add(square[0], square[1])) / (float)c + a->norm.eps);
    for (int64_t i = 0; i < c; i += VW) {
        const int64_t left = c - i < VW ? c - i : VW;
        const vf y = vf_mul(vf_load(x + i), vf_set(scale));
        vf_store_first_of(a->y, at + i, left, vf_fma(y, vf_load_first(g + i, left), vf_load_first(b + i, left)));
    }
    return scale;
}

/* The same for whole vectors of bf16: x [c] holds the sum then, c is a multiple of LOW_K. */
static float finish_whole(const samc__image_to_token_args *a, float *x, int64_t c, const uint16_t *keys, uint16_t *y) {
    const float *bias = samc__f32(a->attention.out.b), *g = samc__f32(a->norm.g), *b = samc__f32(a->norm.b);
    vf sum[2] = {vf_set(0.0f), vf_set(0.0f)}, square[2] = {sum[0], sum[0]};
    for (int64_t i = 0; i < c; i += 2 * VW)
        for (int v = 0; v < 2; v++) {
            const int64_t at = i + v * VW;
            vf value = vf_add(vf_load(x + at), vf_load_bf16(keys + at));
            if (bias) value = vf_add(value, vf_load(bias + at));
            vf_store(x + at, value);
            sum[v] = vf_add(sum[v], value);
        }
    const vf mean = vf_set(vf_sum(vf_add(sum[0], sum[1])) / (float)c);
    for (int64_t i = 0; i < c; i += 2 * VW)
        for (int v = 0; v < 2; v++) {
            const vf d = vf_sub(vf_load(x + i + v * VW), mean);
            square[v] = vf_fma(d, d, square[v]);
        }
    const float scale = 1.0f / sqrtf(vf_sum(vf_add(square[0], square[1])) / (float)c + a->norm.eps);
    for (int64_t i = 0; i < c; i += 2 * VW) {
        vf out[2];
        for (int v = 0; v < 2; v++) {
            const int64_t at = i + v * VW;
            const vf d = vf_mul(vf_sub(vf_load(x + at), mean), vf_set(scale));
            out[v] = vf_fma(d, vf_load(g + at), vf_load(b + at));
        }
        vb_store(y + i, vb_round(out[0], out[1]));
    }
    return scale;
}

/* One item: one panel of image tokens of one prompt of this round. */
static void attend_panels(void *context, int64_t begin, int64_t end, int worker) {
    const token_task *t = context;
    const samc__image_to_token_args *a = t->args;
    const int64_t all = t->heads * t->t;
    const bool whole = t->c % LOW_K == 0 && a->keys.dtype == SAMC__BF16 && a->y.dtype == SAMC__BF16;
    worker_buffers b;
    lay_worker(t, t->scratch + worker * t->scratch_bytes, &b);
    low_begin();
    for (int64_t item = begin; item < end; item++) {
        const int64_t prompt = t->first * t->each + item / t->panels, entry = item / t->panels / t->each;
        const int64_t panel = item % t->panels, token = panel * PANEL;
        const int64_t tokens = t->n - token < PANEL ? t->n - token : PANEL;
        const int64_t keys = ((t->first + entry) * t->n + token) * t->c, y = (prompt * t->n + token) * t->c;
        const uint16_t *left = t->left + prompt * t->left_halves;
        const float *start = NULL;
        if (t->projected) {
            const uint16_t *queries = t->queries + (entry * t->panels + panel) * t->heads * t->kp * PANEL;
            for (int64_t h = 0; h < t->heads; h++) /* rows beyond a head's are the next one's, written after them */
                low_block(t->t, left + h * t->space * t->kp, t->kp, queries + h * t->kp * PANEL, t->kp,
                          b.score + h * t->t * PANEL, PANEL, false);
        } else {
            sum_rows((tensor_rows){a->keys, keys, t->c}, (tensor_rows){a->key_pe, token * t->c, t->c}, tokens, t->c,
                     b.sums);
            rows_to_pairs(b.sums, t->kp, t->kp, b.pairs);
            low_block(all, left, t->kp, b.pairs, t->kp, b.score, PANEL, false);
            start = t->start + prompt * all;
        }
        for (int64_t h = 0; h < t->heads; h++)
            softmax_panel(b.score + h * t->t * PANEL, start ? start + h * t->t : NULL, t->t);
        product_out(t, &b, prompt, tokens);
        float *noted = a->update.weights.data
                           ? samc__f32(a->update.weights) + samc__update_at(&a->update, prompt, token, 0)
                           : NULL;
        for (int64_t j = 0; j < all && noted; j++)
            memcpy(noted + j * SAMC__UPDATE_KEYS, b.score + j * PANEL, (size_t)tokens * sizeof(float));
        for (int64_t i = 0; i < tokens; i++) {
            float *x = b.x + i * t->wide;
            const int64_t key = keys + i * t->c, at = y + i * t->c;
            const float scale =
                whole ? finish_whole(a, x, t->c, (const uint16_t *)a->keys.data + key, (uint16_t *)a->y.data + at)
                      : finish_row(a, x, t->c, key, at);
            if (noted) noted[all * SAMC__UPDATE_KEYS + i] = scale;
        }
    }
    low_end();
}

/* One item: one panel of projected queries of one of this round's entries. */
static void place_panels(void *context, int64_t begin, int64_t end, int worker) {
    const token_task *t = context;
    worker_buffers b;
    lay_worker(t, t->scratch + worker * t->scratch_bytes, &b);
    for (int64_t item = begin; item < end; item++) {
        const int64_t token = item % t->panels * PANEL, tokens = t->n - token < PANEL ? t->n - token : PANEL;
        place_heads(t->q, item / t->panels * t->n + token, tokens, t->heads, b.sums,
                    t->queries + item * t->heads * t->kp * PANEL);
    }
}

static samc_status project_round(const samc__exec *exec, token_task *t, int64_t entries) {
    const samc__image_to_token_args *a = t->args;
    if (a->image_q.data) {
        t->q = entries_from(a->image_q, t->first);
    } else {
        t->q.n[0] = entries;
        SAMC__TRY(project_entries(exec, a->keys, a->key_pe, t->first, a->attention.q, t->sums, t->q));
    }
    samc__parallel(exec, (double)(entries * t->n * t->inner) * 8, entries * t->panels, 4, place_panels, t);
    return SAMC_OK;
}

/* Form and sizes for the arguments. */
static token_task task_of(const samc__image_to_token_args *a) {
    token_task t = {.args = a,
                    .p = a->queries.n[0],
                    .t = a->queries.n[1],
                    .c = a->queries.n[2],
                    .n = a->keys.n[1],
                    .b = a->keys.n[0],
                    .heads = a->attention.heads};
    t.each = t.p / t.b, t.inner = a->attention.q.w.n[0], t.hd = t.inner / t.heads, t.panels = (t.n + PANEL - 1) / PANEL;
    t.folded = samc__folds(t.t);
    t.projected = a->shared || a->image_q.data || t.each > 1 || !t.folded;
    t.together = entries_together(t.projected, t.b, t.n);
    const int64_t all = t.heads * t.t;
    t.kp = low_round_up(t.projected ? t.hd : t.c, LOW_K), t.tp = low_round_up(t.folded ? all : t.t, LOW_K);
    t.space = low_round_up(t.projected ? t.t : all, LOW_ROWS);
    t.wide = low_round_up(t.c, PANEL), t.innerp = low_round_up(t.inner, LOW_K);
    t.left_halves = (t.projected ? t.heads : 1) * t.space * t.kp;
    t.right_halves = (t.folded ? t.wide : t.innerp) * t.tp;
    worker_buffers none;
    t.scratch_bytes = lay_worker(&t, NULL, &none);
    return t;
}

/* Hands out the parts of a block, and returns how many bytes they take. base NULL: only counts. */
static int64_t lay_out(token_task *t, int workers, char *base, float **queries_pe, uint16_t **panels) {
    const int64_t tokens = t->p * t->t, made = t->projected && !t->args->image_q.data ? t->together * t->n : 0;
    int64_t at = 0;
#define PART(type, count)                                                                                              \
    (at += round_to((count) * (int64_t)sizeof(type), 64),                                                              \
     base ? (type *)(void *)(base + at - round_to((count) * (int64_t)sizeof(type), 64)) : NULL)
    *queries_pe = PART(float, tokens * t->c);
    t->k = PART(float, tokens * t->inner);
    t->v = PART(float, tokens * t->inner);
    t->w_out = PART(float, t->folded ? t->inner * t->c : 0);
    *panels = PART(uint16_t, t->folded ? 0 : t->wide * t->innerp);
    t->left = PART(uint16_t, t->p * t->left_halves);
    t->right = PART(uint16_t, t->p * t->right_halves);
    t->start = PART(float, tokens * t->heads);
    t->scratch = PART(char, workers * t->scratch_bytes);
    t->queries = PART(uint16_t, t->projected ? t->together * t->panels * PANEL * t->heads * t->kp : 0);
    t->sums = PART(uint16_t, made * t->c);
    t->q = samc__as(SAMC__BF16, samc__view3(PART(uint16_t, made * t->inner), t->together, t->n, t->inner));
#undef PART
    return at;
}

samc_status SAMC__RUNG(samc__image_to_token)(const samc__exec *exec, const samc__image_to_token_args *a) {
    token_task t = task_of(a);
    float *queries_pe;
    uint16_t *panels;
    char *block = exec->allocate(exec->memory, (size_t)lay_out(&t, exec->workers, NULL, &queries_pe, &panels));
    if (block == NULL)
        return samc__fail(exec->error, SAMC_OUT_OF_MEMORY, "no memory for the attention of %lld prompts",
                          (long long)t.p);
    lay_out(&t, exec->workers, block, &queries_pe, &panels);
    samc__view none = {0}, k = samc__view3(t.k, t.p, t.t, t.inner), v = samc__view3(t.v, t.p, t.t, t.inner);
    if (a->update.weights.data) {
        if (!exec->rehearsal) clear_last_blocks(&a->update, t.n);
        t.v = samc__f32(a->update.values), v.data = t.v;
    }
    if (!exec->rehearsal) {
        const float *out = samc__f32(a->attention.out.w); /* [C, inner] */
        for (int64_t i = 0; i < t.inner && t.folded; i++)
            for (int64_t c = 0; c < t.c; c++) t.w_out[i * t.c + c] = out[c * t.inner + i];
        add_rows(samc__f32(a->queries), samc__f32(a->pe), t.p * t.t * t.c, queries_pe);
    }
    if (!t.folded) t.out = weight_panels(exec, a->attention.out.w, t.c, t.inner, panels);
    samc_status status = samc__project(exec, samc__view3(queries_pe, t.p, t.t, t.c), a->attention.k, none, k);
    if (status == SAMC_OK) status = samc__project(exec, a->queries, a->attention.v, none, v);
    double work = 4.0 * (double)(t.heads * t.t) * (double)t.c * (double)t.n; /* of one prompt */
    if (status == SAMC_OK) samc__parallel(exec, work / 100 * (double)t.p, t.p, 1, fold_prompts, &t);
    for (; t.first < t.b && status == SAMC_OK; t.first += t.together) {
        const int64_t entries = t.b - t.first < t.together ? t.b - t.first : t.together, prompts = entries * t.each;
        if (t.projected) status = project_round(exec, &t, entries);
        if (status == SAMC_OK) samc__parallel(exec, work * (double)prompts, prompts * t.panels, 4, attend_panels, &t);
    }
    exec->release(exec->memory, block);
    return status;
}
