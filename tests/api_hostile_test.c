/* Every public function with every argument hostile in turn: NULL, out of range, absurd, and at the wrong time. Run
 * under AddressSanitizer too: what is refused must not have been read. */
#include <limits.h>
#include <math.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "tests/engine.h"

enum { WIDTH = 32, HEIGHT = 24 };

static const int32_t on = 1;
static const float spot[2] = {9, 9};
static const samc_prompt good = {.size = sizeof good, .points = spot, .labels = &on, .point_count = 1};

static samc_image picture(void) {
    static uint8_t pixels[WIDTH * HEIGHT * 3];
    for (size_t i = 0; i < sizeof pixels; i++) pixels[i] = (uint8_t)(i * 37 >> 3);
    return (samc_image){sizeof(samc_image), pixels, WIDTH, HEIGHT, WIDTH * 3};
}

/* Refused, and the session says why. */
#define REFUSED(session, call)                                                                                         \
    do {                                                                                                               \
        samc_status status_ = (call);                                                                                  \
        cr_expect_eq(status_, SAMC_INVALID_ARGUMENT, "%s: %s", #call, samc_status_text(status_));                      \
        cr_expect(samc_last_error(session)[0] != '\0');                                                                \
    } while (0)

Test(hostile, nothing_where_something_belongs) {
    samc_model *model = open_model(SAMC_BACKEND_CPU, 2), *other = NULL;
    samc_session *session = open_session(model), *none = NULL;
    samc_error error;
    samc_model_info info = SAMC_INIT(samc_model_info);
    samc_image image = picture();
    samc_result *result = NULL;
    samc_mask mask = SAMC_INIT(samc_mask), sizeless = {.runs = NULL};
    uint8_t bytes[4];
    char hex[65];
    uint32_t counts[4];
    int width;
    cr_expect_eq(samc_model_open(NULL, NULL, &other, &error), SAMC_INVALID_ARGUMENT);
    cr_expect_eq(samc_model_open(model_path, NULL, NULL, &error), SAMC_INVALID_ARGUMENT);
    cr_expect_eq(samc_model_open("/nowhere", NULL, &other, NULL), SAMC_IO);
    samc_model_close(NULL);
    cr_expect_eq(samc_model_get_info(model, NULL), SAMC_INVALID_ARGUMENT);
    cr_expect_eq(samc_model_get_info(NULL, &info), SAMC_INVALID_ARGUMENT);
    cr_expect(info.grid == 0 && info.name == NULL, "nothing is written");
    cr_expect_eq(samc_default_options(NULL), SAMC_INVALID_ARGUMENT);
    cr_expect_eq(samc_model_hash(NULL, hex, NULL), SAMC_INVALID_ARGUMENT);
    cr_expect_eq(samc_model_hash(model, NULL, NULL), SAMC_INVALID_ARGUMENT);
    cr_expect_eq(samc_convert(NULL, "x", SAMC_STORAGE_KEEP, NULL), SAMC_INVALID_ARGUMENT);
    cr_expect_eq(samc_convert(model_path, NULL, SAMC_STORAGE_KEEP, NULL), SAMC_INVALID_ARGUMENT);
    cr_expect_eq(samc_session_create(NULL, &none, NULL), SAMC_INVALID_ARGUMENT);
    cr_expect_eq(samc_session_create(model, NULL, NULL), SAMC_INVALID_ARGUMENT);
    samc_session_destroy(NULL);
    samc_session_stop(NULL);
    cr_expect_neq(samc_last_error(NULL)[0], '\0');
    cr_expect_eq(samc_session_note(NULL)[0], '\0');
    samc_memory memory = SAMC_INIT(samc_memory);
    cr_expect_eq(samc_session_memory(NULL, &memory), SAMC_INVALID_ARGUMENT);
    cr_expect_eq(samc_session_memory(session, NULL), SAMC_INVALID_ARGUMENT);
    cr_expect_eq(samc_profile_begin(NULL), SAMC_INVALID_ARGUMENT);
    cr_expect_eq(samc_profile_end(NULL, NULL, 9, NULL), SAMC_INVALID_ARGUMENT);
    cr_expect_eq(samc_profile_begin(session), SAMC_OK);
    cr_expect(samc_profile_end(session, NULL, 9, &width) == SAMC_OK && width == 0);
    cr_expect_eq(samc_set_image(NULL, &image), SAMC_INVALID_ARGUMENT);
    REFUSED(session, samc_set_image(session, NULL));
    REFUSED(session, samc_set_images(session, NULL, 2));
    cr_expect_eq(samc_get_embedding(NULL, 0, NULL), SAMC_INVALID_ARGUMENT);
    REFUSED(session, samc_get_embedding(session, 0, NULL));
    cr_expect_eq(samc_set_embedding(NULL, NULL, 4, 4), SAMC_INVALID_ARGUMENT);
    REFUSED(session, samc_set_embedding(session, NULL, 4, 4));
    cr_expect_eq(samc_save_embedding(NULL, 0, "x"), SAMC_INVALID_ARGUMENT);
    REFUSED(session, samc_save_embedding(session, 0, NULL));
    cr_expect_eq(samc_load_embedding(NULL, "x"), SAMC_INVALID_ARGUMENT);
    REFUSED(session, samc_load_embedding(session, NULL));
    cr_expect_eq(samc_save_embedding_as(NULL, 0, SAMC_PRECISION_F16, "x"), SAMC_INVALID_ARGUMENT);
    REFUSED(session, samc_save_embedding_as(session, 0, SAMC_PRECISION_F16, NULL));
    cr_expect_eq(samc_pack_embedding(NULL, 0, SAMC_PRECISION_F16, NULL, NULL), SAMC_INVALID_ARGUMENT);
    REFUSED(session, samc_pack_embedding(session, 0, SAMC_PRECISION_F16, NULL, NULL));
    cr_expect_eq(samc_unpack_embedding(NULL, NULL, 0), SAMC_INVALID_ARGUMENT);
    REFUSED(session, samc_unpack_embedding(session, NULL, 0));
    cr_expect_eq(samc_session_image_size(NULL, 0, &width, &width), SAMC_INVALID_ARGUMENT);
    cr_assert_eq(samc_set_image(session, &image), SAMC_OK);
    cr_expect_eq(samc_session_image_size(session, 0, &width, NULL), SAMC_OK);
    cr_expect_eq(samc_session_image_size(session, 0, NULL, NULL), SAMC_OK);
    cr_expect_eq(width, WIDTH);
    cr_expect_eq(samc_predict(NULL, &good, 1, true, &result), SAMC_INVALID_ARGUMENT);
    REFUSED(session, samc_predict(session, NULL, 1, true, &result));
    REFUSED(session, samc_predict(session, &good, 1, true, NULL));
    samc_result_free(NULL);
    cr_expect(samc_result_prompts(NULL) == 0 && samc_result_masks(NULL) == 0 && samc_result_best(NULL, 0) == -1);
    cr_expect(samc_result_logits(NULL) == NULL && samc_result_iou(NULL) == NULL);
    cr_expect_eq(samc_result_mask(NULL, NULL, 0, 0, &mask), SAMC_INVALID_ARGUMENT);
    REFUSED(session, samc_result_mask(session, NULL, 0, 0, &mask));
    cr_expect_eq(samc_auto_check(NULL, NULL), SAMC_INVALID_ARGUMENT);
    samc_auto_options automatic = SAMC_INIT(samc_auto_options);
    cr_expect_eq(samc_default_auto_options(NULL, NULL), SAMC_INVALID_ARGUMENT);
    cr_expect(samc_default_auto_options(NULL, &automatic) == SAMC_OK && automatic.points_per_side == 32);
    cr_expect_eq(samc_mask_rle(NULL, hex, NULL), SAMC_INVALID_ARGUMENT);
    cr_expect_eq(samc_mask_rle(&mask, hex, NULL), SAMC_INVALID_ARGUMENT, "no run lengths");
    cr_expect_eq(samc_mask_rle(&mask, NULL, NULL), SAMC_INVALID_ARGUMENT);
    cr_expect_eq(samc_mask_counts(NULL, counts, NULL), SAMC_INVALID_ARGUMENT);
    cr_expect_eq(samc_mask_counts(&mask, counts, NULL), SAMC_INVALID_ARGUMENT);
    cr_expect_eq(samc_mask_bytes(NULL, bytes, NULL), SAMC_INVALID_ARGUMENT);
    cr_expect_eq(samc_mask_bytes(&mask, bytes, NULL), SAMC_INVALID_ARGUMENT);
    cr_expect_eq(samc_mask_bytes(&sizeless, bytes, &error), SAMC_INVALID_ARGUMENT);
    cr_expect_not_null(strstr(error.message, "samc_mask: its size is 0"), "%s", error.message);
    cr_expect_null(samc_runs_keep(NULL));
    samc_runs_release(NULL);
    cr_expect_eq(samc_auto(NULL, &image, 1, NULL, NULL, NULL), SAMC_INVALID_ARGUMENT);
    REFUSED(session, samc_auto(session, &image, 1, NULL, NULL, NULL));
    cr_expect_eq(samc_get_machine(NULL), SAMC_INVALID_ARGUMENT);
    samc_get_cuda_libraries(NULL, NULL, 0);
    samc_session_destroy(session);
    samc_model_close(model);
}

Test(hostile, numbers_out_of_range) {
    samc_model *model = open_model(SAMC_BACKEND_CPU, 2), *other = NULL;
    samc_session *session = open_session(model);
    samc_result *result = NULL;
    samc_image image = picture();
    cr_expect_str_eq(samc_status_text((samc_status)99), samc_status_text((samc_status)-1));
    const samc_options options[] = {{sizeof *options, .backend = (samc_backend)77},
                                    {sizeof *options, .backend = (samc_backend)-1},
                                    {sizeof *options, .backend = SAMC_BACKEND_REF, .precision = (samc_precision)-3},
                                    {sizeof *options, .backend = SAMC_BACKEND_REF, .precision = (samc_precision)44},
                                    {sizeof *options, .backend = SAMC_BACKEND_REF, .threads = -1},
                                    {sizeof *options, .backend = SAMC_BACKEND_REF, .threads = INT_MAX},
                                    {sizeof *options, .backend = SAMC_BACKEND_REF, .threads = 1, .device = -1}};
    for (size_t i = 0; i < sizeof options / sizeof *options; i++)
        cr_expect_eq(samc_model_open(model_path, &options[i], &other, NULL), SAMC_INVALID_ARGUMENT, "options %zu", i);
    cr_expect_eq(samc_convert(model_path, "/nowhere/x", (samc_storage)9, NULL), SAMC_INVALID_ARGUMENT);

    const samc_image images[] = {{sizeof image, NULL, 4, 4, 12},
                                 {sizeof image, image.pixels, 0, 4, 12},
                                 {sizeof image, image.pixels, 4, 0, 12},
                                 {sizeof image, image.pixels, -1, 4, 12},
                                 {sizeof image, image.pixels, 4, INT_MIN, 12},
                                 {sizeof image, image.pixels, 4, 4, 11},
                                 {sizeof image, image.pixels, 4, 4, -12},
                                 {sizeof image, image.pixels, 4, 4, PTRDIFF_MAX},
                                 {sizeof image, image.pixels, INT_MAX, 1, PTRDIFF_MAX},
                                 {sizeof image, image.pixels, 1, INT_MAX, 3},
                                 {sizeof image, image.pixels, INT_MAX, INT_MAX, PTRDIFF_MAX},
                                 {sizeof image, image.pixels, 1 << 20, 1 << 20, 3 << 20}};
    static float embedding[1 << 20];
    samc_model_info info = SAMC_INIT(samc_model_info);
    samc_model_get_info(model, &info);
    cr_assert((size_t)info.embed_channels * (size_t)info.grid * (size_t)info.grid <=
              sizeof embedding / sizeof *embedding);
    for (size_t i = 0; i < sizeof images / sizeof *images; i++) {
        samc_image two[2] = {image, images[i]};
        REFUSED(session, samc_set_image(session, &images[i]));
        REFUSED(session, samc_set_images(session, two, 2));
        bool fits = images[i].width > 0 && images[i].height > 0 && images[i].width <= 4 && images[i].height <= 4;
        cr_expect_eq(samc_set_embedding(session, embedding, images[i].width, images[i].height),
                     fits ? SAMC_OK : SAMC_INVALID_ARGUMENT);
    }
    REFUSED(session, samc_set_images(session, &image, 0));
    REFUSED(session, samc_set_images(session, &image, -5));
    for (int i = 0; i < 2; i++) {
        embedding[77] = i ? NAN : -INFINITY;
        cr_expect_eq(samc_set_embedding(session, embedding, 4, 4), SAMC_FORMAT);
    }
    embedding[77] = 3e38f; /* finite, and too much for what follows */
    cr_expect_eq(samc_set_embedding(session, embedding, 4, 4), SAMC_OK);
    cr_expect_eq(samc_predict(session, &good, 1, true, &result), SAMC_NUMERIC);
    cr_expect_null(result);
    cr_expect_not_null(strstr(samc_last_error(session), "mask decoder"), "%s", samc_last_error(session));

    cr_assert_eq(samc_set_image(session, &image), SAMC_OK);
    const int indices[] = {-1, 1, INT_MAX, INT_MIN};
    for (size_t i = 0; i < sizeof indices / sizeof *indices; i++) {
        samc_prompt prompt = good;
        prompt.image = indices[i];
        cr_expect_eq(samc_predict(session, &prompt, 1, true, &result), SAMC_NO_IMAGE);
        cr_expect_eq(samc_get_embedding(session, indices[i], embedding), SAMC_NO_IMAGE);
        cr_expect_eq(samc_save_embedding(session, indices[i], "/nowhere/x"), SAMC_NO_IMAGE);
        cr_expect_eq(samc_session_image_size(session, indices[i], NULL, NULL), SAMC_NO_IMAGE);
    }
    REFUSED(session, samc_predict(session, &good, 0, true, &result));
    REFUSED(session, samc_predict(session, &good, INT_MIN, true, &result));
    const float values[] = {NAN, INFINITY, -INFINITY, 3e38f, -1e30f};
    for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
        float point[2] = {values[i], 1}, box[4] = {1, 1, values[i], 9};
        samc_prompt points = good, boxed = {.size = sizeof boxed, .box = box},
                    masked = {.size = sizeof masked, .mask_input = embedding};
        points.points = point;
        embedding[0] = values[i];
        REFUSED(session, samc_predict(session, &points, 1, true, &result));
        REFUSED(session, samc_predict(session, &boxed, 1, true, &result));
        REFUSED(session, samc_predict(session, &masked, 1, true, &result));
    }
    const int32_t labels[] = {-1, 2, INT32_MAX};
    for (size_t i = 0; i < 3; i++) {
        samc_prompt prompt = good;
        prompt.labels = &labels[i];
        REFUSED(session, samc_predict(session, &prompt, 1, true, &result));
    }
    const samc_prompt prompts[] = {{.size = sizeof *prompts},
                                   {sizeof *prompts, .point_count = 1},
                                   {sizeof *prompts, .points = spot, .point_count = 1},
                                   {sizeof *prompts, .labels = &on, .point_count = 1},
                                   {sizeof *prompts, .points = spot, .labels = &on, .point_count = -1},
                                   {sizeof *prompts, .points = spot, .labels = &on, .point_count = INT_MAX}};
    for (size_t i = 0; i < sizeof prompts / sizeof *prompts; i++)
        REFUSED(session, samc_predict(session, &prompts[i], 1, true, &result));
    cr_expect_null(result);

    cr_assert_eq(samc_predict(session, &good, 1, true, &result), SAMC_OK, "%s", samc_last_error(session));
    const int beyond[] = {1, -1, INT_MAX, INT_MIN};
    samc_mask mask = SAMC_INIT(samc_mask);
    for (size_t i = 0; i < 4; i++) {
        cr_expect_eq(samc_result_best(result, beyond[i]), -1);
        REFUSED(session, samc_result_mask(session, result, beyond[i], 0, &mask));
        REFUSED(session, samc_result_mask(session, result, 0, beyond[i] == 1 ? 3 : beyond[i], &mask));
    }
    REFUSED(session, samc_result_mask(session, result, 0, samc_result_best(result, 7), &mask));
    REFUSED(session, samc_result_mask(session, result, 0, 0, NULL));
    mask.size = 0;
    REFUSED(session, samc_result_mask(session, result, 0, 0, &mask));
    samc_result_free(result);
    samc_profile_row rows[2] = {{.size = sizeof *rows}};
    int ran = 0;
    cr_expect_eq(samc_profile_begin(session), SAMC_OK);
    cr_assert_eq(samc_set_image(session, &image), SAMC_OK);
    cr_expect(samc_profile_end(session, rows, -5, &ran) == SAMC_OK && ran > 2);
    cr_expect(samc_measure_peak(0) == 0.0 && samc_measure_peak(INT_MIN) == 0.0);
    cr_expect_gt(samc_measure_peak(INT_MAX), 0.0);
    samc_peaks peaks = {.size = 3};
    cr_expect_eq(samc_measure_peaks(1, &peaks), SAMC_INVALID_ARGUMENT);
    cr_expect_eq(samc_measure_peaks(1, NULL), SAMC_INVALID_ARGUMENT);
    peaks.size = sizeof peaks;
    cr_assert_eq(samc_measure_peaks(1, &peaks), SAMC_OK);
    cr_expect(peaks.f32 > 0.0 && peaks.f32_by[0] != '\0');
    cr_expect(isfinite(peaks.bf16) && (peaks.bf16 > 0.0) == (peaks.bf16_by[0] != '\0'));
    cr_expect(isfinite(peaks.int8) && (peaks.int8 > 0.0) == (peaks.int8_by[0] != '\0'));
    cr_assert_eq(samc_measure_peaks(0, &peaks), SAMC_OK);
    cr_expect(peaks.f32 == 0.0 && peaks.bf16 == 0.0 && peaks.int8 == 0.0);
    samc_session_destroy(session);
    samc_model_close(model);
}

