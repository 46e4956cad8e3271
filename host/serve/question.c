/* Prompts from JSON, strictly; masks to JSON. */
#include "host/serve/question.h"
#include "host/serve/base64.h"

#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static bool number(const json_t *json, float *value) {
    if (!json_is_number(json)) return false;
    *value = (float)json_number_value(json);
    return isfinite(*value) && fabsf(*value) <= 1e7f;
}

static const char *read_points(const json_t *points, const json_t *labels, samc__question *q) {
    const size_t count = json_array_size(points);
    if (points == NULL) return labels == NULL ? NULL : "'labels' without 'points'";
    if (!json_is_array(points) || count == 0) return "'points' is a list of [x, y], not empty";
    if (count > SAMC__QUESTION_POINTS) return "more than 1024 points";
    if (labels != NULL && (!json_is_array(labels) || json_array_size(labels) != count))
        return "'labels' is a list as long as 'points'";
    for (size_t i = 0; i < count; i++) {
        const json_t *point = json_array_get(points, i), *label = json_array_get(labels, i);
        if (json_array_size(point) != 2 || !number(json_array_get(point, 0), &q->points[2 * i]) ||
            !number(json_array_get(point, 1), &q->points[2 * i + 1]))
            return "a point is not [x, y] in pixels";
        if (label != NULL && (!json_is_integer(label) || (json_integer_value(label) | 1) != 1))
            return "a label is 1, on the object, or 0, on the background";
        q->labels[i] = label == NULL ? 1 : (int32_t)json_integer_value(label);
    }
    q->prompt.points = q->points;
    q->prompt.labels = q->labels;
    q->prompt.point_count = (int)count;
    return NULL;
}

static const char *read_box(const json_t *box, samc__question *q) {
    if (box == NULL) return NULL;
    if (json_array_size(box) != 4) return "'box' is [x0, y0, x1, y1]";
    for (size_t i = 0; i < 4; i++)
        if (!number(json_array_get(box, i), &q->box[i])) return "'box' is [x0, y0, x1, y1] in pixels";
    if (q->box[0] > q->box[2] || q->box[1] > q->box[3]) return "'box' has x0 > x1 or y0 > y1";
    q->prompt.box = q->box;
    return NULL;
}

static const char *read_shape(const json_t *format, samc__question *q) {
    static const char *const names[] = {"rle", "counts", "png", "none", "logits", NULL};
    if (format == NULL) return NULL;
    for (int i = 0; names[i] != NULL; i++)
        if (json_is_string(format) && strcmp(json_string_value(format), names[i]) == 0) {
            q->shape = (samc__shape)i;
            return NULL;
        }
    return "'format' is rle, counts, png, none or logits";
}

static const char *read_flag(const json_t *flag, const char *what, bool *value) {
    if (flag == NULL) return NULL;
    if (!json_is_boolean(flag)) return what;
    *value = json_is_true(flag);
    return NULL;
}

/* Logits as a page has them: base 64 of int8 [low_res, low_res] in steps of SAMC__LOGIT_STEP. */
static bool read_logits(const char *text, size_t count, float *logits) {
    int8_t *bytes = malloc(count);
    const bool good = bytes != NULL && samc__base64_read(text, strlen(text), bytes, count) == (long)count;
    for (size_t i = 0; good && i < count; i++) logits[i] = (float)bytes[i] * SAMC__LOGIT_STEP;
    free(bytes);
    return good;
}

