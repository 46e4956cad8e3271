/* The public interface: what it refuses, what it keeps, and that results do not depend on threads or batches. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/engine.h"

enum { WIDTH = 61, HEIGHT = 43 };

/* A smooth picture with a bright disc; `seed` moves it. */
static samc_image picture(uint8_t *pixels, int seed) {
    for (int y = 0; y < HEIGHT; y++)
        for (int x = 0; x < WIDTH; x++) {
            int dx = x - 20 - seed, dy = y - 20, inside = dx * dx + dy * dy < 150;
            for (int c = 0; c < 3; c++)
                pixels[(y * WIDTH + x) * 3 + c] = (uint8_t)(inside ? 220 - 40 * c : 40 + x + 2 * y);
        }
    return (samc_image){sizeof(samc_image), pixels, WIDTH, HEIGHT, WIDTH * 3};
}

Test(open, refuses_with_a_message) {
    samc_model *model = (samc_model *)&model;
    samc_error error = {0};
    cr_expect_eq(samc_model_open("/nonexistent/model", NULL, &model, &error), SAMC_IO);
    cr_expect_null(model);
    cr_expect_not_null(strstr(error.message, "/nonexistent/model"), "%s", error.message);
    samc_options options = {
        .size = sizeof(samc_options), .backend = SAMC_BACKEND_REF, .precision = SAMC_PRECISION_AUTO, .threads = -1};
    cr_expect_eq(samc_model_open(model_path, &options, &model, &error), SAMC_INVALID_ARGUMENT);
    options = (samc_options){
        .size = sizeof(samc_options), .backend = SAMC_BACKEND_CUDA, .precision = SAMC_PRECISION_AUTO, .threads = 1};
    samc_status status = samc_model_open(model_path, &options, &model, &error);
    cr_expect(status == SAMC_NO_DEVICE || status == SAMC_UNSUPPORTED);
    cr_expect_not_null(strstr(error.message, "CUDA"));
    cr_expect_eq(samc_model_open(NULL, NULL, &model, NULL), SAMC_INVALID_ARGUMENT,
                 "no path, nowhere to put the message");
}

Test(predict, refuses_what_it_cannot_mean) {
    samc_model *model = open_model(SAMC_BACKEND_REF, 1);
    samc_session *session = open_session(model);
    samc_result *result = NULL;
    float point[2] = {5, 5}, bad[2] = {NAN, 5};
    int32_t label = 1, wrong = 2;
    samc_prompt prompt = {.size = sizeof(samc_prompt), .points = point, .labels = &label, .point_count = 1};
    cr_expect_eq(samc_predict(session, &prompt, 1, true, &result), SAMC_NO_IMAGE);
    uint8_t pixels[WIDTH * HEIGHT * 3];
    samc_image image = picture(pixels, 0), narrow = image;
    narrow.row_bytes = 10;
    cr_expect_eq(samc_set_image(session, &narrow), SAMC_INVALID_ARGUMENT);
    cr_assert_eq(samc_set_image(session, &image), SAMC_OK);
    samc_prompt empty = SAMC_INIT(samc_prompt), nan_point = prompt, bad_label = prompt, other_image = prompt;
    nan_point.points = bad;
    bad_label.labels = &wrong;
    other_image.image = 1;
    cr_expect_eq(samc_predict(session, &empty, 1, true, &result), SAMC_INVALID_ARGUMENT);
    cr_expect_eq(samc_predict(session, &nan_point, 1, true, &result), SAMC_INVALID_ARGUMENT);
    cr_expect_eq(samc_predict(session, &bad_label, 1, true, &result), SAMC_INVALID_ARGUMENT);
    cr_expect_eq(samc_predict(session, &other_image, 1, true, &result), SAMC_NO_IMAGE);
    cr_expect_null(result);
    cr_expect_neq(samc_last_error(session)[0], 0);
    cr_assert_eq(samc_predict(session, &prompt, 1, true, &result), SAMC_OK);
    samc_mask mask = SAMC_INIT(samc_mask);
    cr_expect_eq(samc_result_mask(session, result, 0, 3, &mask), SAMC_INVALID_ARGUMENT);
    cr_expect_eq(samc_result_mask(session, result, 1, 0, &mask), SAMC_INVALID_ARGUMENT);
    samc_result_free(result);
    samc_session_destroy(session);
    samc_model_close(model);
}

