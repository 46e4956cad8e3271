/* grouped_linear in vectors, for activations of floats (cpu.c) and of bf16 (low.c): a group's matrix as panels of
 * floats, a few rows at a time in register tiles of f32.
 *
 * Who includes it says before how up to a vector of a view's values is read and written: x_load(), y_store(). */
#ifndef SAMC_KERNELS_GROUPED_LINEAR_ROWS_H
#define SAMC_KERNELS_GROUPED_LINEAR_ROWS_H

#include "kernels/cpu/gemm.h"
#include "kernels/cpu/linear.h"
#include "kernels/grouped_linear/grouped_linear.h"

enum { ROWS = 48, STRIDE = SAMC__GROUP_MOST, COLUMNS = (SAMC__GROUP_MOST + PANEL - 1) / PANEL * PANEL };
SAMC__DEFINE_TILE(tile, STRIDE, 1)

typedef struct group_scratch {
    float x[MR * STRIDE], y[MR * COLUMNS]; /* rows of one group */
} group_scratch;

typedef struct grouped_task {
    const samc__grouped_linear_args *args;
    int64_t in, out, columns; /* columns: out in whole panels */
    float *panels;            /* [groups][columns / PANEL][in][PANEL] */
    group_scratch *scratch;   /* [workers] */
} grouped_task;

static void pack_groups(void *context, int64_t begin, int64_t end, int worker) {
    const grouped_task *t = context;
    (void)worker;
    for (int64_t group = begin; group < end; group++) {
        const float *w = samc__f32(t->args->w) + group * t->out * t->in;
        float *to = t->panels + group * t->columns * t->in;
        for (int64_t o = 0; o < t->columns; o++)
            for (int64_t i = 0; i < t->in; i++)
                to[(o / PANEL * t->in + i) * PANEL + o % PANEL] = o < t->out ? w[o * t->in + i] : 0.0f;
    }
}

/* Items are groups of blocks of rows. */
static void grouped_items(void *context, int64_t begin, int64_t end, int worker) {
    const grouped_task *t = context;
    const samc__grouped_linear_args *a = t->args;
    group_scratch *s = t->scratch + worker;
    for (int64_t item = begin; item < end; item++) {
        const int64_t group = item % a->groups, first = item / a->groups * ROWS,
                      last = first + ROWS < a->x.n[0] ? first + ROWS : a->x.n[0];
        const float *panels = t->panels + group * t->columns * t->in;
        for (int64_t row = first; row < last; row += MR) {
            const int rows = (int)(last - row < MR ? last - row : MR);
            for (int r = 0; r < rows; r++)
                for (int64_t i = 0; i < t->in; i += VW)
                    vf_store(s->x + r * STRIDE + i,
                             x_load(a->x, (row + r) * a->x.n[1] + group * t->in + i, t->in - i < VW ? t->in - i : VW));
            SAMC__TILE_ROW(tile, rows, t->columns / VW, s->x, panels, t->in, s->y, t->columns, TILE_ZERO);
            for (int r = 0; r < rows; r++)
                for (int64_t i = 0; i < t->out; i += VW)
                    y_store(a->y, (row + r) * a->y.n[1] + group * t->out + i, t->out - i < VW ? t->out - i : VW,
                            vf_load(s->y + r * t->columns + i));
        }
    }
}

static samc_status grouped_run(const samc__exec *exec, const samc__grouped_linear_args *a) {
    grouped_task t = {.args = a, .in = a->w.n[1], .out = a->w.n[0] / a->groups};
    t.columns = (t.out + PANEL - 1) / PANEL * PANEL;
    const size_t scratch = (size_t)exec->workers * sizeof *t.scratch;
    t.scratch = exec->allocate(exec->memory, scratch + (size_t)(a->groups * t.columns * t.in) * sizeof(float));
    if (t.scratch == NULL) return samc__fail(exec->error, SAMC_OUT_OF_MEMORY, "no memory for the matrices of groups");
    t.panels = (float *)(void *)((char *)t.scratch + scratch);
    samc__parallel(exec, (double)samc__elements(a->w) * 16, a->groups, 1, pack_groups, &t);
    samc__parallel(exec, samc__grouped_linear_flops(a), (a->x.n[0] + ROWS - 1) / ROWS * a->groups, 1, grouped_items,
                   &t);
    exec->release(exec->memory, t.scratch);
    return SAMC_OK;
}

#endif
