/* Tiles of a scene: each point in one core, whatever the origin; spans; windows for refinement. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "host/io/samc_tiles.h"
#include "host/io/scene_engine.h"
#include "host/io/scene_spans.h"

/* ---- The plan ----------------------------------------------------------------------------------- */

static samc__scene_plan plan_of(int64_t width, int64_t height, samc__scene_tiling tiling) {
    samc__scene_plan plan;
    samc_error error;
    cr_assert_eq(samc__scene_plan_make(&plan, width, height, &tiling, &error), SAMC_OK, "%s", error.message);
    return plan;
}

typedef struct point {
    double x, y;
} point;

static int by_place(const void *a, const void *b) {
    const point *p = a, *q = b;
    if (p->y != q->y) return p->y < q->y ? -1 : 1;
    return (p->x > q->x) - (p->x < q->x);
}

/* All points of a level, sorted; checks each tile. */
static point *points_of_level(const samc__scene_plan *plan, int level, int64_t *count) {
    const struct samc__scene_level *l = &plan->level[level];
    point *all = NULL;
    int64_t covered = 0;
    *count = 0;
    for (int row = 0; row < l->rows; row++)
        for (int column = 0; column < l->columns; column++) {
            const samc__scene_item item = samc__scene_plan_item(plan, level, row, column);
            const samc__scene_window *w = &item.window;
            covered += (item.x1 - item.x0) * (item.y1 - item.y0);
            cr_assert(item.x0 < item.x1 && item.y0 < item.y1);
            cr_assert(w->x >= 0 && w->y >= 0 && w->x + w->width <= l->width && w->y + w->height <= l->height);
            cr_assert(w->x <= item.x0 && w->y <= item.y0 && w->x + w->width >= item.x1 && w->y + w->height >= item.y1);
            /* the halo is there, or the scene's edge is */
            const int64_t halo = plan->tiling.halo;
            cr_assert((item.cut & SAMC_SIDE_LEFT) == 0 ? w->x == 0 : item.x0 - w->x >= halo);
            cr_assert((item.cut & SAMC_SIDE_TOP) == 0 ? w->y == 0 : item.y0 - w->y >= halo);
            cr_assert((item.cut & SAMC_SIDE_RIGHT) == 0 ? w->x + w->width == l->width
                                                        : w->x + w->width - item.x1 >= halo);
            cr_assert((item.cut & SAMC_SIDE_BOTTOM) == 0 ? w->y + w->height == l->height
                                                         : w->y + w->height - item.y1 >= halo);
            const int64_t n = samc__scene_plan_points(plan, &item, NULL);
            all = realloc(all, (size_t)(*count + n + 1) * sizeof *all);
            cr_assert_eq(samc__scene_plan_points(plan, &item, &all[*count].x), n);
            for (int64_t i = *count; i < *count + n; i++)
                cr_assert(all[i].x >= item.x0 && all[i].x < item.x1 && all[i].y >= item.y0 && all[i].y < item.y1);
            *count += n;
        }
    cr_assert_eq(covered, l->width * l->height, "cores that are no partition");
    qsort(all, (size_t)*count, sizeof *all, by_place);
    for (int64_t i = 1; i < *count; i++) cr_assert(by_place(&all[i - 1], &all[i]) < 0, "a point of two tiles");
    return all;
}

Test(scene_plan, a_point_has_one_tile_wherever_tiles_begin) {
    static const int64_t origins[][2] = {{0, 0}, {37, 0}, {-37, 511}, {1, -1}, {513, 1024}, {100000, -100001}};
    const samc__scene_tiling tiling = {.tile = 512, .halo = 64, .points = 7};
    const samc__scene_plan first = plan_of(3001, 1777, tiling);
    cr_assert_eq(first.levels, 4); /* 3001, 1501, 751, 376 <= 640 */
    for (int level = 0; level < first.levels; level++) {
        int64_t count, others;
        point *points = points_of_level(&first, level, &count);
        if (!first.level[level].whole) {
            /* (k + 1/2) 512 / 7 below the sides */
            const int64_t w = samc__scene_side(3001, level), h = samc__scene_side(1777, level);
            int64_t columns = 0, rows = 0;
            while ((double)columns + 0.5 < (double)w * 7 / 512) columns++;
            while ((double)rows + 0.5 < (double)h * 7 / 512) rows++;
            cr_assert_eq(count, columns * rows);
        } else {
            cr_assert_eq(count, 49);
        }
        for (size_t i = 1; i < sizeof origins / sizeof *origins; i++) {
            samc__scene_tiling moved = tiling;
            memcpy(moved.origin, origins[i], sizeof moved.origin);
            const samc__scene_plan plan = plan_of(3001, 1777, moved);
            point *same = points_of_level(&plan, level, &others);
            cr_assert_eq(others, count);
            cr_assert_eq(memcmp(same, points, (size_t)count * sizeof *points), 0, "points moved with the tiles");
            free(same);
        }
        free(points);
    }
}

