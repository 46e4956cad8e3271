/* What the parts of the server share: requests and replies, stages of work, pictures.
 *
 * One thread talks HTTP (epoll) and never computes: a request that takes time is handed to a stage, its connection
 * sleeps meanwhile. Stages are threads; those that compute have a session each, `predict` several:
 *   parse    large bodies of JSON
 *   decode   bytes of a file -> pixels, in processes without rights (decode.c)
 *   encode   pixels -> an embedding, one image after another
 *   predict  prompts of all who ask: what waits is decoded together by the next session that is free
 *   auto     every mask of an image; waits between batches of points while anybody's prompts do
 *   text     what phrases name; waits likewise between the detector and its masks
 *   fetch    images that a tool names instead of sending them
 *   files    what is read and saved in the folder that is labelled
 */
#ifndef SAMC_HOST_SERVE_INTERNAL_H
#define SAMC_HOST_SERVE_INTERNAL_H

#include "host/serve/serve.h"

#include <jansson.h>
#include <microhttpd.h>
#include <pthread.h>
#include <stdatomic.h>

enum { SAMC__ID = 65 };                        /* of a picture: SHA-256 of the file, in hexadecimal */
enum { SAMC__SCALE = 64, SAMC__SCALED = 160 }; /* of samples of more than 8 bits: asked for, done */

/* ---- Replies --------------------------------------------------------------------------------- */

enum { SAMC__REPLY_HEADERS = 6 };

typedef struct samc__reply {
    unsigned status; /* 0: none yet */
    const char *type;
    char *body;
    size_t size;
    bool constant; /* the body is not to be freed */
    struct {
        const char *name;
        char value[96];
    } header[SAMC__REPLY_HEADERS];
    int headers;
} samc__reply;

/* ---- Requests -------------------------------------------------------------------------------- */

typedef struct samc__request samc__request;
typedef void (*samc__work)(samc__request *request, samc_session *session);

typedef enum samc__stage {
    SAMC__DECODE,
    SAMC__ENCODE,
    SAMC__PREDICT,
    SAMC__AUTO,
    SAMC__PARSE,
    SAMC__TEXT,
    SAMC__FETCH,
    SAMC__FILES,
    SAMC__STAGES
} samc__stage;

struct samc__route;
struct samc__picture;
typedef struct samc__search samc__search;
typedef struct samc__book samc__book;

/* Text on its way to a client while it is made: server-sent events. */
typedef struct samc__events {
    pthread_mutex_t lock;
    char *text;
    size_t used, room, read;
    bool ended, asleep, last; /* last: the client was told how long it may read */
} samc__events;

/* Two hold one: the connection, and the stage that works on it. */
struct samc__request {
    atomic_int references;
    samc__serve *serve;
    struct MHD_Connection *connection;
    const struct samc__route *route;
    char id[SAMC__ID]; /* what stands in the path for {id} */
    char *body;
    size_t size, room;
    size_t held;      /* bytes of it, and of the reply, on the server's account */
    size_t pixels;    /* bytes of `image`, likewise */
    size_t received;  /* of the body, with what is dropped */
    bool refused;     /* before the body came: the connection is closed after the reply */
    bool recalled;    /* what the disk has of its picture was looked for */
    bool taken;       /* by a stage; HTTP's thread alone writes it */
    atomic_int on;    /* how often it was given to a stage */
    atomic_bool done; /* the reply is there */
    samc__reply reply;
    double began;        /* seconds */
    samc__request *next; /* in its stage's queue */
    samc__work work;
    samc__events *events; /* where the client asked for them */
    atomic_bool gone;     /* the connection is */
    /* Of predict and auto. */
    struct samc__picture *picture;
    struct samc__question *question;
    samc_image image;          /* of decode and encode: its pixels are the request's */
    char scale[SAMC__SCALE];   /* that samples of more than 8 bits are to be read by; "" */
    int page;                  /* of the file's pages or frames, from 0 */
    char scaled[SAMC__SCALED]; /* what was done, as JSON; "" of 8 bits */
    /* Of requests that bring their image along: what happens when the picture is there, and how masks are given. */
    samc__work then;
    void (*give)(samc__request *request, samc_session *session, samc_result *result, int prompt);
    void *memo; /* what a tool remembers of it meanwhile; freed whole */
    /* Of requests for what phrases name. */
    samc__search *search;
    void (*found)(samc__request *request, const samc_mask *masks, int count);
};

