/* token_to_image in vectors, with the projections of the image side folded onto the tokens.
 *
 * scores = (keys + key_pe) . (Wk^T q_h), and the output Wv (P . keys) + bv: two products with 8 T columns take the
 * place of two with C / 2, and bk cancels in the softmax, unless it is not finite. Where the prompts of an image share
 * its keys, or tokens are many, keys are projected. Keys go by in tiles with the softmax on the fly; fixed segments of
 * keys, merged in order at the end, keep every core busy on a single prompt without the result depending on how many
 * there are. */
#include "kernels/cpu/decoder.h"
#include "kernels/token_to_image/token_to_image.h"

#include <math.h>
#include <string.h>

enum { TILE_KEYS = 128, STRIDE = TILE_KEYS + 16, SEGMENT = 1024 };
SAMC__DEFINE_TILE(tile_q, 1, MR)     /* folded queries as [k][MR] */
SAMC__DEFINE_TILE(tile_p, STRIDE, 1) /* probabilities as [MR][STRIDE] */

typedef struct image_task {
    const samc__token_to_image_args *args;
    int64_t p, t, c, n, inner, hd;
    int64_t b, each;         /* entries of keys, and prompts that read one */
    int64_t first, together; /* first entry of this round, and entries of a round */
    bool projected;
    int64_t groups, rows;     /* folded: 1 and heads * T; projected: heads and T */
    int64_t k, wide, widep;   /* length of a folded query, of an output row, and rounded up to whole vectors */
    int64_t segments, panels; /* of one entry of keys */
    float *q;                 /* [P, T, inner] */
    float *left;              /* [P][left_floats]: folded queries, by group in tiles of MR rows */
    int64_t left_floats;
    float *features; /* projected keys of this round's entries as panels [..][N / PANEL][inner][PANEL]; folded: NULL */
    const float *
        values; /* projected values [.., N, inner], with a vector more where heads are no whole vectors; folded: NULL */
    float *part; /* [P][segments][part_floats]: out [groups * rows][widep], largest, sum [groups * rows] */
    int64_t part_floats;
    float *heads_out; /* [P, T, inner] */
    float *scratch;   /* [workers][scratch_floats] */
    int64_t scratch_floats;
} image_task;

/* Left sides of one prompt. */
static void fold_prompts(void *context, int64_t begin, int64_t end, int worker) {
    const image_task *t = context;
    const samc__attention *a = &t->args->attention;
    const float *bk = t->args->image_k.data ? NULL : samc__f32(a->k.b); /* image_k has it in it */
    float *row = t->scratch + worker * t->scratch_floats, scale = (float)(1.4426950408889634 / sqrt((double)t->hd));
    for (int64_t prompt = begin; prompt < end; prompt++)
        for (int64_t h = 0; h < a->heads; h++)
            for (int64_t token = 0; token < t->t; token++) {
                float *q = t->q + (prompt * t->t + token) * t->inner + h * t->hd;
                for (int64_t i = 0; bk && i < t->hd; i++)
                    q[i] += 0.0f * bk[h * t->hd + i]; /* what cancels, but for NaN and infinity */
                float *left = t->left + prompt * t->left_floats;
                if (t->projected) {
                    for (int64_t i = 0; i < t->hd; i++) row[i] = q[i] * scale;
                    place_row(row, token, t->k, left + h * round_to(t->t, MR) * t->k);
                } else {
                    fold_row(q, samc__f32(a->k.w) + h * t->hd * t->c, t->hd, t->c, scale, row);
                    place_row(row, h * t->t + token, t->k, left);
                }
            }
}

