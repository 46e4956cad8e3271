/* linear in products of 16 bits: packed weights, x in bf16 or rounded to it, the epilogue in f32 while the sums are in
 * the nearest cache.
 *
 * An item of work is a block of rows times a group of weight panels. Rows of bf16 are read where they lie if they fill
 * whole tiles, else they are copied once an item, with zeros behind k. */
#include "kernels/linear/linear.h"

#include "kernels/cpu/low_linear.h"

enum {
#if defined(SAMC_LOW_AMX)
    TILE = 32,      /* rows of a block are a multiple of this */
    MOST = 256,     /* and at most so many: a panel is read from afar once for all of them */
    NEAR = 1 << 20, /* bytes of a block that the second cache keeps beside panels and results */
    DEPTH = 256,    /* of k: a panel's share stays in the nearest cache while all rows pass */
    AHEAD = 8,      /* rows that are finished meanwhile are asked for so many rows before */
#else
    TILE = 96, /* eight register tiles of 12 */
    MOST = 96,
    NEAR = 1 << 19,
#endif
    PAD = 32, /* elements that keep rows of a copy from falling into the same sets of a cache */
};

typedef struct gemm_task {
    const samc__low_gemm *g;
    int64_t rows;       /* of a block */
    int64_t kp, stride; /* k rounded up; elements from row to row of a copy */
    int64_t groups, group_panels;
    char *scratch; /* [workers]: two times [rows][32] of floats, then [rows][stride] */
    int64_t scratch_bytes;
} gemm_task;

/* VW elements of an array, or where not `whole` the first `count` of them. */
SAMC__INLINE vf load_of(samc__view v, int64_t at, bool whole, int64_t count) {
    if (!whole) return vf_load_first_of(v, at, count);
    return v.dtype == SAMC__F32 ? vf_load((const float *)v.data + at) : vf_load_bf16((const uint16_t *)v.data + at);
}

/* Bias, activation and residual of one vector: sum -> its value. `at` is its place in the residual. */
SAMC__INLINE vf value_of(const samc__low_gemm *g, samc__act act, vf sum, vf bias, int64_t at, bool whole,
                         int64_t count) {
    const vf value = vf_add(sum, bias);
    if (g->residual.data != NULL)
        return vf_finish(value, act, g->act_last, true, load_of(g->residual, at, whole, count));
    if (act == SAMC__ACT_GELU_TANH && g->y.dtype != SAMC__F32) return vf_gelu_tanh_low(value);
    return vf_activate(value, act);
}

/* sums [rows, 32] -> y, columns [column, column + 32) as far as there are any; `whole`: all of them. */
SAMC__INLINE void finish_as(const samc__low_gemm *g, samc__act act, bool whole, int64_t row, int64_t rows,
                            int64_t column, const float *sums) {
    const int64_t n = g->n - column, count[2] = {n < VW ? n : VW, n < VW ? 0 : n < 2 * VW ? n - VW : VW};
    int64_t added_row = g->residual.data ? row % g->residual.n[0] : 0;
    vf bias[2];
    for (int v = 0; v < 2; v++) bias[v] = g->bias ? vf_load_first(g->bias + column + v * VW, count[v]) : vf_set(0.0f);
    for (int64_t r = 0; r < rows; r++, sums += LOW_COLUMNS) {
        const int64_t at = (row + r) * g->y_stride + column, added = added_row * g->n + column;
        const vf low = value_of(g, act, vf_load(sums), bias[0], added, whole, count[0]);
        const vf high = value_of(g, act, vf_load(sums + VW), bias[1], added + VW, whole, count[1]);
        if (!whole) {
            vf_store_first_of(g->y, at, count[0], low);
            vf_store_first_of(g->y, at + VW, count[1], high);
        } else if (g->y.dtype != SAMC__F32) {
            vb_store((uint16_t *)g->y.data + at, vb_round(low, high));
        } else {
            vf_store((float *)g->y.data + at, low);
            vf_store((float *)g->y.data + at + VW, high);
        }
        if (++added_row == g->residual.n[0]) added_row = 0;
    }
}

/* A loop of its own for whole panels of the activations that encoders are full of. */
static void finish(const samc__low_gemm *g, int64_t row, int64_t rows, int64_t column, const float *sums) {
    const bool whole = g->n - column >= LOW_COLUMNS;
    if (!whole) finish_as(g, g->act, false, row, rows, column, sums);
    else if (g->act == SAMC__ACT_GELU) finish_as(g, SAMC__ACT_GELU, true, row, rows, column, sums);
    else if (g->act == SAMC__ACT_GELU_TANH) finish_as(g, SAMC__ACT_GELU_TANH, true, row, rows, column, sums);
    else if (g->act == SAMC__ACT_RELU) finish_as(g, SAMC__ACT_RELU, true, row, rows, column, sums);
    else if (g->act == SAMC__ACT_NONE) finish_as(g, SAMC__ACT_NONE, true, row, rows, column, sums);
    else finish_as(g, g->act, true, row, rows, column, sums);
}

