/* embed_mask in bf16: cells as lanes up to the second map, as rows of conv3's product from there on. */
#include "kernels/embed_mask/cells.h"

#include "kernels/cpu/low_decoder.h"

typedef struct mask_task {
    const samc__embed_mask_args *args;
    const uint16_t *w3; /* conv3's panels */
    float *w2;          /* place_conv2() */
    char *scratch;      /* [workers][scratch_bytes] */
    int64_t scratch_bytes, panels, kp;
} mask_task;

/* y = sums [cells][PANEL] + bias + image, rows of image and y c elements apart. */
SAMC__INLINE void add_whole(const float *sums, const float *bias, const uint16_t *image, int64_t cells, int64_t c,
                            uint16_t *y) {
    const vf low = vf_load(bias), high = vf_load(bias + VW);
    for (int64_t r = 0; r < cells; r++, sums += PANEL, image += c, y += c)
        vb_store(y, vb_round(vf_add(vf_add(vf_load(sums), low), vf_load_bf16(image)),
                             vf_add(vf_add(vf_load(sums + VW), high), vf_load_bf16(image + VW))));
}

/* The same of `columns` columns and any type; where a block begins in image and y. */
typedef struct place {
    int64_t from, to, cells, columns;
} place;
static void add_some(const samc__embed_mask_args *a, const float *sums, const float *bias, place p) {
    const int64_t c = a->y.n[2];
    for (int64_t r = 0; r < p.cells; r++)
        for (int64_t i = 0; i < p.columns; i += VW) {
            const int64_t left = p.columns - i < VW ? p.columns - i : VW;
            vf x = vf_add(vf_load(sums + r * PANEL + i), vf_load_first(bias + i, left));
            x = vf_add(x, vf_load_first_of(a->image, p.from + r * c + i, left));
            vf_store_first_of(a->y, p.to + r * c + i, left, x);
        }
}

static void embed_panels(void *context, int64_t begin, int64_t end, int worker) {
    const mask_task *t = context;
    const samc__embed_mask_args *a = t->args;
    const int64_t n = (int64_t)a->grid * a->grid, c2 = a->norm2.g.n[0], c = a->y.n[2], kp = t->kp;
    const int64_t each = a->y.n[0] / a->image.n[0];
    const float *bias = samc__f32(a->conv3.b);
    const bool whole = c % PANEL == 0 && a->image.dtype == SAMC__BF16 && a->y.dtype == SAMC__BF16;
    float *out = (float *)(void *)(t->scratch + worker * t->scratch_bytes), *second = out + PANEL * PANEL;
    float *in = second + c2 * PANEL; /* out [PANEL][PANEL], second [c2][PANEL], of embed_cells() */
    uint16_t *pairs = (uint16_t *)(in + cell_floats(a->norm1.g.n[0])), *rows = pairs + kp * PANEL; /* [PANEL][kp] */
    low_begin();
    for (int64_t item = begin; item < end; item++) {
        const int64_t prompt = item / t->panels, cell = item % t->panels * PANEL;
        const int64_t cells = n - cell < PANEL ? n - cell : PANEL;
        embed_cells(a, t->w2, prompt, cell, in, second);
        floats_to_pairs(second, c2, pairs);
        pairs_to_rows(pairs, kp, rows, kp);
        for (int64_t first = 0; first < c; first += PANEL) {
            low_block(cells, rows, kp, t->w3 + first * kp, kp, out, PANEL, false);
            const int64_t from = (prompt / each * n + cell) * c + first, to = (prompt * n + cell) * c + first;
            if (whole)
                add_whole(out, bias + first, (const uint16_t *)a->image.data + from, cells, c,
                          (uint16_t *)a->y.data + to);
            else add_some(a, out, bias + first, (place){from, to, cells, c - first < PANEL ? c - first : PANEL});
        }
    }
    low_end();
}

samc_status SAMC__RUNG(samc__embed_mask)(const samc__exec *exec, const samc__embed_mask_args *a) {
    const int64_t n = (int64_t)a->grid * a->grid, c1 = a->norm1.g.n[0], c2 = a->norm2.g.n[0], c = a->y.n[2];
    mask_task t = {.args = a, .panels = (n + PANEL - 1) / PANEL, .kp = low_round_up(c2, LOW_K)};
    const int64_t w2 = low_round_up(round_to(c2, MR) * 4 * c1, 16) * 4, w3 = (int64_t)samc__packed_halves(c, c2) * 2;
    t.scratch_bytes = (PANEL * PANEL + c2 * PANEL + cell_floats(c1)) * 4 + 2 * PANEL * t.kp * 2;
    char *block = exec->allocate(exec->memory, (size_t)(w2 + w3 + exec->workers * t.scratch_bytes));
    if (block == NULL) return samc__fail(exec->error, SAMC_OUT_OF_MEMORY, "no memory to embed mask prompts");
    t.w2 = (float *)(void *)block, t.scratch = block + w2 + w3;
    t.w3 = weight_panels(exec, a->conv3.w, c, c2, (uint16_t *)(void *)(block + w2));
    if (!exec->rehearsal) place_conv2(a, t.w2);
    samc__parallel(exec, samc__embed_mask_flops(a), a->y.n[0] * t.panels, 4, embed_panels, &t);
    exec->release(exec->memory, block);
    return SAMC_OK;
}
