/* What a machine may have or lack, on the emulated device: cuBLASLt that computes, refuses or is absent; a driver that
 * is too old; a GPU that no code of the build fits; a device that fails between two calls. And that cuBLASLt's bytes do
 * not hang on what is computed together: its twin recommends other algorithms, with other sums, for few rows than for
 * many. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "emu_control.h"
#include "expect.h"
#include "kernels/cuda/code.h"
#include "runtime/session.h"

enum { IMAGES = 8, DECODED = 2, SIDE = 40, POINTS = 8, MASKS = 3 };
static const char model_path[] = SAMC_TEST_DATA "/golden/tiny.safetensors";

static uint8_t pixels[IMAGES][SIDE * SIDE * 3];

static void draw(samc_image *images) {
    for (int i = 0; i < IMAGES; i++) {
        for (int p = 0; p < SIDE * SIDE * 3; p++)
            pixels[i][p] = (uint8_t)((p / 3 % SIDE) * (3 + i) + (p / 3 / SIDE) * (7 - i) + 60 * (p % 3));
        images[i] = (samc_image){sizeof(samc_image), pixels[i], SIDE, SIDE - i, 3 * SIDE};
    }
}

typedef struct outcome {
    float *embedding, *logits;            /* [IMAGES, C, g, g]; of the last images [DECODED, POINTS, MASKS, low, low] */
    size_t embedding_count, logits_count; /* of one image; of all */
} outcome;

/* Encodes `together` images at a time and decodes POINTS points on each of the last, `prompts` at a time. */
static void run(outcome *o, samc_precision precision, int together, int prompts) {
    samc_options options = {
        .size = sizeof(samc_options), .backend = SAMC_BACKEND_CUDA, .precision = precision, .threads = 1};
    samc_image images[IMAGES];
    samc_model *model;
    samc_session *session;
    samc_model_info info = SAMC_INIT(samc_model_info);
    draw(images);
    EXPECT(samc_model_open(model_path, &options, &model, NULL) == SAMC_OK &&
           samc_session_create(model, &session, NULL) == SAMC_OK);
    samc_model_get_info(model, &info);
    session->encode_most = together;
    EXPECT(samc_set_images(session, images, IMAGES) == SAMC_OK);
    size_t low = (size_t)(info.low_res * info.low_res);
    o->embedding_count = (size_t)(info.embed_channels * info.grid * info.grid);
    o->logits_count = DECODED * POINTS * MASKS * low;
    o->embedding = calloc(IMAGES * o->embedding_count, sizeof(float));
    o->logits = calloc(o->logits_count, sizeof(float));
    for (int i = 0; i < IMAGES; i++)
        EXPECT(samc_get_embedding(session, i, o->embedding + (size_t)i * o->embedding_count) == SAMC_OK);
    for (int i = 0; i < DECODED; i++)
        for (int first = 0; first < POINTS; first += prompts) {
            samc_prompt prompt[POINTS];
            float point[POINTS][2];
            const int32_t label = 1;
            samc_result *result;
            for (int j = 0; j < prompts; j++) {
                point[j][0] = (float)(first + j) * 4.0f, point[j][1] = (float)(3 * (POINTS - first - j));
                prompt[j] = (samc_prompt){.size = sizeof(samc_prompt),
                                          .image = IMAGES - DECODED + i,
                                          .points = point[j],
                                          .labels = &label,
                                          .point_count = 1};
            }
            EXPECT(samc_predict(session, prompt, prompts, true, &result) == SAMC_OK);
            memcpy(o->logits + ((size_t)i * POINTS + (size_t)first) * MASKS * low, samc_result_logits(result),
                   (size_t)prompts * MASKS * low * sizeof(float));
            samc_result_free(result);
        }
    samc_session_destroy(session);
    samc_model_close(model);
}

static void drop(outcome *o) {
    free(o->embedding);
    free(o->logits);
}

static bool same(const outcome *a, const outcome *b) {
    return memcmp(a->embedding, b->embedding, IMAGES * a->embedding_count * sizeof(float)) == 0 &&
           memcmp(a->logits, b->logits, a->logits_count * sizeof(float)) == 0;
}

