/* Coordinates of every recipe, alone and through a session whose model is told to have another recipe than SAM's. */
#include "runtime/model/frame.h"
#include "kernels/ops.h"
#include "runtime/memory.h"
#include "runtime/model.h"
#include "runtime/threads.h"
#include "tests/engine.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const samc__recipe sam = {.side = 1024, .frame = 1024};

/* Values of ResizeLongestSide.get_preprocess_shape(h, w, 1024) of the original. */
Test(frame, longest_side) {
    static const struct {
        int w, h, new_w, new_h;
    } cases[] = {
        {640, 480, 1024, 768}, {480, 640, 768, 1024},   {1024, 1024, 1024, 1024}, {1, 1, 1024, 1024},
        {481, 321, 1024, 683}, {1500, 2250, 683, 1024}, {2000, 1, 1024, 1},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        samc__frame f = samc__frame_of(&sam, cases[i].w, cases[i].h);
        cr_expect_eq(f.new_width, cases[i].new_w, "%d x %d", cases[i].w, cases[i].h);
        cr_expect_eq(f.new_height, cases[i].new_h, "%d x %d", cases[i].w, cases[i].h);
        cr_expect(f.prompt_width == f.new_width && f.prompt_height == f.new_height);
    }
    cr_expect_eq(samc__frame_of(&sam, 10000, 1).new_height, 1, "a side that rounds to 0 is 1");
}

Test(frame, points_scale_with_the_rounded_size) {
    samc__frame f = samc__frame_of(&sam, 481, 321);
    float in[2] = {480, 320}, out[2];
    samc__frame_point(&f, in, out);
    cr_expect_float_eq(out[0], 480.0 * 1024 / 481, 1e-4);
    cr_expect_float_eq(out[1], 320.0 * 683 / 321, 1e-4);
}

Test(frame, squashed) {
    const samc__recipe recipe = {.resize = SAMC__RESIZE_SQUASH, .side = 512, .frame = 1024};
    samc__frame f = samc__frame_of(&recipe, 400, 100);
    float in[2] = {100, 50}, out[2];
    samc__frame_point(&f, in, out);
    cr_expect(f.new_width == 512 && f.new_height == 512 && f.prompt_width == 1024 && f.prompt_height == 1024);
    cr_expect(out[0] == 256 && out[1] == 512, "%g %g", (double)out[0], (double)out[1]);
}

/* EfficientViT-SAM L: the encoder's input is half as large as the square of prompts and masks; each is rounded alone.
 */
Test(frame, prompts_in_a_larger_square) {
    const samc__recipe recipe = {.side = 512, .frame = 1024};
    samc__frame f = samc__frame_of(&recipe, 481, 321);
    samc__finish_masks_args masks = samc__frame_masks(&recipe, &f);
    cr_expect(f.new_width == 512 && f.new_height == 342 && f.prompt_width == 1024 && f.prompt_height == 683);
    cr_expect(masks.img_size == 1024 && masks.new_height == 683 && masks.width == 481);
}

/* ---- Through a session ----------------------------------------------------------------------- */

enum { WIDTH = 150, HEIGHT = 100 };

typedef struct session {
    samc_model *model;
    samc_session *session;
    samc__recipe *recipe;
    size_t low, embedding; /* numbers */
} session;

static session open_with(samc_backend backend) {
    session s = {.model = open_model(backend, 2)};
    s.recipe = &s.model->net.config.recipe;
    s.low = 4 * (size_t)s.model->net.config.grid;
    s.embedding = s.low * s.low / 16 * 256;
    s.session = open_session(s.model);
    return s;
}
static void close_all(session s) {
    samc_session_destroy(s.session);
    samc_model_close(s.model);
}

