/* The Open Inference Protocol, version 2, with its binary extension: what KServe and Triton serve, and their clients
 * ask. One model, "samc": an image and a prompt -> masks. */
#include "host/serve/tensors.h"
#include "host/serve/tools.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char extension[] = "binary_tensor_data";

/* ---- The server and the model ---------------------------------------------------------------- */

void samc__handle_inference_server(samc__request *r) {
    samc__reply_json(
        r, MHD_HTTP_OK,
        json_pack("{s:s, s:s, s:[s]}", "name", "samc", "version", samc_version(), "extensions", extension));
}

/* Whoever can be answered is alive, and ready: the model is open before anybody is let in. */
void samc__handle_inference_health(samc__request *r) {
    samc__reply_json(r, MHD_HTTP_OK, json_pack("{s:b, s:b}", "live", 1, "ready", 1));
}

static bool known_model(samc__request *r) {
    if (strcmp(r->id, "samc") == 0) return true;
    samc__reply_error(r, MHD_HTTP_NOT_FOUND, "there is no model '%s'; there is 'samc'", r->id);
    return false;
}

void samc__handle_inference_ready(samc__request *r) {
    if (known_model(r)) samc__reply_json(r, MHD_HTTP_OK, json_pack("{s:s, s:b}", "name", "samc", "ready", 1));
}

static json_t *tensor(const char *name, const char *type, int rank, int a, int b, int c) {
    const int sides[] = {a, b, c};
    json_t *shape = json_array();
    for (int i = 0; i < rank; i++) json_array_append_new(shape, json_integer(sides[i]));
    return json_pack("{s:s, s:s, s:o}", "name", name, "datatype", type, "shape", shape);
}

void samc__handle_inference_model(samc__request *r) {
    if (!known_model(r)) return;
    const int low = r->serve->info.low_res;
    json_t *inputs = json_pack("[o, o, o, o, o, o]", tensor("image", "BYTES", 1, 1, 0, 0),
                               tensor("point_coords", "FP32", 2, -1, 2, 0), tensor("point_labels", "FP32", 1, -1, 0, 0),
                               tensor("box", "FP32", 1, 4, 0, 0), tensor("mask_input", "FP32", 2, low, low, 0),
                               tensor("multimask_output", "BOOL", 1, 1, 0, 0));
    json_t *outputs =
        json_pack("[o, o, o]", tensor("masks", "UINT8", 3, -1, -1, -1), tensor("iou_predictions", "FP32", 1, -1, 0, 0),
                  tensor("low_res_masks", "FP32", 3, -1, low, low));
    samc__reply_json(r, MHD_HTTP_OK,
                     json_pack("{s:s, s:[s], s:s, s:o, s:o}", "name", "samc", "versions", "1", "platform", "samc",
                               "inputs", inputs, "outputs", outputs));
}

/* ---- The answer ------------------------------------------------------------------------------ */

enum { MASKS, SCORES, LOGITS, OUTPUTS };
static const char *const output_names[OUTPUTS] = {"masks", "iou_predictions", "low_res_masks"};

/* What is asked for, in the request's memo. */
typedef struct wanted {
    int order[OUTPUTS], count;
    bool binary[OUTPUTS];
    char id[256]; /* of the request, given back; "": none */
} wanted;

static const char *read_outputs(const json_t *json, wanted *w) {
    const json_t *outputs = json_object_get(json, "outputs"), *id = json_object_get(json, "id");
    const bool all = json_is_true(json_object_get(json_object_get(json, "parameters"), "binary_data_output"));
    if (id != NULL && (!json_is_string(id) || json_string_length(id) >= sizeof w->id))
        return "'id' is too long or no text";
    if (id != NULL) memcpy(w->id, json_string_value(id), json_string_length(id));
    for (int i = 0; i < OUTPUTS; i++) w->order[i] = i, w->binary[i] = all;
    w->count = OUTPUTS;
    if (json_array_size(outputs) == 0) return NULL;
    if (json_array_size(outputs) > OUTPUTS) return "there are three outputs";
    w->count = (int)json_array_size(outputs);
    for (int i = 0; i < w->count; i++) {
        const json_t *output = json_array_get(outputs, (size_t)i),
                     *binary = json_object_get(json_object_get(output, "parameters"), "binary_data");
        const char *name = json_string_value(json_object_get(output, "name"));
        int which = 0;
        while (which < OUTPUTS && (name == NULL || strcmp(output_names[which], name) != 0)) which++;
        if (which == OUTPUTS) return "the outputs are masks, iou_predictions and low_res_masks";
        for (int before = 0; before < i; before++)
            if (w->order[before] == which) return "an output is asked for twice";
        w->order[i] = which;
        w->binary[i] = binary != NULL ? json_is_true(binary) : all;
    }
    return NULL;
}

