/* The cases of nms: boxes, threshold in percent, kind (0 anywhere, 1 one cluster, 2 all alike, 3 no area). */
#include "tests/checkops/checkops.h"
#include "kernels/nms/nms.h"

static const test_case listed[] = {
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
    *ARGS(c, nms) = (samc__nms_args){
        .boxes = boxes, .order = order, .count = n, .threshold = p[1] / 100.0, .keep = raw_output(c, (size_t)n)};
}

static void nms_draw(check *c, int *p) {
    p[0] = random_size(c, 301) - 1, p[1] = random_below(c, 101), p[2] = random_below(c, 4);
}

/* Each box asks those kept before it. Corners and areas are whole and exact in float, so only the quotient rounds. */
static const char *nms_verify(const check *c, const int *p) {
    const samc__nms_args *a = ARGS(c, nms);
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

/* Boxes are compared byte by byte, yet they are floats. */
static bool nms_plants(const check *c, const void *data) { return data == ARGS(c, nms)->boxes; }

ROW(nms) = {
    .name = "nms",
    .fields = "boxes percent kind",
    .cases = listed,
    .case_count = COUNT(listed),
    .build = nms_build,
    .verify = nms_verify,
    .draw = nms_draw,
    .plants = nms_plants,
};
