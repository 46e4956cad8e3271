/* Masks as pieces of columns, for what run lengths in a box are awkward for: moving, enlarging, cutting, comparing. */
#ifndef SAMC_HOST_IO_SCENE_SPANS_H
#define SAMC_HOST_IO_SCENE_SPANS_H

#include "host/io/scene_record.h"

typedef struct samc__span {
    int32_t x, y0, y1; /* y1 exclusive */
} samc__span;

/* By x, then y; those of a column do not touch. Owned. */
typedef struct samc__spans {
    samc__span *at; /* [count] */
    int64_t count, room;
} samc__spans;

/* Behind the last one, which it grows where they touch. */
samc_status samc__spans_add(samc__spans *spans, samc__span span, samc_error *error);
void samc__spans_free(samc__spans *spans);

/* Run lengths of a box at x, y of `height` rows; those there were are gone. Of a record they have to be its area, else
 * that is SAMC_INTERNAL. */
samc_status samc__spans_of_counts(samc__spans *spans, const uint32_t *counts, int64_t count, int64_t x, int64_t y,
                                  int64_t height, samc_error *error);
samc_status samc__spans_of_record(samc__spans *spans, const samc__scene_record *record, const uint32_t *counts,
                                  samc_error *error);
/* Every pixel becomes factor x factor, within width x height. */
samc_status samc__spans_enlarge(const samc__spans *spans, int factor, int64_t width, int64_t height, samc__spans *large,
                                samc_error *error);
/* Either of two. */
samc_status samc__spans_union(const samc__spans *a, const samc__spans *b, samc__spans *both, samc_error *error);
int64_t samc__spans_area(const samc__spans *spans);
/* Pixels of both, of a alone and of b alone inside x0 <= x < x1, y0 <= y < y1. */
typedef struct samc__span_box {
    int64_t x0, y0, x1, y1;
} samc__span_box;
typedef struct samc__span_overlap {
    int64_t both, a, b;
} samc__span_overlap;
samc__span_overlap samc__spans_compare(const samc__spans *a, const samc__spans *b, samc__span_box within);

/* The record's box, area and count, and its counts (*counts to be freed), of spans that are not empty. */
samc_status samc__spans_to_record(const samc__spans *spans, samc__scene_record *record, uint32_t **counts,
                                  samc_error *error);

#endif
