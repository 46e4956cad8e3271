/* One mask for one object of a scene: suppression over tiles and levels, and on demand the pieces of what no tile sees
 * whole put together. What comes out does not depend on the order of the records. */
#ifndef SAMC_HOST_IO_SCENE_MERGE_H
#define SAMC_HOST_IO_SCENE_MERGE_H

#include "host/io/scene_plan.h"
#include "host/io/scene_record.h"

/* Records and where their run lengths are. */
typedef struct samc__scene_masks {
    const samc__scene_record *records; /* [count] */
    int64_t count;
    /* Fills counts [records[index].count]. */
    samc_status (*read)(void *context, int64_t index, uint32_t *counts, samc_error *error);
    void *context;
} samc__scene_masks;

/* The second of these where nobody says otherwise. */
#define SAMC__SCENE_MASK_IOU 0.5

/* When two masks are one object: their IoU is above `box`; or that of their boxes is, which is how samc_auto() compares
 * within a tile, and their own still above `mask`; or they are of two levels, the finer one is as sure of itself as the
 * other (whose outline is the coarser: a ring around it), and their own is above `mask`. With `box` above 1 nothing is
 * suppressed. */
typedef struct samc__scene_thresholds {
    double box, mask;
} samc__scene_thresholds;

/* Whether a goes before b: the finer level, then the higher predicted IoU, then by what the masks are; a total order,
 * in which no tile has a say unless two masks are the same. */
bool samc__scene_before(const samc__scene_record *a, const samc__scene_record *b);

/* Greedy, in that order: keep [count] becomes 1 of what stays. Records with `cut` set are pieces: they are 0 and
 * suppress nothing. Reads run lengths of records whose boxes say that they may be the same. */
samc_status samc__scene_merge(const samc__scene_masks *masks, const samc__scene_thresholds *thresholds, uint8_t *keep,
                              samc_error *error);

/* Pieces (records of level 0 whose `cut` is not 0) of neighbouring tiles whose IoU in what both windows see is above
 * 0.5 become one mask; emits those of at least two pieces, with the level, tile and index of their first piece. */
samc_status samc__scene_stitch(const samc__scene_masks *masks, const samc__scene_plan *plan, samc__scene_emit emit,
                               void *context, samc_error *error);

#endif
