/* The cases of attention_relpos: images heads hd grid window, relative position (TABLE: a table's, q k v of a head side
 * by side; POOLED: none, and queries for 2 x 2 tokens), bias; type, the kernel that must serve
 * it on a GPU (0: whichever does; ONES, W16: the second ones, asked for by name). */
#include "kernels/attention_relpos/attention_relpos.h"
#include "kernels/attention_relpos/cuda.h"
#include "tests/checkops/book.h"
#include "tests/checkops/checkops.h"
#include "tests/emu/tensor_core.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Not where hosts alone are checked. */
#pragma weak samc__attention_relpos_cuda
#pragma weak samc__attention_relpos_cuda_kernel
#pragma weak samc__attention_relpos_cuda_by

enum { TYPE = 7, KERNEL, TABLE = 2, POOLED }; /* places in p[], and values of p[5] */
enum {
    GENERAL = 1 + SAMC__ATTENTION_GENERAL,
    GLOBAL = 1 + SAMC__ATTENTION_GLOBAL,
    WINDOW = 1 + SAMC__ATTENTION_WINDOW,
    ONES = 1 + SAMC__ATTENTION_GLOBAL_ONES,
    W16 = 1 + SAMC__ATTENTION_WINDOW_16,
    BARE = 1 + SAMC__ATTENTION_BARE
};

