/* Tiles and refinement with the default model: masks at sides that are cut, nodata, what a level adds, and that what
 * tiles make of a scene is what the whole picture gives. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "host/io/samc_io.h"
#include "host/io/scene_engine.h"
#include "host/io/scene_spans.h"

typedef struct disc {
    int x, y, radius;
} disc;

/* Bright discs on a dark slope. */
static uint8_t *picture(int width, int height, const disc *discs, int count) {
    uint8_t *rgb = malloc((size_t)width * (size_t)height * 3);
    for (int y = 0; y < height; y++)
        for (int x = 0; x < width; x++) {
            uint8_t *p = rgb + 3 * ((size_t)y * (size_t)width + (size_t)x);
            p[0] = (uint8_t)(40 + 20 * x / width), p[1] = (uint8_t)(60 + 20 * y / height), p[2] = 50;
            for (int i = 0; i < count; i++) {
                const int dx = x - discs[i].x, dy = y - discs[i].y;
                if (dx * dx + dy * dy <= discs[i].radius * discs[i].radius)
                    p[0] = (uint8_t)(200 + 10 * (i % 5)), p[1] = (uint8_t)(190 - 25 * (i % 4)), p[2] = 90;
            }
        }
    return rgb;
}

static samc_model *model;
static samc_session *session;

static void open_session(void) {
    samc_error error;
    cr_assert_eq(samc_model_open(SAMC_MODEL_FILE, NULL, &model, &error), SAMC_OK, "%s", error.message);
    cr_assert_eq(samc_session_create(model, &session, &error), SAMC_OK, "%s", error.message);
}

static void close_session(void) {
    samc_session_destroy(session);
    samc_model_close(model);
}

enum { MOST = 400 };
typedef struct found {
    samc__scene_record records[MOST];
    uint32_t *counts[MOST];
    int64_t count;
} found;

static samc_status add(void *context, const samc__scene_record *record, const uint32_t *counts, samc_error *error) {
    found *f = context;
    (void)error;
    cr_assert(f->count < MOST);
    f->records[f->count] = *record;
    f->counts[f->count] = malloc((size_t)record->count * sizeof *counts);
    memcpy(f->counts[f->count++], counts, (size_t)record->count * sizeof *counts);
    return SAMC_OK;
}

static samc_status read_counts(void *context, int64_t index, uint32_t *counts, samc_error *error) {
    const found *f = context;
    (void)error;
    memcpy(counts, f->counts[index], (size_t)f->records[index].count * sizeof *counts);
    return SAMC_OK;
}

static void clear(found *f) {
    for (int64_t i = 0; i < f->count; i++) free(f->counts[i]);
    f->count = 0;
}

/* IoU of a record and a disc, by areas that both are known to have. */
static double iou_of(const found *f, int64_t index, const disc *d) {
    samc__spans mask = {0}, truth = {0};
    cr_assert_eq(samc__spans_of_record(&mask, &f->records[index], f->counts[index], NULL), SAMC_OK);
    for (int x = d->x - d->radius; x <= d->x + d->radius; x++)
        for (int y = d->y - d->radius; y <= d->y + d->radius; y++)
            if ((x - d->x) * (x - d->x) + (y - d->y) * (y - d->y) <= d->radius * d->radius)
                cr_assert_eq(samc__spans_add(&truth, (samc__span){x, y, y + 1}, NULL), SAMC_OK);
    const samc__span_overlap o = samc__spans_compare(&mask, &truth, (samc__span_box){0, 0, INT32_MAX, INT32_MAX});
    samc__spans_free(&mask);
    samc__spans_free(&truth);
    return (double)o.both / (double)(o.both + o.a + o.b);
}

/* Of all that was kept (keep NULL: of all) the best. */
static double best_iou(const found *f, const uint8_t *keep, const disc *d, int64_t *index) {
    double best = 0.0;
    for (int64_t i = 0; i < f->count; i++) {
        const double iou = keep == NULL || keep[i] ? iou_of(f, i, d) : 0.0;
        if (iou > best) {
            best = iou;
            if (index != NULL) *index = i;
        }
    }
    return best;
}

static samc_auto_options options_of(int points) {
    samc_auto_options o = SAMC_INIT(samc_auto_options);
    samc_default_auto_options(model, &o);
    o.points_per_side = points;
    o.pred_iou_thresh = 0.7, o.stability_score_thresh = 0.8;
    return o;
}

static samc__scene_plan plan_of(int64_t width, int64_t height, const samc__scene_tiling *tiling) {
    samc__scene_plan plan;
    samc_error error;
    cr_assert_eq(samc__scene_plan_make(&plan, width, height, tiling, &error), SAMC_OK, "%s", error.message);
    return plan;
}