static samc_status ignore(void *context, int image, const samc_mask *masks, int count, const samc_auto_stats *stats) {
    (void)context, (void)image, (void)masks, (void)count, (void)stats;
    return SAMC_OK;
}

Test(hostile, automatic_options) {
    samc_model *model = open_model(SAMC_BACKEND_CPU, 2);
    samc_session *session = open_session(model);
    samc_image image = picture(), none = SAMC_INIT(samc_image);
    samc_auto_options usual = SAMC_INIT(samc_auto_options);
    samc_default_auto_options(model, &usual);
    usual.points_per_side = 2;
    const double wild[] = {NAN, 0.5, 0.5, -1e300}, huge[] = {0.5, INFINITY};
    enum { GRID = sizeof(samc_point_grid) };
    const samc_point_grid grids[] = {{GRID, NULL, 5}, {GRID, wild, -5},    {GRID, wild, 0},
                                     {GRID, wild, 1}, {GRID, wild + 2, 1}, {GRID, huge, 1}};
    enum { OPTIONS = 20 };
    samc_auto_options bad[OPTIONS];
    for (int i = 0; i < OPTIONS; i++) bad[i] = usual;
    bad[0].points_per_side = 0, bad[1].points_per_side = INT_MAX, bad[2].points_per_batch = -1,
    bad[3].points_per_batch = INT_MAX;
    bad[4].crop_n_layers = -1, bad[5].crop_n_layers = INT_MAX, bad[6].crop_overlap_ratio = NAN,
    bad[7].crop_overlap_ratio = 1.0;
    bad[8].crop_n_points_downscale_factor = 0, bad[9].stability_score_offset = INFINITY,
    bad[10].stability_score_offset = -1;
    bad[11].min_mask_region_area = INT_MIN, bad[12].pred_iou_thresh = NAN, bad[13].box_nms_thresh = NAN;
    for (int i = 0; i < 6; i++) bad[14 + i].point_grids = &grids[i];
    for (int i = 0; i < OPTIONS; i++) REFUSED(session, samc_auto(session, &image, 1, &bad[i], ignore, NULL));
    REFUSED(session, samc_auto(session, NULL, 1, &usual, ignore, NULL));
    REFUSED(session, samc_auto(session, &image, 0, &usual, ignore, NULL));
    REFUSED(session, samc_auto(session, &image, -1, &usual, ignore, NULL));
    REFUSED(session, samc_auto(session, &none, 1, &usual, ignore, NULL));
    none = (samc_image){sizeof(samc_image), image.pixels, INT_MAX, INT_MAX, PTRDIFF_MAX};
    REFUSED(session, samc_auto(session, &none, 1, &usual, ignore, NULL));
    usual.stability_score_offset = 1e300, usual.min_mask_region_area = INT_MAX, usual.pred_iou_thresh = 0;
    cr_expect_eq(samc_auto(session, &image, 1, &usual, ignore, NULL), SAMC_OK, "%s", samc_last_error(session));
    samc_session_destroy(session);
    samc_model_close(model);
}