Test(predict, statistics_agree_with_the_mask) {
    samc_model *model = open_model(SAMC_BACKEND_CPU, 2);
    samc_session *session = open_session(model);
    samc_result *result = NULL;
    uint8_t pixels[WIDTH * HEIGHT * 3], mask[WIDTH * HEIGHT];
    samc_image image = picture(pixels, 0);
    float point[2] = {20, 20};
    int32_t label = 1;
    samc_prompt prompt = {.size = sizeof(samc_prompt), .points = point, .labels = &label, .point_count = 1};
    cr_assert_eq(samc_set_image(session, &image), SAMC_OK);
    cr_assert_eq(samc_predict(session, &prompt, 1, true, &result), SAMC_OK);
    cr_assert_eq(samc_result_masks(result), 3);
    int64_t seen = 0;
    for (int m = 0; m < 3; m++) {
        samc_mask info = SAMC_INIT(samc_mask), again = SAMC_INIT(samc_mask);
        memset(mask, 7, sizeof mask);
        cr_assert_eq(samc_result_mask(session, result, 0, m, &info), SAMC_OK);
        cr_assert_eq(samc_result_mask(session, result, 0, m, &again), SAMC_OK);
        cr_expect_eq(memcmp(&info, &again, sizeof info), 0, "it is made once");
        cr_assert_eq(samc_mask_bytes(&info, mask, NULL), SAMC_OK);
        cr_expect(info.image == 0 && info.prompt == 0 && info.index == m);
        cr_expect(info.width == WIDTH && info.height == HEIGHT && info.crop_box[2] == WIDTH);
        cr_expect_eq(info.predicted_iou, samc_result_iou(result)[m]);
        int64_t area = 0;
        int x0 = WIDTH, y0 = HEIGHT, x1 = -1, y1 = -1;
        for (int y = 0; y < HEIGHT; y++)
            for (int x = 0; x < WIDTH; x++) {
                cr_assert_leq(mask[y * WIDTH + x], 1);
                if (!mask[y * WIDTH + x]) continue;
                area++;
                x0 = x < x0 ? x : x0, x1 = x > x1 ? x : x1, y0 = y < y0 ? y : y0, y1 = y > y1 ? y : y1;
            }
        seen += area;
        cr_expect_eq(info.area, area);
        cr_expect(info.stability_score >= 0.0f && info.stability_score <= 1.0f);
        if (area == 0) continue;
        cr_expect_eq(info.bbox[0], x0);
        cr_expect_eq(info.bbox[1], y0);
        cr_expect_eq(info.bbox[2], x1 - x0);
        cr_expect_eq(info.bbox[3], y1 - y0);
    }
    cr_expect_gt(seen, 0, "the test needs a mask that is not empty");
    samc_result_free(result);
    samc_session_destroy(session);
    samc_model_close(model);
}

/* Logits of six prompts on two images, in one call or one by one, with some number of threads. */
static float *logits_of(samc_backend backend, int threads, bool one_by_one, size_t *floats) {
    enum { PROMPTS = 6 };
    samc_model *model = open_model(backend, threads);
    samc_session *session = open_session(model);
    uint8_t pixels[2][WIDTH * HEIGHT * 3];
    samc_image images[2] = {picture(pixels[0], 0), picture(pixels[1], 13)};
    float points[PROMPTS][4], box[4] = {4, 5, 40, 38};
    int32_t labels[2] = {1, 0};
    samc_prompt prompts[PROMPTS];
    for (int i = 0; i < PROMPTS; i++) {
        for (int j = 0; j < 4; j++) points[i][j] = (float)(3 + (7 * i + 11 * j) % 40);
        prompts[i] = (samc_prompt){.size = sizeof(samc_prompt),
                                   .points = points[i],
                                   .labels = labels,
                                   .point_count = 1 + i % 2,
                                   .image = i / 3};
    }
    prompts[4] = (samc_prompt){.size = sizeof(samc_prompt), .box = box, .image = 1};
    cr_assert_eq(samc_set_images(session, images, 2), SAMC_OK);
    samc_model_info info = SAMC_INIT(samc_model_info);
    samc_model_get_info(model, &info);
    size_t each = (size_t)info.multimask_outputs * (size_t)info.low_res * (size_t)info.low_res;
    float *logits = malloc(PROMPTS * each * sizeof(float));
    for (int i = 0; i < PROMPTS; i += one_by_one ? 1 : PROMPTS) {
        int n = one_by_one ? 1 : PROMPTS;
        samc_result *result = NULL;
        cr_assert_eq(samc_predict(session, prompts + i, n, true, &result), SAMC_OK);
        memcpy(logits + (size_t)i * each, samc_result_logits(result), (size_t)n * each * sizeof(float));
        samc_result_free(result);
    }
    samc_session_destroy(session);
    samc_model_close(model);
    *floats = PROMPTS * each;
    return logits;
}