/* A window of a level of the picture by plain means. */
static uint8_t *window_of(const uint8_t *rgb, int width, int height, const samc__scene_window *w) {
    const int f = 1 << w->level;
    uint8_t *out = malloc((size_t)w->width * (size_t)w->height * 3);
    for (int y = 0; y < w->height; y++)
        for (int x = 0; x < w->width; x++)
            for (int c = 0; c < 3; c++) {
                int sum = 0, n = 0;
                for (int j = 0; j < f * f; j++) {
                    const int64_t sx = (w->x + x) * f + j % f, sy = (w->y + y) * f + j / f;
                    if (sx < width && sy < height) sum += rgb[3 * (sy * width + sx) + c], n++;
                }
                out[3 * (y * w->width + x) + c] = (uint8_t)((sum + n / 2) / n);
            }
    return out;
}

static void run_tiles(const samc__scene_engine *engine, const uint8_t *rgb, found *f) {
    const samc__scene_plan *plan = engine->plan;
    samc_error error = {0};
    for (int level = 0; level < plan->levels; level++)
        for (int row = 0; row < plan->level[level].rows; row++)
            for (int column = 0; column < plan->level[level].columns; column++) {
                const samc__scene_item item = samc__scene_plan_item(plan, level, row, column);
                uint8_t *pixels = window_of(rgb, (int)plan->width, (int)plan->height, &item.window);
                const uint8_t *pictures[1] = {pixels}, *valid[1] = {NULL};
                cr_assert_eq(samc__scene_tiles(engine, &item, 1, pictures, valid, add, f, &error), SAMC_OK, "%s",
                             error.message);
                free(pixels);
            }
}

/* ---- The border rule --------------------------------------------------------------------------- */

Test(scene_engine, masks_at_sides_that_are_cut_are_dropped, .init = open_session, .fini = close_session) {
    static const disc discs[5] = {{200, 170, 40}, {38, 170, 30}, {200, 38, 30}, {361, 170, 30}, {260, 301, 30}};
    uint8_t *rgb = picture(400, 340, discs, 5);
    const samc__scene_plan plan = plan_of(3000, 3000, &(samc__scene_tiling){.tile = 336, .halo = 32, .points = 8});
    const samc_auto_options o = options_of(8);
    const samc__scene_engine engine = {.plan = &plan, .session = session, .model = model, .automatic = &o};
    for (unsigned cut = 0; cut <= SAMC_SIDE_ALL; cut = cut ? cut * 2 : 1) {
        samc__scene_item item = {
            .window = {0, 1000, 500, 400, 340}, .x0 = 1000, .y0 = 500, .x1 = 1400, .y1 = 840, .cut = cut};
        const uint8_t *pictures[1] = {rgb}, *valid[1] = {NULL};
        found f = {.count = 0};
        samc_error error;
        cr_assert_eq(samc__scene_tiles(&engine, &item, 1, pictures, valid, add, &f, &error), SAMC_OK, "%s",
                     error.message);
        for (int i = 0; i < 5; i++) {
            const disc there = {discs[i].x + 1000, discs[i].y + 500, discs[i].radius};
            const double iou = best_iou(&f, NULL, &there, NULL);
            if (i > 0 && cut == 1u << (i - 1)) cr_expect_lt(iou, 0.3, "disc %d at a cut side: %.3f", i, iou);
            else cr_expect_gt(iou, 0.8, "disc %d with sides %u cut: %.3f", i, cut, iou);
        }
        clear(&f);
    }
    free(rgb);
}

/* ---- A scene ------------------------------------------------------------------------------------ */

enum { WIDTH = 760, HEIGHT = 600, DISCS = 7 };
/* On seams of the tiles and off them, then one that no tile of level 0 sees whole but a window does, and one too large
 * for any window. */
static const disc scene[DISCS] = {{60, 60, 34},  {256, 70, 36},   {70, 256, 36},  {690, 530, 36},
                                  {60, 520, 36}, {512, 236, 140}, {260, 410, 150}};

/* Records that are steadier than any answer stay as they are. */
static void expect_kept(const samc__scene_engine *engine, const samc__scene_refining *item, const uint8_t *pixels,
                        const found *raw) {
    static found steady;
    found kept = {.count = 0};
    samc_error error = {0};
    steady = *raw;
    for (int64_t i = 0; i < steady.count; i++) steady.records[i].stability = 1.5f;
    const samc__scene_masks all = {steady.records, steady.count, read_counts, &steady};
    cr_assert_eq(samc__scene_refine(engine, item, pixels, NULL, &all, add, &kept, &error), SAMC_OK, "%s",
                 error.message);
    cr_assert_eq(kept.count, item->count);
    for (int64_t i = 0; i < kept.count; i++) {
        const samc__scene_record *was = &steady.records[item->order[i]];
        cr_expect(memcmp(&kept.records[i], was, sizeof *was) == 0, "record %d of %d, refined %d", (int)i,
                  (int)kept.count, kept.records[i].refined);
    }
    clear(&kept);
}

