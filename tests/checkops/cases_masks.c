/* Cases of the operators on bit-packed masks and boxes. Their reference is all there is on a CPU, so each result is
 * also verified by a second algorithm that shares nothing with it: pixels painted from run lengths, flood fill,
 * suppression the other way round. */
#include "tests/checkops/checkops.h"

#include <math.h>

#include <stdlib.h>
#include <string.h>

#define COUNT(cases) (int)(sizeof(cases) / sizeof(cases)[0])

static int64_t words_of(int width) { return (width + 63) / 64; }

static bool pixel(const uint64_t *mask, int width, int64_t x, int64_t y) {
    return mask[y * words_of(width) + x / 64] >> (x % 64) & 1;
}

/* Random masks; every pattern is another kind: discs with speckles, mostly set, half set, empty, single pixels and full
 * columns. */
static void fill_masks(check *c, uint64_t *bits, int64_t masks, int width, int height) {
    for (int64_t m = 0; m < masks; m++) {
        int64_t cx = random_bits(c) % (uint32_t)width, cy = random_bits(c) % (uint32_t)height,
                radius = 1 + (width < height ? width : height) / 3;
        for (int64_t y = 0; y < height; y++)
            for (int64_t x = 0; x < width; x++) {
                uint32_t noise = random_bits(c) % 1000;
                bool inside = (x - cx) * (x - cx) + (y - cy) * (y - cy) < radius * radius, set = false;
                switch (c->pattern) {
                case PATTERN_MODEL:
                    set = inside != (noise < 15);
                    break;
                case PATTERN_LARGE_MEAN:
                    set = noise < 970;
                    break;
                case PATTERN_LARGE:
                    set = noise < 500;
                    break;
                case PATTERN_DENORMAL:
                    set = noise < 4 || x == cx;
                    break;
                default:
                    break;
                }
                if (set) bits[(m * height + y) * words_of(width) + x / 64] |= UINT64_C(1) << (x % 64);
            }
    }
}

/* ---- mask_rle: masks width height capacity --------------------------------------------------- */

static const test_case rle_cases[] = {
    {0, {1, 1, 1, 2}},         {0, {2, 1, 70, 200}},   {0, {3, 70, 1, 200}},          {0, {2, 63, 5, 400}},
    {0, {2, 64, 64, 5000}},    {0, {3, 65, 33, 3000}}, {0, {1, 128, 2, 1}},           {0, {4, 129, 77, 600}},
    {0, {5, 200, 131, 30000}}, {0, {2, 301, 40, 64}},  {1, {64, 1800, 1200, 131072}}, {1, {16, 3840, 2160, 262144}},
};

