/* Masks of a scene on their way from the tiles to the files. */
#ifndef SAMC_HOST_IO_SCENE_RECORD_H
#define SAMC_HOST_IO_SCENE_RECORD_H

#include "runtime/samc.h"

/* A mask in pixels of the scene, also one that was found at a reduced level. Its run lengths are COCO's of a picture of
 * the size of its box: down the columns of the box, the first of them of zeros. The box is the smallest. */
typedef struct samc__scene_record {
    int64_t x, y, width, height;
    int64_t area;
    int64_t count;                               /* of run lengths */
    int32_t level, tile_row, tile_column, index; /* where it was found; no two of a phase have the same four */
    int32_t refined;                             /* the level that its outline was refined at, -1: none */
    int32_t cut;                                 /* sides of its window that it touches, a piece; 0: it is whole */
    int32_t reserved;                            /* 0 */
    int32_t phrase;                              /* of the labels that were asked for, -1: none */
    float phrase_score;
    float iou, stability, object;
    double point[2]; /* that found it, in pixels of the scene */
} samc__scene_record;

/* What takes masks. counts [record->count] */
typedef samc_status (*samc__scene_emit)(void *context, const samc__scene_record *record, const uint32_t *counts,
                                        samc_error *error);

#endif
