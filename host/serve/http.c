/* HTTP: one thread takes requests apart and sends replies; what takes time sleeps until its stage is through. */
#include "host/serve/coco_file.h"
#include "host/serve/fetch.h"
#include "host/serve/internal.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum {
    HTTP_MEMORY = 32 << 10, /* of a connection, for headers */
    FIRST_ROOM = 16 << 10,  /* of a body */
    DROPPED = 64 << 20,     /* bytes beyond what is taken that are read all the same, so that the client hears why */
};

double samc__serve_seconds(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* ---- Requests -------------------------------------------------------------------------------- */

samc__request *samc__request_keep(samc__request *r) {
    atomic_fetch_add(&r->references, 1);
    return r;
}

void samc__request_release(samc__request *r) {
    if (r == NULL || atomic_fetch_sub(&r->references, 1) > 1) return;
    if (!r->reply.constant) free(r->reply.body);
    free(r->body);
    samc__request_hold(r, 0);
    samc_image_free(&r->image);
    samc__request_hold_pixels(r, 0);
    samc__picture_release(r->picture);
    free(r->question);
    free(r->search);
    free(r->memo);
    samc__events_free(r);
    free(r);
}

const char *samc__request_header(const samc__request *r, const char *name) {
    return MHD_lookup_connection_value(r->connection, MHD_HEADER_KIND, name);
}

const char *samc__request_query(const samc__request *r, const char *name) {
    return MHD_lookup_connection_value(r->connection, MHD_GET_ARGUMENT_KIND, name);
}

static bool hung_up(const samc__request *r) {
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(r->connection, MHD_CONNECTION_INFO_CONNECTION_FD);
    char byte;
    ssize_t got = info ? recv(info->connect_fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) : 1;
    return got == 0 || (got < 0 && errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR);
}

/* Only a connection that sleeps may be looked at: nobody closes it meanwhile. One that is awake, as those of events are
 * at times, HTTP's thread looks after, which tells here when it is gone. */
bool samc__request_gone(samc__request *r) {
    samc__events *e = r->events;
    if (e != NULL) pthread_mutex_lock(&e->lock);
    if (!atomic_load(&r->gone) && (e == NULL || e->asleep) && hung_up(r)) atomic_store(&r->gone, true);
    if (e != NULL) pthread_mutex_unlock(&e->lock);
    return atomic_load(&r->gone);
}

void samc__request_finish(samc__request *r) {
    if (r->events != NULL) samc__events_end(r);
    else {
        if (r->reply.status == 0) samc__reply_error(r, 500, "no reply was made");
        atomic_store(&r->done, true);
        MHD_resume_connection(r->connection);
    }
    samc__request_release(r);
}

/* Whether a path is that of a route; what stands for {id} goes to `id`. */
static bool path_fits(const char *route, const char *path, char id[SAMC__ID]) {
    while (*route != '\0') {
        if (strncmp(route, "{id}", 4) == 0) {
            size_t length = strcspn(path, "/");
            if (length == 0 || length >= SAMC__ID) return false;
            memcpy(id, path, length);
            id[length] = '\0';
            path += length;
            route += 4;
        } else if (*route++ != *path++) return false;
    }
    return *path == '\0';
}

/* The route of a request; HEAD goes where GET does. NULL: none; then `allowed` is what the path takes, "" for nothing.
 */
static const samc__route *route_of(const char *method, const char *path, char id[SAMC__ID], char allowed[64]) {
    size_t used = 0;
    allowed[0] = '\0';
    if (strcmp(method, "HEAD") == 0) method = "GET";
    for (const samc__route *route = samc__routes; route->method != NULL; route++) {
        if (!path_fits(route->path, path, id)) continue;
        if (strcmp(route->method, method) == 0) return route;
        if (used + 20 < 64)
            used += (size_t)snprintf(allowed + used, 64 - used, "%s%s", used > 0 ? ", " : "",
                                     strcmp(route->method, "GET") == 0 ? "GET, HEAD" : route->method);
    }
    return NULL;
}

typedef struct oddities {
    int hosts, lengths, encodings;
} oddities;

static enum MHD_Result count_header(void *context, enum MHD_ValueKind kind, const char *name, const char *value) {
    oddities *o = context;
    (void)kind, (void)value;
    o->hosts += strcasecmp(name, "Host") == 0;
    o->lengths += strcasecmp(name, "Content-Length") == 0;
    o->encodings += strcasecmp(name, "Transfer-Encoding") == 0;
    return MHD_YES;
}

/* What a proxy in front could read otherwise than we do. */
static bool ambiguous(const samc__request *r) {
    oddities o = {0};
    MHD_get_connection_values(r->connection, MHD_HEADER_KIND, count_header, &o);
    return o.hosts > 1 || o.lengths + o.encodings > 1;
}

/* What headers alone can say: the route, who asks, how much is coming. */
static void look_at_headers(samc__request *r, const char *method, const char *path) {
    char allowed[64];
    const char *length = samc__request_header(r, "Content-Length");
    samc__client_at(r, SAMC__RECEIVES, 0);
    if (ambiguous(r)) {
        samc__reply_error(r, MHD_HTTP_BAD_REQUEST, "the headers say twice where the body ends, or whom they are for");
        return;
    }
    if (samc__guard_preflight(&r->serve->guard, r, method)) return;
    r->route = route_of(method, path, r->id, allowed);
    if (r->route == NULL) {
        if (allowed[0] != '\0') samc__reply_header(r, "Allow", "%s", allowed);
        samc__reply_error(r, allowed[0] != '\0' ? MHD_HTTP_METHOD_NOT_ALLOWED : MHD_HTTP_NOT_FOUND,
                          allowed[0] != '\0' ? "%s takes other methods" : "there is nothing at %s", path);
        return;
    }
    if (!samc__guard_let_in(&r->serve->guard, r)) return;
    if (atomic_load(&r->serve->stopping)) {
        samc__reply_header(r, "Retry-After", "5");
        samc__reply_error(r, MHD_HTTP_SERVICE_UNAVAILABLE, "the server is about to stop");
    } else if (length != NULL && strtoull(length, NULL, 10) > r->serve->options.body_bytes) {
        samc__reply_error(r, MHD_HTTP_CONTENT_TOO_LARGE, "the body has %s bytes; at most %zu are taken", length,
                          r->serve->options.body_bytes);
    }
}

/* Adds to the body; false with the reply given. */
static bool take_body(samc__request *r, const char *data, size_t size) {
    if (size > r->serve->options.body_bytes - r->size) {
        samc__reply_error(r, MHD_HTTP_CONTENT_TOO_LARGE, "the body has more than the %zu bytes that are taken",
                          r->serve->options.body_bytes);
        return false;
    }
    if (r->size + size > r->room) {
        size_t room = r->room == 0 ? FIRST_ROOM : r->room;
        while (room < r->size + size) room *= 2;
        if (!samc__request_hold(r, room)) return false;
        char *body = realloc(r->body, room);
        if (body == NULL) {
            samc__reply_error(r, MHD_HTTP_SERVICE_UNAVAILABLE, "no memory for the body");
            return false;
        }
        r->body = body;
        r->room = room;
    }
    memcpy(r->body + r->size, data, size);
    r->size += size;
    return true;
}

/* ---- Replies --------------------------------------------------------------------------------- */

/* On every reply: nothing is sniffed, framed or kept, and the page runs nothing but what the program brings. */
static void add_safe_headers(const samc__request *r, struct MHD_Response *response) {
    MHD_add_response_header(response, "X-Content-Type-Options", "nosniff");
    MHD_add_response_header(response, "X-Frame-Options", "DENY");
    MHD_add_response_header(response, "Referrer-Policy", "no-referrer");
    MHD_add_response_header(response, "Cache-Control", "no-store");
    MHD_add_response_header(response, "Content-Security-Policy",
                            "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; "
                            "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'");
    const char *origin = samc__request_header(r, "Origin");
    for (int i = 0; origin != NULL && r->serve->options.origins[i] != NULL; i++)
        if (strcmp(origin, r->serve->options.origins[i]) == 0) {
            MHD_add_response_header(response, "Access-Control-Allow-Origin", origin);
            MHD_add_response_header(response, "Access-Control-Expose-Headers",
                                    "ETag, Samc-Shape, Samc-Scale, Samc-Scores");
            MHD_add_response_header(response, "Vary", "Origin");
        }
}

/* A reply is made already: it is counted whether there is room for it or not, so that others come later. */
static void account(samc__request *r) {
    free(r->body);
    r->body = NULL;
    r->size = r->room = 0;
    samc__request_hold(r, 0);
    r->held = r->reply.size;
    atomic_fetch_add(&r->serve->clients.bytes, r->held);
}

static enum MHD_Result send_reply(samc__request *r) {
    samc__reply *reply = &r->reply;
    struct MHD_Response *response =
        r->events != NULL
            ? samc__events_response(r)
            : MHD_create_response_from_buffer(reply->size, reply->body,
                                              reply->constant ? MHD_RESPMEM_PERSISTENT : MHD_RESPMEM_MUST_FREE);
    if (response == NULL) return MHD_NO;
    if (r->events == NULL && !reply->constant) account(r);
    unsigned status = r->events != NULL ? MHD_HTTP_OK : reply->status;
    if (r->events == NULL) reply->body = NULL; /* the response's now */
    MHD_add_response_header(response, "Content-Type", r->events != NULL ? "text/event-stream" : reply->type);
    add_safe_headers(r, response);
    bool later = false;
    for (int i = 0; i < reply->headers; i++) {
        MHD_add_response_header(response, reply->header[i].name, reply->header[i].value);
        later |= strcmp(reply->header[i].name, "Retry-After") == 0;
    }
    if (status == MHD_HTTP_SERVICE_UNAVAILABLE && !later) MHD_add_response_header(response, "Retry-After", "1");
    if (r->refused) MHD_add_response_header(response, "Connection", "close");
    if (r->events == NULL) samc__client_at(r, SAMC__SENDS, reply->size);
    samc__metrics_request(r->serve, r, status);
    enum MHD_Result sent = MHD_queue_response(r->connection, status, response);
    MHD_destroy_response(response);
    return sent;
}

/* Whether a refused client is told before its body came: many read nothing while they write, and then find the
 * connection closed. */
static bool hears_sooner(const samc__request *r) {
    const char *length = samc__request_header(r, "Content-Length"), *expects = samc__request_header(r, "Expect");
    return length == NULL || expects != NULL || strtoull(length, NULL, 10) > r->serve->options.body_bytes + DROPPED;
}

static samc__request *request_new(samc__serve *serve, struct MHD_Connection *connection) {
    samc__request *r = calloc(1, sizeof *r);
    if (r == NULL) return NULL;
    atomic_init(&r->references, 1);
    r->serve = serve;
    r->connection = connection;
    r->began = samc__serve_seconds();
    r->image.size = sizeof r->image;
    return r;
}

void samc__request_handle(samc__request *r) {
    if (!samc__picture_recall_first(r) && r->reply.status == 0) r->route->handle(r);
}

static void parse(samc__request *r, samc_session *session) {
    (void)session;
    samc__request_go_on(r);
}

/* What is large is taken apart elsewhere: meanwhile the others are heard. */
static void handle(samc__request *r) {
    enum { LARGE = 64 << 10 };
    if (r->size == 0 || samc__client_may_ask(r)) {
        samc__client_at(r, SAMC__WORKS, 0);
        if (r->size > LARGE) samc__stage_submit(r, SAMC__PARSE, parse);
        else samc__request_handle(r);
    }
}

/* Called with the headers, with each piece of the body, at its end, and after a sleep. */
static enum MHD_Result answer(void *context, struct MHD_Connection *connection, const char *path, const char *method,
                              const char *version, const char *data, size_t *size, void **state) {
    samc__request *r = *state;
    (void)version;
    if (r == NULL) {
        samc__serve *serve = context;
        *state = r = atomic_load(&serve->ready) ? request_new(serve, connection) : NULL;
        if (r == NULL) return MHD_NO;
        look_at_headers(r, method, path);
        if (r->reply.status == 0) return MHD_YES;
        r->refused = true;
        return hears_sooner(r) ? send_reply(r) : MHD_YES;
    }
    if (*size > 0) {
        const size_t piece = *size;
        *size = 0;
        r->received += piece;
        samc__client_at(r, SAMC__RECEIVES, r->received);
        if (r->refused || take_body(r, data, piece)) return MHD_YES;
        r->refused = true; /* the rest is read and dropped: a reply goes out when the request is in */
        return MHD_YES;
    }
    if (atomic_load(&r->done) || r->refused) return send_reply(r);
    if (!r->taken) handle(r);
    if (r->taken && r->events == NULL) return MHD_YES; /* it sleeps */
    return send_reply(r);
}

static void completed(void *context, struct MHD_Connection *connection, void **state,
                      enum MHD_RequestTerminationCode code) {
    samc__request *r = *state;
    (void)context, (void)connection, (void)code;
    if (r == NULL) return;
    atomic_store(&r->gone, true);
    if (r->taken) atomic_fetch_sub(&r->serve->owed, 1);
    samc__client_at(r, SAMC__IDLE, 0);
    *state = NULL;
    samc__request_release(r);
}

/* ---- The daemon ------------------------------------------------------------------------------ */

static void say_nothing(void *context, const char *format, va_list arguments) {
    (void)context, (void)format, (void)arguments; /* who hangs up when is nobody's concern */
}

static int digit(char c) {
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
}

/* Percent signs in addresses. What they make of a NUL, which would end the text, or not two digits follow, stays. */
static size_t unescape(void *context, struct MHD_Connection *connection, char *text) {
    char *to = text;
    (void)context, (void)connection;
    for (const char *from = text; *from != '\0'; to++) {
        const int high = *from == '%' ? digit(from[1]) : -1, low = high >= 0 ? digit(from[2]) : -1;
        const bool escaped = low >= 0 && high + low > 0;
        *to = escaped ? (char)(16 * high + low) : *from;
        from += escaped ? 3 : 1;
    }
    *to = '\0';
    return (size_t)(to - text);
}

/* The address as a socket's; false where it is not one of numbers. */
static bool socket_address(const samc__serve_options *o, struct sockaddr_storage *address) {
    struct sockaddr_in *four = (struct sockaddr_in *)address;
    struct sockaddr_in6 *six = (struct sockaddr_in6 *)address;
    memset(address, 0, sizeof *address);
    if (inet_pton(AF_INET, o->address, &four->sin_addr) == 1) {
        four->sin_family = AF_INET;
        four->sin_port = htons((uint16_t)o->port);
        return true;
    }
    if (inet_pton(AF_INET6, o->address, &six->sin6_addr) != 1) return false;
    six->sin6_family = AF_INET6;
    six->sin6_port = htons((uint16_t)o->port);
    return true;
}

static samc_status fail(samc_error *error, samc_status status, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    error->status = status;
    vsnprintf(error->message, sizeof error->message, format, arguments);
    va_end(arguments);
    return status;
}

static samc_status listen_at(samc__serve *serve, int *port, samc_error *error) {
    const samc__serve_options *o = &serve->options;
    struct sockaddr_storage address;
    if (!socket_address(o, &address))
        return fail(error, SAMC_INVALID_ARGUMENT, "'%s' is not an address such as 127.0.0.1 or ::1", o->address);
    unsigned flags = MHD_USE_EPOLL_INTERNAL_THREAD | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ERROR_LOG;
    if (address.ss_family == AF_INET6) flags |= MHD_USE_IPv6;
    errno = 0;
    serve->daemon = MHD_start_daemon(
        flags, 0, samc__clients_accept, serve, answer, serve, MHD_OPTION_EXTERNAL_LOGGER, say_nothing, NULL,
        MHD_OPTION_SOCK_ADDR, &address, MHD_OPTION_NOTIFY_COMPLETED, completed, NULL, MHD_OPTION_NOTIFY_CONNECTION,
        samc__clients_notify, serve, MHD_OPTION_UNESCAPE_CALLBACK, unescape, NULL, MHD_OPTION_CONNECTION_LIMIT,
        (unsigned)serve->clients.most, MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)o->idle_seconds,
        MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)HTTP_MEMORY, MHD_OPTION_END);
    if (serve->daemon == NULL)
        return fail(error, SAMC_IO, "cannot listen at %s port %d: %s", o->address, o->port,
                    errno != 0 ? strerror(errno) : "no memory or no thread");
    const union MHD_DaemonInfo *info = MHD_get_daemon_info(serve->daemon, MHD_DAEMON_INFO_BIND_PORT);
    *port = serve->port = info != NULL ? info->port : o->port;
    samc__guard_init(&serve->guard, o, *port);
    atomic_store(&serve->ready, true);
    return SAMC_OK;
}

