/* layernorm in vectors: a row at a time, two passes, four sums so that additions do not wait for each other.
 */
#include "kernels/cpu/gemm.h"
#include "kernels/cpu/linear.h"
#include "kernels/layernorm/layernorm.h"

static void norm_row(const float *x, const float *g, const float *b, float eps, int64_t n, float *y) {
    vf sum[4], square[4];
    int64_t whole = n / (4 * VW) * (4 * VW);
    for (int i = 0; i < 4; i++) sum[i] = square[i] = vf_set(0.0f);
    for (int64_t c = 0; c < whole; c += 4 * VW)
        for (int i = 0; i < 4; i++) sum[i] = vf_add(sum[i], vf_load(x + c + i * VW));
    for (int64_t c = whole; c < n; c += VW) sum[0] = vf_add(sum[0], vf_load_first(x + c, n - c < VW ? n - c : VW));
    float mean = vf_sum(vf_add(vf_add(sum[0], sum[1]), vf_add(sum[2], sum[3]))) / (float)n;
    vf middle = vf_set(mean);
    for (int64_t c = 0; c < whole; c += 4 * VW)
        for (int i = 0; i < 4; i++) {
            vf d = vf_sub(vf_load(x + c + i * VW), middle);
            square[i] = vf_fma(d, d, square[i]);
        }
    float rest = 0.0f;
    for (int64_t c = whole; c < n; c++) rest += (x[c] - mean) * (x[c] - mean);
    float variance = (vf_sum(vf_add(vf_add(square[0], square[1]), vf_add(square[2], square[3]))) + rest) / (float)n;
    vf scale = vf_div(vf_set(1.0f), vf_sqrt(vf_set(variance + eps)));
    for (int64_t c = 0; c < n; c += VW) {
        int64_t left = n - c < VW ? n - c : VW;
        vf value = vf_mul(vf_sub(vf_load_first(x + c, left), middle), scale);
        vf_store_first(y + c, left, vf_fma(value, vf_load_first(g + c, left), vf_load_first(b + c, left)));
    }
}

static void norm_rows(void *context, int64_t begin, int64_t end, int worker) {
    const samc__layernorm_args *a = context;
    int64_t n = a->x.n[1];
    (void)worker;
    for (int64_t row = begin; row < end; row++)
        norm_row(samc__f32(a->x) + row * n, samc__f32(a->norm.g), samc__f32(a->norm.b), a->norm.eps, n,
                 samc__f32(a->y) + row * n);
}

samc_status SAMC__RUNG(samc__layernorm)(const samc__exec *exec, const samc__layernorm_args *a) {
    samc__parallel(exec, 4 * samc__layernorm_flops(a), a->x.n[0], 64, norm_rows, (void *)a);
    return SAMC_OK;
}