Test(scene_plan, tiles_begin_at_the_origin) {
    const samc__scene_plan plan =
        plan_of(3000, 3000, (samc__scene_tiling){.tile = 512, .halo = 64, .points = 8, .origin = {37, -5}});
    const samc__scene_item item = samc__scene_plan_item(&plan, 0, 1, 1);
    cr_assert_eq(item.x0, 37);
    cr_assert_eq(item.y0, 512 - 5);
    cr_assert_eq(samc__scene_plan_item(&plan, 1, 0, 1).x0, 18); /* pixels of two */
    cr_assert_eq(samc__scene_plan_item(&plan, 1, 1, 0).y0, 512 - 3);
    const samc__scene_plan far = plan_of(
        3000, 3000, (samc__scene_tiling){.tile = 500, .halo = 64, .points = 8, .origin = {INT64_MIN + 1, INT64_MAX}});
    cr_assert_eq(far.level[1].x, -(INT64_MAX / 2 + 1) % 500); /* half of it, rounded down */
    cr_assert_eq(far.level[1].y, INT64_MAX / 2 % 500 - 500);
}

Test(scene_plan, a_small_scene_is_one_tile_as_samc_auto_has_it) {
    const samc__scene_plan plan =
        plan_of(640, 300, (samc__scene_tiling){.tile = 512, .halo = 64, .points = 4, .origin = {9, 9}});
    double xy[32];
    cr_assert_eq(plan.levels, 1);
    const samc__scene_item item = samc__scene_plan_item(&plan, 0, 0, 0);
    cr_assert(item.cut == 0 && item.window.width == 640 && item.window.height == 300);
    cr_assert_eq(samc__scene_plan_points(&plan, &item, xy), 16);
    cr_assert_float_eq(xy[2], 1.5 / 4 * 640, 1e-9);
    cr_assert_float_eq(xy[31], 3.5 / 4 * 300, 1e-9);
}

Test(scene_plan, levels_end_where_one_tile_sees_all_or_where_asked) {
    samc__scene_tiling tiling = {.tile = 1024, .halo = 128, .points = 32};
    cr_assert_eq(plan_of(1280, 1280, tiling).levels, 1);
    cr_assert_eq(plan_of(1281, 1280, tiling).levels, 2);
    cr_assert_eq(plan_of(20000, 100, tiling).levels, 5);
    cr_assert_eq(plan_of(1 << 24, 1 << 24, tiling).levels, 15);
    tiling.levels = 2;
    cr_assert_eq(plan_of(20000, 100, tiling).levels, 2);
}

Test(scene_plan, neighbours_of_one_shape) {
    const samc__scene_plan plan =
        plan_of(10 * 512 + 100, 2000, (samc__scene_tiling){.tile = 512, .halo = 64, .points = 32});
    cr_assert_eq(samc__scene_plan_alike(&plan, 0, 1, 0), 1);
    cr_assert_eq(samc__scene_plan_alike(&plan, 0, 1, 1), 9);
    cr_assert_eq(samc__scene_plan_alike(&plan, 0, 1, 10), 1);
    const samc__scene_item a = samc__scene_plan_item(&plan, 0, 1, 1), b = samc__scene_plan_item(&plan, 0, 1, 7);
    double of_a[2048], of_b[2048];
    cr_assert_eq(samc__scene_plan_points(&plan, &a, of_a), 1024);
    cr_assert_eq(samc__scene_plan_points(&plan, &b, of_b), 1024);
    for (int i = 0; i < 2048; i++)
        cr_assert_eq(of_a[i] - (double)(i % 2 ? a.window.y : a.window.x),
                     of_b[i] - (double)(i % 2 ? b.window.y : b.window.x));
}

