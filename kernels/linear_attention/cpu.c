/* linear_attention in vectors, a head at a time: keys and values go to scratch, behind the ReLU and with the column of
 * ones, then both products run in register tiles. A head's sums have the same order wherever it is computed. */
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

/* `rows` rows of `dim` floats, `wide` apart, behind the ReLU -> [rows][STRIDE]. */
static void rectify(const float *x, int64_t rows, int64_t wide, int64_t dim, float *out) {
    for (int64_t r = 0; r < rows; r++, x += wide, out += STRIDE)
        for (int64_t i = 0; i < dim; i += VW) {
            const int64_t n = dim - i < VW ? dim - i : VW;
            vf_store(out + i, vf_max(vf_set(0.0f), vf_load_first(x + i, n)));
        }
}

/* v of `keys` keys as panels of [columns / PANEL][keys][PANEL], with the column of ones. */
static void pack_values(const attention_task *t, const float *v, int64_t keys, int64_t wide, float *out) {
    for (int64_t first = 0; first < t->columns; first += PANEL)
        for (int64_t key = 0; key < keys; key++, out += PANEL) {
            const int64_t left = t->dim - first, n = left < 0 ? 0 : left < PANEL ? left : PANEL;
            memset(out, 0, PANEL * sizeof *out);
            memcpy(out, v + key * wide + (n > 0 ? first : 0), (size_t)n * sizeof *out);
            if (left >= 0 && left < PANEL) out[left] = 1.0f;
        }
}

static void sum_keys(const attention_task *t, const float *qkv, head_scratch *s) {
    const int64_t n = t->args->y.n[1], wide = t->args->qkv[0].n[2], dim = t->dim;
    for (int64_t first = 0; first < n; first += KEYS) {
        const int64_t keys = n - first < KEYS ? n - first : KEYS;
        const float *k = qkv + first * wide + dim;
        rectify(k, keys, wide, dim, s->left);
        pack_values(t, k + dim, keys, wide, s->v);
        for (int64_t row = 0; row < dim; row += MR)
            SAMC__TILE_ROW(sums_tile, (int)(dim - row < MR ? dim - row : MR), t->columns / VW, s->left + row, s->v,
                           keys, s->sums + row * t->columns, t->columns, first ? TILE_ADD : TILE_ZERO);
    }
    for (int64_t column = 0; column < t->columns; column += PANEL)
        for (int64_t row = 0; row < dim; row++)
            memcpy(s->right + (column / PANEL * dim + row) * PANEL, s->sums + row * t->columns + column,
                   PANEL * sizeof(float));
}

/* y of `rows` queries, `stride` apart. */
static void attend(const attention_task *t, const float *q, int rows, int64_t stride, head_scratch *s, float *y) {
    const int64_t dim = t->dim;
    rectify(q, rows, t->args->qkv[0].n[2], dim, s->left);
    SAMC__TILE_ROW(query_tile, rows, t->columns / VW, s->left, s->right, dim, s->v, t->columns, TILE_ZERO);
    for (int r = 0; r < rows; r++, y += stride) {
        const float *sums = s->v + r * t->columns;
        const vf below = vf_set(sums[dim] + t->args->eps);
        for (int64_t i = 0; i < dim; i += VW)
            vf_store_first(y + i, dim - i < VW ? dim - i : VW, vf_div(vf_load(sums + i), below));
    }
}

static void attend_heads(void *context, int64_t begin, int64_t end, int worker) {
    const attention_task *t = context;
    const samc__linear_attention_args *a = t->args;
    const int64_t n = a->y.n[1], wide = a->qkv[0].n[2], stride = a->y.n[2], all = stride / t->dim;
    head_scratch *s = t->scratch + worker;
    for (int64_t item = begin; item < end; item++) { /* over images and the heads of both sets */
        const int64_t image = item / all, head = item % all;
        const float *qkv = samc__f32(a->qkv[head / a->heads]) + image * n * wide + head % a->heads * 3 * t->dim;
        float *y = samc__f32(a->y) + image * n * stride + head * t->dim;
        sum_keys(t, qkv, s);
        for (int64_t query = 0; query < n; query += MR)
            attend(t, qkv + query * wide, (int)(n - query < MR ? n - query : MR), stride, s, y + query * stride);
    }
}

samc_status SAMC__RUNG(samc__linear_attention)(const samc__exec *exec, const samc__linear_attention_args *a) {
    const int64_t dim = a->qkv[0].n[2] / (3 * a->heads);
    attention_task t = {.args = a, .dim = dim, .columns = (dim / PANEL + 1) * PANEL};
    t.scratch = exec->allocate(exec->memory, (size_t)exec->workers * sizeof *t.scratch);
    if (t.scratch == NULL) return samc__fail(exec->error, SAMC_OUT_OF_MEMORY, "no memory for an attention's sums");
    samc__parallel(exec, samc__linear_attention_flops(a), a->y.n[0] * (a->y.n[2] / dim), 1, attend_heads, &t);
    exec->release(exec->memory, t.scratch);
    return SAMC_OK;
}
