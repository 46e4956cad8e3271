/* The file of a COCO data set, and what lies in it; coco.c says what changes in it. */
#ifndef SAMC_HOST_SERVE_COCO_FILE_H
#define SAMC_HOST_SERVE_COCO_FILE_H

#include "host/io/samc_io.h"

#include <jansson.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/stat.h>

typedef struct samc__coco {
    pthread_mutex_t lock;
    const char *path;
    char *classes;    /* that have to be there, "a,b,c", or NULL */
    json_t *root;     /* valid COCO */
    struct stat seen; /* of the file that `root` is */
    bool there;       /* there was one */
    int folder;       /* descriptor that is locked while several programs might write; -1: none */
    atomic_bool stopping;
} samc__coco;

/* Reads the file where there is one; SAMC_FORMAT where it is not COCO. `path` is the caller's. `writable`: whether
 * files can be made where it lies. */
samc_status samc__coco_open(const char *path, samc__coco **coco, bool *writable, samc_error *error);
void samc__coco_stop(samc__coco *coco);  /* from any thread: locks of others are waited for no longer than a second */
void samc__coco_close(samc__coco *coco); /* NULL is allowed */

/* ---- With the lock held ---------------------------------------------------------------------- */

samc_status samc__coco_fail(samc_error *error, samc_status status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* The lock, and the file as it is now. `change`: nobody else's program may write it meanwhile. */
samc_status samc__coco_begin(samc__coco *coco, bool change, samc_error *error);
void samc__coco_end(samc__coco *coco);
/* Writes a data set, which takes the place of `root` on success; takes the reference. */
samc_status samc__coco_write(samc__coco *coco, json_t *root, samc_error *error);

/* "images", "annotations" or "categories": an array, empty where the file has none. Borrowed. */
json_t *samc__coco_list(const json_t *root, const char *key);
/* The number at `key` of an object. */
json_int_t samc__coco_int(const json_t *object, const char *key);
json_t *samc__coco_find(const json_t *list, json_int_t id);                      /* by "id"; NULL: none. Borrowed */
json_t *samc__coco_named(const json_t *list, const char *key, const char *name); /* the first whose `key` is this */
json_int_t samc__coco_free_id(const json_t *list);                               /* above all that are there */
/* Adds what is missing of "a,b,c" to "categories". */
samc_status samc__coco_want(json_t *root, const char *classes, samc_error *error);

#endif
