/* osam's interface (osam/types), which labelme and others use. */
#include "host/serve/tools.h"

#include <math.h>
#include <stdlib.h>

/* One mask as an annotation; NULL without memory, or with *error set. */
static json_t *annotation(const samc_mask *mask, const char *text, double score, samc_error *error) {
    const int *b = mask->bbox;
    char *png = samc__tool_cropped_png(mask, error);
    json_t *json =
        png == NULL ? NULL
                    : json_pack("{s:{s:i, s:i, s:i, s:i}, s:s?, s:f, s:s}", "bounding_box", "xmin", b[0], "ymin", b[1],
                                "xmax", b[0] + b[2], "ymax", b[1] + b[3], "text", text, "score", score, "mask", png);
    free(png);
    return json;
}

static void reply(samc__request *r, json_t *annotations, bool good, const samc_error *error) {
    if (good) samc__reply_json(r, MHD_HTTP_OK, json_pack("{s:s, s:O}", "model", "samc", "annotations", annotations));
    else samc__reply_error(r, MHD_HTTP_SERVICE_UNAVAILABLE, "%s", error->message[0] ? error->message : "no memory");
    json_decref(annotations);
}

static void give_annotation(samc__request *r, samc_session *session, samc_result *result, int prompt) {
    samc_mask mask;
    samc_error error = {0};
    if (!samc__tool_best(r, session, result, prompt, &mask)) return;
    json_t *annotations = json_array();
    const bool good =
        mask.area == 0 ||
        json_array_append_new(annotations, annotation(&mask, NULL, (double)mask.predicted_iou, &error)) == 0;
    reply(r, annotations, good, &error);
}

static void give_all(samc__request *r, const samc_mask *masks, int count) {
    samc_error error = {0};
    json_t *annotations = json_array();
    bool good = annotations != NULL;
    for (int i = 0; i < count && good; i++) {
        const samc_mask *mask = samc_mask_at(masks, i);
        if (mask->area > 0)
            good = json_array_append_new(annotations, annotation(mask, mask->label, (double)mask->score, &error)) == 0;
    }
    reply(r, annotations, good, &error);
}

/* Labels: 0 and 1 of points, 2 and 3 of a box's corners. */
static bool read_osam(samc__question *q, const json_t *points, const json_t *labels) {
    float corners[4];
    int seen = 0;
    for (size_t i = 0; i < json_array_size(points); i++) {
        const json_t *point = json_array_get(points, i), *label = json_array_get(labels, i);
        const json_int_t value = json_is_integer(label) ? json_integer_value(label) : -1;
        if (value == 0 || value == 1) {
            if (!samc__tool_point(q, point, (int32_t)value)) return false;
        } else if (value == 2 || value == 3) {
            float *corner = corners + 2 * (value - 2);
            if (!samc__tool_number(point, 0, corner) || !samc__tool_number(point, 1, corner + 1)) return false;
            seen |= 1 << (value - 2);
        } else return false;
    }
    if (seen == 3) samc__tool_box(q, corners);
    return seen == 0 || seen == 3;
}

/* Phrases with osam's own limits. */
static bool read_texts(samc__request *r, const json_t *prompt) {
    const json_t *threshold = json_object_get(prompt, "score_threshold"),
                 *iou = json_object_get(prompt, "iou_threshold"), *most = json_object_get(prompt, "max_annotations");
    if (!samc__search_read(r, json_object_get(prompt, "texts"), "texts")) return false;
    samc_text_options *o = &r->search->options;
    if (json_is_number(threshold)) o->threshold = fmin(fmax(json_number_value(threshold), 0), 0.999);
    if (json_is_number(iou)) o->nms = fmax(json_number_value(iou), 0);
    if (json_is_integer(most) && json_integer_value(most) > 0 && json_integer_value(most) < 1000000)
        o->top = (int)json_integer_value(most);
    return true;
}

void samc__handle_osam(samc__request *r) {
    static const char *const keys[] = {"model", "image", "prompt", "image_embedding", "annotations", NULL};
    json_t *json = samc__request_json(r, keys);
    if (json == NULL) return;
    const json_t *prompt = json_object_get(json, "prompt"), *image = json_object_get(json, "image"),
                 *points = json_object_get(prompt, "points");
    if (json_array_size(points) == 0 && json_array_size(json_object_get(prompt, "texts")) > 0) {
        if (read_texts(r, prompt)) samc__tool_look(r, image, "image", give_all);
    } else if (samc__tool_question(r) != NULL) {
        if (!read_osam(r->question, points, json_object_get(prompt, "point_labels")))
            samc__reply_error(r, MHD_HTTP_BAD_REQUEST, "'points' are [x, y], with labels 0, 1, and 2 and 3 of a box");
        else if (samc__tool_settle(r)) samc__tool_begin(r, image, "image", give_annotation);
    }
    json_decref(json);
}
