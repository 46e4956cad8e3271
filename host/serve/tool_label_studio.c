/* Label Studio's machine learning backend (label_studio/ml/api_connector.py of Label Studio 1.23): its smart tools send
 * a click or a rectangle in percent, and where the image is; they get a brush stroke or a polygon. Images come as data
 * URIs, from files below --media-root, or from addresses that --fetch-host allows. */
#include "host/serve/fetch.h"
#include "host/serve/label_config.h"
#include "host/serve/rle_pack.h"
#include "host/serve/tools.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

enum { FETCH_SECONDS = 60, LONGEST_ADDRESS = 4096 };
#define FINENESS 0.005 /* of polygons, as a share of their length: what its own examples take */

/* Of a request, in its memo. */
typedef struct task {
    samc__label_config config;
    bool local; /* `where` is a path below --media-root */
    char token[SAMC__STUDIO_TOKEN];
    char label[256];
    char where[LONGEST_ADDRESS];
} task;

static json_t *version(const samc__request *r) {
    return json_sprintf("samc (%s)", r->serve->info.name[0] ? r->serve->info.name : "SAM");
}

/* ---- Setup ----------------------------------------------------------------------------------- */

static bool printable(const char *text) {
    for (; *text != '\0'; text++)
        if (*text <= ' ' || *text > '~') return false;
    return true;
}

/* Who it is that asks, for addresses that are relative to it, and the token that it takes for them. */
static void remember(samc__serve *serve, const char *host, const char *token) {
    char origin[SAMC__ORIGIN];
    samc__studios *all = &serve->studios;
    size_t length = strlen(host);
    while (length > 0 && host[length - 1] == '/') length--;
    if (length >= sizeof all->known->base || strlen(token) >= sizeof all->known->token || !printable(host) ||
        !printable(token) || (strncmp(host, "http://", 7) != 0 && strncmp(host, "https://", 8) != 0) ||
        !samc__fetch_origin(host, origin))
        return;
    pthread_mutex_lock(&all->lock);
    samc__studio *to = NULL;
    for (int i = 0; i < SAMC__STUDIOS; i++)
        if (strcmp(all->known[i].origin, origin) == 0) to = &all->known[i];
    if (to == NULL) {
        to = &all->known[all->next];
        all->next = (all->next + 1) % SAMC__STUDIOS;
    }
    snprintf(to->origin, sizeof to->origin, "%s", origin);
    snprintf(to->base, sizeof to->base, "%.*s", (int)length, host);
    snprintf(to->token, sizeof to->token, "%s", token);
    all->last = (int)(to - all->known);
    pthread_mutex_unlock(&all->lock);
}

void samc__handle_studio_setup(samc__request *r) {
    json_t *json = samc__request_json(r, NULL);
    if (json == NULL) return;
    const char *host = json_string_value(json_object_get(json, "hostname")),
               *token = json_string_value(json_object_get(json, "access_token"));
    if (host != NULL) remember(r->serve, host, token != NULL ? token : "");
    samc__reply_json(r, MHD_HTTP_OK, json_pack("{s:o}", "model_version", version(r)));
    json_decref(json);
}

/* Nothing is learnt from annotations; told of them, it says so. */
void samc__handle_studio_event(samc__request *r) {
    samc__reply_json(r, MHD_HTTP_CREATED, json_pack("{s:s}", "status", "ok"));
}

void samc__handle_studio_versions(samc__request *r) {
    samc__reply_json(r, MHD_HTTP_OK, json_pack("{s:[o]}", "versions", version(r)));
}

/* ---- Where the image is ---------------------------------------------------------------------- */

static int hexadecimal(char c) {
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
}

/* The value of d= in the query of a path, without its percent signs; false: there is none, or no room. */
static bool local_path(const char *address, char to[LONGEST_ADDRESS]) {
    const char *from = strchr(address, '?');
    size_t used = 0;
    while (from != NULL && strncmp(from + 1, "d=", 2) != 0) from = strchr(from + 1, '&');
    if (from == NULL) return false;
    for (from += 3; *from != '\0' && *from != '&' && *from != '#'; from++) {
        const int high = *from == '%' ? hexadecimal(from[1]) : -1, low = high >= 0 ? hexadecimal(from[2]) : -1;
        if (used == LONGEST_ADDRESS - 1 || (low >= 0 && high + low == 0)) return false;
        to[used++] = low >= 0 ? (char)(16 * high + low) : *from == '+' ? ' ' : *from;
        from += low >= 0 ? 2 : 0;
    }
    to[used] = '\0';
    return used > 0;
}