/* One output's values, as they are sent. */
typedef struct values {
    const void *bytes;
    size_t count;
    bool real;
    int rank;
    int shape[3];
} values;

static json_t *as_json(const values *v) {
    json_t *list = json_array();
    for (size_t i = 0; i < v->count; i++) {
        json_t *one =
            v->real ? json_real((double)((const float *)v->bytes)[i]) : json_integer(((const uint8_t *)v->bytes)[i]);
        if (json_array_append_new(list, one) != 0) {
            json_decref(list);
            return NULL;
        }
    }
    return list;
}

static json_t *describe(const char *name, const values *v, bool binary) {
    json_t *json = tensor(name, v->real ? "FP32" : "UINT8", v->rank, v->shape[0], v->shape[1], v->shape[2]);
    json_t *more = binary
                       ? json_pack("{s:I}", "binary_data_size", (json_int_t)(v->count * (v->real ? sizeof(float) : 1)))
                       : as_json(v);
    if (json_object_set_new(json, binary ? "parameters" : "data", more) == 0) return json;
    json_decref(json);
    return NULL;
}

static void reply(samc__request *r, const values *v) {
    const wanted *w = r->memo;
    json_t *outputs = json_array();
    size_t behind = 0;
    bool good = true;
    for (int i = 0; i < w->count && good; i++) {
        const values *one = &v[w->order[i]];
        good = json_array_append_new(outputs, describe(output_names[w->order[i]], one, w->binary[i])) == 0;
        if (w->binary[i]) behind += one->count * (one->real ? sizeof(float) : 1);
    }
    json_t *json = json_pack("{s:s, s:s, s:s*, s:O}", "model_name", "samc", "model_version", "1", "id",
                             w->id[0] ? w->id : NULL, "outputs", outputs);
    json_decref(outputs);
    char *text = good && json != NULL ? json_dumps(json, JSON_COMPACT | JSON_REAL_PRECISION(9)) : NULL;
    json_decref(json);
    const size_t length = text != NULL ? strlen(text) : 0;
    char *grown = text != NULL ? realloc(text, length + behind + 1) : NULL, *to = grown;
    if (grown == NULL) {
        free(text);
        samc__reply_error(r, MHD_HTTP_SERVICE_UNAVAILABLE, "no memory for the reply");
        return;
    }
    to += length;
    for (int i = 0; i < w->count; i++) {
        const values *one = &v[w->order[i]];
        const size_t size = one->count * (one->real ? sizeof(float) : 1);
        if (!w->binary[i]) continue;
        memcpy(to, one->bytes, size);
        to += size;
    }
    if (behind > 0) samc__reply_header(r, "Inference-Header-Content-Length", "%zu", length);
    samc__reply_bytes(r, MHD_HTTP_OK, behind > 0 ? "application/octet-stream" : "application/json", grown,
                      length + behind);
}

static void give(samc__request *r, samc_session *session, samc_result *result, int prompt) {
    const wanted *w = r->memo;
    const int masks = samc_result_masks(result), low = r->serve->info.low_res;
    const int width = r->picture->width, height = r->picture->height;
    const size_t pixels = (size_t)width * (size_t)height, each = (size_t)low * (size_t)low;
    bool drawn = false;
    for (int i = 0; i < w->count; i++) {
        drawn |= w->order[i] == MASKS;
        if (w->order[i] == MASKS && !w->binary[i] && pixels * (size_t)masks > (size_t)1 << 20) {
            samc__reply_error(r, MHD_HTTP_BAD_REQUEST, "as JSON these masks take too much; ask for binary data");
            return;
        }
    }
    uint8_t *bytes = malloc(drawn ? pixels * (size_t)masks : 1);
    if (bytes == NULL) {
        samc__reply_error(r, MHD_HTTP_SERVICE_UNAVAILABLE, "no memory for the masks");
        return;
    }
    for (int i = 0; i < masks && drawn; i++) {
        samc_mask mask = SAMC_INIT(samc_mask);
        samc_error error = {0};
        samc_status status = samc_result_mask(session, result, prompt, i, &mask);
        if (status != SAMC_OK) samc__reply_error(r, samc__status_of(status), "%s", samc_last_error(session));
        else if ((status = samc_mask_bytes(&mask, bytes + (size_t)i * pixels, &error)) != SAMC_OK)
            samc__reply_failure(r, &error);
        if (status != SAMC_OK) {
            free(bytes);
            return;
        }
    }
    const values v[OUTPUTS] = {
        [MASKS] = {bytes, pixels * (size_t)masks, false, 3, {masks, height, width}},
        [SCORES] = {samc_result_iou(result) + (size_t)prompt * (size_t)masks, (size_t)masks, true, 1, {masks}},
        [LOGITS] = {samc_result_logits(result) + (size_t)prompt * (size_t)masks * each,
                    (size_t)masks * each,
                    true,
                    3,
                    {masks, low, low}}};
    reply(r, v);
    free(bytes);
}

