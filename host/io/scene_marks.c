/* Masks of windows on their way to the scene. */
#include "host/io/scene_marks.h"

#include <stdlib.h>

#include "runtime/base/status.h"

void samc__marks_begin(samc__marks *m, const samc__scene_plan *plan) { *m = (samc__marks){.plan = plan}; }

void samc__marks_end(samc__marks *m) {
    free(m->counts);
    samc__spans_free(&m->level);
    samc__spans_free(&m->scene);
    *m = (samc__marks){0};
}

/* Without pixels that are not valid. */
static samc_status cut(const samc__spans *all, const samc__scene_window *w, const uint8_t *valid, samc__spans *left,
                       samc_error *error) {
    left->count = 0;
    for (int64_t i = 0; i < all->count; i++) {
        const samc__span *s = &all->at[i];
        const uint8_t *column = valid + (s->x - w->x);
        for (int64_t y = s->y0, end; y < s->y1; y = end) {
            for (end = y; end < s->y1 && column[(end - w->y) * w->width] != 0;) end++;
            if (end > y) SAMC__TRY(samc__spans_add(left, (samc__span){s->x, (int32_t)y, (int32_t)end}, error));
            else end++;
        }
    }
    return SAMC_OK;
}

samc_status samc__marks_set(samc__marks *m, const samc_mask *mask, const samc__scene_window *w, const uint8_t *valid,
                            bool *any, samc_error *error) {
    samc__spans *level = &m->level, *scene = &m->scene;
    *any = false;
    if (mask->count_length > m->room) {
        uint32_t *grown = realloc(m->counts, mask->count_length * sizeof *grown);
        if (grown == NULL) return samc__fail(error, SAMC_OUT_OF_MEMORY, "no memory for run lengths");
        m->counts = grown, m->room = mask->count_length;
    }
    SAMC__TRY(samc_mask_counts(mask, m->counts, error));
    SAMC__TRY(samc__spans_of_counts(level, m->counts, (int64_t)mask->count_length, w->x, w->y, w->height, error));
    if (valid != NULL) {
        SAMC__TRY(cut(level, w, valid, scene, error));
        const samc__spans whole = *level;
        *level = *scene, *scene = whole;
        if (2 * samc__spans_area(level) < mask->area) return SAMC_OK;
    }
    SAMC__TRY(samc__spans_enlarge(level, 1 << w->level, m->plan->width, m->plan->height, scene, error));
    *any = scene->count > 0;
    return SAMC_OK;
}

samc_status samc__marks_emit(const samc__marks *m, samc__scene_record *record, samc__scene_emit emit, void *context,
                             samc_error *error) {
    uint32_t *counts;
    SAMC__TRY(samc__spans_to_record(&m->scene, record, &counts, error));
    const samc_status status = emit(context, record, counts, error);
    free(counts);
    return status;
}
