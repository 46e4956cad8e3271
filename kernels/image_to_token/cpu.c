/* image_to_token in vectors: one panel of image tokens from its keys to the normed sum, in one go.
 *
 * Wq folds onto the prompt tokens for the scores, (keys + key_pe) . (Wq^T k_h) + bq . k_h, and Wv and Wout into one row
 * for each head and prompt token for the output: 2 x 8 T columns in place of 2 x C / 2. Where the prompts of an image
 * share its keys, its queries are projected once instead; where tokens are many, queries and output are projected, head
 * by head. Image tokens are lanes: softmax and norm need no sums across. */
#include "kernels/cpu/decoder.h"
#include "kernels/image_to_token/image_to_token.h"

#include <math.h>
#include <string.h>

SAMC__DEFINE_TILE(tile_w, 1, MR) /* left sides as [k][MR] */
enum {
    TERMS = 32,
    DEPTH = 256
}; /* of a sum over tokens, of a product: summed up apart, as equal terms all round the same way */

typedef struct token_task {
    const samc__image_to_token_args *args;
    int64_t p, t, c, n, inner, hd, heads, panels;
    int64_t b, each;         /* entries of keys, and prompts that read one */
    int64_t first, together; /* first entry of this round, and entries of a round */
    bool projected, folded;  /* the image's queries are projected; the output is folded */
    float *k, *v;            /* [P, T, inner] of the prompt tokens */
    float *w_out;            /* folded: [inner, C], transposed; else [C rows][inner] in tiles of MR rows */
    float *score_left; /* [P][score_floats]: projected: for each head [T rows][hd], else [heads T rows][C], tiles of MR
                          rows */
    float *start;      /* [P][heads T]: bq . k, where queries are not projected */
    float *out_left; /* [P][out_floats]: folded: [C rows][heads T], else for each head [hd rows][T], tiles of MR rows */
    int64_t score_floats, out_floats;
    float *queries; /* projected queries of this round's entries as panels [..][N / PANEL][inner][PANEL] */
    float *scratch; /* [workers][scratch_floats] */
    int64_t scratch_floats;
} token_task;

static int64_t wider(int64_t a, int64_t b) { return a > b ? a : b; }

/* Left sides of one prompt. */
static void fold_prompts(void *context, int64_t begin, int64_t end, int worker) {
    const token_task *t = context;
    const samc__attention *a = &t->args->attention;
    int64_t all = t->heads * t->t;
    float *row = t->scratch + worker * t->scratch_floats, scale = (float)(1.4426950408889634 / sqrt((double)t->hd));
    for (int64_t prompt = begin; prompt < end; prompt++)
        for (int64_t h = 0; h < t->heads; h++)
            for (int64_t token = 0; token < t->t; token++) {
                int64_t j = h * t->t + token, at = (prompt * t->t + token) * t->inner + h * t->hd;
                float *left = t->score_left + prompt * t->score_floats, *out = t->out_left + prompt * t->out_floats;
                if (t->projected) {
                    for (int64_t i = 0; i < t->hd; i++) row[i] = t->k[at + i] * scale;
                    place_row(row, token, t->hd, left + h * round_to(t->t, MR) * t->hd);
                } else {
                    fold_row(t->k + at, samc__f32(a->q.w) + h * t->hd * t->c, t->hd, t->c, scale, row);
                    place_row(row, j, t->c, left);
                    t->start[prompt * all + j] =
                        a->q.b.data ? dot(t->k + at, samc__f32(a->q.b) + h * t->hd, t->hd) * scale : 0.0f;
                }
                if (t->folded) {
                    fold_row(t->v + at, t->w_out + h * t->hd * t->c, t->hd, t->c, 1.0f, row);
                    for (int64_t c = 0; c < t->c; c++) out[(c / MR * all + j) * MR + c % MR] = row[c];
                } else {
                    out += h * round_to(t->hd, MR) * t->t;
                    for (int64_t i = 0; i < t->hd; i++) out[(i / MR * t->t + token) * MR + i % MR] = t->v[at + i];
                }
            }
}

/* Softmax over the prompt tokens of one head, in place: score [T][PANEL]. */
static void softmax_panel(float *score, int64_t tokens) {
    for (int v = 0; v < PANEL; v += VW) {
        vf most = vf_load(score + v), sum = vf_set(0.0f), part = vf_set(0.0f);
        for (int64_t i = 1; i < tokens; i++) most = vf_max(most, vf_load(score + i * PANEL + v));
        for (int64_t i = 0; i < tokens; i++) {
            vf e = vf_exp2(vf_sub(vf_load(score + i * PANEL + v), most));
            vf_store(score + i * PANEL + v, e);
            part = vf_add(part, e);
            if (i % TERMS == TERMS - 1) sum = vf_add(sum, part), part = vf_set(0.0f);
        }
        sum = vf_div(vf_set(1.0f), vf_add(sum, part));
        for (int64_t i = 0; i < tokens; i++)
            vf_store(score + i * PANEL + v, vf_mul(vf_load(score + i * PANEL + v), sum));
    }
}