static const test_case attention_cases[] = {
    {HOSTS, {1, 1, 1, 1, 0, 1, 1}},
    {HOSTS, {1, 2, 16, 3, 0, 1, 1}},
    {HOSTS, {2, 1, 64, 4, 3, 1, 1}},
    {HOSTS, {1, 3, 64, 16, 14, 1, 1}},
    {HOSTS, {1, 2, 80, 10, 7, 1, 1}},
    {HOSTS, {2, 2, 40, 9, 0, 1, 1}},
    {HOSTS, {1, 1, 32, 17, 0, 1, 0}},
    {HOSTS, {1, 2, 64, 16, 8, 0, 1}},
    {HOSTS, {1, 1, 20, 15, 4, 1, 0}},
    {HOSTS, {1, 1, 33, 19, 0, 0, 1}},
    {HOSTS, {1, 1, 64, 33, 0, 1, 1}},
    {HOSTS, {1, 1, 5, 20, 16, 1, 1}},
    {HOSTS, {1, 1, 8, 24, 18, 1, 1}},
    {HOSTS, {1, 1, 96, 6, 6, 1, 1}},
    {HOSTS, {1, 1, 12, 66, 0, 1, 1}},
    {HOSTS, {2, 3, 64, 8, 14, 1, 1}},
    {HOSTS, {1, 2, 20, 1, 9, 1, 0}},
    {HOSTS, {1, 1, 33, 7, 18, 0, 0}},
    {HOSTS, {2, 2, 16, 4, 40, 1, 1}}, /* windows beyond the grid */
    {HOSTS, {2, 3, 32, 9, 7, TABLE, 1}},
    {HOSTS, {1, 2, 32, 16, 14, TABLE, 1}},
    {HOSTS, {1, 2, 19, 6, 0, TABLE, 0}},
    {HOSTS, {1, 1, 8, 19, 18, TABLE, 1}},
    {HOSTS, {2, 2, 16, 2, 0, POOLED, 0}},
    {HOSTS, {1, 1, 96, 16, 8, POOLED, 1}},
    {HOSTS, {1, 2, 56, 10, 4, POOLED, 1}}, /* half a window at the edge */
    {HOSTS, {2, 3, 72, 12, 14, POOLED, 1}},
    {HOSTS, {1, 2, 24, 20, 14, POOLED, 0}},
    {HOSTS, {1, 1, 33, 22, 0, POOLED, 1}},
    {HOSTS, {1, 1, 96, 8, 4, 0, 1}},
    {HOSTS, {1, 2, 56, 9, 7, 0, 1}},
    {HOSTS, {1, 1, 72, 32, 16, 0, 1}},
    {MODEL, {1, 4, 96, 64, 0, 0, 1}},
    {MODEL, {1, 4, 96, 64, 14, 0, 1}},
    {MODEL, {1, 1, 96, 256, 8, 0, 1}},
    {MODEL, {1, 2, 96, 128, 4, 0, 1}},
    {MODEL, {1, 8, 56, 64, 14, 0, 1}},
    {MODEL, {1, 8, 72, 64, 16, 0, 1}},
    {MODEL, {1, 2, 96, 256, 8, POOLED, 1}},
    {MODEL, {1, 8, 96, 64, 14, POOLED, 1}},
    {MODEL, {1, 4, 32, 128, 7, TABLE, 1}},
    {MODEL, {1, 5, 32, 64, 14, TABLE, 1}},
    {MODEL, {1, 12, 64, 64, 0, 1, 1}},
    {MODEL, {1, 12, 64, 64, 14, 1, 1}},
    {MODEL, {1, 3, 64, 32, 0, 1, 1}},
    {MODEL, {1, 3, 64, 32, 8, 1, 1}},
    {MODEL, {1, 4, 80, 64, 0, 1, 1}},
    {MODEL, {1, 4, 80, 64, 14, 1, 1}},
    /* Tensor cores, for NaN and infinities. */
    {CUDA_SHAPE, {1, 1, 64, 16, 14, 1, 1}},
    {CUDA_SHAPE, {1, 1, 64, 16, 8, 1, 1}},
    {CUDA_SHAPE, {1, 1, 64, 32, 0, 1, 1}},
    {CUDA_SHAPE, {1, 1, 56, 10, 14, POOLED, 1}},
    /* Windows: whole, ragged by 1 token, by several, smaller than a window; with and without a bias; batches and heads.
     */
    {QUICK, {1, 1, 64, 8, 8, 1, 0, F16, WINDOW}},
    {QUICK, {2, 1, 64, 9, 8, 1, 1, BF16, WINDOW}},
    {QUICK, {1, 2, 64, 5, 14, 1, 1, F16, WINDOW}},
    {QUICK, {1, 1, 80, 3, 14, 1, 0, BF16, WINDOW}},
    {QUICK, {2, 1, 64, 3, 8, 1, 1, F16, WINDOW}},
    {QUICK, {1, 1, 64, 15, 14, 1, 1, BF16, WINDOW}},
    {QUICK, {1, 1, 80, 20, 14, 1, 0, BF16, WINDOW}},
    {QUICK, {1, 2, 80, 14, 14, 1, 1, F16, WINDOW}},
    {QUICK, {1, 1, 64, 32, 0, 1, 1, BF16, GLOBAL}},
    /* The general kernel: one token, odd sizes, keys that fill no tile, a head dim beyond a warp's lanes; all three
       types; no tables. */
    {QUICK, {1, 1, 1, 1, 0, 1, 1, F32, GENERAL}},
    {QUICK, {2, 3, 5, 3, 2, 1, 1, F32, GENERAL}},
    {QUICK, {1, 2, 33, 7, 0, 1, 1, F32, GENERAL}},
    {QUICK, {2, 3, 5, 3, 7, 1, 1, F32, GENERAL}},
    {QUICK, {1, 2, 33, 5, 11, 1, 0, F32, GENERAL}},
    {QUICK, {1, 1, 64, 8, 14, 0, 0, F32, GENERAL}},
    {QUICK, {1, 1, 80, 9, 7, 1, 0, F32, GENERAL}},
    {QUICK, {2, 3, 32, 9, 7, TABLE, 1, F32, GENERAL}},
    {QUICK, {1, 2, 32, 15, 14, TABLE, 1, BF16, GENERAL}},
    {QUICK, {1, 2, 33, 5, 3, TABLE, 0, F16, GENERAL}},
    {QUICK, {1, 2, 64, 15, 14, 1, 1, F32, GENERAL}},
    {QUICK, {1, 1, 16, 6, 4, 0, 1, F32, GENERAL}},
    {QUICK, {1, 2, 40, 9, 0, 1, 1, F16, GENERAL}},
    {QUICK, {2, 1, 96, 6, 5, 1, 0, BF16, GENERAL}},
    {QUICK, {2, 2, 24, 6, 4, POOLED, 1, F32, GENERAL}},
    {QUICK, {1, 1, 16, 10, 0, POOLED, 1, BF16, GENERAL}},
    {QUICK, {1, 2, 40, 8, 14, POOLED, 0, F16, GENERAL}},
    /* Nothing added: a window of one tile of keys, of several, of a part of one; ragged; pooled; global. */
    {QUICK, {1, 1, 96, 16, 8, 0, 1, BF16, BARE}},
    {QUICK, {1, 1, 96, 16, 16, 0, 1, F16, BARE}},
    {QUICK, {2, 2, 56, 9, 4, 0, 1, F16, BARE}},
    {QUICK, {1, 1, 56, 15, 14, 0, 1, BF16, BARE}},
    {QUICK, {1, 2, 72, 9, 7, 0, 0, BF16, BARE}},
    {QUICK, {1, 1, 72, 13, 0, 0, 1, F16, BARE}},
    {QUICK, {1, 1, 96, 10, 14, POOLED, 1, BF16, BARE}},
    {QUICK, {2, 1, 56, 12, 8, POOLED, 1, F16, BARE}},
    {QUICK, {1, 2, 72, 6, 4, POOLED, 0, BF16, BARE}},
    {QUICK, {1, 1, 96, 18, 0, POOLED, 1, BF16, BARE}},
    {FULL, {1, 2, 96, 64, 14, 0, 1, BF16, BARE}},
    {FULL, {1, 1, 56, 32, 0, 0, 1, BF16, BARE}},
    {FULL, {1, 1, 72, 64, 16, POOLED, 1, F16, BARE}},
    /* The second kernel for windows. */
    {QUICK, {1, 1, 64, 15, 14, 1, 1, BF16, W16}},
    {QUICK, {1, 2, 64, 5, 14, 1, 0, BF16, W16}},
    {QUICK, {1, 2, 80, 14, 14, 1, 0, BF16, W16}},
    {FULL, {1, 1, 80, 64, 14, 1, 1, BF16, W16}},
    {FULL, {1, 1, 80, 64, 0, 1, 1, BF16, ONES}},
    {FULL, {2, 3, 64, 32, 0, 1, 1, F16, GLOBAL}},
    {FULL, {1, 3, 64, 32, 8, 1, 1, BF16, WINDOW}},
    {FULL, {1, 1, 64, 64, 14, 1, 1, F16, WINDOW}},
    {FULL, {1, 1, 80, 64, 14, 1, 1, BF16, WINDOW}},
    {FULL, {1, 1, 64, 64, 0, 1, 1, BF16, GLOBAL}},
    {FULL, {1, 1, 80, 64, 0, 1, 1, F16, GLOBAL}},
    {FULL, {1, 1, 64, 64, 0, 1, 0, F16, GLOBAL}},
    {FULL, {1, 1, 80, 64, 0, 1, 0, BF16, GLOBAL}},
    {FULL, {1, 1, 64, 32, 0, 1, 1, F32, GENERAL}},
    {FULL, {1, 1, 80, 64, 14, 1, 1, F32, GENERAL}},
    {FULL, {1, 1, 128, 64, 14, 1, 1, BF16, GENERAL}},
    /* Layers of ViT-B, ViT-L, ViT-H and the default model; batches; f32 for checking. */
    {HARDWARE, {1, 12, 64, 64, 0, 1, 1, BF16, GLOBAL}},
    {HARDWARE, {1, 16, 64, 64, 0, 1, 1, BF16, GLOBAL}},
    {HARDWARE, {1, 16, 80, 64, 0, 1, 1, BF16, GLOBAL}},
    {HARDWARE, {1, 12, 64, 64, 14, 1, 1, BF16, WINDOW}},
    {HARDWARE, {1, 16, 64, 64, 14, 1, 1, BF16, WINDOW}},
    {HARDWARE, {1, 16, 80, 64, 14, 1, 1, BF16, WINDOW}},
    {HARDWARE, {1, 16, 80, 64, 0, 1, 1, BF16, ONES}},
    {HARDWARE, {4, 16, 80, 64, 0, 1, 1, BF16, ONES}},
    {HARDWARE, {1, 12, 64, 64, 14, 1, 1, BF16, W16}},
    {HARDWARE, {1, 16, 80, 64, 14, 1, 1, BF16, W16}},
    {HARDWARE, {4, 12, 64, 64, 14, 1, 1, BF16, W16}},
    {HARDWARE, {4, 16, 80, 64, 14, 1, 1, BF16, W16}},
    {HARDWARE, {1, 12, 64, 64, 0, 1, 1, F16, GLOBAL}},
    {HARDWARE, {1, 16, 80, 64, 14, 1, 1, F16, WINDOW}},
    {HARDWARE, {4, 12, 64, 64, 0, 1, 1, BF16, GLOBAL}},
    {HARDWARE, {4, 12, 64, 64, 14, 1, 1, BF16, WINDOW}},
    {HARDWARE, {4, 16, 80, 64, 0, 1, 1, BF16, GLOBAL}},
    {HARDWARE, {4, 16, 80, 64, 14, 1, 1, BF16, WINDOW}},
    {HARDWARE, {1, 3, 64, 32, 0, 1, 1, BF16, GLOBAL}},
    {HARDWARE, {1, 3, 64, 32, 8, 1, 1, BF16, WINDOW}},
    {HARDWARE, {16, 3, 64, 32, 0, 1, 1, BF16, GLOBAL}},
    {HARDWARE, {16, 3, 64, 32, 8, 1, 1, BF16, WINDOW}},
    /* Hiera B+ and T. */
    {HARDWARE, {1, 2, 56, 256, 8, 0, 1, BF16, BARE}},
    {HARDWARE, {1, 4, 56, 128, 4, 0, 1, BF16, BARE}},
    {HARDWARE, {1, 8, 56, 64, 14, 0, 1, BF16, BARE}},
    {HARDWARE, {1, 8, 56, 64, 0, 0, 1, BF16, BARE}},
    {HARDWARE, {1, 16, 56, 64, 14, POOLED, 1, BF16, BARE}},
    {HARDWARE, {1, 4, 96, 64, 0, 0, 1, BF16, BARE}},
    {HARDWARE, {1, 2, 64, 64, 0, 1, 1, F32, GENERAL}},
    {HARDWARE, {1, 12, 64, 64, 14, 1, 1, F32, GENERAL}},
};