Test(predict, same_bits_with_any_threads_and_batch) {
    static const samc_backend backends[] = {SAMC_BACKEND_REF, SAMC_BACKEND_CPU};
    for (int b = 0; b < 2; b++) {
        size_t floats = 0;
        float *first = logits_of(backends[b], 1, false, &floats);
        for (int threads = 1; threads <= 3; threads++) {
            float *other = logits_of(backends[b], threads, threads != 2, &floats);
            cr_expect_eq(memcmp(first, other, floats * sizeof(float)), 0, "backend %d, %d threads", (int)backends[b],
                         threads);
            free(other);
        }
        free(first);
    }
}

/* Prompts of `images` images, `each` on every one, in one call or one by one: the mask prompt too where `masked`. */
static float *logits_on_images(samc_backend backend, int images, int each, bool masked, bool one_by_one,
                               const float *mask, size_t *floats) {
    enum { IMAGES = 4, MOST = 12 };
    samc_model *model = open_model(backend, 2);
    samc_session *session = open_session(model);
    uint8_t pixels[IMAGES][WIDTH * HEIGHT * 3];
    samc_image pictures[IMAGES];
    float points[MOST][2];
    int32_t label = 1;
    samc_prompt prompts[MOST];
    for (int i = 0; i < images; i++) {
        pictures[i] = picture(pixels[i], 5 * i);
        pictures[i].width -= 3 * i, pictures[i].height -= i; /* geometry of its own */
    }
    for (int i = 0; i < images * each; i++) {
        points[i][0] = (float)(3 + 11 * i % 50), points[i][1] = (float)(4 + 7 * i % 30);
        prompts[i] = (samc_prompt){.size = sizeof(samc_prompt),
                                   .points = points[i],
                                   .labels = &label,
                                   .point_count = 1,
                                   .image = i / each,
                                   .mask_input = masked ? mask : NULL};
    }
    cr_assert_eq(samc_set_images(session, pictures, images), SAMC_OK);
    samc_model_info info = SAMC_INIT(samc_model_info);
    samc_model_get_info(model, &info);
    size_t one = (size_t)info.multimask_outputs * (size_t)info.low_res * (size_t)info.low_res;
    float *logits = malloc((size_t)(images * each) * one * sizeof(float));
    cr_assert_eq(samc_profile_begin(session), SAMC_OK);
    for (int i = 0; i < images * each; i += one_by_one ? 1 : images * each) {
        int n = one_by_one ? 1 : images * each;
        samc_result *result = NULL;
        cr_assert_eq(samc_predict(session, prompts + i, n, true, &result), SAMC_OK);
        memcpy(logits + (size_t)i * one, samc_result_logits(result), (size_t)n * one * sizeof(float));
        samc_result_free(result);
    }
    samc_profile_row rows[64] = {{.size = sizeof *rows}};
    int count, batches = one_by_one ? images * each : 1;
    cr_assert_eq(samc_profile_end(session, rows, 64, &count), SAMC_OK);
    for (int i = 0; i < count; i++)
        if (strcmp(rows[i].name, "upscale_masks") == 0)
            cr_expect_eq(rows[i].calls, batches, "%d batches", (int)rows[i].calls);
    samc_session_destroy(session);
    samc_model_close(model);
    *floats = (size_t)(images * each) * one;
    return logits;
}

Test(predict, same_bits_for_prompts_of_several_images) {
    static const samc_backend backends[] = {SAMC_BACKEND_REF, SAMC_BACKEND_CPU};
    static const int cases[][2] = {{4, 1}, {2, 3}, {3, 4}};
    float *mask = NULL;
    for (int b = 0; b < 2; b++)
        for (int i = 0; i < 3; i++)
            for (int masked = 0; masked < 2; masked++) {
                size_t floats = 0;
                int images = cases[i][0], each = cases[i][1];
                float *together = logits_on_images(backends[b], images, each, masked, false, mask, &floats);
                float *alone = logits_on_images(backends[b], images, each, masked, true, mask, &floats);
                cr_expect_eq(memcmp(together, alone, floats * sizeof(float)), 0,
                             "backend %d, %d images, %d prompts each, masked %d", (int)backends[b], images, each,
                             masked);
                size_t one = floats / (size_t)(images * each);
                for (int p = 1; p < images * each; p++)
                    cr_expect_neq(memcmp(together, together + (size_t)p * one, one * sizeof(float)), 0,
                                  "prompt %d is prompt 0 again", p);
                free(alone);
                if (mask == NULL) mask = together; /* the first mask of the first prompt */
                else free(together);
            }
    free(mask);
}

