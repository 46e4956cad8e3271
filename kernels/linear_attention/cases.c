/* The cases of linear_attention: images n heads dim sets; type. */
#include "kernels/linear_attention/linear_attention.h"
#include "tests/checkops/book.h"
#include "tests/checkops/checkops.h"

#include <math.h>
#include <string.h>

static const test_case listed[] = {
    {ALL, {1, 1, 1, 1, 1}},          {ALL, {2, 3, 2, 5, 2}},           {ALL, {1, 37, 3, 8, 2}},
    {ALL, {2, 65, 1, 33, 1}},        {HOSTS, {1, 16, 2, 64, 2}},       {HOSTS, {2, 129, 2, 32, 2}},
    {HOSTS, {1, 300, 1, 17, 1}}, /* keys in several blocks */
    {MODEL, {1, 256, 16, 32, 2}},    {MODEL, {1, 1024, 16, 32, 2}},    {MODEL, {1, 256, 32, 32, 2}},
    {QUICK, {1, 40, 2, 32, 2, F16}}, {QUICK, {2, 33, 1, 32, 1, BF16}}, {QUICK, {1, 9, 3, 12, 2, BF16}},
    {QUICK, {1, 7, 1, 64, 2, F32}},  {FULL, {1, 256, 4, 32, 2, BF16}},
};

static void attention_build(check *c, const int *p) {
    const int64_t images = p[0], n = p[1], wide = 3 * (int64_t)p[2] * p[3];
    samc__linear_attention_args *a = ARGS(c, linear_attention);
    *a = (samc__linear_attention_args){.heads = p[2], .eps = 1e-15f};
    for (int i = 0; i < p[4]; i++) a->qkv[i] = samc__view3(input(c, images * n * wide, 1), images, n, wide);
    a->y = samc__view3(output(c, images * n * p[4] * wide / 3), images, n, p[4] * wide / 3);
}

static void attention_draw(check *c, int *p) {
    p[0] = 1 + random_below(c, 3), p[1] = random_size(c, 300), p[2] = 1 + random_below(c, 4);
    p[3] = random_size(c, SAMC__LINEAR_ATTENTION_MOST), p[4] = 1 + random_below(c, 2);
}

static bool attention_narrow(check *c, const int *p) {
    samc__linear_attention_args *a = ARGS(c, linear_attention);
    for (int i = 0; i < p[4]; i++) a->qkv[i] = last_of(a->qkv[i]);
    a->y = last_of(a->y);
    return p[0] > 1;
}

static double rectified(double x) { return x < 0.0 ? 0.0 : x; }

/* By the weights of every query and key. */
static void attention_book(book *b, const check *of) {
    const samc__linear_attention_args *a = ARGS(of, linear_attention);
    const int64_t n = a->y.n[1], heads = a->heads, dim = a->qkv[0].n[2] / (3 * heads),
                  sets = samc__linear_attention_sets(a);
    double *y = result(b, a->y), *weight = room(b, n);
    for (int64_t set = 0; set < sets; set++) {
        const double *qkv = values(b, a->qkv[set]);
        for (int64_t i = 0; i < a->y.n[0] * n * heads; i++) { /* over images, queries, heads */
            const int64_t head = i % heads, query = i / heads, first = query / n * n;
            const double *q = qkv + (query * heads + head) * 3 * dim;
            double sum = a->eps;
            for (int64_t key = 0; key < n; key++) {
                const double *k = qkv + ((first + key) * heads + head) * 3 * dim + dim;
                weight[key] = 0.0;
                for (int64_t j = 0; j < dim; j++) weight[key] += rectified(q[j]) * rectified(k[j]);
                sum += weight[key];
            }
            for (int64_t j = 0; j < dim; j++) {
                double above = 0.0;
                for (int64_t key = 0; key < n; key++)
                    above += weight[key] * qkv[((first + key) * heads + head) * 3 * dim + 2 * dim + j];
                y[((query * sets + set) * heads + head) * dim + j] = above / sum;
            }
        }
    }
}

static int attention_typed(check *c, samc__view **views) {
    samc__linear_attention_args *a = ARGS(c, linear_attention);
    samc__view *own[] = {&a->y, &a->qkv[0], &a->qkv[1]};
    memcpy(views, own, sizeof own);
    return 1 + samc__linear_attention_sets(a);
}

static int attention_low(check *c, samc__view **views) { return attention_typed(c, views); }

static void attention_types(const int *p, samc__dtype *of_views) {
    for (int i = 0; i < 3; i++) of_views[i] = (samc__dtype)p[5];
}

ROW(linear_attention) = {
    .name = "linear_attention",
    .fields = "images n heads dim sets type",
    /* Sums over keys, then over a head's width, of terms of both signs, over a sum of terms of one. */
    .nmse = 1e-12,
    .deviation = 1e-5,
    .cases = listed,
    .case_count = COUNT(listed),
    .build = attention_build,
    .narrow = attention_narrow,
    .draw = attention_draw,
    .book = attention_book,
    .typed = attention_typed,
    .types = attention_types,
    .low = attention_low,
};
