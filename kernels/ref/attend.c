/* Steps that the references of the decoder's three attentions share: projection, attention, norm, broadcast sum. */
#include "kernels/ref/attend.h"
#include "kernels/layernorm/layernorm.h"
#include "kernels/linear/linear.h"

#include "kernels/ref/math.h"

bool samc__attention_fits(const samc__attention *attention, int64_t c) {
    int64_t inner = attention->q.w.n[0];
    const samc__projection *in[3] = {&attention->q, &attention->k, &attention->v};
    for (int i = 0; i < 3; i++)
        if (!samc__is2(in[i]->w, inner, c) || !samc__absent_or_is1(in[i]->b, inner)) return false;
    return attention->heads > 0 && inner > 0 && inner % attention->heads == 0 &&
           samc__is2(attention->out.w, c, inner) && samc__absent_or_is1(attention->out.b, c);
}

samc_status samc__project(const samc__exec *exec, samc__view x, samc__projection p, samc__view residual, samc__view y) {
    int64_t k = p.w.n[1], n = p.w.n[0], m = x.n[0];
    for (int i = 1; i < x.rank - 1; i++) m *= x.n[i];
    samc__linear_args args = {
        .x = samc__view2(samc__f32(x), m, k),
        .p = p,
        .residual = residual.data ? samc__view2(samc__f32(residual), m, n) : residual,
        .y = samc__view2(samc__f32(y), m, n),
    };
    return exec->ops->linear(exec, &args);
}

samc_status samc__normalise(const samc__exec *exec, samc__view y, samc__norm norm) {
    samc__view rows = samc__view2(samc__f32(y), y.n[0] * y.n[1], y.n[2]);
    samc__layernorm_args args = {.x = rows, .norm = norm, .y = rows};
    return exec->ops->layernorm(exec, &args);
}

void samc__add_broadcast_ref(const samc__exec *exec, samc__view x, samc__view added, samc__view y) {
    if (exec->rehearsal) return;
    int64_t size = y.n[1] * y.n[2];
    for (int64_t b = 0; b < y.n[0]; b++) {
        const float *in = samc__f32(x) + (x.n[0] == 1 ? 0 : b * size);
        const float *add = samc__f32(added) + (added.n[0] == 1 ? 0 : b * size);
        float *out = samc__f32(y) + b * size;
        for (int64_t i = 0; i < size; i++) out[i] = in[i] + add[i];
    }
}

typedef struct attend_task {
    samc__view q, k, v, out;
    int heads;
    float *scores; /* [workers, tk] */
} attend_task;

/* One item: one query of one batch entry, all heads. */
static void attend_queries(void *context, int64_t begin, int64_t end, int worker) {
    const attend_task *t = context;
    int64_t tq = t->q.n[1], tk = t->k.n[1], inner = t->q.n[2], hd = inner / t->heads;
    float *score = t->scores + worker * tk, scale = 1.0f / sqrtf((float)hd);
    for (int64_t item = begin; item < end; item++) {
        int64_t entry = item / tq, batch = t->out.n[0];
        int64_t shared = entry / (batch / t->k.n[0]) * tk * inner;
        int64_t query = (entry / (batch / t->q.n[0]) * tq + item % tq) * inner;
        for (int head = 0; head < t->heads; head++) {
            const float *q = samc__f32(t->q) + query + head * hd;  /* [hd] */
            const float *k = samc__f32(t->k) + shared + head * hd; /* [tk], inner apart */
            const float *v = samc__f32(t->v) + shared + head * hd;
            float *out = samc__f32(t->out) + item * inner + head * hd;
            for (int64_t key = 0; key < tk; key++) score[key] = samc__dot_ref(q, k + key * inner, hd) * scale;
            samc__softmax_ref(score, tk);
            samc__weighted_rows_ref(score, v, tk, inner, hd, out);
        }
    }
}

samc_status samc__attend_ref(const samc__exec *exec, samc__view q, samc__view k, samc__view v, int heads,
                             samc__view out) {
    attend_task task = {q, k, v, out, heads, NULL};
    task.scores = exec->allocate(exec->memory, (size_t)(exec->workers * k.n[1]) * sizeof(float));
    if (task.scores == NULL) return samc__fail(exec->error, SAMC_OUT_OF_MEMORY, "no memory for attention scores");
    exec->parallel(exec->pool, out.n[0] * out.n[1], k.n[1] > 256 ? 1 : 64, attend_queries, &task);
    exec->release(exec->memory, task.scores);
    return SAMC_OK;
}