Test(scene_plan, a_window_that_ends_with_the_scene_is_of_another_shape) {
    const samc__scene_plan plan =
        plan_of(9 * 512 + 512 + 64, 2000, (samc__scene_tiling){.tile = 512, .halo = 64, .points = 32});
    const samc__scene_item last = samc__scene_plan_item(&plan, 0, 1, 9);
    cr_assert(last.window.x == 9 * 512 - 64 && (last.cut & SAMC_SIDE_RIGHT) == 0, "cut at the scene's edge");
    cr_assert_eq(samc__scene_plan_alike(&plan, 0, 1, 1), 8);
}

Test(scene_plan, nonsense_is_named) {
    static const samc__scene_tiling wrong[] = {{.tile = 0, .halo = 64, .points = 32},
                                               {.tile = -1024, .halo = 64, .points = 32},
                                               {.tile = 1 << 30, .halo = 64, .points = 32},
                                               {.tile = 512, .halo = 256, .points = 32},
                                               {.tile = 512, .halo = 0, .points = 32},
                                               {.tile = 512, .halo = -1, .points = 32},
                                               {.tile = 512, .halo = 1 << 30, .points = 32},
                                               {.tile = 512, .halo = 64, .points = 0},
                                               {.tile = 512, .halo = 64, .points = 32, .levels = -1},
                                               {.tile = 512, .halo = 64, .points = 32, .levels = 99}};
    static const char *const named[] = {"tile", "tile", "tile",   "halo",   "halo",
                                        "halo", "halo", "points", "levels", "levels"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        samc__scene_plan plan;
        samc_error error = {0};
        cr_assert_eq(samc__scene_plan_make(&plan, 5000, 5000, &wrong[i], &error), SAMC_INVALID_ARGUMENT);
        cr_assert_eq(strncmp(error.message, named[i], strlen(named[i])), 0, "%s", error.message);
    }
    samc__scene_plan plan;
    const samc__scene_tiling good = {.tile = 512, .halo = 64, .points = 32};
    cr_assert_eq(samc__scene_plan_make(&plan, 0, 5000, &good, NULL), SAMC_UNSUPPORTED);
    cr_assert_eq(samc__scene_plan_make(&plan, 5000, (int64_t)1 << 40, &good, NULL), SAMC_UNSUPPORTED);
}

/* ---- Spans -------------------------------------------------------------------------------------- */

/* A mask of bytes [height, width] at x, y as a record. */
static samc__scene_record record_of(const uint8_t *bytes, int width, int height, int64_t x, int64_t y,
                                    uint32_t **counts) {
    samc__spans spans = {0};
    samc__scene_record record = {.refined = -1, .phrase = -1};
    for (int i = 0; i < width; i++)
        for (int j = 0; j < height; j++)
            if (bytes[j * width + i])
                cr_assert_eq(samc__spans_add(
                                 &spans, (samc__span){(int32_t)(x + i), (int32_t)(y + j), (int32_t)(y + j + 1)}, NULL),
                             SAMC_OK);
    cr_assert_eq(samc__spans_to_record(&spans, &record, counts, NULL), SAMC_OK);
    samc__spans_free(&spans);
    return record;
}

static uint32_t draw(uint32_t *state) { return (*state = *state * 1664525u + 1013904223u) >> 8; }

Test(scene_spans, counts_there_and_back_and_enlarged) {
    enum { W = 13, H = 9, FACTOR = 3, WIDE = 5 * FACTOR + W * FACTOR - 2, HIGH = 7 * FACTOR + H * FACTOR - 1 };
    uint32_t state = 5;
    for (int round = 0; round < 300; round++) {
        uint8_t bytes[W * H];
        for (int i = 0; i < W * H; i++)
            bytes[i] = draw(&state) % 4 < (unsigned)(round % 4) + 1 - (round % 4 == 3 && i % 9);
        bytes[draw(&state) % (W * H)] = 1;
        uint32_t *counts, *again;
        samc__scene_record r = record_of(bytes, W, H, 5, 7, &counts), q = r;
        samc__spans spans = {0}, large = {0};
        int64_t area = 0, sum = 0;
        for (int i = 0; i < W * H; i++) area += bytes[i] != 0;
        for (int64_t i = 0; i < r.count; i++) {
            sum += counts[i];
            cr_assert(i == 0 || counts[i] > 0);
        }
        cr_assert_eq(r.area, area);
        cr_assert_eq(sum, r.width * r.height);
        cr_assert_eq(samc__spans_of_record(&spans, &r, counts, NULL), SAMC_OK);
        cr_assert_eq(samc__spans_to_record(&spans, &q, &again, NULL), SAMC_OK);
        cr_assert_eq(memcmp(&q, &r, sizeof r), 0);
        cr_assert_eq(memcmp(again, counts, (size_t)r.count * sizeof *counts), 0);
        cr_assert_eq(samc__spans_enlarge(&spans, FACTOR, WIDE, HIGH, &large, NULL), SAMC_OK);
        uint8_t *map = calloc(WIDE * HIGH, 1);
        for (int64_t i = 0; i < large.count; i++)
            for (int y = large.at[i].y0; y < large.at[i].y1; y++) map[y * WIDE + large.at[i].x]++;
        for (int y = 0; y < HIGH; y++)
            for (int x = 0; x < WIDE; x++) {
                const int i = x / FACTOR - 5, j = y / FACTOR - 7;
                cr_assert_eq(map[y * WIDE + x], i >= 0 && j >= 0 ? bytes[j * W + i] : 0);
            }
        free(map);
        r.area++;
        cr_assert_eq(samc__spans_of_record(&spans, &r, counts, NULL), SAMC_INTERNAL);
        free(counts);
        free(again);
        samc__spans_free(&spans);
        samc__spans_free(&large);
    }
}

