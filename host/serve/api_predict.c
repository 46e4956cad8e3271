/* Prompts: those of all who wait are decoded together. */
#include "host/serve/question.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TOGETHER = 64 };

/* ---- Replies --------------------------------------------------------------------------------- */

static void reply_logits(samc__request *r, const samc_result *result, int prompt, int first, int count) {
    const size_t each = (size_t)r->serve->info.low_res * (size_t)r->serve->info.low_res, size = each * (size_t)count;
    const float *logits =
        samc_result_logits(result) + ((size_t)prompt * (size_t)samc_result_masks(result) + (size_t)first) * each;
    const float *iou = samc_result_iou(result) + prompt * samc_result_masks(result) + first;
    int8_t *bytes = malloc(size);
    char scores[64];
    int used = 0;
    if (bytes == NULL) {
        samc__reply_error(r, MHD_HTTP_SERVICE_UNAVAILABLE, "no memory for the reply");
        return;
    }
    for (size_t i = 0; i < size; i++)
        bytes[i] = (int8_t)lrintf(fmaxf(-127.0f, fminf(127.0f, logits[i] / SAMC__LOGIT_STEP)));
    for (int i = 0; i < count && used < (int)sizeof scores - 16; i++)
        used += snprintf(scores + used, sizeof scores - (size_t)used, "%s%.4f", i > 0 ? "," : "", (double)iou[i]);
    samc__reply_header(r, "Samc-Shape", "%d,%d,%d", count, r->serve->info.low_res, r->serve->info.low_res);
    samc__reply_header(r, "Samc-Scale", "%g", (double)SAMC__LOGIT_STEP);
    samc__reply_header(r, "Samc-Scores", "%s", scores);
    samc__reply_bytes(r, MHD_HTTP_OK, "application/octet-stream", bytes, size);
}

static void reply_masks(samc__request *r, samc_session *session, samc_result *result, int prompt, int first,
                        int count) {
    const int masks = samc_result_masks(result), low = r->serve->info.low_res;
    const size_t each = (size_t)low * (size_t)low;
    const float *logits = samc_result_logits(result) + (size_t)prompt * (size_t)masks * each;
    const int64_t number = samc__picture_remember(r->picture, logits, masks, low);
    samc_error error = {0};
    json_t *list = json_array();
    for (int i = first; i < first + count; i++) {
        samc_mask mask = SAMC_INIT(samc_mask);
        json_t *json = NULL;
        if (samc_result_mask(session, result, prompt, i, &mask) == SAMC_OK)
            json = samc__mask_json(&mask, r->question->shape, &error);
        else snprintf(error.message, sizeof error.message, "%s", samc_last_error(session));
        if (json == NULL) {
            samc__reply_error(r, MHD_HTTP_INTERNAL_SERVER_ERROR, "%s", error.message[0] ? error.message : "no memory");
            json_decref(list);
            return;
        }
        if (number > 0) json_object_set_new(json, "mask_id", json_pack("[I, i]", (json_int_t)number, i));
        json_array_append_new(list, json);
    }
    samc__reply_json(r, MHD_HTTP_OK,
                     json_pack("{s:s, s:i, s:i, s:i, s:o}", "id", r->picture->id, "width", r->picture->width, "height",
                               r->picture->height, "best", samc_result_best(result, prompt) - first, "masks", list));
}

static void reply(samc__request *r, samc_session *session, samc_result *result, int prompt) {
    const samc__question *q = r->question;
    const int best = samc_result_best(result, prompt), first = q->best ? best : 0,
              count = q->best ? 1 : samc_result_masks(result);
    if (r->give != NULL) r->give(r, session, result, prompt);
    else if (q->shape == SAMC__SHAPE_LOGITS) reply_logits(r, result, prompt, first, count);
    else reply_masks(r, session, result, prompt, first, count);
    samc__metrics_add(r->serve, &r->serve->metrics.masks, count);
}

/* ---- Together -------------------------------------------------------------------------------- */

typedef struct batch {
    int count, embedding_count;
    samc__request *request[TOGETHER];
    samc_prompt prompt[TOGETHER];
    samc_embedding *embedding[TOGETHER];
} batch;

static int compare(const void *left, const void *right) {
    const samc__request *a = *(samc__request *const *)left, *b = *(samc__request *const *)right;
    const int images = strcmp(a->picture->id, b->picture->id);
    const samc_prompt *p = &a->question->prompt, *q = &b->question->prompt;
    if (images != 0) return images;
    return 4 * ((p->mask_input != NULL) - (q->mask_input != NULL)) + 2 * ((p->box != NULL) - (q->box != NULL)) +
           (p->point_count > q->point_count) - (p->point_count < q->point_count);
}

/* Those of a picture next to each other, which go through the decoder together. */
static void arrange(batch *b) {
    qsort(b->request, (size_t)b->count, sizeof *b->request, compare);
    b->embedding_count = 0;
    for (int i = 0; i < b->count; i++) {
        samc_embedding *own = b->request[i]->picture->embedding;
        if (b->embedding_count == 0 || b->embedding[b->embedding_count - 1] != own)
            b->embedding[b->embedding_count++] = own;
        b->prompt[i] = b->request[i]->question->prompt;
        b->prompt[i].image = b->embedding_count - 1;
    }
}

static void answer(batch *b, samc_session *session) {
    samc_result *result = NULL;
    samc__serve *serve = b->request[0]->serve;
    arrange(b);
    const samc_status status = samc_predict_on(session, b->embedding, b->embedding_count, b->prompt, b->count,
                                               b->request[0]->question->multimask, &result);
    if (status != SAMC_OK && b->count > 1) { /* one of them is at fault: each by itself */
        for (int i = 0; i < b->count; i++) answer(&(batch){.count = 1, .request = {b->request[i]}}, session);
        return;
    }
    samc__metrics_add(serve, &serve->metrics.batches, 1);
    samc__metrics_add(serve, &serve->metrics.prompts, b->count);
    for (int i = 0; i < b->count; i++) {
        samc__request *r = b->request[i];
        if (status == SAMC_OK) reply(r, session, result, i);
        else samc__reply_error(r, samc__status_of(status), "%s", samc_last_error(session));
        samc__metrics_seconds(serve, SAMC__PREDICT, samc__serve_seconds() - r->began);
        samc__request_finish(r);
    }
    samc_result_free(result);
}

static void predict(samc__request *r, samc_session *session);

static bool goes_along(const samc__request *r, const void *first) {
    return r->work == predict && r->question->multimask == ((const samc__request *)first)->question->multimask;
}

static void predict(samc__request *r, samc_session *session) {
    batch b = {.count = 1, .request = {r}};
    samc__request *next;
    while (b.count < TOGETHER && (next = samc__stage_take(r->serve, SAMC__PREDICT, goes_along, r)) != NULL)
        b.request[b.count++] = next;
    answer(&b, session);
}

bool samc__predict_submit(samc__request *r) { return samc__stage_submit(r, SAMC__PREDICT, predict); }

void samc__handle_predict(samc__request *r) {
    static const char *const keys[] = {"points",    "labels", "box",    "mask_id", "mask_input",
                                       "multimask", "best",   "format", NULL};
    json_t *json = samc__request_json(r, keys);
    if (json == NULL) return;
    r->picture = samc__request_picture(r);
    if (r->picture != NULL) r->question = samc__question_read(r, json, r->picture);
    json_decref(json);
    if (r->question != NULL) samc__predict_submit(r);
}
