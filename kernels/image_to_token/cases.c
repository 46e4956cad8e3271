/* The cases of image_to_token: those of kernels/cross_cases.h, with what is noted of y where N is no multiple of 3 and
 * hosts alone run them (a GPU notes nothing), and y in place of keys where each prompt has its own. */
#define F32_KEYS 40 /* fewer have too few results for the largest error to be told from chance */
#include "kernels/cross_cases.h"
#include "kernels/decoder_form.h"
#include "tests/checkops/checkops.h"
#include "tests/checkops/book.h"
#include "kernels/image_to_token/image_to_token.h"
#include "kernels/token_to_image/cuda.h"

#include <math.h>
#include <string.h>

static void to_token_build(check *c, const int *p) {
    int64_t prompts = p[0], t = p[1], n = p[2], tokens = p[5], images = p[7];
    samc__image_to_token_args *a = ARGS(c, image_to_token);
    *a = (samc__image_to_token_args){.queries = samc__view3(input(c, prompts * t * n, 1), prompts, t, n)};
    a->pe = samc__view3(input(c, prompts * t * n, 1), prompts, t, n);
    a->shared = p[6] != 0;
    if (p[8]) a->image_q = samc__view3(input(c, images * tokens * p[3], 1), images, tokens, p[3]);
    if (samc__folds(t) && tokens % 3 != 0 && !p[11]) a->update = key_update(c, output, prompts, t, tokens, p[4], p[3]);
    if (images < prompts) {
        a->keys = samc__view3(input(c, images * tokens * n, 1), images, tokens, n);
        a->y = samc__view3(output(c, prompts * tokens * n), prompts, tokens, n);
    } else {
        a->keys = samc__view3(in_out(c, prompts * tokens * n, 1), prompts, tokens, n);
        a->y = a->keys;
    }
    a->key_pe = samc__view2(input(c, tokens * n, 0.7f), tokens, n);
    a->attention = attention(c, p[3], n, p[4], p[9]);
    a->norm = norm(c, n, 1e-5f);
}

static bool to_token_narrow(check *c, const int *p) {
    samc__image_to_token_args *a = ARGS(c, image_to_token);
    a->queries = entry_of(c, a->queries, p[0]);
    a->pe = entry_of(c, a->pe, p[0]);
    a->keys = entry_of(c, a->keys, p[0]);
    if (p[8]) a->image_q = entry_of(c, a->image_q, p[0]);
    a->y = entry_of(c, a->y, p[0]);
    if (a->update.weights.data) a->update = last_update(a->update);
    if (p[10] != F32 && (int64_t)p[2] * p[5] % 8 != 0) return false; /* a GPU's y begins at 16 bytes */
    return p[0] > 1 && (p[6] || p[7] == p[0]);
}

static void to_token_book(book *b, const check *of) {
    const samc__image_to_token_args *a = ARGS(of, image_to_token);
    int64_t p = a->queries.n[0], t = a->queries.n[1], count = count_of(a->queries), inner = a->attention.q.w.n[0],
            heads = a->attention.heads;
    int64_t entries = a->keys.n[0], n = a->keys.n[1], c = a->keys.n[2];
    double *x = values(b, a->queries), *keys = values(b, a->keys), *weights = room(b, p * n * heads * t),
           *scales = room(b, p * n);
    double *k = project(b, sum_of(b, x, values(b, a->pe), count, count), p * t, a->attention.k),
           *v = project(b, x, p * t, a->attention.v);
    double *q = a->image_q.data
                    ? values(b, a->image_q)
                    : project(b, sum_of(b, keys, values(b, a->key_pe), count_of(a->keys), count_of(a->key_pe)),
                              entries * n, a->attention.q);
    double *y = project(b, attend(b, q, k, v, p, entries, p, n, t, inner, heads, weights), p * n, a->attention.out);
    for (int64_t i = 0; i < p * n * c; i++) y[i] += keys[i / (n * c) / (p / entries) * n * c + i % (n * c)];
    normalise(b, y, p * n, a->norm, scales);
    memcpy(result(b, a->y), y, (size_t)(p * n * c) * sizeof *y);
    if (a->update.weights.data == NULL) return;
    double *noted = result(b, a->update.weights);
    memset(noted, 0, (size_t)count_of(a->update.weights) * sizeof *noted);
    memcpy(result(b, a->update.values), v, (size_t)(p * t * inner) * sizeof *v);
    for (int64_t i = 0; i < p * n; i++) {
        for (int64_t j = 0; j < heads * t; j++)
            noted[samc__update_at(&a->update, i / n, i % n, j)] = weights[i * heads * t + j];
        noted[samc__update_at(&a->update, i / n, i % n, heads * t)] = scales[i];
    }
}

static int to_token_typed(check *c, samc__view **views) {
    samc__image_to_token_args *a = ARGS(c, image_to_token);
    samc__view *own[] = {
        &a->attention.q.w, &a->attention.k.w, &a->attention.v.w, &a->attention.out.w, &a->keys, &a->key_pe, &a->y};
    memcpy(views, own, sizeof own);
    return (int)(sizeof own / sizeof *own);
}

/* What 9 to 16 tokens fold to fills 131 KB with 256 channels: more than 8.6, 8.9 and 12.0 have. */
static bool to_token_tensor(const int *p, int capability) {
    const bool large = p[2] == 256 && p[1] > 8 && samc__shared_limit(capability) < 128 << 10;
    return p[11] == TENSOR && p[1] <= 16 && !large;
}

samc__cross_kernel samc__image_to_token_cuda_kernel(const samc__image_to_token_args *args, int capability)
    __attribute__((weak));

static bool to_token_takes_tensor(const check *on_device, int capability) {
    return samc__image_to_token_cuda_kernel(ARGS(on_device, image_to_token), capability) == SAMC__CROSS_TENSOR;
}

static bool to_token_for_hosts(const check *c) {
    const samc__image_to_token_args *a = ARGS(c, image_to_token);
    return a->image_q.data != NULL || a->queries.n[2] % 4 != 0;
}

/* Position encodings are sines and cosines: NaN or at most one. */
static bool to_token_occurs(const check *c, const void *data, float value) {
    return data != ARGS(c, image_to_token)->key_pe.data || isnan(value);
}

/* An infinite token makes every term of a score infinite, and whether their sum is -infinity, a weight of 0, or NaN is
 * a matter of their order. What is noted for others also depends on that for infinite keys, whose y is NaN for both;
 * the GPU does not write the noted values. */
static bool to_token_may_spread(const check *c, const void *planted, float value, const void *data, bool cuda) {
    const samc__image_to_token_args *a = ARGS(c, image_to_token);
    if (isinf(value) && (planted == a->queries.data || planted == a->pe.data)) return true;
    if (cuda && data == a->update.values.data) return true;
    return data == a->update.weights.data;
}

static int to_token_low(check *c, samc__view **views) {
    samc__image_to_token_args *a = ARGS(c, image_to_token);
    views[0] = &a->keys, views[1] = &a->key_pe, views[2] = &a->y, views[3] = &a->image_q;
    return 4;
}

ROW(image_to_token) = {
    .name = "image_to_token",
    CROSS_ROW,
    .build = to_token_build,
    .narrow = to_token_narrow,
    .book = to_token_book,
    .typed = to_token_typed,
    .tensor = to_token_tensor,
    .takes_tensor = to_token_takes_tensor,
    .for_hosts = to_token_for_hosts,
    .occurs = to_token_occurs,
    .may_spread = to_token_may_spread,
    .low = to_token_low,
};
