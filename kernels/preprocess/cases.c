/* The cases of preprocess: width height patch grid spare (bytes between rows), extreme, new width and height (0: the
 * longest side fits), filter, range, type of the patches. */
#include "tests/checkops/checkops.h"
#include "kernels/preprocess/preprocess.h"

static const test_case listed[] = {
    {ALL, {1, 1, 4, 4, 0, 0}},
    {ALL, {2, 1, 4, 4, 1, 0}},
    {ALL, {64, 64, 16, 4, 0, 0}},
    {ALL, {64, 31, 16, 4, 5, 1}},
    {ALL, {33, 64, 8, 8, 0, 0}},
    {ALL, {300, 7, 8, 8, 3, 0}},
    {ALL, {13, 500, 16, 4, 0, 1}},
    {ALL, {97, 61, 7, 5, 0, 0}},
    {ALL, {21, 30, 16, 4, 2, 0}},
    {ALL, {129, 128, 16, 8, 0, 0}},
    {MODEL, {1800, 1200, 16, 64, 0, 0}},
    {MODEL, {3840, 2160, 16, 64, 0, 0}},
    {MODEL, {640, 480, 16, 64, 0, 0}},
    {MODEL, {1024, 683, 16, 64, 0, 0}},
    {ALL, {97, 61, 8, 5, 3, 0, 40, 40, 0, 1}},
    {ALL, {61, 97, 8, 5, 0, 0, 0, 0, 0, 2}},
    {ALL, {97, 61, 8, 5, 1, 0, 40, 40, 1, 1}},
    {ALL, {13, 9, 8, 5, 0, 1, 40, 40, 2, 0}},
    {ALL, {97, 61, 8, 5, 2, 0, 40, 40, 3, 1}},
    {ALL, {97, 61, 8, 5, 5, 0, 40, 40, 4, 2}},
    {MODEL, {1800, 1200, 16, 64, 0, 0, 1024, 1024, 1, 1}},
    {MODEL, {1800, 1200, 16, 64, 0, 0, 1024, 1024, 4, 2}},
    {QUICK, {1, 1, 4, 4, 0, 0, 0, 0, 0, 0, F32}},
    {QUICK, {2, 1, 4, 4, 1, 0, 0, 0, 0, 0, F16}},
    {QUICK, {64, 64, 16, 4, 0, 0, 0, 0, 0, 0, F32}}, /* keeps its size */
    {QUICK, {64, 31, 16, 4, 5, 1, 0, 0, 0, 0, BF16}},
    {QUICK, {33, 64, 8, 8, 0, 0, 0, 0, 0, 0, F32}},
    {QUICK, {300, 7, 8, 8, 3, 0, 0, 0, 0, 0, F16}},
    {QUICK, {13, 500, 16, 4, 0, 1, 0, 0, 0, 0, F32}},
    {QUICK, {97, 61, 7, 5, 0, 0, 0, 0, 0, 0, BF16}},
    {QUICK, {21, 30, 16, 4, 2, 0, 0, 0, 0, 0, F32}},
    {QUICK, {129, 128, 16, 8, 0, 0, 0, 0, 0, 0, BF16}},
    {QUICK, {4000, 3, 16, 4, 1, 1, 0, 0, 0, 0, F32}},
    {QUICK, {97, 61, 8, 5, 3, 0, 40, 40, 0, 1, F32}}, /* Pillow's, other ranges */
    {QUICK, {61, 97, 8, 5, 0, 0, 0, 0, 0, 2, BF16}},
    {QUICK, {30, 41, 8, 5, 1, 0, 40, 40, 0, 1, F16}},
    {QUICK, {97, 61, 8, 5, 1, 0, 40, 40, 1, 1, F32}}, /* torch antialiased, floats */
    {QUICK, {5, 700, 8, 5, 0, 1, 0, 0, 1, 0, F32}},
    {QUICK, {40, 33, 8, 5, 0, 0, 40, 40, 1, 2, F16}},
    {QUICK, {97, 61, 8, 5, 2, 0, 40, 40, 2, 1, F32}}, /* bytes */
    {QUICK, {13, 9, 8, 5, 0, 0, 40, 40, 2, 0, BF16}},
    {QUICK, {97, 61, 8, 5, 0, 0, 40, 40, 3, 1, F32}}, /* bilinear */
    {QUICK, {1, 30, 8, 5, 0, 0, 40, 40, 3, 1, F32}},
    {QUICK, {97, 61, 8, 5, 5, 0, 40, 40, 4, 2, F32}}, /* cubic */
    {QUICK, {200, 7, 8, 5, 0, 1, 40, 40, 4, 0, F32}},
    {QUICK, {40, 1, 8, 5, 0, 1, 40, 40, 4, 1, F32}},
    {QUICK, {13, 21, 8, 5, 0, 1, 0, 0, 4, 2, BF16}},
    {FULL, {1800, 1200, 16, 64, 0, 0, 1024, 1024, 1, 1, BF16}},
    {FULL, {1800, 1200, 16, 64, 0, 0, 0, 0, 0, 0, BF16}},
    {FULL, {640, 480, 16, 64, 3, 1, 0, 0, 0, 0, F16}},
    {FULL, {1024, 683, 16, 64, 0, 0, 0, 0, 0, 0, F32}},
    {FULL, {65535, 1, 16, 64, 0, 1, 0, 0, 0, 0, F32}},
    {FULL, {1, 65535, 16, 64, 2, 0, 0, 0, 0, 0, BF16}},
};