static void attention_build(check *c, const int *p) {
    int64_t images = p[0], hd = p[2], d = p[1] * hd, n = (int64_t)p[3] * p[3], s = p[4] ? p[4] : p[3];
    const int64_t queries = p[5] == POOLED ? n / 4 : n;
    const bool wide = p[KERNEL] != 0; /* scores of a few tens, where a softmax has more to lose */
    const float table = wide ? 0.35f : 0.15f;
    samc__attention_relpos_args *a = ARGS(c, attention_relpos);
    *a = (samc__attention_relpos_args){
        .qkv = samc__view3(input(c, images * n * 3 * d, wide ? 1.5f : 1.4f), images, n, 3 * d),
        .y = samc__view3(output(c, images * queries * d), images, queries, d),
        .heads = p[1],
        .grid = p[3],
        .window = p[4]};
    if (p[6]) a->qkv_bias = samc__view1(input(c, 3 * d, wide ? 1.0f : 0.5f), 3 * d);
    if (p[5] == POOLED) {
        a->q = samc__view3(input(c, images * queries * d, wide ? 1.5f : 1.4f), images, queries, d);
    } else if (p[5] == TABLE) {
        a->by_head = true;
        a->table = samc__view2(input_around(c, p[1] * s * s, 0, 1.0f), p[1], s * s);
    } else if (p[5]) {
        a->rel_h = samc__view2(input_around(c, (2 * s - 1) * hd, 0, table), 2 * s - 1, hd);
        a->rel_w = samc__view2(input_around(c, (2 * s - 1) * hd, 0, table), 2 * s - 1, hd);
    }
}

