/* select_masks, reference. */
#include "kernels/ops.h"
#include "kernels/select_masks/select_masks.h"

samc_status samc__select_masks_check(const samc__select_masks_args *a, samc_error *error) {
    SAMC__REQUIRE(error, "select_masks", a->iou != NULL && a->count > 0 && a->count <= INT32_MAX);
    SAMC__REQUIRE(error, "select_masks", a->index != NULL && a->picked != NULL);
    return SAMC_OK;
}

double samc__select_masks_flops(const samc__select_masks_args *a) { return (double)a->count; }

samc_status samc__select_masks_ref(const samc__exec *exec, const samc__select_masks_args *a) {
    (void)exec;
    int32_t picked = 0;
    for (int32_t i = 0; i < a->count; i++)
        if (a->all || a->iou[i] > a->threshold) a->index[picked++] = i;
    *a->picked = picked;
    return SAMC_OK;
}
