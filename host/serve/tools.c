/* Labelling tools, each by the interface that it has for servers: X-AnyLabeling's remote server
 * (services/auto_labeling/remote_server.py of X-AnyLabeling 4), CVAT's Nuclio dashboard (apps/lambda_manager/views.py),
 * osam (osam/types). Requests bring their image along; one that is known is not encoded again. */
#include "host/serve/base64.h"
#include "host/serve/polygon.h"
#include "host/serve/question.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- What they have in common ---------------------------------------------------------------- */

static void ask(samc__request *r, samc_session *session) {
    (void)session;
    if (!samc__predict_submit(r)) samc__request_finish(r);
}

/* Decodes and encodes the image, then asks; `give` makes the reply. */
static void begin(samc__request *r, const json_t *image, const char *key,
                  void (*give)(samc__request *, samc_session *, samc_result *, int)) {
    r->then = ask;
    r->give = give;
    if (samc__request_unpack(r, image, key)) samc__picture_make(r);
}

static samc__question *question_new(samc__request *r) {
    r->question = calloc(1, sizeof *r->question);
    if (r->question == NULL) {
        samc__reply_error(r, MHD_HTTP_SERVICE_UNAVAILABLE, "no memory for the prompt");
        return NULL;
    }
    r->question->prompt.size = sizeof r->question->prompt;
    r->question->multimask = true;
    return r->question;
}

static bool number_at(const json_t *list, size_t i, float *value) {
    const json_t *json = json_array_get(list, i);
    if (!json_is_number(json)) return false;
    *value = (float)json_number_value(json);
    return isfinite(*value) && fabsf(*value) <= 1e7f;
}

static bool add_point(samc__question *q, const json_t *point, int32_t label) {
    samc_prompt *p = &q->prompt;
    if (p->point_count == SAMC__QUESTION_POINTS) return false;
    float *to = q->points + 2 * p->point_count;
    if (!number_at(point, 0, to) || !number_at(point, 1, to + 1)) return false;
    q->labels[p->point_count++] = label;
    p->points = q->points;
    p->labels = q->labels;
    return true;
}

/* From two corners, in any order. */
static void set_box(samc__question *q, const float corners[4]) {
    q->box[0] = fminf(corners[0], corners[2]), q->box[2] = fmaxf(corners[0], corners[2]);
    q->box[1] = fminf(corners[1], corners[3]), q->box[3] = fmaxf(corners[1], corners[3]);
    q->prompt.box = q->box;
}

/* As SAM advises: of one point the best of three masks, of more the one. */
static bool settle(samc__request *r) {
    samc__question *q = r->question;
    q->multimask = q->prompt.point_count == 1 && q->prompt.box == NULL;
    if (q->prompt.point_count > 0 || q->prompt.box != NULL) return true;
    samc__reply_error(r, MHD_HTTP_BAD_REQUEST, "give a point or a box");
    return false;
}

/* The best mask of the answer; false and the reply given. */
static bool best_mask(samc__request *r, samc_session *session, samc_result *result, int prompt, samc_mask *mask) {
    *mask = (samc_mask)SAMC_INIT(samc_mask);
    const samc_status status = samc_result_mask(session, result, prompt, samc_result_best(result, prompt), mask);
    if (status != SAMC_OK) samc__reply_error(r, samc__status_of(status), "%s", samc_last_error(session));
    return status == SAMC_OK;
}

/* ---- X-AnyLabeling --------------------------------------------------------------------------- */

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
                                          NULL};
    char title[200];
    json_t *list = json_array();
    for (int i = 0; widgets[i] != NULL; i++)
        json_array_append_new(list, json_pack("{s:s, s:n}", "name", widgets[i], "value"));
    snprintf(title, sizeof title, "samc (%s)", r->serve->info.name[0] ? r->serve->info.name : "SAM");
    samc__reply_json(r, MHD_HTTP_OK,
                     json_pack("{s:b, s:{s:{s:s, s:o, s:{}, s:n}}}", "success", 1, "data", "samc", "display_name",
                               title, "widgets", list, "params", "batch_processing_mode"));
}