static void work_on_scene(const int64_t origin[2], const samc_phrases *labels, found *f, uint8_t *keep) {
    const samc__scene_tiling tiling = {.tile = 256, .halo = 48, .points = 8, .origin = {origin[0], origin[1]}};
    uint8_t *rgb = picture(WIDTH, HEIGHT, scene, DISCS);
    const samc__scene_plan plan = plan_of(WIDTH, HEIGHT, &tiling);
    const samc_auto_options o = options_of(8);
    const samc__scene_engine engine = {
        .plan = &plan, .session = session, .model = model, .automatic = &o, .labels = labels};
    const samc__scene_thresholds thresholds = {0.7, SAMC__SCENE_MASK_IOU};
    samc__scene_refine_plan refine;
    samc_error error = {0};
    uint8_t first[MOST];
    found raw = {.count = 0};
    cr_assert_eq(plan.levels, 3);
    run_tiles(&engine, rgb, &raw);
    const samc__scene_masks all = {raw.records, raw.count, read_counts, &raw};
    cr_assert_eq(samc__scene_merge(&all, &thresholds, first, &error), SAMC_OK, "%s", error.message);
    cr_assert_eq(samc__scene_refine_plan_make(&refine, &plan, raw.records, raw.count, first, &error), SAMC_OK);
    for (int64_t i = 0; i < refine.count; i++) {
        uint8_t *pixels = window_of(rgb, WIDTH, HEIGHT, &refine.items[i].window);
        int finer = 0;
        int64_t at = f->count;
        cr_assert_eq(samc__scene_refine(&engine, &refine.items[i], pixels, NULL, &all, add, f, &error), SAMC_OK, "%s",
                     error.message);
        for (; at < f->count; at++) finer += f->records[at].refined >= 0;
        if (finer > 0) expect_kept(&engine, &refine.items[i], pixels, &raw);
        for (int64_t j = 0; j < refine.items[i].count; j++) first[refine.items[i].order[j]] = 0;
        free(pixels);
    }
    for (int64_t i = 0; i < raw.count; i++)
        if (first[i]) add(f, &raw.records[i], raw.counts[i], NULL);
    const samc__scene_masks left = {f->records, f->count, read_counts, f};
    cr_assert_eq(samc__scene_merge(&left, &thresholds, keep, &error), SAMC_OK, "%s", error.message);
    samc__scene_refine_plan_free(&refine);
    clear(&raw);
    free(rgb);
}

Test(scene_engine, each_object_once_wherever_tiles_begin, .init = open_session, .fini = close_session) {
    static const int64_t origins[2][2] = {{0, 0}, {37, 37}};
    for (int o = 0; o < 2; o++) {
        found f = {.count = 0};
        uint8_t keep[MOST];
        work_on_scene(origins[o], NULL, &f, keep);
        for (int i = 0; i < DISCS; i++) {
            int64_t at = -1;
            int times = 0;
            const double best = best_iou(&f, keep, &scene[i], &at);
            for (int64_t j = 0; j < f.count; j++) times += keep[j] && iou_of(&f, j, &scene[i]) > 0.6;
            cr_expect(best > 0.85, "origin %d, disc %d: %.3f", o, i, best);
            cr_expect_eq(times, 1, "origin %d, disc %d: %d times", o, i, times);
            if (at < 0) continue;
            const samc__scene_record *r = &f.records[at];
            if (o == 0 && i < 5) cr_expect_eq(r->level, 0, "disc %d at level %d", i, r->level);
            if (o == 0 && i == 5)
                cr_expect(r->level > 0 && r->refined == 0, "level %d, refined %d", r->level, r->refined);
            if (o == 0 && i == 6)
                cr_expect(r->level > 0 && r->refined != 0, "level %d, refined %d", r->level, r->refined);
            const double dx = r->point[0] - scene[i].x, dy = r->point[1] - scene[i].y;
            cr_expect(dx * dx + dy * dy < (scene[i].radius + 4) * (scene[i].radius + 4), "a point beside its mask");
        }
        clear(&f);
    }
}

