/* Outlines from runs. Columns are gone through from left to right. Where a column's runs end and those of the one
 * before do not, or the other way round, there are corners; between two of them, one above the other, is a vertical
 * edge, and horizontal ones lead from corners of earlier columns to these: each corner knows the one that follows, with
 * the inside on its right. Rings are then cut where they meet themselves. */
#include "host/io/outline.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/base/status.h"

typedef struct corner {
    int32_t x, y;
    uint32_t next, run;
    int8_t twin; /* +1, -1: the corner behind or before is at the same place; 0: none is */
    bool seen;
} corner;

/* Where a run begins (at its top) or ends, on the line between two columns. */
typedef struct end {
    int32_t y;
    bool top;
    uint32_t run, from; /* the corner that its horizontal edge comes from */
} end;

typedef struct ends {
    end *at; /* [room], owned */
    size_t count, room;
} ends;

typedef struct tracer {
    corner *corners;
    size_t corner_count, corner_room;
    uint32_t *part; /* [run_count] runs that touch along an edge are one part: a tree's parents */
    size_t run_count, run_room;
    ends left, right;
} tracer;

/* Makes room for one more; false without memory. */
static bool grow(void **items, size_t *room, size_t count, size_t size) {
    if (count < *room) return true;
    const size_t more = *room == 0 ? 64 : 2 * *room;
    void *grown = more > UINT32_MAX ? NULL : realloc(*items, more * size); /* all are counted by 32 bits */
    if (grown == NULL) return false;
    *items = grown;
    *room = more;
    return true;
}

static bool add_end(ends *e, int32_t y, bool top, uint32_t run) {
    if (!grow((void **)&e->at, &e->room, e->count, sizeof *e->at)) return false;
    e->at[e->count++] = (end){y, top, run, 0};
    return true;
}

/* A run [y0, y1) of the column on the right. */
static bool add_run(tracer *t, int32_t y0, int32_t y1) {
    ends *r = &t->right;
    if (r->count > 0 && r->at[r->count - 1].y == y0) { /* zeros of no length lie between */
        r->at[r->count - 1].y = y1;
        return true;
    }
    if (!grow((void **)&t->part, &t->run_room, t->run_count, sizeof *t->part)) return false;
    const uint32_t run = (uint32_t)t->run_count++;
    t->part[run] = run;
    return add_end(r, y0, true, run) && add_end(r, y1, false, run);
}

static uint32_t part_of(tracer *t, uint32_t run) {
    while (t->part[run] != run) run = t->part[run] = t->part[t->part[run]];
    return run;
}

static void unite(tracer *t, uint32_t a, uint32_t b) {
    a = part_of(t, a), b = part_of(t, b);
    if (a < b) t->part[b] = a;
    else t->part[a] = b;
}

/* What a line between two columns is gone down with. */
typedef struct line {
    int32_t x;
    bool in[2];      /* of the left and of the right column */
    uint32_t run[2]; /* where in[] */
    bool open;       /* corner `upper` begins a vertical edge that goes on */
    uint32_t upper;
} line;

/* A corner at an end of the left (0) or right (1) column that the other one does not have. */
static bool add_corner(tracer *t, line *l, end *e, int side) {
    if (!grow((void **)&t->corners, &t->corner_room, t->corner_count, sizeof *t->corners)) return false;
    const uint32_t at = (uint32_t)t->corner_count++;
    corner *c = t->corners;
    c[at] = (corner){l->x, e->y, 0, e->run, 0, false};
    if (at > 0 && c[at - 1].x == l->x && c[at - 1].y == e->y) c[at].twin = -1, c[at - 1].twin = 1;
    if (side == 1) e->from = at;
    else if (e->top) c[e->from].next = at; /* the upper edge of what is inside leads to the right */
    else c[at].next = e->from;
    const bool was_left = l->in[0]; /* of the two columns, which is inside above */
    l->in[side] = e->top;
    l->run[side] = e->run;
    if (!l->open) l->upper = at;
    else if (was_left) c[l->upper].next = at; /* down where the inside is on the left */
    else c[at].next = l->upper;
    l->open = !l->open;
    return true;
}

