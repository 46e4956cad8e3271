/* The whole engine on the emulated device, through the public interface, on the tiny calibrated model: embeddings,
 * prompts of every kind, masks and automatic masks equal the reference's within the gates; images are encoded while the
 * masks of others are made; the device's memory is what was planned; too little of it means no such thing, or fewer
 * prompts at a time, and the same results; the order of the streams never shows.
 *
 *     engine_test [SEEDS]
 *     engine_test 1 PART           "overlap" or "two devices" alone */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "emu_control.h"
#include "expect.h"
#include "runtime/auto_masks.h"
#include "runtime/cuda.h"
#include "tests/parity/gates.h"

enum { IMAGES = 3, WIDTH = 61, HEIGHT = 43, PROMPTS = 10, MASKS = 3, AUTO_MOST = 160 };
static const char model_path[] = SAMC_TEST_DATA "/golden/tiny.safetensors";

/* Everything that one run yields. */
typedef struct outcome {
    float *embedding, *logits, iou[PROMPTS * MASKS]; /* of the last image; [PROMPTS, MASKS, low, low] */
    size_t embedding_count, logits_count;
    uint8_t mask[WIDTH * HEIGHT];
    samc_mask info;
    int auto_count;
    int64_t auto_area[AUTO_MOST];
    float auto_iou[AUTO_MOST];
    uint64_t works[IMAGES]; /* of the device, at each image's turn in the last samc_auto() */
    samc_memory memory;
    size_t planned;
    samc_model_info model; /* its numbers */
    char note[200];
    int prompts_together, images_together;
} outcome;

static uint8_t pixels[IMAGES][WIDTH * HEIGHT * 3];

static samc_image picture(int index) {
    int width = WIDTH - 7 * index, height = HEIGHT - 3 * index;
    for (int y = 0; y < height; y++)
        for (int x = 0; x < width; x++)
            for (int c = 0; c < 3; c++) {
                int dx = x - 20 - index, dy = y - 20, inside = dx * dx + dy * dy < 150 + 40 * index;
                pixels[index][(y * width + x) * 3 + c] = (uint8_t)(inside ? 220 - 40 * c : 40 + x + 2 * y);
            }
    return (samc_image){sizeof(samc_image), pixels[index], width, height, 3 * width};
}

static samc_status keep_auto(void *context, int image, const samc_mask *masks, int count,
                             const samc_auto_stats *stats) {
    outcome *o = context;
    (void)stats;
    o->works[image] = samc_emu_works();
    for (int i = 0; i < count && o->auto_count < AUTO_MOST; i++, o->auto_count++) {
        o->auto_area[o->auto_count] = masks[i].area;
        o->auto_iou[o->auto_count] = masks[i].predicted_iou;
    }
    return SAMC_OK;
}

/* Points on all images, then boxes, then a mask of the reference's as prompt; `mask_input` [low, low]. */
static void make_prompts(samc_prompt *prompts, float (*points)[2], float (*boxes)[4], int32_t *label,
                         const float *mask_input) {
    *label = 1;
    for (int i = 0; i < PROMPTS; i++) {
        prompts[i] = (samc_prompt){.size = sizeof(samc_prompt), .image = i % 6 / 2};
        points[i][0] = (float)(10 + 4 * i), points[i][1] = (float)(35 - 3 * i);
        boxes[i][0] = (float)(2 + i), boxes[i][1] = 4, boxes[i][2] = (float)(30 + i), boxes[i][3] = 33;
        if (i != 8) prompts[i].points = points[i], prompts[i].labels = label, prompts[i].point_count = 1;
        if (i >= 6) prompts[i].box = boxes[i];
        if (i == 9) prompts[i].mask_input = mask_input;
    }
}

