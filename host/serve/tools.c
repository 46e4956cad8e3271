/* What labelling tools have in common. Their requests bring the image along; one that is known is not encoded again. */
#include "host/serve/tools.h"
#include "host/serve/base64.h"
#include "host/serve/polygon.h"

#include <math.h>
#include <stdlib.h>

static void ask(samc__request *r, samc_session *session) {
    (void)session;
    if (!samc__predict_submit(r)) samc__request_finish(r);
}

void samc__tool_begin(samc__request *r, const json_t *image, const char *key, samc__give give) {
    r->then = ask;
    r->give = give;
    if (samc__request_unpack(r, image, key)) samc__picture_make(r);
}

static void look(samc__request *r, samc_session *session) {
    (void)session;
    if (!samc__search_submit(r)) samc__request_finish(r);
}

void samc__tool_look(samc__request *r, const json_t *image, const char *key, samc__found found) {
    r->then = look;
    r->found = found;
    if (samc__request_unpack(r, image, key)) samc__picture_make(r);
}

samc__question *samc__tool_question(samc__request *r) {
    r->question = calloc(1, sizeof *r->question);
    if (r->question == NULL) {
        samc__reply_error(r, MHD_HTTP_SERVICE_UNAVAILABLE, "no memory for the prompt");
        return NULL;
    }
    r->question->prompt.size = sizeof r->question->prompt;
    r->question->multimask = true;
    return r->question;
}

bool samc__tool_number(const json_t *list, size_t i, float *value) {
    const json_t *json = json_array_get(list, i);
    if (!json_is_number(json)) return false;
    *value = (float)json_number_value(json);
    return isfinite(*value) && fabsf(*value) <= 1e7f;
}

bool samc__tool_point(samc__question *q, const json_t *point, int32_t label) {
    samc_prompt *p = &q->prompt;
    if (p->point_count == SAMC__QUESTION_POINTS) return false;
    float *to = q->points + 2 * p->point_count;
    if (!samc__tool_number(point, 0, to) || !samc__tool_number(point, 1, to + 1)) return false;
    q->labels[p->point_count++] = label;
    p->points = q->points;
    p->labels = q->labels;
    return true;
}

void samc__tool_box(samc__question *q, const float corners[4]) {
    q->box[0] = fminf(corners[0], corners[2]), q->box[2] = fmaxf(corners[0], corners[2]);
    q->box[1] = fminf(corners[1], corners[3]), q->box[3] = fmaxf(corners[1], corners[3]);
    q->prompt.box = q->box;
}

bool samc__tool_settle(samc__request *r) {
    samc__question *q = r->question;
    q->multimask = q->prompt.point_count == 1 && q->prompt.box == NULL;
    if (q->prompt.point_count > 0 || q->prompt.box != NULL) return true;
    samc__reply_error(r, MHD_HTTP_BAD_REQUEST, "give a point or a box");
    return false;
}

bool samc__tool_best(samc__request *r, samc_session *session, samc_result *result, int prompt, samc_mask *mask) {
    *mask = (samc_mask)SAMC_INIT(samc_mask);
    const samc_status status = samc_result_mask(session, result, prompt, samc_result_best(result, prompt), mask);
    if (status != SAMC_OK) samc__reply_error(r, samc__status_of(status), "%s", samc_last_error(session));
    return status == SAMC_OK;
}

json_t *samc__tool_outline(const samc_mask *mask, double share, double times_x, double times_y, samc_error *error) {
    float *corners;
    int count;
    const double most = share * 2 * (mask->bbox[2] + mask->bbox[3]);
    if (samc__polygon_of(mask, most, &corners, &count, error) != SAMC_OK) return NULL;
    json_t *points = json_array();
    bool memory = points != NULL;
    for (int i = 0; i < count && count > 2 && memory; i++)
        memory = json_array_append_new(points, json_pack("[f, f]", times_x * (double)corners[2 * i],
                                                         times_y * (double)corners[2 * i + 1])) == 0;
    free(corners);
    if (memory) return points;
    json_decref(points);
    *error = (samc_error){SAMC_OUT_OF_MEMORY, "no memory for an outline"};
    return NULL;
}

char *samc__tool_cropped_png(const samc_mask *mask, samc_error *error) {
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