/* y [rows][PANEL] (+)= tiles [rows in tiles of MR][k] . x [k][PANEL]. */
static void product(const float *tiles, int64_t rows, int64_t k, const float *x, float *y, tile_start start) {
    for (int64_t r = 0; r < rows; r += MR)
        for (int64_t i = 0; i < k; i += DEPTH)
            tile_w_2((int)(rows - r < MR ? rows - r : MR), tiles + r * k + i * MR, x + i * PANEL, PANEL,
                     k - i < DEPTH ? k - i : DEPTH, y + r * PANEL, PANEL, i ? TILE_ADD : start);
}

/* Writes rows [count][PANEL] into the update's block from row `row` on, for the panel's `tokens` tokens from `token`
 * on. */
static void note_rows(const samc__key_update *u, int64_t prompt, int64_t token, int64_t tokens, int64_t row,
                      const float *rows, int64_t count) {
    float *to = samc__f32(u->weights) + samc__update_at(u, prompt, token, row);
    for (; count > 0; count--, rows += PANEL, to += SAMC__UPDATE_KEYS) memcpy(to, rows, (size_t)tokens * sizeof(float));
}

/* Zeros the last blocks where keys do not fill them. */
static void clear_last_blocks(const samc__key_update *u, int64_t n) {
    int64_t block = u->weights.n[2] * SAMC__UPDATE_KEYS;
    for (int64_t prompt = 0; n % SAMC__UPDATE_KEYS && prompt < u->weights.n[0]; prompt++)
        memset(samc__f32(u->weights) + ((prompt + 1) * u->weights.n[1] - 1) * block, 0, (size_t)block * sizeof(float));
}

/* One item: one panel of image tokens of one prompt of this round. */
static void attend_panels(void *context, int64_t begin, int64_t end, int worker) {
    const token_task *t = context;
    const samc__image_to_token_args *a = t->args;
    int64_t all = t->heads * t->t;
    float *x = t->scratch + worker * t->scratch_floats, *sums = x + t->c * PANEL; /* [C][PANEL], [PANEL][C] */
    float *with_pe = sums + t->c * PANEL;                   /* [C][PANEL], or heads' outputs [inner][PANEL] */
    float *score = with_pe + wider(t->c, t->inner) * PANEL; /* [heads T or T][PANEL] */
    for (int64_t item = begin; item < end; item++) {
        int64_t prompt = t->first * t->each + item / t->panels, entry = item / t->panels / t->each; /* of this round */
        int64_t panel = item % t->panels, token = panel * PANEL, tokens = t->n - token < PANEL ? t->n - token : PANEL;
        const float *keys = samc__f32(a->keys) + ((t->first + entry) * t->n + token) * t->c; /* [tokens, C] */
        const float *left = t->score_left + prompt * t->score_floats, *right = t->out_left + prompt * t->out_floats;
        const float *bias = samc__f32(a->attention.out.b);
        to_panel(keys, tokens, t->c, x);
        if (bias)
            for (int64_t c = 0; c < t->c; c++)
                for (int v = 0; v < PANEL; v += VW)
                    vf_store(x + c * PANEL + v, vf_add(vf_load(x + c * PANEL + v), vf_set(bias[c])));
        if (t->projected) {
            const float *queries = t->queries + (entry * t->panels + panel) * t->inner * PANEL; /* [inner][PANEL] */
            for (int64_t h = 0; h < t->heads; h++) {
                float *own = score + (t->folded ? h * t->t * PANEL : 0);
                product(left + h * round_to(t->t, MR) * t->hd, t->t, t->hd, queries + h * t->hd * PANEL, own,
                        TILE_ZERO);
                softmax_panel(own, t->t);
                if (!t->folded)
                    product(right + h * round_to(t->hd, MR) * t->t, t->hd, t->t, own, with_pe + h * t->hd * PANEL,
                            TILE_ZERO);
            }
        } else {
            add_rows(keys, samc__f32(a->key_pe) + token * t->c, tokens * t->c, sums);
            to_panel(sums, tokens, t->c, with_pe);
            for (int64_t j = 0; j < all; j++)
                for (int v = 0; v < PANEL; v += VW) vf_store(score + j * PANEL + v, vf_set(t->start[prompt * all + j]));
            product(left, all, t->c, with_pe, score, TILE_ADD);
            for (int64_t h = 0; h < t->heads; h++) softmax_panel(score + h * t->t * PANEL, t->t);
        }
        if (t->folded) product(right, t->c, all, score, x, TILE_ADD);
        else product(t->w_out, t->c, t->inner, with_pe, x, TILE_ADD);
        bool noted = a->update.weights.data != NULL;
        if (noted) note_rows(&a->update, prompt, token, tokens, 0, score, all);
        norm_panel(x, t->c, samc__f32(a->norm.g), samc__f32(a->norm.b), a->norm.eps, noted ? score : NULL);
        if (noted) note_rows(&a->update, prompt, token, tokens, all, score, 1);
        from_panel(x, tokens, t->c, samc__f32(a->y) + (prompt * t->n + token) * t->c);
    }
}

