/* Automatic masks through the public interface: they obey their own filters, do not depend on threads or batches, and
 * the options are checked. That they are the original's is shown by tests/parity/auto_parity.py. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/runs.h"
#include "runtime/base/spool.h"
#include "tests/engine.h"
#include "tests/rungs.h"

enum { WIDTH = 90, HEIGHT = 70 };

/* Discs on a gradient. */
static samc_image picture(uint8_t *pixels) {
    for (int y = 0; y < HEIGHT; y++)
        for (int x = 0; x < WIDTH; x++) {
            int a = (x - 25) * (x - 25) + (y - 20) * (y - 20) < 180,
                b = (x - 65) * (x - 65) + (y - 45) * (y - 45) < 300;
            for (int c = 0; c < 3; c++)
                pixels[(y * WIDTH + x) * 3 + c] = (uint8_t)(a ? 230 - 60 * c : b ? 60 * c : 50 + x + y / 2);
        }
    return (samc_image){sizeof(samc_image), pixels, WIDTH, HEIGHT, WIDTH * 3};
}

static samc_auto_options loose(void) {
    samc_auto_options o = SAMC_INIT(samc_auto_options);
    samc_default_auto_options(NULL, &o);
    o.points_per_side = 6;
    o.pred_iou_thresh = 0.75;
    o.stability_score_thresh = 0.45;
    o.box_nms_thresh = o.crop_nms_thresh = 1.0; /* masks of random weights reach across the image: keep them apart */
    return o;
}

/* Everything the callback saw, as bytes that can be compared. */
typedef struct seen {
    char *bytes;
    size_t size, capacity;
    int images, masks;
    samc_auto_stats stats;
    const samc_auto_options *options;
    samc_status answer;
} seen;

static void append(seen *s, const void *data, size_t size) {
    if (s->size + size > s->capacity) s->bytes = realloc(s->bytes, s->capacity = 2 * (s->size + size));
    memcpy(s->bytes + s->size, data, size);
    s->size += size;
}

static samc_status collect(void *context, int image, const samc_mask *masks, int count, const samc_auto_stats *stats) {
    seen *s = context;
    cr_expect_eq(image, s->images);
    s->images++;
    s->masks += count;
    s->stats = *stats;
    for (int i = 0; i < count; i++) {
        const samc_mask *m = &masks[i];
        int64_t area = 0, total = 0;
        int x0 = WIDTH, y0 = HEIGHT, x1 = -1, y1 = -1;
        uint32_t *counts = malloc(m->count_length * sizeof *counts);
        cr_assert_eq(samc_mask_counts(m, counts, NULL), SAMC_OK);
        for (size_t j = 0; j < m->count_length; total += counts[j++])
            for (int64_t p = total; j % 2 == 1 && p < total + counts[j]; p++, area++) {
                int x = (int)(p / HEIGHT), y = (int)(p % HEIGHT);
                x0 = x < x0 ? x : x0, x1 = x > x1 ? x : x1, y0 = y < y0 ? y : y0, y1 = y > y1 ? y : y1;
            }
        cr_expect_eq(total, WIDTH * HEIGHT, "the runs cover the image");
        cr_expect_eq(area, m->area);
        cr_expect(m->bbox[0] == x0 && m->bbox[1] == y0 && m->bbox[2] == x1 - x0 && m->bbox[3] == y1 - y0, "mask %d", i);
        cr_expect_gt(m->predicted_iou, s->options->pred_iou_thresh);
        cr_expect_geq(m->stability_score, (float)s->options->stability_score_thresh);
        if (i > 0 && s->options->crop_n_layers == 0 && s->options->min_mask_region_area == 0)
            cr_expect_leq(m->predicted_iou, masks[i - 1].predicted_iou, "by descending predicted IoU");
        append(s, counts, m->count_length * sizeof *counts);
        free(counts);
        append(s, &m->area, sizeof m->area);
        append(s, m->bbox, sizeof m->bbox);
        append(s, &m->predicted_iou, sizeof m->predicted_iou);
        append(s, &m->stability_score, sizeof m->stability_score);
        append(s, m->point, sizeof m->point);
        append(s, m->crop_box, sizeof m->crop_box);
    }
    return s->answer;
}

