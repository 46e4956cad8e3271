/* linear_attention, reference: the sums over keys of one head, then each query's. */
#include "kernels/linear_attention/linear_attention.h"
#include "kernels/ops.h"
#include "kernels/ref/math.h"

samc_status samc__linear_attention_check(const samc__linear_attention_args *a, samc_error *error) {
    const int64_t images = a->qkv[0].n[0], n = a->qkv[0].n[1], wide = a->qkv[0].n[2],
                  sets = samc__linear_attention_sets(a);
    SAMC__REQUIRE(error, "linear_attention",
                  images > 0 && n > 0 && a->heads > 0 && wide > 0 && wide % (3 * a->heads) == 0);
    SAMC__REQUIRE(error, "linear_attention", wide / (3 * a->heads) <= SAMC__LINEAR_ATTENTION_MOST);
    for (int64_t i = 0; i < sets; i++) SAMC__REQUIRE(error, "linear_attention", samc__is3(a->qkv[i], images, n, wide));
    SAMC__REQUIRE(error, "linear_attention", samc__is3(a->y, images, n, sets * (wide / 3)) && a->eps > 0.0f);
    return SAMC_OK;
}

double samc__linear_attention_flops(const samc__linear_attention_args *a) {
    const double dim = (double)(a->qkv[0].n[2] / (3 * a->heads));
    return 4.0 * (double)samc__elements(a->y) * (dim + 1.0);
}

static float relu(float x) { return samc__activate_ref(x, SAMC__ACT_RELU); }

static void attend_heads(void *context, int64_t begin, int64_t end, int worker) {
    const samc__linear_attention_args *a = context;
    const int64_t n = a->y.n[1], wide = a->qkv[0].n[2], dim = wide / (3 * a->heads), all = a->y.n[2] / dim;
    /* Row v, column k; the last row is that of a v of ones. */
    float sums[SAMC__LINEAR_ATTENTION_MOST + 1][SAMC__LINEAR_ATTENTION_MOST];
    (void)worker;
    for (int64_t item = begin; item < end; item++) { /* over images and the heads of both sets */
        const int64_t image = item / all, head = item % all;
        const float *qkv =
            samc__f32(a->qkv[head / a->heads]) + image * n * wide + head % a->heads * 3 * dim; /* [n] rows of `wide` */
        for (int64_t i = 0; i <= dim; i++)
            for (int64_t j = 0; j < dim; j++) sums[i][j] = 0.0f;
        for (int64_t key = 0; key < n; key++) {
            const float *k = qkv + key * wide + dim, *v = k + dim;
            for (int64_t i = 0; i <= dim; i++)
                for (int64_t j = 0; j < dim; j++) sums[i][j] += (i < dim ? v[i] : 1.0f) * relu(k[j]);
        }
        for (int64_t query = 0; query < n; query++) {
            const float *q = qkv + query * wide;
            float *y = samc__f32(a->y) + ((image * n + query) * all + head) * dim;
            float below = a->eps;
            for (int64_t j = 0; j < dim; j++) below += sums[dim][j] * relu(q[j]);
            for (int64_t i = 0; i < dim; i++) {
                float above = 0.0f;
                for (int64_t j = 0; j < dim; j++) above += sums[i][j] * relu(q[j]);
                y[i] = above / below;
            }
        }
    }
}

samc_status samc__linear_attention_ref(const samc__exec *exec, const samc__linear_attention_args *a) {
    exec->parallel(exec->pool, a->y.n[0] * a->heads * samc__linear_attention_sets(a), 1, attend_heads, (void *)a);
    return SAMC_OK;
}
