/* Every mask of a picture, with progress for who wants to see it; the prompts of others go first. */
#include "host/serve/question.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct making {
    samc__request *request;
    json_t *masks;
    samc_error error;
} making;

static samc_status collect(void *context, int image, const samc_mask *masks, int count, const samc_auto_stats *stats) {
    making *m = context;
    (void)image, (void)stats;
    m->masks = json_array();
    for (int i = 0; i < count; i++) {
        const samc_mask *mask = samc_mask_at(masks, i);
        json_t *json = samc__mask_json(mask, m->request->question->shape, &m->error);
        if (json == NULL) return SAMC_OUT_OF_MEMORY;
        json_object_set_new(json, "point", json_pack("[f, f]", mask->point[0], mask->point[1]));
        if (json_array_append_new(m->masks, json) != 0) return SAMC_OUT_OF_MEMORY;
    }
    return SAMC_OK;
}

static samc_status hear(void *context, int image, int64_t done, int64_t total) {
    samc__request *r = context;
    (void)image;
    if (samc__request_gone(r)) return SAMC_STOPPED; /* asked while it sleeps, which the event ends */
    if (r->events != NULL)
        samc__events_send(r, "progress", json_pack("{s:I, s:I}", "done", (json_int_t)done, "total", (json_int_t)total));
    return samc__stages_give_way(r->serve) ? SAMC_OK : SAMC_STOPPED;
}

/* Options by amg.py's names, from JSON numbers; false and the reply given. */
static bool read_options(samc__request *r, json_t *json, samc_auto_options *options) {
    samc_error error = {0};
    for (int i = 0; samc_auto_option(i) != NULL; i++) {
        char key[64], text[40];
        snprintf(key, sizeof key, "%s", samc_auto_option(i));
        for (char *c = key; *c != '\0'; c++) *c = *c == '-' ? '_' : *c;
        const json_t *value = json_object_get(json, key);
        if (value == NULL) continue;
        const bool flag = strcmp(key, "use_m2m") == 0 || strcmp(key, "multimask_output") == 0;
        if (flag && json_is_boolean(value)) snprintf(text, sizeof text, "%d", json_is_true(value));
        else if (!flag && json_is_integer(value))
            snprintf(text, sizeof text, "%lld", (long long)json_integer_value(value));
        else if (!flag && json_is_real(value)) snprintf(text, sizeof text, "%.17g", json_real_value(value));
        else {
            samc__reply_error(r, MHD_HTTP_BAD_REQUEST, "'%s' is %s", key, flag ? "true or false" : "a number");
            return false;
        }
        if (samc_auto_set(options, key, text, &error) != SAMC_OK) {
            samc__reply_error(r, MHD_HTTP_BAD_REQUEST, "%s", error.message);
            return false;
        }
    }
    if (samc_auto_check(options, &error) == SAMC_OK) return true;
    samc__reply_error(r, MHD_HTTP_BAD_REQUEST, "%s", error.message);
    return false;
}

static void make(samc__request *r, samc_session *session) {
    making m = {.request = r};
    samc_auto_options options = r->question->automatic;
    options.progress = hear;
    options.progress_context = r;
    const samc__picture *p = r->picture;
    const samc_image image = {sizeof image, p->pixels, p->width, p->height, 3 * (ptrdiff_t)p->width};
    const samc_status status = samc_auto(session, &image, 1, &options, collect, &m);
    json_t *answer = status != SAMC_OK ? NULL
                                       : json_pack("{s:s, s:i, s:i, s:O}", "id", p->id, "width", p->width, "height",
                                                   p->height, "masks", m.masks);
    if (status == SAMC_OK) samc__metrics_add(r->serve, &r->serve->metrics.masks, (int64_t)json_array_size(m.masks));
    if (status != SAMC_OK)
        samc__reply_error(r, samc__status_of(status), "%s",
                          m.error.message[0] ? m.error.message : samc_last_error(session));
    if (r->events != NULL)
        samc__events_send(r, status == SAMC_OK ? "result" : "error",
                          status == SAMC_OK ? answer : json_loadb(r->reply.body, r->reply.size, 0, NULL));
    else if (status == SAMC_OK) samc__reply_json(r, MHD_HTTP_OK, answer);
    json_decref(m.masks);
    samc__metrics_seconds(r->serve, SAMC__AUTO, samc__serve_seconds() - r->began);
    samc__request_finish(r);
}

void samc__handle_auto(samc__request *r) {
    static const char *const shapes[] = {"rle", "counts", "png", NULL};
    const char *keys[40] = {"format"}, *accept = samc__request_header(r, "Accept");
    char names[38][64];
    samc_auto_options options = SAMC_INIT(samc_auto_options);
    for (int i = 0; samc_auto_option(i) != NULL && i < 38; i++) {
        snprintf(names[i], sizeof names[i], "%s", samc_auto_option(i));
        for (char *c = names[i]; *c != '\0'; c++) *c = *c == '-' ? '_' : *c;
        keys[i + 1] = names[i];
    }
    json_t *json = samc__request_json(r, keys);
    if (json == NULL) return;
    const json_t *format = json_object_get(json, "format");
    int shape = 0;
    while (format != NULL && shapes[shape] != NULL &&
           (!json_is_string(format) || strcmp(shapes[shape], json_string_value(format)) != 0))
        shape++;
    samc_default_auto_options(r->serve->options.model, &options);
    if (shapes[shape] == NULL) samc__reply_error(r, MHD_HTTP_BAD_REQUEST, "'format' is rle, counts or png");
    else if (read_options(r, json, &options)) r->picture = samc__request_picture(r);
    json_decref(json);
    if (r->picture == NULL) return;
    if (r->picture->pixels == NULL) {
        samc__reply_error(r, MHD_HTTP_CONFLICT, "of this image only the embedding is here; send the image itself");
        return;
    }
    r->question = calloc(1, sizeof *r->question);
    if (r->question == NULL) {
        samc__reply_error(r, MHD_HTTP_SERVICE_UNAVAILABLE, "no memory");
        return;
    }
    r->question->shape = (samc__shape)shape;
    r->question->automatic = options;
    if (accept != NULL && strstr(accept, "text/event-stream") != NULL) samc__events_begin(r);
    if (!samc__stage_submit(r, SAMC__AUTO, make)) samc__events_free(r); /* the refusal is an ordinary reply */
}
