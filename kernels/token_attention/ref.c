/* token_attention, reference. */
#include "kernels/ref/attend.h"
#include "kernels/token_attention/token_attention.h"

samc_status samc__token_attention_check(const samc__token_attention_args *a, samc_error *error) {
    int64_t p = a->queries.n[0], t = a->queries.n[1], c = a->queries.n[2];
    SAMC__REQUIRE(error, "token_attention", samc__is3(a->queries, p, t, c) && p > 0 && t > 0);
    SAMC__REQUIRE(error, "token_attention", a->pe.data == NULL || samc__is3(a->pe, p, t, c));
    SAMC__REQUIRE(error, "token_attention", samc__attention_fits(&a->attention, c));
    SAMC__REQUIRE(error, "token_attention", samc__is1(a->norm.g, c) && samc__is1(a->norm.b, c));
    return SAMC_OK;
}

double samc__token_attention_flops(const samc__token_attention_args *a) {
    double rows = (double)a->queries.n[0] * (double)a->queries.n[1], inner = (double)a->attention.q.w.n[0];
    return 8.0 * rows * (double)a->queries.n[2] * inner + 4.0 * rows * (double)a->queries.n[1] * inner;
}

samc_status samc__token_attention_ref(const samc__exec *exec, const samc__token_attention_args *a) {
    int64_t p = a->queries.n[0], t = a->queries.n[1], c = a->queries.n[2], inner = a->attention.q.w.n[0];
    float *block = exec->allocate(exec->memory, samc__bytes3(p, t, c + 4 * inner));
    if (block == NULL)
        return samc__fail(exec->error, SAMC_OUT_OF_MEMORY, "no memory for the tokens of %lld prompts", (long long)p);
    samc__view with_pe = samc__view3(block, p, t, c);
    samc__view q = samc__view3(block + p * t * c, p, t, inner),
               k = samc__view3(samc__f32(q) + p * t * inner, p, t, inner);
    samc__view v = samc__view3(samc__f32(k) + p * t * inner, p, t, inner),
               out = samc__view3(samc__f32(v) + p * t * inner, p, t, inner);
    samc__view none = {0};
    if (a->pe.data != NULL) samc__add_broadcast_ref(exec, a->queries, a->pe, with_pe);
    else with_pe = a->queries;
    samc_status status = samc__project(exec, with_pe, a->attention.q, none, q);
    if (status == SAMC_OK) status = samc__project(exec, with_pe, a->attention.k, none, k);
    if (status == SAMC_OK) status = samc__project(exec, a->queries, a->attention.v, none, v);
    if (status == SAMC_OK) status = samc__attend_ref(exec, q, k, v, a->attention.heads, out);
    if (status == SAMC_OK)
        status = samc__project(exec, out, a->attention.out, a->pe.data ? a->queries : none, a->queries);
    if (status == SAMC_OK) status = samc__normalise(exec, a->queries, a->norm);
    exec->release(exec->memory, block);
    return status;
}
