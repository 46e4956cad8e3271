/* The cases of mask_rle: masks width height capacity, kind. Masks with more runs than fit are only counted. */
#include "tests/checkops/checkops.h"
#include "kernels/mask_rle/mask_rle.h"

enum kind { DISCS, NOISE, BLOBS, EMPTY, SET, STRIPES, CHECKS }; /* discs: by the pattern, as fill_masks() has them */

static const test_case rle_cases[] = {
    {ALL, {1, 1, 1, 2}},
    {ALL, {2, 1, 70, 200}},
    {ALL, {3, 70, 1, 200}},
    {ALL, {2, 63, 5, 400}},
    {ALL, {2, 64, 64, 5000}},
    {ALL, {3, 65, 33, 3000}},
    {ALL, {1, 128, 2, 1}},
    {ALL, {4, 129, 77, 600}},
    {HOSTS, {5, 200, 131, 30000}},
    {ALL, {2, 301, 40, 64}},
    {MODEL, {64, 1800, 1200, 131072}},
    {MODEL, {16, 3840, 2160, 262144}},
    {QUICK, {1, 1, 1, 1, EMPTY}},
    {QUICK, {1, 1, 1, 4, SET}},
    {QUICK, {2, 63, 31, 3000, NOISE}},
    {QUICK, {3, 64, 32, 2000, BLOBS}},
    {QUICK, {2, 65, 33, 100, BLOBS}}, /* the second one does not fit */
    {QUICK, {3, 130, 100, 9000, BLOBS}},
    {QUICK, {2, 100, 70, 8, EMPTY}},
    {QUICK, {2, 100, 70, 8, SET}},
    {QUICK, {1, 90, 41, 61, STRIPES}}, /* just fits */
    {QUICK, {1, 90, 41, 60, STRIPES}},
    {QUICK, {1, 33, 20, 700, CHECKS}},
    {QUICK, {2, 300, 1, 400, NOISE}},
    {QUICK, {2, 1, 300, 400, NOISE}},
    {FULL, {3, 2250, 1500, 400000, BLOBS}},
    {FULL, {1, 65535, 1, 70000, NOISE}},
    {FULL, {1, 1, 65535, 70000, NOISE}},
};

static bool pixel_of(check *c, enum kind kind, int x, int y, int width, int height) {
    switch (kind) {
    case NOISE:
        return random_bits(c) % 2;
    case BLOBS:
        return (x - width / 3) * (x - width / 3) + (y - height / 2) * (y - height / 2) < width * height / 9 ||
               (x / 7 + y / 5) % 11 == 0;
    case SET:
        return true;
    case STRIPES:
        return x % 3 == 1;
    case CHECKS:
        return (x + y) % 2 == 0;
    default:
        return false;
    }
}

static void rle_build(check *c, const int *p) {
    int64_t masks = p[0];
    uint64_t *bits = raw_input(c, (size_t)(masks * p[2] * words_of(p[1])) * sizeof *bits);
    enum kind kind = (enum kind)p[4];
    if (kind == DISCS) fill_masks(c, bits, masks, p[1], p[2]);
    for (int64_t m = 0; m < masks && kind != DISCS; m++)
        for (int y = 0; y < p[2]; y++)
            for (int x = 0; x < p[1]; x++)
                if (pixel_of(c, m % 2 && kind == BLOBS ? NOISE : kind, x, y, p[1], p[2]))
                    set_pixel(bits, p[1], x, m * p[2] + y);
    *ARGS(c, mask_rle) = (samc__mask_rle_args){
        .bits = bits,
        .masks = masks,
        .width = p[1],
        .height = p[2],
        .capacity = p[3],
        .counts = raw_output(c, (size_t)(masks * p[3]) * sizeof(uint32_t)),
        .lengths = raw_output(c, (size_t)masks * sizeof(int64_t)),
    };
}

static void rle_draw(check *c, int *p) {
    p[0] = 1 + random_below(c, 4), p[1] = random_size(c, 300), p[2] = random_size(c, 200);
    int all = p[1] * p[2] + 1, kind = random_below(c, 3); /* runs that fit, or nearly */
    p[3] = kind == 0 ? all : random_size(c, kind == 1 && all > 30 ? all / 10 : all);
}

/* Paints the runs, column by column, over what the mask says; counts runs where they did not fit. */
static const char *rle_verify(const check *c, const int *p) {
    const samc__mask_rle_args *a = ARGS(c, mask_rle);
    int64_t width = p[1], height = p[2];
    for (int64_t m = 0; m < a->masks; m++) {
        const uint64_t *mask = a->bits + m * height * words_of(p[1]);
        const uint32_t *counts = a->counts + m * a->capacity;
        int64_t at = 0, runs = 1;
        bool before = false;
        for (int64_t i = 0; i < width * height; i++) {
            bool set = pixel(mask, p[1], i / height, i % height);
            runs += set != before, before = set;
        }
        if (a->lengths[m] != runs) return "the number of runs is wrong";
        if (runs > a->capacity) continue;
        for (int64_t i = 0; i < runs; at += counts[i++]) {
            if (i > 0 && counts[i] == 0) return "a run after the first is empty";
            if (at + counts[i] > width * height) return "runs go beyond the mask";
            for (int64_t j = at; j < at + counts[i]; j++)
                if (pixel(mask, p[1], j / height, j % height) != (i % 2 == 1))
                    return "a run covers a pixel that is not its own";
        }
        if (at != width * height) return "runs do not cover the mask";
    }
    return NULL;
}

ROW(mask_rle) = {
    .name = "mask_rle",
    .fields = "masks width height capacity kind",
    .cases = rle_cases,
    .case_count = COUNT(rle_cases),
    .build = rle_build,
    .verify = rle_verify,
    .draw = rle_draw,
};
