/* nms, reference: every kept box against every later one. */
#include "kernels/ops.h"
#include "kernels/nms/nms.h"

samc_status samc__nms_check(const samc__nms_args *a, samc_error *error) {
    SAMC__REQUIRE(error, "nms",
                  a->count >= 0 && (a->count == 0 || (a->boxes != NULL && a->order != NULL && a->keep != NULL)));
    return SAMC_OK;
}

double samc__nms_flops(const samc__nms_args *a) { return 6.0 * (double)a->count * (double)a->count; }

static float area(const float *box) { return (box[2] - box[0]) * (box[3] - box[1]); }

static float overlap(const float *a, const float *b) {
    float x0 = a[0] > b[0] ? a[0] : b[0], x1 = a[2] < b[2] ? a[2] : b[2];
    float y0 = a[1] > b[1] ? a[1] : b[1], y1 = a[3] < b[3] ? a[3] : b[3];
    float w = x1 - x0 > 0.0f ? x1 - x0 : 0.0f, h = y1 - y0 > 0.0f ? y1 - y0 : 0.0f;
    return w * h;
}

samc_status samc__nms_ref(const samc__exec *exec, const samc__nms_args *a) {
    /* Here and not in the check, whose arguments may be in a GPU's memory. */
    for (int64_t i = 0; i < a->count; i++)
        SAMC__REQUIRE(exec->error, "nms", a->order[i] >= 0 && a->order[i] < a->count);
    for (int64_t i = 0; i < a->count; i++) a->keep[i] = 1;
    for (int64_t i = 0; i < a->count; i++) {
        const float *box = a->boxes + 4 * (int64_t)a->order[i];
        if (!a->keep[a->order[i]]) continue;
        for (int64_t j = i + 1; j < a->count; j++) {
            const float *other = a->boxes + 4 * (int64_t)a->order[j];
            float shared = overlap(box, other), iou = shared / (area(box) + area(other) - shared);
            if (iou > a->threshold) a->keep[a->order[j]] = 0;
        }
    }
    return SAMC_OK;
}
