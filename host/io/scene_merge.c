/* Suppression over tiles and levels. Boxes that overlap are found among those that stay, which are kept in cells: a box
 * belongs to the class of its longer side, a power of two, and to the cell of its centre, whose side is that power.
 * Sides say nothing of whether two masks are the same: a speck far off makes a box of any size. Areas do. */
#include "host/io/scene_merge.h"

#include <stdlib.h>

#include "host/io/scene_spans.h"
#include "runtime/base/status.h"

enum { CLASSES = 26 }; /* sides below 2^25 */

static int compare_whole(int64_t a, int64_t b) { return (a > b) - (a < b); }
static int compare_real(double a, double b) { return (a > b) - (a < b); }

/* Below 0: a goes first. */
static int compare(const samc__scene_record *a, const samc__scene_record *b) {
    int order;
    if ((order = compare_whole(a->level, b->level)) != 0) return order;
    if ((order = compare_real(b->iou, a->iou)) != 0) return order;
    if ((order = compare_real(b->stability, a->stability)) != 0) return order;
    if ((order = compare_whole(b->area, a->area)) != 0) return order;
    if ((order = compare_whole(a->y, b->y)) != 0 || (order = compare_whole(a->x, b->x)) != 0) return order;
    if ((order = compare_whole(a->height, b->height)) != 0 || (order = compare_whole(a->width, b->width)) != 0)
        return order;
    if ((order = compare_real(a->point[1], b->point[1])) != 0) return order;
    if ((order = compare_real(a->point[0], b->point[0])) != 0) return order;
    if ((order = compare_whole(a->tile_row, b->tile_row)) != 0) return order;
    if ((order = compare_whole(a->tile_column, b->tile_column)) != 0) return order;
    return compare_whole(a->index, b->index);
}

bool samc__scene_before(const samc__scene_record *a, const samc__scene_record *b) { return compare(a, b) < 0; }

static int by_pointer(const void *a, const void *b) {
    return compare(*(const samc__scene_record *const *)a, *(const samc__scene_record *const *)b);
}

/* Pixels that are in both boxes. */
static double box_overlap(const samc__scene_record *a, const samc__scene_record *b) {
    const int64_t x0 = a->x > b->x ? a->x : b->x, y0 = a->y > b->y ? a->y : b->y;
    const int64_t ax = a->x + a->width, ay = a->y + a->height, bx = b->x + b->width, by = b->y + b->height;
    const int64_t w = (ax < bx ? ax : bx) - x0, h = (ay < by ? ay : by) - y0;
    return w <= 0 || h <= 0 ? 0.0 : (double)w * (double)h;
}

static int class_of(const samc__scene_record *r) {
    const int64_t side = r->width > r->height ? r->width : r->height;
    int c = 0;
    while (c < CLASSES - 1 && (int64_t)2 << c <= side) c++;
    return c;
}

/* Those that stay, chained from cells: class, row and column of the cell -> the first, and from each the next; and from
 * their classes. */
typedef struct cells {
    int64_t *head; /* [mask + 1], -1: none */
    int64_t *next; /* [count] of records */
    uint64_t mask;
    int64_t *peer; /* [count] of records: the next of the class */
    struct {
        int64_t first, count; /* first only where there is any */
    } class[CLASSES];
} cells;

static uint64_t cell_of(const cells *c, int class, int64_t row, int64_t column) {
    uint64_t h = (uint64_t)row * UINT64_C(0x9E3779B97F4A7C15) ^ (uint64_t)column * UINT64_C(0xC2B2AE3D27D4EB4F) ^
                 (uint64_t) class * UINT64_C(0x165667B19E3779F9);
    h ^= h >> 29;
    h *= UINT64_C(0xBF58476D1CE4E5B9);
    return (h ^ h >> 32) & c->mask;
}

typedef struct merging {
    const samc__scene_masks *masks;
    const samc__scene_thresholds *thresholds;
    uint8_t *keep;
    cells cells;
    uint32_t *counts; /* [room] */
    int64_t room;
    samc__spans own, other;
    int64_t own_is; /* the record in `own`, -1: none */
    samc_error *error;
} merging;

static samc_status read_spans(merging *m, int64_t index, samc__spans *spans) {
    const samc__scene_record *r = &m->masks->records[index];
    if (r->count > m->room) {
        uint32_t *grown = realloc(m->counts, (size_t)r->count * sizeof *grown);
        if (grown == NULL) return samc__fail(m->error, SAMC_OUT_OF_MEMORY, "no memory for run lengths");
        m->counts = grown, m->room = r->count;
    }
    SAMC__TRY(m->masks->read(m->masks->context, index, m->counts, m->error));
    return samc__spans_of_record(spans, r, m->counts, m->error);
}