/* The address of a path of Label Studio's, by the one that was heard of last, else the first of --fetch-host. */
static bool complete(samc__serve *serve, const char *path, char to[LONGEST_ADDRESS]) {
    samc__studios *all = &serve->studios;
    const char *first = serve->options.fetch_hosts[0];
    pthread_mutex_lock(&all->lock);
    const samc__studio *s = &all->known[all->last];
    const char *slash = s->base[0] != '\0' ? strchr(strstr(s->base, "://") + 3, '/') : NULL;
    int length = 0;
    if (s->base[0] != '\0') { /* with the path that it is below, unless that is there */
        const size_t deep = slash != NULL ? strlen(slash) : 0;
        const bool there = deep > 0 && strncmp(path, slash, deep) == 0 && path[deep] == '/';
        length = snprintf(to, LONGEST_ADDRESS, "%.*s%s", (int)(there ? slash - s->base : (long)strlen(s->base)),
                          s->base, path);
    } else if (first != NULL) length = snprintf(to, LONGEST_ADDRESS, "http://%s%s", first, path);
    pthread_mutex_unlock(&all->lock);
    return length > 0 && length < LONGEST_ADDRESS;
}

/* The token for an address: that of the file for the first --fetch-host, else the one that came from there. */
static void find_token(samc__serve *serve, task *t) {
    char origin[SAMC__ORIGIN];
    const samc__serve_options *o = &serve->options;
    samc__studios *all = &serve->studios;
    if (!samc__fetch_origin(t->where, origin)) return;
    if (o->studio_token != NULL && o->fetch_hosts[0] != NULL && samc__fetch_matches(o->fetch_hosts[0], t->where)) {
        snprintf(t->token, sizeof t->token, "%s", o->studio_token);
        return;
    }
    pthread_mutex_lock(&all->lock);
    for (int i = 0; i < SAMC__STUDIOS; i++)
        if (strcmp(all->known[i].origin, origin) == 0) memcpy(t->token, all->known[i].token, sizeof t->token);
    pthread_mutex_unlock(&all->lock);
}

static const char *locate(samc__serve *serve, const char *address, task *t) {
    static const char local[] = "/data/local-files/";
    if (strlen(address) >= LONGEST_ADDRESS) return "the image's address is too long";
    if (*address == '/' && serve->options.media_root != NULL && strncmp(address, local, sizeof local - 1) == 0) {
        t->local = true;
        return local_path(address, t->where) ? NULL : "the image's address has no ?d=PATH";
    }
    if (*address != '/') snprintf(t->where, sizeof t->where, "%s", address);
    else if (!complete(serve, address, t->where))
        return "the image's address is relative, and it is not known to what: Label Studio has not called /setup, and "
               "there is no --fetch-host";
    find_token(serve, t);
    return NULL;
}

static bool unwanted(void *request) {
    samc__request *r = request;
    return samc__stages_stopping(r->serve) || samc__request_gone(r);
}

/* In the fetch stage: the body becomes the image's bytes. */
static void fetch(samc__request *r, samc_session *session) {
    const task *t = r->memo;
    const samc__serve_options *o = &r->serve->options;
    const samc__fetch_rules rules = {o->fetch_hosts, o->body_bytes, FETCH_SECONDS, unwanted, r};
    samc_error error = {0};
    void *bytes = NULL;
    size_t size = 0;
    (void)session;
    const samc_status status =
        t->local ? samc__fetch_file(o->media_root, t->where, o->body_bytes, &bytes, &size, &error)
                 : samc__fetch_get(&rules, t->where, t->token[0] ? t->token : NULL, &bytes, &size, &error);
    if (status == SAMC_OK) {
        free(r->body);
        r->body = bytes;
        r->size = r->room = size;
        if (samc__request_hold(r, size) && samc__picture_make(r)) return;
    } else samc__reply_failure(r, &error);
    samc__request_finish(r);
}

/* ---- Prompts --------------------------------------------------------------------------------- */

static bool percent(const json_t *value, const char *key, float *to) {
    const json_t *json = json_object_get(value, key);
    const double number = json_is_number(json) ? json_number_value(json) : -1e9;
    *to = (float)number;
    return number >= -1000 && number <= 1000;
}

