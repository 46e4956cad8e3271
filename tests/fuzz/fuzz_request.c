/* Fuzzes the server: whole requests, as libmicrohttpd hands them over, through everything behind it (who may ask, every
 * route, JSON, base 64, prompts, tools' requests, embeddings) with the tiny golden model. In place of libmicrohttpd
 * stands what is below, in place of the decoders' process one picture, and automatic masks find their client gone.
 *
 * Input: "POST /v1/images?a=b\nHeader: value\n...\n\nbody". "@" in the path stands for the id of an image that is
 * there.
 */
#include "host/serve/assets.h"
#include "host/serve/internal.h"

#include <netinet/in.h>
#include <semaphore.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerInitialize(int *argc, char ***argv);

const samc__asset samc__assets[] = {{"index.html", "text/html", (const unsigned char *)"x", 1}, {0}};

/* ---- In place of libmicrohttpd --------------------------------------------------------------- */

enum { MOST = 32 };

struct MHD_Connection {
    struct {
        char *name, *value;
        enum MHD_ValueKind kind;
    } value[MOST];
    int values;
    bool gone, replied;
    sem_t resumed;
    union MHD_ConnectionInfo info;
};
struct MHD_Response {
    void *body, *context;
    MHD_ContentReaderCallback read;
    MHD_ContentReaderFreeCallback end;
};
struct MHD_Daemon {
    MHD_AccessHandlerCallback answer;
    MHD_RequestCompletedCallback completed;
    void *context;
};
static struct MHD_Daemon daemon_;
static int open_end[2], closed_end[2]; /* sockets whose clients are there and gone */
static const struct sockaddr_in local = {.sin_family = AF_INET};

struct MHD_Daemon *MHD_start_daemon(unsigned flags, uint16_t port, MHD_AcceptPolicyCallback accept, void *first,
                                    MHD_AccessHandlerCallback answer, void *context, ...) {
    (void)flags, (void)port, (void)accept, (void)first;
    va_list options;
    daemon_.answer = answer;
    daemon_.context = context;
    va_start(options, context);
    for (int option; (option = va_arg(options, int)) != MHD_OPTION_END;) {
        if (option == MHD_OPTION_NOTIFY_COMPLETED)
            daemon_.completed = va_arg(options, MHD_RequestCompletedCallback), (void)va_arg(options, void *);
        else if (option == MHD_OPTION_NOTIFY_CONNECTION || option == MHD_OPTION_EXTERNAL_LOGGER ||
                 option == MHD_OPTION_UNESCAPE_CALLBACK)
            (void)va_arg(options, void *), (void)va_arg(options, void *);
        else if (option == MHD_OPTION_SOCK_ADDR) (void)va_arg(options, void *);
        else if (option == MHD_OPTION_CONNECTION_MEMORY_LIMIT) (void)va_arg(options, size_t);
        else (void)va_arg(options, unsigned);
    }
    va_end(options);
    return &daemon_;
}
void MHD_stop_daemon(struct MHD_Daemon *d) { (void)d; }
MHD_socket MHD_quiesce_daemon(struct MHD_Daemon *d) { return (void)d, MHD_INVALID_SOCKET; }
const union MHD_DaemonInfo *MHD_get_daemon_info(struct MHD_Daemon *d, enum MHD_DaemonInfoType type, ...) {
    static union MHD_DaemonInfo info;
    (void)d, (void)type;
    info.port = 8765;
    return &info;
}
const union MHD_ConnectionInfo *MHD_get_connection_info(struct MHD_Connection *c, enum MHD_ConnectionInfoType type,
                                                        ...) {
    memset(&c->info, 0, sizeof c->info);
    if (type == MHD_CONNECTION_INFO_CONNECTION_FD) c->info.connect_fd = c->gone ? closed_end[0] : open_end[0];
    if (type == MHD_CONNECTION_INFO_CLIENT_ADDRESS) c->info.client_addr = (struct sockaddr *)(uintptr_t)&local;
    return type == MHD_CONNECTION_INFO_SOCKET_CONTEXT ? NULL : &c->info;
}
const char *MHD_lookup_connection_value(struct MHD_Connection *c, enum MHD_ValueKind kind, const char *name) {
    for (int i = 0; i < c->values; i++)
        if (c->value[i].kind == kind && strcasecmp(c->value[i].name, name) == 0) return c->value[i].value;
    return NULL;
}
int MHD_get_connection_values(struct MHD_Connection *c, enum MHD_ValueKind kind, MHD_KeyValueIterator each,
                              void *context) {
    for (int i = 0; i < c->values; i++)
        if (c->value[i].kind == kind) each(context, kind, c->value[i].name, c->value[i].value);
    return c->values;
}
void MHD_suspend_connection(struct MHD_Connection *c) { (void)c; }
void MHD_resume_connection(struct MHD_Connection *c) { sem_post(&c->resumed); }

