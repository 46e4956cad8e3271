/* Outlines of random masks: filled again they are the mask, and they are valid polygons. */
#include <criterion/criterion.h>

#include <stdlib.h>
#include <string.h>

#include "host/io/outline.h"
#include "host/io/samc_io.h"

enum { MOST = 40 };

typedef struct plane {
    int width, height;
    uint8_t at[MOST * MOST];
} plane;

static uint32_t next_random(uint32_t *state) {
    *state = *state * 1664525u + 1013904223u;
    return *state >> 8;
}

static bool inside(const plane *m, int x, int y) {
    return x >= 0 && y >= 0 && x < m->width && y < m->height && m->at[y * m->width + x];
}

static samc_status outline(const plane *m, samc__outlines *o) {
    samc_rle rle = {.size = sizeof rle};
    samc_error error;
    cr_assert_eq(samc_rle_from_bytes(m->at, m->width, m->height, &rle, &error), SAMC_OK);
    samc_status status = samc__outline(m->width, m->height, rle.counts, rle.count, o, &error);
    cr_assert_eq(status, SAMC_OK, "%s", error.message);
    samc_rle_free(&rle);
    return status;
}

static int parts(const plane *m) {
    static int stack[MOST * MOST * 4];
    plane rest = *m;
    int count = 0;
    for (int i = 0; i < m->width * m->height; i++) {
        int depth = 0;
        if (!rest.at[i]) continue;
        count++;
        stack[depth++] = i;
        while (depth > 0) {
            const int p = stack[--depth], x = p % m->width, y = p / m->width;
            if (!rest.at[p]) continue;
            rest.at[p] = 0;
            if (inside(&rest, x - 1, y)) stack[depth++] = p - 1;
            if (inside(&rest, x + 1, y)) stack[depth++] = p + 1;
            if (inside(&rest, x, y - 1)) stack[depth++] = p - m->width;
            if (inside(&rest, x, y + 1)) stack[depth++] = p + m->width;
        }
    }
    return count;
}

static int64_t doubled_area(const samc__outlines *o, const samc__ring *r) {
    int64_t area = 0;
    for (size_t i = 0; i < r->count; i++) {
        const int32_t *a = o->corners[r->first + i], *b = o->corners[r->first + (i + 1) % r->count];
        area += (int64_t)a[0] * b[1] - (int64_t)b[0] * a[1];
    }
    return area;
}

/* Every edge between pixels that differ is there once, with the inside on its right, and no other; a ring has no corner
 * twice, turns at each, and shares at most one with another ring of its polygon. */
static void check(const plane *m, const samc__outlines *o) {
    static int down[MOST + 1][MOST + 1], right[MOST + 1][MOST + 1]; /* that edges cross: +1 down or right, -1 back */
    static size_t owner[MOST + 1][MOST + 1];                        /* the ring before that has a corner here, from 1 */
    memset(down, 0, sizeof down);
    memset(right, 0, sizeof right);
    cr_assert_eq(o->polygon_count, (size_t)parts(m));
    for (size_t p = 0; p < o->polygon_count; p++) {
        cr_assert(o->polygons[p] < o->polygons[p + 1]);
        memset(owner, 0, sizeof owner);
        for (size_t r = o->polygons[p]; r < o->polygons[p + 1]; r++) {
            const samc__ring *ring = &o->rings[r];
            size_t met[MOST * MOST] = {0}; /* corners shared with each earlier ring */
            cr_assert(ring->count >= 4 && ring->count % 2 == 0 && ring->first + ring->count <= o->corner_count);
            cr_assert_eq(doubled_area(o, ring) > 0, r == o->polygons[p]);
            for (size_t i = 0; i < ring->count; i++) {
                const int32_t *a = o->corners[ring->first + i], *b = o->corners[ring->first + (i + 1) % ring->count],
                              *c = o->corners[ring->first + (i + 2) % ring->count];
                cr_assert((a[0] == b[0]) != (a[1] == b[1]) && (a[0] == b[0]) == (b[1] == c[1]));
                for (int x = a[0]; x != b[0]; x += a[0] < b[0] ? 1 : -1)
                    right[a[1]][a[0] < b[0] ? x : x - 1] += a[0] < b[0] ? 1 : -1;
                for (int y = a[1]; y != b[1]; y += a[1] < b[1] ? 1 : -1)
                    down[a[1] < b[1] ? y : y - 1][a[0]] += a[1] < b[1] ? 1 : -1;
                const size_t other = owner[a[1]][a[0]];
                cr_assert_neq(other, r + 1, "a ring meets itself");
                if (other > 0) cr_assert_eq(++met[other - 1 - o->polygons[p]], 1, "rings meet twice");
                owner[a[1]][a[0]] = r + 1;
            }
        }
    }
    for (int y = 0; y <= m->height; y++)
        for (int x = 0; x <= m->width; x++) {
            cr_assert_eq(right[y][x], x < m->width ? inside(m, x, y) - inside(m, x, y - 1) : 0);
            cr_assert_eq(down[y][x], y < m->height ? inside(m, x - 1, y) - inside(m, x, y) : 0);
        }
}