Test(scene_spans, overlap_and_union_by_pixels) {
    enum { W = 17, H = 11 };
    uint32_t state = 9;
    for (int round = 0; round < 300; round++) {
        uint8_t a[W * H], b[W * H];
        samc__spans s[3] = {{0}};
        uint32_t *counts[2];
        for (int i = 0; i < W * H; i++) a[i] = draw(&state) % 3 != 0, b[i] = draw(&state) % 2;
        a[3] = b[3] = 1;
        const samc__scene_record r = record_of(a, W, H, 100, 50, &counts[0]),
                                 q = record_of(b, W, H, 100, 50, &counts[1]);
        cr_assert_eq(samc__spans_of_record(&s[0], &r, counts[0], NULL), SAMC_OK);
        cr_assert_eq(samc__spans_of_record(&s[1], &q, counts[1], NULL), SAMC_OK);
        const samc__span_box box = {100 + round % 5, 50 + round % 7, 100 + W - round % 3, 50 + H - round % 4};
        const samc__span_overlap o = samc__spans_compare(&s[0], &s[1], box);
        samc__span_overlap want = {0};
        int64_t either = 0;
        for (int y = 0; y < H; y++)
            for (int x = 0; x < W; x++) {
                const int p = a[y * W + x], t = b[y * W + x];
                either += p || t;
                if (100 + x < box.x0 || 100 + x >= box.x1 || 50 + y < box.y0 || 50 + y >= box.y1) continue;
                want.both += p && t, want.a += p && !t, want.b += !p && t;
            }
        cr_assert(o.both == want.both && o.a == want.a && o.b == want.b);
        cr_assert_eq(samc__spans_union(&s[0], &s[1], &s[2], NULL), SAMC_OK);
        cr_assert_eq(samc__spans_area(&s[2]), either);
        for (int i = 0; i < 3; i++) samc__spans_free(&s[i]);
        free(counts[0]);
        free(counts[1]);
    }
}

/* ---- Refinement's windows ----------------------------------------------------------------------- */

Test(scene_refine, windows_hold_their_masks) {
    const samc__scene_plan plan = plan_of(6000, 5000, (samc__scene_tiling){.tile = 512, .halo = 64, .points = 16});
    samc__scene_record records[300];
    uint8_t keep[300], seen[300] = {0};
    uint32_t state = 3;
    int64_t wanted = 0;
    for (int i = 0; i < 300; i++) {
        const int side = 20 + (int)(draw(&state) % 1500);
        records[i] = (samc__scene_record){.x = draw(&state) % (6000 - side),
                                          .y = draw(&state) % (5000 - side),
                                          .width = side,
                                          .height = 1 + side / 2,
                                          .level = i % 4,
                                          .index = i};
        keep[i] = i % 7 != 0;
        const int64_t border = 2 * 32; /* half a halo on each side, at the level just finer */
        const int fits = records[i].level > 0 && (side >> (records[i].level - 1)) + 2 + border <= 640;
        wanted += keep[i] && fits;
    }
    samc__scene_refine_plan refine;
    cr_assert_eq(samc__scene_refine_plan_make(&refine, &plan, records, 300, keep, NULL), SAMC_OK);
    int64_t total = 0;
    cr_assert(refine.count > 0);
    for (int64_t i = 0; i < refine.count; i++) {
        const samc__scene_refining *item = &refine.items[i];
        const samc__scene_window *w = &item->window;
        cr_assert(item->count > 0 && w->x >= 0 && w->y >= 0 && w->x + w->width <= plan.level[w->level].width &&
                  w->y + w->height <= plan.level[w->level].height && w->width <= 640 && w->height <= 640);
        cr_assert(i == 0 || w[0].level > refine.items[i - 1].window.level || w->y >= refine.items[i - 1].window.y);
        for (int64_t j = 0; j < item->count; j++) {
            const int64_t index = item->order[j];
            const samc__scene_record *r = &records[index];
            cr_assert(keep[index] && !seen[index] && r->level > w->level);
            seen[index] = 1;
            cr_assert(r->x >> w->level >= w->x && r->y >> w->level >= w->y &&
                      (r->x + r->width - 1) >> w->level < w->x + w->width &&
                      (r->y + r->height - 1) >> w->level < w->y + w->height);
            /* not at a side that is cut, where its answer would be dropped */
            cr_assert(!(item->cut & SAMC_SIDE_LEFT) || (r->x >> w->level) - w->x >= 24);
            cr_assert(!(item->cut & SAMC_SIDE_RIGHT) || w->x + w->width - ((r->x + r->width) >> w->level) >= 24);
            total++;
        }
    }
    cr_assert(total >= wanted && wanted > 100, "%lld of %lld", (long long)total, (long long)wanted);
    samc__scene_refine_plan_free(&refine);
}

