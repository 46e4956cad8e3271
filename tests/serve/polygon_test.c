/* Outlines: around the largest part, moved by no more than was allowed, and made in time where they are ragged. */
#include "host/serve/polygon.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static const uint8_t *drawn; /* [height, width] */

/* Masks of the library hold run lengths; these are bytes. */
samc_status samc_mask_bytes(const samc_mask *mask, uint8_t *bytes, samc_error *error) {
    (void)error;
    memcpy(bytes, drawn, (size_t)mask->width * (size_t)mask->height);
    return SAMC_OK;
}

static float *outline(const uint8_t *bytes, int width, int height, double most, int *count) {
    samc_mask mask = {.size = sizeof mask, .width = width, .height = height};
    samc_error error;
    float *corners = NULL;
    drawn = bytes;
    cr_assert_eq(samc__polygon_of(&mask, most, &corners, count, &error), SAMC_OK);
    return corners;
}

static double to_segment(const float *p, const float *a, const float *b) {
    const double dx = b[0] - a[0], dy = b[1] - a[1], square = dx * dx + dy * dy;
    double t = square > 0 ? ((p[0] - a[0]) * dx + (p[1] - a[1]) * dy) / square : 0;
    t = t < 0 ? 0 : t > 1 ? 1 : t;
    return hypot(p[0] - a[0] - t * dx, p[1] - a[1] - t * dy);
}

Test(polygon, no_corner_moves_further_than_allowed) {
    enum { SIDE = 64 };
    uint8_t bytes[SIDE * SIDE];
    uint32_t seed = 1;
    for (int round = 0; round < 50; round++) {
        for (int i = 0; i < SIDE * SIDE; i++) {
            const int x = i % SIDE, y = i / SIDE;
            seed = seed * 1664525u + 1013904223u;
            bytes[i] = hypot(x - 32, y - 32) < 20 + (double)(seed >> 28) / (1 + round % 4);
        }
        int count, all;
        float *exact = outline(bytes, SIDE, SIDE, 0, &all);
        for (double most = 0.6; most < 4; most *= 1.7) {
            float *corners = outline(bytes, SIDE, SIDE, most, &count);
            cr_assert(count >= 3 && count <= all);
            for (int i = 0; i < all; i++) {
                double nearest = 1e9;
                for (int k = 0; k < count; k++)
                    nearest =
                        fmin(nearest, to_segment(exact + 2 * i, corners + 2 * k, corners + 2 * ((k + 1) % count)));
                cr_assert(nearest <= most + 1e-4, "round %d: a corner moved by %g of %g", round, nearest, most);
            }
            free(corners);
        }
        free(exact);
    }
}

Test(polygon, is_that_of_the_largest_part) {
    const uint8_t bytes[4 * 6] = {1, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 0, 0, 1, 0, 0, 1, 0, 0, 1, 1, 1, 1, 0};
    const float expected[] = {1, 1, 5, 1, 5, 4, 1, 4};
    int count;
    float *corners = outline(bytes, 6, 4, 0, &count);
    cr_assert(count == 4 && memcmp(corners, expected, sizeof expected) == 0, "not the ring around the hole");
    free(corners);
    const uint8_t none[4] = {0};
    corners = outline(none, 2, 2, 1, &count);
    cr_assert(corners == NULL && count == 0);
}

/* A wire: by what may be moved it is a line, which encloses nothing. */
Test(polygon, what_is_thin_is_no_line) {
    enum { WIDTH = 1000, MOST = 10 };
    for (int height = 1; height <= MOST; height++) {
        uint8_t bytes[WIDTH * MOST];
        int count;
        memset(bytes, 1, sizeof bytes);
        float *corners = outline(bytes, WIDTH, height, MOST + 0.1, &count);
        cr_expect(count >= 3 && count <= 4, "%d corners of a height of %d", count, height);
        free(corners);
    }
}

/* A comb of two million corners. Cut at the furthest corner alone it falls apart tooth by tooth, 10^12 steps: hours. */
Test(polygon, ragged_outlines_take_no_longer) {
    enum { WIDTH = 1000000, HEIGHT = 4 };
    uint8_t *bytes = malloc((size_t)WIDTH * HEIGHT);
    int count;
    cr_assert_not_null(bytes);
    for (int i = 0; i < WIDTH * HEIGHT; i++) bytes[i] = i >= WIDTH || i % 2;
    float *corners = outline(bytes, WIDTH, HEIGHT, 0.25, &count);
    cr_assert(count > WIDTH, "the teeth are gone");
    free(corners);
    corners = outline(bytes, WIDTH, HEIGHT, 2, &count);
    cr_assert(count < 10, "the teeth are still there");
    free(corners);
    free(bytes);
}
