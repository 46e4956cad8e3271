/* The cases of attention_plain: batch heads hd n first queries, causal; type. */
#include "kernels/attention_plain/attention_plain.h"
#include "tests/checkops/book.h"
#include "tests/checkops/checkops.h"

#include <math.h>
#include <string.h>

enum { TYPE = 7 };

static const test_case listed[] = {
    {HOSTS, {1, 1, 1, 1, 0, 1, 0}},
    {HOSTS, {2, 3, 16, 50, 0, 50, 0}},
    {HOSTS, {1, 2, 64, 197, 0, 197, 0}},
    {HOSTS, {3, 2, 64, 8, 0, 8, 1}},
    {HOSTS, {1, 2, 40, 77, 0, 77, 1}},
    {HOSTS, {2, 1, 80, 300, 299, 1, 1}},
    {HOSTS, {2, 2, 33, 257, 0, 1, 0}},
    {HOSTS, {1, 1, 64, 513, 5, 49, 0}},
    {HOSTS, {1, 1, 5, 1100, 0, 61, 0}},
    {HOSTS, {1, 1, 20, 1050, 1000, 50, 1}},
    {HOSTS, {1, 1, 200, 20, 3, 13, 1}},
    {MODEL, {100, 8, 64, 7, 0, 7, 1}},
    {MODEL, {4, 12, 64, 197, 0, 197, 0}},
    {MODEL, {1, 12, 64, 3601, 0, 3601, 0}},
    {MODEL, {1, 4, 16, 485, 0, 485, 0}},
    /* One token; keys that fill no tile; a tile and one more; queries that fill no block; head widths beside and beyond
       a warp's lanes; all three types. */
    {QUICK, {1, 1, 1, 1, 0, 1, 0, F32}},
    {QUICK, {2, 2, 5, 3, 0, 3, 1, F32}},
    {QUICK, {1, 2, 33, 34, 0, 34, 0, F32}},
    {QUICK, {2, 1, 64, 33, 0, 33, 1, F16}},
    {QUICK, {1, 2, 80, 40, 39, 1, 1, BF16}},
    {QUICK, {2, 1, 16, 70, 3, 19, 0, BF16}},
    {QUICK, {1, 1, 40, 50, 20, 30, 1, F32}},
    {FULL, {1, 2, 64, 257, 0, 257, 0, BF16}},
    {FULL, {3, 2, 64, 77, 0, 77, 1, F16}},
    {FULL, {1, 1, 200, 65, 0, 65, 0, F32}},
    {HARDWARE, {1, 12, 64, 3601, 0, 3601, 0, BF16}},
    {HARDWARE, {128, 8, 64, 16, 0, 16, 1, BF16}},
    {HARDWARE, {16, 12, 64, 197, 0, 197, 0, F32}},
};

static void attention_build(check *c, const int *p) {
    const int64_t batch = p[0], d = (int64_t)p[1] * p[2], n = p[3];
    *ARGS(c, attention_plain) = (samc__attention_plain_args){
        .qkv = samc__view3(input(c, batch * n * 3 * d, 1.4f), batch, n, 3 * d),
        .y = samc__view3(output(c, batch * p[5] * d), batch, p[5], d),
        .heads = p[1],
        .first = p[4],
        .causal = p[6] != 0,
    };
}

static void attention_draw(check *c, int *p) {
    p[0] = random_size(c, 4), p[1] = random_size(c, 6), p[2] = random_size(c, 100), p[3] = random_size(c, 700);
    p[5] = random_below(c, 2) ? p[3] : 1 + random_below(c, p[3]);
    p[4] = random_below(c, p[3] - p[5] + 1), p[6] = random_below(c, 2);
}

static bool attention_narrow(check *c, const int *p) {
    samc__attention_plain_args *a = ARGS(c, attention_plain);
    a->qkv = last_of(a->qkv), a->y = last_of(a->y);
    return p[0] > 1;
}

/* Of large cases a prime step of queries. */
static int attention_every(const int *p) {
    const double pairs = (double)p[0] * p[1] * p[3] * p[5];
    return pairs > 2000000 ? 127 : pairs > 100000 ? 13 : 1;
}