static void rle_build(check *c, const int *p) {
    int64_t masks = p[0];
    uint64_t *bits = raw_input(c, (size_t)(masks * p[2] * words_of(p[1])) * sizeof *bits);
    fill_masks(c, bits, masks, p[1], p[2]);
    c->args.mask_rle = (samc__mask_rle_args){
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
    const samc__mask_rle_args *a = &c->args.mask_rle;
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

/* ---- select_masks: masks, percent that pass, kind (0 random, 1 all pass, 2 NaN among them) ---- */

static const test_case select_cases[] = {
    {0, {1, 50, 0}},    {0, {1, 0, 1}},  {0, {7, 100, 0}},   {0, {192, 30, 2}},
    {0, {1000, 50, 0}}, {0, {64, 0, 0}}, {1, {3072, 40, 0}},
};

static void select_build(check *c, const int *p) {
    int64_t n = p[0];
    float *iou = raw_input(c, (size_t)n * sizeof *iou);
    for (int64_t i = 0; i < n; i++) iou[i] = p[2] == 2 && i % 5 == 0 ? NAN : (float)(random_bits(c) % 1000) / 1000.0f;
    c->args.select_masks = (samc__select_masks_args){.iou = iou,
                                                     .count = n,
                                                     .threshold = 1.0f - (float)p[1] / 100.0f,
                                                     .all = p[2] == 1,
                                                     .index = raw_output(c, (size_t)n * sizeof(int32_t)),
                                                     .picked = raw_output(c, sizeof(int32_t))};
}

static void select_draw(check *c, int *p) {
    p[0] = random_size(c, 3000), p[1] = random_size(c, 101) - 1, p[2] = random_size(c, 3) - 1;
}

/* Every mask is in the list, or does not pass. */
static const char *select_verify(const check *c, const int *p) {
    const samc__select_masks_args *a = &c->args.select_masks;
    int32_t at = 0;
    (void)p;
    for (int32_t i = 0; i < a->count; i++) {
        bool listed = at < *a->picked && a->index[at] == i;
        if (listed != (a->all || a->iou[i] > a->threshold))
            return listed ? "a mask passed that should not" : "a mask is not in its place";
        at += listed;
    }
    return at == *a->picked ? NULL : "more passed than are listed";
}

/* ---- nms: boxes, threshold in percent, kind (0 anywhere, 1 one cluster, 2 all alike, 3 no area) ---- */

static const test_case nms_cases[] = {
    {0, {0, 70, 0}},    {0, {1, 70, 0}},    {0, {2, 50, 2}},    {0, {7, 0, 0}},    {0, {33, 50, 1}},
    {0, {64, 100, 2}},  {0, {65, 70, 3}},   {0, {200, 70, 1}},  {0, {257, 30, 0}}, {0, {100, 50, 2}},
    {1, {3072, 70, 0}}, {1, {3072, 70, 1}}, {1, {1000, 70, 2}},
};

static void nms_build(check *c, const int *p) {
    int64_t n = p[0];
    float *boxes = raw_input(c, (size_t)n * 4 * sizeof *boxes);
    int32_t *order = raw_input(c, (size_t)n * sizeof *order);
    for (int64_t i = 0; i < n; i++) { /* whole pixels, as boxes of masks are: equal overlaps are common */
        int span = p[2] == 1 ? 12 : 900;
        float *box = boxes + 4 * i;
        box[0] = p[2] == 2 ? 10.0f : (float)(random_bits(c) % (uint32_t)span);
        box[1] = p[2] == 2 ? 20.0f : (float)(random_bits(c) % (uint32_t)span);
        box[2] = box[0] + (p[2] == 3 && i % 2 ? 0.0f : p[2] == 2 ? 30.0f : 20.0f + (float)(random_bits(c) % 60));
        box[3] = box[1] + (p[2] == 3 ? 0.0f : p[2] == 2 ? 40.0f : 20.0f + (float)(random_bits(c) % 60));
        order[i] = (int32_t)i;
    }
    for (int64_t i = n - 1; i > 0; i--) {
        int64_t j = random_bits(c) % (uint32_t)(i + 1);
        int32_t t = order[i];
        order[i] = order[j], order[j] = t;
    }
    c->args.nms = (samc__nms_args){
        .boxes = boxes, .order = order, .count = n, .threshold = p[1] / 100.0, .keep = raw_output(c, (size_t)n)};
}

static void nms_draw(check *c, int *p) {
    p[0] = random_size(c, 301) - 1, p[1] = random_below(c, 101), p[2] = random_below(c, 4);
}

/* Each box asks those kept before it. Corners and areas are whole and exact in float, so only the quotient rounds. */
static const char *nms_verify(const check *c, const int *p) {
    const samc__nms_args *a = &c->args.nms;
    (void)p;
    for (int64_t j = 0; j < a->count; j++) {
        const float *b = a->boxes + 4 * a->order[j];
        bool kept = true;
        for (int64_t i = 0; i < j && kept; i++) {
            const float *k = a->boxes + 4 * a->order[i];
            double w = (double)(k[2] < b[2] ? k[2] : b[2]) - (k[0] > b[0] ? k[0] : b[0]),
                   h = (double)(k[3] < b[3] ? k[3] : b[3]) - (k[1] > b[1] ? k[1] : b[1]);
            double shared = w > 0 && h > 0 ? w * h : 0,
                   either = (double)(k[2] - k[0]) * (k[3] - k[1]) + (double)(b[2] - b[0]) * (b[3] - b[1]) - shared;
            kept = !(a->keep[a->order[i]] && either > 0 && (float)(shared / either) > a->threshold);
        }
        if (a->keep[a->order[j]] != kept)
            return kept ? "a box was dropped that overlaps no kept one" : "a box was kept that overlaps a kept one";
    }
    return NULL;
}

/* ---- small_regions: masks width height min_area ---------------------------------------------- */

static const test_case region_cases[] = {
    {0, {1, 1, 1, 1}},      {0, {2, 1, 1, 5}},   {0, {2, 1, 50, 4}},        {0, {2, 50, 1, 4}},
    {0, {3, 63, 20, 10}},   {0, {2, 64, 64, 3}}, {0, {3, 65, 40, 25}},      {0, {2, 128, 9, 2000}},
    {0, {4, 130, 67, 100}}, {0, {2, 40, 90, 0}}, {1, {8, 1800, 1200, 100}}, {1, {4, 3840, 2160, 100}},
};

static void region_build(check *c, const int *p) {
    int64_t masks = p[0];
    uint64_t *bits = raw_in_out(c, (size_t)(masks * p[2] * words_of(p[1])) * sizeof *bits);
    fill_masks(c, bits, masks, p[1], p[2]);
    c->args.small_regions = (samc__small_regions_args){.bits = bits,
                                                       .masks = masks,
                                                       .width = p[1],
                                                       .height = p[2],
                                                       .min_area = p[3],
                                                       .changed = raw_output(c, (size_t)masks)};
}

static void region_draw(check *c, int *p) {
    p[0] = 1 + random_below(c, 3), p[1] = random_size(c, 200), p[2] = random_size(c, 150),
    p[3] = random_below(c, 4) ? random_size(c, 200) : random_below(c, 20000);
}

/* Fills the 8-connected component of `value` at `start` of map [height, width] with `label`; returns its area. */
static int64_t flood(const uint8_t *map, int32_t *label, int32_t number, int64_t width, int64_t height, int64_t start,
                     int32_t *stack) {
    int64_t depth = 0, area = 0;
    stack[depth++] = (int32_t)start, label[start] = number;
    while (depth > 0) {
        int64_t at = stack[--depth], x = at % width, y = at / width;
        area++;
        for (int64_t v = y > 0 ? y - 1 : 0; v <= y + 1 && v < height; v++)
            for (int64_t u = x > 0 ? x - 1 : 0; u <= x + 1 && u < width; u++)
                if (map[v * width + u] == map[start] && label[v * width + u] == 0)
                    label[v * width + u] = number, stack[depth++] = (int32_t)(v * width + u);
    }
    return area;
}

/* utils/amg.remove_small_regions on map [height, width] for holes (value 0) or islands (value 1); whether any was
 * small. */
static bool remove_regions(uint8_t *map, uint8_t value, int64_t width, int64_t height, double min_area, int32_t *label,
                           int32_t *stack, int64_t *areas) {
    int32_t count = 0, largest = 0;
    bool small = false, all = true;
    memset(label, 0, (size_t)(width * height) * sizeof *label);
    for (int64_t i = 0; i < width * height; i++) {
        if (map[i] != value || label[i] != 0) continue;
        count++;
        areas[count] = flood(map, label, count, width, height, i, stack);
        if (areas[count] < min_area) small = true;
        else all = false;
        if (largest == 0 || areas[count] > areas[largest]) largest = count;
    }
    for (int64_t i = 0; i < width * height; i++)
        if (map[i] == value && areas[label[i]] < min_area && !(value && all && label[i] == largest)) map[i] = !value;
    return small;
}

static const char *region_verify(const check *c, const int *p) {
    const samc__small_regions_args *a = &c->args.small_regions;
    int64_t width = p[1], height = p[2], pixels = width * height, size = height * words_of(p[1]);
    const uint64_t *before = initial(c, a->bits);
    uint8_t *map = malloc((size_t)pixels);
    int32_t *label = malloc((size_t)pixels * sizeof *label), *stack = malloc((size_t)pixels * sizeof *stack);
    int64_t *areas = malloc((size_t)(pixels + 1) * sizeof *areas);
    const char *wrong = NULL;
    if (map == NULL || label == NULL || stack == NULL || areas == NULL) abort();
    for (int64_t m = 0; m < a->masks && wrong == NULL; m++) {
        for (int64_t i = 0; i < pixels; i++) map[i] = pixel(before + m * size, p[1], i % width, i / width);
        bool holes = remove_regions(map, 0, width, height, a->min_area, label, stack, areas);
        bool islands = remove_regions(map, 1, width, height, a->min_area, label, stack, areas);
        if (a->changed[m] != (holes || islands)) wrong = "it says wrongly whether anything was removed";
        for (int64_t i = 0; i < pixels && wrong == NULL; i++)
            if (map[i] != pixel(a->bits + m * size, p[1], i % width, i / width))
                wrong = "a pixel differs from flood fill's";
    }
    free(areas);
    free(stack);
    free(label);
    free(map);
    return wrong;
}

const row mask_rows[] = {
    {"mask_rle", "masks width height capacity", 0, 0, rle_cases, COUNT(rle_cases), rle_build, NULL, rle_verify,
     rle_draw},
    {"select_masks", "masks percent kind", 0, 0, select_cases, COUNT(select_cases), select_build, NULL, select_verify,
     select_draw},
    {"nms", "boxes percent kind", 0, 0, nms_cases, COUNT(nms_cases), nms_build, NULL, nms_verify, nms_draw},
    {"small_regions", "masks width height min_area", 0, 0, region_cases, COUNT(region_cases), region_build, NULL,
     region_verify, region_draw},
    {NULL, NULL, 0, 0, NULL, 0, NULL, NULL, NULL, NULL},
};
