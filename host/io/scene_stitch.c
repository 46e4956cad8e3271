/* Pieces of what no tile sees whole, put together. A piece that ends at a side of its window goes on in the
 * neighbour's: both saw the strip where their windows overlap, and the two that agree there best, each the other's
 * best, are one. */
#include <stdlib.h>

#include "host/io/scene_merge.h"
#include "host/io/scene_spans.h"
#include "runtime/base/status.h"

#define STRIP_IOU 0.5

typedef struct piece {
    const samc__scene_record *record;
    int64_t parent; /* of the union-find, a number of a piece */
} piece;

typedef struct stitching {
    const samc__scene_masks *masks;
    const samc__scene_plan *plan;
    piece *pieces; /* [count] by tile and index */
    int64_t count;
    uint32_t *counts; /* [most] */
    samc_error *error;
} stitching;

static int by_tile(const void *a, const void *b) {
    const samc__scene_record *x = ((const piece *)a)->record, *y = ((const piece *)b)->record;
    if (x->tile_row != y->tile_row) return x->tile_row < y->tile_row ? -1 : 1;
    if (x->tile_column != y->tile_column) return x->tile_column < y->tile_column ? -1 : 1;
    return (x->index > y->index) - (x->index < y->index);
}

/* The first piece that is not before the tile. */
static int64_t tile_at(const stitching *s, int row, int column) {
    int64_t at = 0, end = s->count;
    while (at < end) {
        const int64_t middle = at + (end - at) / 2;
        const samc__scene_record *r = s->pieces[middle].record;
        if (r->tile_row < row || (r->tile_row == row && r->tile_column < column)) at = middle + 1;
        else end = middle;
    }
    return at;
}

static int64_t root(const stitching *s, int64_t i) {
    while (s->pieces[i].parent != i) i = s->pieces[i].parent;
    return i;
}

/* The lower number is the root, whatever the order of what is joined. */
static void join(stitching *s, int64_t a, int64_t b) {
    a = root(s, a), b = root(s, b);
    if (a < b) s->pieces[b].parent = a;
    else s->pieces[a].parent = b;
}

static samc_status read_spans(stitching *s, int64_t i, samc__spans *spans) {
    const samc__scene_record *r = s->pieces[i].record;
    SAMC__TRY(s->masks->read(s->masks->context, r - s->masks->records, s->counts, s->error));
    return samc__spans_of_record(spans, r, s->counts, s->error);
}

static bool reaches(const samc__scene_record *r, samc__span_box box) {
    return r->x < box.x1 && r->x + r->width > box.x0 && r->y < box.y1 && r->y + r->height > box.y0;
}

/* A pair of pieces that may be one. */
typedef struct match {
    int64_t other; /* -1: none */
    double iou;
} match;

/* Joins pieces of two tiles, [a, a_end) at their side `side` with [b, b_end) at the opposite one. */
static samc_status join_tiles(stitching *s, const int64_t a[2], const int64_t b[2], unsigned side, unsigned opposite,
                              samc__span_box strip) {
    const int64_t rows = a[1] - a[0], columns = b[1] - b[0];
    match *best = malloc((size_t)(rows + columns) * sizeof *best), *back = best + rows;
    samc__spans own = {0}, other = {0};
    samc_status status = SAMC_OK;
    if (best == NULL) return samc__fail(s->error, SAMC_OUT_OF_MEMORY, "no memory to join pieces of masks");
    for (int64_t i = 0; i < rows + columns; i++) best[i] = (match){-1, STRIP_IOU};
    for (int64_t i = 0; i < rows && status == SAMC_OK; i++) {
        const samc__scene_record *p = s->pieces[a[0] + i].record;
        if ((p->cut & (int32_t)side) == 0 || !reaches(p, strip)) continue;
        status = read_spans(s, a[0] + i, &own);
        for (int64_t j = 0; j < columns && status == SAMC_OK; j++) {
            const samc__scene_record *q = s->pieces[b[0] + j].record;
            if ((q->cut & (int32_t)opposite) == 0 || !reaches(q, strip)) continue;
            status = read_spans(s, b[0] + j, &other);
            if (status != SAMC_OK) break;
            const samc__span_overlap o = samc__spans_compare(&own, &other, strip);
            const double iou = o.both > 0 ? (double)o.both / (double)(o.both + o.a + o.b) : 0.0;
            if (iou > best[i].iou) best[i] = (match){j, iou};
            if (iou > back[j].iou) back[j] = (match){i, iou};
        }
    }
    for (int64_t i = 0; i < rows && status == SAMC_OK; i++)
        if (best[i].other >= 0 && back[best[i].other].other == i) join(s, a[0] + i, b[0] + best[i].other);
    free(best);
    samc__spans_free(&own);
    samc__spans_free(&other);
    return status;
}

/* What the windows of two neighbours both see. */
static samc__span_box overlap(const samc__scene_plan *plan, int row, int column, int down, int right) {
    const samc__scene_item a = samc__scene_plan_item(plan, 0, row, column),
                           b = samc__scene_plan_item(plan, 0, row + down, column + right);
    const samc__scene_window *v = &a.window, *w = &b.window;
    samc__span_box box = {v->x > w->x ? v->x : w->x, v->y > w->y ? v->y : w->y, v->x + v->width, v->y + v->height};
    if (w->x + w->width < box.x1) box.x1 = w->x + w->width;
    if (w->y + w->height < box.y1) box.y1 = w->y + w->height;
    return box;
}

