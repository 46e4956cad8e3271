/* linear_attention in vectors, a head at a time, for activations of floats (cpu.c) and of bf16 (low.c): keys and values
 * go to scratch as floats, behind the ReLU and with the column of ones, then both products run in register tiles of
 * f32. A head's sums have the same order wherever it is computed.
 *
 * Who includes it says before how up to a vector of a view's values is read and written: x_load(), y_store(). */
#ifndef SAMC_KERNELS_LINEAR_ATTENTION_HEADS_H
#define SAMC_KERNELS_LINEAR_ATTENTION_HEADS_H

#include "kernels/cpu/gemm.h"
#include "kernels/cpu/linear.h"
#include "kernels/linear_attention/linear_attention.h"

#include <string.h>

enum {
    KEYS = 128,                               /* summed up apart, so that long sums round less */
    MOST = SAMC__LINEAR_ATTENTION_MOST,       /* rows of a head's sums */
    COLUMNS = (MOST / (2 * VW) + 1) * 2 * VW, /* and columns: those of v, of ones, zeros to a whole panel */
    STRIDE = MOST,
};
SAMC__DEFINE_TILE(sums_tile, 1, STRIDE) /* rows are columns of k */
SAMC__DEFINE_TILE(query_tile, STRIDE, 1)

typedef struct head_scratch {
    float left[KEYS * STRIDE];   /* k or q [KEYS][STRIDE], behind the ReLU */
    float v[KEYS * COLUMNS];     /* panels [COLUMNS / PANEL][keys][PANEL]; then results [MR][COLUMNS] */
    float sums[MOST * COLUMNS];  /* [dim][columns] */
    float right[MOST * COLUMNS]; /* the same in panels */
} head_scratch;

typedef struct attention_task {
    const samc__linear_attention_args *args;
    int64_t dim, columns; /* of sums: dim + 1 in whole panels */
    head_scratch *scratch;
} attention_task;

/* One head of one image: where its first q lies in `qkv`, and its first result in y. */
typedef struct head {
    samc__view qkv;
    int64_t at, to;
} head;

/* `rows` rows of `dim` values from element `at` on, behind the ReLU -> [rows][STRIDE]. */
static void rectify(samc__view qkv, int64_t at, int64_t rows, int64_t dim, float *out) {
    for (int64_t r = 0; r < rows; r++, at += qkv.n[2], out += STRIDE)
        for (int64_t i = 0; i < dim; i += VW)
            vf_store(out + i, vf_max(vf_set(0.0f), x_load(qkv, at + i, dim - i < VW ? dim - i : VW)));
}

/* v of `keys` keys from element `at` on, as panels of [columns / PANEL][keys][PANEL], with the column of ones. */
static void pack_values(const attention_task *t, samc__view qkv, int64_t at, int64_t keys, float *out) {
    for (int64_t first = 0; first < t->columns; first += PANEL)
        for (int64_t key = 0; key < keys; key++, out += PANEL) {
            const int64_t left = t->dim - first; /* columns of v from here on */
            for (int64_t i = 0; i < PANEL; i += VW) {
                const int64_t n = left - i < 0 ? 0 : left - i < VW ? left - i : VW;
                vf_store(out + i, n > 0 ? x_load(qkv, at + key * qkv.n[2] + first + i, n) : vf_set(0.0f));
            }
            if (left >= 0 && left < PANEL) out[left] = 1.0f;
        }
}

static void sum_keys(const attention_task *t, const head *h, head_scratch *s) {
    const int64_t n = t->args->y.n[1], dim = t->dim;
    for (int64_t first = 0; first < n; first += KEYS) {
        const int64_t keys = n - first < KEYS ? n - first : KEYS, k = h->at + first * h->qkv.n[2] + dim;
        rectify(h->qkv, k, keys, dim, s->left);
        pack_values(t, h->qkv, k + dim, keys, s->v);
        for (int64_t row = 0; row < dim; row += MR)
            SAMC__TILE_ROW(sums_tile, (int)(dim - row < MR ? dim - row : MR), t->columns / VW, s->left + row, s->v,
                           keys, s->sums + row * t->columns, t->columns, first ? TILE_ADD : TILE_ZERO);
    }
    for (int64_t column = 0; column < t->columns; column += PANEL)
        for (int64_t row = 0; row < dim; row++)
            memcpy(s->right + (column / PANEL * dim + row) * PANEL, s->sums + row * t->columns + column,
                   PANEL * sizeof(float));
}

/* The results of `rows` queries from `query` on. */
static void attend(const attention_task *t, const head *h, int64_t query, int rows, head_scratch *s) {
    const samc__view y = t->args->y;
    const int64_t dim = t->dim;
    rectify(h->qkv, h->at + query * h->qkv.n[2], rows, dim, s->left);
    SAMC__TILE_ROW(query_tile, rows, t->columns / VW, s->left, s->right, dim, s->v, t->columns, TILE_ZERO);
    for (int r = 0; r < rows; r++) {
        const float *sums = s->v + r * t->columns;
        const vf below = vf_set(sums[dim] + t->args->eps);
        for (int64_t i = 0; i < dim; i += VW)
            y_store(y, h->to + (query + r) * y.n[2] + i, dim - i < VW ? dim - i : VW, vf_div(vf_load(sums + i), below));
    }
}

static void attend_heads(void *context, int64_t begin, int64_t end, int worker) {
    const attention_task *t = context;
    const samc__linear_attention_args *a = t->args;
    const int64_t n = a->y.n[1], all = a->y.n[2] / t->dim;
    head_scratch *s = t->scratch + worker;
    for (int64_t item = begin; item < end; item++) { /* over images and the heads of both sets */
        const int64_t image = item / all, of = item % all;
        const samc__view qkv = a->qkv[of / a->heads];
        const head h = {qkv, image * n * qkv.n[2] + of % a->heads * 3 * t->dim, image * n * a->y.n[2] + of * t->dim};
        sum_keys(t, &h, s);
        for (int64_t query = 0; query < n; query += MR) attend(t, &h, query, (int)(n - query < MR ? n - query : MR), s);
    }
}

static samc_status attention_run(const samc__exec *exec, const samc__linear_attention_args *a) {
    const int64_t dim = a->qkv[0].n[2] / (3 * a->heads);
    attention_task t = {.args = a, .dim = dim, .columns = (dim / PANEL + 1) * PANEL};
    t.scratch = exec->allocate(exec->memory, (size_t)exec->workers * sizeof *t.scratch);
    if (t.scratch == NULL) return samc__fail(exec->error, SAMC_OUT_OF_MEMORY, "no memory for an attention's sums");
    samc__parallel(exec, samc__linear_attention_flops(a), a->y.n[0] * (a->y.n[2] / dim), 1, attend_heads, &t);
    exec->release(exec->memory, t.scratch);
    return SAMC_OK;
}

#endif
