/* The cases of embed_mask: prompts grid c1 c2 C B (entries of image), type of the image, the result and the weights. */
#include "tests/checkops/checkops.h"
#include "tests/checkops/book.h"
#include "kernels/embed_mask/embed_mask.h"

#include <string.h>

static const test_case mask_cases[] = {
    {ALL, {1, 1, 1, 2, 3, 1}},
    {ALL, {2, 3, 4, 16, 32, 1}},
    {ALL, {1, 9, 3, 7, 20, 1}},
    {ALL, {3, 16, 4, 16, 128, 1}},
    {ALL, {6, 5, 4, 16, 32, 2}},
    {ALL, {6, 3, 3, 7, 20, 3}},
    {ALL, {4, 7, 4, 16, 32, 4}},
    {MODEL, {4, 64, 4, 16, 256, 1}},
    {MODEL, {4, 32, 4, 16, 128, 2}},
    /* One cell, blocks that are not full, channels that are not vectors; prompts of one and of several images. */
    {QUICK, {1, 1, 1, 1, 1, 1, F32}},
    {QUICK, {2, 3, 3, 5, 6, 1, F32}},
    {QUICK, {2, 9, 4, 16, 132, 2, BF16}},
    {QUICK, {1, 5, 2, 7, 13, 1, F16}},
    {QUICK, {4, 4, 4, 16, 256, 2, F16}},
    {QUICK, {1, 9, 4, 16, 256, 1, F32}},
    {FULL, {3, 32, 4, 16, 128, 1, F16}},
    {FULL, {2, 64, 4, 16, 256, 2, BF16}},
};

static void mask_build(check *c, const int *p) {
    int64_t prompts = p[0], g = p[1], c1 = p[2], c2 = p[3], n = p[4];
    samc__embed_mask_args *a = ARGS(c, embed_mask);
    *a = (samc__embed_mask_args){.mask = samc__view3(input(c, prompts * 16 * g * g, 5), prompts, 4 * g, 4 * g),
                                 .grid = p[1]};
    a->conv1 = (samc__projection){.w = samc__view4(input_around(c, c1 * 4, 0, 0.5f), c1, 1, 2, 2),
                                  .b = samc__view1(input_around(c, c1, 0, 0.1f), c1)};
    a->norm1 = norm(c, c1, 1e-6f);
    a->conv2 = (samc__projection){.w = samc__view4(input_around(c, c2 * c1 * 4, 0, 0.3f), c2, c1, 2, 2),
                                  .b = samc__view1(input_around(c, c2, 0, 0.1f), c2)};
    a->norm2 = norm(c, c2, 1e-6f);
    a->conv3 = projection(c, n, c2);
    a->image = samc__view3(input(c, p[5] * g * g * n, 1), p[5], g * g, n);
    a->y = samc__view3(output(c, prompts * g * g * n), prompts, g * g, n);
}

static void mask_draw(check *c, int *p) {
    p[5] = random_size(c, 3), p[0] = p[5] * (1 + random_below(c, 3)), p[1] = random_size(c, 20),
    p[2] = random_size(c, 30), p[3] = random_size(c, 50);
    p[4] = random_size(c, 150);
}

static bool mask_narrow(check *c, const int *p) {
    samc__embed_mask_args *a = ARGS(c, embed_mask);
    a->mask = last_of(a->mask);
    a->image = last_of(a->image);
    a->y = last_of(a->y);
    return p[0] > 1;
}

static void mask_book(book *b, const check *of) {
    const samc__embed_mask_args *a = ARGS(of, embed_mask);
    int64_t p = a->y.n[0], g = a->grid, c1 = a->norm1.g.n[0], c2 = a->norm2.g.n[0], c = a->y.n[2];
    double *mask = values(b, a->mask), *w1 = values(b, a->conv1.w), *b1 = values(b, a->conv1.b),
           *w2 = values(b, a->conv2.w), *b2 = values(b, a->conv2.b);
    double *image = values(b, a->image), *y = result(b, a->y);
    double *first = room(b, p * 4 * g * g * c1), *second = room(b, p * g * g * c2);
    for (int64_t i = 0; i < p * 4 * g * g * c1; i++) { /* pixels of [2 g, 2 g] */
        int64_t pixel = i / c1, row = pixel / (2 * g) % (2 * g), column = pixel % (2 * g), prompt = pixel / (4 * g * g);
        first[i] = b1[i % c1];
        for (int64_t j = 0; j < 4; j++)
            first[i] += mask[(prompt * 4 * g + 2 * row + j / 2) * 4 * g + 2 * column + j % 2] * w1[i % c1 * 4 + j];
    }
    normalise(b, first, p * 4 * g * g, a->norm1, NULL);
    for (int64_t i = 0; i < p * 4 * g * g * c1; i++) first[i] = gelu(first[i]);
    for (int64_t i = 0; i < p * g * g * c2; i++) {
        int64_t cell = i / c2, row = cell / g % g, column = cell % g, prompt = cell / (g * g);
        second[i] = b2[i % c2];
        for (int64_t j = 0; j < 4 * c1; j++)
            second[i] += first[((prompt * 2 * g + 2 * row + j % 4 / 2) * 2 * g + 2 * column + j % 2) * c1 + j / 4] *
                         w2[(i % c2 * c1 + j / 4) * 4 + j % 4];
    }
    normalise(b, second, p * g * g, a->norm2, NULL);
    for (int64_t i = 0; i < p * g * g * c2; i++) second[i] = gelu(second[i]);
    double *out = project(b, second, p * g * g, a->conv3);
    for (int64_t i = 0; i < p * g * g * c; i++)
        y[i] = out[i] + image[i / (g * g * c) / (p / a->image.n[0]) * g * g * c + i % (g * g * c)];
}

static int mask_typed(check *c, samc__view **views) {
    samc__embed_mask_args *a = ARGS(c, embed_mask);
    samc__view *own[] = {&a->conv1.w, &a->conv2.w, &a->conv3.w, &a->image, &a->y};
    memcpy(views, own, sizeof own);
    return (int)(sizeof own / sizeof *own);
}

static void mask_types(const int *p, samc__dtype *of_views) {
    for (int i = 0; i < 5; i++) of_views[i] = (samc__dtype)p[6];
}

static int mask_low(check *c, samc__view **views) {
    samc__embed_mask_args *a = ARGS(c, embed_mask);
    views[0] = &a->image, views[1] = &a->y;
    return 2;
}

ROW(embed_mask) = {
    .name = "embed_mask",
    .fields = "prompts grid c1 c2 C B type",
    /* As for linear, a chain of at most five sums of up to 256 terms and a softmax over up to 4096 keys, ended by a
     * norm, and folding rounds in other places: about 3e-7 for each step. A norm over two or three channels, which only
     * drawn shapes have, magnifies that by up to eps^-1/2, 300 (1e-9 and 6e-3 seen): there the bound grows as the
     * reference itself moves. A norm of three nearly equal channels magnifies. */
    .nmse = 4e-12,
    .deviation = 6e-5,
    .cases = mask_cases,
    .case_count = COUNT(mask_cases),
    .build = mask_build,
    .narrow = mask_narrow,
    .draw = mask_draw,
    .book = mask_book,
    .typed = mask_typed,
    .types = mask_types,
    .low = mask_low,
};