/* ---- The question ---------------------------------------------------------------------------- */

/* Labels as in the exported decoders: 0 and 1, 2 and 3 of a box's corners, -1 of a point that is none. */
static const char *read_points(const samc__oip *all, samc__question *q) {
    const samc__oip_input *points = samc__oip_find(all, "point_coords"), *labels = samc__oip_find(all, "point_labels");
    float at[2 * SAMC__QUESTION_POINTS], label[SAMC__QUESTION_POINTS], corners[4];
    int seen = 0;
    if (points == NULL) return labels == NULL ? NULL : "'point_labels' without 'point_coords'";
    if (points->rank < 2 || points->shape[points->rank - 1] != 2 ||
        !samc__oip_numbers(points, at, 2 * SAMC__QUESTION_POINTS))
        return "'point_coords' is of numbers [N, 2], at most 1024";
    const int64_t count = points->count / 2;
    for (int64_t i = 0; i < count; i++) label[i] = 1;
    if (labels != NULL && (labels->count != count || !samc__oip_numbers(labels, label, SAMC__QUESTION_POINTS)))
        return "'point_labels' is of numbers [N], as 'point_coords'";
    for (int64_t i = 0; i < count; i++) {
        const int kind = (int)label[i];
        if ((float)kind != label[i] || kind < -1 || kind > 3) return "a label is -1, 0, 1, 2 or 3";
        if (kind >= 2) {
            memcpy(corners + 2 * (kind - 2), at + 2 * i, 2 * sizeof *at);
            seen |= 1 << (kind - 2);
        } else if (kind >= 0) {
            samc_prompt *p = &q->prompt;
            memcpy(q->points + 2 * p->point_count, at + 2 * i, 2 * sizeof *at);
            q->labels[p->point_count++] = kind;
            p->points = q->points, p->labels = q->labels;
        }
    }
    if (seen == 3) samc__tool_box(q, corners);
    return seen == 0 || seen == 3 ? NULL : "labels 2 and 3 are the corners of a box, both";
}

/* The prompt; NULL and the reply given. */
static bool read_question(samc__request *r, const samc__oip *all) {
    const samc__oip_input *box = samc__oip_find(all, "box"), *mask = samc__oip_find(all, "mask_input"),
                          *several = samc__oip_find(all, "multimask_output");
    const int64_t low = r->serve->info.low_res;
    samc__question *q = calloc(1, sizeof *q + (mask != NULL ? (size_t)(low * low) * sizeof(float) : 0));
    float corners[4], one = 1;
    const char *wrong = q == NULL ? "no memory" : NULL;
    if (q != NULL) q->prompt.size = sizeof q->prompt;
    if (wrong == NULL) wrong = read_points(all, q);
    if (wrong == NULL && box != NULL) {
        if (box->count != 4 || !samc__oip_numbers(box, corners, 4)) wrong = "'box' is x0, y0, x1, y1";
        else samc__tool_box(q, corners);
    }
    if (wrong == NULL && mask != NULL) {
        if (mask->count != low * low || !samc__oip_numbers(mask, q->mask_input, low * low))
            wrong = "'mask_input' is of numbers [low_res, low_res]";
        else q->prompt.mask_input = q->mask_input;
    }
    if (wrong == NULL && several != NULL && (several->count != 1 || !samc__oip_numbers(several, &one, 1)))
        wrong = "'multimask_output' is one truth value";
    if (wrong == NULL && q->prompt.point_count == 0 && q->prompt.box == NULL && q->prompt.mask_input == NULL)
        wrong = "no prompt: give 'point_coords', 'box' or 'mask_input'";
    if (wrong != NULL) {
        samc__reply_error(r, MHD_HTTP_BAD_REQUEST, "%s", wrong);
        free(q);
        return false;
    }
    q->multimask = one != 0;
    r->question = q;
    return true;
}

