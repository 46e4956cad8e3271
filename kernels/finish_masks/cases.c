/* The cases of finish_masks: masks low img width height kind (0 noise, 1 shapes, 2 all at the threshold) bits index
 * threshold, offset above 1 (tenths), new width and height (0: the longest side fits), path. */
#include "tests/checkops/checkops.h"
#include "kernels/finish_masks/finish_masks.h"

#include <math.h>

static const test_case finish_cases[] = {
    {HOSTS, {1, 1, 4, 1, 1, 0, 1}},
    {HOSTS, {2, 4, 16, 16, 9, 0, 1}},
    {HOSTS, {3, 16, 64, 63, 64, 1, 1}},
    {HOSTS, {1, 16, 64, 200, 65, 0, 1}},
    {HOSTS, {2, 32, 128, 300, 201, 1, 0}},
    {HOSTS, {1, 32, 128, 64, 128, 1, 1}},
    {HOSTS, {2, 8, 32, 129, 500, 2, 1}},
    {HOSTS, {4, 64, 256, 400, 300, 1, 1}},
    {HOSTS, {1, 33, 130, 77, 51, 0, 1}},
    {HOSTS, {2, 64, 256, 31, 20, 1, 1}},
    {HOSTS, {5, 16, 64, 200, 65, 1, 1, 1}},
    {HOSTS, {2, 32, 128, 133, 90, 0, 1}},
    {HOSTS, {1, 32, 128, 129, 140, 0, 1}},
    {HOSTS, {1, 250, 256, 270, 200, 0, 1}}, /* a vector's samples just fit a vector, or not */
    {HOSTS, {3, 16, 64, 150, 100, 1, 1, 0, 0, 0, 0, 0, 1}},
    {HOSTS, {2, 33, 64, 31, 70, 0, 1, 0, 0, 0, 0, 0, 1}},
    {HOSTS, {3, 16, 64, 150, 100, 1, 1, 0, 0, 0, 0, 0, 2}},
    {MODEL, {64, 256, 1024, 1800, 1200, 1, 1}},
    {MODEL, {64, 256, 1024, 1800, 1200, 1, 1, 0, 0, 0, 0, 0, 1}},
    {MODEL, {16, 256, 1024, 1800, 1200, 1, 1, 0, 0, 0, 0, 0, 2}},
    {MODEL, {64, 256, 1024, 640, 480, 1, 1}},
    {MODEL, {16, 256, 1024, 3840, 2160, 1, 1}},
    {MODEL, {4, 256, 1024, 1800, 1200, 0, 1}},
    {MODEL, {64, 128, 512, 1800, 1200, 1, 1}},
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
    *ARGS(c, finish_masks) = (samc__finish_masks_args){
        .logits = samc__view3(logits, masks, low, low),
        .index = index,
        .count = finished,
        .path = (samc__mask_path)p[12],
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
    if (random_below(c, 3) == 0) p[12] = random_below(c, SAMC__MASK_PATHS);
}

ROW(finish_masks) = {
    .name = "finish_masks",
    .fields = "masks low img width height kind bits index threshold offset new_width new_height path",
    .cases = finish_cases,
    .case_count = COUNT(finish_cases),
    .check_apart = true,
    .build = finish_build,
    .draw = finish_draw,
    .places = 90, /* masks are one flat part beside another */
};