/* Normalised mean squared error of all logits. */
static double distance(const outcome *a, const outcome *b) {
    double error = 0, size = 0;
    for (size_t i = 0; i < a->logits_count; i++)
        error += pow((double)a->logits[i] - b->logits[i], 2), size += pow((double)a->logits[i], 2);
    return error / size;
}

/* 1, 2 or 8 images together, 1 or 8 prompts: the same bytes, though m is 64 to 512 rows in the encoder. */
static void batches(samc_emu_settings *settings, samc_precision precision) {
    outcome first, other;
    uint64_t before = samc_emu_ran("cublasLtMatmul");
    samc_emu_begin(settings);
    run(&first, precision, 8, POINTS);
    EXPECT(samc_emu_ran("cublasLtMatmul") > before); /* or this proves nothing */
    for (int i = 0; i < 2; i++) {
        samc_emu_begin(settings);
        run(&other, precision, i + 1, i == 0 ? 1 : 4);
        EXPECT(same(&first, &other));
        drop(&other);
    }
    drop(&first);
    EXPECT(samc_emu_ran("cublasLtMatmul, k split") == 0);
}

/* Without cuBLASLt, in whatever way, samc's own kernels compute all: the same bytes in each of these, within the gate
 * of its results. */
static void lacking(samc_emu_settings *settings, samc_precision precision, double gate) {
    outcome with, own = {0}, other;
    settings->cublaslt = 0;
    samc_emu_begin(settings);
    run(&with, precision, 2, 8);
    static const uint64_t ways[] = {4, 1, 2};
    for (int i = 0; i < 3; i++) {
        settings->cublaslt = ways[i];
        uint64_t before = samc_emu_ran("cublasLtMatmul");
        samc_emu_begin(settings);
        run(i == 0 ? &own : &other, precision, 2, 8);
        EXPECT(samc_emu_ran("cublasLtMatmul") == before);
        if (i == 0) continue;
        EXPECT(same(&own, &other));
        drop(&other);
    }
    printf("own kernels against cuBLASLt's twin, precision %d: NMSE %.2g, gate %.2g\n", (int)precision,
           distance(&with, &own), gate);
    EXPECT(distance(&with, &own) <= gate && distance(&with, &own) > 0);
    settings->cublaslt =
        3; /* the first algorithm is refused when it runs: the next one computes, from then on and for all batches */
    samc_emu_begin(settings);
    uint64_t before = samc_emu_ran("cublasLtMatmul");
    run(&other, precision, 2, 8);
    EXPECT(samc_emu_ran("cublasLtMatmul") > before && distance(&with, &other) <= gate);
    drop(&other);
    settings->cublaslt = 0;
    drop(&with);
    drop(&own);
}

static samc_status opens(samc_emu_settings *settings, samc_backend backend, samc_error *error, char *note,
                         size_t size) {
    samc_options options = {.size = sizeof(samc_options), .backend = backend, .threads = 1};
    samc_model *model = NULL;
    samc_model_info info = SAMC_INIT(samc_model_info);
    samc_emu_begin(settings);
    samc_status status = samc_model_open(model_path, &options, &model, error);
    if (status == SAMC_OK) {
        samc_model_get_info(model, &info);
        snprintf(note, size, "%s", info.backend_note);
    }
    samc_model_close(model);
    return status;
}

