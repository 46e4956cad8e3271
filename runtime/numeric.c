/* Who is at fault when a result is not finite: the model's file, the model on any image, or this image.
 *
 * Nothing here runs as long as results are finite, but for one pass over each embedding on a host. */
#include "runtime/numeric.h"

#include "kernels/place.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool samc__numeric_spoilt(const float *values, int64_t count) {
    float zero = 0.0f; /* these alone times 0 are not 0 */
#pragma omp simd reduction(+ : zero)
    for (int64_t i = 0; i < count; i++) zero += values[i] * 0.0f;
    return zero != 0.0f;
}

bool samc__numeric_any_spoilt(samc__dtype type, const void *values, int64_t count) {
    const uint16_t *halves = values;
    const uint16_t exponent = type == SAMC__F16 ? 0x7c00 : 0x7f80; /* all ones: NaN or infinite */
    int found = 0;
    if (type == SAMC__F32) return samc__numeric_spoilt(values, count);
    for (int64_t i = 0; i < count; i++) found |= (halves[i] & exponent) == exponent;
    return found;
}

samc_status samc__numeric_embeddings(samc_session *s, int first, int count) {
    for (int i = first; i < first + count; i++) {
        const samc__features features = samc__session_features(s, i, 1);
        for (int level = 0; level < SAMC__MOST_LEVELS && features.level[level].data != NULL; level++)
            if (samc__numeric_any_spoilt(s->model->net.precision, features.level[level].data,
                                         samc__elements(features.level[level])))
                return samc__numeric_fail(s, i, "embedding");
    }
    return SAMC_OK;
}

/* Whether a level of an image is not finite; where it cannot be read, it is not known to be. */
static bool level_spoilt(samc_session *s, const samc__view *level) {
    const int64_t count = samc__elements(*level);
    const void *own = samc__read(&s->exec, level->data, (size_t)count * samc__dtype_size(level->dtype));
    bool spoilt = false;
    for (int64_t i = 0; own != NULL && i < count && !spoilt; i++)
        spoilt = !isfinite(samc__load_element(level->dtype, own, i));
    if (own != NULL) samc__read_end(&s->exec, level->data, own);
    return spoilt;
}

static bool embedding_spoilt(samc_session *s, int image) {
    const samc_error before = s->error;
    bool spoilt = false;
    if (image < 0 || image >= s->image_count) return false;
    const samc__features features = samc__session_features(s, image, 1);
    for (int level = 0; level < SAMC__MOST_LEVELS && features.level[level].data != NULL && !spoilt; level++)
        spoilt = level_spoilt(s, &features.level[level]);
    s->error = before;
    return spoilt;
}

/* Whether a plain grey image fails too, on a session of its own. */
static bool grey_fails(const samc_model *model) {
    enum { SIDE = 64 };
    samc_session *session;
    samc_result *result = NULL;
    uint8_t *pixels = malloc(3 * SIDE * SIDE);
    if (pixels == NULL || samc_session_create(model, &session, NULL) != SAMC_OK) {
        free(pixels);
        return false;
    }
    memset(pixels, 127, 3 * SIDE * SIDE);
    session->probing = true;
    float point[2] = {SIDE / 2, SIDE / 2}, box[4] = {SIDE / 4, SIDE / 4, 3 * SIDE / 4, 3 * SIDE / 4};
    int32_t label = 1;
    samc_prompt prompt = {.size = sizeof prompt, .points = point, .labels = &label, .point_count = 1};
    if (model->net.config.recipe.asked == SAMC__ASKED_BOX) prompt = (samc_prompt){.size = sizeof prompt, .box = box};
    samc_mask mask = SAMC_INIT(samc_mask);
    samc_status status = samc_set_image(session, &(samc_image){sizeof(samc_image), pixels, SIDE, SIDE, 3 * SIDE});
    if (status == SAMC_OK) status = samc_predict(session, &prompt, 1, true, &result);
    for (int i = 0; status == SAMC_OK && i < samc_result_masks(result); i++)
        status = samc_result_mask(session, result, 0, i, &mask);
    samc_result_free(result);
    samc_session_destroy(session);
    free(pixels);
    return status == SAMC_NUMERIC;
}

/* Finds out once for each session what is to be said of the model: "" where it is not at fault. */
static const char *fault_of(samc_session *s) {
    if (s->judged || s->probing) return s->fault;
    s->judged = true;
    bool nan = false;
    const char *name = samc__tensors_spoilt(&s->model->tensors, s->model->checkpoint, &nan);
    if (name != NULL)
        snprintf(s->fault, sizeof s->fault, "its tensor %s has %s", name, nan ? "NaN" : "infinite values");
    else if (grey_fails(s->model)) snprintf(s->fault, sizeof s->fault, "so it does with a plain grey image");
    samc__session_enter(s);
    return s->fault;
}

samc_status samc__numeric_fail(samc_session *s, int image, const char *what) {
    char of[40] = "";
    bool encoder = strcmp(what, "embedding") == 0 || embedding_spoilt(s, image);
    const char *fault = fault_of(s), *path = samc__checkpoint_path(s->model->checkpoint);
    bool f16 = s->model->net.precision == SAMC__F16 && strncmp(fault, "its", 3) != 0;
    if (image >= 0 && s->image_count > 1) snprintf(of, sizeof of, " of image %d", image);
    return samc__fail(&s->error, *fault ? SAMC_DIVERGED : SAMC_NUMERIC,
                      "model %s: the %s gave %s%s with NaN or infinite values%s%s%s", path,
                      encoder ? "image encoder" : "mask decoder", encoder ? "an embedding" : what, of,
                      *fault ? "; " : "", fault,
                      f16 ? "; in f16 numbers beyond 65504 are infinite, bf16 or f32 may help" : "");
}
