/* From the pixels of a tile to the masks of its points. */
#include "host/io/scene_engine.h"

#include <stdlib.h>
#include <string.h>

#include "host/io/samc_io.h"
#include "host/io/scene_marks.h"
#include "runtime/base/status.h"

/* Tiles in one call of samc_auto(). */
typedef struct work {
    const samc__scene_engine *engine;
    const samc__scene_item *items;
    const uint8_t *const *valid;
    samc__scene_emit emit;
    void *context;
    samc__marks marks;
    samc_status status; /* of the callback, with *error */
    samc_error *error;
} work;

/* Sides of the window, of those that are cut, that a mask comes near: as near as samc_auto() drops it for. */
static unsigned touches(const samc__scene_item *item, const samc_mask *mask) {
    enum { NEAR = 20 };
    const int x0 = mask->bbox[0], y0 = mask->bbox[1], x1 = x0 + mask->bbox[2], y1 = y0 + mask->bbox[3];
    return item->cut & ((x0 <= NEAR ? SAMC_SIDE_LEFT : 0u) | (y0 <= NEAR ? SAMC_SIDE_TOP : 0u) |
                        (x1 >= item->window.width - NEAR ? SAMC_SIDE_RIGHT : 0u) |
                        (y1 >= item->window.height - NEAR ? SAMC_SIDE_BOTTOM : 0u));
}

/* Whether the level below cannot have seen it whole in some tile: a mask that is no longer than the halo without its
 * border lies inside the window of each point on it, and finer tiles have had their chance. */
static bool too_small(const samc__scene_plan *plan, const samc__scene_window *window, const samc_mask *mask) {
    const int64_t side = mask->bbox[2] > mask->bbox[3] ? mask->bbox[2] : mask->bbox[3];
    return window->level > 0 && 2 * (side + 1) <= plan->tiling.halo - 20;
}

static samc_status emit_mask(work *w, int number, const samc_mask *mask) {
    const samc__scene_item *item = &w->items[number];
    const samc__scene_engine *e = w->engine;
    const double factor = (double)((int64_t)1 << item->window.level);
    if (mask->area == 0 || too_small(e->plan, &item->window, mask)) return SAMC_OK;
    samc__scene_record r = {.level = item->window.level,
                            .tile_row = item->row,
                            .tile_column = item->column,
                            .index = mask->index,
                            .refined = -1,
                            .cut = e->pieces ? (int32_t)touches(item, mask) : 0,
                            .phrase = mask->label != NULL ? mask->phrase : -1,
                            .phrase_score = mask->label != NULL ? mask->score : 0.0f,
                            .iou = mask->predicted_iou,
                            .stability = mask->stability_score,
                            .object = mask->object_score};
    const int64_t corner[2] = {item->window.x, item->window.y};
    for (int i = 0; i < 2; i++) r.point[i] = ((double)corner[i] + mask->point[i] + 0.5) * factor - 0.5;
    if (r.cut != 0 && item->window.level > 0) return SAMC_OK;
    bool any;
    SAMC__TRY(samc__marks_set(&w->marks, mask, &item->window, w->valid[number], &any, w->error));
    if (!any) return SAMC_OK;
    return samc__marks_emit(&w->marks, &r, w->emit, w->context, w->error);
}

/* The callback of samc_auto(). */
static samc_status take(void *context, int number, const samc_mask *masks, int count, const samc_auto_stats *stats) {
    (void)stats;
    work *w = context;
    for (int i = 0; i < count && w->status == SAMC_OK; i++) w->status = emit_mask(w, number, samc_mask_at(masks, i));
    return w->status;
}

/* The same with labels on the masks. */
typedef struct labelled {
    work *work;
    const samc_image *images;
} labelled;

static samc_status take_labelled(void *context, int number, const samc_mask *masks, int count,
                                 const samc_auto_stats *stats) {
    const labelled *l = context;
    work *w = l->work;
    samc_mask *own = count > 0 ? malloc((size_t)count * sizeof *own) : NULL;
    if (count == 0) return SAMC_OK;
    if (own == NULL) return w->status = samc__fail(w->error, SAMC_OUT_OF_MEMORY, "no memory to label %d masks", count);
    for (int i = 0; i < count; i++) own[i] = *samc_mask_at(masks, i);
    w->status = samc_label_masks(w->engine->labels, &l->images[number], own, count, w->error);
    if (w->status == SAMC_OK) take(w, number, own, count, stats);
    free(own);
    return w->status;
}

