/* Replies, and texts that grow while the client reads them. */
#include "host/serve/base64.h"
#include "host/serve/internal.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void samc__reply_bytes(samc__request *r, unsigned status, const char *type, void *body, size_t size) {
    if (r->reply.status != 0) {
        free(body);
        return;
    }
    r->reply.status = status;
    r->reply.type = type;
    r->reply.body = body;
    r->reply.size = size;
}

void samc__reply_constant(samc__request *r, const char *type, const void *body, size_t size) {
    if (r->reply.status != 0) return;
    r->reply.status = MHD_HTTP_OK;
    r->reply.type = type;
    r->reply.body = (char *)(uintptr_t)body;
    r->reply.size = size;
    r->reply.constant = true;
}

void samc__reply_header(samc__request *r, const char *name, const char *format, ...) {
    if (r->reply.headers == SAMC__REPLY_HEADERS) return;
    va_list arguments;
    va_start(arguments, format);
    r->reply.header[r->reply.headers].name = name;
    vsnprintf(r->reply.header[r->reply.headers].value, sizeof r->reply.header->value, format, arguments);
    r->reply.headers++;
    va_end(arguments);
}

static char *text_of(json_t *json) {
    char *text = json == NULL ? NULL : json_dumps(json, JSON_COMPACT | JSON_REAL_PRECISION(9) | JSON_ENCODE_ANY);
    json_decref(json);
    return text;
}

void samc__reply_json(samc__request *r, unsigned status, json_t *json) {
    static const char memory[] = "{\"error\":\"no memory for the reply\"}";
    char *text = text_of(json);
    if (text != NULL) {
        samc__reply_bytes(r, status, "application/json", text, strlen(text));
    } else if (r->reply.status == 0) {
        samc__reply_constant(r, "application/json", memory, sizeof memory - 1);
        r->reply.status = MHD_HTTP_SERVICE_UNAVAILABLE;
    }
}

void samc__reply_error(samc__request *r, unsigned status, const char *format, ...) {
    char message[1200];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(message, sizeof message, format, arguments);
    va_end(arguments);
    char *clean = samc_text_utf8(message);
    if (r->route != NULL && r->route->told != NULL) {
        r->route->told(r, status, clean != NULL ? clean : "no memory");
        samc_io_free(clean);
        return;
    }
    samc__reply_json(r, status, json_pack("{s:s}", "error", clean != NULL ? clean : "no memory"));
    samc_io_free(clean);
}

unsigned samc__status_of(samc_status status) {
    switch (status) {
    case SAMC_INVALID_ARGUMENT:
    case SAMC_MISMATCH:
        return MHD_HTTP_BAD_REQUEST;
    case SAMC_FORMAT:
    case SAMC_UNSUPPORTED:
    case SAMC_NUMERIC:
        return MHD_HTTP_UNPROCESSABLE_CONTENT;
    case SAMC_OUT_OF_MEMORY:
    case SAMC_STOPPED:
        return MHD_HTTP_SERVICE_UNAVAILABLE;
    default:
        return MHD_HTTP_INTERNAL_SERVER_ERROR;
    }
}

void samc__reply_failure(samc__request *r, const samc_error *error) {
    samc__reply_error(r, samc__status_of(error->status), "%s", error->message);
}

/* What objects made of the text may take at most: few bytes can say many values. */
bool samc__json_affordable(const char *text, size_t size) {
    enum { VALUE = 48, LIST = 160, OBJECT = 480, MOST = 192 << 20 }; /* bytes, of Jansson's */
    size_t bytes = 0;
    bool quoted = false;
    for (size_t i = 0; i < size && bytes <= MOST; i++) {
        const char c = text[i];
        if (quoted && c == '\\') i++;
        else if (c == '"') quoted = !quoted;
        else if (!quoted) bytes += c == ',' ? VALUE : c == ':' ? 2 * VALUE : c == '[' ? LIST : c == '{' ? OBJECT : 0;
    }
    return bytes <= MOST;
}

json_t *samc__request_json(samc__request *r, const char *const *keys) {
    json_error_t error;
    if (!samc__json_affordable(r->body, r->size)) {
        samc__reply_error(r, MHD_HTTP_CONTENT_TOO_LARGE, "the body has too many values");
        return NULL;
    }
    json_t *json = json_loadb(r->size > 0 ? r->body : "{}", r->size > 0 ? r->size : 2, JSON_REJECT_DUPLICATES, &error);
    const char *key;
    json_t *value;
    if (json == NULL) {
        samc__reply_error(r, MHD_HTTP_BAD_REQUEST, "the body is not JSON: %s (line %d, column %d)", error.text,
                          error.line, error.column);
        return NULL;
    }
    if (!json_is_object(json)) {
        samc__reply_error(r, MHD_HTTP_BAD_REQUEST, "the body is not a JSON object");
        json_decref(json);
        return NULL;
    }
    json_object_foreach(keys != NULL ? json : NULL, key, value) {
        int i = 0;
        while (keys[i] != NULL && strcmp(keys[i], key) != 0) i++;
        if (keys[i] != NULL) continue;
        samc__reply_error(r, MHD_HTTP_BAD_REQUEST, "the key '%.80s' is not known", key);
        json_decref(json);
        return NULL;
    }
    return json;
}