extern unsigned char sum;
unsigned char sum; /* that somebody might look at */

struct MHD_Response *MHD_create_response_from_buffer(size_t size, void *buffer, enum MHD_ResponseMemoryMode mode) {
    struct MHD_Response *response = calloc(1, sizeof *response);
    for (size_t i = 0; i < size; i++) sum ^= ((unsigned char *)buffer)[i]; /* all of it is there */
    if (mode == MHD_RESPMEM_MUST_FREE) response->body = buffer;
    return response;
}
struct MHD_Response *MHD_create_response_from_callback(uint64_t size, size_t block, MHD_ContentReaderCallback read,
                                                       void *context, MHD_ContentReaderFreeCallback end) {
    struct MHD_Response *response = calloc(1, sizeof *response);
    (void)size, (void)block;
    *response = (struct MHD_Response){NULL, context, read, end};
    return response;
}
enum MHD_Result MHD_add_response_header(struct MHD_Response *response, const char *name, const char *value) {
    (void)response;
    return strpbrk(name, "\r\n") == NULL && strpbrk(value, "\r\n") == NULL ? MHD_YES : MHD_NO;
}
/* At once to its end, which events may sleep before. */
enum MHD_Result MHD_queue_response(struct MHD_Connection *c, unsigned status, struct MHD_Response *response) {
    char text[512];
    uint64_t at = 0;
    if (c->replied || status < 200 || status > 599 || status == 500) abort();
    c->replied = true;
    for (ssize_t got; response->read != NULL;) {
        got = response->read(response->context, at, text, sizeof text);
        if (got < 0) break;
        if (got == 0) sem_wait(&c->resumed);
        at += (uint64_t)got;
    }
    return MHD_YES;
}
void MHD_destroy_response(struct MHD_Response *response) {
    if (response->end != NULL) response->end(response->context);
    free(response->body);
    free(response);
}

/* ---- In place of the decoders ---------------------------------------------------------------- */

struct samc__decoders {
    int nothing;
};
static samc__decoders decoders;

samc_status samc__decoders_start(samc__decoders **out, samc_error *error) {
    (void)error;
    *out = &decoders;
    return SAMC_OK;
}
void samc__decoders_stop(samc__decoders *d) { (void)d; }
bool samc__decoders_gone(samc__decoders *d) { return (void)d, false; }

samc_status samc__decoders_decode(samc__decoders *d, const void *bytes, size_t size, const samc_image_options *how,
                                  samc_image *image, char scaled[SAMC__SCALED], samc_error *error) {
    (void)d, (void)how;
    if (size == 0 || *(const char *)bytes != 'P') {
        *error = (samc_error){SAMC_FORMAT, "no image"};
        return SAMC_FORMAT;
    }
    if (scaled != NULL) scaled[0] = '\0';
    uint8_t *pixels = malloc(3 * 16 * 9);
    for (size_t i = 0; i < 3 * 16 * 9; i++) pixels[i] = (uint8_t)(37 * i);
    *image = (samc_image){.size = sizeof *image, .pixels = pixels, .width = 16, .height = 9, .row_bytes = 48};
    return SAMC_OK;
}

/* ---- Requests -------------------------------------------------------------------------------- */

static char known[SAMC__ID] = "";

static char *piece(const char *from, size_t length) {
    char *text = malloc(length + 1);
    memcpy(text, from, length);
    text[length] = '\0';
    return text;
}

static void add(struct MHD_Connection *c, enum MHD_ValueKind kind, const char *text, size_t length, char mark) {
    const char *at = memchr(text, mark, length);
    if (c->values == MOST || at == NULL || memchr(text, '\0', length) != NULL) return;
    const char *value = at + 1;
    while (value < text + length && *value == ' ') value++;
    c->value[c->values].kind = kind;
    c->value[c->values].name = piece(text, (size_t)(at - text));
    c->value[c->values++].value = piece(value, (size_t)(text + length - value));
}

