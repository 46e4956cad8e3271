/* LocalAI's POST /v1/detection: an image with points, boxes or a phrase -> boxes with masks. */
#include "host/serve/tools.h"

#include <math.h>
#include <stdlib.h>

static json_t *detection(const samc_mask *mask, const char *name, double confidence, samc_error *error) {
    const int *b = mask->bbox;
    char *png = samc__tool_cropped_png(mask, error);
    json_t *json = png == NULL
                       ? NULL
                       : json_pack("{s:i, s:i, s:i, s:i, s:s, s:f, s:s}", "x", b[0], "y", b[1], "width", b[2] + 1,
                                   "height", b[3] + 1, "class_name", name, "confidence", confidence, "mask", png);
    free(png);
    return json;
}

static void reply(samc__request *r, json_t *list, bool good, const samc_error *error) {
    if (good) samc__reply_json(r, MHD_HTTP_OK, json_pack("{s:O}", "detections", list));
    else samc__reply_error(r, MHD_HTTP_SERVICE_UNAVAILABLE, "%s", error->message[0] ? error->message : "no memory");
    json_decref(list);
}

static void give(samc__request *r, samc_session *session, samc_result *result, int prompt) {
    samc_mask mask;
    samc_error error = {0};
    if (!samc__tool_best(r, session, result, prompt, &mask)) return;
    json_t *list = json_array();
    reply(r, list,
          mask.area == 0 ||
              json_array_append_new(list, detection(&mask, "object", (double)mask.predicted_iou, &error)) == 0,
          &error);
}

static void give_all(samc__request *r, const samc_mask *masks, int count) {
    samc_error error = {0};
    json_t *list = json_array();
    bool good = list != NULL;
    for (int i = 0; i < count && good; i++) {
        const samc_mask *mask = samc_mask_at(masks, i);
        if (mask->area > 0)
            good = json_array_append_new(list, detection(mask, mask->label, (double)mask->score, &error)) == 0;
    }
    reply(r, list, good, &error);
}

/* points: [x, y, label, x, y, label, ...]; boxes: [x0, y0, x1, y1], of which one is taken. */
static bool read_prompt(samc__question *q, const json_t *points, const json_t *boxes) {
    float corners[4], label;
    samc_prompt *p = &q->prompt;
    const size_t count = json_array_size(points);
    if (count % 3 != 0 || count / 3 > SAMC__QUESTION_POINTS) return false;
    for (size_t i = 0; i < count; i += 3) {
        float *to = q->points + 2 * p->point_count;
        if (!samc__tool_number(points, i, to) || !samc__tool_number(points, i + 1, to + 1) ||
            !samc__tool_number(points, i + 2, &label) || (label != 0 && label != 1))
            return false;
        q->labels[p->point_count++] = (int32_t)label;
        p->points = q->points, p->labels = q->labels;
    }
    if (json_array_size(boxes) == 0) return true;
    if (json_array_size(boxes) != 4) return false;
    for (size_t i = 0; i < 4; i++)
        if (!samc__tool_number(boxes, i, &corners[i])) return false;
    samc__tool_box(q, corners);
    return true;
}

void samc__handle_localai(samc__request *r) {
    static const char *const keys[] = {"model", "image", "prompt", "points", "boxes", "threshold", NULL};
    json_t *json = samc__request_json(r, keys);
    if (json == NULL) return;
    const json_t *image = json_object_get(json, "image"), *phrase = json_object_get(json, "prompt"),
                 *threshold = json_object_get(json, "threshold"), *points = json_object_get(json, "points"),
                 *boxes = json_object_get(json, "boxes");
    if (json_string_length(phrase) > 0 && json_array_size(points) + json_array_size(boxes) == 0) {
        if (samc__search_new(r, 1) != NULL &&
            samc__search_add(r, json_string_value(phrase), json_string_length(phrase))) {
            if (json_is_number(threshold))
                r->search->options.threshold = fmin(fmax(json_number_value(threshold), 0), 0.999);
            samc__tool_look(r, image, "image", give_all);
        }
    } else if (samc__tool_question(r) != NULL) {
        if (!read_prompt(r->question, points, boxes))
            samc__reply_error(r, MHD_HTTP_BAD_REQUEST, "'points' are x, y, label; 'boxes' is x0, y0, x1, y1, one");
        else if (samc__tool_settle(r)) samc__tool_begin(r, image, "image", give);
    }
    json_decref(json);
}