static void run(outcome *o, samc_backend backend, samc_precision precision, const float *mask_input) {
    samc_options options = {
        .size = sizeof(samc_options), .backend = backend, .precision = precision, .threads = 2, .cudnn = true};
    samc_model *model;
    samc_session *session;
    samc_result *result;
    samc_model_info info = SAMC_INIT(samc_model_info);
    samc_error error = {0};
    samc_image images[IMAGES];
    samc_prompt prompts[PROMPTS];
    float points[PROMPTS][2], boxes[PROMPTS][4];
    int32_t label;
    for (int i = 0; i < IMAGES; i++) images[i] = picture(i);
    make_prompts(prompts, points, boxes, &label, mask_input);
    memset(o, 0, sizeof *o);
    if (samc_model_open(model_path, &options, &model, &error) != SAMC_OK ||
        samc_session_create(model, &session, &error) != SAMC_OK) {
        printf("FAILED, %s: %s\n", phase, error.message);
        fflush(stdout);
        _Exit(1);
    }
    samc_model_get_info(model, &info);
    o->model = info;
    o->planned = info.device_bytes;
    o->embedding_count = (size_t)(info.embed_channels * info.grid * info.grid);
    o->logits_count = (size_t)(PROMPTS * MASKS * info.low_res * info.low_res);
    o->embedding = calloc(o->embedding_count, sizeof(float));
    o->logits = malloc(o->logits_count * sizeof(float));
    uint64_t own = samc_emu_ran("conv3x3_any");
    samc_status status =
        samc_set_embedding(session, o->embedding, 8, 8); /* which must not arrive after those of the images */
    if (status == SAMC_OK) status = samc_set_images(session, images, IMAGES);
    if (status == SAMC_OK) status = samc_get_embedding(session, IMAGES - 1, o->embedding);
    if (status == SAMC_OK) status = samc_predict(session, prompts, PROMPTS, true, &result);
    if (status == SAMC_OK) {
        memcpy(o->logits, samc_result_logits(result), o->logits_count * sizeof(float));
        memcpy(o->iou, samc_result_iou(result), sizeof o->iou);
        o->info = SAMC_INIT(samc_mask);
        status = samc_result_mask(session, result, 0, 0, &o->info);
        if (status == SAMC_OK) status = samc_mask_bytes(&o->info, o->mask, &error);
        samc_result_free(result);
    }
    samc_auto_options automatic = SAMC_INIT(samc_auto_options);
    samc_default_auto_options(model, &automatic);
    automatic.points_per_side = 3;
    automatic.pred_iou_thresh = automatic.stability_score_thresh = 0;
    automatic.min_mask_region_area = 20;
    automatic.crop_n_layers = 1;
    o->memory.size = sizeof o->memory;
    samc_session_memory(session, &o->memory);
    o->prompts_together = session->decode_most, o->images_together = session->encode_most;
    if (status == SAMC_OK) status = samc_auto(session, images, 2, &automatic, keep_auto, o);
    automatic.crop_n_layers = 0;
    automatic.points_per_batch =
        4;                    /* several batches of an image, so that what is encoded meanwhile could disturb it */
    session->encode_most = 1; /* of three images the last one's embedding takes the place of the first one's */
    if (status == SAMC_OK) status = samc_auto(session, images, IMAGES, &automatic, keep_auto, o);
    if (status != SAMC_OK) printf("%s\n", samc_last_error(session));
    EXPECT(status == SAMC_OK);
    EXPECT(samc_emu_ran("conv3x3_any") == own); /* cuDNN takes what it is asked for: its refusal would only be slower */
    snprintf(o->note, sizeof o->note, "%s", samc_session_note(session));
    samc_session_destroy(session);
    samc_model_close(model);
}

/* Bytes of a device that has room for such a session beside the weights, and not for the next larger one. */
static uint64_t memory_for(const samc_emu_settings *settings, samc__session_size size) {
    samc_options options = {.size = sizeof options,
                            .backend = SAMC_BACKEND_CUDA,
                            .precision = SAMC_PRECISION_F32,
                            .threads = 1,
                            .cudnn = true};
    samc_model *model;
    samc_model_info info = SAMC_INIT(samc_model_info);
    samc_emu_begin(settings);
    EXPECT(samc_model_open(model_path, &options, &model, NULL) == SAMC_OK);
    samc_model_get_info(model, &info);
    uint64_t planned = samc__cuda_planned_bytes(model, size);
    int width, height;
    samc__everyday_size(&model->net.config, &width, &height);
    samc_model_close(model);
    return (planned + (uint64_t)(3 * width * height * size.images)) * 16 / 15 + info.weight_bytes + 16;
}