static seen run_in(const table *t, int threads, const samc_auto_options *options, int images) {
    uint8_t pixels[WIDTH * HEIGHT * 3];
    samc_image image = picture(pixels), both[2] = {image, image};
    cr_assert(t->caps == NULL || allow(t));
    samc_model *model = open_model_in(t->backend, t->precision, threads);
    samc_session *session = open_session(model);
    seen s = {.options = options};
    cr_assert_eq(samc_auto(session, both, images, options, collect, &s), SAMC_OK, "%s", samc_last_error(session));
    cr_expect_eq(s.images, images);
    samc_session_destroy(session);
    samc_model_close(model);
    return s;
}

static seen run(samc_backend backend, int threads, const samc_auto_options *options, int images) {
    return run_in(&(table){.backend = backend}, threads, options, images);
}

static samc_status count_only(void *context, int image, const samc_mask *masks, int count,
                              const samc_auto_stats *stats) {
    seen *s = context;
    (void)image, (void)masks;
    s->images++;
    s->masks += count;
    s->stats = *stats;
    return SAMC_OK;
}

Test(automatic, filters_hold_and_counts_add_up) {
    samc_auto_options o = loose();
    seen s = run(SAMC_BACKEND_REF, 1, &o, 1);
    cr_expect_eq(s.stats.prompts, 36);
    cr_expect_eq(s.stats.masks, 108);
    cr_expect_lt(s.stats.after_iou, s.stats.masks, "every filter must drop something for this test to mean anything");
    cr_expect_lt(s.stats.after_stability, s.stats.after_iou);
    cr_expect_eq(s.stats.after_nms, s.stats.after_edge, "nothing overlaps by more than 1");
    cr_expect_eq(s.stats.kept, s.masks);
    cr_expect_gt(s.masks, 10);
    free(s.bytes);
    o.box_nms_thresh = 0.5;
    s = run(SAMC_BACKEND_REF, 1, &o, 1);
    cr_expect(s.masks > 0 && s.masks < 5 && s.stats.after_nms == s.masks, "boxes that all overlap: %d left", s.masks);
    free(s.bytes);
}

Test(automatic, same_bytes_with_any_threads_batch_and_neighbours) {
    samc_auto_options o = loose();
    o.crop_n_layers = 1;
    o.crop_n_points_downscale_factor = 2;
    o.min_mask_region_area = 12;
    for (int b = 0; b < 3 + LOW_RUNGS; b++) {
        table t = {.backend = b == 0 ? SAMC_BACKEND_REF : SAMC_BACKEND_CPU};
        if (b >= 2) t.precision = SAMC_PRECISION_BF16, t.caps = b == 2 ? rungs[RUNGS - 1] : low_rungs[b - 3];
        seen first = run_in(&t, 1, &o, 1);
        cr_expect_gt(first.masks, 1);
        for (int variant = 0; variant < 3; variant++) {
            samc_auto_options other = o;
            other.points_per_batch = variant == 0 ? 1 : variant == 1 ? 7 : 1000;
            seen s = run_in(&t, variant + 1, &other, variant == 2 ? 2 : 1);
            cr_expect(s.size == first.size * (variant == 2 ? 2 : 1) && memcmp(s.bytes, first.bytes, first.size) == 0,
                      "%s, variant %d",
                      t.caps ? t.caps
                      : b    ? "cpu"
                             : "ref",
                      variant);
            free(s.bytes);
        }
        free(first.bytes);
    }
}

/* Images without crops go through the encoder together, each with its own masks: two different ones and an invalid
 * third, which fails in its turn. */
Test(automatic, encodes_several_images_in_one_pass) {
    samc_auto_options o = loose();
    uint8_t pixels[WIDTH * HEIGHT * 3], turned[WIDTH * HEIGHT * 3];
    samc_image image = picture(pixels), images[3] = {image, image, {.size = sizeof image}};
    for (int i = 0; i < WIDTH * HEIGHT * 3; i++) turned[i] = (uint8_t)(255 - pixels[i]);
    images[1].pixels = turned;
    samc_model *model = open_model(SAMC_BACKEND_CPU, 2);
    samc_session *session = open_session(model);
    seen apart = {.options = &o}, together = {.options = &o};
    for (int i = 0; i < 2; i++) {
        apart.images = 0; /* each is the only one of its call */
        cr_assert_eq(samc_auto(session, &images[i], 1, &o, collect, &apart), SAMC_OK);
    }
    cr_assert_eq(samc_profile_begin(session), SAMC_OK);
    cr_expect_eq(samc_auto(session, images, 3, &o, collect, &together), SAMC_INVALID_ARGUMENT);
    samc_profile_row rows[64] = {{.size = sizeof *rows}};
    int count = 0, passes = 0;
    cr_assert_eq(samc_profile_end(session, rows, 64, &count), SAMC_OK);
    for (int i = 0; i < count; i++)
        if (strcmp(rows[i].name, "conv3x3") == 0) passes = (int)rows[i].calls;
    cr_expect_eq(passes, 1, "the neck ran %d times", passes);
    cr_expect_eq(together.images, 2);
    cr_expect(together.masks > 10 && together.size == apart.size &&
              memcmp(together.bytes, apart.bytes, apart.size) == 0);
    free(apart.bytes);
    free(together.bytes);
    samc_session_destroy(session);
    samc_model_close(model);
}

