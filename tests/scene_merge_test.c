/* Suppression over tiles and levels, which no order changes, and pieces that are put together. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "host/io/scene_merge.h"
#include "host/io/scene_spans.h"

static samc__scene_plan plan_of(int64_t width, int64_t height, samc__scene_tiling tiling) {
    samc__scene_plan plan;
    samc_error error;
    cr_assert_eq(samc__scene_plan_make(&plan, width, height, &tiling, &error), SAMC_OK, "%s", error.message);
    return plan;
}

static uint32_t draw(uint32_t *state) { return (*state = *state * 1664525u + 1013904223u) >> 8; }

/* ---- Suppression -------------------------------------------------------------------------------- */

enum { MOST = 600 };
typedef struct masks {
    samc__scene_record records[MOST];
    uint32_t *counts[MOST];
    int64_t count, reads;
} masks;

static samc_status read_mask(void *context, int64_t index, uint32_t *counts, samc_error *error) {
    masks *m = context;
    (void)error;
    m->reads++;
    memcpy(counts, m->counts[index], (size_t)m->records[index].count * sizeof *counts);
    return SAMC_OK;
}

/* A disc, or what is left of it without the disc of half its radius. */
static void add_disc(masks *m, int64_t x, int64_t y, int radius, bool ring, int level, float iou) {
    samc__spans spans = {0};
    samc__scene_record r = {.refined = -1, .phrase = -1};
    for (int64_t i = x - radius; i <= x + radius; i++)
        for (int64_t j = y - radius; j <= y + radius; j++) {
            const int64_t d = 4 * ((i - x) * (i - x) + (j - y) * (j - y)), all = 4 * (int64_t)radius * radius;
            if (d <= all && (!ring || d > all / 4))
                cr_assert_eq(samc__spans_add(&spans, (samc__span){(int32_t)i, (int32_t)j, (int32_t)j + 1}, NULL),
                             SAMC_OK);
        }
    cr_assert(m->count < MOST);
    cr_assert_eq(samc__spans_to_record(&spans, &r, &m->counts[m->count], NULL), SAMC_OK);
    samc__spans_free(&spans);
    r.level = level, r.iou = iou, r.stability = 0.97f;
    r.point[0] = (double)x, r.point[1] = (double)y;
    m->records[m->count++] = r;
}

/* A speck of 3 pixels that belongs to the last mask. */
static void add_speck(masks *m, int64_t x, int64_t y) {
    samc__spans disc = {0}, both = {0};
    samc__span speck = {(int32_t)x, (int32_t)y, (int32_t)y + 3};
    samc__scene_record *r = &m->records[m->count - 1];
    uint32_t **counts = &m->counts[m->count - 1];
    cr_assert_eq(samc__spans_of_record(&disc, r, *counts, NULL), SAMC_OK);
    cr_assert_eq(samc__spans_union(&disc, &(samc__spans){.at = &speck, .count = 1}, &both, NULL), SAMC_OK);
    free(*counts);
    cr_assert_eq(samc__spans_to_record(&both, r, counts, NULL), SAMC_OK);
    samc__spans_free(&disc);
    samc__spans_free(&both);
}

static void free_masks(masks *m) {
    for (int64_t i = 0; i < m->count; i++) free(m->counts[i]);
    free(m);
}

static int64_t merge(masks *m, double box, double mask, uint8_t *keep) {
    const samc__scene_masks all = {m->records, m->count, read_mask, m};
    const samc__scene_thresholds thresholds = {box, mask};
    samc_error error = {0};
    int64_t kept = 0;
    memset(keep, 7, (size_t)m->count);
    cr_assert_eq(samc__scene_merge(&all, &thresholds, keep, &error), SAMC_OK, "%s", error.message);
    for (int64_t i = 0; i < m->count; i++) {
        cr_assert(keep[i] <= 1);
        kept += keep[i];
    }
    return kept;
}