static void drop(outcome *o) {
    free(o->embedding);
    free(o->logits);
}

/* Mean squared difference over the reference's variance, and largest difference over its deviation. */
static void compare(const char *what, const float *expected, const float *actual, size_t count, const gates *gates,
                    const samc_model_info *info) {
    const double gate = nmse_gate(gates, info), gate_max = gates->max;
    double sum = 0, squares = 0, errors = 0, largest = 0;
    for (size_t i = 0; i < count; i++) {
        double e = fabs((double)actual[i] - (double)expected[i]);
        sum += (double)expected[i], squares += (double)expected[i] * (double)expected[i], errors += e * e;
        largest = e > largest || isnan(e) ? e : largest;
    }
    double variance = squares / (double)count - sum / (double)count * sum / (double)count,
           nmse = errors / (double)count / variance;
    printf("%-12s %-10s nmse %.1e (at most %.0e), largest %.1e deviations (at most %.0e)\n", phase, what, nmse, gate,
           largest / sqrt(variance), gate_max);
    EXPECT(nmse <= gate && largest / sqrt(variance) <= gate_max);
}

static bool same(const outcome *a, const outcome *b) {
    return memcmp(a->embedding, b->embedding, a->embedding_count * sizeof(float)) == 0 &&
           memcmp(a->logits, b->logits, a->logits_count * sizeof(float)) == 0 &&
           memcmp(a->iou, b->iou, sizeof a->iou) == 0 && memcmp(a->mask, b->mask, sizeof a->mask) == 0 &&
           a->auto_count == b->auto_count && memcmp(a->auto_area, b->auto_area, sizeof a->auto_area) == 0;
}

/* On streams that begin what they may, the second image's points are decoded when the first one's masks are there, so
 * that the device is never out of work, and the third image is encoded; where memory is for one group only, that one is
 * not. */
static void overlaps(samc_emu_settings *settings) {
    samc_options options = {
        .size = sizeof(samc_options), .backend = SAMC_BACKEND_CUDA, .precision = SAMC_PRECISION_F32, .threads = 1};
    samc_image images[IMAGES];
    samc_model *model;
    samc_session *session;
    uint64_t works[3];
    for (int i = 0; i < IMAGES; i++) images[i] = picture(i);
    settings->seed = 1;
    samc_emu_begin(settings);
    EXPECT(samc_model_open(model_path, &options, &model, NULL) == SAMC_OK &&
           samc_session_create(model, &session, NULL) == SAMC_OK);
    samc_auto_options automatic = SAMC_INIT(samc_auto_options);
    samc_default_auto_options(model, &automatic);
    automatic.points_per_side = 1;
    EXPECT(samc_set_image(session, &images[1]) == SAMC_OK); /* and all memory is there */
    uint64_t before = samc_emu_works();
    EXPECT(samc_set_image(session, &images[1]) == SAMC_OK);
    uint64_t encoding = samc_emu_works() - before;
    for (int i = 0; i < 3; i++) { /* one image alone; three; three in turns */
        outcome o = {0};
        if (i == 2) samc__session_one_group(session);
        before = samc_emu_works();
        session->encode_most = 1;
        EXPECT(samc_auto(session, images, i == 0 ? 1 : IMAGES, &automatic, keep_auto, &o) == SAMC_OK);
        works[i] = o.works[0] - before;
    }
    printf("%llu works encode an image; at its turn the first has %llu alone, %llu of three, %llu of three in turns\n",
           (unsigned long long)encoding, (unsigned long long)works[0], (unsigned long long)works[1],
           (unsigned long long)works[2]);
    EXPECT(encoding > 10 && works[2] > works[0] + encoding + 20 && works[1] == works[2] + encoding);
    samc_session_destroy(session);
    samc_model_close(model);
}

/* Where cuDNN, asked for, does not start, refuses or is not installed, samc's own kernel computes the neck, within the
 * same gates: the last image's embedding. */
