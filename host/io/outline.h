/* Outlines of masks: the edges between pixels, from run lengths alone, as polygons with holes that are valid as OGC's
 * simple features are. Pixels that touch at a corner alone are apart; a ring never meets itself, and rings meet each
 * other in single points at most. */
#ifndef SAMC_HOST_IO_OUTLINE_H
#define SAMC_HOST_IO_OUTLINE_H

#include <stddef.h>
#include <stdint.h>

#include "runtime/samc.h"

/* Corners where the direction changes, none twice; in pixels, of which (x, y) covers [x, x + 1] and [y, y + 1]. y grows
 * downwards; seen so, an outer ring runs clockwise, and a hole the other way. */
typedef struct samc__ring {
    size_t first, count; /* of `corners`; count is even and at least 4 */
} samc__ring;

typedef struct samc__outlines {
    int32_t (*corners)[2]; /* [corner_count], owned, as all of it */
    size_t corner_count;
    samc__ring *rings; /* [ring_count], of one polygon after the other: its outer ring, then its holes */
    size_t ring_count;
    size_t
        *polygons; /* [polygon_count + 1] the first ring of each, in the order of their leftmost, uppermost corners */
    size_t polygon_count;
} samc__outlines;

/* `counts` [count] are COCO's runs of width x height pixels: zeros and ones in turn, down the columns. Memory grows
 * with the runs, not with the pixels. SAMC_FORMAT: they do not add up. */
samc_status samc__outline(int32_t width, int32_t height, const uint32_t *counts, size_t count, samc__outlines *outlines,
                          samc_error *error);
void samc__outlines_free(samc__outlines *outlines);

#endif