/* Logits of one point on image `index` of those that are set. */
static void logits_of_point(samc_session *session, int index, float *logits, size_t floats) {
    float point[2] = {21, 18};
    int32_t label = 1;
    samc_prompt prompt = {
        .size = sizeof(samc_prompt), .points = point, .labels = &label, .point_count = 1, .image = index};
    samc_result *result = NULL;
    cr_assert_eq(samc_predict(session, &prompt, 1, true, &result), SAMC_OK);
    memcpy(logits, samc_result_logits(result), floats * sizeof(float));
    samc_result_free(result);
}

/* What a session keeps of an image between predictions is that image's: other images, several at once, one of them,
 * replaced ones. */
Test(session, keeps_no_other_image) {
    samc_model *model = open_model(SAMC_BACKEND_CPU, 2);
    samc_session *session = open_session(model);
    samc_model_info info = SAMC_INIT(samc_model_info);
    samc_model_get_info(model, &info);
    size_t floats = (size_t)info.multimask_outputs * (size_t)info.low_res * (size_t)info.low_res;
    float *expected[3], *seen = malloc(floats * sizeof(float)), point[6] = {5, 6, 30, 20, 40, 31};
    int32_t label = 1;
    uint8_t pixels[3][WIDTH * HEIGHT * 3];
    samc_image images[3];
    samc_prompt prompts[3];
    for (int i = 0; i < 3; i++) {
        images[i] = picture(pixels[i], 6 * i);
        prompts[i] = (samc_prompt){
            .size = sizeof(samc_prompt), .points = point + 2 * i, .labels = &label, .point_count = 1, .image = i};
        expected[i] = malloc(floats * sizeof(float));
        cr_assert_eq(samc_set_image(session, &images[i]), SAMC_OK);
        logits_of_point(session, 0, expected[i], floats);
        cr_expect(i == 0 || memcmp(expected[i], expected[0], floats * sizeof(float)) != 0);
    }
    cr_assert_eq(samc_set_images(session, images, 3), SAMC_OK);
    static const int order[] = {0, 2, 1, 1, 2, 0};
    for (int i = 0; i < 6; i++) {
        if (i == 2) { /* all three in one batch: what is kept then covers each */
            samc_result *result = NULL;
            cr_assert_eq(samc_predict(session, prompts, 3, true, &result), SAMC_OK);
            samc_result_free(result);
        }
        logits_of_point(session, order[i], seen, floats);
        cr_expect_eq(memcmp(seen, expected[order[i]], floats * sizeof(float)), 0, "prediction %d, image %d", i,
                     order[i]);
    }
    for (int i = 0; i < 3; i++) free(expected[i]);
    free(seen);
    samc_session_destroy(session);
    samc_model_close(model);
}

Test(session, memory_returns_to_the_embeddings_and_stays_within_the_plan) {
    samc_model *model = open_model(SAMC_BACKEND_REF, 2);
    samc_session *session = open_session(model);
    samc_model_info info = SAMC_INIT(samc_model_info);
    samc_model_get_info(model, &info);
    size_t embedding = sizeof(float) * (size_t)info.embed_channels * (size_t)info.grid * (size_t)info.grid;
    uint8_t pixels[WIDTH * HEIGHT * 3];
    samc_image image = picture(pixels, 0);
    cr_assert_eq(samc_set_image(session, &image), SAMC_OK);
    samc_memory memory = SAMC_INIT(samc_memory);
    samc_session_memory(session, &memory);
    cr_expect_leq(memory.current, 2 * embedding + 4096, "the embedding and the grid's position encoding");
    cr_expect_leq(memory.peak, info.encode_bytes + 2 * embedding + 4096, "peak %zu, planned %zu", memory.peak,
                  info.encode_bytes);
    samc_session_trim(NULL);
    samc_session_trim(session);
    int64_t before = (int64_t)memory.current;
    samc_session_memory(session, &memory);
    cr_expect_eq((int64_t)memory.current, before, "what is in use stays");
    cr_expect_eq(samc_set_image(session, &image), SAMC_OK, "%s", samc_last_error(session));
    samc_session_destroy(session);
    samc_model_close(model);
}

