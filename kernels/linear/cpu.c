/* linear in vectors: packed weights, register tiles, the epilogue applied while a tile is in the nearest
 * cache.
 *
 * An item of work is a block of rows times a group of weight panels. The block's rows are copied once into tiles whose
 * rows are 49 cache lines apart: rows of x that are a multiple of 4096 bytes apart would all fall into one set of the
 * cache. */
#include "kernels/cpu/linear.h"
#include "kernels/linear/linear.h"

#include "kernels/cpu/gemm.h"

#include <string.h>

enum {
    ROWS = 96,           /* of a block: eight tiles of 12, sixteen of 6 */
    DEPTH = 768,         /* of k, summed up apart: one chain of 5120 would round twice as much */
    STRIDE = DEPTH + 16, /* of a row in a tile */
};
SAMC__DEFINE_TILE(tile, STRIDE, 1)

typedef struct gemm_task {
    const samc__gemm *g;
    int64_t depths; /* blocks of k */
    int64_t groups, group_panels;
    float *scratch; /* [workers][depths][ROWS][STRIDE], [ROWS][PANEL], for bf16 panels [DEPTH][PANEL] */
    int64_t scratch_floats;
} gemm_task;

static void gather_block(const samc__gemm *g, int64_t row, int64_t rows, float *left) {
    for (int64_t begin = 0; begin < g->k; begin += DEPTH, left += ROWS * STRIDE) {
        int64_t end = begin + DEPTH < g->k ? begin + DEPTH : g->k;
        for (int64_t r = 0; r < rows; r++) g->gather(g->source, row + r, begin, end, left + r * STRIDE);
    }
}

/* Bias, activation, residual of one vector of `count` columns. */
SAMC__INLINE void finish_vector(samc__act act, bool last, int64_t count, vf value, const float *added, float *y) {
    if (count == VW) { /* masked stores are slow: only where a vector is not whole */
        vf_store(y, vf_finish(value, act, last, added != NULL, added ? vf_load(added) : value));
    } else {
        vf_store_first(y, count,
                       vf_finish(value, act, last, added != NULL, added ? vf_load_first(added, count) : value));
    }
}

/* sums [rows, 32] -> y, columns [column, column + 32) as far as there are any. */
SAMC__INLINE void finish(const samc__gemm *g, samc__act act, bool last, int64_t row, int64_t rows, int64_t column,
                         const float *sums) {
    int64_t columns = g->n - column < SAMC__PANEL ? g->n - column : SAMC__PANEL;
    int64_t added_row = g->residual ? row % g->residual_rows : 0;
    vf bias[SAMC__PANEL / VW];
    for (int v = 0; v * VW < columns; v++)
        bias[v] = g->bias ? vf_load_first(g->bias + column + v * VW, columns - v * VW < VW ? columns - v * VW : VW)
                          : vf_set(0.0f);
    for (int64_t r = 0; r < rows; r++, sums += SAMC__PANEL) {
        const float *added = g->residual ? g->residual + added_row * g->n + column : NULL;
        float *y = g->y + (row + r) * g->y_stride + column;
        for (int v = 0; v * VW < columns; v++)
            finish_vector(act, last, columns - v * VW < VW ? columns - v * VW : VW,
                          vf_add(vf_load(sums + v * VW), bias[v]), added ? added + v * VW : NULL, y + v * VW);
        if (++added_row == g->residual_rows) added_row = 0;
    }
}

/* k rows of a bf16 panel [k / 2][32][2] -> out [k][32]; a pair is one word, the even k in its lower half. An odd k
 * takes one row more, of zeros. */
static void widen(const uint16_t *panel, int64_t k, float *out) {
    typedef uint32_t __attribute__((may_alias)) word;
    const word *pairs = (const word *)(const void *)panel;
    word *to = (word *)(void *)out;
    for (int64_t i = 0; i < k; i += 2, pairs += SAMC__PANEL, to += 2 * SAMC__PANEL)
        for (int c = 0; c < SAMC__PANEL; c++) to[c] = pairs[c] << 16, to[SAMC__PANEL + c] = pairs[c] & 0xffff0000u;
}

/* Code for what models have; act_last without a residual is nothing else. */
static void finish_any(const samc__gemm *g, int64_t row, int64_t rows, int64_t column, const float *sums) {
    const bool last = g->act_last && g->residual != NULL;
    if (g->act == SAMC__ACT_GELU && !last) finish(g, SAMC__ACT_GELU, false, row, rows, column, sums);
    else if (g->act == SAMC__ACT_RELU && !last) finish(g, SAMC__ACT_RELU, false, row, rows, column, sums);
    else if (g->act == SAMC__ACT_GELU_TANH && !last) finish(g, SAMC__ACT_GELU_TANH, false, row, rows, column, sums);
    else if (g->act == SAMC__ACT_NONE) finish(g, SAMC__ACT_NONE, false, row, rows, column, sums);
    else if (g->act == SAMC__ACT_GELU) finish(g, SAMC__ACT_GELU, true, row, rows, column, sums);
    else finish(g, g->act, last, row, rows, column, sums);
}