/* *same: both show one object. */
static samc_status is_same(merging *m, int64_t index, int64_t kept, bool *same) {
    const samc__scene_record *a = &m->masks->records[index], *b = &m->masks->records[kept];
    const double shared = box_overlap(a, b);
    const double all = (double)a->width * (double)a->height + (double)b->width * (double)b->height - shared;
    const double sum = (double)a->area + (double)b->area;
    double least = m->thresholds->box; /* the IoU of masks above which they are one */
    const bool better = a->level != b->level && b->iou >= a->iou;
    if ((shared / all > least || better) && m->thresholds->mask < least) least = m->thresholds->mask;
    *same = false;
    if (shared == 0.0) return SAMC_OK;                             /* also where the threshold is below 0 */
    double most = (double)(a->area < b->area ? a->area : b->area); /* pixels that they may share */
    if (shared < most) most = shared;
    if (!(most / (sum - most) > least)) return SAMC_OK;
    if (m->own_is != index) {
        SAMC__TRY(read_spans(m, index, &m->own));
        m->own_is = index;
    }
    SAMC__TRY(read_spans(m, kept, &m->other));
    const samc__span_overlap o = samc__spans_compare(&m->own, &m->other, (samc__span_box){0, 0, INT64_MAX, INT64_MAX});
    *same = (double)o.both / (double)(o.both + o.a + o.b) > least;
    return SAMC_OK;
}

/* Looks through the cells of one class around the box, or through all of the class where they are fewer. */
static samc_status look(merging *m, int64_t index, int class, bool *same) {
    const samc__scene_record *r = &m->masks->records[index];
    const cells *cells = &m->cells;
    const int64_t x = 2 * r->x + r->width, y = 2 * r->y + r->height; /* twice the centre */
    const int64_t reach_x = r->width + ((int64_t)2 << class), reach_y = r->height + ((int64_t)2 << class);
    const int shift = class + 2; /* of twice a coordinate to the number of a cell of 2^(class + 1) */
    const int64_t row0 = (y - reach_y) >> shift, row1 = (y + reach_y) >> shift;
    const int64_t column0 = (x - reach_x) >> shift, column1 = (x + reach_x) >> shift;
    if ((double)(row1 - row0 + 1) * (double)(column1 - column0 + 1) >= (double)cells->class[class].count) {
        int64_t i = cells->class[class].first;
        for (int64_t n = 0; n < cells->class[class].count && !*same; n++, i = cells->peer[i])
            SAMC__TRY(is_same(m, index, i, same));
        return SAMC_OK;
    }
    for (int64_t row = row0; row <= row1; row++)
        for (int64_t column = column0; column <= column1; column++)
            for (int64_t i = cells->head[cell_of(cells, class, row, column)]; i >= 0 && !*same; i = cells->next[i])
                SAMC__TRY(is_same(m, index, i, same));
    return SAMC_OK;
}

static void keep_one(cells *c, const samc__scene_record *r, int64_t index) {
    const int class = class_of(r), shift = class + 2;
    const uint64_t cell = cell_of(c, class, (2 * r->y + r->height) >> shift, (2 * r->x + r->width) >> shift);
    c->next[index] = c->head[cell];
    c->head[cell] = index;
    c->peer[index] = c->class[class].count++ > 0 ? c->class[class].first : -1;
    c->class[class].first = index;
}

static samc_status suppress(merging *m, const samc__scene_record *const *order) {
    const double box = m->thresholds->box, least = m->thresholds->mask < box ? m->thresholds->mask : box;
    for (int64_t i = 0; i < m->masks->count; i++) {
        const int64_t index = order[i] - m->masks->records;
        const samc__scene_record *r = order[i];
        bool same = r->cut != 0;
        for (int c = 0; c < CLASSES && box <= 1.0 && !same; c++) {
            const double side = (double)((int64_t)2 << c); /* no box of the class is as long */
            if (m->cells.class[c].count > 0 && side * side > least * (double)r->area)
                SAMC__TRY(look(m, index, c, &same));
        }
        m->keep[index] = !same;
        if (!same) keep_one(&m->cells, r, index);
    }
    return SAMC_OK;
}

samc_status samc__scene_merge(const samc__scene_masks *masks, const samc__scene_thresholds *thresholds, uint8_t *keep,
                              samc_error *error) {
    merging m = {.masks = masks, .thresholds = thresholds, .keep = keep, .own_is = -1, .error = error};
    const size_t count = (size_t)masks->count;
    size_t heads = 1024;
    if (count == 0) return SAMC_OK;
    while (heads < 2 * count) heads *= 2;
    const samc__scene_record **order = malloc(count * sizeof *order);
    m.cells.head = malloc(heads * sizeof *m.cells.head);
    m.cells.next = malloc(count * sizeof *m.cells.next);
    m.cells.peer = malloc(count * sizeof *m.cells.peer);
    m.cells.mask = heads - 1;
    samc_status status = order == NULL || m.cells.head == NULL || m.cells.next == NULL || m.cells.peer == NULL
                             ? samc__fail(error, SAMC_OUT_OF_MEMORY, "no memory to compare %zu masks", count)
                             : SAMC_OK;
    if (status == SAMC_OK) {
        for (size_t i = 0; i < heads; i++) m.cells.head[i] = -1;
        for (size_t i = 0; i < count; i++) order[i] = &masks->records[i];
        qsort(order, count, sizeof *order, by_pointer);
        status = suppress(&m, order);
    }
    free(order);
    free(m.cells.head);
    free(m.cells.next);
    free(m.cells.peer);
    free(m.counts);
    samc__spans_free(&m.own);
    samc__spans_free(&m.other);
    return status;
}