/* Each tile with its neighbour to the right and the one below. */
static samc_status join_all(stitching *s) {
    for (int64_t i = 0, end; i < s->count; i = end) {
        const int row = s->pieces[i].record->tile_row, column = s->pieces[i].record->tile_column;
        end = tile_at(s, row, column + 1);
        const int64_t own[2] = {i, end};
        const int64_t right[2] = {end, tile_at(s, row, column + 2)};
        const int64_t below[2] = {tile_at(s, row + 1, column), tile_at(s, row + 1, column + 1)};
        if (right[0] < right[1])
            SAMC__TRY(join_tiles(s, own, right, SAMC_SIDE_RIGHT, SAMC_SIDE_LEFT, overlap(s->plan, row, column, 0, 1)));
        if (below[0] < below[1])
            SAMC__TRY(join_tiles(s, own, below, SAMC_SIDE_BOTTOM, SAMC_SIDE_TOP, overlap(s->plan, row, column, 1, 0)));
    }
    return SAMC_OK;
}

typedef struct member {
    int64_t root, piece;
} member;

static int by_root(const void *a, const void *b) {
    const member *x = a, *y = b;
    if (x->root != y->root) return x->root < y->root ? -1 : 1;
    return (x->piece > y->piece) - (x->piece < y->piece);
}

/* One mask of members [count]: as sure of itself as the least sure piece, with the point of the largest. */
static samc_status emit_whole(stitching *s, const member *members, int64_t count, samc__scene_emit emit,
                              void *context) {
    samc__scene_record whole = *s->pieces[members[0].piece].record;
    samc__spans spans[3] = {{0}}; /* what there is, a piece, both */
    uint32_t *counts = NULL;
    int64_t largest = 0;
    samc_status status = SAMC_OK;
    whole.cut = 0;
    for (int64_t i = 0; i < count && status == SAMC_OK; i++) {
        const samc__scene_record *r = s->pieces[members[i].piece].record;
        if (r->iou < whole.iou) whole.iou = r->iou;
        if (r->stability < whole.stability) whole.stability = r->stability;
        if (r->object < whole.object) whole.object = r->object;
        if (r->phrase_score > whole.phrase_score) whole.phrase = r->phrase, whole.phrase_score = r->phrase_score;
        if (r->area > largest) {
            largest = r->area;
            for (int j = 0; j < 2; j++) whole.point[j] = r->point[j];
        }
        status = read_spans(s, members[i].piece, &spans[1]);
        if (status == SAMC_OK) status = samc__spans_union(&spans[0], &spans[1], &spans[2], s->error);
        const samc__spans swap = spans[0];
        spans[0] = spans[2], spans[2] = swap;
    }
    if (status == SAMC_OK) status = samc__spans_to_record(&spans[0], &whole, &counts, s->error);
    if (status == SAMC_OK) status = emit(context, &whole, counts, s->error);
    free(counts);
    for (int i = 0; i < 3; i++) samc__spans_free(&spans[i]);
    return status;
}

static samc_status emit_all(stitching *s, samc__scene_emit emit, void *context) {
    member *members = malloc((size_t)s->count * sizeof *members);
    samc_status status = SAMC_OK;
    if (members == NULL) return samc__fail(s->error, SAMC_OUT_OF_MEMORY, "no memory to join pieces of masks");
    for (int64_t i = 0; i < s->count; i++) members[i] = (member){root(s, i), i};
    qsort(members, (size_t)s->count, sizeof *members, by_root);
    for (int64_t i = 0, end; i < s->count && status == SAMC_OK; i = end) {
        for (end = i; end < s->count && members[end].root == members[i].root;) end++;
        if (end - i > 1) status = emit_whole(s, members + i, end - i, emit, context);
    }
    free(members);
    return status;
}

samc_status samc__scene_stitch(const samc__scene_masks *masks, const samc__scene_plan *plan, samc__scene_emit emit,
                               void *context, samc_error *error) {
    stitching s = {.masks = masks, .plan = plan, .error = error};
    int64_t most = 1;
    s.pieces = malloc((size_t)(masks->count + 1) * sizeof *s.pieces);
    for (int64_t i = 0; i < masks->count && s.pieces != NULL; i++) {
        const samc__scene_record *r = &masks->records[i];
        if (r->cut == 0 || r->level != 0) continue;
        s.pieces[s.count++].record = r;
        if (r->count > most) most = r->count;
    }
    s.counts = malloc((size_t)most * sizeof *s.counts);
    samc_status status = s.pieces == NULL || s.counts == NULL
                             ? samc__fail(error, SAMC_OUT_OF_MEMORY, "no memory to join pieces of masks")
                             : SAMC_OK;
    if (status == SAMC_OK && s.count > 0) {
        qsort(s.pieces, (size_t)s.count, sizeof *s.pieces, by_tile);
        for (int64_t i = 0; i < s.count; i++) s.pieces[i].parent = i;
        status = join_all(&s);
        if (status == SAMC_OK) status = emit_all(&s, emit, context);
    }
    free(s.pieces);
    free(s.counts);
    return status;
}