static void preprocess_build(check *c, const int *p) {
    int side = p[2] * p[3], longest = p[0] > p[1] ? p[0] : p[1];
    ptrdiff_t row = 3 * (ptrdiff_t)p[0] + p[4];
    double scale = (double)side / longest;
    ptrdiff_t size_of_rgb = row * p[1] - p[4]; /* it ends with its last pixel */
    uint8_t *rgb = raw_input(c, (size_t)size_of_rgb);
    for (ptrdiff_t i = 0; i < size_of_rgb; i++)
        rgb[i] = p[5] ? (uint8_t)(random_bits(c) & 1 ? 255 : 0) : (uint8_t)random_bits(c);
    int new_width = p[6] ? p[6] : (int)(p[0] * scale + 0.5), new_height = p[7] ? p[7] : (int)(p[1] * scale + 0.5);
    int64_t tokens = (int64_t)p[3] * p[3], size = 3 * (int64_t)p[2] * p[2];
    *ARGS(c, preprocess) = (samc__preprocess_args){
        .rgb = rgb,
        .row_bytes = row,
        .width = p[0],
        .height = p[1],
        .new_width = new_width > 0 ? new_width : 1,
        .new_height = new_height > 0 ? new_height : 1,
        .patch = p[2],
        .grid = p[3],
        .filter = (samc__filter)p[8],
        .range = (samc__range)p[9],
        .mean = {123.675f, 116.28f, 103.53f},
        .std = {58.395f, 57.12f, 57.375f},
        .patches = samc__view2(raw_output(c, (size_t)(tokens * size) * sizeof(float)), tokens, size),
    };
}

static void preprocess_draw(check *c, int *p) {
    p[0] = random_size(c, 400), p[1] = random_size(c, 400), p[2] = random_size(c, 20), p[3] = random_size(c, 12);
    p[4] = random_below(c, 2) ? random_below(c, 70) : 0, p[5] = random_below(c, 2);
    if (random_below(c, 2)) p[6] = random_size(c, p[2] * p[3]), p[7] = random_size(c, p[2] * p[3]);
    if (random_below(c, 4) == 0)
        p[0] = random_size(c, p[2] * p[3]), p[6] = p[0],
        p[7] = random_size(c, p[2] * p[3]); /* that axis keeps its size */
    if (random_below(c, 2)) p[8] = random_below(c, SAMC__FILTERS), p[9] = random_below(c, SAMC__RANGES);
}

static int preprocess_typed(check *c, samc__view **views) {
    views[0] = &ARGS(c, preprocess)->patches;
    return 1;
}

static void preprocess_types(const int *p, samc__dtype *of_views) { of_views[0] = (samc__dtype)p[10]; }

static int preprocess_low(check *c, samc__view **views) {
    views[0] = &ARGS(c, preprocess)->patches;
    return 1;
}

ROW(preprocess) = {
    .name = "preprocess",
    .fields = "width height patch grid spare extreme new_width new_height filter range type",
    .cases = listed,
    .case_count = COUNT(listed),
    .build = preprocess_build,
    .draw = preprocess_draw,
    .typed = preprocess_typed,
    .types = preprocess_types,
    .low = preprocess_low,
};
