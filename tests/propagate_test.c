/* Decisions from slice to slice, without a model: roles, endings, prompts from masks, overlaps; and with the tiny one a
 * run that is stopped anywhere and goes on. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "host/io/encodings.h"
#include "host/io/link.h"
#include "host/io/propagate.h"
#include "host/io/visits.h"
#include "runtime/model.h"
#include "tests/engine.h"
#include "tests/volume_fixture.h"

static samc__space space_of(int i, int j, int k, int axis) {
    return samc__space_of((const int[3]){i, j, k}, (const double[3]){1, 1, 1}, axis);
}

/* Objects on a volume of 24 x 20 x 12, slices across k, with a point each on slices [count]. */
static samc_annotations *annotate(const int *slices, int count) {
    samc_annotations *a;
    const samc__space space = space_of(24, 20, 12, 2);
    const float at[2] = {3, 4};
    samc_error error;
    cr_assert_eq(samc__annotations_create(&space, &a, NULL), SAMC_OK);
    cr_assert_eq(samc_annotations_object(a, "one", NULL, NULL), SAMC_OK);
    for (int i = 0; i < count; i++) {
        const samc_volume_prompt p = {.size = sizeof p, .slice = slices[i], .points = at, .point_count = 1};
        cr_assert_eq(samc_annotations_add(a, &p, &error), SAMC_OK, "%s", error.message);
    }
    return a;
}

static samc_rle rle_of(const uint8_t *mask, int width, int height) {
    samc_rle rle = SAMC_INIT(samc_rle);
    cr_assert_eq(samc_rle_from_bytes(mask, width, height, &rle, NULL), SAMC_OK);
    return rle;
}

/* A box [x0, x1) x [y0, y1) of a slice of 24 x 20. */
static samc_rle box_of(int x0, int y0, int x1, int y1) {
    uint8_t mask[20 * 24] = {0};
    for (int y = y0; y < y1; y++)
        for (int x = x0; x < x1; x++) mask[y * 24 + x] = 1;
    return rle_of(mask, 24, 20);
}

/* Outwards; in a gap to the middle from both sides, whose one slice is asked with both where the gap is odd. */
Test(propagate, roles) {
    samc_annotations *a = annotate((const int[]){2, 6, 9}, 3);
    /*                          0    1    2    3    4    5    6    7    8    9    10   11 */
    static const char wanted[] = "BBGFMBGFBGFF";
    static const int origins[] = {2, 2, 2, 2, 2, 6, 6, 6, 9, 9, 9, 9};
    for (int z = 0; z < 12; z++) {
        samc__step step = samc__step_of(a, 0, z);
        cr_expect_eq("NGFBM"[step.role], wanted[z], "slice %d: %c", z, "NGFBM"[step.role]);
        cr_expect_eq(step.origin, origins[z], "slice %d", z);
        cr_expect_eq(step.between, z > 2 && z < 9 && z != 6, "slice %d", z);
    }
    samc_annotations_object(a, NULL, NULL, NULL);
    cr_expect_str_eq(a->names[1], "object 2");
    cr_expect_eq(samc__step_of(a, 1, 5).role, SAMC__STEP_NONE);
    samc_annotations_free(a);
}

Test(propagate, endings) {
    const samc__ending e = {.least_iou = 0.6, .most_growth = 4.0, .least_likeness = 0.6, .most_area = 30};
    samc_rle before = box_of(2, 2, 12, 12), same = box_of(2, 2, 12, 12), moved = box_of(5, 2, 15, 12),
             larger = box_of(2, 2, 15, 12), none = box_of(0, 0, 0, 0);
    const samc__match good = {0.8, 40.0}, fair = {0.49, 40.0}, unlike = {0.47, 40.0}, against = {0.8, 0.0};
    cr_expect(samc__goes_on(&e, &before, &same, &good, 0.8));
    cr_expect_not(samc__goes_on(&e, &before, &none, &good, 0.8), "it is empty");
    cr_expect_not(samc__goes_on(&e, &before, &moved, &good, 0.8), "IoU is 70 / 130");
    cr_expect_not(samc__goes_on(&e, &before, &larger, &good, 0.8), "130 is more than four times 30");
    cr_expect(samc__goes_on(&e, &before, &same, &fair, 0.8));
    cr_expect_not(samc__goes_on(&e, &before, &same, &unlike, 0.8), "less than 0.6 of the annotated slice's 0.8");
    cr_expect_not(samc__goes_on(&e, &before, &same, &against, 0.8), "as much speaks against it as for it");
    const samc__ending never = {0};
    cr_expect(samc__goes_on(&never, &before, &moved, &(samc__match){0.0, -9.0}, 0.9));
    cr_expect_float_eq(samc__mask_iou(&before, &moved), 70.0 / 130.0, 1e-12);
    samc_rle both = {0};
    cr_assert_eq(samc__mask_both(&before, &moved, true, &both, NULL), SAMC_OK);
    cr_expect_eq(samc__mask_area(&both), 130);
    int box[4];
    cr_expect_eq(samc_rle_measure(&both, NULL, box, NULL), SAMC_OK);
    cr_expect(box[0] == 2 && box[1] == 2 && box[2] == 12 && box[3] == 9);
    free(both.counts);
    samc_rle *all[] = {&before, &same, &moved, &larger, &none};
    for (int i = 0; i < 5; i++) samc_rle_free(all[i]);
}

