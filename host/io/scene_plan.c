/* The tiles of a scene. */
#include "host/io/scene_plan.h"

#include "host/io/rows.h"
#include "runtime/base/status.h"

samc_status samc__scene_tiling_check(const samc__scene_tiling *t, samc_error *error) {
    if (t->tile < SAMC__SCENE_LEAST_TILE || t->tile > SAMC__SCENE_MOST_TILE)
        return samc__fail(error, SAMC_INVALID_ARGUMENT, "tile must be %d to %d pixels, not %d", SAMC__SCENE_LEAST_TILE,
                          SAMC__SCENE_MOST_TILE, t->tile);
    if (t->halo < SAMC__SCENE_LEAST_HALO || t->halo >= t->tile / 2)
        return samc__fail(error, SAMC_INVALID_ARGUMENT,
                          "halo must be at least %d pixels (masks within 20 of a tile's border are dropped) and less "
                          "than half of the tile, %d, not %d",
                          SAMC__SCENE_LEAST_HALO, t->tile, t->halo);
    if (t->levels < 0 || t->levels > SAMC__SCENE_LEVELS)
        return samc__fail(error, SAMC_INVALID_ARGUMENT, "levels must be 0 (as many as it takes) to %d, not %d",
                          SAMC__SCENE_LEVELS, t->levels);
    if (t->points < 1 || t->points > 1024)
        return samc__fail(error, SAMC_INVALID_ARGUMENT, "points_per_side must be 1 to 1024, not %d", t->points);
    return SAMC_OK;
}

/* Where the first core begins that reaches into the level, at most 0. */
static int64_t first_core(int64_t origin, int level, int tile) {
    const int64_t shift = (int64_t)1 << level;
    const int64_t at = (origin / shift - (origin % shift < 0)) % tile; /* rounded down */
    return at > 0 ? at - tile : at;
}

samc_status samc__scene_plan_make(samc__scene_plan *plan, int64_t width, int64_t height,
                                  const samc__scene_tiling *tiling, samc_error *error) {
    SAMC__TRY(samc__scene_tiling_check(tiling, error));
    if (width < 1 || height < 1 || width > SAMC__ROWS_MOST_SIDE || height > SAMC__ROWS_MOST_SIDE)
        return samc__fail(error, SAMC_UNSUPPORTED, "a scene of %lld x %lld pixels: a side has 1 to %d",
                          (long long)width, (long long)height, SAMC__ROWS_MOST_SIDE);
    *plan = (samc__scene_plan){.tiling = *tiling, .width = width, .height = height};
    const int64_t most = tiling->tile + 2 * (int64_t)tiling->halo, tile = tiling->tile;
    const int levels = tiling->levels > 0 ? tiling->levels : SAMC__SCENE_LEVELS;
    for (int i = 0; i < levels && (i == 0 || !plan->level[i - 1].whole); i++) {
        struct samc__scene_level *l = &plan->level[plan->levels++];
        l->width = samc__scene_side(width, i), l->height = samc__scene_side(height, i);
        l->whole = l->width <= most && l->height <= most;
        l->x = l->whole ? 0 : first_core(tiling->origin[0], i, tiling->tile);
        l->y = l->whole ? 0 : first_core(tiling->origin[1], i, tiling->tile);
        l->columns = l->whole ? 1 : (int)((l->width - l->x + tile - 1) / tile);
        l->rows = l->whole ? 1 : (int)((l->height - l->y + tile - 1) / tile);
    }
    return SAMC_OK;
}

/* One dimension of a tile: the core [*a, *b) and the window [*at, *at + *size) in `side` pixels. */
static void place(const samc__scene_tiling *t, int64_t first, int number, int64_t side, int64_t core[2], int64_t *at,
                  int *size) {
    const int64_t window = t->tile + 2 * (int64_t)t->halo, begin = first + (int64_t)number * t->tile;
    core[0] = begin > 0 ? begin : 0;
    core[1] = begin + t->tile < side ? begin + t->tile : side;
    *size = (int)(window < side ? window : side);
    *at = begin - t->halo;
    if (*at > side - *size) *at = side - *size;
    if (*at < 0) *at = 0;
}