static void without_cudnn(samc_emu_settings *settings, const outcome *reference, samc_precision precision,
                          const char *kernel, const gates *gates) {
    samc_options options = {.size = sizeof(samc_options),
                            .backend = SAMC_BACKEND_CUDA,
                            .precision = precision,
                            .threads = 1,
                            .cudnn = true};
    samc_image images[2] = {picture(0), picture(IMAGES - 1)};
    samc_model *model;
    samc_session *session;
    float *embedding = calloc(reference->embedding_count, sizeof(float));
    for (settings->cudnn = 1; settings->cudnn <= 3; settings->cudnn++) {
        samc_emu_begin(settings);
        EXPECT(samc_model_open(model_path, &options, &model, NULL) == SAMC_OK &&
               samc_session_create(model, &session, NULL) == SAMC_OK);
        samc_model_info info = SAMC_INIT(samc_model_info);
        samc_model_get_info(model, &info);
        uint64_t before = samc_emu_ran(kernel), cudnn = samc_emu_ran("cudnnConvolutionForward");
        for (int i = 0; i < 2; i++) EXPECT(samc_set_image(session, &images[i]) == SAMC_OK);
        EXPECT(samc_get_embedding(session, 0, embedding) == SAMC_OK && samc_last_error(session)[0] == '\0');
        EXPECT(samc_emu_ran(kernel) == before + 2 && samc_emu_ran("cudnnConvolutionForward") == cudnn);
        compare("embedding", reference->embedding, embedding, reference->embedding_count, gates, &info);
        samc_session_destroy(session);
        samc_model_close(model);
    }
    settings->cudnn = 0;
    free(embedding);
}

/* Two GPUs, a model and a session on each, called in turns from one thread: every call finds its own device, and they
 * agree. */
static void two_devices(samc_emu_settings *settings) {
    samc_options options = {
        .size = sizeof(samc_options), .backend = SAMC_BACKEND_CUDA, .precision = SAMC_PRECISION_F32, .threads = 1};
    samc_image images[2] = {picture(0), picture(1)};
    samc_model *model[2];
    samc_session *session[2];
    samc_result *result[2];
    samc_error error;
    const float point[2] = {20, 20};
    const int32_t label = 1;
    samc_prompt prompt = {.size = sizeof(samc_prompt), .points = point, .labels = &label, .point_count = 1};
    static outcome found[2];
    static float embedding[2][1 << 16];
    settings->devices = 2;
    samc_emu_begin(settings);
    for (int d = 0; d < 2; d++) {
        options.device = d;
        EXPECT(samc_model_open(model_path, &options, &model[d], NULL) == SAMC_OK);
    }
    options.device = 2;
    samc_model *none = NULL;
    EXPECT(samc_model_open(model_path, &options, &none, &error) == SAMC_NO_DEVICE &&
           strstr(error.message, "device 2") != NULL);
    for (int d = 0; d < 2; d++) EXPECT(samc_session_create(model[d], &session[d], NULL) == SAMC_OK);
    for (int d = 0; d < 2; d++) EXPECT(samc_set_embedding(session[d], embedding[d], 8, 8) == SAMC_OK);
    for (int d = 0; d < 2; d++) EXPECT(samc_set_image(session[d], images) == SAMC_OK);
    for (int d = 0; d < 2; d++) EXPECT(samc_get_embedding(session[d], 0, embedding[d]) == SAMC_OK);
    for (int d = 0; d < 2; d++) EXPECT(samc_predict(session[d], &prompt, 1, true, &result[d]) == SAMC_OK);
    for (int d = 0; d < 2; d++) {
        found[d].info = SAMC_INIT(samc_mask);
        EXPECT(samc_result_mask(session[d], result[d], 0, 0, &found[d].info) == SAMC_OK &&
               samc_mask_bytes(&found[d].info, found[d].mask, NULL) == SAMC_OK);
    }
    samc_auto_options automatic = SAMC_INIT(samc_auto_options);
    samc_default_auto_options(model[0], &automatic);
    automatic.points_per_side = 2;
    automatic.pred_iou_thresh = automatic.stability_score_thresh = 0;
    for (int d = 0; d < 2; d++) EXPECT(samc_auto(session[d], images, 2, &automatic, keep_auto, &found[d]) == SAMC_OK);
    EXPECT(memcmp(embedding[0], embedding[1], sizeof embedding[0]) == 0 &&
           memcmp(found[0].mask, found[1].mask, sizeof found[0].mask) == 0);
    EXPECT(found[0].auto_count > 0 && found[0].auto_count == found[1].auto_count &&
           memcmp(found[0].auto_area, found[1].auto_area, sizeof found[0].auto_area) == 0);
    for (int d = 0; d < 2; d++) samc_result_free(result[d]);
    for (int d = 0; d < 2; d++) samc_session_destroy(session[d]);
    for (int d = 0; d < 2; d++) samc_model_close(model[d]);
    settings->devices = 1;
}