/* The points of an item that lie on data, in parts of its window; *count of them, to be freed. */
static samc_status points_of(const samc__scene_plan *plan, const samc__scene_item *item, const uint8_t *valid,
                             double **xy, int64_t *count, samc_error *error) {
    const samc__scene_window *w = &item->window;
    const int64_t all = samc__scene_plan_points(plan, item, NULL);
    *count = 0;
    *xy = malloc((size_t)(2 * all + 1) * sizeof **xy);
    if (*xy == NULL) return samc__fail(error, SAMC_OUT_OF_MEMORY, "no memory for the points of a tile");
    samc__scene_plan_points(plan, item, *xy);
    for (int64_t i = 0; i < all; i++) {
        const double x = (*xy)[2 * i] - (double)w->x, y = (*xy)[2 * i + 1] - (double)w->y;
        int64_t column = (int64_t)(x + 0.5), row = (int64_t)(y + 0.5);
        if (column >= w->width) column = w->width - 1;
        if (row >= w->height) row = w->height - 1;
        if (valid != NULL && valid[row * w->width + column] == 0) continue;
        (*xy)[2 * *count] = x / w->width;
        (*xy)[2 * (*count)++ + 1] = y / w->height;
    }
    return SAMC_OK;
}

/* Images of one shape with the same points. */
static samc_status automatic(work *w, const uint8_t *const *rgb, int count, const double *xy, int64_t points) {
    const samc__scene_engine *e = w->engine;
    const samc__scene_window *window = &w->items[0].window;
    const samc_point_grid grid = {.size = sizeof grid, .xy = xy, .count = (int)points};
    samc_auto_options options = *e->automatic;
    options.crop_n_layers = 0;
    options.point_grids = &grid;
    options.cut_sides = e->pieces && window->level == 0 ? 0 : w->items[0].cut;
    samc_image *images = calloc((size_t)count, sizeof *images);
    if (images == NULL) return samc__fail(w->error, SAMC_OUT_OF_MEMORY, "no memory for %d tiles", count);
    for (int i = 0; i < count; i++)
        images[i] = (samc_image){.size = sizeof *images,
                                 .pixels = rgb[i],
                                 .width = window->width,
                                 .height = window->height,
                                 .row_bytes = 3 * (ptrdiff_t)window->width};
    labelled with_labels = {w, images};
    const samc_status status = samc_auto(e->session, images, count, &options, e->labels ? take_labelled : take,
                                         e->labels ? (void *)&with_labels : (void *)w);
    free(images);
    return w->status != SAMC_OK ? w->status : samc_session_check(e->session, status, "a tile", w->error);
}

samc_status samc__scene_tiles(const samc__scene_engine *engine, const samc__scene_item *items, int count,
                              const uint8_t *const *rgb, const uint8_t *const *valid, samc__scene_emit emit,
                              void *context, samc_error *error) {
    work w = {.engine = engine, .emit = emit, .context = context, .error = error};
    const int64_t all = samc__scene_plan_points(engine->plan, &items[0], NULL);
    samc_status status = SAMC_OK;
    samc__marks_begin(&w.marks, engine->plan);
    for (int i = 0, together; i < count && status == SAMC_OK; i += together) {
        double *xy;
        int64_t points;
        w.items = items + i, w.valid = valid + i;
        status = points_of(engine->plan, &items[i], valid[i], &xy, &points, error);
        for (together = 1; points == all && i + together < count && status == SAMC_OK; together++) {
            double *others;
            int64_t more;
            status = points_of(engine->plan, &items[i + together], valid[i + together], &others, &more, error);
            const bool alike = more == all && memcmp(xy, others, (size_t)(2 * all) * sizeof *xy) == 0;
            free(others);
            if (!alike) break;
        }
        if (status == SAMC_OK && points > 0) status = automatic(&w, rgb + i, together, xy, points);
        free(xy);
    }
    samc__marks_end(&w.marks);
    return status;
}