/* One query of one head: its keys [keys], 3 d apart, as values follow; rounded as the book says. */
static void attend_one(const book *b, const float *q, const float *k, int64_t keys, int64_t d, int64_t hd,
                       double *score, double *out) {
    double most = -INFINITY, sum = 0;
    for (int64_t key = 0; key < keys; key++) {
        double dot = 0;
        for (int64_t i = 0; i < hd; i++) dot += (double)q[i] * (double)k[key * 3 * d + i];
        score[key] = dot / sqrt((double)hd), most = score[key] > most ? score[key] : most;
    }
    for (int64_t key = 0; key < keys; key++) sum += score[key] = exp(score[key] - most);
    for (int64_t i = 0; i < hd; i++) {
        double y = 0;
        for (int64_t key = 0; key < keys; key++) y += lower(b, score[key]) * (double)k[key * 3 * d + d + i];
        out[i] = y / sum;
    }
}

/* The naive kernel in f32: every product and sum in float, one key after another. */
static void attend_plain(const float *q, const float *k, int64_t keys, int64_t d, int64_t hd, double *score,
                         double *out) {
    float most = -INFINITY, sum = 0;
    for (int64_t key = 0; key < keys; key++) {
        float dot = 0;
        for (int64_t i = 0; i < hd; i++) dot += q[i] * k[key * 3 * d + i];
        const float s = dot / sqrtf((float)hd);
        score[key] = s, most = fmaxf(most, s);
    }
    for (int64_t key = 0; key < keys; key++) {
        const float e = expf((float)score[key] - most);
        score[key] = e, sum += e;
    }
    for (int64_t i = 0; i < hd; i++) {
        float y = 0;
        for (int64_t key = 0; key < keys; key++) y += (float)score[key] * k[key * 3 * d + d + i];
        out[i] = y / sum;
    }
}

static void attend_all(book *b, const check *of, bool plain) {
    const samc__attention_plain_args *a = ARGS(of, attention_plain);
    const int64_t n = a->qkv.n[1], d = a->y.n[2], hd = d / a->heads, queries = a->y.n[1];
    const float *qkv = initial(of, a->qkv.data);
    double *y = result(b, a->y), *score = room(b, n);
    for (int64_t row = 0; row < a->y.n[0] * a->heads; row++)
        for (int64_t i = row % b->every; i < queries; i += b->every) {
            const int64_t entry = row / a->heads, head = row % a->heads * hd, keys = samc__attention_plain_keys(a, i);
            const float *tokens = qkv + entry * n * 3 * d + head, *q = tokens + (a->first + i) * 3 * d;
            double *out = y + (entry * queries + i) * d + head;
            if (plain) attend_plain(q, tokens + d, keys, d, hd, score, out);
            else attend_one(b, q, tokens + d, keys, d, hd, score, out);
        }
}

static void attention_book(book *b, const check *of) { attend_all(b, of, false); }

static void attention_naive(book *b, const check *of, const int *p) {
    if (p[TYPE] != F32) b->low = (samc__dtype)p[TYPE];
    attend_all(b, of, p[TYPE] == F32);
}

static int attention_typed(check *c, samc__view **views) {
    samc__attention_plain_args *a = ARGS(c, attention_plain);
    views[0] = &a->qkv, views[1] = &a->y;
    return 2;
}

static void attention_types(const int *p, samc__dtype *of_views) { of_views[0] = of_views[1] = (samc__dtype)p[TYPE]; }

static int attention_low(check *c, samc__view **views) { return attention_typed(c, views); }

ROW(attention_plain) = {
    .name = "attention_plain",
    .fields = "batch heads hd n first queries causal type",
    .nmse = 4e-12, /* as of attention_relpos */
    .deviation = 6e-5,
    .cases = listed,
    .case_count = COUNT(listed),
    .build = attention_build,
    .narrow = attention_narrow,
    .draw = attention_draw,
    .book = attention_book,
    .typed = attention_typed,
    .types = attention_types,
    .last_place = -1, /* an average of many values is never exact */
    .naive = attention_naive,
    .every = attention_every,
    .low = attention_low,
};