static void ask(samc__request *r, samc_session *session) {
    (void)session;
    if (!samc__predict_submit(r)) samc__request_finish(r);
}

/* The image as a file's bytes, or as pixels. */
static void begin(samc__request *r, const samc__oip_input *image) {
    const bool pixels = image->type == SAMC__TENSOR_UINT8 && image->rank >= 3 && image->shape[image->rank - 1] == 3 &&
                        (image->rank == 3 || image->shape[0] == 1);
    const unsigned char *bytes = NULL;
    size_t size = 0;
    r->then = ask;
    r->give = give;
    if (image->type == SAMC__TENSOR_BYTES && image->bytes == NULL) {
        const json_t *text = image->data;
        while (json_is_array(text)) text = json_array_get(text, 0);
        if (samc__request_unpack(r, text, "image")) samc__picture_make(r);
        return;
    }
    if (!pixels && !samc__oip_string(image, &bytes, &size)) {
        samc__reply_error(r, MHD_HTTP_BAD_REQUEST, "'image' is of BYTES [1], a file, or of UINT8 [height, width, 3]");
        return;
    }
    if (pixels && image->count > 3 * r->serve->options.max_pixels) {
        samc__reply_error(r, MHD_HTTP_UNPROCESSABLE_CONTENT, "the image has %lld pixels; at most %lld are taken",
                          (long long)image->count / 3, (long long)r->serve->options.max_pixels);
        return;
    }
    if (pixels) size = (size_t)image->count;
    unsigned char *own = malloc(size > 0 ? size : 1);
    if (own == NULL) samc__reply_error(r, MHD_HTTP_SERVICE_UNAVAILABLE, "no memory for the image");
    else if (size == 0 || (pixels && !samc__oip_octets(image, own))) {
        samc__reply_error(r, MHD_HTTP_BAD_REQUEST, "'image' is empty, or not of numbers from 0 to 255");
        free(own);
    } else {
        const int64_t *shape = image->shape + image->rank - 3;
        const int height = pixels ? (int)shape[0] : 0, width = pixels ? (int)shape[1] : 0;
        if (!pixels) memcpy(own, bytes, size);
        free(r->body);
        r->body = (char *)own;
        r->size = r->room = size;
        if (!samc__request_hold(r, size)) return;
        if (pixels) samc__picture_take(r, width, height);
        else samc__picture_make(r);
    }
}

void samc__handle_inference(samc__request *r) {
    const char *header = samc__request_header(r, "Inference-Header-Content-Length");
    samc__oip all;
    if (!known_model(r)) return;
    const size_t length = header != NULL ? strlen(header) : 0;
    if (header != NULL && (length == 0 || length > 12 || strspn(header, "0123456789") != length)) {
        samc__reply_error(r, MHD_HTTP_BAD_REQUEST, "Inference-Header-Content-Length is no number");
        return;
    }
    const size_t head = header != NULL ? strtoull(header, NULL, 10) : r->size;
    if (!samc__json_affordable(r->body, head < r->size ? head : r->size)) {
        samc__reply_error(r, MHD_HTTP_CONTENT_TOO_LARGE, "the body has too many values");
        return;
    }
    const char *wrong = samc__oip_read(r->body, r->size, head, &all);
    const samc__oip_input *image = wrong == NULL ? samc__oip_find(&all, "image") : NULL;
    wanted *w = r->memo = calloc(1, sizeof *w);
    if (wrong == NULL && w == NULL) wrong = "no memory";
    if (wrong == NULL) wrong = read_outputs(all.json, w);
    if (wrong == NULL && image == NULL) wrong = "there is no input 'image'";
    if (wrong != NULL) samc__reply_error(r, MHD_HTTP_BAD_REQUEST, "%s", wrong);
    else if (read_question(r, &all)) begin(r, image);
    samc__oip_free(&all);
}