/* A region that was drawn. The first says which label is meant. */
static bool read_region(samc__question *q, task *t, const json_t *region) {
    const char *type = json_string_value(json_object_get(region, "type"));
    const json_t *value = json_object_get(region, "value"), *positive = json_object_get(region, "is_positive");
    const char *label = type != NULL ? json_string_value(json_array_get(json_object_get(value, type), 0)) : NULL;
    float corner[4];
    if (type == NULL || !percent(value, "x", &corner[0]) || !percent(value, "y", &corner[1])) return false;
    if (t->label[0] == '\0' && label != NULL && strlen(label) < sizeof t->label) strcpy(t->label, label);
    if (strncmp(type, "rectangle", 9) == 0) {
        if (!percent(value, "width", &corner[2]) || !percent(value, "height", &corner[3])) return false;
        corner[2] += corner[0], corner[3] += corner[1];
        samc__tool_box(q, corner);
        return true;
    }
    const bool background = json_is_false(positive) || (json_is_integer(positive) && json_integer_value(positive) == 0);
    samc_prompt *p = &q->prompt;
    if (strncmp(type, "keypoint", 8) != 0 || p->point_count == SAMC__QUESTION_POINTS) return false;
    memcpy(q->points + 2 * p->point_count, corner, 2 * sizeof *corner);
    q->labels[p->point_count++] = background ? 0 : 1;
    p->points = q->points;
    p->labels = q->labels;
    return true;
}

/* Percent become pixels when the size is known. */
static void ask(samc__request *r, samc_session *session) {
    samc__question *q = r->question;
    const float x = (float)r->picture->width / 100, y = (float)r->picture->height / 100;
    (void)session;
    for (int i = 0; i < q->prompt.point_count; i++) q->points[2 * i] *= x, q->points[2 * i + 1] *= y;
    q->box[0] *= x, q->box[1] *= y, q->box[2] *= x, q->box[3] *= y;
    if (!samc__predict_submit(r)) samc__request_finish(r);
}

static void look(samc__request *r, samc_session *session) {
    (void)session;
    if (!samc__search_submit(r)) samc__request_finish(r);
}

/* ---- Answers --------------------------------------------------------------------------------- */

static json_t *shape_of(const samc_mask *mask, const char *label, samc_error *error) {
    json_t *points = samc__tool_outline(mask, FINENESS, 100.0 / mask->width, 100.0 / mask->height, error);
    return points == NULL ? NULL
                          : json_pack("{s:o, s:b, s:[s]}", "points", points, "closed", 1, "polygonlabels", label);
}

/* The packed form as text: as numbers of Jansson it would take a hundred times its room. */
static char *packed(const samc_mask *mask, samc_error *error) {
    const size_t pixels = (size_t)mask->width * (size_t)mask->height;
    uint8_t *bytes = malloc(pixels);
    char *text = bytes != NULL && samc_mask_bytes(mask, bytes, error) == SAMC_OK ? samc__rle_pack(bytes, pixels) : NULL;
    free(bytes);
    return text;
}

/* A region, on its way to a text; false without memory, or with *error set. The packed form is put where the value
 * begins. */
static bool put_region(samc__request *r, FILE *to, const samc_mask *mask, const char *label, double score,
                       samc_error *error) {
    static const char start[] = "{\"value\":{";
    const task *t = r->memo;
    char *rle = t->config.brush ? packed(mask, error) : NULL, id[20];
    json_t *value = !t->config.brush ? shape_of(mask, label, error)
                    : rle != NULL    ? json_pack("{s:s, s:[s]}", "format", "rle", "brushlabels", label)
                                     : NULL;
    uint64_t number = 0;
    if (getrandom(&number, sizeof number, 0) != sizeof number) number = (uint64_t)(uintptr_t)mask;
    snprintf(id, sizeof id, "%016llx", (unsigned long long)number);
    json_t *json = value == NULL
                       ? NULL
                       : json_pack("{s:o, s:s, s:s, s:s, s:s, s:i, s:i, s:i, s:f, s:b}", "value", value, "id", id,
                                   "type", t->config.brush ? "brushlabels" : "polygonlabels", "from_name",
                                   t->config.from, "to_name", t->config.to, "original_width", mask->width,
                                   "original_height", mask->height, "image_rotation", 0, "score", score, "readonly", 0);
    char *text = json != NULL ? json_dumps(json, JSON_COMPACT | JSON_REAL_PRECISION(9)) : NULL;
    const int behind = (int)sizeof start - 1;
    if (text != NULL && rle != NULL) fprintf(to, "%s\"rle\":%s,%s", start, rle, text + behind);
    else if (text != NULL) fputs(text, to);
    const bool good = text != NULL;
    free(text);
    free(rle);
    json_decref(json);
    return good;
}