samc__question *samc__question_read(samc__request *r, json_t *json, const samc__picture *picture) {
    const int low = r->serve->info.low_res;
    const json_t *mask = json_object_get(json, "mask_id"), *drawn = json_object_get(json, "mask_input");
    const size_t each = (size_t)low * (size_t)low * sizeof(float);
    samc__question *q = calloc(1, sizeof *q + (mask != NULL || drawn != NULL ? each : 0));
    if (q == NULL) {
        samc__reply_error(r, MHD_HTTP_SERVICE_UNAVAILABLE, "no memory for the prompt");
        return NULL;
    }
    q->prompt.size = sizeof q->prompt;
    q->multimask = true;
    const char *wrong = read_points(json_object_get(json, "points"), json_object_get(json, "labels"), q);
    if (wrong == NULL) wrong = read_box(json_object_get(json, "box"), q);
    if (wrong == NULL) wrong = read_shape(json_object_get(json, "format"), q);
    if (wrong == NULL)
        wrong = read_flag(json_object_get(json, "multimask"), "'multimask' is true or false", &q->multimask);
    if (wrong == NULL) wrong = read_flag(json_object_get(json, "best"), "'best' is true or false", &q->best);
    if (wrong == NULL && mask != NULL) {
        const json_t *number = json_array_get(mask, 0), *index = json_array_get(mask, 1);
        const json_int_t which = json_is_integer(index) ? json_integer_value(index) : -1;
        float *logits =
            json_array_size(mask) == 2 && json_is_integer(number) && which >= 0 && which <= INT_MAX
                ? samc__picture_recall((samc__picture *)(uintptr_t)picture, json_integer_value(number), (int)which, low)
                : NULL;
        if (logits != NULL) memcpy(q->mask_input, logits, each);
        else wrong = "'mask_id' is not one of the last masks of this image";
        q->prompt.mask_input = q->mask_input;
        free(logits);
    }
    if (wrong == NULL && drawn != NULL) {
        q->prompt.mask_input = q->mask_input;
        if (mask != NULL) wrong = "'mask_id' and 'mask_input' contradict each other";
        else if (!json_is_string(drawn) ||
                 !read_logits(json_string_value(drawn), (size_t)low * (size_t)low, q->mask_input))
            wrong = "'mask_input' is base 64 of int8 [low_res, low_res], logits in quarters";
    }
    if (wrong == NULL && q->prompt.point_count == 0 && q->prompt.box == NULL && q->prompt.mask_input == NULL)
        wrong = "no prompt: give 'points', 'box', 'mask_id' or 'mask_input'";
    if (wrong == NULL) return q;
    samc__reply_error(r, MHD_HTTP_BAD_REQUEST, "%s", wrong);
    free(q);
    return NULL;
}

/* ---- Masks ----------------------------------------------------------------------------------- */

static json_t *png_of(const samc_mask *mask, samc_error *error) {
    const size_t pixels = (size_t)mask->width * (size_t)mask->height;
    uint8_t *bytes = malloc(pixels), *png = NULL;
    size_t size = 0;
    json_t *json = NULL;
    if (bytes != NULL && samc_mask_bytes(mask, bytes, error) == SAMC_OK) {
        for (size_t i = 0; i < pixels; i++) bytes[i] = bytes[i] ? 255 : 0;
        if (samc_png_encode(bytes, mask->width, mask->height, 1, &png, &size, error) == SAMC_OK) {
            char *text = samc__base64(png, size);
            json = text != NULL ? json_string(text) : NULL;
            free(text);
            samc_io_free(png);
        }
    }
    free(bytes);
    return json;
}

static json_t *rle_of(const samc_mask *mask, samc_error *error) {
    char *text = malloc(mask->rle_length + 1);
    json_t *json = NULL;
    if (text != NULL && samc_mask_rle(mask, text, error) == SAMC_OK)
        json = json_pack("{s:[i, i], s:s}", "size", mask->height, mask->width, "counts", text);
    free(text);
    return json;
}

static json_t *counts_of(const samc_mask *mask, samc_error *error) {
    uint32_t *counts = malloc((mask->count_length + 1) * sizeof *counts);
    json_t *list = json_array();
    bool good = counts != NULL && list != NULL && samc_mask_counts(mask, counts, error) == SAMC_OK;
    for (size_t i = 0; good && i < mask->count_length; i++)
        good = json_array_append_new(list, json_integer(counts[i])) == 0;
    free(counts);
    if (!good) json_decref(list);
    return good ? json_pack("{s:[i, i], s:o}", "size", mask->height, mask->width, "counts", list) : NULL;
}

json_t *samc__mask_json(const samc_mask *mask, samc__shape shape, samc_error *error) {
    json_t *json = json_pack("{s:f, s:f, s:I, s:[i, i, i, i]}", "predicted_iou", (double)mask->predicted_iou,
                             "stability_score", (double)mask->stability_score, "area", (json_int_t)mask->area, "bbox",
                             mask->bbox[0], mask->bbox[1], mask->bbox[2], mask->bbox[3]);
    if (json != NULL && mask->object_score != 0.0f) /* of models that have it */
        json_object_set_new(json, "object_score", json_real((double)mask->object_score));
    if (json == NULL || shape >= SAMC__SHAPE_NONE) return json;
    json_t *drawn = shape == SAMC__SHAPE_PNG      ? png_of(mask, error)
                    : shape == SAMC__SHAPE_COUNTS ? counts_of(mask, error)
                                                  : rle_of(mask, error);
    if (drawn == NULL || json_object_set_new(json, shape == SAMC__SHAPE_PNG ? "png" : "segmentation", drawn) != 0) {
        json_decref(json);
        return NULL;
    }
    return json;
}