/* Settings by name: a threshold of 1 and of -1 count what the stability score at 0 is made of. Nothing else is taken.
 */
Test(model, settings) {
    static const char *const given[3][3] = {
        {NULL}, {"mask_threshold=1", NULL}, {"mask_threshold=7", "mask_threshold=-1"}};
    static const char *const wrong[][2] = {{"mask=1"}, {"mask_threshold"}, {"=1"}, {""}, {"mask_threshold=1e4"}};
    samc_options options = {.size = sizeof options, .backend = SAMC_BACKEND_CPU, .threads = 1};
    samc_error error;
    samc_model *model;
    samc_mask masks[3];
    for (int i = 0; i < 3; i++) {
        options.settings = given[i];
        cr_assert_eq(samc_model_open(model_path, &options, &model, &error), SAMC_OK, "%s", error.message);
        samc_session *session = open_session(model);
        samc_model_info info = SAMC_INIT(samc_model_info);
        samc_model_get_info(model, &info);
        cr_expect_str_eq(info.settings,
                         ((const char *[]){"mask_threshold=0.0", "mask_threshold=1.0", "mask_threshold=-1.0"})[i]);
        cr_expect_str_eq(info.changed, i ? info.settings : "");
        cr_expect_eq(info.mask_threshold, ((const float[]){0, 1, -1})[i]);
        uint8_t pixels[WIDTH * HEIGHT * 3];
        samc_image image = picture(pixels, 0);
        float point[2] = {20, 20};
        int32_t label = 1;
        samc_prompt prompt = {.size = sizeof prompt, .points = point, .labels = &label, .point_count = 1};
        samc_result *result = NULL;
        cr_assert_eq(samc_set_image(session, &image), SAMC_OK);
        cr_assert_eq(samc_predict(session, &prompt, 1, false, &result), SAMC_OK);
        masks[i] = SAMC_INIT(samc_mask);
        cr_assert_eq(samc_result_mask(session, result, 0, 0, &masks[i]), SAMC_OK);
        samc_result_free(result);
        samc_session_destroy(session);
        samc_model_close(model);
    }
    cr_expect(masks[1].area < masks[0].area && masks[0].area < masks[2].area);
    cr_expect_eq(masks[0].stability_score, (float)masks[1].area / (float)masks[2].area);
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        options.settings = wrong[i];
        cr_expect_eq(samc_model_open(model_path, &options, &model, &error), SAMC_INVALID_ARGUMENT, "'%s'", wrong[i][0]);
        cr_expect(strstr(error.message, "mask_threshold") != NULL && model == NULL, "%s", error.message);
    }
}