/* MR rows against one tile of `keys` keys. */
static void attend_tile(int rows, int64_t keys, int64_t k, const float *q, const float *features, int64_t panel_stride,
                        const float *values, int64_t ldv, int64_t widep, float *score, float *out, float *largest,
                        float *sum) {
    int64_t kp = round_to(keys, VW);
    for (int64_t at = 0; at < kp; at += PANEL, features += panel_stride) {
        if (at + VW < kp) tile_q_2(rows, q, features, PANEL, k, score + at, STRIDE, TILE_ZERO);
        else tile_q_1(rows, q, features, PANEL, k, score + at, STRIDE, TILE_ZERO);
    }
    for (int r = 0; r < rows; r++) {
        float *row = score + r * STRIDE;
        for (int64_t key = keys; key < kp; key++) row[key] = -INFINITY;
        vf most = vf_load(row);
        for (int64_t key = VW; key < kp; key += VW) most = vf_max(most, vf_load(row + key));
        float before = largest[r], now = vf_largest(most);
        if (now > before) {
            vf shrink = vf_exp2(vf_set(before - now));
            for (int64_t c = 0; c < widep; c += VW)
                vf_store(out + r * widep + c, vf_mul(vf_load(out + r * widep + c), shrink));
            vf_store_first(&sum[r], 1, vf_mul(vf_set(sum[r]), shrink));
            largest[r] = now;
        }
        vf shift = vf_set(largest[r]), total = vf_set(0.0f);
        for (int64_t key = 0; key < kp; key += VW) {
            vf e = vf_exp2(vf_sub(vf_load(row + key), shift));
            vf_store(row + key, e);
            total = vf_add(total, e);
        }
        sum[r] += vf_sum(total);
    }
    int64_t at = 0;
    for (; at + PANEL <= widep; at += PANEL) tile_p_2(rows, score, values + at, ldv, keys, out + at, widep, TILE_ADD);
    if (at < widep) tile_p_1(rows, score, values + at, ldv, keys, out + at, widep, TILE_ADD);
}

/* One item: one segment of the keys of one prompt of this round. */
static void attend_segments(void *context, int64_t begin, int64_t end, int worker) {
    const image_task *t = context;
    const samc__token_to_image_args *a = t->args;
    int64_t all = t->groups * t->rows;
    float *score = t->scratch + worker * t->scratch_floats, *sums = score + MR * STRIDE; /* [MR][STRIDE], [PANEL][C] */
    float *panels = sums + PANEL * t->c,
          *copy = panels + TILE_KEYS * t->c; /* [TILE_KEYS / PANEL][C][PANEL], [TILE_KEYS][widep] */
    for (int64_t item = begin; item < end; item++) {
        int64_t prompt = t->first * t->each + item / t->segments,
                entry = item / t->segments / t->each; /* of this round */
        int64_t first = item % t->segments * SEGMENT, last = first + SEGMENT < t->n ? first + SEGMENT : t->n;
        const float *keys = samc__f32(a->keys) + (t->first + entry) * t->n * t->c; /* [N, C] */
        float *out = t->part + (prompt * t->segments + item % t->segments) * t->part_floats,
              *largest = out + all * t->widep, *sum = largest + all;
        memset(out, 0, (size_t)t->part_floats * sizeof(float));
        for (int64_t i = 0; i < all; i++) largest[i] = SAMC__NEGLIGIBLE;
        for (int64_t key = first; key < last; key += TILE_KEYS) {
            int64_t count = last - key < TILE_KEYS ? last - key : TILE_KEYS, ldv = t->inner, stride = t->inner * PANEL;
            const float *features, *values;
            if (t->projected) {
                features = t->features + (entry * t->panels + key / PANEL) * stride,
                values = t->values + (entry * t->n + key) * t->inner;
            } else {
                for (int64_t i = 0; i < count; i += PANEL) {
                    int64_t tokens = count - i < PANEL ? count - i : PANEL;
                    add_rows(keys + (key + i) * t->c, samc__f32(a->key_pe) + (key + i) * t->c, tokens * t->c, sums);
                    to_panel(sums, tokens, t->c, panels + i * t->c);
                }
                features = panels, stride = t->c * PANEL, values = keys + key * t->c, ldv = t->c;
                if (t->widep != t->c) { /* whole vectors would read beyond a row: copy to rows that have room */
                    for (int64_t i = 0; i < count; i++)
                        memcpy(copy + i * t->widep, values + i * t->c, (size_t)t->c * sizeof(float));
                    values = copy, ldv = t->widep;
                }
            }
            for (int64_t g = 0; g < t->groups; g++)
                for (int64_t r = 0; r < t->rows; r += MR) {
                    int64_t row = g * t->rows + r;
                    attend_tile((int)(t->rows - r < MR ? t->rows - r : MR), count, t->k,
                                t->left + prompt * t->left_floats + (g * round_to(t->rows, MR) + r) * t->k,
                                features + g * t->k * PANEL * (t->groups > 1), stride,
                                values + g * t->wide * (t->groups > 1), ldv, t->widep, score, out + row * t->widep,
                                largest + row, sum + row);
                }
        }
    }
}