/* A block of rows, on its way through the panels. */
typedef struct block {
    const samc__low_gemm *g;
    int64_t row, rows, kp;
    const uint16_t *a; /* [rows up to LOW_ROWS][kp], lda elements apart */
    int64_t lda;
    float *sums, *before; /* [rows up to TILE][32]: of this panel, and of the one before it */
    int64_t column;       /* of `before`; below 0: there was none */
} block;

/* Asks for what the epilogue will meet: pieces of a line or two of each row, which no hardware foresees. */
static void prefetch(const samc__low_gemm *g, int64_t row, int64_t rows, int64_t column) {
    const size_t size = samc__dtype_size(g->y.dtype);
    for (int64_t r = row; r < row + rows; r++) {
        const char *y = (const char *)g->y.data + (size_t)(r * g->y_stride + column) * size;
        __builtin_prefetch(y, 1);
        if (size == sizeof(float)) __builtin_prefetch(y + 64, 1);
    }
}

#if defined(SAMC_LOW_AMX)

/* Products of one panel. The tiles work by themselves: rows of the panel before it are finished meanwhile, a share with
 * every step, and the next share of the panels is fetched into the second cache. */
static void run_panel(const block *x, const uint16_t *b) {
    const int64_t steps = x->kp / LOW_K * ((x->rows + 31) / 32), rows = x->column < 0 ? 0 : x->rows;
    int64_t due = 0, done = 0; /* due / steps: rows that should be finished */
    for (int64_t at = 0; at < x->kp; at += DEPTH) {
        const int64_t end = x->kp - at < DEPTH ? x->kp : at + DEPTH;
        const char *next = (const char *)(b + end * LOW_COLUMNS), *stop = next + DEPTH * LOW_COLUMNS * sizeof *b;
        for (int64_t r = 0; r < x->rows; r += 32) {
            const bool both = x->rows - r > 16;
            low_tiles_begin(x->sums + r * LOW_COLUMNS, LOW_COLUMNS, both, at > 0);
            for (int64_t i = at; i < end; i += LOW_K) {
                low_tiles_step(x->a + r * x->lda + i, x->lda, b + i * LOW_COLUMNS, both);
                for (int line = 0; line < 8 && next < stop; line++, next += 64) __builtin_prefetch(next, 0, 2);
                due += rows;
                if (due >= 2 * steps) {
                    const int64_t count = due / steps;
                    if (done + AHEAD + count <= rows) prefetch(x->g, x->row + done + AHEAD, count, x->column);
                    finish(x->g, x->row + done, count, x->column, x->before + done * LOW_COLUMNS);
                    done += count, due -= count * steps;
                }
            }
            low_tiles_end(x->sums + r * LOW_COLUMNS, LOW_COLUMNS, both);
        }
    }
    if (done < rows) finish(x->g, x->row + done, rows - done, x->column, x->before + done * LOW_COLUMNS);
}

static void next_panel(block *x, int64_t panel) {
    run_panel(x, x->g->panels + panel * LOW_COLUMNS * x->kp);
    float *sums = x->sums;
    x->sums = x->before, x->before = sums, x->column = panel * LOW_COLUMNS;
}
static void last_panel(const block *x) { finish(x->g, x->row, x->rows, x->column, x->before); }

#else

static void next_panel(block *x, int64_t panel) {
    prefetch(x->g, x->row, x->rows, panel * LOW_COLUMNS);
    low_block(x->rows, x->a, x->lda, x->g->panels + panel * LOW_COLUMNS * x->kp, x->kp, x->sums, LOW_COLUMNS, false);
    finish(x->g, x->row, x->rows, panel * LOW_COLUMNS, x->sums);
}
static void last_panel(const block *x) { (void)x; }

#endif

static void gemm_items(void *context, int64_t begin, int64_t end, int worker) {
    const gemm_task *t = context;
    const samc__low_gemm *g = t->g;
    float *sums = (float *)(void *)(t->scratch + worker * t->scratch_bytes);
    uint16_t *copy = (uint16_t *)(sums + 2 * t->rows * LOW_COLUMNS);
    const int64_t panels = samc__panels(g->n);
    low_begin();
    for (int64_t item = begin; item < end; item++) {
        const int64_t row = item / t->groups * t->rows, rows = g->m - row < t->rows ? g->m - row : t->rows;
        const bool lies = g->x && t->kp == g->k && rows % LOW_ROWS == 0;
        for (int64_t r = 0; r < rows && !lies; r++) {
            g->gather(g->source, row + r, copy + r * t->stride);
            memset(copy + r * t->stride + g->k, 0, (size_t)(t->kp - g->k) * sizeof *copy);
        }
        block x = {.g = g, .row = row, .rows = rows, .kp = t->kp, .sums = sums, .column = -1};
        x.a = lies ? g->x + row * g->x_stride : copy, x.lda = lies ? g->x_stride : t->stride;
        x.before = sums + t->rows * LOW_COLUMNS;
        const int64_t panel = item % t->groups * t->group_panels;
        const int64_t last = panel + t->group_panels < panels ? panel + t->group_panels : panels;
        for (int64_t p = panel; p < last; p++) next_panel(&x, p);
        last_panel(&x);
    }
    low_end();
}