samc__serve_options samc__serve_defaults(void) {
    return (samc__serve_options){.address = "127.0.0.1",
                                 .port = 8765,
                                 .body_bytes = (size_t)32 << 20,
                                 .max_pixels = (int64_t)64 << 20,
                                 .embedding_bytes = (size_t)1 << 30,
                                 .queue = 64,
                                 .connections = 1024,
                                 .waiting_bytes = (size_t)512 << 20,
                                 .cache_disk = (size_t)4 << 30,
                                 .idle_seconds = 30,
                                 .grace_seconds = 30};
}

samc_status samc__serve_prepare(samc__serve **out, samc_error *error) {
    *out = NULL;
    samc__serve *serve = calloc(1, sizeof *serve);
    if (serve == NULL) return fail(error, SAMC_OUT_OF_MEMORY, "no memory for a server");
    samc_status status = samc__decoders_start(&serve->decoders, error);
    if (status == SAMC_OK) *out = serve;
    else free(serve);
    return status;
}

samc_status samc__serve_start(samc__serve *serve, const samc__serve_options *options, int *port, samc_error *error) {
    serve->options = *options;
    serve->info.size = sizeof serve->info;
    samc_model_get_info(options->model, &serve->info);
    /* While one makes its masks' outlines and replies, which is a thread's work, the next decodes. */
    if (options->sessions == 0)
        serve->options.sessions = serve->info.backend == SAMC_BACKEND_CUDA || serve->info.threads == 1 ? 1 : 2;
    samc__pictures_init(&serve->pictures, options->embedding_bytes);
    samc__metrics_init(&serve->metrics);
    pthread_mutex_init(&serve->studios.lock, NULL);
    serve->patience = 1;
    samc_status status = options->fetch_hosts[0] != NULL ? samc__fetch_start(error) : SAMC_OK;
    if (status == SAMC_OK) status = samc__clients_start(serve, error);
    if (status == SAMC_OK) status = samc__disk_open(serve, error);
    if (status == SAMC_OK) status = samc__stages_start(serve, error);
    return status == SAMC_OK ? listen_at(serve, port, error) : status;
}