static void attention_draw(check *c, int *p) {
    p[0] = 1 + random_below(c, 2), p[1] = random_size(c, 8), p[2] = random_size(c, 100), p[3] = random_size(c, 40);
    p[4] = random_below(c, 3) ? random_size(c, 40) : 0, p[5] = random_below(c, 5) % 4, p[6] = random_below(c, 3) != 0;
    if (p[5] == POOLED) p[3] += p[3] % 2, p[4] += p[4] % 2;
}

static bool attention_narrow(check *c, const int *p) {
    samc__attention_relpos_args *a = ARGS(c, attention_relpos);
    const int64_t n = (int64_t)p[3] * p[3], d = (int64_t)p[1] * p[2], last = p[0] - 1, queries = a->y.n[1];
    a->qkv = samc__view3(samc__f32(a->qkv) + last * n * 3 * d, 1, n, 3 * d);
    a->y = samc__view3(samc__f32(a->y) + last * queries * d, 1, queries, d);
    if (p[5] == POOLED) a->q = samc__view3(samc__f32(a->q) + last * queries * d, 1, queries, d);
    return last > 0;
}

/* Of large cases a prime step of queries, which meets every position in a warp and a window in turn. */
static int attention_every(const int *p) {
    const double side = p[4] ? p[4] : p[3], pairs = p[0] * (double)p[3] * p[3] * side * side * p[1];
    return pairs > 2000000 ? 127 : pairs > 100000 ? 13 : 1;
}