Test(scene_merge, finer_wins_then_the_better) {
    masks *m = calloc(1, sizeof *m);
    uint8_t keep[MOST];
    add_disc(m, 500, 500, 40, false, 1, 0.99f);
    add_disc(m, 502, 500, 40, false, 0, 0.90f); /* finer */
    add_disc(m, 900, 500, 40, false, 0, 0.90f);
    add_disc(m, 901, 502, 41, false, 0, 0.95f); /* better */
    add_disc(m, 900, 500, 10, false, 0, 0.10f); /* inside another, which is no reason to go */
    cr_assert_eq(merge(m, 0.7, 0.5, keep), 3);
    cr_assert_eq(memcmp(keep, (uint8_t[]){0, 1, 0, 1, 1}, 5), 0);
    m->records[1].cut = SAMC_SIDE_LEFT; /* a piece: is not kept, and suppresses nothing */
    cr_assert_eq(merge(m, 0.7, 0.5, keep), 3);
    cr_assert_eq(memcmp(keep, (uint8_t[]){1, 0, 0, 1, 1}, 5), 0);
    free_masks(m);
}

/* With a threshold near none a mask is compared with those of any size, of which its box may have many cells. */
Test(scene_merge, the_lowest_thresholds) {
    enum { FAR = 1 << 23 };
    masks *m = calloc(1, sizeof *m);
    uint8_t keep[MOST];
    add_disc(m, 900, 900, 0, false, 0, 0.95f);
    add_disc(m, 600, 600, 40, false, 0, 0.90f);
    add_disc(m, 660, 600, 40, false, 0, 0.80f); /* they overlap a little */
    samc__span corners[2] = {{0, 0, 1}, {FAR, FAR, FAR + 1}};
    const samc__spans spans = {corners, 2, 2};
    m->records[3] = (samc__scene_record){.refined = -1, .phrase = -1, .iou = 0.7f};
    cr_assert_eq(samc__spans_to_record(&spans, &m->records[3], &m->counts[3], NULL), SAMC_OK);
    m->count = 4;
    cr_assert_eq(merge(m, 0.0, 0.5, keep), 3);
    cr_assert_eq(memcmp(keep, (uint8_t[]){1, 1, 0, 1}, 4), 0);
    cr_assert_eq(merge(m, -1.0, 0.5, keep), 2); /* boxes that overlap are enough */
    cr_assert_eq(memcmp(keep, (uint8_t[]){1, 1, 0, 0}, 4), 0);
    free_masks(m);
}

Test(scene_merge, the_order_is_total) {
    samc__scene_record a = {.iou = 0.9f, .area = 5, .width = 3, .height = 2}, b = a;
    cr_assert(!samc__scene_before(&a, &b) && !samc__scene_before(&b, &a));
    b.index = 1;
    cr_assert(samc__scene_before(&a, &b) && !samc__scene_before(&b, &a));
    a.tile_column = 2;
    cr_assert(samc__scene_before(&b, &a) && !samc__scene_before(&a, &b));
    a.y = -1; /* where it is comes before whose it is */
    cr_assert(samc__scene_before(&a, &b) && !samc__scene_before(&b, &a));
}

Test(scene_merge, masks_decide_where_boxes_are_alike) {
    masks *m = calloc(1, sizeof *m);
    uint8_t keep[MOST];
    add_disc(m, 500, 500, 40, false, 0, 0.90f);
    add_disc(m, 500, 500, 40, true, 0, 0.80f); /* the same box, three quarters of the disc */
    cr_assert_eq(merge(m, 0.7, 0.5, keep), 1);
    cr_assert_eq(merge(m, 0.8, 0.8, keep), 2);
    cr_assert_eq(merge(m, 1.1, 0.5, keep), 2); /* above 1: none */
    free_masks(m);
}

/* Wherever it is, and of which of the two it is: the one that stays or the one that goes. */
Test(scene_merge, a_speck_far_off_does_not_make_another_object) {
    static const int64_t specks[][2] = {{590, 500}, {1300, 1250}, {20, 900}, {9000, 7000}};
    uint8_t keep[MOST];
    for (size_t i = 0; i < sizeof specks / sizeof *specks; i++)
        for (int of = 0; of < 2; of++) {
            masks *m = calloc(1, sizeof *m);
            add_disc(m, 500, 500, 40, false, 0, of == 0 ? 0.90f : 0.80f);
            add_disc(m, 502, 501, 40, false, 0, of == 0 ? 0.80f : 0.90f);
            add_speck(m, specks[i][0], specks[i][1]);
            cr_assert(m->records[1].width > 120);
            cr_assert_eq(merge(m, 0.7, 0.5, keep), 1, "a speck at %d, %d", (int)specks[i][0], (int)specks[i][1]);
            cr_assert_eq(keep[of], 1);
            free_masks(m);
        }
}