enum {                   /* other ways of being open: */
       SAMC__TRUSTS = 2, /* to addresses of --trust, whose tool can show no token */
       SAMC__TYPELESS    /* to who shows the token, with bodies of no type too, though not of a browser */
};
typedef struct samc__route {
    const char *method, *path; /* "{id}" stands for one part */
    void (*handle)(samc__request *request);
    int open; /* false: to who shows the token; true: to all, as it says no more than that the server is there */
    const char *name;                                                           /* in metrics */
    void (*told)(samc__request *request, unsigned status, const char *message); /* errors as a tool expects them */
} samc__route;

/* Replies. The first that is given counts. Text is UTF-8. */
void samc__reply_json(samc__request *request, unsigned status, json_t *json); /* takes the reference; NULL: no memory */
void samc__reply_error(samc__request *request, unsigned status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
void samc__reply_bytes(samc__request *request, unsigned status, const char *type, void *body, size_t size);
void samc__reply_constant(samc__request *request, const char *type, const void *body, size_t size);
void samc__reply_header(samc__request *request, const char *name, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* What went wrong in the library: 4xx where the client can help it. */
void samc__reply_failure(samc__request *request, const samc_error *error);
unsigned samc__status_of(samc_status status);

/* The header, or NULL. */
const char *samc__request_header(const samc__request *request, const char *name);
/* The value in the query, or NULL. */
const char *samc__request_query(const samc__request *request, const char *name);
/* The body as a JSON object whose keys are among `keys` (ended by NULL; NULL: any), to be released; or NULL and the
 * reply given.
 */
json_t *samc__request_json(samc__request *request, const char *const *keys);
/* Whether the objects made of a text have room: few bytes can say many values. */
bool samc__json_affordable(const char *text, size_t size);
/* Whether the client hung up. */
bool samc__request_gone(samc__request *request);
/* The reply is there, or the stage is through with it: wakes the connection. */
void samc__request_finish(samc__request *request);
/* Recalls its picture from the disk first, where it is there alone, or calls the route's handler. */
void samc__request_handle(samc__request *request);
/* In a stage, once what the route's handler needs is there: calls it, and finishes the request if no stage took it. */
void samc__request_go_on(samc__request *request);
samc__request *samc__request_keep(samc__request *request);
void samc__request_release(samc__request *request);

/* Server-sent events: once begun, these are the reply. `json` is taken. */
void samc__events_begin(samc__request *request);
void samc__events_send(samc__request *request, const char *event, json_t *json);
void samc__events_end(samc__request *request);
void samc__events_free(samc__request *request); /* those that it has, if any */
/* Gives them to the connection as its response. */
struct MHD_Response *samc__events_response(samc__request *request);

/* ---- Who may ask ----------------------------------------------------------------------------- */

typedef struct samc__guard {
    char hosts[2 * SAMC__SERVE_HOSTS + 8][272];
    int host_count;
    const char *const *origins;
    const char *token;
} samc__guard;

void samc__guard_init(samc__guard *guard, const samc__serve_options *options, int port);
/* False: refused, with the reply given. Looks at nothing but headers. */
bool samc__guard_let_in(const samc__guard *guard, samc__request *request);
/* Whether it is a browser that asks beforehand, OPTIONS, for a page that is allowed to; then the reply is given. */
bool samc__guard_preflight(const samc__guard *guard, samc__request *request, const char *method);

/* ---- What clients may take ------------------------------------------------------------------- */

typedef struct samc__client samc__client; /* a connection */
typedef enum samc__phase { SAMC__IDLE, SAMC__RECEIVES, SAMC__WORKS, SAMC__SENDS } samc__phase;

/* Every connection there is, and for how long it may be at what it is at. */
typedef struct samc__clients {
    pthread_mutex_t lock;
    pthread_cond_t stop;
    samc__client *first, *last; /* by when they were last heard of, the longest ago first */
    int count, most;
    bool watched, stopping;
    pthread_t watch; /* cuts off who is too slow */
    int64_t cut, shed;
    atomic_size_t bytes, pixels; /* of requests that wait, and of their decoded images */
} samc__clients;

samc_status samc__clients_start(samc__serve *serve, samc_error *error);
void samc__clients_stop(samc__serve *serve);
/* For MHD: whether an address may connect (once more), and connections as they come and go. */
enum MHD_Result samc__clients_accept(void *serve, const struct sockaddr *address, socklen_t length);
void samc__clients_notify(void *serve, struct MHD_Connection *connection, void **context,
                          enum MHD_ConnectionNotificationCode code);
/* What the request's connection is at now, with `bytes` of it done or to be done: the time for it goes by these. */
void samc__client_at(samc__request *request, samc__phase phase, size_t bytes);
/* Whether its client may have one more request worked on; else the reply, 503, is given. */
bool samc__client_may_ask(samc__request *request);
/* Puts body and reply at so many bytes in the account; false: that is more than there is room for, and the reply, 503,
 * is given. What is less is always taken. */
bool samc__request_hold(samc__request *request, size_t bytes);
void samc__request_hold_pixels(samc__request *request, size_t bytes);

/* ---- Stages ---------------------------------------------------------------------------------- */

typedef struct samc__stages samc__stages;

samc_status samc__stages_start(samc__serve *serve, samc_error *error);
/* Ends the threads; what waits is answered with 503, and so is what is submitted from then on. */
void samc__stages_stop(samc__serve *serve);
void samc__stages_free(samc__serve *serve); /* once nobody can submit: the daemon is stopped */
/* False: too many wait already; then the reply, 503, is given. */
bool samc__stage_submit(samc__request *request, samc__stage stage, samc__work work);
/* Requests that wait for the stage, and how many of its threads work. */
void samc__stage_count(samc__serve *serve, samc__stage stage, int *waiting, int *working);
/* The next request that waits for the stage, for a worker that takes several at once; NULL: none, or not `like` it. */
samc__request *samc__stage_take(samc__serve *serve, samc__stage stage,
                                bool (*like)(const samc__request *, const void *), const void *what);
/* Waits while prompts do, at most samc__serve.patience; false: the stages stop. */
bool samc__stages_give_way(samc__serve *serve);
bool samc__stages_stopping(samc__serve *serve);
/* There is room again for decoded images. */
void samc__stages_room(samc__serve *serve);

/* ---- Pictures -------------------------------------------------------------------------------- */

enum { SAMC__ANSWERS = 8 }; /* whose logits a picture remembers, to be refined */

typedef struct samc__answer {
    int64_t number; /* 0: none */
    int masks;
    float *logits; /* [masks, low_res, low_res] */
} samc__answer;

/* Counted; what is looked up stays until it is released, also when it had to leave the store. */
typedef struct samc__picture {
    atomic_int references;
    char id[SAMC__ID];
    int width, height;
    uint8_t *pixels;           /* RGB [height, width, 3]; NULL where an embedding alone was given */
    char scaled[SAMC__SCALED]; /* how samples of more than 8 bits became these, as JSON, or "" */
    samc_embedding *embedding;
    samc_scene *scene; /* what the detector made of it, once somebody asked; the text stage's alone */
    size_t bytes;
    struct samc__picture *newer, *older; /* by use */
    pthread_mutex_t lock;                /* of what follows */
    samc__answer answers[SAMC__ANSWERS];
    int64_t numbers;
} samc__picture;

typedef struct samc__pictures {
    pthread_mutex_t lock;
    samc__picture *newest, *oldest;
    size_t bytes, most;
    int count;
    int64_t hits, misses, evicted;
} samc__pictures;

void samc__pictures_init(samc__pictures *pictures, size_t most);
void samc__pictures_clear(samc__pictures *pictures);
/* Takes pixels and embedding; on failure (no memory) NULL, and they are freed. One that is there already wins, unless
 * it has no pixels. */
samc__picture *samc__pictures_add(samc__pictures *pictures, const char *id, samc_image *image, const char *scaled,
                                  samc_embedding *embedding);
samc__picture *samc__pictures_find(samc__pictures *pictures, const char *id);
bool samc__pictures_has(samc__pictures *pictures, const char *id);
bool samc__pictures_drop(samc__pictures *pictures, const char *id);
/* Gives a picture its scene, which counts among its bytes. */
void samc__pictures_give(samc__pictures *pictures, samc__picture *picture, samc_scene *scene);
void samc__picture_release(samc__picture *picture); /* NULL is allowed */
/* Remembers a copy of logits; the number they can be asked for by, 0 without memory. */
int64_t samc__picture_remember(samc__picture *picture, const float *logits, int masks, int low_res);
/* A copy of one of these, [low_res, low_res], to be freed; NULL: forgotten. */
float *samc__picture_recall(samc__picture *picture, int64_t number, int mask, int low_res);

/* ---- Embeddings on disk ---------------------------------------------------------------------- */

typedef struct samc__disk {
    int folder; /* -1: none */
    char key[33];
    int levels;
    size_t level[8], values; /* floats of each, and of all */
} samc__disk;

samc_status samc__disk_open(samc__serve *serve, samc_error *error); /* nothing without options.cache_dir */
void samc__disk_close(samc__serve *serve);
bool samc__disk_has(samc__serve *serve, const char *id); /* asks for the name alone */
bool samc__disk_drop(samc__serve *serve, const char *id);
/* The embedding and the image's size; NULL: none, or none that is whole. The session's image becomes that one. */
samc_embedding *samc__disk_read(samc__serve *serve, samc_session *session, const char *id, int *width, int *height);
/* Keeps that of the session's image. Should it fail, metrics say so. */
void samc__disk_write(samc__serve *serve, samc_session *session, const char *id, int width, int height);

/* ---- Decoding in other processes ------------------------------------------------------------- */

typedef struct samc__decoders samc__decoders;

samc_status samc__decoders_start(samc__decoders **decoders, samc_error *error);
void samc__decoders_stop(samc__decoders *decoders); /* NULL is allowed */
/* Whether the process that they come from died; the server cannot make another. */
bool samc__decoders_gone(samc__decoders *decoders);
pid_t samc__decoders_process(const samc__decoders *decoders);
/* As samc_image_decode_with(), in a process of its own that may read what it was given and compute, and nothing else.
 * Its death is SAMC_FORMAT. `scaled` gets samc_scale_json(), "" of 8 bits, or is NULL. From any thread. */
samc_status samc__decoders_decode(samc__decoders *decoders, const void *bytes, size_t size,
                                  const samc_image_options *how, samc_image *image, char scaled[SAMC__SCALED],
                                  samc_error *error);

/* ---- Numbers --------------------------------------------------------------------------------- */

enum { SAMC__ROUTES = 48, SAMC__CODES = 24, SAMC__BUCKETS = 14 };

typedef struct samc__histogram {
    int64_t bucket[SAMC__BUCKETS + 1];
    double sum;
} samc__histogram;

typedef struct samc__metrics {
    pthread_mutex_t lock;
    struct {
        int route; /* -1: none */
        unsigned code;
        int64_t count;
    } requests[SAMC__ROUTES * 4];
    samc__histogram seconds[SAMC__STAGES]; /* of requests from their arrival to their reply */
    int64_t prompts, batches, masks, images, killed;
    int64_t disk_hits, disk_writes, disk_failures, disk_damaged;
} samc__metrics;

void samc__metrics_init(samc__metrics *metrics);
void samc__metrics_request(samc__serve *serve, const samc__request *request, unsigned code);
void samc__metrics_seconds(samc__serve *serve, samc__stage stage, double seconds);
void samc__metrics_add(samc__serve *serve, int64_t *counter, int64_t count); /* one of the counters above */

/* ---- Label Studio ---------------------------------------------------------------------------- */

enum { SAMC__STUDIOS = 8, SAMC__STUDIO_TOKEN = SAMC__SERVE_TOKEN + 1 };

typedef struct samc__studio {
    char origin[300], base[300]; /* "http://name:8080", and that as it was given, with what it is below */
    char token[SAMC__STUDIO_TOKEN];
} samc__studio;

/* Those that called /setup. */
typedef struct samc__studios {
    pthread_mutex_t lock;
    samc__studio known[SAMC__STUDIOS];
    int next, last;
} samc__studios;

/* ---- The server ------------------------------------------------------------------------------ */

struct samc__serve {
    samc__serve_options options;
    int port; /* the one it listens at */
    samc_model_info info;
    struct MHD_Daemon *daemon;
    samc__guard guard;
    samc__decoders *decoders;
    samc__stages *stages;
    samc__clients clients;
    int patience; /* seconds that automatic masks wait for prompts at a time */
    samc__pictures pictures;
    samc__disk disk;
    samc__studios studios;
    samc__book *book; /* phrases, of the text stage */
    samc__metrics metrics;
    atomic_int owed;   /* replies to requests that a stage took, until they are sent */
    atomic_bool ready; /* the guard knows the port; who asks before is sent away */
    atomic_bool stopping;
};

double samc__serve_seconds(void); /* of a clock that only goes forward */

extern const samc__route samc__routes[]; /* ended by one without a method */

/* Handlers, routes.c. */
void samc__handle_root(samc__request *request);
void samc__handle_page_file(samc__request *request);
void samc__handle_openapi(samc__request *request);
void samc__handle_health(samc__request *request);
void samc__handle_metrics(samc__request *request);
void samc__handle_model(samc__request *request);
void samc__handle_upload(samc__request *request);
void samc__handle_picture(samc__request *request);
void samc__handle_forget(samc__request *request);
void samc__handle_embedding_get(samc__request *request);
void samc__handle_embedding_put(samc__request *request);
void samc__handle_predict(samc__request *request);
void samc__handle_auto(samc__request *request);
void samc__handle_text(samc__request *request);
void samc__book_free(samc__book *book); /* NULL is allowed */
void samc__handle_pixels(samc__request *request);
void samc__handle_folder(samc__request *request);
void samc__handle_folder_open(samc__request *request);
void samc__handle_folder_file(samc__request *request);
void samc__handle_annotations_get(samc__request *request);
void samc__handle_annotations_put(samc__request *request);
void samc__handle_classes_get(samc__request *request);
void samc__handle_classes_put(samc__request *request);
/* Tools, each in a file of its own: tool_*.c. */
void samc__handle_anylabeling_models(samc__request *request);
void samc__handle_anylabeling_predict(samc__request *request);
void samc__tell_anylabeling(samc__request *request, unsigned status, const char *message);
void samc__handle_cvat_functions(samc__request *request);
void samc__handle_cvat_function(samc__request *request);
void samc__handle_cvat_invoke(samc__request *request);
void samc__handle_osam(samc__request *request);
void samc__handle_localai(samc__request *request);
void samc__handle_studio_setup(samc__request *request);
void samc__handle_studio_predict(samc__request *request);
void samc__handle_studio_event(samc__request *request);
void samc__handle_studio_versions(samc__request *request);
void samc__handle_inference_server(samc__request *request);
void samc__handle_inference_health(samc__request *request);
void samc__handle_inference_model(samc__request *request);
void samc__handle_inference_ready(samc__request *request);
void samc__handle_inference(samc__request *request);

/* Brings the picture of the path back from the disk, where it is, and goes on with the route's handler; false: it is
 * in memory or nowhere. */
bool samc__picture_recall_first(samc__request *request);
/* Decodes and encodes the body, unless it is known, and goes on with request->then, which has the picture. */
bool samc__picture_make(samc__request *request);
/* The same for a body that is pixels, RGB [height, width, 3]. */
bool samc__picture_take(samc__request *request, int width, int height);
/* Puts request->question on request->picture to the decoder; request->give makes the reply. */
bool samc__predict_submit(samc__request *request);
/* The body becomes what is in it in base 64, with or without a data URI's head; false and the reply given. */
bool samc__request_unpack(samc__request *request, const json_t *text, const char *key);

/* The picture of the path; NULL and the reply, 404, given. */
samc__picture *samc__request_picture(samc__request *request);

#endif
