/* From the pixels of a tile to the masks of its points, and from a mask of a reduced level to its outline at a finer
 * one. Both are functions of their pixels, the plan and the options alone: in what order and on which session they are
 * called changes nothing. */
#ifndef SAMC_HOST_IO_SCENE_ENGINE_H
#define SAMC_HOST_IO_SCENE_ENGINE_H

#include "host/io/scene_merge.h"
#include "host/io/scene_plan.h"

/* One for each session; nothing of it is its own. */
typedef struct samc__scene_engine {
    const samc__scene_plan *plan;
    samc_session *session;
    const samc_model *model;            /* the session's */
    const samc_auto_options *automatic; /* whole; its grids and crops are not looked at */
    const samc_phrases *labels;         /* of masks, or NULL */
    bool pieces;                        /* masks that a window cuts are given too, marked, for samc__scene_stitch() */
} samc__scene_engine;

/* Tiles that are alike (samc__scene_plan_alike()), together. rgb [count] pictures [height, width, 3] of their windows,
 * valid [count] or NULL each, as a source gives them. Emits what the tile's own filters leave, tile by tile. */
samc_status samc__scene_tiles(const samc__scene_engine *engine, const samc__scene_item *items, int count,
                              const uint8_t *const *rgb, const uint8_t *const *valid, samc__scene_emit emit,
                              void *context, samc_error *error);

/* A refined outline is the same object as what it was asked with where their IoU is above this. */
#define SAMC__SCENE_SAME_IOU 0.6

/* Masks of reduced levels that are refined in one window. */
typedef struct samc__scene_refining {
    samc__scene_window window;
    unsigned cut;
    const int64_t *order; /* [count] indices of records */
    int64_t count;
} samc__scene_refining;

typedef struct samc__scene_refine_plan {
    samc__scene_refining *items; /* [count], by level, then from top to bottom */
    int64_t count;
    int64_t *order; /* theirs, item by item but for the order of the items */
} samc__scene_refine_plan;

/* Where the survivors of suppression (`keep` [count], NULL: all) are refined: those of a reduced level that fit whole
 * into a window of a finer one. */
samc_status samc__scene_refine_plan_make(samc__scene_refine_plan *refine, const samc__scene_plan *plan,
                                         const samc__scene_record *records, int64_t count, const uint8_t *keep,
                                         samc_error *error);
void samc__scene_refine_plan_free(samc__scene_refine_plan *refine);
/* One item of it: asks for each mask with its box and itself, and emits the answer in its place (same level, tile and
 * index, `refined` set) where it is the same object and no less stable, else the record as it is. `reader` gives run
 * lengths. */
samc_status samc__scene_refine(const samc__scene_engine *engine, const samc__scene_refining *item, const uint8_t *rgb,
                               const uint8_t *valid, const samc__scene_masks *masks, samc__scene_emit emit,
                               void *context, samc_error *error);

#endif
