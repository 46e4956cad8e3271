/* choose_masks, reference. */
#include "kernels/choose_masks/choose_masks.h"
#include "kernels/ops.h"

#include <math.h>
#include <string.h>

samc_status samc__choose_masks_check(const samc__choose_masks_args *a, samc_error *error) {
    const int64_t p = a->iou.n[0], masks = a->iou.n[1], given = a->y_iou.n[1], side = a->logits.n[2];
    SAMC__REQUIRE(error, "choose_masks", p > 0 && masks > 0 && samc__is2(a->iou, p, masks));
    SAMC__REQUIRE(error, "choose_masks", given > 0 && samc__is2(a->y_iou, p, given));
    if (a->logits.rank == 0) {
        SAMC__REQUIRE(error, "choose_masks", a->y.rank == 0 && a->first >= 0 && a->first + given <= masks);
        return SAMC_OK;
    }
    SAMC__REQUIRE(error, "choose_masks", masks > 1 && given == 1 && side > 0);
    SAMC__REQUIRE(error, "choose_masks", samc__is4(a->logits, p, masks, side, side) && samc__is3(a->y, p, side, side));
    return SAMC_OK;
}

double samc__choose_masks_flops(const samc__choose_masks_args *a) {
    return 2.0 * (double)a->iou.n[0] * (double)(a->logits.rank ? a->logits.n[2] * a->logits.n[3] : a->iou.n[1]);
}

static float probability(float logit) { return 1.0f / (1.0f + expf(-logit)); }

static int64_t best_of(const float *iou, int64_t masks) {
    int64_t best = 1;
    for (int64_t i = 2; i < masks; i++) {
        const float x = probability(iou[i]);
        if (x > probability(iou[best]) || x != x) best = i;
    }
    return best;
}

static bool stable(const float *logits, int64_t count, float delta, float threshold) {
    int64_t above = 0, below = 0;
    for (int64_t i = 0; i < count; i++) above += logits[i] > delta, below += logits[i] > -delta;
    return below == 0 || (float)above / (float)below >= threshold;
}

static void choose(void *context, int64_t begin, int64_t end, int worker) {
    const samc__choose_masks_args *a = context;
    const int64_t masks = a->iou.n[1], given = a->y_iou.n[1], size = a->logits.n[2] * a->logits.n[3];
    (void)worker;
    for (int64_t p = begin; p < end; p++) {
        const float *iou = samc__f32(a->iou) + p * masks;
        float *y_iou = samc__f32(a->y_iou) + p * given;
        for (int64_t i = 0; i < given && a->logits.rank == 0; i++) y_iou[i] = probability(iou[a->first + i]);
        if (a->logits.rank == 0) continue;
        const float *logits = samc__f32(a->logits) + p * masks * size;
        const int64_t mask = stable(logits, size, a->delta, a->threshold) ? 0 : best_of(iou, masks);
        memcpy(samc__f32(a->y) + p * size, logits + mask * size, (size_t)size * sizeof *logits);
        *y_iou = probability(iou[mask]);
    }
}

samc_status samc__choose_masks_ref(const samc__exec *exec, const samc__choose_masks_args *a) {
    exec->parallel(exec->pool, a->iou.n[0], 1, choose, (void *)a);
    return SAMC_OK;
}