static void give_shapes(samc__request *r, samc_session *session, samc_result *result, int prompt) {
    samc_mask mask;
    samc_error error = {0};
    float *corners;
    int count;
    if (!best_mask(r, session, result, prompt, &mask)) return;
    /* As there: the fineness is a share of the outline's length; the box's stands for it. */
    const double most = (double)r->question->fineness * 2 * (mask.bbox[2] + mask.bbox[3]);
    if (samc__polygon_of(&mask, most, &corners, &count, &error) != SAMC_OK) {
        samc__reply_failure(r, &error);
        return;
    }
    json_t *points = json_array(), *shapes = json_array();
    for (int i = 0; i < count; i++)
        json_array_append_new(points, json_pack("[f, f]", (double)corners[2 * i], (double)corners[2 * i + 1]));
    free(corners);
    if (count > 2)
        json_array_append_new(shapes, json_pack("{s:s, s:s, s:O, s:f}", "label", "AUTOLABEL_OBJECT", "shape_type",
                                                "polygon", "points", points, "score", (double)mask.predicted_iou));
    json_decref(points);
    samc__reply_json(
        r, MHD_HTTP_OK,
        json_pack("{s:b, s:{s:o, s:s, s:b}}", "success", 1, "data", "shapes", shapes, "description", "", "replace", 0));
}

static bool read_mark(samc__question *q, const json_t *mark) {
    const char *type = json_string_value(json_object_get(mark, "type"));
    const json_t *data = json_object_get(mark, "data"), *label = json_object_get(mark, "label");
    float corners[4];
    if (type == NULL) return false;
    if (strcmp(type, "point") == 0)
        return add_point(q, data, json_is_integer(label) && json_integer_value(label) == 0 ? 0 : 1);
    for (size_t i = 0; i < 4; i++)
        if (strcmp(type, "rectangle") != 0 || !number_at(data, i, &corners[i])) return false;
    set_box(q, corners);
    return true;
}

void samc__handle_anylabeling_predict(samc__request *r) {
    static const char *const keys[] = {"model", "image", "params", NULL};
    json_t *json = samc__request_json(r, keys);
    if (json == NULL) return;
    const char *model = json_string_value(json_object_get(json, "model"));
    const json_t *params = json_object_get(json, "params"), *marks = json_object_get(params, "marks"),
                 *fineness = json_object_get(params, "epsilon_factor");
    samc__question *q = question_new(r);
    bool good = q != NULL;
    if (good && (model == NULL || strcmp(model, "samc") != 0)) {
        samc__reply_error(r, MHD_HTTP_NOT_FOUND, "there is no model '%.80s'; there is 'samc'", model ? model : "");
        good = false;
    }
    for (size_t i = 0; good && i < json_array_size(marks); i++)
        if (!read_mark(q, json_array_get(marks, i))) {
            samc__reply_error(r, MHD_HTTP_BAD_REQUEST, "mark %zu is neither a point nor a rectangle", i);
            good = false;
        }
    if (good) {
        const double share = json_is_number(fineness) ? json_number_value(fineness) : 0.001;
        q->fineness = share >= 0 && share <= 0.1 ? (float)share : 0.001f;
        if (settle(r)) begin(r, json_object_get(json, "image"), "image", give_shapes);
    }
    json_decref(json);
}

/* ---- CVAT ------------------------------------------------------------------------------------ */