/* Grey values tell the object from what is around it; a mask that leaks, or lies elsewhere, is less like it. */
Test(propagate, likeness) {
    uint8_t grey[20 * 24];
    samc_rle object = box_of(6, 6, 16, 14), leaks = box_of(6, 6, 20, 14), elsewhere = box_of(0, 0, 5, 5),
             half = box_of(6, 6, 11, 14);
    int around[4];
    for (int i = 0; i < 20 * 24; i++) {
        int x = i % 24, y = i / 24;
        grey[i] = (uint8_t)((x >= 6 && x < 16 && y >= 6 && y < 14 ? 150 : 90) + (x * 7 + y * 3) % 11);
    }
    samc__likeness l;
    cr_assert_eq(samc__likeness_learn(&l, &object, grey, NULL), SAMC_OK);
    cr_assert_eq(samc__likeness_around(&object, around, NULL), SAMC_OK);
    cr_expect(around[0] == 1 && around[1] == 2 && around[2] == 21 && around[3] == 18, "%d %d %d %d", around[0],
              around[1], around[2], around[3]);
    samc__match whole = samc__likeness_of(&l, around, &object, grey),
                leaking = samc__likeness_of(&l, around, &leaks, grey),
                part = samc__likeness_of(&l, around, &half, grey);
    cr_expect(whole.iou > 0.95 && whole.iou == l.own, "%g", whole.iou);
    cr_expect(leaking.iou < 0.8 * l.own && leaking.iou > 0.5 * l.own, "%g", leaking.iou);
    cr_expect(whole.evidence > 1.2 * leaking.evidence && whole.evidence > 1.5 * part.evidence);
    cr_expect(samc__likeness_of(&l, around, &elsewhere, grey).iou < 0.05);
    cr_expect_lt(samc__likeness_of(&l, around, &elsewhere, grey).evidence, -20.0, "25 pixels that are not it");
    /* Where nothing is sure, a mask that is too large has the better IoU with the odds, and not more evidence. */
    samc__likeness unsure = {0};
    for (int value = 0; value < 256; value++) unsure.part[value] = value > 120 ? 0.55f : 0.45f;
    cr_expect_gt(samc__likeness_of(&unsure, around, &leaks, grey).iou,
                 samc__likeness_of(&unsure, around, &object, grey).iou);
    cr_expect_lt(samc__likeness_of(&unsure, around, &leaks, grey).evidence,
                 samc__likeness_of(&unsure, around, &object, grey).evidence);
    for (int i = 0; i < 20 * 24; i++) grey[i] = 90; /* the object is not on this slice */
    whole = samc__likeness_of(&l, around, &object, grey);
    cr_expect(whole.iou < 0.3 * l.own && whole.evidence < 0.0);
    samc_rle_free(&half);
    samc_rle_free(&object), samc_rle_free(&leaks), samc_rle_free(&elsewhere);
}

