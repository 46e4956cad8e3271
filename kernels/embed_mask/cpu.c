/* embed_mask in vectors: a panel of grid cells as lanes through the whole chain. */
#include "kernels/embed_mask/cells.h"

typedef struct mask_task {
    const samc__embed_mask_args *args;
    float *w2, *w3; /* [c2 rows][4 c1][MR] and [C rows][c2][MR] in tiles of MR rows */
    float *scratch; /* [workers][scratch_floats] */
    int64_t scratch_floats, panels;
} mask_task;

static void embed_panels(void *context, int64_t begin, int64_t end, int worker) {
    const mask_task *t = context;
    const samc__embed_mask_args *a = t->args;
    int64_t n = (int64_t)a->grid * a->grid, c1 = a->norm1.g.n[0], c2 = a->norm2.g.n[0], c = a->y.n[2];
    int64_t each = a->y.n[0] / a->image.n[0];
    float *in = t->scratch + worker * t->scratch_floats, *second = in + cell_floats(c1); /* [c2][PANEL] */
    float *out = second + c2 * PANEL, *rows = out + c * PANEL;                           /* [C][PANEL], [PANEL][C] */
    for (int64_t item = begin; item < end; item++) {
        int64_t prompt = item / t->panels, cell = item % t->panels * PANEL, cells = n - cell < PANEL ? n - cell : PANEL;
        embed_cells(a, t->w2, prompt, cell, in, second);
        product(t->w3, c, c2, second, samc__f32(a->conv3.b), out);
        from_panel(out, cells, c, rows);
        add_rows(rows, samc__f32(a->image) + (prompt / each * n + cell) * c, cells * c,
                 samc__f32(a->y) + (prompt * n + cell) * c);
    }
}

/* Hands out the parts of a block, and returns how many floats they take. base NULL: only counts. */
static int64_t lay_out(mask_task *t, int workers, float *base) {
    int64_t c1 = t->args->norm1.g.n[0], c2 = t->args->norm2.g.n[0], c = t->args->y.n[2],
            n = (int64_t)t->args->grid * t->args->grid;
    int64_t w2 = round_to(round_to(c2, MR) * 4 * c1, 16), w3 = round_to(round_to(c, MR) * c2, 16);
    t->panels = (n + PANEL - 1) / PANEL;
    t->scratch_floats = cell_floats(c1) + (c2 + 2 * c) * PANEL;
    if (base) t->w2 = base, t->w3 = base + w2, t->scratch = base + w2 + w3;
    return w2 + w3 + workers * t->scratch_floats;
}

samc_status SAMC__RUNG(samc__embed_mask)(const samc__exec *exec, const samc__embed_mask_args *a) {
    int64_t c2 = a->norm2.g.n[0], c = a->y.n[2];
    mask_task t = {.args = a};
    float *block = exec->allocate(exec->memory, (size_t)lay_out(&t, exec->workers, NULL) * sizeof(float));
    if (block == NULL) return samc__fail(exec->error, SAMC_OUT_OF_MEMORY, "no memory to embed mask prompts");
    lay_out(&t, exec->workers, block);
    if (!exec->rehearsal) place_conv2(a, t.w2);
    for (int64_t o = 0; o < c && !exec->rehearsal; o++) place_row(samc__f32(a->conv3.w) + o * c2, o, c2, t.w3);
    samc__parallel(exec, samc__embed_mask_flops(a), a->y.n[0] * t.panels, 4, embed_panels, &t);
    exec->release(exec->memory, block);
    return SAMC_OK;
}