/* The line at x, between the columns t->left and t->right. */
static bool meet(tracer *t, int32_t x) {
    line l = {.x = x};
    for (size_t i = 0, j = 0; i < t->left.count || j < t->right.count;) {
        end *a = i < t->left.count ? &t->left.at[i] : NULL, *b = j < t->right.count ? &t->right.at[j] : NULL;
        if (a != NULL && b != NULL && a->y == b->y && a->top == b->top) { /* the edge goes straight on */
            b->from = a->from;
            l.in[0] = l.in[1] = a->top;
            l.run[0] = a->run, l.run[1] = b->run;
            i++, j++;
        } else if (b == NULL || (a != NULL && (a->y < b->y || (a->y == b->y && !a->top)))) { /* ends first: apart */
            if (!add_corner(t, &l, a, 0)) return false;
            i++;
        } else {
            if (!add_corner(t, &l, b, 1)) return false;
            j++;
        }
        if (l.in[0] && l.in[1]) unite(t, l.run[0], l.run[1]);
    }
    const ends other = t->left;
    t->left = t->right;
    t->right = other;
    t->right.count = 0;
    return true;
}

static samc_status no_memory(samc_error *error) {
    return samc__fail(error, SAMC_OUT_OF_MEMORY, "out of memory for outlines");
}

/* All corners, of runs that are known to add up. */
static bool trace(tracer *t, int32_t width, int32_t height, const uint32_t *counts, size_t count) {
    int64_t at = 0;
    int32_t x = 0; /* of the column on the right */
    for (size_t i = 0; i < count; at += counts[i++])
        for (int64_t from = at, to = at + counts[i]; i % 2 == 1 && from < to;) {
            const int32_t column = (int32_t)(from / height), y = (int32_t)(from % height);
            const int64_t length = to - from < height - y ? to - from : height - y;
            for (; x < column; x++)
                if ((t->left.count > 0 || t->right.count > 0) && !meet(t, x)) return false;
            if (!add_run(t, y, (int32_t)(y + length))) return false;
            from += length;
        }
    for (; x <= width && (t->left.count > 0 || t->right.count > 0); x++)
        if (!meet(t, x)) return false;
    return true;
}

/* ---- Rings ----------------------------------------------------------------------------------- */

typedef struct found {
    samc__ring ring;
    size_t polygon;
    bool outer;
} found;

typedef struct collector {
    samc__outlines *to;
    found *rings;
    size_t count, room, corner_room;
} collector;

static bool keep_ring(collector *k, const tracer *t, const uint32_t *corners, size_t count, size_t polygon) {
    samc__outlines *to = k->to;
    if (!grow((void **)&k->rings, &k->room, k->count, sizeof *k->rings)) return false;
    uint64_t area = 0; /* twice it, modulo 2^64 */
    for (size_t i = 0; i < count; i++) {
        const corner *a = &t->corners[corners[i]], *b = &t->corners[corners[(i + 1) % count]];
        area += (uint64_t)((int64_t)a->x * b->y) - (uint64_t)((int64_t)b->x * a->y);
        to->corners[to->corner_count + i][0] = a->x;
        to->corners[to->corner_count + i][1] = a->y;
    }
    k->rings[k->count++] = (found){{to->corner_count, count}, polygon, (int64_t)area > 0};
    to->corner_count += count;
    return true;
}

/* Follows the ring from a corner and cuts off what returns to a place where it was: the background that two pixels of
 * the mask enclose by touching at a corner, which is a hole then. stack, place: [corner_count]. */
