/* image_to_token for AVX2 and AVX-512: one panel of image tokens from its keys to the normed sum, in one go.
 *
 * Wq folds onto the prompt tokens for the scores, (keys + key_pe) . (Wq^T k_h) + bq . k_h, and Wv and Wout into one row for
 * each head and prompt token for the output: 2 x 8 T columns in place of 2 x C / 2. Where the prompts of an image share its
 * keys, the projected queries of the image are computed once instead. Image tokens are lanes: softmax and norm need no sums across. */
#include "kernels/cpu_decoder.h"

#include <math.h>

enum { MOST_TOKENS = 64 };
SAMC__DEFINE_TILE(tile_w, 1, MR) /* left sides as [k][MR] */

typedef struct token_task {
    const samc__image_to_token_args *args;
    int64_t p, t, c, n, inner, hd, heads, panels;
    int64_t b, each;        /* entries of keys, and prompts that read one */
    const float *k, *v;     /* [P, T, inner] of the prompt tokens */
    const float *w_out;     /* [inner, C], transposed */
    float *score_left;      /* [P][score_floats]: folded: [heads T rows][C], hoisted: for each head [T rows][hd], tiles of MR rows */
    float *start;           /* [P][heads T]: bq . k, folded only */
    float *out_left;        /* [P][out_floats]: [C rows][heads T] in tiles of MR rows */
    int64_t score_floats, out_floats;
    float *queries;         /* hoisted: the images' queries as panels [B][N / PANEL][inner][PANEL]; folded: NULL */
    float *scratch;         /* [workers][scratch_floats] */
    int64_t scratch_floats;
} token_task;

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
                if (t->queries) {
                    for (int64_t i = 0; i < t->hd; i++) row[i] = t->k[at + i] * scale;
                    place_row(row, token, t->hd, left + h * round_to(t->t, MR) * t->hd);
                } else {
                    fold_row(t->k + at, samc__f32(a->q.w) + h * t->hd * t->c, t->hd, t->c, scale, row);
                    place_row(row, j, t->c, left);
                    t->start[prompt * all + j] = a->q.b.data ? dot(t->k + at, samc__f32(a->q.b) + h * t->hd, t->hd) * scale : 0.0f;
                }
                fold_row(t->v + at, t->w_out + h * t->hd * t->c, t->hd, t->c, 1.0f, row);
                for (int64_t c = 0; c < t->c; c++) out[(c / MR * all + j) * MR + c % MR] = row[c];
            }
}

/* Softmax over the prompt tokens of each head, in place: score [heads * T][PANEL]. */
static void softmax_panel(float *score, int64_t heads, int64_t tokens) {
    for (int64_t h = 0; h < heads; h++, score += tokens * PANEL)
        for (int v = 0; v < PANEL; v += VW) {
            vf most = vf_load(score + v), sum = vf_set(0.0f);
            for (int64_t i = 1; i < tokens; i++) most = vf_max(most, vf_load(score + i * PANEL + v));
            for (int64_t i = 0; i < tokens; i++) {
                vf e = vf_exp2(vf_sub(vf_load(score + i * PANEL + v), most));
                vf_store(score + i * PANEL + v, e);
                sum = vf_add(sum, e);
            }
            sum = vf_div(vf_set(1.0f), sum);
            for (int64_t i = 0; i < tokens; i++) vf_store(score + i * PANEL + v, vf_mul(vf_load(score + i * PANEL + v), sum));
        }
}

static void product(const float *tiles, int64_t rows, int64_t k, const float *x, float *y, tile_start start) {
    for (int64_t r = 0; r < rows; r += MR)
        tile_w_2((int)(rows - r < MR ? rows - r : MR), tiles + r * k, x, PANEL, k, y + r * PANEL, PANEL, start);
}

/* One item: one panel of image tokens of one prompt. */
static void attend_panels(void *context, int64_t begin, int64_t end, int worker) {
    const token_task *t = context;
    const samc__image_to_token_args *a = t->args;
    int64_t all = t->heads * t->t;
    float *x = t->scratch + worker * t->scratch_floats, *sums = x + t->c * PANEL; /* [C][PANEL], [PANEL][C] */
    float *with_pe = sums + t->c * PANEL, *score = with_pe + t->c * PANEL;        /* [C][PANEL], [heads T][PANEL] */
    for (int64_t item = begin; item < end; item++) {
        int64_t prompt = item / t->panels, panel = item % t->panels, token = panel * PANEL;
        int64_t tokens = t->n - token < PANEL ? t->n - token : PANEL;
        int64_t entry = prompt / t->each;
        const float *keys = samc__f32(a->keys) + (entry * t->n + token) * t->c; /* [tokens, C] */
        const float *left = t->score_left + prompt * t->score_floats, *bias = samc__f32(a->attention.out.b);
        to_panel(keys, tokens, t->c, x);
        if (t->queries) {
            for (int64_t h = 0; h < t->heads; h++)
                product(left + h * round_to(t->t, MR) * t->hd, t->t, t->hd, t->queries + ((entry * t->panels + panel) * t->inner + h * t->hd) * PANEL,
                        score + h * t->t * PANEL, TILE_ZERO);
        } else {
            add_rows(keys, samc__f32(a->key_pe) + token * t->c, tokens * t->c, sums);
            to_panel(sums, tokens, t->c, with_pe);
            for (int64_t j = 0; j < all; j++)
                for (int v = 0; v < PANEL; v += VW) vf_store(score + j * PANEL + v, vf_set(t->start[prompt * all + j]));
            product(left, all, t->c, with_pe, score, TILE_ADD);
        }
        softmax_panel(score, t->heads, t->t);
        if (bias)
            for (int64_t c = 0; c < t->c; c++)
                for (int v = 0; v < PANEL; v += VW) vf_store(x + c * PANEL + v, vf_add(vf_load(x + c * PANEL + v), vf_set(bias[c])));
        product(t->out_left + prompt * t->out_floats, t->c, all, score, x, TILE_ADD);
        norm_panel(x, t->c, samc__f32(a->norm.g), samc__f32(a->norm.b), a->norm.eps);
        from_panel(x, tokens, t->c, samc__f32(a->y) + (prompt * t->n + token) * t->c);
    }
}

