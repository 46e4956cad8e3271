/* The cases of small_regions: masks width height, tenths of min_area, kind. */
#include "tests/checkops/checkops.h"
#include "kernels/small_regions/small_regions.h"

#include <stdlib.h>
#include <string.h>

/* Discs: by the pattern, as fill_masks() has them. */
enum kind { DISCS, NOISE, SPARSE, DENSE, EMPTY, SET, DIAGONALS, SPIRAL, COMBS };

static const test_case region_cases[] = {
    {ALL, {1, 1, 1, 10}},
    {ALL, {2, 1, 1, 50}},
    {ALL, {2, 1, 50, 40}},
    {ALL, {2, 50, 1, 40}},
    {ALL, {3, 63, 20, 100}},
    {ALL, {2, 64, 64, 30}},
    {ALL, {3, 65, 40, 250}},
    {ALL, {2, 128, 9, 20000}},
    {ALL, {4, 130, 67, 1000}},
    {ALL, {2, 40, 90, 0}},
    {MODEL, {8, 1800, 1200, 1000}},
    {MODEL, {4, 3840, 2160, 1000}},
    {QUICK, {1, 1, 1, 20, EMPTY}},
    {QUICK, {1, 1, 1, 20, SET}},
    {QUICK, {3, 64, 33, 45, NOISE}},
    {QUICK, {2, 65, 40, 30, SPARSE}},
    {QUICK, {2, 130, 37, 50, DENSE}},
    {QUICK, {2, 63, 50, 2000, SPARSE}}, /* every island is small: the largest stays, the first of equals */
    {QUICK, {1, 200, 60, 0, NOISE}},
    {QUICK, {1, 70, 70, 100, EMPTY}},
    {QUICK, {1, 70, 70, 100000, SET}},
    {QUICK, {1, 129, 60, 400, DIAGONALS}},
    {QUICK, {1, 67, 61, 15000, SPIRAL}},
    {QUICK, {1, 150, 64, 900, COMBS}},
    {QUICK, {2, 700, 1, 25, NOISE}},
    {QUICK, {2, 1, 700, 25, NOISE}},
    {FULL, {1, 2250, 1500, 1000, DENSE}},
    {FULL, {2, 1800, 1200, 500, DIAGONALS}},
    {FULL, {1, 65535, 1, 30, NOISE}},
    {FULL, {1, 1, 65535, 30, NOISE}},
    {CUDA_FULL, {45, 2250, 1500, 1000, EMPTY}}, /* more masks than the scratch holds at a time */
};

static int least(int a, int b) { return a < b ? a : b; }

/* A spiral one pixel wide: the longest component that there is. */
static bool spiral(int x, int y, int width, int height) {
    int ring = least(least(x, y), least(width - 1 - x, height - 1 - y));
    if (x == ring && y == ring + 1 && ring % 2 == 0) return false;
    return ring % 2 == 0 || (x == ring && y == ring + 1);
}

static bool pixel_of(check *c, enum kind kind, int x, int y, int width, int height) {
    switch (kind) {
    case NOISE:
        return random_bits(c) % 2;
    case SPARSE:
        return random_bits(c) % 6 == 0;
    case DENSE:
        return random_bits(c) % 6 != 0;
    case SET:
        return true;
    case DIAGONALS:
        return (x + y) % 4 == 0 || (x - y + 4 * height) % 9 == 0;
    case SPIRAL:
        return spiral(x, y, width, height);
    case COMBS:
        return y % 8 == 0 || (x % 2 == 0 && y % 8 < 6 && (x / 2) % 5 != 0);
    default:
        return false;
    }
}

static void region_build(check *c, const int *p) {
    int64_t masks = p[0];
    uint64_t *bits = raw_in_out(c, (size_t)(masks * p[2] * words_of(p[1])) * sizeof *bits);
    enum kind kind = (enum kind)p[4];
    if (kind == DISCS) fill_masks(c, bits, masks, p[1], p[2]);
    for (int64_t m = 0; m < masks && kind != DISCS; m++)
        for (int y = 0; y < p[2]; y++)
            for (int x = 0; x < p[1]; x++)
                if (pixel_of(c, kind, x, y, p[1], p[2])) set_pixel(bits, p[1], x, m * p[2] + y);
    *ARGS(c, small_regions) = (samc__small_regions_args){.bits = bits,
                                                         .masks = masks,
                                                         .width = p[1],
                                                         .height = p[2],
                                                         .min_area = p[3] / 10.0,
                                                         .changed = raw_output(c, (size_t)masks)};
}

static void region_draw(check *c, int *p) {
    p[0] = 1 + random_below(c, 3), p[1] = random_size(c, 200), p[2] = random_size(c, 150),
    p[3] = 10 * (random_below(c, 4) ? random_size(c, 200) : random_below(c, 20000));
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
    const samc__small_regions_args *a = ARGS(c, small_regions);
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

ROW(small_regions) = {
    .name = "small_regions",
    .fields = "masks width height tenths kind",
    .cases = region_cases,
    .case_count = COUNT(region_cases),
    .build = region_build,
    .verify = region_verify,
    .draw = region_draw,
};
