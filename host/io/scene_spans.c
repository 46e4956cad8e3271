/* Masks as pieces of columns. */
#include "host/io/scene_spans.h"

#include <stdlib.h>

#include "runtime/base/status.h"

samc_status samc__spans_add(samc__spans *s, samc__span span, samc_error *error) {
    samc__span *last = s->count > 0 ? &s->at[s->count - 1] : NULL;
    if (last != NULL && last->x == span.x && last->y1 >= span.y0) {
        if (span.y1 > last->y1) last->y1 = span.y1;
        return SAMC_OK;
    }
    if (s->count == s->room) {
        const int64_t room = s->room > 0 ? 2 * s->room : 256;
        samc__span *grown = realloc(s->at, (size_t)room * sizeof *grown);
        if (grown == NULL) return samc__fail(error, SAMC_OUT_OF_MEMORY, "no memory for a mask's outline");
        s->at = grown, s->room = room;
    }
    s->at[s->count++] = span;
    return SAMC_OK;
}

void samc__spans_free(samc__spans *s) {
    free(s->at);
    *s = (samc__spans){0};
}

samc_status samc__spans_of_counts(samc__spans *s, const uint32_t *counts, int64_t count, int64_t x, int64_t y,
                                  int64_t height, samc_error *error) {
    int64_t at = 0;
    s->count = 0;
    if (height < 1) return samc__fail(error, SAMC_INTERNAL, "a mask without rows");
    for (int64_t i = 0; i < count; at += counts[i++]) {
        if (i % 2 == 0) continue;
        for (int64_t p = at, end = at + counts[i]; p < end;) { /* column by column */
            const int64_t row = p % height, rest = end - p, size = rest < height - row ? rest : height - row;
            const samc__span span = {(int32_t)(x + p / height), (int32_t)(y + row), (int32_t)(y + row + size)};
            SAMC__TRY(samc__spans_add(s, span, error));
            p += size;
        }
    }
    return SAMC_OK;
}

samc_status samc__spans_of_record(samc__spans *s, const samc__scene_record *r, const uint32_t *counts,
                                  samc_error *error) {
    SAMC__TRY(samc__spans_of_counts(s, counts, r->count, r->x, r->y, r->height, error));
    if (samc__spans_area(s) == r->area) return SAMC_OK;
    return samc__fail(error, SAMC_INTERNAL, "a mask of %lld pixels whose run lengths are of %lld", (long long)r->area,
                      (long long)samc__spans_area(s));
}

samc_status samc__spans_enlarge(const samc__spans *s, int factor, int64_t width, int64_t height, samc__spans *large,
                                samc_error *error) {
    large->count = 0;
    for (int64_t i = 0, next; i < s->count; i = next) {
        for (next = i; next < s->count && s->at[next].x == s->at[i].x;) next++;
        for (int64_t x = (int64_t)s->at[i].x * factor, copy = 0; copy < factor && x < width; x++, copy++)
            for (int64_t j = i; j < next; j++) {
                const int64_t y0 = (int64_t)s->at[j].y0 * factor, y1 = (int64_t)s->at[j].y1 * factor;
                if (y0 >= height) break;
                const samc__span span = {(int32_t)x, (int32_t)y0, (int32_t)(y1 < height ? y1 : height)};
                SAMC__TRY(samc__spans_add(large, span, error));
            }
    }
    return SAMC_OK;
}

static bool before(const samc__span *a, const samc__span *b) { return a->x != b->x ? a->x < b->x : a->y0 < b->y0; }

samc_status samc__spans_union(const samc__spans *a, const samc__spans *b, samc__spans *both, samc_error *error) {
    both->count = 0;
    for (int64_t i = 0, j = 0; i < a->count || j < b->count;) {
        const bool first = j == b->count || (i < a->count && before(&a->at[i], &b->at[j]));
        SAMC__TRY(samc__spans_add(both, first ? a->at[i++] : b->at[j++], error));
    }
    return SAMC_OK;
}

int64_t samc__spans_area(const samc__spans *s) {
    int64_t area = 0;
    for (int64_t i = 0; i < s->count; i++) area += s->at[i].y1 - s->at[i].y0;
    return area;
}