/* On a host what passed the predicted IoU is resized once, bits and statistics together, and nothing else is. */
Test(automatic, finishes_only_the_masks_that_are_left) {
    uint8_t pixels[WIDTH * HEIGHT * 3];
    samc_image image = picture(pixels);
    samc_auto_options o = loose();
    samc_model *model = open_model(SAMC_BACKEND_REF, 1);
    samc_session *session = open_session(model);
    samc_model_info info = SAMC_INIT(samc_model_info);
    samc_model_get_info(model, &info);
    seen s = {.options = &o};
    cr_assert_eq(samc_profile_begin(session), SAMC_OK);
    cr_assert_eq(samc_auto(session, &image, 1, &o, collect, &s), SAMC_OK, "%s", samc_last_error(session));
    samc_profile_row rows[64] = {{.size = sizeof *rows}};
    int count = 0;
    cr_assert_eq(samc_profile_end(session, rows, 64, &count), SAMC_OK);
    double new_height = floor((double)info.image_size / WIDTH * HEIGHT + 0.5),
           each = 8.0 * (WIDTH * HEIGHT + new_height * info.image_size);
    for (int i = 0; i < count; i++) {
        if (strcmp(rows[i].name, "finish_masks") != 0) continue;
        cr_expect_float_eq(rows[i].flops, (double)s.stats.after_iou * each, 1, "%.0f masks", rows[i].flops / each);
    }
    cr_expect(s.stats.after_edge > 0 && s.stats.after_edge < s.stats.after_iou);
    free(s.bytes);
    samc_session_destroy(session);
    samc_model_close(model);
}

Test(automatic, own_point_grid_is_the_default_one_in_other_words) {
    enum { SIDE = 6 };
    double xy[SIDE * SIDE][2];
    for (int i = 0; i < SIDE * SIDE; i++) xy[i][0] = (i % SIDE + 0.5) / SIDE, xy[i][1] = (i / SIDE + 0.5) / SIDE;
    samc_point_grid grid = {sizeof grid, xy[0], SIDE * SIDE};
    samc_auto_options o = loose(), own = o;
    own.points_per_side = 1;
    own.point_grids = &grid;
    seen a = run(SAMC_BACKEND_REF, 1, &o, 1), b = run(SAMC_BACKEND_REF, 1, &own, 1);
    cr_expect(a.size == b.size && memcmp(a.bytes, b.bytes, a.size) == 0);
    free(a.bytes);
    free(b.bytes);
}