Test(propagate, prompts_from_masks) {
    samc_rle mask = box_of(4, 2, 14, 12);
    samc__carried c;
    static float logits[12 * 12];
    const samc__carry_frame frame = {24, 20, 12, false}, squashed = {24, 20, 12, true};
    const unsigned all = SAMC_CARRY_BOX | SAMC_CARRY_MASK | SAMC_CARRY_POINTS;
    cr_assert_eq(samc__carry(&mask, &frame, all, 0.1, logits, &c, NULL), SAMC_OK);
    cr_assert(c.prompt.box == c.box && c.prompt.mask_input == logits && c.prompt.points == c.points);
    cr_expect(c.box[0] == 3.0f && c.box[1] == 1.0f && c.box[2] == 14.0f && c.box[3] == 12.0f, "%g %g %g %g",
              (double)c.box[0], (double)c.box[1], (double)c.box[2], (double)c.box[3]);
    cr_expect(c.labels[0] == 1 && fabsf(c.points[0] - 8.5f) <= 1.0f && fabsf(c.points[1] - 6.5f) <= 1.0f,
              "the first is in the middle: %g %g", (double)c.points[0], (double)c.points[1]);
    for (int i = 0; i < c.prompt.point_count; i++) {
        int x = (int)c.points[2 * i], y = (int)c.points[2 * i + 1];
        bool in = x >= 4 && x < 14 && y >= 2 && y < 12;
        cr_expect_eq(c.labels[i], in, "point %d, %d", x, y);
    }
    /* Two pixels a cell; rows 20 / 2 and on are padding. */
    for (int y = 0; y < 12; y++)
        for (int x = 0; x < 12; x++) {
            float wanted = y >= 10 ? 0.0f : x >= 2 && x < 7 && y >= 1 && y < 6 ? 6.9067548f : -6.9067548f;
            cr_expect_eq(logits[y * 12 + x], wanted, "%d, %d: %g", x, y, (double)logits[y * 12 + x]);
        }
    cr_assert_eq(samc__carry(&mask, &squashed, SAMC_CARRY_MASK, 0.0, logits, &c, NULL), SAMC_OK);
    cr_expect(c.prompt.box == NULL && c.prompt.point_count == 0);
    for (int x = 0; x < 12; x++) cr_expect_eq(logits[11 * 12 + x], -6.9067548f, "no padding");
    cr_assert_eq(samc__carry(&mask, &frame, SAMC_CARRY_BOX, 1.0, NULL, &c, NULL), SAMC_OK);
    cr_expect(c.box[0] == 0.0f && c.box[1] == 0.0f && c.box[2] == 23.0f && c.box[3] == 19.0f, "within the slice");
    samc_rle_free(&mask);
}

/* Each with one line, and nothing is added. */
Test(propagate, annotations_that_are_wrong) {
    samc_annotations *a = annotate((const int[]){2}, 1);
    const float in[2] = {3, 4}, out[2] = {24, 4}, box[4] = {1, 1, 5, 5}, turned[4] = {5, 1, 1, 5},
                beyond[4] = {40, 1, 50, 5};
    const int32_t odd = 2;
    uint8_t mask[20 * 24] = {0};
    const struct {
        const char *says;
        samc_volume_prompt p;
    } wrong[] = {{"slice 12 is outside", {.slice = 12, .points = in, .point_count = 1}},
                 {"slice -1 is outside", {.slice = -1, .points = in, .point_count = 1}},
                 {"point 24,4 is outside", {.slice = 3, .points = out, .point_count = 1}},
                 {"label is 0 or 1", {.slice = 3, .points = in, .labels = &odd, .point_count = 1}},
                 {"has no inside", {.slice = 3, .box = turned}},
                 {"is outside the slices", {.slice = 3, .box = beyond}},
                 {"without points, box and mask", {.slice = 3}},
                 {"a mask beside points or a box", {.slice = 3, .box = box, .mask = mask}},
                 {"an empty mask", {.slice = 3, .mask = mask}},
                 {"object 1 of 1", {.object = 1, .slice = 3, .box = box}}};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        samc_error error = {0};
        samc_volume_prompt p = wrong[i].p;
        p.size = sizeof p;
        cr_expect_eq(samc_annotations_add(a, &p, &error), SAMC_INVALID_ARGUMENT, "%s", wrong[i].says);
        cr_expect(strstr(error.message, wrong[i].says) != NULL, "%s", error.message);
        cr_expect_eq(a->count, 1);
    }
    samc_error error = {0};
    samc_volume_prompt p = {.size = sizeof p, .slice = 2, .box = box};
    cr_expect_eq(samc_annotations_add(a, &p, &error), SAMC_OK, "beside the point");
    cr_expect_eq(samc_annotations_add(a, &p, &error), SAMC_INVALID_ARGUMENT);
    cr_expect(strstr(error.message, "two boxes on slice 2") != NULL, "%s", error.message);
    mask[30] = 1;
    p = (samc_volume_prompt){.size = sizeof p, .slice = 2, .mask = mask};
    cr_expect_eq(samc_annotations_add(a, &p, &error), SAMC_INVALID_ARGUMENT);
    p.slice = 5;
    cr_expect_eq(samc_annotations_add(a, &p, &error), SAMC_OK);
    cr_expect_eq(samc_annotations_object(a, "one", NULL, &error), SAMC_INVALID_ARGUMENT);
    cr_expect(strstr(error.message, "'one' is named twice") != NULL, "%s", error.message);
    cr_expect_eq(samc__annotations_before(a, 0, 4), 2);
    cr_expect_eq(samc__annotations_after(a, 0, 3), 5);
    cr_expect_eq(samc__annotations_after(a, 0, 6), -1);
    samc_annotations_free(a);
}

