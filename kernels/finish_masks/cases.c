/* The cases of finish_masks: masks low img width height kind bits index threshold, offset above 1 (tenths), new width
 * and height (0: the longest side fits), path. */
#include "tests/checkops/checkops.h"
#include "kernels/finish_masks/finish_masks.h"

#include <math.h>

/* EDGES: an ulp or two beyond threshold +- offset. WILD: NaN, infinite, huge. UNEVEN: all in, by little or by much. */
enum kind { NOISE, SHAPES, EVEN, EDGES, WILD, SET, CLEAR, UNEVEN };
/* BACKWARDS: every other mask, from the last on. DRAWN: `masks` of three more, some perhaps twice; PICKED: and only
 * half of them are picked, which alone are finished. */
enum index { ROWS, BACKWARDS, DRAWN, PICKED };

static const test_case finish_cases[] = {
    {ALL, {1, 1, 4, 1, 1, NOISE, 1}},
    {ALL, {2, 4, 16, 16, 9, NOISE, 1}},
    {ALL, {3, 16, 64, 63, 64, SHAPES, 1}},
    {ALL, {1, 16, 64, 200, 65, NOISE, 1}},
    {ALL, {2, 32, 128, 300, 201, SHAPES, 0}},
    {ALL, {1, 32, 128, 64, 128, SHAPES, 1}},
    {ALL, {2, 8, 32, 129, 500, EVEN, 1}},
    {ALL, {4, 64, 256, 400, 300, SHAPES, 1}},
    {ALL, {1, 33, 130, 77, 51, NOISE, 1}},
    {ALL, {2, 64, 256, 31, 20, SHAPES, 1}}, /* shrinks */
    {ALL, {5, 16, 64, 200, 65, SHAPES, 1, BACKWARDS}},
    {ALL, {2, 32, 128, 133, 90, NOISE, 1}},
    {ALL, {1, 32, 128, 129, 140, NOISE, 1}},
    {ALL, {1, 250, 256, 270, 200, NOISE, 1}}, /* a vector's samples just fit a vector, or not */
    {ALL, {3, 16, 64, 150, 100, SHAPES, 1, ROWS, 0, 0, 0, 0, 1}},
    {ALL, {2, 33, 64, 31, 70, NOISE, 1, ROWS, 0, 0, 0, 0, 1}},
    {ALL, {3, 16, 64, 150, 100, SHAPES, 1, ROWS, 0, 0, 0, 0, 2}},
    {MODEL, {64, 256, 1024, 1800, 1200, SHAPES, 1}},
    {MODEL, {64, 256, 1024, 1800, 1200, SHAPES, 1, ROWS, 0, 0, 0, 0, 1}},
    {MODEL, {16, 256, 1024, 1800, 1200, SHAPES, 1, ROWS, 0, 0, 0, 0, 2}},
    {MODEL, {64, 256, 1024, 640, 480, SHAPES, 1}},
    {MODEL, {16, 256, 1024, 3840, 2160, SHAPES, 1}},
    {MODEL, {4, 256, 1024, 1800, 1200, NOISE, 1}},
    {MODEL, {64, 128, 512, 1800, 1200, SHAPES, 1}},
    {QUICK, {2, 4, 16, 16, 9, NOISE, 1, DRAWN}},
    {QUICK, {5, 32, 128, 300, 201, SHAPES, 0, DRAWN}},
    {QUICK, {5, 32, 128, 150, 101, SHAPES, 1, PICKED}},
    {QUICK, {1, 16, 64, 40, 30, SHAPES, 1, PICKED}},
    {QUICK, {2, 8, 32, 129, 50, EVEN, 1}},
    {QUICK, {2, 64, 256, 400, 300, SHAPES, 1}},
    {QUICK, {1, 33, 130, 77, 51, EDGES, 1}},
    {QUICK, {2, 16, 64, 150, 100, EDGES, 1}},
    {QUICK, {2, 16, 64, 150, 40, WILD, 1}},
    {QUICK, {1, 16, 64, 4200, 3, NOISE, 1}}, /* two chunks, not whole */
    {QUICK, {1, 16, 64, 4097, 17, SET, 1}},
    {QUICK, {1, 16, 64, 1, 300, NOISE, 1}},
    {QUICK, {2, 16, 64, 96, 70, SET, 1}},
    {QUICK, {2, 16, 64, 96, 70, CLEAR, 1}},
    {QUICK, {2, 16, 0, 150, 100, SHAPES, 1, ROWS, 0, 0, 0, 0, 1}}, /* one bilinear step */
    {QUICK, {2, 33, 0, 31, 70, WILD, 1, DRAWN, 0, 0, 0, 0, 1}},
    {QUICK, {2, 16, 0, 150, 100, SHAPES, 1, ROWS, 0, 0, 0, 0, 2}}, /* bicubic */
    {QUICK, {2, 16, 0, 150, 100, UNEVEN, 1, ROWS, 0, 0, 0, 0, 2}},
    {QUICK, {3, 33, 0, 31, 70, NOISE, 0, DRAWN, 0, 0, 0, 0, 2}},
    {QUICK, {2, 16, 0, 150, 40, WILD, 1, ROWS, 0, 0, 0, 0, 2}},
    {QUICK, {2, 64, 0, 20, 15, WILD, 1, PICKED, 0, 0, 0, 0, 2}},
    {QUICK, {1, 4, 0, 1, 1, NOISE, 1, ROWS, 0, 0, 0, 0, 2}},
    {QUICK, {1, 16, 0, 4097, 17, SET, 1, ROWS, 0, 0, 0, 0, 2}},
    {FULL, {2, 256, 1024, 2250, 1500, SHAPES, 1, DRAWN}},
    {FULL, {2, 256, 1024, 640, 480, SHAPES, 1}},
    {FULL, {2, 128, 512, 1200, 1800, SHAPES, 1}},
    {FULL, {1, 256, 1024, 65535, 1, NOISE, 1}},
    {FULL, {1, 256, 1024, 1, 65535, NOISE, 1}},
};