static void draw(uint8_t *rgb, int width, int height) {
    uint32_t noise = 1;
    for (int y = 0; y < height; y++)
        for (int x = 0; x < width; x++)
            for (int c = 0; c < 3; c++) {
                bool inside = (x - 60) * (x - 60) + 2 * (y - 40) * (y - 40) < 900;
                noise = noise * 1664525u + 1013904223u;
                rgb[(y * width + x) * 3 + c] = (uint8_t)((inside ? 200 - 30 * c : 20 + x + 10 * c) + noise % 16);
            }
}

static samc_result *predict_at(session s, const uint8_t *rgb, int width, int height, const float xy[2]) {
    samc_image image = {.size = sizeof image, .pixels = rgb, .width = width, .height = height, .row_bytes = 3 * width};
    static const int32_t label = 1;
    samc_prompt prompt = {.size = sizeof prompt, .points = xy, .labels = &label, .point_count = 1};
    samc_result *result = NULL;
    cr_assert_eq(samc_set_image(s.session, &image), SAMC_OK, "an image");
    cr_assert_eq(samc_predict(s.session, &prompt, 1, true, &result), SAMC_OK);
    return result;
}

static samc_mask mask_of(session s, samc_result *result, int index) {
    samc_mask mask = {.size = sizeof mask};
    cr_assert_eq(samc_result_mask(s.session, result, 0, index, &mask), SAMC_OK);
    return mask;
}

static samc__exec reference(samc__ops *ops, samc_error *error, samc__memory *memory, samc__pool *pool) {
    samc__ops_ref(ops);
    return (samc__exec){.ops = ops,
                        .error = error,
                        .workers = 1,
                        .pool = pool,
                        .parallel = samc__pool_run,
                        .memory = memory,
                        .allocate = samc__memory_allocate,
                        .release = samc__memory_release};
}

/* A squashed image gives what the same image gives that was squashed by hand: logits bit by bit. Its masks are those of
 * the logits in one step. */
static void squashed_by_hand(samc_backend backend) {
    session s = open_with(backend);
    int side = s.recipe->side;
    uint8_t *rgb = malloc(3 * WIDTH * HEIGHT), *square = malloc(3 * (size_t)side * (size_t)side);
    float *patches = malloc(3 * (size_t)side * (size_t)side * sizeof *patches);
    cr_assert(rgb && square && patches);
    draw(rgb, WIDTH, HEIGHT);
    samc__ops ops;
    samc_error error;
    samc__memory memory = {0};
    samc__pool *pool = samc__pool_create(1);
    samc__exec exec = reference(&ops, &error, &memory, pool);
    samc__preprocess_args squash = {.rgb = rgb,
                                    .row_bytes = 3 * WIDTH,
                                    .width = WIDTH,
                                    .height = HEIGHT,
                                    .new_width = side,
                                    .new_height = side,
                                    .patch = side,
                                    .grid = 1,
                                    .std = {1, 1, 1},
                                    .patches = samc__view2(patches, 1, 3 * (int64_t)side * side)};
    cr_assert_eq(samc__preprocess(&exec, &squash), SAMC_OK);
    for (int i = 0; i < side * side; i++)
        for (int c = 0; c < 3; c++) square[3 * i + c] = (uint8_t)patches[c * side * side + i];

    float point[2] = {60, 40},
          in_square[2] = {(float)(60.0 * ((double)side / WIDTH)), (float)(40.0 * ((double)side / HEIGHT))};
    samc_result *by_hand = predict_at(s, square, side, side, in_square);
    samc_result *usual = predict_at(s, rgb, WIDTH, HEIGHT, point);
    s.recipe->resize = SAMC__RESIZE_SQUASH, s.recipe->masks = SAMC__MASKS_DIRECT;
    samc_result *squashed = predict_at(s, rgb, WIDTH, HEIGHT, point);
    size_t bytes = (size_t)samc_result_masks(squashed) * s.low * s.low * sizeof(float);
    cr_expect_eq(memcmp(samc_result_logits(squashed), samc_result_logits(by_hand), bytes), 0);
    cr_expect_neq(memcmp(samc_result_logits(squashed), samc_result_logits(usual), bytes), 0);

    for (int i = 0; i < samc_result_masks(squashed); i++) {
        const float *logits = samc_result_logits(squashed) + (size_t)i * s.low * s.low;
        samc__mask_stats stats;
        samc__finish_masks_args direct = {.logits =
                                              samc__view3((void *)(uintptr_t)logits, 1, (int64_t)s.low, (int64_t)s.low),
                                          .path = SAMC__MASKS_DIRECT,
                                          .width = WIDTH,
                                          .height = HEIGHT,
                                          .offset = 1,
                                          .stats = &stats};
        cr_assert_eq(samc__finish_masks(&exec, &direct), SAMC_OK);
        samc_mask mask = mask_of(s, squashed, i);
        cr_expect_eq(mask.area, stats.area);
        cr_expect(stats.area == 0 || (mask.bbox[0] == stats.x0 && mask.bbox[1] == stats.y0));
        cr_expect(mask.width == WIDTH && mask.height == HEIGHT);
    }
    samc_result_free(squashed);
    samc_result_free(usual);
    samc_result_free(by_hand);
    samc__pool_destroy(pool);
    free(patches);
    free(square);
    free(rgb);
    close_all(s);
}
Test(session, squashed_by_hand_ref) { squashed_by_hand(SAMC_BACKEND_REF); }
Test(session, squashed_by_hand_cpu) { squashed_by_hand(SAMC_BACKEND_CPU); }