Test(automatic, refuses_bad_options_and_stops_when_asked) {
    uint8_t pixels[WIDTH * HEIGHT * 3];
    samc_image image = picture(pixels);
    samc_model *model = open_model(SAMC_BACKEND_REF, 1);
    samc_session *session = open_session(model);
    samc_auto_options good = loose();
    seen s = {.options = &good};
    static const struct {
        const char *name;
        size_t offset;
        int value;
    } whole[] = {
        {"points_per_side", offsetof(samc_auto_options, points_per_side), 0},
        {"points_per_batch", offsetof(samc_auto_options, points_per_batch), -1},
        {"crop_n_layers", offsetof(samc_auto_options, crop_n_layers), 99},
        {"crop_n_points_downscale_factor", offsetof(samc_auto_options, crop_n_points_downscale_factor), 0},
    };
    for (size_t i = 0; i < sizeof whole / sizeof *whole; i++) {
        samc_auto_options bad = good;
        memcpy((char *)&bad + whole[i].offset, &whole[i].value, sizeof(int));
        cr_expect_eq(samc_auto(session, &image, 1, &bad, collect, &s), SAMC_INVALID_ARGUMENT, "%s", whole[i].name);
        cr_expect_not_null(strstr(samc_last_error(session), whole[i].name), "%s", samc_last_error(session));
    }
    samc_auto_options bad = good;
    bad.pred_iou_thresh = NAN;
    cr_expect_eq(samc_auto(session, &image, 1, &bad, collect, &s), SAMC_INVALID_ARGUMENT);
    cr_expect_eq(samc_auto(session, &image, 0, &good, collect, &s), SAMC_INVALID_ARGUMENT);
    cr_expect_eq(samc_auto(session, &image, 1, &good, NULL, &s), SAMC_INVALID_ARGUMENT);
    cr_expect_eq(s.images, 0);
    s.answer = SAMC_IO;
    cr_expect_eq(samc_auto(session, &image, 1, &good, collect, &s), SAMC_IO, "what the callback returns ends the run");
    free(s.bytes);
    samc_session_destroy(session);
    samc_model_close(model);
}

/* Run lengths beyond the budget go through a temporary file: all of them, or those that come later. */
Test(automatic, same_bytes_from_a_temporary_file) {
    samc_auto_options o = loose();
    o.min_mask_region_area = 12;
    seen held = run(SAMC_BACKEND_REF, 1, &o, 1);
    cr_assert_gt(held.masks, 10);
    for (int64_t budget = 0; budget < 1500; budget += 500) {
        samc__spool_set_budget(budget);
        seen s = run(SAMC_BACKEND_REF, 1, &o, 1);
        cr_expect(s.size == held.size && memcmp(s.bytes, held.bytes, s.size) == 0, "%lld bytes in memory",
                  (long long)budget);
        free(s.bytes);
    }
    free(held.bytes);
    uint8_t pixels[WIDTH * HEIGHT * 3];
    samc_image image = picture(pixels);
    samc_model *model = open_model(SAMC_BACKEND_REF, 1);
    samc_session *session = open_session(model);
    seen s = {.options = &o};
    o.temporary_folder = "/nonexistent";
    samc__spool_set_budget(0);
    cr_expect_eq(samc_auto(session, &image, 1, &o, collect, &s), SAMC_IO);
    cr_expect_not_null(strstr(samc_last_error(session), "/nonexistent: cannot create a temporary file"), "%s",
                       samc_last_error(session));
    samc_session_destroy(session);
    samc_model_close(model);
}

typedef struct heard {
    int64_t last, total, calls, stop_at; /* points; 0: never */
} heard;

static samc_status hear(void *context, int image, int64_t done, int64_t total) {
    heard *h = context;
    cr_expect(image == 0 && done > h->last && done <= total && (h->calls == 0 || total == h->total));
    h->last = done, h->total = total, h->calls++;
    return h->stop_at > 0 && done >= h->stop_at ? SAMC_IO : SAMC_OK;
}

/* Every batch of points is heard of, crops included, and may be the last one. */
Test(automatic, progress) {
    samc_auto_options o = loose();
    uint8_t pixels[WIDTH * HEIGHT * 3];
    samc_image image = picture(pixels);
    samc_model *model = open_model(SAMC_BACKEND_CPU, 1);
    samc_session *session = open_session(model);
    heard h = {0};
    o.points_per_side = 4, o.points_per_batch = 3, o.crop_n_layers = 1, o.crop_n_points_downscale_factor = 2;
    o.progress = hear, o.progress_context = &h;
    seen s = {.options = &o};
    cr_assert_eq(samc_auto(session, &image, 1, &o, collect, &s), SAMC_OK, "%s", samc_last_error(session));
    cr_expect(h.total == 16 + 4 * 4 && h.last == h.total && h.calls == 6 + 4 * 2, "%lld of %lld in %lld calls",
              (long long)h.last, (long long)h.total, (long long)h.calls);
    h = (heard){.stop_at = 9};
    cr_expect_eq(samc_auto(session, &image, 1, &o, collect, &s), SAMC_IO);
    cr_expect_eq(h.last, 9);
    free(s.bytes);
    samc_session_destroy(session);
    samc_model_close(model);
}

static samc_status keep(void *context, int image, const samc_mask *masks, int count, const samc_auto_stats *stats) {
    (void)image, (void)stats;
    if (count < 1) return SAMC_IO;
    *(samc_mask *)context = masks[0];
    samc_runs_keep(masks[0].runs);
    return SAMC_OK;
}

