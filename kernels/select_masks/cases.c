/* The cases of select_masks: masks, of a thousand how many pass, kind (0 random, 1 all pass, 2 NaN among them). One is
 * at the threshold itself and does not pass. */
#include "tests/checkops/checkops.h"
#include "kernels/select_masks/select_masks.h"

#include <math.h>

static const test_case select_cases[] = {
    {ALL, {1, 500, 0}},      {ALL, {1, 0, 1}},        {ALL, {7, 1000, 0}},     {ALL, {192, 300, 2}},
    {ALL, {1000, 500, 0}},   {ALL, {64, 0, 0}},       {MODEL, {3072, 400, 0}}, {QUICK, {1, 500, 0}},
    {QUICK, {1, 0, 1}},      {QUICK, {33, 300, 0}},   {QUICK, {192, 0, 0}},    {QUICK, {1024, 700, 2}},
    {QUICK, {1025, 999, 0}}, {QUICK, {1536, 400, 0}}, {QUICK, {3072, 400, 1}}, {FULL, {65536, 100, 2}},
};

static void select_build(check *c, const int *p) {
    int64_t n = p[0];
    float *iou = raw_input(c, (size_t)n * sizeof *iou);
    for (int64_t i = 0; i < n; i++) iou[i] = p[2] == 2 && i % 5 == 0 ? NAN : (float)(random_bits(c) % 1000) / 1000.0f;
    if (n > 1) iou[n / 2] = 1.0f - (float)p[1] / 1000.0f;
    *ARGS(c, select_masks) = (samc__select_masks_args){.iou = iou,
                                                       .count = n,
                                                       .threshold = 1.0f - (float)p[1] / 1000.0f,
                                                       .all = p[2] == 1,
                                                       .index = raw_output(c, (size_t)n * sizeof(int32_t)),
                                                       .picked = raw_output(c, sizeof(int32_t))};
}

static void select_draw(check *c, int *p) {
    p[0] = random_size(c, 3000), p[1] = 10 * (random_size(c, 101) - 1), p[2] = random_size(c, 3) - 1;
}

/* Every mask is in the list, or does not pass. */
static const char *select_verify(const check *c, const int *p) {
    const samc__select_masks_args *a = ARGS(c, select_masks);
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

ROW(select_masks) = {
    .name = "select_masks",
    .fields = "masks thousandths kind",
    .cases = select_cases,
    .case_count = COUNT(select_cases),
    .build = select_build,
    .verify = select_verify,
    .draw = select_draw,
};
