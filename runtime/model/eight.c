/* Weights of 8 bits and their scales: checking and reading. */
#include "runtime/model/eight.h"

#include <stdio.h>
#include <string.h>

#include "runtime/base/eight_bits.h"

const samc__tensor *samc__eight_scales(const samc__checkpoint *checkpoint, const samc__entry *e) {
    char name[sizeof e->name + 8];
    snprintf(name, sizeof name, "%s.scale", e->name);
    return samc__checkpoint_find(checkpoint, name);
}

/* Every scale is a positive number, large enough that a row of it is no denormal. */
static bool are_scales(const samc__tensor *scales) {
    for (int64_t i = 0; i < scales->shape[0]; i++) {
        float scale;
        samc__tensor_copy_f32(scales, i, 1, &scale);
        if (!(scale >= 0x1p-126f && scale <= 0x1p126f)) return false; /* NaN is refused */
    }
    return true;
}

const samc__tensor *samc__eight_check(const samc__checkpoint *checkpoint, const samc__entry *e, samc__report *report) {
    const samc__tensor *scales = samc__eight_scales(checkpoint, e);
    if (!e->eight) {
        samc__report_add(report, "in 8 bits, which is for other tensors:", "%s", e->name);
    } else if (scales == NULL) {
        samc__report_add(report, "without the scales of its 8 bits:", "%s", e->name);
    } else if (scales->dtype != SAMC__F32) {
        samc__report_add(report, "scales that are not f32:", "%s.scale", e->name);
    } else if (scales->rank != 1 || scales->shape[0] != e->shape[0]) {
        samc__report_add(report, "misshapen", "%s.scale %s instead of %s", e->name,
                         samc__shape_text(scales->rank, scales->shape).text, samc__shape_text(1, e->shape).text);
    } else if (!are_scales(scales)) {
        samc__report_add(report, "scales that are not positive numbers:", "%s.scale", e->name);
    } else {
        return scales;
    }
    return NULL;
}

void samc__eight_floats(const samc__checkpoint *checkpoint, const samc__entry *e, int64_t first, int64_t count,
                        float *values) {
    const samc__tensor *found = samc__checkpoint_find(checkpoint, e->name);
    const int64_t k = e->view->n[1];
    if (found->dtype != SAMC__I8) {
        samc__tensor_copy_f32(found, first * k, count * k, values);
        return;
    }
    const samc__tensor *scales = samc__eight_scales(checkpoint, e);
    for (int64_t r = 0; r < count; r++, values += k) {
        /* The bytes lie at the end of their row's floats, and each is read before a float gets there. */
        const int8_t *q = (const int8_t *)(values + k) - k;
        float scale;
        samc__tensor_copy_raw(found, (first + r) * k, k, (void *)q);
        samc__tensor_copy_f32(scales, first + r, 1, &scale);
        for (int64_t i = 0; i < k; i++) {
            const float value = scale * q[i];
            memcpy(values + i, &value, sizeof value);
        }
    }
}

samc_status samc__eight_rows(const samc__checkpoint *checkpoint, const samc__entry *e, int64_t first, int64_t count,
                             float *values, int8_t *q, float *scales, samc_error *error) {
    const samc__tensor *found = samc__checkpoint_find(checkpoint, e->name);
    const int64_t k = e->view->n[1];
    if (found->dtype == SAMC__I8) {
        samc__tensor_copy_raw(found, first * k, count * k, q);
        samc__tensor_copy_f32(samc__eight_scales(checkpoint, e), first, count, scales);
        return SAMC_OK;
    }
    samc__tensor_copy_f32(found, first * k, count * k, values);
    for (int64_t r = 0; r < count; r++) {
        scales[r] = samc__int8_row(values + r * k, k, q + r * k);
        if (!(scales[r] <= 0x1p126f))
            return samc__fail(error, SAMC_UNSUPPORTED, "%s: tensor %s is not finite: 8 bits cannot hold it",
                              checkpoint->label, e->name);
    }
    return SAMC_OK;
}

bool samc__eight_stored(const samc__tensor_list *list, const samc__checkpoint *checkpoint) {
    for (size_t i = 0; i < list->count; i++) {
        const samc__tensor *found = samc__checkpoint_find(checkpoint, list->at[i].name);
        if (found != NULL && found->dtype == SAMC__I8) return true;
    }
    return false;
}

samc_status samc__eight_possible(const samc__tensor_list *list, const samc__checkpoint *checkpoint, samc_error *error) {
    for (size_t i = 0; i < list->count; i++)
        if (list->at[i].eight) return SAMC_OK;
    return samc__fail(error, SAMC_UNSUPPORTED, "%s: this model has no layers that samc keeps in 8 bits",
                      checkpoint->label);
}