/* Run lengths that are kept outlive the session; COCO's string says the same as the numbers. */
Test(automatic, run_lengths_outlive_the_session) {
    samc_auto_options o = loose();
    uint8_t pixels[WIDTH * HEIGHT * 3];
    samc_image image = picture(pixels);
    samc_model *model = open_model(SAMC_BACKEND_REF, 1);
    samc_session *session = open_session(model);
    samc_mask mask;
    cr_assert_eq(samc_auto(session, &image, 1, &o, keep, &mask), SAMC_OK, "%s", samc_last_error(session));
    samc_session_destroy(session);
    samc_model_close(model);
    uint32_t *counts = malloc(mask.count_length * sizeof *counts), *again = malloc(mask.count_length * sizeof *again);
    char *rle = malloc(mask.rle_length + 1);
    cr_assert(samc_mask_counts(&mask, counts, NULL) == SAMC_OK && samc_mask_rle(&mask, rle, NULL) == SAMC_OK);
    cr_assert(strlen(rle) == mask.rle_length && samc__runs_count(rle, mask.rle_length) == mask.count_length);
    cr_assert(samc__runs_unpack(rle, mask.rle_length, again));
    cr_expect_arr_eq(counts, again, mask.count_length * sizeof *counts);
    int64_t area = 0, total = 0;
    for (size_t i = 0; i < mask.count_length; total += counts[i++]) area += i % 2 ? counts[i] : 0;
    cr_expect(area == mask.area && total == WIDTH * HEIGHT);
    free(rle);
    free(again);
    free(counts);
    samc_runs_release(mask.runs);
}

/* An image in which nothing survives is an empty list, not an error. */
Test(automatic, nothing_survives) {
    samc_auto_options o = loose();
    o.points_per_side = 2;

    uint8_t pixels[WIDTH * HEIGHT * 3];
    samc_image image = picture(pixels);
    samc_model *model = open_model(SAMC_BACKEND_CPU, 2);
    samc_session *session = open_session(model);
    samc_auto_options none = o;
    none.pred_iou_thresh = 100.0;
    seen s = {.options = &none};
    cr_assert_eq(samc_auto(session, &image, 1, &none, collect, &s), SAMC_OK);
    cr_expect(s.masks == 0 && s.images == 1 && s.stats.after_iou == 0);
    free(s.bytes);
    samc_session_destroy(session);
    samc_model_close(model);
}

/* Rows and columns of crops that begin beyond the edge of a small or narrow image hold nothing and are left out. */
Test(automatic, crops_beyond_the_edge_are_left_out) {
    static const struct {
        int width, height, layers;
        int64_t crops;
    } cases[] = {{40, 30, 4, 1 + 4 + 16 + 64 + 14 * 15}, {1, 1, 2, 1 + 1 + 1}, {90, 2, 3, 0}, {1, 70, 2, 0}};
    uint8_t pixels[WIDTH * HEIGHT * 3];
    samc_image whole = picture(pixels);
    samc_model *model = open_model(SAMC_BACKEND_CPU, 2);
    samc_session *session = open_session(model);
    samc_auto_options o = loose();
    o.points_per_side = 2;
    o.pred_iou_thresh = o.stability_score_thresh = 0.0;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        samc_image image = {sizeof(samc_image), whole.pixels, cases[i].width, cases[i].height, whole.row_bytes};
        samc_auto_options crops = o;
        crops.crop_n_layers = cases[i].layers;
        seen s = {.options = &crops};
        cr_assert_eq(samc_auto(session, &image, 1, &crops, count_only, &s), SAMC_OK, "case %zu: %s", i,
                     samc_last_error(session));
        int64_t all = 0;
        for (int layer = 0; layer <= crops.crop_n_layers; layer++) all += 1 << 2 * layer;
        cr_expect(s.images == 1 && s.stats.crops >= 1 && s.stats.crops < all, "case %zu: %lld of %lld crops", i,
                  (long long)s.stats.crops, (long long)all);
        if (cases[i].crops > 0)
            cr_expect_eq(s.stats.crops, cases[i].crops, "case %zu: %lld crops", i, (long long)s.stats.crops);
    }
    samc_session_destroy(session);
    samc_model_close(model);
}