/* The widest spacing; of equal ones, or nearly, the last. */
Test(propagate, axis_by_spacing) {
    cr_expect_eq(samc__space_axis((const double[3]){0.7, 0.7, 5}), 2);
    cr_expect_eq(samc__space_axis((const double[3]){0.7, 5, 0.7}), 1);
    cr_expect_eq(samc__space_axis((const double[3]){3, 1, 1}), 0);
    cr_expect_eq(samc__space_axis((const double[3]){1, 1, 1}), 2);
    cr_expect_eq(samc__space_axis((const double[3]){1.001, 1, 1}), 2);
    cr_expect_eq(samc__space_axis((const double[3]){2, 2, 1}), 1);
}

/* Labels of two objects that overlap, by slices across each axis, are those of a plain array. */
Test(propagate, later_objects_cover_earlier_ones) {
    enum { I = 7, J = 5, K = 4 };
    for (int axis = 0; axis < 3; axis++) {
        const samc__space space = space_of(I, J, K, axis);
        char *names[] = {"first", "second"};
        uint16_t wanted[K][J][I] = {0}, labels[J][I];
        samc_segmentation *s;
        cr_assert_eq(samc__segmentation_create(&space, 2, names, &s, NULL), SAMC_OK);
        int64_t counts[3] = {0, 0, 0};
        for (int o = 0; o < 2; o++)
            for (int n = 0; n < space.slices; n++) {
                uint8_t mask[I * J * K] = {0};
                bool any = false;
                for (int y = 0; y < space.height; y++)
                    for (int x = 0; x < space.width; x++) {
                        int at[3];
                        at[axis] = n, at[axis == 0 ? 1 : 0] = x, at[axis == 2 ? 1 : 2] = y;
                        bool in = o == 0 ? at[0] < 5 && at[1] > 0 && at[2] < 3 : at[0] > 2 && at[1] < 4 && at[2] > 0;
                        mask[y * space.width + x] = in;
                        any = any || in;
                        if (in) wanted[at[2]][at[1]][at[0]] = (uint16_t)(o + 1);
                    }
                samc_rle rle = rle_of(mask, space.width, space.height);
                if (any) samc__segmentation_put(s, o, n, &rle, 0.5f);
                else samc_rle_free(&rle);
            }
        cr_assert_eq(samc__segmentation_finish(s, NULL), SAMC_OK);
        for (int k = 0; k < K; k++) {
            cr_assert_eq(samc_segmentation_labels(s, k, labels[0], NULL), SAMC_OK);
            cr_expect_eq(memcmp(labels, wanted[k], sizeof labels), 0, "axis %d, slice %d", axis, k);
            for (int p = 0; p < I * J; p++) counts[wanted[k][p / I][p % I]]++;
        }
        samc_object object = SAMC_INIT(samc_object);
        for (int o = 0; o < 2; o++) {
            cr_assert_eq(samc_segmentation_get_object(s, o, &object, NULL), SAMC_OK);
            cr_expect_eq(object.voxels, counts[o + 1]);
            cr_expect_float_eq(object.predicted_iou, 0.5f, 1e-6);
        }
        const int box[6] = {3, 0, 1, 6, 3, 3};
        cr_expect_eq(memcmp(object.box, box, sizeof box), 0, "axis %d", axis);
        samc_segmentation_free(s);
    }
}

/* ---- Linking --------------------------------------------------------------------------------- */

static void add_link(samc__links *l, int slice, int x0, int y0, int x1, int y1) {
    samc_rle mask = box_of(x0, y0, x1, y1);
    cr_assert_eq(samc__links_add(l, slice, &mask, 0.5f, NULL), SAMC_OK);
}

/* The pair with the highest IoU first; what is gone for one slice comes back with its gap closed, for two it is another
 * object; short ones are left out; the largest is label 1. */
