/* A mask of a window on its way to the scene: cut to what has data, enlarged to full resolution, made a record. */
#ifndef SAMC_HOST_IO_SCENE_MARKS_H
#define SAMC_HOST_IO_SCENE_MARKS_H

#include "host/io/scene_plan.h"
#include "host/io/scene_spans.h"

typedef struct samc__marks {
    const samc__scene_plan *plan;
    uint32_t *counts; /* [room] */
    size_t room;
    samc__spans level, scene; /* the mask in pixels of its level, and in those of the scene */
} samc__marks;

void samc__marks_begin(samc__marks *marks, const samc__scene_plan *plan);
void samc__marks_end(samc__marks *marks);
/* Takes a mask of a window, as both are in the window's level, without the pixels that are not `valid` (NULL: all are).
 * *any: at least half of it is left. */
samc_status samc__marks_set(samc__marks *marks, const samc_mask *mask, const samc__scene_window *window,
                            const uint8_t *valid, bool *any, samc_error *error);
/* Emits it with the record's box, area and count filled in. */
samc_status samc__marks_emit(const samc__marks *marks, samc__scene_record *record, samc__scene_emit emit, void *context,
                             samc_error *error);

#endif