samc_status SAMC__RUNG(samc__low_gemm)(const samc__exec *exec, const samc__low_gemm *g) {
    const int64_t panels = samc__panels(g->n), workers = exec->workers;
    gemm_task t = {.g = g, .kp = samc__packed_k(g->k)};
    t.stride = t.kp + PAD;
    t.rows = NEAR / (int64_t)sizeof(uint16_t) / t.kp / TILE * TILE;
    t.rows = t.rows > MOST ? MOST : t.rows < TILE ? TILE : t.rows;
    int64_t blocks = (g->m + t.rows - 1) / t.rows;
    t.rows = low_round_up((g->m + blocks - 1) / blocks, TILE); /* the last one as full as the others */
    blocks = (g->m + t.rows - 1) / t.rows;
    const int64_t wanted = workers == 1 ? 1 : (8 * workers + blocks - 1) / blocks; /* groups that keep all busy */
    t.group_panels = (panels + wanted - 1) / wanted;
    t.groups = (panels + t.group_panels - 1) / t.group_panels;
    t.scratch_bytes = t.rows * (2 * LOW_COLUMNS * (int64_t)sizeof(float) + t.stride * (int64_t)sizeof(uint16_t));
    t.scratch = exec->allocate(exec->memory, (size_t)(workers * t.scratch_bytes));
    if (t.scratch == NULL)
        return samc__fail(exec->error, SAMC_OUT_OF_MEMORY, "no memory for the tiles of a matrix product");
    samc__parallel(exec, 2.0 * (double)g->m * (double)g->n * (double)g->k, blocks * t.groups, 1, gemm_items, &t);
    exec->release(exec->memory, t.scratch);
    return SAMC_OK;
}

typedef struct rows_source {
    samc__view x;
    int64_t stride;
} rows_source;

static void gather_row(const void *source, int64_t row, uint16_t *out) {
    const rows_source *s = source;
    const int64_t k = s->x.n[1];
    if (s->x.dtype == SAMC__F32) low_round(samc__f32(s->x) + row * s->stride, k, out);
    else memcpy(out, (const uint16_t *)s->x.data + row * s->stride, (size_t)k * sizeof *out);
}

typedef struct pack_task {
    samc__view w;
    uint16_t *panels;
} pack_task;

static void pack_panels(void *context, int64_t begin, int64_t end, int worker) {
    const pack_task *t = context;
    const int64_t n = t->w.n[0], k = t->w.n[1], kp = samc__packed_k(k);
    (void)worker;
    for (int64_t panel = begin; panel < end; panel++)
        samc__pack_panel_bf16(samc__f32(t->w), n, k, k, 1, panel, t->panels + panel * SAMC__PANEL * kp);
}

samc_status SAMC__RUNG(samc__linear)(const samc__exec *exec, const samc__linear_args *a) {
    if (a->p.w.dtype == SAMC__I8) return exec->ops->linear8(exec, a);
    const int64_t n = a->p.w.n[0], k = a->x.n[1];
    const uint16_t *panels = samc__packed_find_bf16(exec->packed, a->p.w.data);
    uint16_t *made = NULL;
    if (panels == NULL) {
        made = exec->allocate(exec->memory, samc__packed_halves(n, k) * sizeof *made);
        if (made == NULL)
            return samc__fail(exec->error, SAMC_OUT_OF_MEMORY, "no memory to pack a weight of %lld x %lld",
                              (long long)n, (long long)k);
        samc__parallel(exec, (double)(n * k) * 16, samc__panels(n), 1, pack_panels, &(pack_task){a->p.w, made});
        panels = made;
    }
    const rows_source source = {a->x, a->x_stride ? a->x_stride : k};
    const samc_status status =
        SAMC__RUNG(samc__low_gemm)(exec, &(samc__low_gemm){.gather = gather_row,
                                                           .source = &source,
                                                           .x = a->x.dtype == SAMC__BF16 ? a->x.data : NULL,
                                                           .x_stride = source.stride,
                                                           .m = a->x.n[0],
                                                           .n = n,
                                                           .k = k,
                                                           .panels = panels,
                                                           .bias = samc__f32(a->p.b),
                                                           .residual = a->residual,
                                                           .y = a->y,
                                                           .y_stride = a->y_stride ? a->y_stride : n,
                                                           .act = a->act,
                                                           .act_last = a->act_last});
    exec->release(exec->memory, made);
    return status;
}
