/* image_to_token, reference. */
#include "kernels/ref/attend.h"
#include "kernels/decoder_form.h"
#include "kernels/ref/math.h"
#include "kernels/image_to_token/image_to_token.h"
#include "kernels/linear/linear.h"

#include <string.h>

samc_status samc__image_to_token_check(const samc__image_to_token_args *a, samc_error *error) {
    int64_t p = a->queries.n[0], t = a->queries.n[1], c = a->queries.n[2], n = a->keys.n[1];
    SAMC__REQUIRE(error, "image_to_token", samc__is3(a->queries, p, t, c) && p > 0 && t > 0);
    SAMC__REQUIRE(error, "image_to_token", samc__is3(a->pe, p, t, c));
    SAMC__REQUIRE(error, "image_to_token",
                  samc__is3(a->keys, a->keys.n[0], n, c) && a->keys.n[0] > 0 && p % a->keys.n[0] == 0);
    SAMC__REQUIRE(error, "image_to_token", samc__is2(a->key_pe, n, c));
    SAMC__REQUIRE(error, "image_to_token", samc__attention_fits(&a->attention, c));
    SAMC__REQUIRE(error, "image_to_token",
                  a->image_q.data == NULL || samc__is3(a->image_q, a->keys.n[0], n, a->attention.q.w.n[0]));
    SAMC__REQUIRE(error, "image_to_token", samc__is1(a->norm.g, c) && samc__is1(a->norm.b, c));
    SAMC__REQUIRE(error, "image_to_token", samc__is3(a->y, p, n, c));
    bool updated = a->update.weights.data != NULL;
    SAMC__REQUIRE(error, "image_to_token", !updated || samc__folds(t));
    SAMC__REQUIRE(error, "image_to_token",
                  !updated || samc__update_fits(&a->update, p, t, n, a->attention.heads, a->attention.q.w.n[0]));
    return SAMC_OK;
}

double samc__image_to_token_flops(const samc__image_to_token_args *a) {
    double tokens = (double)a->queries.n[0] * (double)a->queries.n[1],
           keys = (double)a->keys.n[0] * (double)a->keys.n[1];
    double outs = (double)a->y.n[0] * (double)a->y.n[1], c = (double)a->queries.n[2],
           inner = (double)a->attention.q.w.n[0];
    return 4.0 * tokens * c * inner + 2.0 * (keys + outs) * c * inner + 4.0 * outs * (double)a->queries.n[1] * inner;
}

static size_t block_bytes(const samc__image_to_token_args *a) {
    int64_t p = a->queries.n[0], t = a->queries.n[1], c = a->queries.n[2], n = a->keys.n[1],
            inner = a->attention.q.w.n[0];
    return samc__bytes3(p, t, c + 2 * inner) + samc__bytes3(a->image_q.data ? 0 : a->keys.n[0], n, c + inner) +
           samc__bytes3(p, n, inner);
}

typedef struct update_task {
    const samc__image_to_token_args *args;
    const float *q, *k; /* [B, N, inner], [P, T, inner] */
} update_task;

/* One item: one key of one prompt; y is not normed yet. */
static void note_update(void *context, int64_t begin, int64_t end, int worker) {
    const update_task *task = context;
    const samc__image_to_token_args *a = task->args;
    int64_t t = a->queries.n[1], c = a->queries.n[2], n = a->keys.n[1], inner = a->attention.q.w.n[0],
            heads = a->attention.heads, hd = inner / heads;
    (void)worker;
    for (int64_t item = begin; item < end; item++) {
        int64_t prompt = item / n, key = item % n, entry = prompt / (a->y.n[0] / a->keys.n[0]);
        float *out = samc__f32(a->update.weights) + samc__update_at(&a->update, prompt, key, 0),
              score[SAMC__MOST_FOLDED];
        const float *q = task->q + (entry * n + key) * inner, *y = samc__f32(a->y) + item * c;
        for (int64_t h = 0; h < heads; h++) {
            for (int64_t i = 0; i < t; i++)
                score[i] =
                    samc__dot_ref(q + h * hd, task->k + (prompt * t + i) * inner + h * hd, hd) / sqrtf((float)hd);
            samc__softmax_ref(score, t);
            for (int64_t i = 0; i < t; i++, out += SAMC__UPDATE_KEYS) *out = score[i];
        }
        float mean = 0.0f, square = 0.0f;
        for (int64_t i = 0; i < c; i++) mean += y[i] / (float)c;
        for (int64_t i = 0; i < c; i++) square += (y[i] - mean) * (y[i] - mean) / (float)c;
        *out = 1.0f / sqrtf(square + a->norm.eps);
    }
}