Test(scene_merge, a_ring_around_a_finer_mask_goes_unless_it_is_the_better) {
    masks *m = calloc(1, sizeof *m);
    uint8_t keep[MOST];
    add_disc(m, 500, 500, 40, false, 0, 0.90f);
    add_disc(m, 500, 500, 53, false, 1, 0.85f); /* IoU 0.57, also of the boxes */
    cr_assert_eq(merge(m, 0.7, 0.5, keep), 1);
    cr_assert_eq(keep[0], 1);
    cr_assert_eq(merge(m, 1.1, 0.5, keep), 2);
    m->records[1].iou = 0.95f;
    cr_assert_eq(merge(m, 0.7, 0.5, keep), 2);
    m->records[1].iou = 0.85f, m->records[1].level = 0;
    cr_assert_eq(merge(m, 0.7, 0.5, keep), 2, "of one level both stay, as samc_auto() has it");
    free_masks(m);
}

/* By the book: every pair. */
static void merge_by_pairs(masks *m, double box, double mask, uint8_t *keep) {
    for (int64_t i = 0; i < m->count; i++) keep[i] = 2;
    for (int64_t n = 0; n < m->count; n++) {
        int64_t best = -1;
        for (int64_t i = 0; i < m->count; i++)
            if (keep[i] == 2 && (best < 0 || samc__scene_before(&m->records[i], &m->records[best]))) best = i;
        const samc__scene_record *a = &m->records[best];
        keep[best] = 1;
        for (int64_t i = 0; i < m->count && keep[best] == 1; i++) {
            const samc__scene_record *b = &m->records[i];
            samc__spans s[2] = {{0}};
            if (i == best || keep[i] != 1) continue;
            const double w = (double)((a->x + a->width < b->x + b->width ? a->x + a->width : b->x + b->width) -
                                      (a->x > b->x ? a->x : b->x));
            const double h = (double)((a->y + a->height < b->y + b->height ? a->y + a->height : b->y + b->height) -
                                      (a->y > b->y ? a->y : b->y));
            const double boxes = w * h / ((double)(a->width * a->height + b->width * b->height) - w * h);
            if (w <= 0 || h <= 0) continue;
            cr_assert_eq(samc__spans_of_record(&s[0], a, m->counts[best], NULL), SAMC_OK);
            cr_assert_eq(samc__spans_of_record(&s[1], b, m->counts[i], NULL), SAMC_OK);
            const samc__span_overlap o =
                samc__spans_compare(&s[0], &s[1], (samc__span_box){0, 0, INT64_MAX, INT64_MAX});
            const double own = (double)o.both / (double)(o.both + o.a + o.b);
            if (own > box || (boxes > box && own > mask) || (a->level != b->level && b->iou >= a->iou && own > mask))
                keep[best] = 0;
            samc__spans_free(&s[0]);
            samc__spans_free(&s[1]);
        }
    }
}