/* Segments of one prompt -> heads' outputs [T, inner]. */
static void merge_prompts(void *context, int64_t begin, int64_t end, int worker) {
    const image_task *t = context;
    const samc__attention *a = &t->args->attention;
    int64_t all = t->groups * t->rows;
    float *row = t->scratch + worker * t->scratch_floats; /* [widep] */
    for (int64_t prompt = begin; prompt < end; prompt++)
        for (int64_t j = 0; j < all; j++) { /* head j / T, token j % T, in either form */
            const float *part = t->part + prompt * t->segments * t->part_floats;
            float largest = SAMC__NEGLIGIBLE;
            for (int64_t s = 0; s < t->segments; s++)
                largest = fmaxf(largest, part[s * t->part_floats + all * t->widep + j]);
            vf total = vf_set(0.0f);
            memset(row, 0, (size_t)t->widep * sizeof(float));
            for (int64_t s = 0; s < t->segments; s++, part += t->part_floats) {
                vf weight = vf_exp2(vf_set(part[all * t->widep + j] - largest));
                total = vf_fma(weight, vf_set(part[all * (t->widep + 1) + j]), total);
                for (int64_t c = 0; c < t->widep; c += VW)
                    vf_store(row + c, vf_fma(weight, vf_load(part + j * t->widep + c), vf_load(row + c)));
            }
            total = vf_div(vf_set(1.0f), total);
            for (int64_t c = 0; c < t->widep; c += VW) vf_store(row + c, vf_mul(vf_load(row + c), total));
            int64_t h = j / t->t;
            float *out = t->heads_out + (prompt * t->t + j % t->t) * t->inner + h * t->hd;
            const float *w = samc__f32(a->v.w) + h * t->hd * t->c,
                        *b = a->v.b.data ? samc__f32(a->v.b) + h * t->hd : NULL;
            for (int64_t i = 0; i < t->hd; i++)
                out[i] = t->projected ? row[i] : dot(row, w + i * t->c, t->c) + (b ? b[i] : 0.0f);
        }
}

/* Where the projections of one round of entries go. */
typedef struct round_buffers {
    float *values, *panels, *scratch; /* [entries, N, inner] and a vector more, panels of the keys, project_floats() */
} round_buffers;

/* Projected keys and values of the round's entries. bk cancels in the softmax. */
static samc_status project_round(const samc__exec *exec, image_task *t, int64_t entries, const round_buffers *b) {
    const samc__token_to_image_args *a = t->args;
    const float *keys = samc__f32(a->keys) + t->first * t->n * t->c;
    int64_t at = t->first * t->n * t->inner, floats = entries * t->n * t->inner;
    samc__projection no_bias = {.w = a->attention.k.w};
    samc__view none = {0};
    t->features = b->panels, t->values = b->values;
    SAMC__TRY(project_panels(exec, keys, samc__f32(a->key_pe), &no_bias,
                             a->image_k.data ? samc__f32(a->image_k) + at : NULL, entries, t->n, b->scratch,
                             b->panels));
    if (a->image_v.data == NULL)
        return samc__project(exec, samc__view3(keys, entries, t->n, t->c), a->attention.v, none,
                             samc__view3(b->values, entries, t->n, t->inner));
    if (t->hd % VW == 0) t->values = samc__f32(a->image_v) + at;
    else if (!exec->rehearsal)
        memcpy(b->values, samc__f32(a->image_v) + at,
               (size_t)floats * sizeof(float)); /* the last vector reads beyond its row */
    return SAMC_OK;
}

