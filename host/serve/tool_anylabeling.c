/* X-AnyLabeling's remote server (services/auto_labeling/remote_server.py of X-AnyLabeling 4). */
#include "host/serve/tools.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

void samc__tell_anylabeling(samc__request *r, unsigned status, const char *message) {
    const char *code = status == MHD_HTTP_NOT_FOUND               ? "MODEL_NOT_FOUND"
                       : status == MHD_HTTP_UNAUTHORIZED          ? "UNAUTHORIZED"
                       : status == MHD_HTTP_UNPROCESSABLE_CONTENT ? "INVALID_IMAGE"
                                                                  : "INFERENCE_ERROR";
    const bool by_http = status == MHD_HTTP_UNAUTHORIZED || status == MHD_HTTP_SERVICE_UNAVAILABLE ||
                         status == MHD_HTTP_MISDIRECTED_REQUEST || status == MHD_HTTP_FORBIDDEN;
    samc__reply_json(r, by_http ? status : MHD_HTTP_OK,
                     json_pack("{s:b, s:{s:s, s:s}}", "success", 0, "error", "code", code, "message", message));
}

void samc__handle_anylabeling_models(samc__request *r) {
    static const char *const widgets[] = {"button_add_point",
                                          "button_remove_point",
                                          "button_add_rect",
                                          "button_clear",
                                          "button_finish_object",
                                          "mask_fineness_slider",
                                          "edit_text",
                                          "button_send", /* these two for phrases */
                                          NULL};
    enum { FOR_PHRASES = 2 };
    const int count = (int)(sizeof widgets / sizeof *widgets) - 1,
              shown = r->serve->options.detector != NULL ? count : count - FOR_PHRASES;
    char title[200];
    json_t *list = json_array();
    for (int i = 0; i < shown; i++) json_array_append_new(list, json_pack("{s:s, s:n}", "name", widgets[i], "value"));
    snprintf(title, sizeof title, "samc (%s)", r->serve->info.name[0] ? r->serve->info.name : "SAM");
    samc__reply_json(r, MHD_HTTP_OK,
                     json_pack("{s:b, s:{s:{s:s, s:o, s:{}, s:n}}}", "success", 1, "data", "samc", "display_name",
                               title, "widgets", list, "params", "batch_processing_mode"));
}

/* The polygon of a mask, added to the list; false without memory, or with *error set. */
static bool add_shape(json_t *shapes, const samc_mask *mask, const char *label, double score, double fineness,
                      samc_error *error) {
    json_t *points = samc__tool_outline(mask, fineness, 1, 1, error);
    if (points == NULL) return false;
    const bool good = json_array_size(points) == 0 ||
                      json_array_append_new(shapes, json_pack("{s:s, s:s, s:O, s:f}", "label", label, "shape_type",
                                                              "polygon", "points", points, "score", score)) == 0;
    json_decref(points);
    return good;
}

static void reply(samc__request *r, json_t *shapes, bool good, bool replace, const samc_error *error) {
    if (good)
        samc__reply_json(r, MHD_HTTP_OK,
                         json_pack("{s:b, s:{s:O, s:s, s:b}}", "success", 1, "data", "shapes", shapes, "description",
                                   "", "replace", replace));
    else samc__reply_error(r, MHD_HTTP_SERVICE_UNAVAILABLE, "%s", error->message[0] ? error->message : "no memory");
    json_decref(shapes);
}

static void give_shapes(samc__request *r, samc_session *session, samc_result *result, int prompt) {
    samc_mask mask;
    samc_error error = {0};
    if (!samc__tool_best(r, session, result, prompt, &mask)) return;
    json_t *shapes = json_array();
    const bool good =
        add_shape(shapes, &mask, "AUTOLABEL_OBJECT", (double)mask.predicted_iou, (double)r->question->fineness, &error);
    reply(r, shapes, good, false, &error);
}