static void refusals(samc_emu_settings *settings) {
    samc_error error;
    char note[600];
    phase = "an old driver";
    settings->driver = 12040;
    EXPECT(opens(settings, SAMC_BACKEND_CUDA, &error, note, sizeof note) == SAMC_NO_DEVICE);
    EXPECT(strstr(error.message, "12.4") != NULL && strstr(error.message, "13.0") != NULL &&
           strchr(error.message, '\n') == NULL);
    EXPECT(opens(settings, SAMC_BACKEND_AUTO, &error, note, sizeof note) == SAMC_OK && strstr(note, "12.4") != NULL &&
           strstr(note, "using the CPU") != NULL);
    settings->driver = 0;

    phase = "a GPU without code"; /* this build has 80-real and 90a-real */
    settings->capability = 120;
    EXPECT(opens(settings, SAMC_BACKEND_CUDA, &error, note, sizeof note) == SAMC_UNSUPPORTED);
    EXPECT(strstr(error.message, "12.0") != NULL && strstr(error.message, "90a-real") != NULL);
    EXPECT(opens(settings, SAMC_BACKEND_AUTO, &error, note, sizeof note) == SAMC_OK &&
           strstr(note, "using the CPU") != NULL);
    settings->capability = 86;
    EXPECT(opens(settings, SAMC_BACKEND_CUDA, &error, note, sizeof note) == SAMC_OK && note[0] == '\0');
    settings->capability = 0;

    phase = "no cuBLASLt";
    settings->cublaslt = 4;
    EXPECT(opens(settings, SAMC_BACKEND_CUDA, &error, note, sizeof note) == SAMC_OK &&
           strstr(note, "own kernels") != NULL);
    settings->cublaslt = 0;
}

/* A fault of one image's kernels shows at the first call of the next: the device is lost, and no operator is blamed. */
static void lost_between_calls(samc_emu_settings *settings) {
    phase = "a device lost between two calls";
    samc_options options = {
        .size = sizeof(samc_options), .backend = SAMC_BACKEND_CUDA, .precision = SAMC_PRECISION_F32, .threads = 1};
    samc_image images[IMAGES];
    samc_model *model;
    samc_session *session;
    draw(images);
    settings->seed = 1; /* prompt streams: the fault has happened when the call returns */
    samc_emu_begin(settings);
    EXPECT(samc_model_open(model_path, &options, &model, NULL) == SAMC_OK &&
           samc_session_create(model, &session, NULL) == SAMC_OK);
    EXPECT(samc_set_image(session, &images[0]) == SAMC_OK);
    uint64_t works = samc_emu_works();
    samc_session_destroy(session);
    samc_model_close(model);

    settings->lose = works - 1;
    samc_emu_begin(settings);
    EXPECT(samc_model_open(model_path, &options, &model, NULL) == SAMC_OK &&
           samc_session_create(model, &session, NULL) == SAMC_OK);
    samc_status status = samc_set_image(session, &images[0]);
    if (status == SAMC_OK) status = samc_set_image(session, &images[1]);
    printf("lost: %s\n", samc_last_error(session));
    EXPECT(status == SAMC_NO_DEVICE && strstr(samc_last_error(session), "operator") == NULL &&
           strstr(samc_last_error(session), "GPU failed") != NULL);
    samc_session_destroy(session);
    samc_model_close(model);
    settings->lose = settings->seed = 0;
}

int main(void) {
    samc_emu_settings settings = {.memory = (uint64_t)2 << 30};
    phase = "code";
    EXPECT(samc__cuda_code_fits("80-real 90a-real", 80) && samc__cuda_code_fits("80-real 90a-real", 89) &&
           samc__cuda_code_fits("80-real 90a-real", 90));
    EXPECT(!samc__cuda_code_fits("80-real 90a-real", 100) && !samc__cuda_code_fits("80-real 90a-real", 75) &&
           !samc__cuda_code_fits("", 80));
    EXPECT(samc__cuda_code_fits("90-virtual", 120) && !samc__cuda_code_fits("90-virtual", 89) &&
           !samc__cuda_code_fits("86-real", 80));
    EXPECT(samc__cuda_code_fits("80", 86) && samc__cuda_code_fits("80", 120) && !samc__cuda_code_fits("90a", 91) &&
           samc__cuda_code_fits("100f-real", 103));
    phase = "batches, f32";
    batches(&settings, SAMC_PRECISION_F32);
    phase = "batches, bf16";
    batches(&settings, SAMC_PRECISION_BF16);
    phase = "without cuBLASLt, f32"; /* sums of at most 256 products in other orders: the gate of tests/parity */
    lacking(&settings, SAMC_PRECISION_F32, 1e-10);
    phase =
        "without cuBLASLt, bf16"; /* each within 1e-3 of f32 (engine_test), so within four times that of each other */
    lacking(&settings, SAMC_PRECISION_BF16, 4e-3);
    refusals(&settings);
    lost_between_calls(&settings);
    printf("machine_test: passed\n");
    return 0;
}