/* In a square twice as large as the input a point lies at twice its coordinates, and half a pixel is a quarter of one
 * of the input's. */
Test(session, prompts_in_a_larger_square) {
    session s = open_with(SAMC_BACKEND_CPU);
    int side = s.recipe->side;
    uint8_t *rgb = malloc(3 * (size_t)side * (size_t)side);
    cr_assert_not_null(rgb);
    draw(rgb, side, side);
    const float point[2] = {60, 40}, before[2] = {59.75f, 39.75f};
    samc_result *usual = predict_at(s, rgb, side, side, before);
    s.recipe->frame = 2 * side;
    samc_result *larger = predict_at(s, rgb, side, side, point);
    size_t bytes = (size_t)samc_result_masks(usual) * s.low * s.low * sizeof(float);
    cr_expect_eq(memcmp(samc_result_logits(larger), samc_result_logits(usual), bytes), 0);
    samc_result_free(larger);
    samc_result_free(usual);
    free(rgb);
    close_all(s);
}

/* Logits are given within the clamp; masks are made of what they were. */
Test(session, clamped_logits) {
    session s = open_with(SAMC_BACKEND_CPU);
    uint8_t *rgb = malloc(3 * WIDTH * HEIGHT);
    cr_assert_not_null(rgb);
    draw(rgb, WIDTH, HEIGHT);
    const float point[2] = {60, 40};
    samc_result *usual = predict_at(s, rgb, WIDTH, HEIGHT, point);
    size_t count = (size_t)samc_result_masks(usual) * s.low * s.low, beyond = 0;
    const float most = fabsf(samc_result_logits(usual)[0]) / 2;
    s.recipe->clamp = most;
    samc_result *clamped = predict_at(s, rgb, WIDTH, HEIGHT, point);
    for (size_t i = 0; i < count; i++) {
        float logit = samc_result_logits(usual)[i];
        beyond += fabsf(logit) > most;
        cr_assert_eq(samc_result_logits(clamped)[i], fmaxf(-most, fminf(most, logit)));
    }
    cr_expect(beyond > 0 && beyond < count);
    for (int i = 0; i < samc_result_masks(usual); i++) {
        samc_mask with = mask_of(s, clamped, i), without = mask_of(s, usual, i);
        cr_expect(with.area == without.area && with.stability_score == without.stability_score);
    }
    samc_result_free(clamped);
    samc_result_free(usual);
    free(rgb);
    close_all(s);
}