static void give_all(samc__request *r, const samc_mask *masks, int count) {
    samc_error error = {0};
    json_t *shapes = json_array();
    bool good = true;
    for (int i = 0; i < count && good; i++) {
        const samc_mask *mask = samc_mask_at(masks, i);
        good = add_shape(shapes, mask, mask->label, (double)mask->score, (double)r->search->fineness, &error);
    }
    reply(r, shapes, good, true, &error);
}

static bool read_mark(samc__question *q, const json_t *mark) {
    const char *type = json_string_value(json_object_get(mark, "type"));
    const json_t *data = json_object_get(mark, "data"), *label = json_object_get(mark, "label");
    float corners[4];
    if (type == NULL) return false;
    if (strcmp(type, "point") == 0)
        return samc__tool_point(q, data, json_is_integer(label) && json_integer_value(label) == 0 ? 0 : 1);
    for (size_t i = 0; i < 4; i++)
        if (strcmp(type, "rectangle") != 0 || !samc__tool_number(data, i, &corners[i])) return false;
    samc__tool_box(q, corners);
    return true;
}

/* Phrases with commas or full stops between them, as Grounding DINO has them. */
static bool read_text(samc__request *r, const char *text, const json_t *params) {
    const json_t *least = json_object_get(params, "conf_threshold"), *iou = json_object_get(params, "iou_threshold");
    int count = 0;
    for (const char *at = text; *at != '\0'; at += strspn(at, ",.")) {
        const size_t length = strcspn(at, ",.");
        count += strspn(at, " \t\r\n") < length;
        at += length;
    }
    if (samc__search_new(r, count) == NULL) return false;
    for (const char *at = text; *at != '\0'; at += strspn(at, ",.")) {
        const size_t length = strcspn(at, ",.");
        if (strspn(at, " \t\r\n") < length && !samc__search_add(r, at, length)) return false;
        at += length;
    }
    if (json_is_number(least)) r->search->options.threshold = fmin(fmax(json_number_value(least), 0), 0.999);
    if (json_is_number(iou) && json_number_value(iou) > 0) r->search->options.nms = json_number_value(iou);
    return true;
}

static bool read_marks(samc__request *r, const json_t *marks) {
    if (samc__tool_question(r) == NULL) return false;
    for (size_t i = 0; i < json_array_size(marks); i++)
        if (!read_mark(r->question, json_array_get(marks, i))) {
            samc__reply_error(r, MHD_HTTP_BAD_REQUEST, "mark %zu is neither a point nor a rectangle", i);
            return false;
        }
    return samc__tool_settle(r);
}

void samc__handle_anylabeling_predict(samc__request *r) {
    static const char *const keys[] = {"model", "image", "params", NULL};
    json_t *json = samc__request_json(r, keys);
    if (json == NULL) return;
    const char *model = json_string_value(json_object_get(json, "model"));
    const json_t *params = json_object_get(json, "params"), *marks = json_object_get(params, "marks"),
                 *fineness = json_object_get(params, "epsilon_factor"), *image = json_object_get(json, "image");
    const char *text = json_string_value(json_object_get(params, "text_prompt"));
    const double share = json_is_number(fineness) ? json_number_value(fineness) : 0.001;
    const float fine = share >= 0 && share <= 0.1 ? (float)share : 0.001f;
    if (model == NULL || strcmp(model, "samc") != 0)
        samc__reply_error(r, MHD_HTTP_NOT_FOUND, "there is no model '%.80s'; there is 'samc'", model ? model : "");
    else if (text != NULL && *text != '\0' && json_array_size(marks) == 0) {
        if (read_text(r, text, params)) {
            r->search->fineness = fine;
            samc__tool_look(r, image, "image", give_all);
        }
    } else if (read_marks(r, marks)) {
        r->question->fineness = fine;
        samc__tool_begin(r, image, "image", give_shapes);
    }
    json_decref(json);
}