bool samc__request_unpack(samc__request *r, const json_t *text, const char *key) {
    const char *encoded = json_string_value(text), *comma = encoded != NULL ? strchr(encoded, ',') : NULL;
    if (comma != NULL && strncmp(encoded, "data:", 5) == 0) encoded = comma + 1;
    const size_t length = encoded != NULL ? strlen(encoded) : 0, room = length / 4 * 3 + 3;
    char *bytes = malloc(room);
    const long size = bytes != NULL && length > 0 ? samc__base64_read(encoded, length, bytes, room) : -1;
    if (size <= 0) {
        free(bytes);
        samc__reply_error(r, MHD_HTTP_BAD_REQUEST, "'%s' is to be an image in base 64", key);
        return false;
    }
    free(r->body);
    r->body = bytes;
    r->size = (size_t)size;
    r->room = room;
    return samc__request_hold(r, room);
}

/* ---- Server-sent events ---------------------------------------------------------------------- */

void samc__events_begin(samc__request *r) {
    samc__events *events = r->taken ? NULL : calloc(1, sizeof *events);
    if (events == NULL) return; /* no memory, or it sleeps already: then it is one reply at the end */
    pthread_mutex_init(&events->lock, NULL);
    r->events = events;
}

void samc__events_free(samc__request *r) {
    if (r->events == NULL) return;
    atomic_fetch_sub(&r->serve->clients.bytes, r->events->room);
    pthread_mutex_destroy(&r->events->lock);
    free(r->events->text);
    free(r->events);
    r->events = NULL;
}

/* Who sleeps is woken even if its client hung up: only so is the connection closed. */
static void wake(samc__request *r) {
    if (!r->events->asleep) return;
    r->events->asleep = false;
    MHD_resume_connection(r->connection);
}

void samc__events_send(samc__request *r, const char *event, json_t *json) {
    samc__events *e = r->events;
    char *text = text_of(json);
    if (text == NULL) return;
    pthread_mutex_lock(&e->lock);
    const size_t length = strlen(text) + strlen(event) + sizeof "event: \ndata: \n\n" - 1;
    if (e->read == e->used) e->read = e->used = 0;
    if (e->used + length + 1 > e->room) {
        char *grown = realloc(e->text, 2 * e->room + length + 1);
        if (grown != NULL) {
            /* Counted whether there is room for it or not, so that others come later. */
            atomic_fetch_add(&r->serve->clients.bytes, e->room + length + 1);
            e->text = grown;
            e->room = 2 * e->room + length + 1;
        }
    }
    if (e->used + length + 1 <= e->room) {
        snprintf(e->text + e->used, length + 1, "event: %s\ndata: %s\n\n", event, text);
        e->used += length;
    }
    wake(r);
    pthread_mutex_unlock(&e->lock);
    free(text);
}

void samc__events_end(samc__request *r) {
    pthread_mutex_lock(&r->events->lock);
    r->events->ended = true;
    wake(r);
    pthread_mutex_unlock(&r->events->lock);
}

static ssize_t read_events(void *context, uint64_t position, char *to, size_t most) {
    samc__request *r = context;
    samc__events *e = r->events;
    (void)position;
    pthread_mutex_lock(&e->lock);
    size_t size = e->used - e->read;
    ssize_t got = 0;
    if (e->ended && !e->last) { /* from now on it is the client who takes its time */
        e->last = true;
        samc__client_at(r, SAMC__SENDS, size);
    }
    if (size > 0) {
        if (size > most) size = most;
        memcpy(to, e->text + e->read, size);
        e->read += size;
        got = (ssize_t)size;
    } else if (e->ended) {
        got = MHD_CONTENT_READER_END_OF_STREAM;
    } else {
        e->asleep = true;
        MHD_suspend_connection(r->connection);
    }
    pthread_mutex_unlock(&e->lock);
    return got;
}

static void release_reader(void *context) { samc__request_release(context); }

struct MHD_Response *samc__events_response(samc__request *r) {
    enum { BLOCK = 16 << 10 };
    return MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, BLOCK, read_events, samc__request_keep(r),
                                             release_reader);
}