Test(scene_merge, as_every_pair_compared_and_in_any_order) {
    static const double boxes[] = {0.7, 0.3, 0.02};
    masks *m = calloc(1, sizeof *m), *other = calloc(1, sizeof *other);
    uint32_t state = 77;
    static uint8_t keep[MOST], want[MOST], moved[MOST];
    for (int i = 0; i < 400; i++) {
        const int radius = i % 40 == 0 ? 90 : 3 + (int)(draw(&state) % 25);
        add_disc(m, 100 + draw(&state) % 400, 100 + draw(&state) % 400, radius, draw(&state) % 5 == 0,
                 (int)(draw(&state) % 3), 0.8f + (float)(draw(&state) % 8) * 0.02f);
        if (i % 4 == 0) add_speck(m, 50 + draw(&state) % 2000, 50 + draw(&state) % 2000);
    }
    for (size_t t = 0; t < sizeof boxes / sizeof *boxes; t++) {
        const double mask = boxes[t] < 0.5 ? 0.2 : 0.5;
        int64_t kept = merge(m, boxes[t], mask, keep), gone;
        merge_by_pairs(m, boxes[t], mask, want);
        cr_assert_eq(memcmp(keep, want, (size_t)m->count), 0);
        gone = m->count - kept;
        cr_assert(gone > 5 && kept > 5);
    }
    const int64_t kept = merge(m, 0.3, 0.2, keep);
    for (int round = 0; round < 3; round++) { /* another order of the same records */
        int64_t at[MOST];
        *other = (masks){.count = m->count};
        for (int64_t i = 0; i < m->count; i++) at[i] = i;
        for (int64_t i = m->count - 1; i > 0; i--) {
            const int64_t j = draw(&state) % (uint32_t)(i + 1), swap = at[i];
            at[i] = at[j], at[j] = swap;
        }
        for (int64_t i = 0; i < m->count; i++)
            other->records[i] = m->records[at[i]], other->counts[i] = m->counts[at[i]];
        cr_assert_eq(merge(other, 0.3, 0.2, moved), kept);
        for (int64_t i = 0; i < m->count; i++) cr_assert_eq(moved[i], keep[at[i]]);
    }
    free(other);
    free_masks(m);
}

Test(scene_merge, only_what_may_be_the_same_is_read) {
    masks *m = calloc(1, sizeof *m);
    uint8_t keep[MOST];
    for (int i = 0; i < 200; i++) add_disc(m, 100 + i % 20 * 50, 100 + i / 20 * 50, 20, false, 0, 0.9f);
    cr_assert_eq(merge(m, 0.7, 0.5, keep), 200);
    cr_assert_eq(m->reads, 0);
    free_masks(m);
}

/* ---- Pieces ------------------------------------------------------------------------------------- */

/* A band as one tile sees it: what of [x0, x1) x [y0, y1) lies in its window. */
static void add_piece(masks *m, const samc__scene_plan *plan, int row, int column, int index, samc__span_box band) {
    const samc__scene_item item = samc__scene_plan_item(plan, 0, row, column);
    const samc__scene_window *w = &item.window;
    samc__spans spans = {0};
    samc__scene_record r = {.tile_row = row,
                            .tile_column = column,
                            .index = index,
                            .refined = -1,
                            .phrase = -1,
                            .iou = 0.9f - 0.01f * (float)m->count,
                            .stability = 0.95f};
    const int64_t x0 = band.x0 > w->x ? band.x0 : w->x, x1 = band.x1 < w->x + w->width ? band.x1 : w->x + w->width;
    const int64_t y0 = band.y0 > w->y ? band.y0 : w->y, y1 = band.y1 < w->y + w->height ? band.y1 : w->y + w->height;
    for (int64_t x = x0; x < x1; x++)
        cr_assert_eq(samc__spans_add(&spans, (samc__span){(int32_t)x, (int32_t)y0, (int32_t)y1}, NULL), SAMC_OK);
    r.cut = (int32_t)(item.cut &
                      ((x0 - w->x <= 20 ? SAMC_SIDE_LEFT : 0u) | (w->x + w->width - x1 <= 20 ? SAMC_SIDE_RIGHT : 0u) |
                       (y0 - w->y <= 20 ? SAMC_SIDE_TOP : 0u) | (w->y + w->height - y1 <= 20 ? SAMC_SIDE_BOTTOM : 0u)));
    cr_assert_eq(samc__spans_to_record(&spans, &r, &m->counts[m->count], NULL), SAMC_OK);
    samc__spans_free(&spans);
    m->records[m->count++] = r;
}

static samc_status add_mask(void *context, const samc__scene_record *record, const uint32_t *counts,
                            samc_error *error) {
    masks *m = context;
    (void)error;
    m->counts[m->count] = malloc((size_t)record->count * sizeof *counts);
    memcpy(m->counts[m->count], counts, (size_t)record->count * sizeof *counts);
    m->records[m->count++] = *record;
    return SAMC_OK;
}

