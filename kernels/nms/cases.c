/* The cases of nms: boxes, threshold in thousandths, kind. */
#include "tests/checkops/checkops.h"
#include "kernels/nms/nms.h"

#include <math.h>

/* Whole pixels, as boxes of masks are: anywhere, in one cluster, all alike, without area. Any corners: scattered,
 * crowded on a coarse grid with equal boxes and equal overlaps, without area or inside out, with NaN and infinities. */
enum kind { ANYWHERE, CLUSTER, ALIKE, LINES, SCATTERED, CROWDED, INSIDE_OUT, NOT_FINITE };

static const test_case listed[] = {
    {ALL, {0, 700, ANYWHERE}},      {ALL, {1, 700, ANYWHERE}},        {ALL, {2, 500, ALIKE}},
    {ALL, {7, 0, ANYWHERE}},        {ALL, {33, 500, CLUSTER}},        {ALL, {64, 1000, ALIKE}},
    {ALL, {65, 700, LINES}},        {ALL, {200, 700, CLUSTER}},       {ALL, {257, 300, ANYWHERE}},
    {ALL, {100, 500, ALIKE}},       {MODEL, {3072, 700, ANYWHERE}},   {MODEL, {3072, 700, CLUSTER}},
    {MODEL, {1000, 700, ALIKE}},    {QUICK, {0, 700, SCATTERED}},     {QUICK, {1, 700, SCATTERED}},
    {QUICK, {2, 500, CROWDED}},     {QUICK, {32, 333, CROWDED}},      {QUICK, {33, 500, CROWDED}},
    {QUICK, {100, 100, SCATTERED}}, {QUICK, {257, 200, CROWDED}},     {QUICK, {300, 300, SCATTERED}},
    {QUICK, {70, 0, INSIDE_OUT}},   {QUICK, {70, -1000, INSIDE_OUT}}, {QUICK, {90, 700, NOT_FINITE}},
    {FULL, {1100, 700, CROWDED}},   {FULL, {3072, 700, SCATTERED}},
};

static void whole_box(check *c, enum kind kind, int64_t i, float *box) { /* equal overlaps are common */
    int span = kind == CLUSTER ? 12 : 900;
    box[0] = kind == ALIKE ? 10.0f : (float)(random_bits(c) % (uint32_t)span);
    box[1] = kind == ALIKE ? 20.0f : (float)(random_bits(c) % (uint32_t)span);
    box[2] = box[0] + (kind == LINES && i % 2 ? 0.0f : kind == ALIKE ? 30.0f : 20.0f + (float)(random_bits(c) % 60));
    box[3] = box[1] + (kind == LINES ? 0.0f : kind == ALIKE ? 40.0f : 20.0f + (float)(random_bits(c) % 60));
}

static void any_box(check *c, enum kind kind, float *box) {
    float x = random_uniform(c) * 1000, y = random_uniform(c) * 700;
    float w = 20 + random_uniform(c) * 200, h = 20 + random_uniform(c) * 200;
    if (kind == CROWDED) x = floorf(x / 100) * 50, y = floorf(y / 100) * 50, w = 100, h = 50 + floorf(h / 100) * 50;
    if (kind == INSIDE_OUT) w = (float)random_below(c, 3) * 40 - 40, h = (float)random_below(c, 3) * 40 - 40;
    box[0] = x, box[1] = y, box[2] = x + w, box[3] = y + h;
    if (kind == NOT_FINITE && random_below(c, 3) == 0) box[random_below(c, 4)] = random_below(c, 2) ? NAN : INFINITY;
}

static void nms_build(check *c, const int *p) {
    int64_t n = p[0];
    float *boxes = raw_input(c, (size_t)n * 4 * sizeof *boxes);
    int32_t *order = raw_input(c, (size_t)n * sizeof *order);
    for (int64_t i = 0; i < n; i++) {
        if (p[2] < SCATTERED) whole_box(c, (enum kind)p[2], i, boxes + 4 * i);
        else any_box(c, (enum kind)p[2], boxes + 4 * i);
        order[i] = (int32_t)i;
    }
    for (int64_t i = n - 1; i > 0; i--) {
        int64_t j = random_bits(c) % (uint32_t)(i + 1);
        int32_t t = order[i];
        order[i] = order[j], order[j] = t;
    }
    *ARGS(c, nms) = (samc__nms_args){
        .boxes = boxes, .order = order, .count = n, .threshold = p[1] / 1000.0, .keep = raw_output(c, (size_t)n)};
}

static void nms_draw(check *c, int *p) {
    p[0] = random_size(c, 301) - 1, p[1] = 10 * random_below(c, 101), p[2] = random_below(c, 4);
}

/* Each box asks those kept before it. Corners and areas are whole and exact in float, so only the quotient rounds. */
static const char *nms_verify(const check *c, const int *p) {
    const samc__nms_args *a = ARGS(c, nms);
    if (p[2] >= SCATTERED) return NULL;
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

/* Boxes are compared byte by byte, yet they are floats. */
static bool nms_plants(const check *c, const void *data) { return data == ARGS(c, nms)->boxes; }

ROW(nms) = {
    .name = "nms",
    .fields = "boxes thousandths kind",
    .cases = listed,
    .case_count = COUNT(listed),
    .build = nms_build,
    .verify = nms_verify,
    .draw = nms_draw,
    .plants = nms_plants,
};