/* A blob of one sign with an undulating edge, saturated away from it, as the decoder makes them. */
static void draw_shape(check *c, float *logits, int64_t low) {
    float cx = random_uniform(c) * (float)low, cy = random_uniform(c) * (float)low,
          radius = (0.05f + 0.3f * random_uniform(c)) * (float)low;
    for (int64_t i = 0; i < low * low; i++) {
        float x = (float)(i % low) - cx, y = (float)(i / low) - cy, wave = 2.0f * sinf(x * 0.3f) * cosf(y * 0.2f);
        float value = (radius - sqrtf(x * x + y * y) + wave) * 1.5f;
        logits[i] = value > 15 ? 15 : value < -15 ? -15 : value;
    }
}

/* Logit i of a mask of `count`. */
static float logit_of(check *c, enum kind kind, int64_t i, int64_t count, float threshold) {
    float sign;
    switch (kind) {
    case EDGES:
        return threshold + (i < count / 2 ? 1.0f : -1.0f) * (1.0f + 0x1p-23f * (random_bits(c) % 8 ? 1.0f : 2.0f));
    case WILD:
        sign = random_bits(c) % 2 ? 1.0f : -1.0f;
        return sign * (random_bits(c) % 9 == 0 ? INFINITY : random_bits(c) % 9 == 0 ? NAN : random_uniform(c) * 1e37f);
    case SET:
        return 3.0f + random_uniform(c);
    case CLEAR:
        return -3.0f - random_uniform(c);
    case UNEVEN:
        return random_bits(c) % 2 ? 1.01f : 30.0f;
    default:
        return 0.0f;
    }
}

static void finish_build(check *c, const int *p) {
    const enum kind kind = (enum kind)p[5];
    const enum index order = (enum index)p[7];
    const int64_t masks = p[0], low = p[1], words = words_of(p[3]), rows = order >= DRAWN ? masks + 3 : masks,
                  finished = order == BACKWARDS ? masks / 2 : masks;
    const int longest = p[3] > p[4] ? p[3] : p[4];
    const double scale = (double)p[2] / longest;
    const float threshold =
        kind == EDGES ? 0.99f : (float)p[8] / 10; /* 0.99: + offset is below 2, where an ulp is 2^-23 */
    float *logits = input(c, rows * low * low, 5);
    for (int64_t m = 0; m < rows && kind == SHAPES; m++) draw_shape(c, logits + m * low * low, low);
    for (int64_t i = 0; i < rows * low * low && kind > SHAPES; i++)
        logits[i] = logit_of(c, kind, i % (low * low), low * low, threshold);
    int32_t *index = order ? raw_input(c, (size_t)finished * sizeof *index) : NULL;
    for (int64_t i = 0; i < finished && order; i++)
        index[i] = order == BACKWARDS ? (int32_t)(masks - 1 - 2 * i) : random_below(c, (int)rows);
    int32_t *picked = NULL;
    samc__mask_stats *stats = NULL;
    if (order == PICKED) { /* the rest is left alone, or on a GPU empty: it is empty before */
        picked = raw_input(c, sizeof *picked);
        *picked = (int32_t)(masks / 2);
        stats = raw_in_out(c, (size_t)finished * sizeof *stats);
        for (int64_t i = 0; i < finished; i++)
            stats[i] = (samc__mask_stats){.x0 = p[3], .y0 = p[4], .x1 = -1, .y1 = -1};
    }
    int new_width = p[10] ? p[10] : (int)(p[3] * scale + 0.5), new_height = p[11] ? p[11] : (int)(p[4] * scale + 0.5);
    *ARGS(c, finish_masks) = (samc__finish_masks_args){
        .logits = samc__view3(logits, rows, low, low),
        .index = index,
        .count = finished,
        .picked = picked,
        .path = (samc__mask_path)p[12],
        .img_size = p[2],
        .new_width = new_width > 0 ? new_width : 1,
        .new_height = new_height > 0 ? new_height : 1,
        .width = p[3],
        .height = p[4],
        .threshold = threshold,
        .offset = 1 + (float)p[9] / 10,
        .bits = p[6] ? raw_output(c, (size_t)(finished * p[4] * words) * sizeof(uint64_t)) : NULL,
        .stats = stats ? stats : raw_output(c, (size_t)finished * sizeof *stats),
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
    .build = finish_build,
    .draw = finish_draw,
    .places = 90, /* masks are one flat part beside another */
};