samc_status samc__image_to_token_ref(const samc__exec *exec, const samc__image_to_token_args *a) {
    int64_t p = a->queries.n[0], t = a->queries.n[1], c = a->queries.n[2], b = a->keys.n[0], n = a->keys.n[1];
    int64_t inner = a->attention.q.w.n[0];
    int64_t made = a->image_q.data ? 0 : b; /* entries projected here */
    float *block = exec->allocate(exec->memory, block_bytes(a));
    if (block == NULL)
        return samc__fail(exec->error, SAMC_OUT_OF_MEMORY, "no memory for the attention of %lld prompts", (long long)p);
    samc__view queries_pe = samc__view3(block, p, t, c), k = samc__view3(block + p * t * c, p, t, inner);
    samc__view v = samc__view3(samc__f32(k) + p * t * inner, p, t, inner);
    samc__view keys_pe = samc__view3(samc__f32(v) + p * t * inner, b, n, c);
    samc__view q = samc__view3(samc__f32(keys_pe) + made * n * c, b, n, inner);
    samc__view out = samc__view3(samc__f32(q) + made * n * inner, p, n, inner);
    samc__view none = {0};
    samc__add_broadcast_ref(exec, a->queries, a->pe, queries_pe);
    samc_status status = samc__project(exec, queries_pe, a->attention.k, none, k);
    if (a->image_q.data) {
        q = a->image_q;
    } else if (status == SAMC_OK) {
        samc__add_broadcast_ref(exec, a->keys, samc__view3(samc__f32(a->key_pe), 1, n, c), keys_pe);
        status = samc__project(exec, keys_pe, a->attention.q, none, q);
    }
    if (status == SAMC_OK) status = samc__project(exec, a->queries, a->attention.v, none, v);
    if (status == SAMC_OK) status = samc__attend_ref(exec, q, k, v, a->attention.heads, out);
    for (int64_t i = 0, rows = p / b * n; i < b && status == SAMC_OK; i++) {
        /* The residual is the entry of keys: row r of its prompts' y takes row r % n of it. */
        samc__linear_args args = {.x = samc__view2(samc__f32(out) + i * rows * inner, rows, inner),
                                  .p = a->attention.out,
                                  .residual = samc__view2(samc__f32(a->keys) + i * n * c, n, c),
                                  .y = samc__view2(samc__f32(a->y) + i * rows * c, rows, c)};
        status = exec->ops->linear(exec, &args);
    }
    if (status == SAMC_OK && a->update.weights.data && !exec->rehearsal) {
        memset(a->update.weights.data, 0,
               (size_t)(a->update.weights.n[0] * a->update.weights.n[1] * a->update.weights.n[2]) * SAMC__UPDATE_KEYS *
                   sizeof(float));
        memcpy(a->update.values.data, samc__f32(v), samc__bytes3(p, t, inner));
        exec->parallel(exec->pool, p * n, 64, note_update, &(update_task){a, samc__f32(q), samc__f32(k)});
    }
    if (status == SAMC_OK) status = samc__normalise(exec, a->y, a->norm);
    exec->release(exec->memory, block);
    return status;
}
