/* The rules from a detector's numbers to detections and labels, on made-up numbers. */
#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/text_rules.h"

/* ---- Boxes ----------------------------------------------------------------------------------- */

static const samc__exec *plain(samc_error *error) {
    static samc__exec exec;
    exec = (samc__exec){.error = error};
    return &exec;
}

Test(text_rules, a_box_carries_its_best_phrase) {
    float logit[3] = {-INFINITY, -INFINITY, -INFINITY};
    int phrase[3] = {-1, -1, -1};
    const float first[3][2] = {{1, 2}, {0, 0}, {-5, -6}}, second[3][1] = {{1.5f}, {3}, {-5}};
    cr_assert(samc__best_phrases(&first[0][0], 3, 0, 2, logit, phrase));
    cr_assert(samc__best_phrases(&second[0][0], 3, 2, 1, logit, phrase));
    const int expected[3] = {1, 2, 0}; /* of equal ones the first */
    const float best[3] = {2, 3, -5};
    for (int i = 0; i < 3; i++) {
        cr_expect_eq(phrase[i], expected[i], "box %d: %d", i, phrase[i]);
        cr_expect_eq(logit[i], best[i]);
    }
    const float bad[3][1] = {{0}, {NAN}, {0}};
    cr_expect_not(samc__best_phrases(&bad[0][0], 3, 3, 1, logit, phrase));
}

Test(text_rules, boxes_below_the_threshold_and_beyond_the_image_are_left_out) {
    const float corners[5][4] = {
        {10, 10, 50, 50}, {-20, 30, 700, 500}, {650, 10, 700, 50}, {10, 10, 50, 50}, {30, 30, 30, 60}};
    const float logit[5] = {0, 2, 3, -2.2f, 5}; /* 0.5, 0.88, -, 0.0998, - */
    const int phrase[5] = {0, 1, 0, 0, 0};
    samc__detections list = {0};
    cr_assert(samc__boxes_pick(&corners[0][0], logit, phrase, 5, 0.1, 640, 480, &list));
    cr_assert_eq(list.count, 2);
    cr_expect_eq(list.items[0].phrase, 0);
    cr_expect_float_eq(list.items[0].score, 0.5f, 1e-6);
    cr_expect(list.items[0].point[0] == 30 && list.items[0].point[1] == 30);
    const float cut[4] = {0, 30, 640, 480};
    cr_expect_arr_eq(list.items[1].box, cut, sizeof cut);
    samc__detections_free(&list);
    cr_assert(samc__boxes_pick(&corners[0][0], logit, phrase, 5, 0.09, 640, 480, &list));
    cr_expect_eq(list.count, 3);
    samc__detections_free(&list);
}

static void add_box(samc__detections *list, int phrase, float score, float x0, float x1) {
    cr_assert(samc__detections_add(list, &(samc_detection){.phrase = phrase, .score = score, .box = {x0, 0, x1, 10}}));
}

Test(text_rules, suppression_is_within_a_phrase) {
    samc_error error;
    samc__detections list = {0};
    add_box(&list, 1, 0.5f, 0, 10);
    add_box(&list, 0, 0.9f, 0, 10); /* another phrase's, in the same place */
    add_box(&list, 1, 0.8f, 1, 11); /* IoU 9 / 11 with the first */
    add_box(&list, 1, 0.7f, 8, 18); /* 3 / 17 with the third */
    add_box(&list, 1, 0.6f, 6, 16); /* 5 / 15 with the third */
    cr_assert_eq(samc__detections_settle(plain(&error), &list, 0.3, 0), SAMC_OK);
    cr_assert_eq(list.count, 3);
    const float scores[3] = {0.9f, 0.8f, 0.7f};
    for (int i = 0; i < 3; i++) cr_expect_eq(list.items[i].score, scores[i]);
    cr_expect_eq(list.items[0].phrase, 0);
    cr_assert_eq(samc__detections_settle(plain(&error), &list, 0.1, 0), SAMC_OK);
    cr_expect_eq(list.count, 2); /* 3 / 17 is more than that */
    samc__detections_free(&list);
}