/* Wout [C, inner], transposed or in tiles of rows. */
static void place_out(const samc__image_to_token_args *a, const token_task *t) {
    const float *out = samc__f32(a->attention.out.w);
    float *w = t->w_out;
    for (int64_t c = 0; c < t->c; c++) {
        if (!t->folded) place_row(out + c * t->inner, c, t->inner, w);
        for (int64_t i = 0; i < t->inner && t->folded; i++) w[i * t->c + c] = out[c * t->inner + i];
    }
}

/* Form and sizes for the arguments. */
static token_task task_of(const samc__image_to_token_args *a) {
    token_task t = {.args = a,
                    .p = a->queries.n[0],
                    .t = a->queries.n[1],
                    .c = a->queries.n[2],
                    .n = a->keys.n[1],
                    .heads = a->attention.heads};
    t.b = a->keys.n[0], t.each = t.p / t.b, t.inner = a->attention.q.w.n[0], t.hd = t.inner / t.heads,
    t.panels = (t.n + PANEL - 1) / PANEL;
    t.folded = samc__folds(t.t);
    t.projected = a->shared || a->image_q.data || t.each > 1 || !t.folded;
    t.together = entries_together(t.projected, t.b, t.n);
    int64_t all = t.heads * t.t;
    t.score_floats = t.projected ? t.heads * round_to(t.t, MR) * t.hd : round_to(all, MR) * t.c;
    t.out_floats = t.folded ? round_to(t.c, MR) * all : t.heads * round_to(t.hd, MR) * t.t;
    t.scratch_floats = round_to((2 * t.c + wider(t.c, t.inner) + (t.folded ? all : t.t)) * PANEL, 16);
    return t;
}

/* Hands out the parts of a block, and returns how many floats they take. base NULL: only counts. */
static int64_t lay_out(token_task *t, int workers, float *base, float **queries_pe, float **projections) {
    int64_t tokens = round_to(t->p * t->t * t->inner, 16), at = 0;
#define PART(floats) (at += (floats), base ? base + at - (floats) : NULL)
    *queries_pe = PART(round_to(t->p * t->t * t->c, 16));
    t->k = PART(tokens);
    t->v = PART(tokens);
    t->w_out = PART(round_to(t->inner * round_to(t->c, MR), 16));
    t->score_left = PART(round_to(t->p * t->score_floats, 16));
    t->out_left = PART(round_to(t->p * t->out_floats, 16));
    t->start = PART(round_to(t->p * t->heads * t->t, 16));
    t->scratch = PART(workers * t->scratch_floats);
    t->queries = PART(t->projected ? t->together * t->panels * PANEL * t->inner : 0);
    *projections = PART(t->projected && !t->args->image_q.data ? project_floats(t->together, t->n, t->c, t->inner) : 0);
#undef PART
    return at;
}

samc_status SAMC__RUNG(samc__image_to_token)(const samc__exec *exec, const samc__image_to_token_args *a) {
    token_task t = task_of(a);
    float *queries_pe, *projections;
    float *block = exec->allocate(exec->memory,
                                  (size_t)lay_out(&t, exec->workers, NULL, &queries_pe, &projections) * sizeof(float));
    if (block == NULL)
        return samc__fail(exec->error, SAMC_OUT_OF_MEMORY, "no memory for the attention of %lld prompts",
                          (long long)t.p);
    lay_out(&t, exec->workers, block, &queries_pe, &projections);
    samc__view none = {0}, k = samc__view3(t.k, t.p, t.t, t.inner), v = samc__view3(t.v, t.p, t.t, t.inner);
    if (a->update.weights.data) {
        if (!exec->rehearsal) clear_last_blocks(&a->update, t.n);
        t.v = samc__f32(a->update.values), v.data = t.v;
    }
    if (!exec->rehearsal) {
        place_out(a, &t);
        add_rows(samc__f32(a->queries), samc__f32(a->pe), t.p * t.t * t.c, queries_pe);
    }
    samc_status status = samc__project(exec, samc__view3(queries_pe, t.p, t.t, t.c), a->attention.k, none, k);
    if (status == SAMC_OK) status = samc__project(exec, a->queries, a->attention.v, none, v);
    double work = 4.0 * (double)(t.heads * t.t) * (double)t.c * (double)t.n; /* of one prompt */
    if (status == SAMC_OK) samc__parallel(exec, work / 100 * (double)t.p, t.p, 1, fold_prompts, &t);
    for (; t.first < t.b && status == SAMC_OK; t.first += t.together) {
        int64_t entries = t.b - t.first < t.together ? t.b - t.first : t.together, prompts = entries * t.each;
        if (t.projected)
            status =
                project_panels(exec, samc__f32(a->keys) + t.first * t.n * t.c, samc__f32(a->key_pe), &a->attention.q,
                               a->image_q.data ? samc__f32(a->image_q) + t.first * t.n * t.inner : NULL, entries, t.n,
                               projections, t.queries);
        if (status == SAMC_OK) samc__parallel(exec, work * (double)prompts, prompts * t.panels, 4, attend_panels, &t);
    }
    exec->release(exec->memory, block);
    return status;
}