/* Each polygon alone, filled by its edges' windings, is one part of the mask; together they are the mask. */
static void fill(const plane *m, const samc__outlines *o) {
    plane sum = {.width = m->width, .height = m->height};
    for (size_t p = 0; p < o->polygon_count; p++) {
        static int turns[MOST][MOST + 1];
        plane one = {.width = m->width, .height = m->height};
        memset(turns, 0, sizeof turns);
        for (size_t r = o->polygons[p]; r < o->polygons[p + 1]; r++)
            for (size_t i = 0; i < o->rings[r].count; i++) {
                const int32_t *a = o->corners[o->rings[r].first + i],
                              *b = o->corners[o->rings[r].first + (i + 1) % o->rings[r].count];
                for (int y = a[1]; y < b[1]; y++) turns[y][a[0]]--;
                for (int y = b[1]; y < a[1]; y++) turns[y][a[0]]++;
            }
        for (int y = 0; y < m->height; y++)
            for (int x = 0, in = 0; x < m->width; x++) {
                in += turns[y][x];
                cr_assert(in == 0 || in == 1);
                one.at[y * m->width + x] = (uint8_t)in;
                sum.at[y * m->width + x] = (uint8_t)(sum.at[y * m->width + x] + in);
            }
        cr_assert_eq(parts(&one), 1);
    }
    cr_assert_eq(memcmp(sum.at, m->at, (size_t)(m->width * m->height)), 0);
}

static void both(const plane *m) {
    samc__outlines o;
    outline(m, &o);
    check(m, &o);
    fill(m, &o);
    samc__outlines_free(&o);
}

Test(outline, random_masks) {
    uint32_t state = 27;
    for (int round = 0; round < 1500; round++) {
        plane m = {.width = 1 + (int)(next_random(&state) % MOST), .height = 1 + (int)(next_random(&state) % MOST)};
        const uint32_t of_256 = next_random(&state) % 257, smooth = next_random(&state) % 3;
        for (int i = 0; i < m.width * m.height; i++) m.at[i] = next_random(&state) % 256 < of_256;
        for (uint32_t s = 0; s < smooth; s++) { /* blobs: most of the neighbours */
            const plane before = m;
            for (int y = 0; y < m.height; y++)
                for (int x = 0; x < m.width; x++) {
                    int around = 0;
                    for (int k = 0; k < 9; k++) around += inside(&before, x + k % 3 - 1, y + k / 3 - 1);
                    m.at[y * m.width + x] = around >= 5;
                }
        }
        both(&m);
    }
}

/* All masks of 4 x 3 pixels, and the checkerboards, where every place is one of two corners. */
Test(outline, all_small_masks) {
    for (int bits = 0; bits < 1 << 12; bits++) {
        plane m = {.width = 4, .height = 3};
        for (int i = 0; i < 12; i++) m.at[i] = bits >> i & 1;
        both(&m);
    }
    for (int odd = 0; odd < 2; odd++) {
        plane m = {.width = MOST, .height = MOST};
        for (int i = 0; i < MOST * MOST; i++) m.at[i] = (i / MOST + i % MOST) % 2 == odd;
        both(&m);
    }
}

/* A hole whose corner touches the outside: cut off, so that the outer ring does not meet itself. */
Test(outline, hole_at_a_corner) {
    const plane m = {3, 3, {1, 1, 1, 1, 0, 1, 1, 1, 0}};
    samc__outlines o;
    outline(&m, &o);
    cr_assert_eq(o.polygon_count, 1);
    cr_assert_eq(o.ring_count, 2);
    cr_assert_eq(doubled_area(&o, &o.rings[0]), 2 * 8);
    cr_assert_eq(doubled_area(&o, &o.rings[1]), -2);
    cr_assert_eq(o.corners[o.rings[0].first][0], 0);
    cr_assert_eq(o.corners[o.rings[0].first][1], 0);
    samc__outlines_free(&o);
}

/* Runs that are empty in the middle or do not add up, sizes that are none, and one that is far larger than memory. */
Test(outline, odd_runs) {
    samc__outlines o;
    samc_error error;
    const uint32_t split[] = {1, 1, 0, 1, 1}, less[] = {1, 1}, none[] = {4}, tall[] = {5, 4294967290u};
    cr_assert_eq(samc__outline(2, 2, split, 5, &o, &error), SAMC_OK);
    cr_assert_eq(o.corner_count, 8); /* bottom left and top right */
    cr_assert_eq(o.polygon_count, 2);
    samc__outlines_free(&o);
    cr_assert_eq(samc__outline(2, 2, less, 2, &o, &error), SAMC_FORMAT);
    cr_assert_eq(samc__outline(0, 2, less, 2, &o, &error), SAMC_INVALID_ARGUMENT);
    cr_assert_eq(samc__outline(2, 2, none, 1, &o, &error), SAMC_OK);
    cr_assert(o.polygon_count == 0 && o.ring_count == 0 && o.polygons[0] == 0);
    samc__outlines_free(&o);
    cr_assert_eq(samc__outline(3, 1431655765, tall, 2, &o, &error), SAMC_OK);
    cr_assert_eq(o.corner_count, 6);
    cr_assert_eq(doubled_area(&o, &o.rings[0]), 2 * (INT64_C(4294967290)));
    samc__outlines_free(&o);
}