typedef struct panel_task {
    const float *in; /* [B, N, inner] */
    float *out;      /* [B][N / PANEL][inner][PANEL] */
    int64_t n, panels, inner;
} panel_task;

static void panel_items(void *context, int64_t begin, int64_t end, int worker) {
    const panel_task *t = context;
    (void)worker;
    for (int64_t i = begin; i < end; i++) {
        int64_t entry = i / t->panels, token = i % t->panels * PANEL;
        to_panel(t->in + (entry * t->n + token) * t->inner, t->n - token < PANEL ? t->n - token : PANEL, t->inner, t->out + i * PANEL * t->inner);
    }
}

samc_status SAMC__RUNG(samc__image_to_token)(const samc__exec *exec, const samc__image_to_token_args *a) {
    token_task t = {.args = a, .p = a->queries.n[0], .t = a->queries.n[1], .c = a->queries.n[2], .n = a->keys.n[1], .heads = a->attention.heads};
    t.b = a->keys.n[0], t.each = t.p / t.b;
    bool hoisted = a->shared || t.b != t.p;
    t.inner = a->attention.q.w.n[0], t.hd = t.inner / t.heads, t.panels = (t.n + PANEL - 1) / PANEL;
    if (t.t > MOST_TOKENS) return samc__image_to_token_ref(exec, a); /* folding no longer pays, and its buffers grow with T */
    int64_t all = t.heads * t.t, np = t.b * t.panels * PANEL;
    t.score_floats = hoisted ? t.heads * round_to(t.t, MR) * t.hd : round_to(all, MR) * t.c;
    t.out_floats = round_to(t.c, MR) * all;
    t.scratch_floats = round_to((3 * t.c + all) * PANEL, 16);
    int64_t queries = round_to(t.p * t.t * t.c, 16), tokens = round_to(t.p * t.t * t.inner, 16), w_out = round_to(t.inner * t.c, 16);
    int64_t lefts = round_to(t.p * (t.score_floats + t.out_floats + all), 16), shared = hoisted ? np * (t.c + 2 * t.inner) : 0;
    float *block = exec->allocate(exec->memory, (size_t)(queries + 2 * tokens + w_out + lefts + exec->workers * t.scratch_floats + shared) * sizeof(float));
    if (block == NULL) return samc__fail(exec->error, SAMC_OUT_OF_MEMORY, "no memory for the attention of %lld prompts", (long long)t.p);
    float *queries_pe = block, *k = queries_pe + queries, *v = k + tokens, *w = v + tokens;
    t.k = k, t.v = v, t.w_out = w;
    t.score_left = w + w_out, t.out_left = t.score_left + t.p * t.score_floats, t.start = t.out_left + t.p * t.out_floats;
    t.scratch = t.score_left + lefts;
    samc__view none = {0};
    for (int64_t c = 0; c < t.c; c++)
        for (int64_t i = 0; i < t.inner; i++) w[i * t.c + c] = samc__f32(a->attention.out.w)[c * t.inner + i];
    add_rows(samc__f32(a->queries), samc__f32(a->pe), t.p * t.t * t.c, queries_pe);
    samc_status status = samc__project(exec, samc__view3(queries_pe, t.p, t.t, t.c), a->attention.k, none, samc__view3(k, t.p, t.t, t.inner));
    if (status == SAMC_OK) status = samc__project(exec, a->queries, a->attention.v, none, samc__view3(v, t.p, t.t, t.inner));
    if (status == SAMC_OK && hoisted) {
        float *sums = t.scratch + exec->workers * t.scratch_floats, *q = sums + np * t.c;
        t.queries = q + np * t.inner;
        for (int64_t i = 0; i < t.b; i++)
            add_rows(samc__f32(a->keys) + i * t.n * t.c, samc__f32(a->key_pe), t.n * t.c, sums + i * t.n * t.c);
        status = samc__project(exec, samc__view3(sums, t.b, t.n, t.c), a->attention.q, none, samc__view3(q, t.b, t.n, t.inner));
        if (status == SAMC_OK)
            samc__parallel(exec, (double)(t.b * t.n * t.inner) * 8, t.b * t.panels, 8, panel_items, &(panel_task){q, t.queries, t.n, t.panels, t.inner});
    }
    if (status == SAMC_OK) {
        double work = 4.0 * (double)all * (double)t.c * (double)t.n * (double)t.p;
        samc__parallel(exec, work / 100, t.p, 1, fold_prompts, &t);
        samc__parallel(exec, work, t.p * t.panels, 4, attend_panels, &t);
    }
    exec->release(exec->memory, block);
    return status;
}