/* Many prompts go together, as many as the memory holds that was planned: one batch, several or one by one give the
 * same bytes, and prompts of many points do not make the session larger. */
static void many_prompts(void) {
    enum { MANY = 130 };
    samc_options options = {
        .size = sizeof(samc_options), .backend = SAMC_BACKEND_CUDA, .precision = SAMC_PRECISION_F32, .threads = 1};
    samc_image image = picture(0);
    samc_model *model;
    samc_session *session;
    samc_model_info info = SAMC_INIT(samc_model_info);
    static samc_prompt prompts[MANY];
    static float points[MANY][2];
    const int32_t label = 1;
    EXPECT(samc_model_open(model_path, &options, &model, NULL) == SAMC_OK &&
           samc_session_create(model, &session, NULL) == SAMC_OK && samc_set_image(session, &image) == SAMC_OK);
    samc_model_get_info(model, &info);
    for (int i = 0; i < MANY; i++) points[i][0] = (float)(i % 41), points[i][1] = (float)(i % 37);
    for (int i = 0; i < MANY; i++)
        prompts[i] = (samc_prompt){.size = sizeof *prompts, .points = points[i], .labels = &label, .point_count = 1};
    const int together[] = {session->decode_most, 64};
    samc_memory before = SAMC_INIT(samc_memory), after = SAMC_INIT(samc_memory);
    samc_session_memory(session, &before);
    samc_result *first = NULL, *result;
    for (int i = 0; i < 2; i++) {
        uint64_t batches = samc_emu_ran("embed_prompts");
        session->decode_most = together[i];
        EXPECT(samc_predict(session, prompts, MANY, true, &result) == SAMC_OK);
        batches = samc_emu_ran("embed_prompts") - batches;
        printf("%d prompts, %d at most together: %d batches\n", MANY, together[i], (int)batches);
        EXPECT((int)batches == (MANY + together[i] - 1) / together[i]);
        if (first == NULL) first = result;
        size_t logits = (size_t)(MANY * MASKS * info.low_res * info.low_res) * sizeof(float);
        EXPECT(memcmp(samc_result_logits(first), samc_result_logits(result), logits) == 0 &&
               memcmp(samc_result_iou(first), samc_result_iou(result), MANY * MASKS * sizeof(float)) == 0);
        if (result != first) samc_result_free(result);
    }
    samc_result_free(first);
    samc_session_memory(session, &after);
    EXPECT(after.device_peak == before.device_peak);

    int least = together[0];
    for (int n = 1; n <= 4096; n *= 8) {
        int most = samc__cuda_session_prompts(session->cuda, model, together[0], 1, n + 1, false, 1);
        printf("of %d points: %d together\n", n, most);
        EXPECT(n > 1 ? most <= least && most >= 64 : most == together[0]);
        least = most;
    }
    EXPECT(least == 64);
    samc_session_destroy(session);
    samc_model_close(model);
}