Test(propagate, linking) {
    samc__links l = {0};
    const samc__space space = space_of(24, 20, 8, 2);
    add_link(&l, 0, 0, 0, 6, 6);    /* a: 0 */
    add_link(&l, 0, 10, 0, 20, 12); /* b: 1, larger */
    add_link(&l, 1, 1, 0, 6, 6);    /* a, by 30 / 36 */
    add_link(&l, 1, 0, 0, 6, 4);    /* 24 / 36 with a, which is taken: 2 */
    add_link(&l, 1, 10, 0, 20, 10); /* b */
    add_link(&l, 3, 1, 0, 6, 6);    /* a, over a gap */
    add_link(&l, 4, 10, 0, 20, 10); /* b is two slices away: 3 */
    cr_assert_eq(samc__links_join(&l, 0.5, 1), 4);
    const int wanted[] = {0, 1, 0, 2, 1, 0, 3};
    for (int i = 0; i < 7; i++) cr_expect_eq(l.items[i].object, wanted[i], "mask %d: %d", i, l.items[i].object);
    cr_expect_eq(samc__links_join(&l, 0.5, 2), 3, "a gap of two");
    cr_expect_eq(samc__links_join(&l, 0.9, 1), 6, "only the same box goes on");
    cr_assert_eq(samc__links_join(&l, 0.5, 1), 4);
    samc_segmentation *s = NULL;
    cr_assert_eq(samc__links_segment(&l, 4, &space, 2, &s, NULL), SAMC_OK);
    cr_assert_eq(samc_segmentation_objects(s), 2, "of one slice there were two");
    samc_object largest = SAMC_INIT(samc_object), other = SAMC_INIT(samc_object);
    samc_segmentation_get_object(s, 0, &largest, NULL);
    samc_segmentation_get_object(s, 1, &other, NULL);
    cr_expect(largest.voxels == 120 + 100 && largest.slices == 2 && largest.first == 0);
    cr_expect(other.voxels == 36 + 30 + 30 + 30 && other.slices == 4 && other.last == 3, "slice 2 is filled");
    samc_segmentation_free(s);
    samc__links_free(&l);
}

/* ---- Runs with the tiny model ---------------------------------------------------------------- */

enum { SIDE = 48, SLICES = 9 };

/* Two discs on grey, that move and change; on its left one ends after slice 6. */
static samc_status read_discs(void *context, int slice, samc_image *image, samc_error *error) {
    int *reads = context;
    uint8_t *rgb = malloc(SIDE * SIDE * 3);
    (void)error;
    if (reads != NULL) reads[slice]++;
    for (int y = 0; y < SIDE; y++)
        for (int x = 0; x < SIDE; x++) {
            int dx = x - 13 - slice / 3, dy = y - 20, ex = x - 34, ey = y - 27 + slice / 2;
            bool left = slice <= 6 && dx * dx + dy * dy < 64, right = ex * ex + ey * ey < 80;
            memset(rgb + 3 * (y * SIDE + x), (left ? 200 : right ? 150 : 60) + (x * 13 + y * 7 + slice) % 9, 3);
        }
    image->pixels = rgb;
    image->width = image->height = SIDE;
    image->row_bytes = 3 * SIDE;
    return SAMC_OK;
}

static samc_annotations *annotate_discs(void) {
    samc_annotations *a;
    const samc__space space = space_of(SIDE, SIDE, SLICES, 2);
    const float left[4] = {5, 12, 22, 28}, right[4] = {25, 16, 43, 35}, low[4] = {25, 18, 43, 37};
    cr_assert_eq(samc__annotations_create(&space, &a, NULL), SAMC_OK);
    samc_annotations_object(a, "left", NULL, NULL);
    samc_annotations_object(a, "right", NULL, NULL);
    const samc_volume_prompt p[] = {{.size = sizeof *p, .object = 0, .slice = 4, .box = left},
                                    {.size = sizeof *p, .object = 1, .slice = 2, .box = low},
                                    {.size = sizeof *p, .object = 1, .slice = 7, .box = right}};
    for (int i = 0; i < 3; i++) cr_assert_eq(samc_annotations_add(a, p + i, NULL), SAMC_OK);
    return a;
}

/* Stops after so many slices. */
static samc_status stop_after(void *context, int64_t done, int64_t total) {
    (void)total;
    return done == *(int *)context ? SAMC_STOPPED : SAMC_OK;
}

