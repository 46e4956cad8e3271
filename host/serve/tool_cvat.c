/* CVAT, to which this is a Nuclio dashboard (apps/lambda_manager/views.py). */
#include "host/serve/tools.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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
    if (!samc__tool_best(r, session, result, prompt, &mask)) return;
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
        if (!samc__tool_point(q, json_array_get(points, i), label)) return false;
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
    samc__question *q = json != NULL ? samc__tool_question(r) : NULL;
    if (q != NULL) {
        const json_t *box = json_object_get(json, "obj_bbox");
        float corners[4];
        bool good = add_points(q, json_object_get(json, "pos_points"), 1) &&
                    add_points(q, json_object_get(json, "neg_points"), 0);
        if (json_array_size(box) > 0) { /* two corners, each [x, y] */
            for (size_t i = 0; i < 4 && good; i++)
                good = samc__tool_number(json_array_get(box, i / 2), i % 2, &corners[i]);
            if (good) samc__tool_box(q, corners);
        }
        if (!good) samc__reply_error(r, MHD_HTTP_BAD_REQUEST, "a point or the box is not of [x, y] in pixels");
        else if (samc__tool_settle(r)) samc__tool_begin(r, json_object_get(json, "image"), "image", give_rows);
    }
    json_decref(json);
}
