/* Cases of the operators at the two ends: pixels in, masks out. These are compared byte by byte. */
#include "tests/checkops/checkops.h"

#include <math.h>

#define COUNT(cases) (int)(sizeof(cases) / sizeof(cases)[0])

/* ---- preprocess: width height patch grid spare (bytes between rows), extreme, new width and height (0: the longest
 * side fits), filter, range ---- */

static const test_case preprocess_cases[] = {
    {0, {1, 1, 4, 4, 0, 0}},
    {0, {2, 1, 4, 4, 1, 0}},
    {0, {64, 64, 16, 4, 0, 0}},
    {0, {64, 31, 16, 4, 5, 1}},
    {0, {33, 64, 8, 8, 0, 0}},
    {0, {300, 7, 8, 8, 3, 0}},
    {0, {13, 500, 16, 4, 0, 1}},
    {0, {97, 61, 7, 5, 0, 0}},
    {0, {21, 30, 16, 4, 2, 0}},
    {0, {129, 128, 16, 8, 0, 0}},
    {1, {1800, 1200, 16, 64, 0, 0}},
    {1, {3840, 2160, 16, 64, 0, 0}},
    {1, {640, 480, 16, 64, 0, 0}},
    {1, {1024, 683, 16, 64, 0, 0}},
    {0, {97, 61, 8, 5, 3, 0, 40, 40, 0, 1}},
    {0, {61, 97, 8, 5, 0, 0, 0, 0, 0, 2}},
    {0, {97, 61, 8, 5, 1, 0, 40, 40, 1, 1}},
    {0, {13, 9, 8, 5, 0, 1, 40, 40, 2, 0}},
    {0, {97, 61, 8, 5, 2, 0, 40, 40, 3, 1}},
    {0, {97, 61, 8, 5, 5, 0, 40, 40, 4, 2}},
    {1, {1800, 1200, 16, 64, 0, 0, 1024, 1024, 1, 1}},
    {1, {1800, 1200, 16, 64, 0, 0, 1024, 1024, 4, 2}},
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
    c->args.preprocess = (samc__preprocess_args){
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

/* ---- finish_masks: masks low img width height kind (0 noise, 1 shapes, 2 all at the threshold) bits index threshold,
 * offset above 1 (tenths), new width and height (0: the longest side fits) ---- */

static const test_case finish_cases[] = {
    {0, {1, 1, 4, 1, 1, 0, 1}},
    {0, {2, 4, 16, 16, 9, 0, 1}},
    {0, {3, 16, 64, 63, 64, 1, 1}},
    {0, {1, 16, 64, 200, 65, 0, 1}},
    {0, {2, 32, 128, 300, 201, 1, 0}},
    {0, {1, 32, 128, 64, 128, 1, 1}},
    {0, {2, 8, 32, 129, 500, 2, 1}},
    {0, {4, 64, 256, 400, 300, 1, 1}},
    {0, {1, 33, 130, 77, 51, 0, 1}},
    {0, {2, 64, 256, 31, 20, 1, 1}},
    {0, {5, 16, 64, 200, 65, 1, 1, 1}},
    {0, {2, 32, 128, 133, 90, 0, 1}},
    {0, {1, 32, 128, 129, 140, 0, 1}},
    {0, {1, 250, 256, 270, 200, 0, 1}}, /* a vector's samples just fit a vector, or not */
    {1, {64, 256, 1024, 1800, 1200, 1, 1}},
    {1, {64, 256, 1024, 640, 480, 1, 1}},
    {1, {16, 256, 1024, 3840, 2160, 1, 1}},
    {1, {4, 256, 1024, 1800, 1200, 0, 1}},
    {1, {64, 128, 512, 1800, 1200, 1, 1}},
};

static void finish_build(check *c, const int *p) {
    int64_t masks = p[0], low = p[1], words = (p[3] + 63) / 64;
    int longest = p[3] > p[4] ? p[3] : p[4];
    double scale = (double)p[2] / longest;
    float *logits = input(c, masks * low * low, 5);
    for (int64_t m = 0; m < masks; m++) {
        float cx = random_uniform(c) * (float)low, cy = random_uniform(c) * (float)low,
              radius = (0.05f + 0.3f * random_uniform(c)) * (float)low;
        for (int64_t i = 0; i < low * low && p[5] != 0; i++) {
            float x = (float)(i % low) - cx, y = (float)(i / low) - cy, wave = 2.0f * sinf(x * 0.3f) * cosf(y * 0.2f);
            float value = (radius - sqrtf(x * x + y * y) + wave) * 1.5f;
            logits[m * low * low + i] = p[5] == 2 ? 0.0f : value > 15 ? 15 : value < -15 ? -15 : value;
        }
    }
    int32_t *index = NULL; /* every other mask, backwards */
    if (p[7]) {
        index = raw_input(c, (size_t)(masks / 2) * sizeof *index);
        for (int64_t i = 0; i < masks / 2; i++) index[i] = (int32_t)(masks - 1 - 2 * i);
    }
    int new_width = p[10] ? p[10] : (int)(p[3] * scale + 0.5), new_height = p[11] ? p[11] : (int)(p[4] * scale + 0.5);
    int64_t finished = p[7] ? masks / 2 : masks;
    c->args.finish_masks = (samc__finish_masks_args){
        .logits = samc__view3(logits, masks, low, low),
        .index = index,
        .count = finished,
        .img_size = p[2],
        .new_width = new_width > 0 ? new_width : 1,
        .new_height = new_height > 0 ? new_height : 1,
        .width = p[3],
        .height = p[4],
        .threshold = (float)p[8] / 10,
        .offset = 1 + (float)p[9] / 10,
        .bits = p[6] ? raw_output(c, (size_t)(finished * p[4] * words) * sizeof(uint64_t)) : NULL,
        .stats = raw_output(c, (size_t)finished * sizeof(samc__mask_stats)),
    };
}

static void finish_draw(check *c, int *p) {
    p[0] = 1 + random_below(c, 5), p[1] = random_size(c, 70), p[2] = random_size(c, 300), p[3] = random_size(c, 400),
    p[4] = random_size(c, 300);
    p[5] = random_below(c, 3), p[6] = random_below(c, 4) != 0, p[7] = p[0] > 1 && random_below(c, 2);
    if (random_below(c, 2)) p[8] = random_below(c, 40) - 20, p[9] = random_below(c, 40) - 10;
    if (random_below(c, 2)) p[10] = random_size(c, p[2]), p[11] = random_size(c, p[2]);
}

const row image_rows[] = {
    {"preprocess", "width height patch grid spare extreme new_width new_height filter range", 0, 0, preprocess_cases,
     COUNT(preprocess_cases), preprocess_build, NULL, NULL, preprocess_draw},
    {"finish_masks", "masks low img width height kind bits index threshold offset new_width new_height", 0, 0,
     finish_cases, COUNT(finish_cases), finish_build, NULL, NULL, finish_draw},
    {NULL, NULL, 0, 0, NULL, 0, NULL, NULL, NULL, NULL},
};
