/* The cases of attention_relpos: images heads hd grid window, relative position, bias. */
#include "tests/checkops/checkops.h"
#include "tests/checkops/book.h"
#include "kernels/attention_relpos/attention_relpos.h"

#include <math.h>
#include <string.h>

static const test_case attention_cases[] = {
    {HOSTS, {1, 1, 1, 1, 0, 1, 1}},
    {HOSTS, {1, 2, 16, 3, 0, 1, 1}},
    {HOSTS, {2, 1, 64, 4, 3, 1, 1}},
    {HOSTS, {1, 3, 64, 16, 14, 1, 1}},
    {HOSTS, {1, 2, 80, 10, 7, 1, 1}},
    {HOSTS, {2, 2, 40, 9, 0, 1, 1}},
    {HOSTS, {1, 1, 32, 17, 0, 1, 0}},
    {HOSTS, {1, 2, 64, 16, 8, 0, 1}},
    {HOSTS, {1, 1, 20, 15, 4, 1, 0}},
    {HOSTS, {1, 1, 33, 19, 0, 0, 1}},
    {HOSTS, {1, 1, 64, 33, 0, 1, 1}},
    {HOSTS, {1, 1, 5, 20, 16, 1, 1}},
    {HOSTS, {1, 1, 8, 24, 18, 1, 1}},
    {HOSTS, {1, 1, 96, 6, 6, 1, 1}},
    {HOSTS, {1, 1, 12, 66, 0, 1, 1}},
    {HOSTS, {2, 3, 64, 8, 14, 1, 1}},
    {HOSTS, {1, 2, 20, 1, 9, 1, 0}},
    {HOSTS, {1, 1, 33, 7, 18, 0, 0}},
    {HOSTS, {2, 2, 16, 4, 40, 1, 1}}, /* windows beyond the grid */
    {MODEL, {1, 12, 64, 64, 0, 1, 1}},
    {MODEL, {1, 12, 64, 64, 14, 1, 1}},
    {MODEL, {1, 3, 64, 32, 0, 1, 1}},
    {MODEL, {1, 3, 64, 32, 8, 1, 1}},
    {MODEL, {1, 4, 80, 64, 0, 1, 1}},
    {MODEL, {1, 4, 80, 64, 14, 1, 1}},
    /* Tensor cores, for NaN and infinities. */
    {CUDA_SHAPE, {1, 1, 64, 16, 14, 1, 1}},
    {CUDA_SHAPE, {1, 1, 64, 16, 8, 1, 1}},
    {CUDA_SHAPE, {1, 1, 64, 32, 0, 1, 1}},
};

static void attention_build(check *c, const int *p) {
    int64_t images = p[0], hd = p[2], d = p[1] * hd, n = (int64_t)p[3] * p[3], s = p[4] ? p[4] : p[3];
    samc__attention_relpos_args *a = ARGS(c, attention_relpos);
    *a = (samc__attention_relpos_args){.qkv = samc__view3(input(c, images * n * 3 * d, 1.4f), images, n, 3 * d),
                                       .y = samc__view3(output(c, images * n * d), images, n, d),
                                       .heads = p[1],
                                       .grid = p[3],
                                       .window = p[4]};
    if (p[6]) a->qkv_bias = samc__view1(input(c, 3 * d, 0.5f), 3 * d);
    if (p[5]) {
        a->rel_h = samc__view2(input_around(c, (2 * s - 1) * hd, 0, 0.15f), 2 * s - 1, hd);
        a->rel_w = samc__view2(input_around(c, (2 * s - 1) * hd, 0, 0.15f), 2 * s - 1, hd);
    }
}

static void attention_draw(check *c, int *p) {
    p[0] = 1 + random_below(c, 2), p[1] = random_size(c, 8), p[2] = random_size(c, 100), p[3] = random_size(c, 40);
    p[4] = random_below(c, 3) ? random_size(c, 40) : 0, p[5] = random_below(c, 4) != 0, p[6] = random_below(c, 3) != 0;
}

static bool attention_narrow(check *c, const int *p) {
    samc__attention_relpos_args *a = ARGS(c, attention_relpos);
    int64_t n = (int64_t)p[3] * p[3], d = (int64_t)p[1] * p[2], last = p[0] - 1;
    a->qkv = samc__view3(samc__f32(a->qkv) + last * n * 3 * d, 1, n, 3 * d);
    a->y = samc__view3(samc__f32(a->y) + last * n * d, 1, n, d);
    return last > 0;
}

static void attention_book(book *b, const check *of) {
    const samc__attention_relpos_args *a = ARGS(of, attention_relpos);
    int64_t d = a->y.n[2], hd = d / a->heads, g = a->grid, side = a->window ? a->window : g,
            windows = (g + side - 1) / side;
    double *qkv = values(b, a->qkv), *bias = values_at(b, a->qkv_bias.data, 3 * d), *y = result(b, a->y),
           *score = room(b, side * side);
    double *rel_h = values(b, a->rel_h), *rel_w = values(b, a->rel_w);
    for (int64_t item = 0; item < count_of(a->y) / hd; item++) {
        int64_t h = item % a->heads, token = item / a->heads, image = token / (g * g), row = token / g % g,
                column = token % g;
        int64_t top = row / side % windows * side, left = column / side * side;
        const double *q = qkv + token * 3 * d + h * hd;
        for (int64_t key = 0; key < side * side; key++) {
            int64_t ky = top + key / side, kx = left + key % side;
            const double *k = (ky < g && kx < g ? qkv + ((image * g + ky) * g + kx) * 3 * d : bias) + d + h * hd;
            score[key] = 0;
            for (int64_t i = 0; i < hd; i++) score[key] += q[i] * k[i] / sqrt((double)hd);
            for (int64_t i = 0; i < hd && a->rel_h.data; i++)
                score[key] +=
                    q[i] * rel_h[(row - ky + side - 1) * hd + i] + q[i] * rel_w[(column - kx + side - 1) * hd + i];
        }
        softmax(score, side * side);
        for (int64_t i = 0; i < hd; i++) {
            double sum = 0;
            for (int64_t key = 0; key < side * side; key++) {
                int64_t ky = top + key / side, kx = left + key % side;
                sum += score[key] *
                       (ky < g && kx < g ? qkv + ((image * g + ky) * g + kx) * 3 * d : bias)[2 * d + h * hd + i];
            }
            y[item * hd + i] = sum;
        }
    }
}

static int attention_typed(check *c, samc__view **views) {
    samc__attention_relpos_args *a = ARGS(c, attention_relpos);
    samc__view *own[] = {&a->qkv, &a->qkv_bias, &a->rel_h, &a->rel_w, &a->y};
    memcpy(views, own, sizeof own);
    return (int)(sizeof own / sizeof *own);
}

ROW(attention_relpos) = {
    .name = "attention_relpos",
    .fields = "images heads hd grid window relpos bias",
    /* An average over many keys has a small deviation (1e-12 and 1.7e-5 seen with 4356). Where thousands of keys are
     * alike, as pads are, sums over keys must not round one after another: the reference's are in double
     * (kernels/ref/math.h); in float they were 1.4e-7 off for a window of 180 on a grid of 4, and it is the fast
     * version, adding up by lanes and tiles, that was right. */
    .nmse = 4e-12,
    .deviation = 6e-5,
    .cases = attention_cases,
    .case_count = COUNT(attention_cases),
    .check_apart = true,
    .build = attention_build,
    .narrow = attention_narrow,
    .draw = attention_draw,
    .book = attention_book,
    .typed = attention_typed,
};
