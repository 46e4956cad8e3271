/* token_to_image, reference. */
#include "kernels/ref/attend.h"
#include "kernels/token_to_image/token_to_image.h"

samc_status samc__token_to_image_check(const samc__token_to_image_args *a, samc_error *error) {
    int64_t p = a->queries.n[0], t = a->queries.n[1], c = a->queries.n[2], n = a->keys.n[1];
    SAMC__REQUIRE(error, "token_to_image", samc__is3(a->queries, p, t, c) && p > 0 && t > 0);
    SAMC__REQUIRE(error, "token_to_image", samc__is3(a->pe, p, t, c));
    SAMC__REQUIRE(error, "token_to_image",
                  samc__is3(a->keys, a->keys.n[0], n, c) && a->keys.n[0] > 0 && p % a->keys.n[0] == 0);
    SAMC__REQUIRE(error, "token_to_image", samc__is2(a->key_pe, n, c));
    SAMC__REQUIRE(error, "token_to_image", samc__attention_fits(&a->attention, c));
    bool absent = a->image_k.data == NULL && a->image_v.data == NULL;
    int64_t b = a->keys.n[0], inner = a->attention.q.w.n[0];
    SAMC__REQUIRE(error, "token_to_image",
                  absent || (samc__is3(a->image_k, b, n, inner) && samc__is3(a->image_v, b, n, inner)));
    SAMC__REQUIRE(error, "token_to_image", samc__is1(a->norm.g, c) && samc__is1(a->norm.b, c));
    return SAMC_OK;
}

double samc__token_to_image_flops(const samc__token_to_image_args *a) {
    double tokens = (double)a->queries.n[0] * (double)a->queries.n[1],
           keys = (double)a->keys.n[0] * (double)a->keys.n[1];
    double c = (double)a->queries.n[2], inner = (double)a->attention.q.w.n[0];
    return 4.0 * (tokens + keys) * c * inner + 4.0 * tokens * (double)a->keys.n[1] * inner;
}

static size_t block_bytes(const samc__token_to_image_args *a) {
    int64_t p = a->queries.n[0], t = a->queries.n[1], c = a->queries.n[2], n = a->keys.n[1],
            inner = a->attention.q.w.n[0];
    return samc__bytes3(p, t, c + 2 * inner) + samc__bytes3(a->image_k.data ? 0 : a->keys.n[0], n, c + 2 * inner);
}

samc_status samc__token_to_image_ref(const samc__exec *exec, const samc__token_to_image_args *a) {
    int64_t p = a->queries.n[0], t = a->queries.n[1], c = a->queries.n[2], b = a->keys.n[0], n = a->keys.n[1];
    int64_t inner = a->attention.q.w.n[0];
    float *block = exec->allocate(exec->memory, block_bytes(a));
    if (block == NULL)
        return samc__fail(exec->error, SAMC_OUT_OF_MEMORY, "no memory for the attention of %lld prompts", (long long)p);
    samc__view queries_pe = samc__view3(block, p, t, c), q = samc__view3(block + p * t * c, p, t, inner);
    samc__view out = samc__view3(samc__f32(q) + p * t * inner, p, t, inner);
    samc__view keys_pe = samc__view3(samc__f32(out) + p * t * inner, b, n, c);
    samc__view k = samc__view3(samc__f32(keys_pe) + b * n * c, b, n, inner),
               v = samc__view3(samc__f32(k) + b * n * inner, b, n, inner);
    samc__view none = {0};
    samc__add_broadcast_ref(exec, a->queries, a->pe, queries_pe);
    samc_status status = samc__project(exec, queries_pe, a->attention.q, none, q);
    if (a->image_k.data) {
        k = a->image_k, v = a->image_v;
    } else {
        samc__add_broadcast_ref(exec, a->keys, samc__view3(samc__f32(a->key_pe), 1, n, c), keys_pe);
        if (status == SAMC_OK) status = samc__project(exec, keys_pe, a->attention.k, none, k);
        if (status == SAMC_OK) status = samc__project(exec, a->keys, a->attention.v, none, v);
    }
    if (status == SAMC_OK) status = samc__attend_ref(exec, q, k, v, a->attention.heads, out);
    if (status == SAMC_OK) status = samc__project(exec, out, a->attention.out, a->queries, a->queries);
    if (status == SAMC_OK) status = samc__normalise(exec, a->queries, a->norm);
    exec->release(exec->memory, block);
    return status;
}