static void stitch(masks *m, const samc__scene_plan *plan, masks *whole) {
    const samc__scene_masks all = {m->records, m->count, read_mask, m};
    samc_error error = {0};
    cr_assert_eq(samc__scene_stitch(&all, plan, add_mask, whole, &error), SAMC_OK, "%s", error.message);
}

Test(scene_stitch, a_band_across_tiles_is_one) {
    const samc__scene_plan plan = plan_of(1024, 768, (samc__scene_tiling){.tile = 256, .halo = 64, .points = 4});
    const samc__span_box river = {100, 300, 900, 340}, road = {100, 400, 900, 430}, inside = {280, 350, 300, 360};
    masks *m = calloc(1, sizeof *m), *whole = calloc(1, sizeof *whole), *moved = calloc(1, sizeof *moved);
    for (int column = 3; column >= 0; column--) {
        add_piece(m, &plan, 1, column, 0, road);
        add_piece(m, &plan, 1, column, 1, river);
    }
    add_piece(m, &plan, 1, 1, 2, inside); /* whole: no piece */
    cr_assert_eq(m->records[m->count - 1].cut, 0);
    add_piece(m, &plan, 2, 0, 0, (samc__span_box){20, 600, 800, 640}); /* goes on where nobody saw it */
    stitch(m, &plan, whole);
    cr_assert_eq(whole->count, 2);
    for (int i = 0; i < 2; i++) {
        const samc__scene_record *r = &whole->records[i];
        const samc__span_box *b = r->y == 300 ? &river : &road;
        cr_assert(r->x == 100 && r->width == 800 && r->y == b->y0 && r->height == b->y1 - b->y0 && r->cut == 0);
        cr_assert_eq(r->area, r->width * r->height);
        cr_assert(r->level == 0 && r->tile_row == 1 && r->tile_column == 0 && r->index == (r->y == 300));
        cr_assert_float_eq(r->iou, r->y == 300 ? 0.83f : 0.84f, 1e-6f, "%g", r->iou); /* the least */
    }
    for (int64_t i = 0; i < m->count; i++)
        moved->records[i] = m->records[m->count - 1 - i], moved->counts[i] = m->counts[m->count - 1 - i];
    moved->count = m->count;
    masks *again = calloc(1, sizeof *again);
    stitch(moved, &plan, again);
    cr_assert_eq(again->count, 2);
    for (int i = 0; i < 2; i++)
        cr_assert_eq(memcmp(&again->records[i], &whole->records[i], sizeof whole->records[i]), 0);
    free(moved);
    free_masks(again);
    free_masks(whole);
    free_masks(m);
}

Test(scene_stitch, only_what_agrees_in_the_strip_and_best) {
    const samc__scene_plan plan = plan_of(1024, 768, (samc__scene_tiling){.tile = 256, .halo = 64, .points = 4});
    masks *m = calloc(1, sizeof *m), *whole = calloc(1, sizeof *whole);
    add_piece(m, &plan, 1, 0, 0, (samc__span_box){100, 300, 900, 340});
    add_piece(m, &plan, 1, 1, 0, (samc__span_box){100, 325, 900, 365}); /* less than half of it */
    stitch(m, &plan, whole);
    cr_assert_eq(whole->count, 0);
    add_piece(m, &plan, 1, 0, 1, (samc__span_box){100, 312, 900, 352}); /* whose best has a better one */
    add_piece(m, &plan, 1, 1, 1, (samc__span_box){100, 305, 900, 345});
    add_piece(m, &plan, 1, 1, 2, (samc__span_box){100, 302, 900, 342}); /* better */
    stitch(m, &plan, whole);
    cr_assert_eq(whole->count, 1);
    cr_assert(whole->records[0].y == 300 && whole->records[0].height == 42);
    free_masks(whole);
    whole = calloc(1, sizeof *whole);
    for (int row = 0; row < 3; row++) add_piece(m, &plan, row, 3, 7, (samc__span_box){900, 50, 940, 700}); /* down */
    stitch(m, &plan, whole);
    cr_assert_eq(whole->count, 2);
    cr_assert(whole->records[0].tile_row == 0 && whole->records[0].height == 650);
    free_masks(whole);
    free_masks(m);
}