/* A model that looks at finer features keeps, saves and takes all of its levels; the embedding alone is not enough. */
/* A session's own predictions, and those of another session that was only ever given embeddings. */
static void expect_same_on_embeddings(samc_backend backend, bool masked) {
    enum { IMAGES = 3, PROMPTS = 5 };
    static const int on[PROMPTS] = {2, 0, 0, 2, 1};
    samc_model *model = open_model(backend, 2), *stranger = open_model(backend, 2);
    samc_session *session = open_session(model), *other = open_session(model), *third = open_session(stranger);
    samc_model_info info = SAMC_INIT(samc_model_info);
    samc_model_get_info(model, &info);
    const size_t low = (size_t)info.low_res * (size_t)info.low_res, each = (size_t)info.multimask_outputs * low;
    float *mask = calloc(low, sizeof *mask), points[PROMPTS][2];
    uint8_t pixels[IMAGES][WIDTH * HEIGHT * 3];
    samc_image pictures[IMAGES];
    samc_embedding *embeddings[IMAGES];
    samc_prompt prompts[PROMPTS];
    samc_result *expected = NULL, *result = NULL;
    const int32_t label = 1;
    for (int i = 0; i < IMAGES; i++) {
        pictures[i] = picture(pixels[i], 5 * i);
        pictures[i].height -= 2 * i;
    }
    for (int i = 0; i < PROMPTS; i++) {
        points[i][0] = (float)(9 + 8 * i), points[i][1] = (float)(30 - 5 * i);
        prompts[i] = (samc_prompt){.size = sizeof(samc_prompt),
                                   .points = points[i],
                                   .labels = &label,
                                   .point_count = 1,
                                   .image = on[i],
                                   .mask_input = masked && i % 2 ? mask : NULL};
    }
    cr_assert_eq(samc_set_images(session, pictures, IMAGES), SAMC_OK);
    for (int i = 0; i < IMAGES; i++) cr_assert_eq(samc_embedding_of(session, i, &embeddings[i]), SAMC_OK);
    cr_assert_eq(samc_predict(session, prompts, PROMPTS, true, &expected), SAMC_OK);
    samc_session_destroy(session); /* embeddings outlive the session that made them */
    for (int again = 0; again < 2; again++) {
        cr_assert_eq(samc_predict_on(other, embeddings, IMAGES, prompts, PROMPTS, true, &result), SAMC_OK, "%s",
                     samc_last_error(other));
        cr_expect_arr_eq(samc_result_logits(result), samc_result_logits(expected), PROMPTS * each * sizeof(float));
        samc_mask a = SAMC_INIT(samc_mask), b = SAMC_INIT(samc_mask);
        cr_assert_eq(samc_result_mask(other, expected, 3, 0, &a), SAMC_OK);
        cr_assert_eq(samc_result_mask(other, result, 3, 0, &b), SAMC_OK);
        cr_expect(a.area == b.area && a.image == b.image && a.height == b.height && b.height == HEIGHT - 4);
        samc_result_free(result);
    }
    prompts[4].image = IMAGES;
    cr_expect_eq(samc_predict_on(other, embeddings, IMAGES, prompts, PROMPTS, true, &result), SAMC_NO_IMAGE);
    cr_expect_eq(samc_predict_on(third, embeddings, IMAGES, prompts, 1, true, &result), SAMC_MISMATCH);
    cr_expect_eq(samc_embedding_set(third, embeddings[0]), SAMC_MISMATCH);
    cr_expect_eq(samc_predict_on(other, embeddings, 0, prompts, 1, true, &result), SAMC_INVALID_ARGUMENT);
    cr_expect_eq(samc_predict(other, prompts, 1, true, &result), SAMC_NO_IMAGE, "none was set");
    int height = 0;
    cr_assert_eq(samc_embedding_set(other, embeddings[2]), SAMC_OK);
    cr_assert_eq(samc_session_image_size(other, 0, NULL, &height), SAMC_OK);
    cr_expect_eq(height, HEIGHT - 4);
    prompts[0].image = 0;
    cr_assert_eq(samc_predict(other, prompts, 1, true, &result), SAMC_OK);
    cr_expect_arr_eq(samc_result_logits(result), samc_result_logits(expected), each * sizeof(float));
    samc_result_free(result);
    samc_result_free(expected);
    for (int i = 0; i < IMAGES; i++) {
        cr_expect_gt(samc_embedding_bytes(embeddings[i]), (size_t)info.grid * (size_t)info.grid * sizeof(float));
        samc_embedding_release(samc_embedding_keep(embeddings[i]));
        samc_embedding_release(embeddings[i]);
    }
    free(mask);
    samc_session_destroy(other);
    samc_session_destroy(third);
    samc_model_close(model);
    samc_model_close(stranger);
}

Test(session, embeddings_serve_any_session) {
    expect_same_on_embeddings(SAMC_BACKEND_CPU, false);
    expect_same_on_embeddings(SAMC_BACKEND_CPU, true);
    expect_same_on_embeddings(SAMC_BACKEND_REF, true);
}

