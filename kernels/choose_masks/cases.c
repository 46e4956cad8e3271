/* The cases of choose_masks: prompts masks side (0: without logits) given first, kind of the first mask: 0 random, 1
 * nothing above, 2 all far above, 3 with NaN; 4: the IoU are the same. */
#include "kernels/choose_masks/choose_masks.h"
#include "tests/checkops/book.h"
#include "tests/checkops/checkops.h"

#include <math.h>

static const test_case choose_cases[] = {
    {ALL, {1, 4, 0, 3, 1, 0}},  {ALL, {5, 4, 0, 1, 0, 0}},      {ALL, {2, 2, 1, 1, 0, 0}},
    {ALL, {3, 4, 5, 1, 0, 1}},  {ALL, {4, 4, 12, 1, 0, 2}},     {ALL, {3, 5, 33, 1, 0, 0}},
    {ALL, {2, 4, 16, 1, 0, 4}}, {QUICK, {2, 4, 8, 1, 0, 3}},    {QUICK, {70, 4, 0, 3, 1, 0}},
    {ALL, {6, 4, 40, 1, 0, 0}}, {MODEL, {64, 4, 256, 1, 0, 0}}, {MODEL, {1, 4, 256, 1, 0, 0}},
};

static void choose_build(check *c, const int *p) {
    const int64_t prompts = p[0], masks = p[1], side = p[2];
    samc__choose_masks_args *a = ARGS(c, choose_masks);
    float *iou = raw_input(c, (size_t)(prompts * masks) * sizeof *iou);
    for (int64_t i = 0; i < prompts * masks; i++) iou[i] = p[5] == 4 ? 20.0f : 8.0f * random_normal(c);
    *a = (samc__choose_masks_args){.iou = samc__view2(iou, prompts, masks),
                                   .y_iou = samc__view2(output(c, prompts * p[3]), prompts, p[3]),
                                   .first = p[4],
                                   .delta = 0.05f,
                                   .threshold = 0.98f};
    if (side == 0) return;
    float *logits = raw_input(c, (size_t)(prompts * masks * side * side) * sizeof *logits);
    for (int64_t i = 0; i < prompts * masks * side * side; i++) {
        /* Every other prompt's are near the threshold of stability, or far above it. */
        const int64_t prompt = i / (masks * side * side), first = i / (side * side) % masks == 0;
        logits[i] = random_normal(c) * (prompt % 2 ? 1.0f : 60.0f);
        if (first && p[5] == 1) logits[i] = -1.0f;
        if (first && p[5] == 2) logits[i] = 5.0f;
        if (first && p[5] == 3 && i % 7 == 0) logits[i] = NAN;
    }
    a->logits = samc__view4(logits, prompts, masks, side, side);
    a->y = samc__view3(raw_output(c, (size_t)(prompts * side * side) * sizeof(float)), prompts, side, side);
}

static void choose_draw(check *c, int *p) {
    p[0] = random_size(c, 9), p[1] = 1 + random_size(c, 6), p[2] = random_below(c, 3) ? random_size(c, 40) : 0;
    p[4] = p[2] ? 0 : random_below(c, p[1]), p[3] = p[2] ? 1 : 1 + random_below(c, p[1] - p[4]),
    p[5] = random_below(c, 5);
}

static bool choose_narrow(check *c, const int *p) {
    samc__choose_masks_args *a = ARGS(c, choose_masks);
    const int64_t masks = p[1], side = p[2];
    a->iou = samc__view2(samc__f32(a->iou) + (p[0] - 1) * masks, 1, masks);
    a->y_iou = samc__view2(samc__f32(a->y_iou) + (p[0] - 1) * (int64_t)p[3], 1, p[3]);
    if (side > 0) a->logits = last_of(a->logits), a->y = last_of(a->y);
    return p[0] > 1;
}

/* Which mask is chosen of prompt `prompt`, by counting in another order: from the last pixel and mask on. */
static int64_t chosen(const samc__choose_masks_args *a, int64_t prompt) {
    const int64_t masks = a->iou.n[1], size = a->logits.n[2] * a->logits.n[3];
    const float *iou = samc__f32(a->iou) + prompt * masks, *logits = samc__f32(a->logits) + prompt * masks * size;
    int64_t above = 0, below = 0, best = masks - 1;
    for (int64_t i = size - 1; i >= 0; i--) above += logits[i] > 0.05f, below += logits[i] > -0.05f;
    for (int64_t i = masks - 2; i > 0; i--)
        if (1.0f / (1.0f + expf(-iou[i])) >= 1.0f / (1.0f + expf(-iou[best]))) best = i;
    return (float)above >= 0.98f * (float)below ? 0 : best;
}

static void choose_book(book *b, const check *c) {
    const samc__choose_masks_args *a = ARGS(c, choose_masks);
    const double *iou = values(b, a->iou);
    const int64_t given = a->y_iou.n[1];
    double *y = result(b, a->y_iou);
    for (int64_t prompt = 0; prompt < a->iou.n[0]; prompt++)
        for (int64_t i = 0; i < given; i++)
            y[prompt * given + i] =
                1.0 / (1.0 + exp(-iou[prompt * a->iou.n[1] + (a->logits.rank ? chosen(a, prompt) : a->first + i)]));
}

/* The logits are those of the mask that is to be chosen. */
static const char *choose_verify(const check *c, const int *p) {
    const samc__choose_masks_args *a = ARGS(c, choose_masks);
    const int64_t size = (int64_t)p[2] * p[2];
    for (int64_t prompt = 0; prompt < a->iou.n[0] && p[2] > 0; prompt++) {
        const int64_t mask = chosen(a, prompt);
        const float *from = samc__f32(a->logits) + (prompt * p[1] + mask) * size, *y = samc__f32(a->y) + prompt * size;
        for (int64_t i = 0; i < size; i++)
            if (y[i] != from[i] && (y[i] == y[i] || mask != 0)) return "another mask was to be chosen";
    }
    return NULL;
}

ROW(choose_masks) = {
    .name = "choose_masks",
    .fields = "prompts masks side given first kind",
    .nmse = 1e-13, /* the exponential's last places */
    .deviation = 1e-6,
    .cases = choose_cases,
    .case_count = COUNT(choose_cases),
    .build = choose_build,
    .narrow = choose_narrow,
    .verify = choose_verify,
    .draw = choose_draw,
    .book = choose_book,
    .last_place = 0x1p-20, /* CUDA's expf may be two last places off, the reference's be exact */
};
