/* Which tiles a scene is worked on in. At every level, from full resolution to the one that a single tile covers, the
 * scene is cut into cores of `tile` pixels a side; the model sees a core with `halo` pixels around it, the window. A
 * point of the grid belongs to the one core that it lies in. The grid is anchored to the scene and the cores to an
 * origin, so that moving the tiles moves no point. */
#ifndef SAMC_HOST_IO_SCENE_PLAN_H
#define SAMC_HOST_IO_SCENE_PLAN_H

#include "host/io/scene_source.h"

enum { SAMC__SCENE_LEAST_TILE = 128, SAMC__SCENE_MOST_TILE = 8192, SAMC__SCENE_LEAST_HALO = 32 };

typedef struct samc__scene_tiling {
    int tile, halo;
    int levels;        /* 0: until one tile covers the scene; else at most so many */
    int points;        /* along a core's side */
    int64_t origin[2]; /* of a core, in pixels of the scene; any */
} samc__scene_tiling;

typedef struct samc__scene_plan {
    samc__scene_tiling tiling;
    int64_t width, height; /* of the scene */
    int levels;
    struct samc__scene_level {
        int64_t width, height;
        int64_t x, y;      /* where the first core begins, at most 0 */
        int rows, columns; /* of tiles */
        bool whole;        /* one tile, which sees all of it; its points are samc_auto()'s of a whole image */
    } level[SAMC__SCENE_LEVELS];
} samc__scene_plan;

/* What one tile is. All in pixels of its level. */
typedef struct samc__scene_item {
    int row, column;
    samc__scene_window window;
    int64_t x0, y0, x1, y1; /* the core, inside the level */
    unsigned cut;           /* SAMC_SIDE_ bits: sides of the window that are not the scene's */
} samc__scene_item;

/* SAMC_INVALID_ARGUMENT names the number that is none. */
samc_status samc__scene_tiling_check(const samc__scene_tiling *tiling, samc_error *error);
samc_status samc__scene_plan_make(samc__scene_plan *plan, int64_t width, int64_t height,
                                  const samc__scene_tiling *tiling, samc_error *error);
samc__scene_item samc__scene_plan_item(const samc__scene_plan *plan, int level, int row, int column);
/* The sides of a window that a level of this size has more beyond. */
unsigned samc__scene_cut(int64_t width, int64_t height, const samc__scene_window *window);
/* How many tiles of the row, from this column on, have windows, cores and points of one shape, and may go through the
 * model together; at least 1. */
int samc__scene_plan_alike(const samc__scene_plan *plan, int level, int row, int column);
/* The points of an item, x and y of the level's pixels, row by row; returns how many. xy NULL: only that. */
int64_t samc__scene_plan_points(const samc__scene_plan *plan, const samc__scene_item *item, double *xy);

#endif