static int64_t area_within(const samc__spans *s, samc__span_box w) {
    int64_t area = 0;
    for (int64_t i = 0; i < s->count; i++) {
        const int64_t y0 = s->at[i].y0 > w.y0 ? s->at[i].y0 : w.y0, y1 = s->at[i].y1 < w.y1 ? s->at[i].y1 : w.y1;
        if (s->at[i].x >= w.x0 && s->at[i].x < w.x1 && y1 > y0) area += y1 - y0;
    }
    return area;
}

samc__span_overlap samc__spans_compare(const samc__spans *a, const samc__spans *b, samc__span_box w) {
    samc__span_overlap overlap = {0};
    for (int64_t i = 0, j = 0; i < a->count && j < b->count;) {
        const samc__span *p = &a->at[i], *q = &b->at[j];
        if (p->x != q->x) {
            if (p->x < q->x) i++;
            else j++;
            continue;
        }
        int64_t y0 = p->y0 > q->y0 ? p->y0 : q->y0, y1 = p->y1 < q->y1 ? p->y1 : q->y1;
        if (y0 < w.y0) y0 = w.y0;
        if (y1 > w.y1) y1 = w.y1;
        if (y1 > y0 && p->x >= w.x0 && p->x < w.x1) overlap.both += y1 - y0;
        if (p->y1 < q->y1) i++;
        else j++;
    }
    overlap.a = area_within(a, w) - overlap.both;
    overlap.b = area_within(b, w) - overlap.both;
    return overlap;
}

/* Run lengths that grow. A run of 2^32 and more is several, with empty ones between. */
typedef struct runs {
    uint32_t *counts;
    int64_t count, room;
    samc_error *error;
} runs;

static samc_status add_run(runs *r, int64_t size) {
    while (true) {
        const uint32_t now = size > UINT32_MAX ? UINT32_MAX : (uint32_t)size;
        if (r->count + 2 > r->room) {
            const int64_t room = r->room > 0 ? 2 * r->room : 256;
            uint32_t *grown = realloc(r->counts, (size_t)room * sizeof *grown);
            if (grown == NULL) return samc__fail(r->error, SAMC_OUT_OF_MEMORY, "no memory for run lengths");
            r->counts = grown, r->room = room;
        }
        r->counts[r->count++] = now;
        size -= now;
        if (size == 0) return SAMC_OK;
        r->counts[r->count++] = 0;
    }
}

static samc_status encode(const samc__spans *s, const samc__scene_record *r, runs *out) {
    int64_t begin = 0, end = 0; /* of the run that is open, in pixels of the box; empty: none */
    for (int64_t i = 0; i < s->count; i++) {
        const int64_t from = (s->at[i].x - r->x) * r->height + s->at[i].y0 - r->y;
        const int64_t size = s->at[i].y1 - s->at[i].y0;
        if (i > 0 && from == end) { /* on from the foot of the column before */
            end += size;
            continue;
        }
        if (i > 0) SAMC__TRY(add_run(out, end - begin));
        SAMC__TRY(add_run(out, from - end));
        begin = from, end = from + size;
    }
    SAMC__TRY(add_run(out, end - begin));
    return end < r->width * r->height ? add_run(out, r->width * r->height - end) : SAMC_OK;
}

samc_status samc__spans_to_record(const samc__spans *s, samc__scene_record *r, uint32_t **counts, samc_error *error) {
    runs out = {.error = error};
    *counts = NULL;
    if (s->count == 0) return samc__fail(error, SAMC_INTERNAL, "an empty mask of a scene");
    int64_t y0 = s->at[0].y0, y1 = s->at[0].y1;
    for (int64_t i = 0; i < s->count; i++) {
        if (s->at[i].y0 < y0) y0 = s->at[i].y0;
        if (s->at[i].y1 > y1) y1 = s->at[i].y1;
    }
    r->x = s->at[0].x, r->y = y0;
    r->width = s->at[s->count - 1].x + 1 - r->x, r->height = y1 - y0;
    r->area = samc__spans_area(s);
    const samc_status status = encode(s, r, &out);
    if (status != SAMC_OK) {
        free(out.counts);
        return status;
    }
    r->count = out.count;
    *counts = out.counts;
    return SAMC_OK;
}