samc__scene_item samc__scene_plan_item(const samc__scene_plan *plan, int level, int row, int column) {
    const struct samc__scene_level *l = &plan->level[level];
    samc__scene_item item = {.row = row, .column = column};
    samc__scene_window *w = &item.window;
    w->level = level;
    if (l->whole) {
        w->width = (int)l->width, w->height = (int)l->height;
        item.x1 = l->width, item.y1 = l->height;
        return item;
    }
    int64_t x[2], y[2];
    place(&plan->tiling, l->x, column, l->width, x, &w->x, &w->width);
    place(&plan->tiling, l->y, row, l->height, y, &w->y, &w->height);
    item.x0 = x[0], item.x1 = x[1], item.y0 = y[0], item.y1 = y[1];
    item.cut = samc__scene_cut(l->width, l->height, w);
    return item;
}

unsigned samc__scene_cut(int64_t width, int64_t height, const samc__scene_window *w) {
    return (w->x > 0 ? SAMC_SIDE_LEFT : 0) | (w->y > 0 ? SAMC_SIDE_TOP : 0) |
           (w->x + w->width < width ? SAMC_SIDE_RIGHT : 0) | (w->y + w->height < height ? SAMC_SIDE_BOTTOM : 0);
}

/* Where point k of the grid lies: (k + 1/2) tile / points, in 64ths of a pixel, so that a tile further on it is the
 * same to the last bit. */
static double grid_at(const samc__scene_tiling *t, int64_t k) {
    return (double)(((2 * k + 1) * t->tile * 64 + t->points) / (2 * (int64_t)t->points)) / 64.0;
}

/* The numbers of the grid's points in [from, to). */
static void range(const samc__scene_tiling *t, int64_t from, int64_t to, int64_t *first, int64_t *last) {
    *first = from * t->points / t->tile - 1;
    if (*first < 0) *first = 0;
    while (grid_at(t, *first) < (double)from) ++*first;
    for (*last = *first; grid_at(t, *last) < (double)to;) ++*last;
}

int64_t samc__scene_plan_points(const samc__scene_plan *plan, const samc__scene_item *item, double *xy) {
    const struct samc__scene_level *l = &plan->level[item->window.level];
    const int n = plan->tiling.points;
    int64_t x[2] = {0, n}, y[2] = {0, n};
    if (!l->whole) {
        range(&plan->tiling, item->x0, item->x1, &x[0], &x[1]);
        range(&plan->tiling, item->y0, item->y1, &y[0], &y[1]);
    }
    const int64_t count = (x[1] - x[0]) * (y[1] - y[0]);
    for (int64_t i = y[0]; xy != NULL && i < y[1]; i++)
        for (int64_t j = x[0]; j < x[1]; j++, xy += 2) {
            xy[0] = l->whole ? ((double)j + 0.5) / n * (double)l->width : grid_at(&plan->tiling, j);
            xy[1] = l->whole ? ((double)i + 0.5) / n * (double)l->height : grid_at(&plan->tiling, i);
        }
    return count;
}

int samc__scene_plan_alike(const samc__scene_plan *plan, int level, int row, int column) {
    const samc__scene_item first = samc__scene_plan_item(plan, level, row, column);
    const int64_t points = samc__scene_plan_points(plan, &first, NULL);
    int count = 1;
    for (; column + count < plan->level[level].columns; count++) {
        const samc__scene_item next = samc__scene_plan_item(plan, level, row, column + count);
        if (next.cut != first.cut || next.window.width != first.window.width ||
            next.x0 - next.window.x != first.x0 - first.window.x || next.x1 - next.x0 != first.x1 - first.x0 ||
            samc__scene_plan_points(plan, &next, NULL) != points)
            break;
    }
    return count;
}
