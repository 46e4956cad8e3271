/* add_rows of bf16 activations: x, b and y in f32 or bf16 each, summed up in f32. */
#include "kernels/add_rows/add_rows.h"

#include "kernels/cpu/low_linear.h"

/* Without b, whole rows of f32 to bf16: what products read, at every layer of a model whose residual stream is f32. */
static void round_rows(void *context, int64_t begin, int64_t end, int worker) {
    const samc__add_rows_args *a = context;
    const int64_t c = a->x.n[1];
    (void)worker;
    low_round(samc__f32(a->x) + begin * c, (end - begin) * c, (uint16_t *)a->y.data + begin * c);
}

static void add_rows(void *context, int64_t begin, int64_t end, int worker) {
    const samc__add_rows_args *a = context;
    const int64_t c = a->x.n[1];
    (void)worker;
    for (int64_t i = begin * c; i < end * c; i += c)
        for (int64_t at = 0; at < c; at += VW) {
            const int64_t n = c - at < VW ? c - at : VW;
            vf x = vf_load_first_of(a->x, i + at, n);
            if (a->b.data != NULL) x = vf_add(x, vf_load_first_of(a->b, at, n));
            vf_store_first_of(a->y, i + at, n, x);
        }
}

samc_status SAMC__RUNG(samc__add_rows)(const samc__exec *exec, const samc__add_rows_args *a) {
    const int64_t rows = a->x.n[1] < 4096 ? 16 : 1; /* of an item of work */
    const bool rounds = a->b.data == NULL && a->x.dtype == SAMC__F32 && a->y.dtype == SAMC__BF16;
    samc__parallel(exec, (double)samc__elements(a->x) * 16, a->x.n[0], rows, rounds ? round_rows : add_rows, (void *)a);
    return SAMC_OK;
}