/* The path without its query, with the known image's id for "@"; libmicrohttpd took its percent signs apart. */
static char *take_path(struct MHD_Connection *c, const char *text, size_t length) {
    const char *question = memchr(text, '?', length);
    const size_t own = question != NULL ? (size_t)(question - text) : length;
    char *path = malloc(own + SAMC__ID * own + 1), *to = path;
    for (size_t i = 0; i < own; i++) {
        if (text[i] == '@') to += sprintf(to, "%s", known);
        else *to++ = text[i];
    }
    *to = '\0';
    for (const char *at = question; at != NULL;) {
        const char *end = memchr(at + 1, '&', (size_t)(text + length - at - 1));
        add(c, MHD_GET_ARGUMENT_KIND, at + 1, (size_t)((end != NULL ? end : text + length) - at - 1), '=');
        at = end;
    }
    return path;
}

static void send_request(struct MHD_Connection *c, const char *method, const char *path, const char *body,
                         size_t size) {
    void *state = NULL;
    size_t none = 0, at = 0;
    enum MHD_Result on = daemon_.answer(daemon_.context, c, path, method, "HTTP/1.1", NULL, &none, &state);
    while (on == MHD_YES && !c->replied && at < size) { /* in two pieces */
        size_t now = at == 0 && size > 1 ? size / 2 : size - at, left = now;
        on = daemon_.answer(daemon_.context, c, path, method, "HTTP/1.1", body + at, &left, &state);
        at += now - left;
    }
    while (on == MHD_YES && !c->replied) {
        samc__request *r = state;
        none = 0;
        on = daemon_.answer(daemon_.context, c, path, method, "HTTP/1.1", NULL, &none, &state);
        if (!c->replied && r->taken) sem_wait(&c->resumed);
    }
    if (!c->replied) abort();
    daemon_.completed(NULL, c, &state, MHD_REQUEST_TERMINATED_COMPLETED_OK);
}

static void request(const char *data, size_t size) {
    struct MHD_Connection c = {0};
    const char *end = data + size, *line = memchr(data, '\n', size), *space = memchr(data, ' ', size);
    if (line == NULL || space == NULL || space > line || memchr(data, '\0', (size_t)(line - data)) != NULL) return;
    sem_init(&c.resumed, 0, 0);
    char *method = piece(data, (size_t)(space - data)), *path = take_path(&c, space + 1, (size_t)(line - space - 1));
    const char *at = line + 1;
    while (at < end && *at != '\n') {
        const char *next = memchr(at, '\n', (size_t)(end - at));
        if (next == NULL) next = end;
        add(&c, MHD_HEADER_KIND, at, (size_t)(next - at), ':');
        at = next < end ? next + 1 : end;
    }
    if (MHD_lookup_connection_value(&c, MHD_HEADER_KIND, "Host") == NULL)
        add(&c, MHD_HEADER_KIND, "Host: localhost", 15, ':'); /* else little gets far */
    if (at < end) at++;
    c.gone = strstr(path, "/auto") != NULL;
    send_request(&c, method, path, at, (size_t)(end - at));
    for (int i = 0; i < c.values; i++) free(c.value[i].name), free(c.value[i].value);
    sem_destroy(&c.resumed);
    free(method);
    free(path);
}

int LLVMFuzzerInitialize(int *argc, char ***argv) {
    static const char upload[] = "POST /v1/images\nContent-Type: image/png\n\nP";
    static samc__serve *serve;
    samc__serve_options options = samc__serve_defaults();
    samc_options how = SAMC_INIT(samc_options);
    samc_model *model;
    samc_error error;
    int port;
    (void)argc, (void)argv;
    samc_default_options(&how);
    how.threads = 1;
    options.body_bytes = 1 << 20;
    options.embedding_bytes = 8 << 20;
    if (samc_model_open(SAMC__TINY, &how, &model, &error) != SAMC_OK) abort();
    options.model = model;
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, open_end) != 0 || socketpair(AF_UNIX, SOCK_STREAM, 0, closed_end) != 0)
        abort();
    close(closed_end[1]);
    if (samc__serve_prepare(&serve, &error) != SAMC_OK || samc__serve_start(serve, &options, &port, &error) != SAMC_OK)
        abort();
    request(upload, sizeof upload - 1);
    if (serve->pictures.newest == NULL) abort();
    memcpy(known, serve->pictures.newest->id, sizeof known);
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    request((const char *)data, size);
    request("POST /v1/images\nContent-Type: image/png\n\nP", 42); /* which it may have forgotten */
    return 0;
}
