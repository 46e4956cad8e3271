/* Outlines of masks: followed along the edges of pixels with the inside on the right, then simplified (Douglas and
 * Peucker). Pixels that touch at a corner alone are apart. */
#include "host/serve/polygon.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct outline {
    int (*corner)[2];
    int count, room;
} outline;

typedef struct raster {
    const uint8_t *bytes; /* [height, width] */
    uint8_t *seen;        /* of a pixel, whether its upper edge was followed */
    int width, height;
} raster;

static bool inside(const raster *r, int x, int y) {
    return x >= 0 && y >= 0 && x < r->width && y < r->height && r->bytes[(size_t)y * (size_t)r->width + (size_t)x];
}

static bool add(outline *o, int x, int y) {
    if (o->count == o->room) {
        void *grown = realloc(o->corner, (size_t)(o->room = 2 * o->room + 64) * sizeof *o->corner);
        if (grown == NULL) return false;
        o->corner = grown;
    }
    o->corner[o->count][0] = x, o->corner[o->count][1] = y;
    o->count++;
    return true;
}

/* Follows the outline whose uppermost edge is that of pixel (x, y), from its left end to the right. Corners where the
 * direction changes are kept; twice the area is returned, negative of a hole, 0 without memory. */
static int64_t follow(raster *r, int x, int y, outline *o) {
    static const int step[4][2] = {{1, 0}, {0, 1}, {-1, 0}, {0, -1}}; /* right, down, left, up */
    const int x0 = x, y0 = y;
    int direction = 0, before = -1;
    int64_t area = 0;
    o->count = 0;
    do {
        if (direction != before && !add(o, x, y)) return 0;
        if (direction == 0) r->seen[(size_t)y * (size_t)r->width + (size_t)x] = 1;
        before = direction;
        const int nx = x + step[direction][0], ny = y + step[direction][1];
        area += (int64_t)x * ny - (int64_t)nx * y;
        x = nx, y = ny;
        /* Of the pixels ahead, right and left of the way: right first, so that corners do not join. */
        static const int right[4][2] = {{0, 0}, {-1, 0}, {-1, -1}, {0, -1}},
                         left[4][2] = {{0, -1}, {0, 0}, {-1, 0}, {-1, -1}};
        if (!inside(r, x + right[direction][0], y + right[direction][1])) direction = (direction + 1) % 4;
        else if (inside(r, x + left[direction][0], y + left[direction][1])) direction = (direction + 3) % 4;
    } while (x != x0 || y != y0 || direction != 0);
    return area;
}

/* The outline of the largest area. */
static bool largest(raster *r, outline *best) {
    outline now = {0};
    int64_t most = 0;
    bool memory = true;
    for (int y = 0; y < r->height && memory; y++)
        for (int x = 0; x < r->width && memory; x++) {
            if (!inside(r, x, y) || inside(r, x, y - 1) || r->seen[(size_t)y * (size_t)r->width + (size_t)x]) continue;
            const int64_t area = follow(r, x, y, &now);
            memory = area != 0;
            if (area <= most) continue;
            const outline other = *best;
            *best = now, now = other, most = area;
        }
    free(now.corner);
    return memory;
}

static double distance(const int a[2], const int b[2], const int p[2]) {
    const double dx = b[0] - a[0], dy = b[1] - a[1], length = hypot(dx, dy);
    if (length == 0) return hypot(p[0] - a[0], p[1] - a[1]);
    return fabs(dx * (a[1] - p[1]) - dy * (a[0] - p[0])) / length;
}

/* A part of an outline that is still to be done, and how many cuts led to it. */
typedef struct part {
    int first, last, cuts;
} part;

/* Marks which corners between `first` and `last` stay. Cut where a corner is furthest, a ragged outline falls apart one
 * corner at a time, which is quadratic; from some depth on parts are cut in the middle. The parts still to do are on a
 * stack of its own, not the machine's. */
static bool simplify(const outline *o, int first, int last, double most, bool *keep) {
    enum { DEEP = 32 };
    part *stack = malloc((size_t)(o->count + 2) * sizeof *stack);
    int depth = 0;
    if (stack == NULL) return false;
    stack[depth++] = (part){first, last, 0};
    while (depth > 0) {
        const part now = stack[--depth];
        const int a = now.first, b = now.last;
        double worst = most;
        int at = -1;
        for (int i = a + 1; i < b; i++) {
            const double d = distance(o->corner[a], o->corner[b % o->count], o->corner[i]);
            if (d > worst) worst = d, at = i;
        }
        if (at < 0) continue;
        if (now.cuts >= DEEP) at = a + (b - a) / 2;
        keep[at] = true;
        stack[depth++] = (part){a, at, now.cuts + 1};
        stack[depth++] = (part){at, b, now.cuts + 1};
    }
    free(stack);
    return true;
}

static samc_status no_memory(samc_error *error) {
    error->status = SAMC_OUT_OF_MEMORY;
    snprintf(error->message, sizeof error->message, "no memory for an outline");
    return SAMC_OUT_OF_MEMORY;
}

/* What is long and thin would become a line: then corners may move less. */
static bool choose(const outline *o, int far, double most, bool *keep) {
    for (;;) {
        int kept = 0;
        memset(keep, 0, (size_t)o->count * sizeof *keep);
        keep[0] = keep[far] = true;
        if (!simplify(o, 0, far, most, keep) || !simplify(o, far, o->count, most, keep)) return false;
        for (int i = 0; i < o->count && kept < 3; i++) kept += keep[i];
        if (kept == 3 || most == 0) return true;
        most = most > 0.5 ? most / 2 : 0;
    }
}

static samc_status simplified(const outline *o, double most, float **corners, int *count, samc_error *error) {
    bool *keep = malloc((size_t)o->count * sizeof *keep);
    int far = 0;
    double best = -1;
    for (int i = 1; i < o->count; i++) {
        const double d = hypot(o->corner[i][0] - o->corner[0][0], o->corner[i][1] - o->corner[0][1]);
        if (d > best) best = d, far = i;
    }
    *corners = malloc(2 * (size_t)o->count * sizeof **corners);
    if (keep == NULL || *corners == NULL || !choose(o, far, most, keep)) {
        free(keep);
        free(*corners);
        *corners = NULL;
        return no_memory(error);
    }
    for (int i = 0; i < o->count; i++)
        if (keep[i])
            (*corners)[2 * *count] = (float)o->corner[i][0], (*corners)[2 * (*count)++ + 1] = (float)o->corner[i][1];
    free(keep);
    return SAMC_OK;
}

samc_status samc__polygon_of(const samc_mask *mask, double most, float **corners, int *count, samc_error *error) {
    const size_t pixels = (size_t)mask->width * (size_t)mask->height;
    uint8_t *bytes = malloc(2 * pixels);
    outline best = {0};
    *corners = NULL;
    *count = 0;
    if (bytes == NULL) return no_memory(error);
    samc_status status = samc_mask_bytes(mask, bytes, error);
    memset(bytes + pixels, 0, pixels);
    raster r = {bytes, bytes + pixels, mask->width, mask->height};
    if (status == SAMC_OK && !largest(&r, &best)) status = no_memory(error);
    if (status == SAMC_OK && best.count > 0) status = simplified(&best, most, corners, count, error);
    free(best.corner);
    free(bytes);
    return status;
}