Test(text_rules, top_takes_the_best_of_all_phrases_in_a_fixed_order) {
    samc_error error;
    samc__detections list = {0};
    for (int i = 0; i < 6; i++) add_box(&list, 5 - i, 0.5f, (float)(20 * i), (float)(20 * i + 10));
    add_box(&list, 7, 0.6f, 500, 510);
    cr_assert_eq(samc__detections_settle(plain(&error), &list, 0.3, 4), SAMC_OK);
    cr_assert_eq(list.count, 4);
    const int phrases[4] = {7, 0, 1, 2};
    for (int i = 0; i < 4; i++) cr_expect_eq(list.items[i].phrase, phrases[i], "%d: %d", i, list.items[i].phrase);
    samc__detections_free(&list);
}

/* ---- Heat maps ------------------------------------------------------------------------------- */

enum { SIDE = 100 };

static void fill(float *map, int x0, int y0, int x1, int y1, float value) {
    for (int y = y0; y < y1; y++)
        for (int x = x0; x < x1; x++) map[y * SIDE + x] = value;
}

Test(text_rules, parts_of_a_map_are_what_touches) {
    static float map[SIDE * SIDE];
    static int scratch[2 * SIDE * SIDE];
    samc__detections list = {0};
    fill(map, 0, 0, SIDE, SIDE, -5);
    fill(map, 10, 20, 30, 40, 1); /* two squares that touch at a corner */
    fill(map, 30, 40, 40, 50, 1);
    map[45 * SIDE + 35] = 3;       /* the peak */
    fill(map, 60, 0, SIDE, 10, 2); /* to the right edge */
    fill(map, 70, 70, 72, 72, 4);  /* 4 pixels of 10000: below a two thousandth */
    cr_assert(samc__map_parts(&(samc__heat){map, SIDE, 0.5, scratch}, 6, 400, 200, &list));
    cr_assert_eq(list.count, 2);
    const samc_detection *edge = &list.items[0], *two = &list.items[1]; /* as they begin, row by row */
    const float edge_box[4] = {240, 0, 400, 20}, two_box[4] = {40, 40, 160, 100};
    cr_expect_arr_eq(edge->box, edge_box, sizeof edge_box);
    cr_expect_arr_eq(two->box, two_box, sizeof two_box);
    cr_expect_eq(two->phrase, 6);
    cr_expect_float_eq(two->score, 1 / (1 + expf(-3)), 1e-6);
    cr_expect_float_eq(two->point[0], 35.5f * 4 - 0.5f, 1e-4); /* the middle of the peak's pixel */
    cr_expect_float_eq(two->point[1], 45.5f * 2 - 0.5f, 1e-4);
    samc__detections_free(&list);
    cr_assert(samc__map_parts(&(samc__heat){map, SIDE, 0.9, scratch}, 0, 400, 200,
                              &list)); /* logit 2.197: the peak alone, too small */
    cr_expect_eq(list.count, 0);
    samc__detections_free(&list);
}