/* ---- The public calls --------------------------------------------------------------------------- */

Test(samc_tiles, refuses_what_makes_no_sense) {
    samc_tiles_options o = SAMC_INIT(samc_tiles_options), wrong;
    samc_tiles *tiles = (samc_tiles *)1;
    samc_error error;
    cr_assert_eq(samc_tiles_default_options(&o), SAMC_OK);
    cr_assert(o.tile == 1024 && o.shards == 1 && o.levels == 0 && o.halo == 0 && !o.stitch);
    cr_expect_eq(samc_tiles_open(&o, &tiles, &error), SAMC_INVALID_ARGUMENT); /* no input */
    cr_expect_eq(tiles, NULL);
    o.input = "/nonexistent/scene.png", o.output = "/nonexistent/out";
    cr_expect_eq(samc_tiles_open(&o, NULL, &error), SAMC_INVALID_ARGUMENT);
    cr_expect_eq(samc_tiles_open(NULL, &tiles, &error), SAMC_INVALID_ARGUMENT);
    cr_expect_eq(samc_tiles_open(&o, &tiles, &error), SAMC_IO);
    cr_expect(strstr(error.message, "scene.png") != NULL, "%s", error.message);
    for (int i = 0; i < 8; i++) {
        static const char *const named[] = {"tile",  "halo",  "levels",     "shard",
                                            "shard", "batch", "written as", "simplify"};
        wrong = o;
        if (i == 0) wrong.tile = 100;
        if (i == 1) wrong.halo = 512;
        if (i == 2) wrong.levels = -1;
        if (i == 3) wrong.shard = 1;
        if (i == 4) wrong.shards = 0;
        if (i == 5) wrong.batch = -1;
        if (i == 6) wrong.formats = SAMC_OUTPUT_PNG;
        if (i == 7) wrong.simplify = -1.0;
        cr_expect_eq(samc_tiles_open(&wrong, &tiles, &error), SAMC_INVALID_ARGUMENT, "%d", i);
        cr_expect(strstr(error.message, named[i]) != NULL && tiles == NULL, "%s", error.message);
    }
    samc_tiles_counts counts = SAMC_INIT(samc_tiles_counts);
    cr_expect_eq(samc_tiles_get_counts(NULL, &counts, &error), SAMC_INVALID_ARGUMENT);
    cr_expect_eq(samc_tiles_run(NULL, NULL, NULL, 0, NULL, NULL, NULL, &error), SAMC_INVALID_ARGUMENT);
    samc_session *none[2] = {NULL};
    o.input = SAMC_TEST_DATA "/images/png_rgb.png", o.output = "/nonexistent/out";
    cr_assert_eq(samc_tiles_open(&o, &tiles, &error), SAMC_OK, "%s", error.message);
    cr_expect_eq(samc_tiles_run(tiles, (const samc_model *)none, none, 2, NULL, NULL, NULL, &error),
                 SAMC_INVALID_ARGUMENT);
    cr_expect(strstr(error.message, "session 0") != NULL, "%s", error.message);
    samc_tiles_close(tiles);
    samc_tiles_stop(NULL);
    samc_tiles_close(NULL);
}
