/* upscale_bicubic in vectors of channels: four rows of x become one row as wide as x, then its neighbours are mixed. */
#include "kernels/cpu/linear.h"
#include "kernels/cpu/vec.h"
#include "kernels/cubic_tap.h"
#include "kernels/upscale_bicubic/upscale_bicubic.h"

typedef struct bicubic_task {
    const samc__upscale_bicubic_args *args;
    float *rows;                   /* [workers][w * c], behind the taps */
    const samc__cubic_tap *across; /* [W] */
} bicubic_task;

/* y [n] = the sum of four inputs by their weights, + add where that is not NULL. */
SAMC__INLINE void mix(const float *const in[4], const float weight[4], int64_t n, const float *add, float *y) {
    for (int64_t i = 0; i < n; i += VW) {
        const int64_t lanes = n - i < VW ? n - i : VW;
        const bool whole = lanes == VW;
        vf sum = vf_set(0.0f);
        for (int k = 0; k < 4; k++)
            sum = vf_fma(whole ? vf_load(in[k] + i) : vf_load_first(in[k] + i, lanes), vf_set(weight[k]), sum);
        if (add != NULL) sum = vf_add(sum, whole ? vf_load(add + i) : vf_load_first(add + i, lanes));
        if (whole) vf_store(y + i, sum);
        else vf_store_first(y + i, lanes, sum);
    }
}

static void bicubic_rows(void *context, int64_t begin, int64_t end, int worker) {
    const bicubic_task *t = context;
    const samc__upscale_bicubic_args *a = t->args;
    const int64_t h = a->x.n[1], w = a->x.n[2], c = a->x.n[3], y_h = a->y.n[1], y_w = a->y.n[2];
    float *between = t->rows + worker * w * c;
    for (int64_t row = begin; row < end; row++) { /* over images and rows of y */
        const samc__cubic_tap down = samc__cubic_tap_of((int)(row % y_h), (int)h, (int)y_h);
        const float *x = samc__f32(a->x) + row / y_h * h * w * c, *in[4];
        for (int k = 0; k < 4; k++) in[k] = x + down.at[k] * w * c;
        mix(in, down.weight, w * c, NULL, between);
        for (int64_t column = 0; column < y_w; column++) {
            const int64_t at = (row * y_w + column) * c;
            for (int k = 0; k < 4; k++) in[k] = between + t->across[column].at[k] * c;
            mix(in, t->across[column].weight, c, a->add.data ? samc__f32(a->add) + at : NULL, samc__f32(a->y) + at);
        }
    }
}

samc_status SAMC__RUNG(samc__upscale_bicubic)(const samc__exec *exec, const samc__upscale_bicubic_args *a) {
    const int64_t y_w = a->y.n[2], row = a->x.n[2] * a->x.n[3];
    const size_t taps = (size_t)y_w * sizeof(samc__cubic_tap);
    samc__cubic_tap *across = exec->allocate(exec->memory, taps + (size_t)(exec->workers * row) * sizeof(float));
    if (across == NULL) return samc__fail(exec->error, SAMC_OUT_OF_MEMORY, "no memory for a row of features");
    for (int64_t column = 0; column < y_w && !exec->rehearsal; column++)
        across[column] = samc__cubic_tap_of((int)column, (int)a->x.n[2], (int)y_w);
    const bicubic_task t = {a, (float *)(void *)((char *)across + taps), across};
    samc__parallel(exec, samc__upscale_bicubic_flops(a), a->y.n[0] * a->y.n[1], 1, bicubic_rows, (void *)&t);
    exec->release(exec->memory, across);
    return SAMC_OK;
}