/* The reply around regions: of as many masks as there are, with labels of their own or the one of the click. */
static void reply(samc__request *r, const samc_mask *masks, int count, double score) {
    const task *t = r->memo;
    samc_error error = {0};
    char *body = NULL, *name = NULL;
    size_t size = 0;
    int put = 0;
    json_t *json = version(r);
    FILE *to = open_memstream(&body, &size);
    bool good = to != NULL && (name = json_dumps(json, JSON_ENCODE_ANY)) != NULL;
    if (good) fputs("{\"results\":[{\"result\":[", to);
    for (int i = 0; i < count && good; i++) {
        const samc_mask *mask = samc_mask_at(masks, i);
        if (mask->area == 0) continue;
        if (put++ > 0) fputc(',', to);
        good = put_region(r, to, mask, mask->label != NULL ? mask->label : t->label,
                          mask->label != NULL ? (double)mask->score : score, &error);
    }
    if (good) fprintf(to, "],\"score\":%.9g,\"model_version\":%s}],\"model_version\":%s}", score, name, name);
    if (to != NULL && (ferror(to) | fclose(to)) != 0) good = false;
    if (good) {
        samc__reply_bytes(r, MHD_HTTP_OK, "application/json", body, size);
        body = NULL;
    } else samc__reply_error(r, MHD_HTTP_SERVICE_UNAVAILABLE, "%s", error.message[0] ? error.message : "no memory");
    free(body);
    free(name);
    json_decref(json);
}

static void give(samc__request *r, samc_session *session, samc_result *result, int prompt) {
    samc_mask mask;
    if (samc__tool_best(r, session, result, prompt, &mask)) reply(r, &mask, 1, (double)mask.predicted_iou);
}

static void give_all(samc__request *r, const samc_mask *masks, int count) {
    reply(r, masks, count, count > 0 ? (double)samc_mask_at(masks, 0)->score : 0);
}

/* ---- Predictions ----------------------------------------------------------------------------- */

/* The image of a task's data, sent or to be fetched. */
static void begin(samc__request *r, const json_t *data) {
    task *t = r->memo;
    const json_t *image = json_object_get(data, t->config.value);
    const char *address = json_string_value(image);
    r->then = r->search != NULL ? look : ask;
    r->give = give;
    r->found = give_all;
    if (address == NULL) samc__reply_error(r, MHD_HTTP_BAD_REQUEST, "the task's data has no '%s'", t->config.value);
    else if (strncmp(address, "data:", 5) == 0) {
        if (samc__request_unpack(r, image, t->config.value)) samc__picture_make(r);
    } else {
        const char *wrong = locate(r->serve, address, t);
        if (wrong != NULL) samc__reply_error(r, MHD_HTTP_BAD_REQUEST, "%s", wrong);
        else samc__stage_submit(r, SAMC__FETCH, fetch);
    }
}

static bool read_prompts(samc__request *r, const json_t *regions) {
    if (samc__tool_question(r) == NULL) return false;
    for (size_t i = 0; i < json_array_size(regions); i++)
        if (!read_region(r->question, r->memo, json_array_get(regions, i))) {
            samc__reply_error(r, MHD_HTTP_BAD_REQUEST, "region %zu is neither a key point nor a rectangle", i);
            return false;
        }
    return samc__tool_settle(r);
}

/* Without a click the labels are phrases, where there is a detector; false and the reply given. */
static bool read_labels(samc__request *r) {
    const samc__label_config *config = &((const task *)r->memo)->config;
    if (samc__search_new(r, config->labels) == NULL) return false;
    for (int i = 0; i < config->labels; i++)
        if (!samc__search_add(r, config->label[i], strlen(config->label[i]))) return false;
    return true;
}

static void reply_nothing(samc__request *r) {
    samc__reply_json(r, MHD_HTTP_OK, json_pack("{s:[], s:o}", "results", "model_version", version(r)));
}

/* One task a request: told of one result for several, Label Studio asks one by one. Without a click and without a
 * detector, or without labels, which may be in the task's data, there is nothing to predict. */
void samc__handle_studio_predict(samc__request *r) {
    json_t *json = samc__request_json(r, NULL);
    if (json == NULL) return;
    const json_t *first = json_array_get(json_object_get(json, "tasks"), 0),
                 *context = json_object_get(json_object_get(json, "params"), "context"),
                 *regions = json_object_get(context, "result"), *config = json_object_get(json, "label_config");
    const bool clicked = json_array_size(regions) > 0;
    task *t = r->memo = calloc(1, sizeof *t);
    if (t == NULL) samc__reply_error(r, MHD_HTTP_SERVICE_UNAVAILABLE, "no memory for a task");
    else if (first == NULL || (!clicked && (context != NULL && !json_is_null(context))) ||
             (!clicked && r->serve->options.detector == NULL))
        reply_nothing(r);
    else {
        const char *wrong = json_is_string(config) ? samc__label_config_read(json_string_value(config),
                                                                             json_string_length(config), &t->config)
                                                   : "is missing";
        if (wrong != NULL) samc__reply_error(r, MHD_HTTP_BAD_REQUEST, "'label_config' %s", wrong);
        else if (!clicked && t->config.labels == 0) reply_nothing(r);
        else if (clicked ? read_prompts(r, regions) : read_labels(r)) begin(r, json_object_get(first, "data"));
    }
    json_decref(json);
}
