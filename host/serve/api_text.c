/* Phrases: found by the detector in what it made of a picture once, then masks on the picture's embedding. */
#include "host/serve/search.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- Phrases that were encoded --------------------------------------------------------------- */

enum { KEPT = 1024 };   /* phrases, a few MB */
enum { TOGETHER = 16 }; /* of those that are encoded; then comes a look at whether somebody waits for them */

/* The stage's thread alone reads and writes it. */
struct samc__book {
    samc_phrases *phrase[KEPT]; /* one each, the last used first */
    int count;
};

/* Moves the entry to the front. */
static samc_phrases *to_front(samc__book *book, int at) {
    samc_phrases *p = book->phrase[at];
    memmove(book->phrase + 1, book->phrase, (size_t)at * sizeof *book->phrase);
    return book->phrase[0] = p;
}

static samc_phrases *look_up(samc__book *book, const char *text) {
    for (int i = 0; i < book->count; i++)
        if (strcmp(samc_phrases_text(book->phrase[i], 0), text) == 0) return to_front(book, i);
    return NULL;
}

static void keep(samc__book *book, samc_phrases *one) {
    if (book->count == KEPT) samc_phrases_free(book->phrase[--book->count]);
    book->phrase[book->count++] = one;
    to_front(book, book->count - 1);
}

void samc__book_free(samc__book *book) {
    for (int i = 0; book != NULL && i < book->count; i++) samc_phrases_free(book->phrase[i]);
    free(book);
}

/* SAMC_STOPPED where nobody waits for the answer any more. */
static samc_status go_on(samc__request *r, samc_error *error) {
    const bool gone = samc__request_gone(r);
    if (!gone && samc__stages_give_way(r->serve)) return SAMC_OK;
    *error = (samc_error){SAMC_STOPPED, ""};
    snprintf(error->message, sizeof error->message, gone ? "the client is gone" : "the server stops");
    return SAMC_STOPPED;
}

/* The phrases of a search, of which only those are encoded that were not before, some at a time. */
static samc_status encode(samc__request *r, samc_phrases **phrases, samc_error *error) {
    const samc__search *q = r->search;
    samc__book *book = r->serve->book;
    if (book == NULL) book = r->serve->book = calloc(1, sizeof *book);
    if (book == NULL) {
        *error = (samc_error){SAMC_OUT_OF_MEMORY, "no memory for phrases"};
        return error->status;
    }
    const char *missing[SAMC__SEARCH_PHRASES];
    const samc_phrases *from[SAMC__SEARCH_PHRASES];
    int index[SAMC__SEARCH_PHRASES], of[SAMC__SEARCH_PHRASES], fresh = 0; /* of: which of the missing it is, or -1 */
    samc_phrases *made[SAMC__SEARCH_PHRASES / TOGETHER + 1] = {NULL};
    samc_status status = SAMC_OK;
    for (int i = 0; i < q->count; i++) {
        from[i] = look_up(book, q->text[i]);
        index[i] = 0, of[i] = from[i] == NULL ? fresh : -1;
        if (from[i] == NULL) missing[fresh++] = q->text[i];
    }
    for (int i = 0; i < fresh && status == SAMC_OK; i += TOGETHER) {
        const int count = fresh - i < TOGETHER ? fresh - i : TOGETHER;
        status = go_on(r, error);
        if (status == SAMC_OK)
            status =
                samc_phrases_create(r->serve->options.detector, missing + i, count, NULL, &made[i / TOGETHER], error);
    }
    for (int i = 0; i < q->count; i++)
        if (of[i] >= 0) from[i] = made[of[i] / TOGETHER], index[i] = of[i] % TOGETHER;
    if (status == SAMC_OK) status = samc_phrases_pick(from, index, q->count, phrases, error);
    for (int i = 0; i < fresh && status == SAMC_OK; i++) {
        const samc_phrases *const some = made[i / TOGETHER];
        const int at = i % TOGETHER;
        samc_phrases *one = NULL;
        if (look_up(book, samc_phrases_text(some, at)) == NULL &&
            samc_phrases_pick(&some, &at, 1, &one, NULL) == SAMC_OK)
            keep(book, one);
    }
    for (int i = 0; i < fresh; i += TOGETHER) samc_phrases_free(made[i / TOGETHER]);
    return status;
}