/* The values of a case and room for the scores of one query. */
typedef struct problem {
    const float *qkv, *q, *bias, *rel_h, *rel_w, *table; /* q: pooled, or NULL */
    bool by_head;
    double *score, *up, *across; /* [side, side], [side], [side] */
    int64_t images, heads, hd, d, grid, side;
} problem;

static problem problem_of(book *b, const check *of) {
    const samc__attention_relpos_args *a = ARGS(of, attention_relpos);
    const int64_t d = a->y.n[2], side = a->window ? a->window : a->grid;
    const bool tables = a->rel_h.data != NULL;
    return (problem){.qkv = initial(of, a->qkv.data),
                     .q = a->q.data ? initial(of, a->q.data) : NULL,
                     .bias = a->qkv_bias.data ? initial(of, a->qkv_bias.data) : (float *)room(b, 3 * d),
                     .rel_h = tables ? initial(of, a->rel_h.data) : NULL,
                     .rel_w = tables ? initial(of, a->rel_w.data) : NULL,
                     .table = a->table.data ? initial(of, a->table.data) : NULL,
                     .by_head = a->by_head,
                     .score = room(b, side * side),
                     .up = room(b, side),
                     .across = room(b, side),
                     .images = a->qkv.n[0],
                     .heads = a->heads,
                     .hd = d / a->heads,
                     .d = d,
                     .grid = a->grid,
                     .side = side};
}

/* A query of one head: q and its tables' rows for the first key [hd], those of later ones lie before them. */
typedef struct query {
    const float *q, *rel_h, *rel_w;
    int64_t image, head, top, left; /* of its window */
    const float *table;             /* of its head, or NULL */
    int64_t row, column;            /* in its window */
} query;

static query query_of(const problem *p, int64_t image, int64_t head, int64_t index) {
    const int64_t pool = p->q ? 2 : 1, across = p->grid / pool, row = index / across * pool,
                  column = index % across * pool, s = p->side;
    query of = {.image = image, .head = head, .top = row / s * s, .left = column / s * s};
    if (p->q) {
        of.q = p->q + (image * across * across + index) * p->d + head * p->hd;
        return of;
    }
    of.q = p->qkv + (image * p->grid * p->grid + index) * 3 * p->d + head * (p->by_head ? 3 : 1) * p->hd;
    if (p->table) of.table = p->table + head * s * s, of.row = row - of.top, of.column = column - of.left;
    if (p->rel_h)
        of.rel_h = p->rel_h + (row - of.top + s - 1) * p->hd, of.rel_w = p->rel_w + (column - of.left + s - 1) * p->hd;
    return of;
}