static json_t *cvat_function(const samc__request *r) {
    char title[200];
    snprintf(title, sizeof title, "samc (%s)", r->serve->info.name[0] ? r->serve->info.name : "SAM");
    json_t *annotations = json_pack(
        "{s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s}", "name", title, "type", "interactor", "version", "2", "spec",
        "[]", "min_pos_points", "1", "min_neg_points", "0", "startswith_box_optional", "true", "animated_gif", "",
        "help_message", "Click the object, or draw a box around it; right clicks mark what does not belong to it.");
    return json_pack("{s:{s:s, s:o}, s:{s:s}, s:{s:s, s:i}}", "metadata", "name", "samc", "annotations", annotations,
                     "spec", "description", "The Segment Anything Model, by samc", "status", "state", "ready",
                     "httpPort", r->serve->port);
}

void samc__handle_cvat_functions(samc__request *r) {
    samc__reply_json(r, MHD_HTTP_OK, json_pack("{s:o}", "samc", cvat_function(r)));
}

void samc__handle_cvat_function(samc__request *r) {
    if (strcmp(r->id, "samc") == 0) samc__reply_json(r, MHD_HTTP_OK, cvat_function(r));
    else samc__reply_error(r, MHD_HTTP_NOT_FOUND, "there is no function '%s'; there is 'samc'", r->id);
}

/* {"mask": [[0, 1, ...], ...]}, written as text: as objects of Jansson a photograph would take a gigabyte. */
static void give_rows(samc__request *r, samc_session *session, samc_result *result, int prompt) {
    samc_mask mask;
    samc_error error = {0};
    if (!best_mask(r, session, result, prompt, &mask)) return;
    const size_t width = (size_t)mask.width, height = (size_t)mask.height;
    uint8_t *bytes = malloc(width * height);
    char *text = malloc(2 * width * height + 3 * height + 16), *to = text;
    if (bytes == NULL || text == NULL) samc__reply_error(r, MHD_HTTP_SERVICE_UNAVAILABLE, "no memory for the mask");
    else if (samc_mask_bytes(&mask, bytes, &error) != SAMC_OK) samc__reply_failure(r, &error);
    else {
        to += sprintf(to, "{\"mask\":[");
        for (size_t y = 0; y < height; y++) {
            *to++ = y > 0 ? ',' : ' ';
            *to++ = '[';
            for (size_t x = 0; x < width; x++) {
                *to++ = (char)('0' + bytes[y * width + x]);
                *to++ = x + 1 < width ? ',' : ']';
            }
        }
        *to++ = ']';
        *to++ = '}';
        samc__reply_bytes(r, MHD_HTTP_OK, "application/json", text, (size_t)(to - text));
        text = NULL;
    }
    free(text);
    free(bytes);
}

static bool add_points(samc__question *q, const json_t *points, int32_t label) {
    for (size_t i = 0; i < json_array_size(points); i++)
        if (!add_point(q, json_array_get(points, i), label)) return false;
    return true;
}

void samc__handle_cvat_invoke(samc__request *r) {
    static const char *const keys[] = {"image",     "pos_points", "neg_points",        "obj_bbox",
                                       "threshold", "mapping",    "conv_mask_to_poly", NULL};
    const char *name = samc__request_header(r, "x-nuclio-function-name");
    if (name == NULL || strcmp(name, "samc") != 0) {
        samc__reply_error(r, MHD_HTTP_NOT_FOUND, "there is no function '%.80s'; there is 'samc'", name ? name : "");
        return;
    }
    json_t *json = samc__request_json(r, keys);
    samc__question *q = json != NULL ? question_new(r) : NULL;
    if (q != NULL) {
        const json_t *box = json_object_get(json, "obj_bbox");
        float corners[4];
        bool good = add_points(q, json_object_get(json, "pos_points"), 1) &&
                    add_points(q, json_object_get(json, "neg_points"), 0);
        if (json_array_size(box) > 0) { /* two corners, each [x, y] */
            for (size_t i = 0; i < 4 && good; i++) good = number_at(json_array_get(box, i / 2), i % 2, &corners[i]);
            if (good) set_box(q, corners);
        }
        if (!good) samc__reply_error(r, MHD_HTTP_BAD_REQUEST, "a point or the box is not of [x, y] in pixels");
        else if (settle(r)) begin(r, json_object_get(json, "image"), "image", give_rows);
    }
    json_decref(json);
}

