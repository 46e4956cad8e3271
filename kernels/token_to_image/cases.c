/* The cases of token_to_image: those of kernels/cross_cases.h. */
#define F32_KEYS 17
#include "kernels/cross_cases.h"
#include "tests/checkops/checkops.h"
#include "tests/checkops/book.h"
#include "kernels/token_to_image/cuda.h"
#include "kernels/token_to_image/token_to_image.h"

#include <math.h>
#include <string.h>

static void to_image_build(check *c, const int *p) {
    int64_t prompts = p[0], t = p[1], n = p[2], tokens = p[5], images = p[7];
    samc__token_to_image_args *a = ARGS(c, token_to_image);
    *a = (samc__token_to_image_args){.queries = samc__view3(in_out(c, prompts * t * n, 1), prompts, t, n)};
    a->pe = samc__view3(input(c, prompts * t * n, 1), prompts, t, n);
    a->keys = samc__view3(input(c, images * tokens * n, 1), images, tokens, n);
    a->shared = p[6] != 0;
    if (p[8]) { /* not those of keys: they are taken, or the result differs */
        a->image_k = samc__view3(input(c, images * tokens * p[3], 1), images, tokens, p[3]);
        a->image_v = samc__view3(input(c, images * tokens * p[3], 1), images, tokens, p[3]);
    }
    a->key_pe = samc__view2(input(c, tokens * n, 0.7f), tokens, n);
    a->attention = attention(c, p[3], n, p[4], p[9]);
    a->norm = norm(c, n, 1e-5f);
}

static bool to_image_narrow(check *c, const int *p) {
    samc__token_to_image_args *a = ARGS(c, token_to_image);
    a->queries = entry_of(c, a->queries, p[0]);
    a->pe = entry_of(c, a->pe, p[0]);
    a->keys = entry_of(c, a->keys, p[0]);
    if (p[8]) a->image_k = entry_of(c, a->image_k, p[0]), a->image_v = entry_of(c, a->image_v, p[0]);
    return p[0] > 1 && (p[6] || p[7] == p[0]); /* else a prompt alone is folded where the batch is not */
}

static void to_image_book(book *b, const check *of) {
    const samc__token_to_image_args *a = ARGS(of, token_to_image);
    int64_t p = a->queries.n[0], t = a->queries.n[1], count = count_of(a->queries), inner = a->attention.q.w.n[0],
            entries = a->keys.n[0], n = a->keys.n[1];
    double *keys = values(b, a->keys),
           *q = project(b, sum_of(b, values(b, a->queries), values(b, a->pe), count, count), p * t, a->attention.q);
    double *k = a->image_k.data
                    ? values(b, a->image_k)
                    : project(b, sum_of(b, keys, values(b, a->key_pe), count_of(a->keys), count_of(a->key_pe)),
                              entries * n, a->attention.k);
    double *v = a->image_v.data ? values(b, a->image_v) : project(b, keys, entries * n, a->attention.v);
    double *out = attend(b, q, k, v, p, p, entries, t, n, inner, a->attention.heads, NULL);
    finish_queries(b, a->queries, project(b, out, p * t, a->attention.out), a->norm, true);
}

static int to_image_typed(check *c, samc__view **views) {
    samc__token_to_image_args *a = ARGS(c, token_to_image);
    samc__view *own[] = {&a->attention.q.w,   &a->attention.k.w, &a->attention.v.w,
                         &a->attention.out.w, &a->keys,          &a->key_pe};
    memcpy(views, own, sizeof own);
    return (int)(sizeof own / sizeof *own);
}

static bool to_image_tensor(const int *p, int capability) {
    (void)capability;
    return p[11] == TENSOR;
}

samc__cross_kernel samc__token_to_image_cuda_kernel(const samc__token_to_image_args *args) __attribute__((weak));

static bool to_image_takes_tensor(const check *on_device, int capability) {
    (void)capability; /* the same on each */
    return samc__token_to_image_cuda_kernel(ARGS(on_device, token_to_image)) == SAMC__CROSS_TENSOR;
}

static bool to_image_for_hosts(const check *c) {
    const samc__token_to_image_args *a = ARGS(c, token_to_image);
    return a->image_k.data != NULL || a->queries.n[2] % 4 != 0;
}

/* Position encodings are sines and cosines: NaN or at most one. */
static bool to_image_occurs(const check *c, const void *data, float value) {
    return data != ARGS(c, token_to_image)->key_pe.data || isnan(value);
}

static int to_image_low(check *c, samc__view **views) {
    samc__token_to_image_args *a = ARGS(c, token_to_image);
    views[0] = &a->keys, views[1] = &a->key_pe, views[2] = &a->image_k, views[3] = &a->image_v;
    return 4;
}

ROW(token_to_image) = {
    .name = "token_to_image",
    CROSS_ROW,
    .build = to_image_build,
    .narrow = to_image_narrow,
    .book = to_image_book,
    .typed = to_image_typed,
    .tensor = to_image_tensor,
    .takes_tensor = to_image_takes_tensor,
    .for_hosts = to_image_for_hosts,
    .occurs = to_image_occurs,
    .low = to_image_low,
};