/* q, k or v (0, 1, 2) [hd] of a key in the query's window; beyond the grid that is the bias. */
static const float *part(const problem *p, const query *of, int64_t key, int which) {
    const int64_t y = of->top + key / p->side, x = of->left + key % p->side;
    const bool inside = y < p->grid && x < p->grid;
    const float *token = inside ? p->qkv + ((of->image * p->grid + y) * p->grid + x) * 3 * p->d : p->bias;
    return token + (p->by_head ? (3 * of->head + which) * p->hd : which * p->d + of->head * p->hd);
}

/* What the table adds to its score with a key. */
static float from_table(const problem *p, const query *of, int64_t key) {
    if (of->table == NULL) return 0;
    return of->table[llabs(of->row - key / p->side) * p->side + llabs(of->column - key % p->side)];
}

static double dot(const float *x, const float *y, int64_t n, bool tensor) {
    double sum = 0;
    tensor_sum low = tensor_sum_of(TENSOR_SM80);
    for (int64_t i = 0; i < n; i++)
        if (tensor) tensor_sum_add(&low, x[i], y[i]);
        else sum += (double)x[i] * (double)y[i];
    return tensor ? (double)tensor_sum_end(&low) : sum;
}

/* One query: out [hd]. Where `type` is not F32 as a naive kernel has it: probabilities rounded before they meet the
 * values, and where tensor cores serve it scores, positions and values are summed as these do. */
static void attend_query(const problem *p, const query *of, int type, bool tensor, double *out) {
    const int64_t keys = p->side * p->side;
    double most = -INFINITY, sum = 0;
    for (int64_t i = 0; i < p->side && of->rel_h; i++) {
        p->up[i] = dot(of->q, of->rel_h - i * p->hd, p->hd, tensor);
        p->across[i] = dot(of->q, of->rel_w - i * p->hd, p->hd, tensor);
    }
    for (int64_t key = 0; key < keys; key++) {
        p->score[key] = dot(of->q, part(p, of, key, 1), p->hd, tensor) / sqrt((double)p->hd) + p->up[key / p->side] +
                        p->across[key % p->side] + (double)from_table(p, of, key);
        most = p->score[key] > most ? p->score[key] : most;
    }
    for (int64_t key = 0; key < keys; key++) {
        const double e = exp(p->score[key] - most);
        sum += e;
        p->score[key] = type == F32 ? e : (double)rounded_to(type, (float)e);
    }
    for (int64_t i = 0; i < p->hd; i++) {
        double plain = 0;
        tensor_sum low = tensor_sum_of(TENSOR_SM80);
        for (int64_t key = 0; key < keys; key++) {
            const float value = part(p, of, key, 2)[i];
            if (tensor) tensor_sum_add(&low, (float)p->score[key], value);
            else plain += p->score[key] * (double)value;
        }
        out[i] = (tensor ? (double)tensor_sum_end(&low) : plain) / sum;
    }
}

/* The naive kernel in f32: every product and sum in float, one key after another. */
static void attend_plain(const problem *p, const query *of, double *out) {
    const int64_t keys = p->side * p->side, hd = p->hd;
    float most = -INFINITY, sum = 0;
    for (int64_t key = 0; key < keys; key++) {
        const float *k = part(p, of, key, 1);
        const float *rel_h = of->rel_h ? of->rel_h - key / p->side * hd : NULL,
                    *rel_w = of->rel_h ? of->rel_w - key % p->side * hd : NULL;
        float dots[3] = {0, 0, 0};
        for (int64_t i = 0; i < hd; i++) dots[0] += of->q[i] * k[i];
        for (int64_t i = 0; i < hd && rel_h; i++) dots[1] += of->q[i] * rel_h[i], dots[2] += of->q[i] * rel_w[i];
        const float s = dots[0] / sqrtf((float)hd) + (dots[1] + dots[2]) + from_table(p, of, key);
        p->score[key] = s, most = fmaxf(most, s);
    }
    for (int64_t key = 0; key < keys; key++) {
        const float e = expf((float)p->score[key] - most);
        p->score[key] = e, sum += e;
    }
    for (int64_t i = 0; i < hd; i++) {
        float y = 0;
        for (int64_t key = 0; key < keys; key++) y += (float)p->score[key] * part(p, of, key, 2)[i];
        out[i] = y / sum;
    }
}