/* Form and sizes for the arguments. */
static image_task task_of(const samc__token_to_image_args *a) {
    image_task t = {.args = a,
                    .p = a->queries.n[0],
                    .t = a->queries.n[1],
                    .c = a->queries.n[2],
                    .n = a->keys.n[1],
                    .b = a->keys.n[0]};
    int64_t heads = a->attention.heads;
    t.each = t.p / t.b, t.inner = a->attention.q.w.n[0], t.hd = t.inner / heads;
    t.projected = a->shared || a->image_k.data || t.each > 1 || !samc__folds(t.t);
    t.groups = t.projected ? heads : 1, t.rows = t.projected ? t.t : heads * t.t;
    t.k = t.wide = t.projected ? t.hd : t.c;
    t.widep = round_to(t.wide, VW);
    t.segments = (t.n + SEGMENT - 1) / SEGMENT, t.panels = (t.n + PANEL - 1) / PANEL;
    t.together = entries_together(t.projected, t.b, t.n);
    t.left_floats = t.groups * round_to(t.rows, MR) * t.k;
    t.part_floats = round_to(t.groups * t.rows * (t.widep + 2), 16);
    t.scratch_floats = round_to(MR * STRIDE + PANEL * t.c + TILE_KEYS * (t.c + t.widep), 16);
    return t;
}

/* Hands out the parts of a block, and returns how many floats they take. base NULL: only counts. */
static int64_t lay_out(image_task *t, int workers, float *base, float **queries_pe, round_buffers *round) {
    int64_t tokens = round_to(t->p * t->t * t->inner, 16), at = 0;
#define PART(floats) (at += (floats), base ? base + at - (floats) : NULL)
    *queries_pe = PART(round_to(t->p * t->t * t->c, 16));
    t->q = PART(tokens);
    t->heads_out = PART(tokens);
    t->left = PART(round_to(t->p * t->left_floats, 16));
    t->part = PART(t->p * t->segments * t->part_floats);
    t->scratch = PART(workers * t->scratch_floats);
    if (t->projected) {
        round->values = PART(round_to(t->together * t->n * t->inner + VW, 16));
        round->panels = PART(t->together * t->panels * PANEL * t->inner);
        round->scratch = PART(t->args->image_k.data ? 0 : project_floats(t->together, t->n, t->c, t->inner));
    }
#undef PART
    return at;
}

samc_status SAMC__RUNG(samc__token_to_image)(const samc__exec *exec, const samc__token_to_image_args *a) {
    image_task t = task_of(a);
    float *queries_pe;
    round_buffers round = {0};
    float *block =
        exec->allocate(exec->memory, (size_t)lay_out(&t, exec->workers, NULL, &queries_pe, &round) * sizeof(float));
    if (block == NULL)
        return samc__fail(exec->error, SAMC_OUT_OF_MEMORY, "no memory for the attention of %lld prompts",
                          (long long)t.p);
    lay_out(&t, exec->workers, block, &queries_pe, &round);
    if (t.projected && !exec->rehearsal) memset(round.values + t.together * t.n * t.inner, 0, VW * sizeof(float));
    samc__view none = {0}, q = samc__view3(t.q, t.p, t.t, t.inner), out = samc__view3(t.heads_out, t.p, t.t, t.inner);
    double work = 4.0 * (double)(t.groups * t.rows * t.k) * (double)t.n; /* of one prompt */
    if (!exec->rehearsal) add_rows(samc__f32(a->queries), samc__f32(a->pe), t.p * t.t * t.c, queries_pe);
    samc_status status = samc__project(exec, samc__view3(queries_pe, t.p, t.t, t.c), a->attention.q, none, q);
    if (status == SAMC_OK) samc__parallel(exec, work / 100 * (double)t.p, t.p, 1, fold_prompts, &t);
    for (; t.first < t.b && status == SAMC_OK; t.first += t.together) {
        int64_t entries = t.b - t.first < t.together ? t.b - t.first : t.together, prompts = entries * t.each;
        if (t.projected) status = project_round(exec, &t, entries, &round);
        if (status == SAMC_OK)
            samc__parallel(exec, work * (double)prompts, prompts * t.segments, 1, attend_segments, &t);
    }
    if (status == SAMC_OK) {
        samc__parallel(exec, work / 100 * (double)t.p, t.p, 1, merge_prompts, &t);
        status = samc__project(exec, out, a->attention.out, a->queries, a->queries);
    }
    if (status == SAMC_OK) status = samc__normalise(exec, a->queries, a->norm);
    exec->release(exec->memory, block);
    return status;
}
