/* samc serve: the engine behind HTTP, for a page in a browser, for programs and for labelling tools. */
#ifndef SAMC_HOST_SERVE_SERVE_H
#define SAMC_HOST_SERVE_SERVE_H

#include "host/io/samc_io.h"

enum { SAMC__SERVE_HOSTS = 16, SAMC__SERVE_ORIGINS = 16 };
enum { SAMC__SERVE_TOKEN = 1024 }; /* bytes of a token, at most */
enum { SAMC__SERVE_SESSIONS = 8 }; /* for prompts, at most */

/* Addresses that begin alike. IPv4's are those that IPv6 has for them. */
typedef struct samc__network {
    unsigned char address[16];
    int bits;
} samc__network;
/* "10.0.0.0/8", "::1"; false where it is none. */
bool samc__network_read(const char *text, samc__network *network);
/* Whether the text can be a rule for fetching: a name or an address (IPv6 in brackets), with a port or without. */
bool samc__fetch_host_valid(const char *rule);

struct samc__coco;

/* A folder whose images are labelled: listed once. */
/* Of an image: 16 digits of the SHA-256 of `key` and its name, so that a page that was left open saves nothing in
 * another folder that is served at the same address later. */
enum { SAMC__FOLDER_ID = 17 };

typedef struct samc__folder {
    char *path, *annotations_path;
    int handle;  /* of the folder */
    char *names; /* all of them, as samc_folder_list() has them */
    const char **name;
    char (*id)[SAMC__FOLDER_ID];
    size_t count;
    size_t outside;            /* images that links lead to out of the folder, which were left out */
    bool writable;             /* annotations can be saved */
    char key[SAMC__FOLDER_ID]; /* by which a browser tells folders apart: of their place and their annotations' */
    struct samc__coco *annotations;
} samc__folder;

/* `annotations`: the file, or NULL for annotations.coco.json in the folder; `classes`: "a,b,c", or NULL. */
samc_status samc__folder_open(const char *path, const char *annotations, const char *classes, samc__folder **folder,
                              samc_error *error);
void samc__folder_close(samc__folder *folder); /* NULL is allowed */
typedef struct samc__serve_options {
    const samc_model *model;
    const samc_detector *detector;        /* of boxes or maps, or NULL: no phrases */
    const char *address;                  /* "127.0.0.1", "0.0.0.0", "::1" */
    int port;                             /* 0: any that is free */
    const char *token;                    /* what every request has to show, or NULL */
    const char *hosts[SAMC__SERVE_HOSTS]; /* names that the Host header may have beside the address, ended by NULL */
    const char *fetch_hosts[SAMC__SERVE_HOSTS]; /* HOST or HOST:PORT that images may be fetched from, ended by NULL */
    const char *studio_token;                   /* for the first of these, or NULL */
    const char *media_root;                     /* folder of files that Label Studio may name, or NULL */
    samc__network trusted[SAMC__SERVE_HOSTS];   /* whose CVAT needs no token */
    int trusted_count;
    const char *origins[SAMC__SERVE_ORIGINS]; /* of pages of others that may ask, ended by NULL */
    size_t body_bytes;                        /* of one request, at most */
    int64_t max_pixels;                       /* of an image */
    size_t embedding_bytes;                   /* of images that are kept, with their embeddings */
    const char *cache_dir;                    /* where embeddings are kept, or NULL */
    size_t cache_disk;                        /* bytes of it, at most */
    int sessions;                             /* that decode prompts; 0: as many as pay */
    int queue;                                /* requests that may wait for a stage */
    int connections;                          /* that are open at a time */
    size_t waiting_bytes;                     /* of bodies and replies in memory, and again of decoded images */
    int client_connections, client_requests;  /* of one address; 0: as many as there are, and of this machine alone */
    int idle_seconds;                         /* after which a silent connection, or one too slow, is closed */
    int grace_seconds;                        /* to end what runs when asked to stop */
    samc__folder *folder;                     /* whose images are labelled (folder.h), or NULL; the caller's */
} samc__serve_options;

samc__serve_options samc__serve_defaults(void);

typedef struct samc__serve samc__serve;

/* Starts the decoders' process: first of all, while the program has a single thread and little memory. */
samc_status samc__serve_prepare(samc__serve **serve, samc_error *error);
/* Listens. *port: the one that it is. */
samc_status samc__serve_start(samc__serve *serve, const samc__serve_options *options, int *port, samc_error *error);
/* Lets nobody in any more, ends what runs, at most for the grace, and stops. */
void samc__serve_stop(samc__serve *serve); /* NULL is allowed */

#endif
