/* Two sessions of one model on two threads, each with its own pool, give the same bits as one alone. Built with the
 * thread sanitizer it also proves that they share nothing that is written. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/samc.h"

enum { WIDTH = 70, HEIGHT = 50, ROUNDS = 3 };

typedef struct job {
    const samc_model *model;
    int seed;
    float *logits; /* of the last round */
    size_t floats;
    const char *failure;
} job;

static void *run(void *argument) {
    job *j = argument;
    samc_session *session = NULL;
    samc_error error;
    uint8_t *pixels = malloc(WIDTH * HEIGHT * 3), *mask = malloc(WIDTH * HEIGHT);
    samc_image image = {sizeof(samc_image), pixels, WIDTH, HEIGHT, WIDTH * 3};
    float point[2] = {(float)(20 + j->seed), 15};
    int32_t label = 1;
    samc_prompt prompt = {.size = sizeof(samc_prompt), .points = point, .labels = &label, .point_count = 1};
    j->failure = NULL;
    if (!pixels || !mask || samc_session_create(j->model, &session, &error) != SAMC_OK) j->failure = "no session";
    for (int i = 0; !j->failure && i < WIDTH * HEIGHT * 3; i++) pixels[i] = (uint8_t)(i * (31 + j->seed));
    for (int round = 0; !j->failure && round < ROUNDS; round++) {
        samc_result *result = NULL;
        samc_mask found = SAMC_INIT(samc_mask);
        if (samc_set_image(session, &image) != SAMC_OK || samc_predict(session, &prompt, 1, true, &result) != SAMC_OK ||
            samc_result_mask(session, result, 0, 0, &found) != SAMC_OK ||
            samc_mask_bytes(&found, mask, &error) != SAMC_OK)
            j->failure = "prediction failed";
        else memcpy(j->logits, samc_result_logits(result), j->floats * sizeof(float));
        samc_result_free(result);
    }
    samc_session_destroy(session);
    free(mask);
    free(pixels);
    return NULL;
}

int main(void) {
    static const struct {
        const char *name;
        samc_backend backend;
        samc_precision precision;
    } tables[] = {{"ref", SAMC_BACKEND_REF, SAMC_PRECISION_F32},
                  {"cpu", SAMC_BACKEND_CPU, SAMC_PRECISION_F32},
                  {"cpu in bf16", SAMC_BACKEND_CPU, SAMC_PRECISION_BF16}};
    int bad = 0;
    for (int b = 0; b < 3; b++) {
        samc_options options = {
            .size = sizeof(samc_options), .backend = tables[b].backend, .precision = tables[b].precision, .threads = 2};
        samc_model *model = NULL;
        samc_model_info info = SAMC_INIT(samc_model_info);
        samc_error error;
        if (samc_model_open(SAMC_TEST_DATA "/golden/tiny.safetensors", &options, &model, &error) != SAMC_OK) {
            printf("%s\n", error.message);
            return 1;
        }
        samc_model_get_info(model, &info);
        size_t floats = (size_t)info.multimask_outputs * (size_t)info.low_res * (size_t)info.low_res;
        job alone[2], together[2];
        pthread_t threads[2];
        for (int i = 0; i < 2; i++) {
            alone[i] = (job){model, i, malloc(floats * sizeof(float)), floats, NULL};
            together[i] = (job){model, i, malloc(floats * sizeof(float)), floats, NULL};
            run(&alone[i]);
        }
        for (int i = 0; i < 2; i++)
            if (pthread_create(&threads[i], NULL, run, &together[i]) != 0) return 1;
        for (int i = 0; i < 2; i++) pthread_join(threads[i], NULL);
        for (int i = 0; i < 2; i++) {
            bool same = !alone[i].failure && !together[i].failure &&
                        memcmp(alone[i].logits, together[i].logits, floats * sizeof(float)) == 0;
            printf("%s session %d: %s\n", tables[b].name, i,
                   same                  ? "same bits"
                   : together[i].failure ? together[i].failure
                                         : "differs");
            bad += !same;
            free(alone[i].logits);
            free(together[i].logits);
        }
        samc_model_close(model);
    }
    return bad != 0;
}