/* Every query that is asked for, of every head: exactly, in the type of the book, or where `p` is the case as a naive
 * kernel. */
static void attend_queries(book *b, const check *of, const int *p, bool tensor) {
    const problem all = problem_of(b, of);
    double *y = result(b, ARGS(of, attention_relpos)->y);
    const int64_t queries = ARGS(of, attention_relpos)->y.n[1];
    for (int64_t image = 0; image < all.images; image++)
        for (int64_t head = 0; head < all.heads; head++)
            for (int64_t i = (image + head) % b->every; i < queries; i += b->every) {
                const query one = query_of(&all, image, head, i);
                double *out = y + (image * queries + i) * all.d + head * all.hd;
                if (p && p[TYPE] == F32) attend_plain(&all, &one, out);
                else attend_query(&all, &one, p ? p[TYPE] : (int)b->low, tensor, out);
            }
}

static void attention_book(book *b, const check *of) { attend_queries(b, of, NULL, false); }

static void attention_naive(book *b, const check *of, const int *p) {
    attend_queries(b, of, p, p[TYPE] != F32 && p[KERNEL] != 0 && p[KERNEL] != GENERAL);
}

static int attention_typed(check *c, samc__view **views) {
    samc__attention_relpos_args *a = ARGS(c, attention_relpos);
    samc__view *own[] = {&a->qkv, &a->qkv_bias, &a->rel_h, &a->rel_w, &a->y, &a->q};
    memcpy(views, own, sizeof own);
    return (int)(sizeof own / sizeof *own);
}

static void attention_types(const int *p, samc__dtype *of_views) {
    for (int i = 0; i < 6; i++) of_views[i] = (samc__dtype)p[TYPE];
}

static samc_status attention_by_kernel(const samc__cuda *cuda, const check *c, const int *p) {
    const samc__attention_relpos_args *a = ARGS(c, attention_relpos);
    const samc__attention_kernel serves = samc__attention_relpos_cuda_kernel(a);
    if (p[KERNEL] == ONES || p[KERNEL] == W16)
        return samc__attention_relpos_cuda_by(cuda, a, (samc__attention_kernel)(p[KERNEL] - 1));
    if (p[KERNEL] != 0 && p[KERNEL] != 1 + (int)serves)
        return samc__fail(cuda->error, SAMC_INTERNAL, "kernel %d serves it, not %d", 1 + (int)serves, p[KERNEL]);
    return samc__attention_relpos_cuda(cuda, a);
}

static int attention_low(check *c, samc__view **views) {
    samc__attention_relpos_args *a = ARGS(c, attention_relpos);
    views[0] = &a->qkv, views[1] = &a->qkv_bias, views[2] = &a->y, views[3] = &a->q;
    return 4;
}

ROW(attention_relpos) = {
    .name = "attention_relpos",
    .fields = "images heads hd grid window relpos bias type kernel",
    /* An average over many keys has a small deviation (1e-12 and 1.7e-5 seen with 4356). Where thousands of keys are
     * alike, as pads are, sums over keys must not round one after another: the reference's are in double
     * (kernels/ref/math.h); in float they were 1.4e-7 off for a window of 180 on a grid of 4, and it is the fast
     * version, adding up by lanes and tiles, that was right. */
    .nmse = 4e-12,
    .deviation = 6e-5,
    .cases = attention_cases,
    .case_count = COUNT(attention_cases),
    .build = attention_build,
    .narrow = attention_narrow,
    .draw = attention_draw,
    .book = attention_book,
    .typed = attention_typed,
    .types = attention_types,
    .last_place = -1, /* an average of many values is never exact */
    .naive = attention_naive,
    .every = attention_every,
    .by_kernel = attention_by_kernel,
    .low = attention_low,
};