static void expect_same(const samc_segmentation *a, const samc_segmentation *b) {
    for (int o = 0; o < 2; o++)
        for (int z = 0; z < SLICES; z++) {
            const samc_rle *m = samc__segmentation_at(a, o, z), *n = samc__segmentation_at(b, o, z);
            cr_assert_eq(m->counts == NULL, n->counts == NULL, "object %d, slice %d", o, z);
            if (m->counts == NULL) continue;
            cr_assert(m->count == n->count && memcmp(m->counts, n->counts, m->count * sizeof *m->counts) == 0);
            cr_assert_eq(a->iou[o * SLICES + z], b->iou[o * SLICES + z]);
        }
}

/* A run that is stopped after any number of slices and goes on gives what one without a stop does. */
Test(propagate, stopped_and_resumed) {
    samc_model *model = open_model(SAMC_BACKEND_CPU, 1);
    samc_session *session = open_session(model);
    samc_annotations *a = annotate_discs();
    char path[] = "/tmp/samc-visits-XXXXXX";
    int file = mkstemp(path), reads[SLICES] = {0};
    samc_error error = {0};
    samc__slices slices = {reads, "discs", read_discs};
    samc_propagate_options options = SAMC_INIT(samc_propagate_options);
    samc_segmentation *whole, *part;
    cr_assert_geq(file, 0);
    close(file);
    unlink(path);
    cr_assert_eq(samc_propagate_default_options(&options, NULL), SAMC_OK);
    options.least_iou = options.least_likeness = 0.0; /* whatever the tiny model makes of it is followed */
    cr_assert_eq(samc__propagate(session, model, &slices, a, &options, "id", &whole, &error), SAMC_OK, "%s",
                 error.message);
    int masks = 0;
    for (int i = 0; i < 2 * SLICES; i++) masks += whole->masks[i].counts != NULL;
    cr_assert_gt(masks, SLICES, "there is something to compare");
    options.journal = path;
    slices.context = NULL;
    for (int stop = 1; stop < 12; stop += 3) {
        options.resume = false;
        options.progress = stop_after;
        options.progress_context = &stop;
        cr_assert_eq(samc__propagate(session, model, &slices, a, &options, "id", &part, &error), SAMC_STOPPED);
        cr_assert_null(part);
        cr_expect_eq(samc__propagate(session, model, &slices, a, &options, "id", &part, &error), SAMC_MISMATCH,
                     "it is there, and not to be gone on with");
        options.resume = true;
        int later = stop + 2;
        options.progress_context = &later;
        cr_assert_eq(samc__propagate(session, model, &slices, a, &options, "id", &part, &error), SAMC_STOPPED);
        options.progress = NULL;
        cr_expect_eq(samc__propagate(session, model, &slices, a, &options, "other", &part, &error), SAMC_MISMATCH);
        cr_assert_eq(samc__propagate(session, model, &slices, a, &options, "id", &part, &error), SAMC_OK, "%s",
                     error.message);
        expect_same(whole, part);
        samc_segmentation_free(part);
        unlink(path);
    }
    samc_segmentation_free(whole);
    samc_annotations_free(a);
    samc_session_destroy(session);
    samc_model_close(model);
}

/* Each slice is read, and encoded, once, whichever objects come over it from below and from above. */
Test(propagate, slices_are_encoded_once) {
    samc_model *model = open_model(SAMC_BACKEND_CPU, 1);
    samc_session *session = open_session(model);
    samc_annotations *a = annotate_discs();
    int reads[SLICES] = {0}, encoded = 0;
    samc_profile_row rows[64] = {SAMC_INIT(samc_profile_row)};
    int count = 0;
    const samc__slices slices = {reads, "discs", read_discs};
    samc_propagate_options options = SAMC_INIT(samc_propagate_options);
    samc_segmentation *result;
    cr_assert_eq(samc_propagate_default_options(&options, NULL), SAMC_OK);
    options.least_iou = options.least_likeness = 0.0;
    cr_assert_eq(samc_profile_begin(session), SAMC_OK);
    cr_assert_eq(samc__propagate(session, model, &slices, a, &options, NULL, &result, NULL), SAMC_OK);
    cr_assert_eq(samc_profile_end(session, rows, 64, &count), SAMC_OK);
    for (int i = 0; i < count; i++)
        if (strcmp(rows[i].name, "preprocess") == 0) encoded = (int)rows[i].calls;
    cr_expect_eq(encoded, SLICES, "%d", encoded);
    samc_segmentation_free(result);
    samc_annotations_free(a);
    samc_session_destroy(session);
    samc_model_close(model);
}