Test(session, levels_round_trip) {
    samc_options options = {.size = sizeof options, .backend = SAMC_BACKEND_CPU};
    samc_model *model = NULL;
    samc_error error;
    cr_assert_eq(samc_model_open(SAMC_TEST_DATA "/golden_hq/tiny.safetensors", &options, &model, &error), SAMC_OK, "%s",
                 error.message);
    samc_session *session = open_session(model), *other = open_session(model);
    uint8_t pixels[2][WIDTH * HEIGHT * 3];
    samc_image images[2] = {picture(pixels[0], 0), picture(pixels[1], 9)};
    const char *name[2];
    float *values[2], *again[2];
    size_t bytes[2];
    cr_assert_eq(samc_set_images(session, images, 2), SAMC_OK);
    for (int level = 0; level < 2; level++) {
        int channels, side;
        cr_assert_eq(samc_model_level(model, level, &name[level], &channels, &side), SAMC_OK);
        bytes[level] = (size_t)channels * (size_t)side * (size_t)side * sizeof(float);
        values[level] = malloc(bytes[level]), again[level] = malloc(bytes[level]);
        cr_assert_eq(samc_get_level(session, 1, level, values[level]), SAMC_OK);
        cr_assert_eq(samc_get_level(session, 0, level, again[level]), SAMC_OK);
        cr_expect_neq(memcmp(values[level], again[level], bytes[level]), 0, "each image has its own");
    }
    cr_expect_str_eq(name[1], "hq_features");
    cr_expect_eq(samc_model_level(model, 2, NULL, NULL, NULL), SAMC_INVALID_ARGUMENT);
    char path[] = "api_test.XXXXXX";
    close(mkstemp(path));
    cr_assert_eq(samc_save_embedding(session, 1, path), SAMC_OK, "%s", samc_last_error(session));
    cr_assert_eq(samc_load_embedding(other, path), SAMC_OK, "%s", samc_last_error(other));
    remove(path);
    for (int level = 0; level < 2; level++) {
        cr_assert_eq(samc_get_level(other, 0, level, again[level]), SAMC_OK);
        cr_expect_eq(memcmp(values[level], again[level], bytes[level]), 0, "level %d", level);
    }
    cr_expect_eq(samc_set_embedding(other, values[0], WIDTH, HEIGHT), SAMC_MISMATCH);
    cr_expect_not_null(strstr(samc_last_error(other), "hq_features"), "%s", samc_last_error(other));
    values[1][7] = NAN;
    cr_expect_eq(samc_set_levels(other, (const float *const *)values, 2, WIDTH, HEIGHT), SAMC_FORMAT);
    for (int level = 0; level < 2; level++) free(values[level]), free(again[level]);
    samc_session_destroy(session);
    samc_session_destroy(other);
    samc_model_close(model);
}

Test(session, embedding_round_trip) {
    samc_model *model = open_model(SAMC_BACKEND_CPU, 1);
    samc_session *session = open_session(model), *other = open_session(model);
    samc_model_info info = SAMC_INIT(samc_model_info);
    samc_model_get_info(model, &info);
    size_t floats = (size_t)info.embed_channels * (size_t)info.grid * (size_t)info.grid;
    float *a = malloc(floats * sizeof(float)), *b = malloc(floats * sizeof(float));
    uint8_t pixels[WIDTH * HEIGHT * 3];
    samc_image image = picture(pixels, 0);
    char path[] = "api_test.XXXXXX";
    int file = mkstemp(path);
    cr_assert_geq(file, 0);
    close(file);
    cr_assert_eq(samc_set_image(session, &image), SAMC_OK);
    cr_assert_eq(samc_save_embedding(session, 0, path), SAMC_OK, "%s", samc_last_error(session));
    cr_assert_eq(samc_load_embedding(other, path), SAMC_OK, "%s", samc_last_error(other));
    int width = 0, height = 0;
    cr_expect_eq(samc_session_image_size(other, 0, &width, &height), SAMC_OK);
    cr_expect(width == WIDTH && height == HEIGHT);
    cr_assert_eq(samc_get_embedding(session, 0, a), SAMC_OK);
    cr_assert_eq(samc_get_embedding(other, 0, b), SAMC_OK);
    cr_expect_eq(memcmp(a, b, floats * sizeof(float)), 0);
    cr_expect_eq(strlen(samc_session_note(other)), 0, "%s", samc_session_note(other));
    /* The embedding is the first of a model's levels, and of this one the only. */
    const char *name = NULL;
    int channels = 0, side = 0;
    cr_assert_eq(samc_model_level(model, 0, &name, &channels, &side), SAMC_OK);
    cr_expect(strcmp(name, "image_embedding") == 0 && (size_t)channels * (size_t)side * (size_t)side == floats);
    cr_expect_eq(samc_model_level(model, 1, NULL, NULL, NULL), SAMC_INVALID_ARGUMENT);
    cr_assert_eq(samc_get_level(session, 0, 0, b), SAMC_OK);
    cr_expect_eq(memcmp(a, b, floats * sizeof(float)), 0);
    cr_expect_eq(samc_get_level(session, 0, 1, b), SAMC_INVALID_ARGUMENT);
    const float *levels[2] = {a, a};
    cr_expect_eq(samc_set_levels(other, levels, 2, WIDTH, HEIGHT), SAMC_INVALID_ARGUMENT);
    cr_assert_eq(samc_set_levels(other, levels, 1, WIDTH, HEIGHT), SAMC_OK);
    /* One of another precision is taken, rounded where activations are, with a note. */
    samc_options options = {.size = sizeof options, .backend = SAMC_BACKEND_REF, .precision = SAMC_PRECISION_BF16};
    samc_model *low = NULL;
    cr_assert_eq(samc_model_open(model_path, &options, &low, NULL), SAMC_OK);
    samc_session *narrow = open_session(low);
    cr_assert_eq(samc_load_embedding(narrow, path), SAMC_OK, "%s", samc_last_error(narrow));
    cr_expect_str_eq(samc_session_note(narrow), "an embedding was made in f32, the model is open in bf16");
    cr_assert_eq(samc_get_embedding(narrow, 0, b), SAMC_OK);
    cr_expect_eq(memcmp(a, b, floats * sizeof(float)), 0, "the reference computes in f32");
    samc_session_destroy(narrow);
    samc_model_close(low);
    a[0] = NAN;
    cr_expect_eq(samc_set_embedding(other, a, WIDTH, HEIGHT), SAMC_FORMAT);
    cr_expect_eq(samc_load_embedding(other, model_path), SAMC_FORMAT, "a model is not an embedding");
    remove(path);
    free(a);
    free(b);
    samc_session_destroy(other);
    samc_session_destroy(session);
    samc_model_close(model);
}

