/* The cases of token_attention: prompts T C inner heads, pe (and residual), unbiased, type of the weights. */
#include "kernels/token_counts.h"
#include "tests/checkops/checkops.h"
#include "tests/checkops/book.h"
#include "kernels/token_attention/token_attention.h"

#include <string.h>

static const test_case token_cases[] = {
    {HOSTS, {1, 1, 8, 8, 2, 0}},
    {HOSTS, {2, 5, 24, 24, 3, 1}},
    {HOSTS, {3, 7, 64, 64, 8, 1}},
    {HOSTS, {1, 40, 32, 16, 4, 0}},
    {HOSTS, {5, 9, 36, 12, 1, 1}},
    {MODEL, {64, 7, 256, 256, 8, 1}},
    {MODEL, {64, 7, 128, 128, 8, 1}},
    {MODEL, {1, 7, 256, 256, 8, 1}},
    /* One token, prompts that cross blocks of 16 rows, more tokens than a warp has lanes, odd widths; plain and
     * tensor-core products. */
    {QUICK, {1, 1, 8, 8, 1, 0, 15, F32}},
    {QUICK, {3, 7, 20, 10, 2, 1, 0, F32}},
    {QUICK, {2, 37, 24, 24, 3, 1, 0, BF16}},
    {QUICK, {5, 7, 256, 256, 8, 1, 0, F32}},
    {QUICK, {3, 5, 128, 128, 8, 0, 0, F16}},
    {QUICK, {2, 8, 256, 256, 8, 0, 0, BF16}},
    {QUICK, {5, 9, 128, 128, 8, 1, 15, BF16}},
    {FULL, {1, 130, 256, 256, 8, 1, 0, F16}},
    {FULL, {33, 7, 256, 256, 8, 1, 0, BF16}},
    {HARDWARE, {1024, 7, 256, 256, 8, 1, 0, BF16}},
#define OF_WIDE(t)                                                                                                     \
    {                                                                                                                  \
        CUDA_FULL, { 1, t, 256, 256, 8, 1, 0, (t) % 3 }                                                                \
    }
#define OF_NARROW(t)                                                                                                   \
    {                                                                                                                  \
        CUDA_FULL, { 1, t, 128, 128, 8, 1, 0, (t) % 3 }                                                                \
    }
    EVERY_TOKEN_COUNT(OF_WIDE),
    EVERY_TOKEN_COUNT(OF_NARROW),
};

static void token_build(check *c, const int *p) {
    int64_t prompts = p[0], t = p[1], n = p[2];
    samc__token_attention_args *a = ARGS(c, token_attention);
    *a = (samc__token_attention_args){.queries = samc__view3(in_out(c, prompts * t * n, 1), prompts, t, n)};
    if (p[5]) a->pe = samc__view3(input(c, prompts * t * n, 1), prompts, t, n);
    a->attention = attention(c, p[3], n, p[4], p[6]);
    a->norm = norm(c, n, 1e-5f);
}

static void token_draw(check *c, int *p) {
    p[0] = random_size(c, 8), p[1] = random_size(c, 50), p[2] = random_size(c, 140), p[4] = 1 + random_below(c, 8);
    p[3] = p[4] * random_size(c, 35), p[5] = random_below(c, 2), p[6] = random_below(c, 2) ? random_below(c, 16) : 0;
}

static bool token_narrow(check *c, const int *p) {
    samc__token_attention_args *a = ARGS(c, token_attention);
    a->queries = entry_of(c, a->queries, p[0]);
    if (p[5]) a->pe = entry_of(c, a->pe, p[0]);
    return p[0] > 1;
}

static void token_book(book *b, const check *of) {
    const samc__token_attention_args *a = ARGS(of, token_attention);
    int64_t p = a->queries.n[0], t = a->queries.n[1], count = count_of(a->queries), inner = a->attention.q.w.n[0];
    double *x = values(b, a->queries), *with_pe = a->pe.data ? sum_of(b, x, values(b, a->pe), count, count) : x;
    double *q = project(b, with_pe, p * t, a->attention.q), *k = project(b, with_pe, p * t, a->attention.k),
           *v = project(b, x, p * t, a->attention.v);
    double *out = attend(b, q, k, v, p, p, p, t, t, inner, a->attention.heads, NULL);
    finish_queries(b, a->queries, project(b, out, p * t, a->attention.out), a->norm, a->pe.data != NULL);
}

static int token_typed(check *c, samc__view **views) {
    samc__token_attention_args *a = ARGS(c, token_attention);
    samc__view *own[] = {&a->attention.q.w, &a->attention.k.w, &a->attention.v.w, &a->attention.out.w};
    memcpy(views, own, sizeof own);
    return (int)(sizeof own / sizeof *own);
}

static void token_types(const int *p, samc__dtype *of_views) {
    for (int i = 0; i < 4; i++) of_views[i] = (samc__dtype)p[7];
}

/* Projections alone meet tensor cores. */
static bool token_tensor(const int *p, int capability) {
    (void)p, (void)capability;
    return false;
}

ROW(token_attention) = {
    .name = "token_attention",
    .fields = "prompts T C inner heads pe unbiased type",
    /* As for linear: a chain of at most five sums of up to 256 terms and a softmax over up to 4096 keys, ended by a
     * norm, and folding rounds in other places: about 3e-7 for each step. A norm over two or three channels, which only
     * drawn shapes have, magnifies that by up to eps^-1/2, 300 (1e-9 and 6e-3 seen): there the bound grows as the
     * reference itself moves. */
    .nmse = 4e-12,
    .deviation = 2e-5,
    .cases = token_cases,
    .case_count = COUNT(token_cases),
    .build = token_build,
    .narrow = token_narrow,
    .by_entry = true,
    .draw = token_draw,
    .book = token_book,
    .typed = token_typed,
    .types = token_types,
    .last_place = 0x1p-21, /* a few elements of the reference's may be exact by chance */
    .tensor = token_tensor,
};