/* ---- Grey values and the recipe -------------------------------------------------------------- */

/* 40,400 as DICOM's LINEAR has it. */
static uint8_t window_of(double value) {
    double to = ((value - 39.5) / 399.0 + 0.5) * 255.0;
    return to < 0.0 ? 0 : to > 255.0 ? 255 : (uint8_t)(to + 0.5);
}

/* The embedding of a grey picture [SIDE, SIDE]; to be freed. */
static float *embed_grey(samc_session *session, const uint8_t *grey, size_t numbers) {
    uint8_t rgb[SIDE * SIDE * 3];
    const samc_image image = {
        .size = sizeof image, .pixels = rgb, .width = SIDE, .height = SIDE, .row_bytes = 3 * SIDE};
    for (int i = 0; i < SIDE * SIDE; i++) memset(rgb + 3 * i, grey[i], 3);
    float *embedding = malloc(numbers * sizeof *embedding);
    cr_assert_eq(samc_set_image(session, &image), SAMC_OK);
    cr_assert_eq(samc_get_embedding(session, 0, embedding), SAMC_OK);
    return embedding;
}

/* What is encoded of a slice is the recipe of the window of the values, by a recipe whose first step is to stretch what
 * it gets (micro-sam's); of values from 0 to 500, whose window does not begin at black, so that the order shows. */
Test(propagate, window_before_the_recipe) {
    samc_model *model = open_model(SAMC_BACKEND_CPU, 1);
    samc_session *session = open_session(model);
    samc_model_info info = SAMC_INIT(samc_model_info);
    cr_assert_eq(samc_model_get_info(model, &info), SAMC_OK);
    const size_t numbers = (size_t)info.grid * (size_t)info.grid * (size_t)info.embed_channels;
    const samc_volume_options options = {.size = sizeof options, .scale = "window:40,400"};
    const float box[4] = {8, 8, 24, 24};
    const samc_volume_prompt prompt = {.size = sizeof prompt, .box = box};
    fixture f = plain_fixture();
    int16_t voxels[SIDE * SIDE];
    uint8_t windowed[SIDE * SIDE], stretched[SIDE * SIDE], turned[SIDE * SIDE];
    samc_error error = {0};
    samc_image image = SAMC_INIT(samc_image);
    samc_volume *volume;
    samc_annotations *a;
    samc_segmentation *result;
    for (int i = 0; i < SIDE * SIDE; i++) { /* 0 to 500, a bright middle */
        int x = i % SIDE, y = i / SIDE;
        voxels[i] = (int16_t)(x > 10 && x < 22 && y > 10 && y < 22 ? 300 + 10 * (x + y) % 200 : 5 * x + 3 * y);
        windowed[i] = window_of(voxels[i]);
    }
    for (int i = 0; i < SIDE * SIDE; i++) {
        double part = voxels[i] / 500.0;
        stretched[i] = (uint8_t)(255.0 * part);
        turned[i] = window_of(255.0 * part); /* the stretch, then the window */
    }
    f.dim[0] = f.dim[1] = SIDE, f.dim[2] = 1;
    f.type = 4, f.bytes = 2;
    make_folder();
    save_fixture(&f, in_folder("ct.nii"), voxels, sizeof voxels);
    model->net.config.recipe.levels = SAMC__LEVELS_CHANNELS;
    cr_assert_eq(samc_volume_open(in_folder("ct.nii"), &options, &volume, &error), SAMC_OK, "%s", error.message);
    cr_assert_eq(samc_volume_slice(volume, 2, 0, &image, &error), SAMC_OK, "%s", error.message);
    for (int i = 0; i < SIDE * SIDE; i++)
        cr_assert_eq(image.pixels[3 * i], windowed[i], "%d HU: %d, not %d", voxels[i], image.pixels[3 * i],
                     windowed[i]);
    samc_image_free(&image);
    cr_assert_eq(samc_annotations_create(volume, 2, &a, &error), SAMC_OK);
    cr_assert_eq(samc_annotations_object(a, NULL, NULL, &error), SAMC_OK);
    cr_assert_eq(samc_annotations_add(a, &prompt, &error), SAMC_OK, "%s", error.message);
    cr_assert_eq(samc_propagate(session, model, volume, a, NULL, &result, &error), SAMC_OK, "%s", error.message);
    float *ours = malloc(numbers * sizeof *ours), *wanted, *other;
    cr_assert_eq(samc_get_embedding(session, 0, ours), SAMC_OK, "of the one slice");
    wanted = embed_grey(session, windowed, numbers);
    cr_expect_eq(memcmp(ours, wanted, numbers * sizeof *ours), 0, "the recipe of the window");
    free(wanted);
    model->net.config.recipe.levels = SAMC__LEVELS_AS_THEY_ARE;
    const uint8_t *const others[] = {windowed, stretched, turned};
    for (int i = 0; i < 3; i++) {
        other = embed_grey(session, others[i], numbers);
        cr_expect_neq(memcmp(ours, other, numbers * sizeof *ours), 0, "%d: it shows", i);
        free(other);
    }
    free(ours);
    samc_segmentation_free(result);
    samc_annotations_free(a);
    samc_volume_close(volume);
    samc_session_destroy(session);
    samc_model_close(model);
    remove_folder();
}