/* Until every request that a stage took has its reply; not for connections that only stand open. */
static void let_end(samc__serve *serve, int seconds) {
    for (int i = 0; i < 50 * seconds && atomic_load(&serve->owed) > 0; i++)
        nanosleep(&(struct timespec){.tv_nsec = 20000000}, NULL);
}

void samc__serve_stop(samc__serve *serve) {
    enum { LAST_SECONDS = 2 }; /* for replies that say that the server stops */
    if (serve == NULL) return;
    atomic_store(&serve->stopping, true);
    if (serve->options.folder != NULL) samc__coco_stop(serve->options.folder->annotations);
    MHD_socket listening = MHD_INVALID_SOCKET; /* closed at the end: HTTP's thread may be at it until then */
    if (serve->daemon != NULL) {
        listening = MHD_quiesce_daemon(serve->daemon);
        if (listening != MHD_INVALID_SOCKET) shutdown(listening, SHUT_RDWR);
        let_end(serve, serve->options.grace_seconds);
    }
    samc__stages_stop(serve);
    let_end(serve, LAST_SECONDS);
    if (serve->daemon != NULL) MHD_stop_daemon(serve->daemon);
    if (listening != MHD_INVALID_SOCKET) close(listening);
    samc__clients_stop(serve);
    samc__disk_close(serve);
    samc__stages_free(serve);
    samc__pictures_clear(&serve->pictures);
    samc__book_free(serve->book);
    samc__decoders_stop(serve->decoders);
    free(serve);
}
