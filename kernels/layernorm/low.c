/* layernorm of bf16 activations: x and y in f32 or bf16 each, everything between in f32; a row at a time, two passes,
 * four sums so that additions do not wait for each other. */
#include "kernels/layernorm/layernorm.h"

#include "kernels/cpu/linear.h"
#include "kernels/cpu/low.h"

/* Elements [at, at + n) of a row whose type is known where this is inlined; whole vectors go without a mask. */
SAMC__INLINE vf load_of(bool low, samc__view v, int64_t at, int64_t n) {
    if (n < VW) return vf_load_first_of(v, at, n);
    return low ? vf_load_bf16((const uint16_t *)v.data + at) : vf_load((const float *)v.data + at);
}
SAMC__INLINE void store_of(bool low, samc__view v, int64_t at, int64_t n, vf x) {
    if (n < VW) vf_store_first_of(v, at, n, x);
    else if (low) vf_store_bf16((uint16_t *)v.data + at, x);
    else vf_store((float *)v.data + at, x);
}

SAMC__INLINE vf sum_of_four(const vf *x) { return vf_add(vf_add(x[0], x[1]), vf_add(x[2], x[3])); }

/* `at`: where the row begins. */
SAMC__INLINE void norm_row(const samc__layernorm_args *a, bool x_low, bool y_low, int64_t at) {
    const int64_t n = a->x.n[1], whole = n / (4 * VW) * (4 * VW);
    const float *g = samc__f32(a->norm.g), *b = samc__f32(a->norm.b);
    vf sum[4], square[4];
    for (int i = 0; i < 4; i++) sum[i] = square[i] = vf_set(0.0f);
    for (int64_t c = 0; c < whole; c += 4 * VW)
        for (int i = 0; i < 4; i++) sum[i] = vf_add(sum[i], load_of(x_low, a->x, at + c + i * VW, VW));
    for (int64_t c = whole; c < n; c += VW)
        sum[0] = vf_add(sum[0], load_of(x_low, a->x, at + c, n - c < VW ? n - c : VW));
    const float mean = vf_sum(sum_of_four(sum)) / (float)n;
    const vf middle = vf_set(mean);
    float means[VW]; /* for lanes that are there: the others must not differ from it */
    vf_store(means, middle);
    for (int64_t c = 0; c < whole; c += 4 * VW)
        for (int i = 0; i < 4; i++) {
            const vf d = vf_sub(load_of(x_low, a->x, at + c + i * VW, VW), middle);
            square[i] = vf_fma(d, d, square[i]);
        }
    for (int64_t c = whole; c < n; c += VW) {
        const int64_t count = n - c < VW ? n - c : VW;
        const vf d = vf_sub(load_of(x_low, a->x, at + c, count), vf_load_first(means, count));
        square[0] = vf_fma(d, d, square[0]);
    }
    const float variance = vf_sum(sum_of_four(square)) / (float)n;
    const vf scale = vf_div(vf_set(1.0f), vf_sqrt(vf_set(variance + a->norm.eps)));
    for (int64_t c = 0; c < n; c += VW) {
        const int64_t count = n - c < VW ? n - c : VW;
        const vf value = vf_mul(vf_sub(load_of(x_low, a->x, at + c, count), middle), scale);
        store_of(y_low, a->y, at + c, count, vf_fma(value, vf_load_first(g + c, count), vf_load_first(b + c, count)));
    }
}

static void norm_rows(void *context, int64_t begin, int64_t end, int worker) {
    const samc__layernorm_args *a = context;
    const bool x_low = a->x.dtype != SAMC__F32, y_low = a->y.dtype != SAMC__F32;
    (void)worker;
    for (int64_t row = begin; row < end; row++)
        if (x_low && y_low) norm_row(a, true, true, row * a->x.n[1]);
        else if (x_low) norm_row(a, true, false, row * a->x.n[1]);
        else if (y_low) norm_row(a, false, true, row * a->x.n[1]);
        else norm_row(a, false, false, row * a->x.n[1]);
}

samc_status SAMC__RUNG(samc__layernorm)(const samc__exec *exec, const samc__layernorm_args *a) {
    samc__parallel(exec, 4 * samc__layernorm_flops(a), a->x.n[0], 64, norm_rows, (void *)a);
    return SAMC_OK;
}