/* ---- The journal ----------------------------------------------------------------------------- */

static void put_file(const char *path, const char *bytes, size_t size) {
    FILE *file = fopen(path, "wb");
    cr_assert(file != NULL && fwrite(bytes, 1, size, file) == size && fclose(file) == 0);
}

/* Cut off anywhere, what is whole is there again; damaged in the middle, nothing is done to it. */
Test(visits, damage) {
    char path[] = "/tmp/samc-visits-XXXXXX", whole[4096];
    samc_error error = {0};
    samc__visits v;
    int file = mkstemp(path);
    cr_assert_geq(file, 0);
    close(file);
    cr_assert_eq(samc__visits_open(&v, path, true, "me", &error), SAMC_OK, "%s", error.message);
    samc_rle mask = box_of(2, 3, 9, 8);
    for (int i = 0; i < 3; i++) {
        cr_assert_not(samc__visits_replay(&v));
        for (int m = 0; m < i; m++) cr_assert_eq(samc__visits_add(&v, m, i, &mask, 0.25f + (float)m, &error), SAMC_OK);
        cr_assert_eq(samc__visits_end(&v, &error), SAMC_OK);
    }
    samc__visits other;
    cr_expect_eq(samc__visits_open(&other, path, true, "me", &error), SAMC_MISMATCH, "one run at a time");
    samc__visits_close(&other);
    samc__visits_close(&v);
    FILE *read = fopen(path, "rb");
    size_t size = fread(whole, 1, sizeof whole, read);
    fclose(read);
    for (size_t cut = 0; cut <= size; cut++) {
        int lines = 0, visits = 0, masks = 0;
        for (size_t i = 0; i < cut; i++) lines += whole[i] == '\n';
        put_file(path, whole, cut);
        cr_assert_eq(samc__visits_open(&v, path, true, "me", &error), SAMC_OK, "cut at %zu: %s", cut, error.message);
        while (samc__visits_replay(&v)) {
            for (;;) {
                samc__visited got;
                bool there;
                cr_assert_eq(samc__visits_mask(&v, 24, 20, &got, &there, &error), SAMC_OK);
                if (!there) break;
                cr_expect(got.slice == visits && got.iou == 0.25f + (float)got.object);
                cr_expect_eq(samc__mask_iou(&got.mask, &mask), 1.0);
                samc_rle_free(&got.mask);
                masks++;
            }
            visits++;
        }
        int expected = lines > 0 ? lines - 1 : 0;
        cr_expect_eq(visits, expected, "cut at %zu", cut);
        cr_expect_eq(masks, expected * (expected - 1) / 2);
        samc__visits_close(&v);
    }
    put_file(path, whole, size);
    cr_expect_eq(samc__visits_open(&v, path, true, "you", &error), SAMC_MISMATCH);
    samc__visits_close(&v);
    char *second = strchr(whole, '\n') + 3;
    *second ^= 1;
    put_file(path, whole, size);
    cr_expect_eq(samc__visits_open(&v, path, true, "me", &error), SAMC_FORMAT);
    cr_expect(strstr(error.message, "line 2 is damaged") != NULL, "%s", error.message);
    samc__visits_close(&v);
    put_file(path, "my diary\n", 9);
    cr_expect_eq(samc__visits_open(&v, path, true, "me", &error), SAMC_MISMATCH);
    samc__visits_close(&v);
    read = fopen(path, "rb");
    cr_expect(fread(whole, 1, sizeof whole, read) == 9 && memcmp(whole, "my diary\n", 9) == 0, "nothing is done to it");
    fclose(read);
    samc_rle_free(&mask);
    unlink(path);
}