/* Embeddings that another session made come to the device by turns: the same bytes as of images that were set. */
static void embeddings(void) {
    enum { ASKED = 4 };
    static const int on[ASKED] = {1, 0, 0, 1};
    samc_options options = {
        .size = sizeof(samc_options), .backend = SAMC_BACKEND_CUDA, .precision = SAMC_PRECISION_BF16, .threads = 1};
    samc_image images[2] = {picture(0), picture(1)};
    samc_model *model;
    samc_session *maker, *session;
    samc_embedding *embedding[2];
    samc_result *expected, *result;
    samc_model_info info = SAMC_INIT(samc_model_info);
    samc_prompt prompts[ASKED];
    float points[ASKED][2];
    const int32_t label = 1;
    EXPECT(samc_model_open(model_path, &options, &model, NULL) == SAMC_OK &&
           samc_session_create(model, &maker, NULL) == SAMC_OK &&
           samc_session_create(model, &session, NULL) == SAMC_OK);
    samc_model_get_info(model, &info);
    float *mask = calloc((size_t)(info.low_res * info.low_res), sizeof *mask);
    for (int i = 0; i < ASKED; i++) {
        points[i][0] = (float)(9 + 8 * i), points[i][1] = (float)(30 - 5 * i);
        prompts[i] = (samc_prompt){.size = sizeof *prompts, .points = points[i], .labels = &label, .point_count = 1};
        prompts[i].image = on[i];
        prompts[i].mask_input = i == 2 ? mask : NULL;
    }
    EXPECT(samc_set_images(maker, images, 2) == SAMC_OK && samc_embedding_of(maker, 0, &embedding[0]) == SAMC_OK &&
           samc_embedding_of(maker, 1, &embedding[1]) == SAMC_OK &&
           samc_predict(maker, prompts, ASKED, true, &expected) == SAMC_OK);
    samc_session_destroy(maker);
    const size_t logits = (size_t)(ASKED * MASKS * info.low_res * info.low_res) * sizeof(float);
    for (int turn = 0; turn < 2; turn++) {
        EXPECT(samc_predict_on(session, embedding, 2, prompts, ASKED, true, &result) == SAMC_OK);
        EXPECT(memcmp(samc_result_logits(expected), samc_result_logits(result), logits) == 0);
        samc_result_free(result);
    }
    prompts[0].image = 0;
    EXPECT(samc_embedding_set(session, embedding[1]) == SAMC_OK &&
           samc_predict(session, prompts, 1, true, &result) == SAMC_OK &&
           memcmp(samc_result_logits(expected), samc_result_logits(result), logits / ASKED) == 0);
    samc_result_free(result);
    samc_result_free(expected);
    for (int i = 0; i < 2; i++) samc_embedding_release(embedding[i]);
    samc_session_destroy(session);
    samc_model_close(model);
    free(mask);
}