static void gemm_items(void *context, int64_t begin, int64_t end, int worker) {
    const gemm_task *t = context;
    const samc__gemm *g = t->g;
    float *left = t->scratch + worker * t->scratch_floats, *sums = left + t->depths * ROWS * STRIDE,
          *wide = sums + ROWS * SAMC__PANEL;
    int64_t panels = samc__panels(g->n);
    for (int64_t item = begin; item < end; item++) {
        int64_t row = item / t->groups * ROWS, rows = g->m - row < ROWS ? g->m - row : ROWS;
        int64_t panel = item % t->groups * t->group_panels;
        int64_t last = panel + t->group_panels < panels ? panel + t->group_panels : panels;
        gather_block(g, row, rows, left);
        for (; panel < last; panel++) {
            for (int64_t depth = 0; depth < t->depths; depth++) {
                int64_t k = g->k - depth * DEPTH < DEPTH ? g->k - depth * DEPTH : DEPTH;
                const float *right = wide;
                if (g->panels) right = g->panels + (panel * g->k + depth * DEPTH) * SAMC__PANEL;
                else widen(g->low + (panel * samc__packed_k(g->k) + depth * DEPTH) * SAMC__PANEL, k, wide);
                for (int64_t r = 0; r < rows; r += MR)
                    for (int64_t c = 0; c < SAMC__PANEL; c += 2 * VW)
                        tile_2((int)(rows - r < MR ? rows - r : MR), left + (depth * ROWS + r) * STRIDE, right + c,
                               SAMC__PANEL, k, sums + r * SAMC__PANEL + c, SAMC__PANEL, depth ? TILE_ADD : TILE_ZERO);
            }
            finish_any(g, row, rows, panel * SAMC__PANEL, sums);
        }
    }
}

/* Floats of one worker's scratch: its rows in tiles, then [ROWS][PANEL], then a widened panel. */
static int64_t worker_floats(const samc__gemm *g) {
    return (g->k + DEPTH - 1) / DEPTH * ROWS * STRIDE + ROWS * SAMC__PANEL + (g->panels ? 0 : DEPTH * SAMC__PANEL);
}

samc_status SAMC__RUNG(samc__gemm)(const samc__exec *exec, const samc__gemm *g) {
    int64_t blocks = (g->m + ROWS - 1) / ROWS, panels = samc__panels(g->n);
    int64_t wanted = (4 * (int64_t)exec->workers + blocks - 1) / blocks; /* groups that keep every worker busy */
    gemm_task t = {.g = g, .depths = (g->k + DEPTH - 1) / DEPTH};
    if (exec->workers == 1 || wanted < 1) wanted = 1;
    t.group_panels = (panels + wanted - 1) / wanted;
    t.groups = (panels + t.group_panels - 1) / t.group_panels;
    t.scratch_floats = worker_floats(g);
    t.scratch = exec->allocate(exec->memory, (size_t)(exec->workers * t.scratch_floats) * sizeof(float));
    if (t.scratch == NULL)
        return samc__fail(exec->error, SAMC_OUT_OF_MEMORY, "no memory for the tiles of a matrix product");
    samc__parallel(exec, 2.0 * (double)g->m * (double)g->n * (double)g->k, blocks * t.groups, 1, gemm_items, &t);
    exec->release(exec->memory, t.scratch);
    return SAMC_OK;
}

typedef struct rows_source {
    const float *x;
    int64_t stride;
} rows_source;

static void gather_row(const void *source, int64_t row, int64_t begin, int64_t end, float *out) {
    const rows_source *s = source;
    memcpy(out, s->x + row * s->stride + begin, (size_t)(end - begin) * sizeof(float));
}

typedef struct pack_task {
    const samc__linear_args *args;
    float *panels;
} pack_task;

static void pack_panels(void *context, int64_t begin, int64_t end, int worker) {
    const pack_task *t = context;
    int64_t n = t->args->p.w.n[0], k = t->args->p.w.n[1];
    (void)worker;
    for (int64_t panel = begin; panel < end; panel++)
        samc__pack_panel(samc__f32(t->args->p.w), n, k, k, 1, panel, t->panels + panel * SAMC__PANEL * k);
}

samc_status SAMC__RUNG(samc__linear)(const samc__exec *exec, const samc__linear_args *a) {
    if (a->p.w.dtype == SAMC__I8) return exec->ops->linear8(exec, a);
    int64_t n = a->p.w.n[0], k = a->p.w.n[1];
    const float *panels = samc__packed_find(exec->packed, a->p.w.data, n, k);
    const uint16_t *low = panels ? NULL : samc__packed_find_bf16(exec->packed, a->p.w.data);
    float *made = NULL;
    if (panels == NULL && low == NULL) {
        made = exec->allocate(exec->memory, samc__packed_floats(n, k) * sizeof(float));
        if (made == NULL)
            return samc__fail(exec->error, SAMC_OUT_OF_MEMORY, "no memory to pack a weight of %lld x %lld",
                              (long long)n, (long long)k);
        samc__parallel(exec, (double)(n * k) * 16, samc__panels(n), 1, pack_panels, &(pack_task){a, made});
        panels = made;
    }
    rows_source source = {samc__f32(a->x), a->x_stride ? a->x_stride : k};
    samc_status status = SAMC__RUNG(samc__gemm)(exec, &(samc__gemm){.gather = gather_row,
                                                                    .source = &source,
                                                                    .m = a->x.n[0],
                                                                    .n = n,
                                                                    .k = k,
                                                                    .panels = panels,
                                                                    .low = low,
                                                                    .bias = samc__f32(a->p.b),
                                                                    .residual = samc__f32(a->residual),
                                                                    .residual_rows = a->residual.n[0],
                                                                    .y = samc__f32(a->y),
                                                                    .y_stride = a->y_stride ? a->y_stride : n,
                                                                    .act = a->act,
                                                                    .act_last = a->act_last});
    exec->release(exec->memory, made);
    return status;
}