Test(text_rules, a_mask_begins_with_its_part_of_the_map) {
    static float map[SIDE * SIDE], prompt[64 * 64];
    static int scratch[2 * SIDE * SIDE];
    fill(map, 0, 0, SIDE, SIDE, -4);
    fill(map, 0, 0, 40, 50, 3);      /* the part */
    fill(map, 60, 60, 100, 100, 30); /* another one */
    const samc__frame frame = {.width = 400, .height = 200, .prompt_width = 1024, .prompt_height = 512};
    const float point[2] = {20.5f * 4 - 0.5f, 20.5f * 2 - 0.5f};
    samc__map_prompt(&(samc__heat){map, SIDE, 0.5, scratch}, point, &frame, 1024, 64, prompt);
    /* The image is the upper half of the square: 64 x 32 elements. */
    cr_expect_eq(prompt[5 * 64 + 5], 3);                                        /* in the part */
    cr_expect_eq(prompt[5 * 64 + 60], -4);                                      /* outside */
    cr_expect_eq(prompt[28 * 64 + 60], -2, "%g", (double)prompt[28 * 64 + 60]); /* another part is none of it */
    cr_expect_eq(prompt[31 * 64 + 63], -2);
    cr_expect_eq(prompt[32 * 64 + 5], -10); /* beyond the image */
    int inside = 0;
    for (int i = 0; i < 64 * 64; i++) inside += prompt[i] > 0;
    cr_expect(abs(inside - 26 * 16) <= 16, "%d", inside); /* 0.4 of 64 by half of 32 */
    samc__map_prompt(&(samc__heat){map, SIDE, 0.9, scratch}, point, &frame, 1024, 64, prompt);
    cr_expect_float_eq(prompt[5 * 64 + 5], 3 - 2.1972246f, 1e-5); /* 0 is at the threshold */
    const float other[2] = {80.5f * 4 - 0.5f, 80.5f * 2 - 0.5f};
    samc__map_prompt(&(samc__heat){map, SIDE, 0.5, scratch}, other, &frame, 1024, 64, prompt);
    cr_expect_eq(prompt[28 * 64 + 60], 10); /* bounded */
    cr_expect_eq(prompt[5 * 64 + 5], -2);
}

/* ---- Labels ---------------------------------------------------------------------------------- */

Test(text_rules, a_crop_is_square_and_white_outside_the_mask) {
    enum { W = 8, H = 6 };
    uint8_t pixels[H][W][3], mask[H][W] = {0}, rgb[8 * 8 * 3];
    for (int i = 0; i < W * H * 3; i++) ((uint8_t *)pixels)[i] = (uint8_t)i;
    const samc_image image = {sizeof image, &pixels[0][0][0], W, H, W * 3};
    int square[3];
    samc__label_square((int[4]){0, 2, 3, 1}, square); /* 4 x 2 pixels at (0, 2) */
    cr_assert_eq(square[2], 5);
    cr_expect(square[0] <= 0 && square[0] + square[2] >= 4 && square[1] <= 2 && square[1] + square[2] >= 4);
    for (int y = 2; y < 4; y++)
        for (int x = 0; x < 4; x++) mask[y][x] = 1;
    samc__label_crop(&image, &mask[0][0], square, rgb);
    for (int y = 0; y < square[2]; y++)
        for (int x = 0; x < square[2]; x++) {
            int ix = square[0] + x, iy = square[1] + y;
            bool in = ix >= 0 && iy >= 0 && ix < W && iy < H && mask[iy][ix];
            for (int c = 0; c < 3; c++)
                cr_expect_eq(rgb[(y * square[2] + x) * 3 + c], in ? pixels[iy][ix][c] : 255, "%d %d", x, y);
        }
    samc__label_square((int[4]){0}, square); /* an empty mask */
    cr_expect(square[2] >= 1);
}

Test(text_rules, a_label_is_a_softmax_of_scaled_cosines) {
    const float features[2] = {0.6f, 0.8f}, labels[3][2] = {{1, 0}, {0, 3}, {-1, 0}};
    float score;
    cr_expect_eq(samc__label_best(features, &labels[0][0], 3, 2, 10, &score), 1);
    double sum = exp(6) + exp(8) + exp(-6);
    cr_expect_float_eq(score, (float)(exp(8) / sum), 1e-5);
    const float equal[2][2] = {{0, 1}, {0, 1}};
    cr_expect_eq(samc__label_best(features, &equal[0][0], 2, 2, 100, &score), 0);
    cr_expect_float_eq(score, 0.5f, 1e-6);
    const float bad[2] = {NAN, 0};
    samc__label_best(bad, &labels[0][0], 3, 2, 10, &score);
    cr_expect(isnan(score));
}

Test(text_rules, templates) {
    cr_expect(samc__template_good("a {}.") && !samc__template_good("a") && !samc__template_good("{} {}"));
    char *text = samc__template_fill("a photo of a {}, large", "red car");
    cr_expect_str_eq(text, "a photo of a red car, large");
    free(text);
}