/* An operator's precision in a model that was opened in `precision` on the rung `caps`, by its name. */
static samc_precision computed_in(samc_precision precision, const char *caps, const char *name) {
    uint8_t pixels[20 * 30 * 3] = {0};
    samc_image image = {sizeof image, pixels, 30, 20, 30 * 3};
    float point[2] = {5, 5};
    int32_t label = 1;
    samc_prompt prompt = {.size = sizeof prompt, .points = point, .labels = &label, .point_count = 1};
    samc_result *result = NULL;
    samc_profile_row rows[64] = {{.size = sizeof *rows}};
    int count;
    cr_assert_eq(setenv("SAMC_CPU_CAPS", caps, 1), 0);
    samc_model *model = open_model_in(SAMC_BACKEND_CPU, precision, 1);
    samc_session *session = open_session(model);
    cr_assert_eq(samc_profile_begin(session), SAMC_OK);
    cr_assert_eq(samc_set_image(session, &image), SAMC_OK);
    cr_assert_eq(samc_predict(session, &prompt, 1, true, &result), SAMC_OK);
    cr_assert_eq(samc_profile_end(session, rows, 64, &count), SAMC_OK);
    samc_precision found = SAMC_PRECISION_AUTO;
    for (int i = 0; i < count; i++)
        if (strcmp(rows[i].name, name) == 0) found = rows[i].precision;
    samc_result_free(result);
    samc_session_destroy(session);
    samc_model_close(model);
    return found;
}

/* Instructions in software serve as well as the machine's own. */
Test(profile, says_what_operators_compute_with) {
    cr_expect_eq(computed_in(SAMC_PRECISION_F32, "none", "linear"), SAMC_PRECISION_F32);
    cr_expect_eq(computed_in(SAMC_PRECISION_BF16, "none", "linear"), SAMC_PRECISION_F32, "rounded weights alone");
    cr_expect_eq(computed_in(SAMC_PRECISION_BF16, "avx512bf16-soft", "linear"), SAMC_PRECISION_BF16);
    cr_expect_eq(computed_in(SAMC_PRECISION_BF16, "avx512bf16-soft", "attention_relpos"), SAMC_PRECISION_BF16);
    cr_expect_eq(computed_in(SAMC_PRECISION_BF16, "avx512bf16-soft", "embed_prompts"), SAMC_PRECISION_F32);
    cr_expect_eq(computed_in(SAMC_PRECISION_INT8, "avx512bf16-soft", "linear"), SAMC_PRECISION_INT8);
    cr_expect_eq(computed_in(SAMC_PRECISION_INT8, "avx512bf16-soft", "conv3x3"), SAMC_PRECISION_BF16);
    cr_expect_eq(computed_in(SAMC_PRECISION_INT8, "none", "linear"), SAMC_PRECISION_F32, "rounded weights alone");
}