Test(scene_engine, nodata_is_left_alone, .init = open_session, .fini = close_session) {
    static const disc discs[3] = {{60, 60, 30}, {160, 60, 30}, {128, 150, 34}};
    uint8_t *rgb = picture(256, 200, discs, 3), *valid = malloc(256 * 200);
    const samc__scene_plan plan = plan_of(256, 200, &(samc__scene_tiling){.tile = 256, .halo = 48, .points = 8});
    const samc_auto_options o = options_of(8);
    const samc__scene_engine engine = {.plan = &plan, .session = session, .model = model, .automatic = &o};
    const samc__scene_item item = samc__scene_plan_item(&plan, 0, 0, 0);
    const uint8_t *pictures[1] = {rgb}, *there[1] = {valid};
    samc_error error;
    found f = {.count = 0};
    for (int i = 0; i < 256 * 200; i++) valid[i] = i % 256 >= 120; /* the first disc, and a part of the third */
    cr_assert_eq(samc__scene_tiles(&engine, &item, 1, pictures, there, add, &f, &error), SAMC_OK, "%s", error.message);
    for (int64_t i = 0; i < f.count; i++)
        cr_expect(f.records[i].x >= 120 && f.records[i].point[0] >= 119.5, "a mask on nodata, from x = %lld",
                  (long long)f.records[i].x);
    cr_expect_gt(best_iou(&f, NULL, &discs[1], NULL), 0.9);
    cr_expect_lt(best_iou(&f, NULL, &discs[0], NULL), 0.1);
    cr_expect(best_iou(&f, NULL, &discs[2], NULL) > 0.4, "what is left of a mask");
    clear(&f);
    memset(valid, 0, 256 * 200);
    cr_assert_eq(samc__scene_tiles(&engine, &item, 1, pictures, there, add, &f, &error), SAMC_OK);
    cr_expect_eq(f.count, 0);
    free(rgb);
    free(valid);
}

/* ---- As samc_auto() ----------------------------------------------------------------------------- */

typedef struct plain {
    int count;
    int64_t area[MOST];
    float iou[MOST];
} plain;

static samc_status keep_plain(void *context, int image, const samc_mask *masks, int count,
                              const samc_auto_stats *stats) {
    plain *p = context;
    (void)image, (void)stats;
    for (int i = 0; i < count; i++)
        p->area[p->count] = samc_mask_at(masks, i)->area, p->iou[p->count++] = samc_mask_at(masks, i)->predicted_iou;
    return SAMC_OK;
}

Test(scene_engine, one_tile_is_samc_auto_and_two_together_are_as_each_alone, .init = open_session,
     .fini = close_session) {
    static const disc discs[3] = {{60, 60, 30}, {160, 60, 30}, {128, 150, 34}};
    uint8_t *rgb = picture(256, 200, discs, 3);
    const samc_image image = {sizeof image, rgb, 256, 200, 256 * 3};
    samc__scene_plan plan = plan_of(256, 200, &(samc__scene_tiling){.tile = 256, .halo = 48, .points = 8});
    const samc_auto_options o = options_of(8);
    const samc__scene_engine engine = {.plan = &plan, .session = session, .model = model, .automatic = &o};
    samc__scene_item items[2] = {samc__scene_plan_item(&plan, 0, 0, 0)};
    const uint8_t *pictures[2] = {rgb, rgb}, *valid[2] = {NULL, NULL};
    samc_error error;
    plain p = {.count = 0};
    found f = {.count = 0}, both = {.count = 0};
    cr_assert_eq(samc_auto(session, &image, 1, &o, keep_plain, &p), SAMC_OK);
    cr_assert_eq(samc__scene_tiles(&engine, items, 1, pictures, valid, add, &f, &error), SAMC_OK);
    cr_assert(f.count == p.count && p.count > 2, "%d and %d", (int)f.count, p.count);
    for (int i = 0; i < p.count; i++)
        cr_expect(f.records[i].area == p.area[i] && f.records[i].iou == p.iou[i] && f.records[i].index == i);
    items[1] = items[0];
    items[1].column = 1;
    cr_assert_eq(samc__scene_tiles(&engine, items, 2, pictures, valid, add, &both, &error), SAMC_OK);
    cr_assert_eq(both.count, 2 * f.count);
    for (int64_t i = 0; i < both.count; i++) {
        samc__scene_record want = f.records[i % f.count];
        want.tile_column = i >= f.count;
        cr_expect_eq(memcmp(&both.records[i], &want, sizeof want), 0);
        cr_expect_eq(memcmp(both.counts[i], f.counts[i % f.count], (size_t)want.count * 4), 0);
    }
    clear(&f);
    clear(&both);
    free(rgb);
}