/* ---- The search ------------------------------------------------------------------------------ */

static samc_status hand_over(void *context, int image, const samc_mask *masks, int count,
                             const samc_auto_stats *stats) {
    samc__request *r = context;
    (void)image, (void)stats;
    r->found(r, masks, count);
    samc__metrics_add(r->serve, &r->serve->metrics.masks, count);
    return SAMC_OK;
}

static samc_status hear(void *context, int image, int64_t done, int64_t total) {
    samc_error error;
    (void)image, (void)done, (void)total;
    return go_on(context, &error);
}

static samc_status find(samc__request *r, samc_session *session, samc_error *error) {
    samc__picture *p = r->picture;
    const samc_image image = {sizeof image, p->pixels, p->width, p->height, 3 * (ptrdiff_t)p->width};
    samc_phrases *phrases = NULL;
    samc_status status = encode(r, &phrases, error);
    if (status == SAMC_OK) status = go_on(r, error);
    if (status == SAMC_OK && p->scene == NULL) {
        samc_scene *scene = NULL;
        status = samc_scene_create(r->serve->options.detector, &image, &scene, error);
        if (status == SAMC_OK) samc__pictures_give(&r->serve->pictures, p, scene);
    }
    samc_text_options options = r->search->options;
    options.progress = hear, options.progress_context = r;
    if (status == SAMC_OK) status = go_on(r, error);
    if (status == SAMC_OK)
        status = samc_text_on(session, p->embedding, p->scene, phrases, &options, hand_over, r, error);
    samc_phrases_free(phrases);
    return status;
}

static void search(samc__request *r, samc_session *session) {
    samc_error error = {0};
    if (find(r, session, &error) != SAMC_OK) samc__reply_failure(r, &error);
    samc__metrics_seconds(r->serve, SAMC__TEXT, samc__serve_seconds() - r->began);
    samc__request_finish(r);
}

bool samc__search_submit(samc__request *r) {
    if (r->picture->pixels != NULL) return samc__stage_submit(r, SAMC__TEXT, search);
    samc__reply_error(r, MHD_HTTP_CONFLICT, "of this image only the embedding is here; send the image itself");
    return false;
}

/* ---- What is looked for ---------------------------------------------------------------------- */

samc__search *samc__search_new(samc__request *r, int count) {
    if (r->serve->options.detector == NULL) {
        samc__reply_error(r, MHD_HTTP_NOT_IMPLEMENTED, "no detector is loaded (samc serve --detector FILE)");
        return NULL;
    }
    if (count < 1 || count > SAMC__SEARCH_PHRASES) {
        samc__reply_error(r, MHD_HTTP_BAD_REQUEST, "give 1 to %d phrases", SAMC__SEARCH_PHRASES);
        return NULL;
    }
    r->search = calloc(1, sizeof *r->search + (size_t)count * sizeof r->search->text[0]);
    if (r->search == NULL) {
        samc__reply_error(r, MHD_HTTP_SERVICE_UNAVAILABLE, "no memory for the phrases");
        return NULL;
    }
    r->search->room = count;
    r->search->options.size = sizeof r->search->options;
    samc_default_text_options(&r->search->options);
    return r->search;
}

bool samc__search_add(samc__request *r, const char *text, size_t length) {
    while (length > 0 && strchr(" \t\r\n\v\f", *text) != NULL) text++, length--;
    while (length > 0 && strchr(" \t\r\n\v\f", text[length - 1]) != NULL) length--;
    if (length == 0 || length > SAMC__SEARCH_LENGTH || r->search->count == r->search->room) {
        samc__reply_error(r, MHD_HTTP_BAD_REQUEST, "a phrase has 1 to %d bytes", SAMC__SEARCH_LENGTH);
        return false;
    }
    memcpy(r->search->text[r->search->count++], text, length);
    return true;
}