/* ---- osam ------------------------------------------------------------------------------------ */

/* The mask within its box, inclusive, as an 8-bit PNG. */
static char *cropped_png(const samc_mask *mask, samc_error *error) {
    const size_t width = (size_t)mask->width;
    const int w = mask->bbox[2] + 1, h = mask->bbox[3] + 1;
    uint8_t *bytes = malloc(width * (size_t)mask->height), *crop = malloc((size_t)w * (size_t)h), *png = NULL;
    size_t size = 0;
    char *text = NULL;
    if (bytes != NULL && crop != NULL && samc_mask_bytes(mask, bytes, error) == SAMC_OK) {
        for (int y = 0; y < h; y++)
            for (int x = 0; x < w; x++)
                crop[y * w + x] = bytes[(size_t)(mask->bbox[1] + y) * width + (size_t)(mask->bbox[0] + x)] ? 255 : 0;
        if (samc_png_encode(crop, w, h, 1, &png, &size, error) == SAMC_OK) text = samc__base64(png, size);
    }
    samc_io_free(png);
    free(crop);
    free(bytes);
    return text;
}

static void give_annotation(samc__request *r, samc_session *session, samc_result *result, int prompt) {
    samc_mask mask;
    samc_error error = {0};
    if (!best_mask(r, session, result, prompt, &mask)) return;
    json_t *annotations = json_array();
    if (mask.area > 0) {
        const int *b = mask.bbox;
        char *png = cropped_png(&mask, &error);
        if (png == NULL) {
            json_decref(annotations);
            samc__reply_error(r, MHD_HTTP_SERVICE_UNAVAILABLE, "%s", error.message[0] ? error.message : "no memory");
            return;
        }
        json_array_append_new(annotations, json_pack("{s:{s:i, s:i, s:i, s:i}, s:f, s:s}", "bounding_box", "xmin", b[0],
                                                     "ymin", b[1], "xmax", b[0] + b[2], "ymax", b[1] + b[3], "score",
                                                     (double)mask.predicted_iou, "mask", png));
        free(png);
    }
    samc__reply_json(r, MHD_HTTP_OK, json_pack("{s:s, s:o}", "model", "samc", "annotations", annotations));
}

/* Labels: 0 and 1 of points, 2 and 3 of a box's corners. */
static bool read_osam(samc__question *q, const json_t *points, const json_t *labels) {
    float corners[4];
    int seen = 0;
    for (size_t i = 0; i < json_array_size(points); i++) {
        const json_t *point = json_array_get(points, i), *label = json_array_get(labels, i);
        const json_int_t value = json_is_integer(label) ? json_integer_value(label) : -1;
        if (value == 0 || value == 1) {
            if (!add_point(q, point, (int32_t)value)) return false;
        } else if (value == 2 || value == 3) {
            float *corner = corners + 2 * (value - 2);
            if (!number_at(point, 0, corner) || !number_at(point, 1, corner + 1)) return false;
            seen |= 1 << (value - 2);
        } else return false;
    }
    if (seen == 3) set_box(q, corners);
    return seen == 0 || seen == 3;
}

void samc__handle_osam(samc__request *r) {
    static const char *const keys[] = {"model", "image", "prompt", "image_embedding", "annotations", NULL};
    json_t *json = samc__request_json(r, keys);
    samc__question *q = json != NULL ? question_new(r) : NULL;
    if (q != NULL) {
        const json_t *prompt = json_object_get(json, "prompt");
        if (!read_osam(q, json_object_get(prompt, "points"), json_object_get(prompt, "point_labels")))
            samc__reply_error(r, MHD_HTTP_BAD_REQUEST, "'points' are [x, y], with labels 0, 1, and 2 and 3 of a box");
        else if (settle(r)) begin(r, json_object_get(json, "image"), "image", give_annotation);
    }
    json_decref(json);
}