static bool follow(collector *k, tracer *t, uint32_t begin, size_t polygon, uint32_t *stack, uint32_t *place) {
    size_t depth = 0;
    uint32_t at = begin;
    do {
        corner *c = &t->corners[at];
        const uint32_t twin = at + (uint32_t)(int32_t)c->twin;
        c->seen = true;
        if (c->twin != 0 && place[twin] != UINT32_MAX) {
            const size_t first = place[twin];
            if (!keep_ring(k, t, stack + first, depth - first, polygon)) return false;
            for (size_t i = first; i < depth; i++) place[stack[i]] = UINT32_MAX;
            depth = first;
        }
        place[at] = (uint32_t)depth;
        stack[depth++] = at;
        at = c->next;
    } while (at != begin);
    for (size_t i = 0; i < depth; i++) place[stack[i]] = UINT32_MAX;
    return keep_ring(k, t, stack, depth, polygon);
}

/* Rings by polygons, the outer one first. */
static bool sort_rings(collector *k) {
    samc__outlines *to = k->to;
    to->ring_count = k->count;
    to->rings = malloc((k->count + 1) * sizeof *to->rings);
    to->polygons = calloc(to->polygon_count + 2, sizeof *to->polygons);
    if (to->rings == NULL || to->polygons == NULL) return false;
    size_t *at = to->polygons + 1; /* first their counts, then where the next one of each goes, last their ends */
    for (size_t i = 0; i < k->count; i++) at[k->rings[i].polygon]++;
    for (size_t p = 0, sum = 0; p < to->polygon_count; p++) {
        const size_t here = at[p];
        at[p] = sum;
        sum += here;
    }
    for (int holes = 0; holes < 2; holes++)
        for (size_t i = 0; i < k->count; i++)
            if (k->rings[i].outer == !holes) to->rings[at[k->rings[i].polygon]++] = k->rings[i].ring;
    return true;
}

static bool collect(tracer *t, samc__outlines *to) {
    const size_t n = t->corner_count;
    uint32_t *memory = malloc((2 * n + t->run_count + 1) * sizeof *memory);
    uint32_t *stack = memory, *place = memory + n, *polygon = memory + 2 * n; /* of each part */
    collector k = {.to = to};
    to->corners = malloc((n + 1) * sizeof *to->corners);
    bool ok = memory != NULL && to->corners != NULL;
    if (ok) memset(place, 0xff, (n + t->run_count) * sizeof *place); /* none */
    for (size_t i = 0; ok && i < n; i++) {
        if (t->corners[i].seen) continue;
        const uint32_t part = part_of(t, t->corners[i].run);
        if (polygon[part] == UINT32_MAX) polygon[part] = (uint32_t)to->polygon_count++;
        ok = follow(&k, t, (uint32_t)i, polygon[part], stack, place);
    }
    ok = ok && sort_rings(&k);
    free(k.rings);
    free(memory);
    return ok;
}

samc_status samc__outline(int32_t width, int32_t height, const uint32_t *counts, size_t count, samc__outlines *outlines,
                          samc_error *error) {
    uint64_t sum = 0;
    *outlines = (samc__outlines){0};
    if (width <= 0 || height <= 0)
        return samc__fail(error, SAMC_INVALID_ARGUMENT, "an outline in %d x %d pixels", width, height);
    for (size_t i = 0; i < count; i++) sum += counts[i]; /* fewer than 2^32 of 32 bits */
    if (sum != (uint64_t)width * (uint64_t)height)
        return samc__fail(error, SAMC_FORMAT, "run lengths of another size than the mask's");
    tracer t = {0};
    const bool ok = trace(&t, width, height, counts, count) && collect(&t, outlines);
    free(t.corners);
    free(t.part);
    free(t.left.at);
    free(t.right.at);
    if (ok) return SAMC_OK;
    samc__outlines_free(outlines);
    return no_memory(error);
}

void samc__outlines_free(samc__outlines *outlines) {
    free(outlines->corners);
    free(outlines->rings);
    free(outlines->polygons);
    *outlines = (samc__outlines){0};
}