bool samc__search_read(samc__request *r, const json_t *phrases, const char *key) {
    const size_t count = json_array_size(phrases);
    if (r->serve->options.detector != NULL && (count == 0 || count > SAMC__SEARCH_PHRASES)) {
        samc__reply_error(r, MHD_HTTP_BAD_REQUEST, "'%s' is a list of 1 to %d phrases", key, SAMC__SEARCH_PHRASES);
        return false;
    }
    if (samc__search_new(r, (int)count) == NULL) return false;
    for (size_t i = 0; i < count; i++) {
        const json_t *phrase = json_array_get(phrases, i);
        if (!json_is_string(phrase)) {
            samc__reply_error(r, MHD_HTTP_BAD_REQUEST, "'%s' is a list of strings", key);
            return false;
        }
        if (!samc__search_add(r, json_string_value(phrase), json_string_length(phrase))) return false;
    }
    return true;
}

/* ---- /v1/images/{id}/text -------------------------------------------------------------------- */

static json_t *one(const samc__request *r, const samc_mask *mask, samc_error *error) {
    json_t *json = r->search->options.boxes_only ? json_object() : samc__mask_json(mask, r->search->shape, error);
    json_t *more = json_pack("{s:s, s:i, s:f, s:[f, f, f, f], s:[f, f]}", "label", mask->label, "phrase", mask->phrase,
                             "score", (double)mask->score, "box", (double)mask->box[0], (double)mask->box[1],
                             (double)mask->box[2], (double)mask->box[3], "point", mask->point[0], mask->point[1]);
    if (json == NULL || more == NULL || json_object_update(json, more) != 0) {
        json_decref(json);
        json = NULL;
    }
    json_decref(more);
    return json;
}

static void give(samc__request *r, const samc_mask *masks, int count) {
    samc_error error = {0};
    json_t *list = json_array();
    for (int i = 0; i < count; i++) {
        json_t *json = one(r, samc_mask_at(masks, i), &error);
        if (json == NULL || json_array_append_new(list, json) != 0) {
            samc__reply_error(r, MHD_HTTP_SERVICE_UNAVAILABLE, "%s", error.message[0] ? error.message : "no memory");
            json_decref(list);
            return;
        }
    }
    samc__reply_json(r, MHD_HTTP_OK,
                     json_pack("{s:s, s:i, s:i, s:o}", "id", r->picture->id, "width", r->picture->width, "height",
                               r->picture->height, "masks", list));
}

static bool share(const json_t *json, double most, double *value) {
    if (json == NULL) return true;
    *value = json_number_value(json);
    return json_is_number(json) && isfinite(*value) && *value >= 0 && *value <= most;
}

static const char *read_options(const json_t *json, samc__search *q) {
    static const char *const shapes[] = {"rle", "counts", "png", "none", NULL};
    const json_t *format = json_object_get(json, "format"), *top = json_object_get(json, "top"),
                 *boxes = json_object_get(json, "boxes_only");
    int shape = 0;
    if (!share(json_object_get(json, "threshold"), 0.999999, &q->options.threshold))
        return "'threshold' is a number from 0 on and below 1";
    if (!share(json_object_get(json, "nms"), 1000, &q->options.nms)) return "'nms' is a number from 0 on";
    if (top != NULL && (!json_is_integer(top) || json_integer_value(top) < 0 || json_integer_value(top) > 1000000))
        return "'top' is a whole number from 0 on";
    if (boxes != NULL && !json_is_boolean(boxes)) return "'boxes_only' is true or false";
    while (format != NULL && shapes[shape] != NULL &&
           (!json_is_string(format) || strcmp(shapes[shape], json_string_value(format)) != 0))
        shape++;
    if (shapes[shape] == NULL) return "'format' is rle, counts, png or none";
    q->options.top = (int)json_integer_value(top);
    q->options.boxes_only = json_is_true(boxes);
    q->shape = (samc__shape)shape;
    return NULL;
}

void samc__handle_text(samc__request *r) {
    static const char *const keys[] = {"phrases", "threshold", "nms", "top", "boxes_only", "format", NULL};
    json_t *json = samc__request_json(r, keys);
    if (json == NULL) return;
    const bool good = samc__search_read(r, json_object_get(json, "phrases"), "phrases");
    const char *wrong = good ? read_options(json, r->search) : NULL;
    json_decref(json);
    if (!good) return;
    if (wrong != NULL) {
        samc__reply_error(r, MHD_HTTP_BAD_REQUEST, "%s", wrong);
        return;
    }
    r->picture = samc__request_picture(r);
    r->found = give;
    if (r->picture != NULL) samc__search_submit(r);
}
