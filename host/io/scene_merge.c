/* Suppression over tiles and levels. Boxes that may overlap enough are found among those that stay, which are kept in
 * cells: a box belongs to the class of its longer side, a power of two, and to the cell of its centre, whose side is
 * that power. */
#include "host/io/scene_merge.h"

#include <math.h>
#include <stdlib.h>

#include "host/io/scene_spans.h"
#include "runtime/base/status.h"

enum { CLASSES = 26 }; /* sides below 2^25 */
/* Of boxes whose IoU is lower masks are not compared: specks far from a mask make its box large, but not that large. */
#define LEAST_BOX 0.2

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

static double box_iou(const samc__scene_record *a, const samc__scene_record *b) {
    const int64_t x0 = a->x > b->x ? a->x : b->x, y0 = a->y > b->y ? a->y : b->y;
    const int64_t ax = a->x + a->width, ay = a->y + a->height, bx = b->x + b->width, by = b->y + b->height;
    const int64_t w = (ax < bx ? ax : bx) - x0, h = (ay < by ? ay : by) - y0;
    if (w <= 0 || h <= 0) return 0.0;
    const double both = (double)w * (double)h;
    return both / ((double)a->width * (double)a->height + (double)b->width * (double)b->height - both);
}

static int class_of(const samc__scene_record *r) {
    const int64_t side = r->width > r->height ? r->width : r->height;
    int c = 0;
    while (c < CLASSES - 1 && (int64_t)2 << c <= side) c++;
    return c;
}

/* Those that stay, chained from cells: class, row and column of the cell -> the first, and from each the next. */
typedef struct cells {
    int64_t *head; /* [mask + 1], -1: none */
    int64_t *next; /* [count] of records */
    uint64_t mask;
    bool some[CLASSES]; /* the class has any */
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
    double least_box; /* IoU of boxes that masks are compared above */
    int64_t own_is;   /* the record in `own`, -1: none */
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
    const double boxes = box_iou(a, b);
    double least = m->thresholds->box; /* the IoU of masks above which they are one */
    const bool better = a->level != b->level && b->iou >= a->iou;
    if ((boxes > least || (better && least <= 1.0)) && m->thresholds->mask < least) least = m->thresholds->mask;
    *same = false;
    if (!(boxes > m->least_box)) return SAMC_OK;
    const double less = (double)(a->area < b->area ? a->area : b->area),
                 more = (double)(a->area < b->area ? b->area : a->area);
    if (!(less / more > least)) return SAMC_OK; /* their IoU is no higher */
    if (m->own_is != index) {
        SAMC__TRY(read_spans(m, index, &m->own));
        m->own_is = index;
    }
    SAMC__TRY(read_spans(m, kept, &m->other));
    const samc__span_overlap o = samc__spans_compare(&m->own, &m->other, (samc__span_box){0, 0, INT64_MAX, INT64_MAX});
    *same = (double)o.both / (double)(o.both + o.a + o.b) > least;
    return SAMC_OK;
}

/* Looks through a chain. */
static samc_status look_along(merging *m, int64_t index, int64_t i, bool *same) {
    for (; i >= 0 && !*same; i = m->cells.next[i]) SAMC__TRY(is_same(m, index, i, same));
    return SAMC_OK;
}

/* Looks through the cells of one class around the box; through all chains where these are fewer. */
static samc_status look(merging *m, int64_t index, int class, bool *same) {
    const samc__scene_record *r = &m->masks->records[index];
    const int64_t x = 2 * r->x + r->width, y = 2 * r->y + r->height; /* twice the centre */
    const int64_t reach_x = r->width + ((int64_t)2 << class), reach_y = r->height + ((int64_t)2 << class);
    const int shift = class + 2; /* of twice a coordinate to the number of a cell of 2^(class + 1) */
    const uint64_t rows = (uint64_t)(((y + reach_y) >> shift) - ((y - reach_y) >> shift) + 1),
                   columns = (uint64_t)(((x + reach_x) >> shift) - ((x - reach_x) >> shift) + 1);
    if (rows * columns > m->cells.mask) {
        for (uint64_t i = 0; i <= m->cells.mask; i++) SAMC__TRY(look_along(m, index, m->cells.head[i], same));
        return SAMC_OK;
    }
    for (int64_t row = (y - reach_y) >> shift; row <= (y + reach_y) >> shift; row++)
        for (int64_t column = (x - reach_x) >> shift; column <= (x + reach_x) >> shift; column++)
            SAMC__TRY(look_along(m, index, m->cells.head[cell_of(&m->cells, class, row, column)], same));
    return SAMC_OK;
}

static samc_status suppress(merging *m, const samc__scene_record *const *order) {
    /* Sides of boxes with an IoU above t differ by less than 1 / t. */
    const double t = m->least_box;
    const int apart = t > 0.01 ? (int)ceil(-log2(t)) + 1 : CLASSES;
    for (int64_t i = 0; i < m->masks->count; i++) {
        const int64_t index = order[i] - m->masks->records;
        const samc__scene_record *r = order[i];
        const int class = class_of(r);
        bool same = r->cut != 0;
        for (int c = class - apart < 0 ? 0 : class - apart; c <= class + apart && c < CLASSES && !same; c++)
            if (m->cells.some[c]) SAMC__TRY(look(m, index, c, &same));
        m->keep[index] = !same;
        if (same) continue;
        const uint64_t cell =
            cell_of(&m->cells, class, (2 * r->y + r->height) >> (class + 2), (2 * r->x + r->width) >> (class + 2));
        m->cells.next[index] = m->cells.head[cell];
        m->cells.head[cell] = index;
        m->cells.some[class] = true;
    }
    return SAMC_OK;
}

samc_status samc__scene_merge(const samc__scene_masks *masks, const samc__scene_thresholds *thresholds, uint8_t *keep,
                              samc_error *error) {
    merging m = {.masks = masks, .thresholds = thresholds, .keep = keep, .own_is = -1, .error = error};
    m.least_box = thresholds->box > LEAST_BOX ? LEAST_BOX : thresholds->box > 0.0 ? thresholds->box : 0.0;
    const size_t count = (size_t)masks->count;
    size_t heads = 1024;
    if (count == 0) return SAMC_OK;
    while (heads < 2 * count) heads *= 2;
    const samc__scene_record **order = malloc(count * sizeof *order);
    m.cells.head = malloc(heads * sizeof *m.cells.head);
    m.cells.next = malloc(count * sizeof *m.cells.next);
    m.cells.mask = heads - 1;
    samc_status status = order == NULL || m.cells.head == NULL || m.cells.next == NULL
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
    free(m.counts);
    samc__spans_free(&m.own);
    samc__spans_free(&m.other);
    return status;
}
