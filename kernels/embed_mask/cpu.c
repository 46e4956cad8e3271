/* embed_mask in vectors: a panel of grid cells as lanes through the whole chain. */
#include "kernels/cpu/decoder.h"
#include "kernels/embed_mask/embed_mask.h"

enum { MAX_CHANNELS = 256 }; /* of the intermediate maps; SAM has 4 and 16 */
SAMC__DEFINE_TILE(tile_w, 1, MR)

typedef struct mask_task {
    const samc__embed_mask_args *args;
    float *w2, *w3; /* [c2 rows][4 c1][MR] and [C rows][c2][MR] in tiles of MR rows */
    float *scratch; /* [workers][scratch_floats] */
    int64_t scratch_floats, panels;
} mask_task;

/* y [rows][PANEL] = w . x [k][PANEL] + bias. */
static void product(const float *tiles, int64_t rows, int64_t k, const float *x, const float *bias, float *y) {
    for (int64_t r = 0; r < rows; r++)
        for (int v = 0; v < PANEL; v += VW) vf_store(y + r * PANEL + v, vf_set(bias[r]));
    for (int64_t r = 0; r < rows; r += MR)
        tile_w_2((int)(rows - r < MR ? rows - r : MR), tiles + r * k, x, PANEL, k, y + r * PANEL, PANEL, TILE_ADD);
}

static void norm_gelu(float *x, const samc__norm *norm, int64_t c) {
    norm_panel(x, c, samc__f32(norm->g), samc__f32(norm->b), norm->eps, NULL);
    for (int64_t i = 0; i < c * PANEL; i += VW) vf_store(x + i, vf_gelu(vf_load(x + i)));
}

static void embed_panels(void *context, int64_t begin, int64_t end, int worker) {
    const mask_task *t = context;
    const samc__embed_mask_args *a = t->args;
    int64_t g = a->grid, n = g * g, low = 4 * g, c1 = a->norm1.g.n[0], c2 = a->norm2.g.n[0], c = a->y.n[2];
    int64_t each = a->y.n[0] / a->image.n[0];
    const float *w1 = samc__f32(a->conv1.w), *b1 = samc__f32(a->conv1.b);
    float *in = t->scratch + worker * t->scratch_floats;              /* [4 pixels][2x2 logits][PANEL] */
    float *first = in + 16 * PANEL, *second = first + 4 * c1 * PANEL; /* [4 pixels][c1][PANEL], [c2][PANEL] */
    float *out = second + c2 * PANEL, *rows = out + c * PANEL;        /* [C][PANEL], [PANEL][C] */
    for (int64_t item = begin; item < end; item++) {
        int64_t prompt = item / t->panels, cell = item % t->panels * PANEL, cells = n - cell < PANEL ? n - cell : PANEL;
        const float *logits = samc__f32(a->mask) + prompt * low * low;
        for (int64_t i = 0; i < PANEL; i++) {
            int64_t y = (cell + i) / g, x = (cell + i) % g;
            for (int tap = 0; tap < 16; tap++) { /* pixel, then its 2x2 logits */
                int64_t row = 4 * y + 2 * (tap / 8) + tap / 2 % 2, col = 4 * x + 2 * (tap / 4 % 2) + tap % 2;
                in[tap * PANEL + i] = i < cells ? logits[row * low + col] : 0.0f;
            }
        }
        for (int pixel = 0; pixel < 4; pixel++) {
            for (int64_t o = 0; o < c1; o++)
                for (int v = 0; v < PANEL; v += VW) {
                    vf sum = vf_set(b1[o]);
                    for (int tap = 0; tap < 4; tap++)
                        sum = vf_fma(vf_load(in + (pixel * 4 + tap) * PANEL + v), vf_set(w1[4 * o + tap]), sum);
                    vf_store(first + (pixel * c1 + o) * PANEL + v, sum);
                }
            norm_gelu(first + pixel * c1 * PANEL, &a->norm1, c1);
        }
        product(t->w2, c2, 4 * c1, first, samc__f32(a->conv2.b), second);
        norm_gelu(second, &a->norm2, c2);
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
    t->scratch_floats = (16 + 4 * c1 + c2 + 2 * c) * PANEL;
    if (base) t->w2 = base, t->w3 = base + w2, t->scratch = base + w2 + w3;
    return w2 + w3 + workers * t->scratch_floats;
}

samc_status SAMC__RUNG(samc__embed_mask)(const samc__exec *exec, const samc__embed_mask_args *a) {
    int64_t c1 = a->norm1.g.n[0], c2 = a->norm2.g.n[0], c = a->y.n[2];
    mask_task t = {.args = a};
    float *block = exec->allocate(exec->memory, (size_t)lay_out(&t, exec->workers, NULL) * sizeof(float));
    if (block == NULL) return samc__fail(exec->error, SAMC_OUT_OF_MEMORY, "no memory to embed mask prompts");
    lay_out(&t, exec->workers, block);
    for (int64_t o = 0; o < c2 && !exec->rehearsal; o++) { /* w [c2, c1, 2, 2] -> columns by pixel, then channel */
        float row[4 * MAX_CHANNELS];
        for (int64_t i = 0; i < 4 * c1; i++) row[i] = samc__f32(a->conv2.w)[(o * c1 + i % c1) * 4 + i / c1];
        place_row(row, o, 4 * c1, t.w2);
    }
    for (int64_t o = 0; o < c && !exec->rehearsal; o++) place_row(samc__f32(a->conv3.w) + o * c2, o, c2, t.w3);
    samc__parallel(exec, samc__embed_mask_flops(a), a->y.n[0] * t.panels, 4, embed_panels, &t);
    exec->release(exec->memory, block);
    return SAMC_OK;
}