/* What a callback finds when it uses the session that called it. */
typedef struct inside {
    samc_session *session;
    int calls, refused;
} inside;

static samc_status meddle(void *context, int index, const samc_mask *masks, int count, const samc_auto_stats *stats) {
    inside *in = context;
    samc_session *s = in->session;
    samc_image image = picture();
    samc_result *result = (samc_result *)(void *)in;
    samc_mask mask = SAMC_INIT(samc_mask);
    static float embedding[1 << 20];
    (void)index, (void)masks, (void)count, (void)stats;
    const samc_status tried[] = {samc_set_image(s, &image),
                                 samc_set_images(s, &image, 1),
                                 samc_predict(s, &good, 1, true, &result),
                                 samc_auto(s, &image, 1, NULL, ignore, NULL),
                                 samc_get_embedding(s, 0, embedding),
                                 samc_set_embedding(s, embedding, 4, 4),
                                 samc_save_embedding(s, 0, "/nowhere/x"),
                                 samc_load_embedding(s, "/nowhere/x"),
                                 samc_session_image_size(s, 0, NULL, NULL),
                                 samc_result_mask(s, NULL, 0, 0, &mask),
                                 samc_profile_begin(s)};
    for (size_t i = 0; i < sizeof tried / sizeof *tried; i++) in->refused += tried[i] == SAMC_INVALID_ARGUMENT;
    in->refused += strstr(samc_last_error(s), "busy") != NULL;
    samc_memory memory = SAMC_INIT(samc_memory);
    in->refused += samc_profile_end(s, NULL, 0, NULL) == SAMC_INVALID_ARGUMENT;
    in->refused += samc_session_memory(s, &memory) == SAMC_OK && memory.current > 0;
    samc_session_destroy(s);
    in->calls++;
    return SAMC_OK;
}

Test(hostile, a_session_in_its_own_callback_is_busy) {
    samc_model *model = open_model(SAMC_BACKEND_CPU, 2);
    samc_session *session = open_session(model);
    samc_image images[3] = {picture(), picture(), picture()};
    samc_auto_options options = SAMC_INIT(samc_auto_options);
    samc_default_auto_options(model, &options);
    options.points_per_side = 2, options.pred_iou_thresh = options.stability_score_thresh = 0;
    inside in = {.session = session};
    cr_expect_eq(samc_auto(session, images, 3, &options, meddle, &in), SAMC_OK, "%s", samc_last_error(session));
    cr_expect(in.calls == 3 && in.refused == 3 * 14, "%d calls, %d refused", in.calls, in.refused);
    cr_expect_eq(samc_set_image(session, &images[0]), SAMC_OK, "it is free again");
    samc_session_destroy(session);
    samc_model_close(model);
}