int main(int argc, char **argv) {
    uint64_t seeds = argc > 1 ? strtoull(argv[1], NULL, 10) : 4;
    static outcome reference, f32, other, low;
    samc_emu_settings settings = {.memory = (uint64_t)2 << 30};
    float *mask_input = calloc(36 * 36, sizeof *mask_input);
    for (int i = 0; i < 36 * 36; i++) mask_input[i] = (float)(i % 36 - 18) / 3.0f;

    if (argc > 2) {
        phase = argv[2];
        if (strcmp(phase, "overlap") == 0) overlaps(&settings);
        else if (strcmp(phase, "two devices") == 0) two_devices(&settings);
        else EXPECT(!"a part of this test");
        return 0;
    }

    phase = "reference";
    run(&reference, SAMC_BACKEND_REF, SAMC_PRECISION_F32, mask_input);

    phase = "f32"; /* the gates of tests/parity: ten times what the order of sums explains */
    samc_emu_begin(&settings);
    run(&f32, SAMC_BACKEND_CUDA, SAMC_PRECISION_F32, mask_input);
    compare("embedding", reference.embedding, f32.embedding, f32.embedding_count, gates_named("f32"), &f32.model);
    compare("logits", reference.logits, f32.logits, f32.logits_count, gates_named("f32"), &f32.model);
    compare("iou", reference.iou, f32.iou, PROMPTS * MASKS, gates_named("f32"), &f32.model);
    EXPECT(memcmp(reference.mask, f32.mask, sizeof f32.mask) == 0 &&
           memcmp(&reference.info.bbox, &f32.info.bbox, sizeof f32.info.bbox) == 0);
    printf("automatic masks: %d, reference %d\n", f32.auto_count, reference.auto_count);
    EXPECT(f32.auto_count == reference.auto_count && reference.auto_count > 0);
    int64_t moved = 0;
    for (int i = 0; i < f32.auto_count; i++) moved += llabs(f32.auto_area[i] - reference.auto_area[i]);
    EXPECT(moved <= 2); /* pixels whose logit fp32 itself leaves at the threshold */
    /* Beside the plan: a buffer for each of the images. */
    printf("device memory: planned %zu, peak %zu bytes\n", f32.planned, f32.memory.device_peak);
    size_t all_images = 0;
    for (int i = 0; i < IMAGES; i++) all_images += 3 * (size_t)((WIDTH - 7 * i) * (HEIGHT - 3 * i));
    EXPECT(f32.planned > 0 && f32.memory.device_peak == f32.planned + all_images);
    EXPECT(f32.note[0] == '\0');

    phase = "streams";
    for (uint64_t i = 1; i < seeds; i++) {
        /* All prompt; images prompt and prompts late; the other way round; then what the seed says. */
        enum {
            UPLOAD = 2,
            DOWNLOAD = 4,
            ENCODE = 8,
            DECODE = 16
        }; /* in the order of their making, after the weights' */
        settings.seed = i;
        settings.prompt = i == 2 ? UPLOAD | ENCODE : i == 3 ? DECODE | DOWNLOAD : 0;
        samc_emu_begin(&settings);
        run(&other, SAMC_BACKEND_CUDA, SAMC_PRECISION_F32, mask_input);
        EXPECT(same(&f32, &other));
        drop(&other);
    }
    settings.prompt = 0;
    phase = "overlap";
    overlaps(&settings);
    settings.seed = 0;

    phase = "less memory";
    const samc__session_size sizes[3] = {{512, 2, 8}, {256, 2, 2}, {8, 1, 1}};
    const uint64_t memory[3] = {settings.memory, memory_for(&settings, sizes[1]), memory_for(&settings, sizes[2])};
    for (int i = 0; i < 3;
         i++) { /* an allocation that fails after all; less memory, and so little that prompts give way */
        settings.refuse = i == 0 ? 2 : 0; /* the first after the weights' */
        settings.memory = memory[i];
        samc_emu_begin(&settings);
        run(&other, SAMC_BACKEND_CUDA, SAMC_PRECISION_F32, mask_input);
        printf("%llu bytes of memory, %d prompts, %d images together, peak %zu, note: %s\n",
               (unsigned long long)settings.memory, other.prompts_together, other.images_together,
               other.memory.device_peak, other.note);
        EXPECT(same(&f32, &other) && other.memory.device_peak < f32.memory.device_peak);
        EXPECT(other.prompts_together == sizes[i].prompts && other.images_together == sizes[i].images);
        EXPECT(i < 2 ? other.note[0] == '\0' : strstr(other.note, "at a time") != NULL);
        drop(&other);
    }
    settings.memory = (uint64_t)2 << 30;

    phase = "many prompts";
    samc_emu_begin(&settings);
    many_prompts();
    phase = "embeddings";
    embeddings();

    phase = "two devices";
    two_devices(&settings);

    phase = "no cuDNN";
    /* In 16 bits products meet on tensor cores, of which either kind has its turn (parity_emu has all); the gates and
     * where they come from are in gates.h. */
    const gates *f16 = gates_named("f16"), *bf16 = gates_named("bf16");
    without_cudnn(&settings, &reference, SAMC_PRECISION_F32, "conv3x3_any", gates_named("f32"));
    samc_emu_accumulate("sm80");
    without_cudnn(&settings, &reference, SAMC_PRECISION_BF16, "conv3x3_tiles", bf16);
    const struct {
        const gates *gate;
        const char *phase, *core;
    } lows[] = {{f16, "f16 sm80", "sm80"}, {bf16, "bf16 sm90", "sm90"}};
    for (size_t i = 0; i < sizeof lows / sizeof *lows; i++) {
        phase = lows[i].phase;
        samc_emu_accumulate(lows[i].core);
        samc_emu_begin(&settings);
        run(&low, SAMC_BACKEND_CUDA, lows[i].gate->precision, mask_input);
        compare("embedding", reference.embedding, low.embedding, low.embedding_count, lows[i].gate, &low.model);
        compare("logits", reference.logits, low.logits, low.logits_count, lows[i].gate, &low.model);
        compare("iou", reference.iou, low.iou, PROMPTS * MASKS, lows[i].gate, &low.model);
        drop(&low);
    }
    drop(&reference);
    drop(&f32);
    free(mask_input);
    printf("engine_test: passed\n");
    return 0;
}
