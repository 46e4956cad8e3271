/* attention_plain, reference: every query against its keys, where they lie. */
#include "kernels/attention_plain/attention_plain.h"
#include "kernels/ops.h"
#include "kernels/ref/math.h"

samc_status samc__attention_plain_check(const samc__attention_plain_args *a, samc_error *error) {
    const int64_t batch = a->qkv.n[0], n = a->qkv.n[1], d = a->y.n[2], queries = a->y.n[1];
    SAMC__REQUIRE(error, "attention_plain", a->heads > 0 && d > 0 && d % a->heads == 0);
    SAMC__REQUIRE(error, "attention_plain", samc__is3(a->qkv, batch, n, 3 * d) && batch > 0 && n > 0);
    SAMC__REQUIRE(error, "attention_plain", samc__is3(a->y, batch, queries, d) && queries > 0);
    SAMC__REQUIRE(error, "attention_plain", a->first >= 0 && a->first <= n - queries);
    return SAMC_OK;
}

double samc__attention_plain_flops(const samc__attention_plain_args *a) {
    const double queries = (double)a->y.n[1],
                 keys = a->causal ? (double)a->first + (queries + 1) / 2 : (double)a->qkv.n[1];
    return 4.0 * (double)a->y.n[0] * queries * keys * (double)a->y.n[2];
}

typedef struct attention_task {
    const samc__attention_plain_args *args;
    float *scores; /* [workers][n] */
} attention_task;

/* One item: one query of one sequence, all heads. */
static void attention_queries(void *context, int64_t begin, int64_t end, int worker) {
    const attention_task *t = context;
    const samc__attention_plain_args *a = t->args;
    const int64_t n = a->qkv.n[1], d = a->y.n[2], queries = a->y.n[1], hd = d / a->heads;
    const float scale = 1.0f / sqrtf((float)hd);
    float *score = t->scores + worker * n;
    for (int64_t item = begin; item < end; item++) {
        const int64_t query = item % queries, keys = samc__attention_plain_keys(a, query);
        const float *tokens = samc__f32(a->qkv) + item / queries * n * 3 * d; /* [n, 3 D] */
        for (int64_t at = 0; at < d; at += hd) {
            const float *q = tokens + (a->first + query) * 3 * d + at, *k = tokens + d + at, *v = k + d;
            for (int64_t key = 0; key < keys; key++) score[key] = samc__dot_ref(q, k + key * 3 * d, hd) * scale;
            samc__softmax_ref(score, keys);
            samc__weighted_rows_ref(score, v, keys, 3 * d, hd, samc__f32(a->y) + item * d + at);
        }
    }
}

samc_status samc__attention_plain_ref(const samc__exec *exec, const samc__attention_plain_args *a) {
    attention_task t = {.args = a};
    t.scores = exec->allocate(exec->memory, (size_t)(exec->workers * a->qkv.n[1]) * sizeof(float));
    if (t.scores == NULL) return samc__fail(exec->error, SAMC_OUT_OF_MEMORY, "no memory for attention scores");
    exec->parallel(exec->pool, a->y.n[0] * a->y.n[1], a->qkv.n[1] > 256 ? 1 : 64, attention_queries, &t);
    exec->release(exec->memory, t.scores);
    return SAMC_OK;
}
