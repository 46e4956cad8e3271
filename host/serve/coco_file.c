/* COCO data sets: read, held to what they have to be, written as one work. */
#include "host/serve/coco_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <time.h>
#include <unistd.h>

samc_status samc__coco_fail(samc_error *error, samc_status status, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    error->status = status;
    vsnprintf(error->message, sizeof error->message, format, arguments);
    va_end(arguments);
    return status;
}

/* ---- What is in it --------------------------------------------------------------------------- */

json_t *samc__coco_list(const json_t *root, const char *key) { return json_object_get(root, key); }

json_int_t samc__coco_int(const json_t *object, const char *key) {
    return json_integer_value(json_object_get(object, key));
}

json_t *samc__coco_find(const json_t *list, json_int_t id) {
    for (size_t i = 0; i < json_array_size(list); i++)
        if (samc__coco_int(json_array_get(list, i), "id") == id) return json_array_get(list, i);
    return NULL;
}

json_t *samc__coco_named(const json_t *list, const char *key, const char *name) {
    for (size_t i = 0; i < json_array_size(list); i++) {
        json_t *entry = json_array_get(list, i);
        if (strcmp(json_string_value(json_object_get(entry, key)), name) == 0) return entry;
    }
    return NULL;
}

json_int_t samc__coco_free_id(const json_t *list) {
    json_int_t most = 0;
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_int_t id = samc__coco_int(json_array_get(list, i), "id");
        if (id > most) most = id;
    }
    return most + 1;
}

static int by_size(const void *a, const void *b) {
    const json_int_t x = *(const json_int_t *)a, y = *(const json_int_t *)b;
    return (x > y) - (x < y);
}

/* Whether every entry has a number of its own and, where `name` is one, a text there, and a number at `of`. */
static samc_status check_list(const json_t *root, const char *key, const char *name, const char *of,
                              samc_error *error) {
    const json_t *list = samc__coco_list(root, key);
    const size_t count = json_array_size(list);
    json_int_t *ids = malloc((count + 1) * sizeof *ids);
    samc_status status = ids == NULL ? samc__coco_fail(error, SAMC_OUT_OF_MEMORY, "no memory for %s", key) : SAMC_OK;
    if (!json_is_array(list)) status = samc__coco_fail(error, SAMC_FORMAT, "'%s' is not a list", key);
    for (size_t i = 0; i < count && status == SAMC_OK; i++) {
        const json_t *entry = json_array_get(list, i);
        const json_int_t id = samc__coco_int(entry, "id");
        if (!json_is_integer(json_object_get(entry, "id")) || id < 0 || id > (json_int_t)1 << 62)
            status = samc__coco_fail(error, SAMC_FORMAT, "%s[%zu] has no 'id' that is a number", key, i);
        else if (name != NULL && !json_is_string(json_object_get(entry, name)))
            status = samc__coco_fail(error, SAMC_FORMAT, "%s[%zu] has no '%s'", key, i, name);
        else if (of != NULL && !json_is_integer(json_object_get(entry, of)))
            status = samc__coco_fail(error, SAMC_FORMAT, "%s[%zu] has no '%s' that is a number", key, i, of);
        else ids[i] = id;
    }
    if (status == SAMC_OK) qsort(ids, count, sizeof *ids, by_size);
    for (size_t i = 1; i < count && status == SAMC_OK; i++)
        if (ids[i] == ids[i - 1])
            status = samc__coco_fail(error, SAMC_FORMAT, "two of '%s' have the id %lld", key, (long long)ids[i]);
    free(ids);
    return status;
}

static samc_status check(json_t *root, samc_error *error) {
    if (!json_is_object(root)) return samc__coco_fail(error, SAMC_FORMAT, "not an object");
    if (json_object_get(root, "images") == NULL || json_object_get(root, "annotations") == NULL)
        return samc__coco_fail(error, SAMC_FORMAT, "no 'images' and 'annotations'");
    if (json_object_get(root, "categories") == NULL && json_object_set_new(root, "categories", json_array()) != 0)
        return samc__coco_fail(error, SAMC_OUT_OF_MEMORY, "no memory");
    samc_status status = check_list(root, "images", "file_name", NULL, error);
    if (status == SAMC_OK) status = check_list(root, "categories", "name", NULL, error);
    return status == SAMC_OK ? check_list(root, "annotations", NULL, "image_id", error) : status;
}

samc_status samc__coco_want(json_t *root, const char *classes, samc_error *error) {
    json_t *list = samc__coco_list(root, "categories");
    for (const char *at = classes; at != NULL && *at != '\0';) {
        const size_t length = strcspn(at, ",");
        char name[256];
        if (length >= sizeof name) return samc__coco_fail(error, SAMC_INVALID_ARGUMENT, "a class of %zu bytes", length);
        memcpy(name, at, length);
        name[length] = '\0';
        at += length + (at[length] == ',');
        if (length == 0 || samc__coco_named(list, "name", name) != NULL) continue;
        json_t *added = json_pack("{s:I, s:s}", "id", samc__coco_free_id(list), "name", name);
        if (added == NULL) return samc__coco_fail(error, SAMC_INVALID_ARGUMENT, "the class '%s' is not in UTF-8", name);
        if (json_array_append_new(list, added) != 0) return samc__coco_fail(error, SAMC_OUT_OF_MEMORY, "no memory");
    }
    return SAMC_OK;
}

/* ---- Reading --------------------------------------------------------------------------------- */

static bool same_file(const struct stat *a, const struct stat *b) {
    return a->st_dev == b->st_dev && a->st_ino == b->st_ino && a->st_size == b->st_size &&
           a->st_mtim.tv_sec == b->st_mtim.tv_sec && a->st_mtim.tv_nsec == b->st_mtim.tv_nsec;
}

static samc_status parse(samc__coco *c, FILE *file, json_t **root, struct stat *seen, samc_error *error) {
    json_error_t wrong;
    samc_error why;
    if (fstat(fileno(file), seen) != 0 || !S_ISREG(seen->st_mode))
        return samc__coco_fail(error, SAMC_FORMAT, "%s: not a file", c->path);
    *root = json_loadf(file, JSON_REJECT_DUPLICATES, &wrong);
    if (*root == NULL)
        return samc__coco_fail(error, SAMC_FORMAT, "%s: not COCO: %s (line %d)", c->path, wrong.text, wrong.line);
    if (check(*root, &why) == SAMC_OK) return SAMC_OK;
    json_decref(*root);
    return samc__coco_fail(error, why.status, "%s: not COCO: %s", c->path, why.message);
}

/* Reads the file again where it is another one than the last that was read or written. */
static samc_status look(samc__coco *c, samc_error *error) {
    struct stat now = {0};
    json_t *root = NULL;
    const bool there = stat(c->path, &now) == 0;
    if (!there && errno != ENOENT)
        return samc__coco_fail(error, SAMC_IO, "%s: cannot open: %s", c->path, strerror(errno));
    if (c->root != NULL && there == c->there && (!there || same_file(&now, &c->seen))) return SAMC_OK;
    if (there) {
        FILE *file = S_ISREG(now.st_mode) ? fopen(c->path, "re") : NULL;
        if (file == NULL)
            return samc__coco_fail(error, SAMC_IO, "%s: cannot open: %s", c->path,
                                   S_ISREG(now.st_mode) ? strerror(errno) : "not a file");
        const samc_status status = parse(c, file, &root, &now, error);
        fclose(file);
        if (status != SAMC_OK) return status;
    } else if ((root = json_pack("{s:[], s:[], s:[]}", "images", "annotations", "categories")) == NULL)
        return samc__coco_fail(error, SAMC_OUT_OF_MEMORY, "no memory for annotations");
    const samc_status status = samc__coco_want(root, c->classes, error);
    if (status != SAMC_OK) {
        json_decref(root);
        return status;
    }
    json_decref(c->root);
    c->root = root;
    c->seen = now;
    c->there = there;
    return SAMC_OK;
}

/* Waits for other programs, however long they take; a second more once the server stops. Where a file system has no
 * locks there is none. */
static samc_status lock_folder(samc__coco *c, samc_error *error) {
    int left = 50; /* of 20 ms */
    while (flock(c->folder, LOCK_EX | LOCK_NB) != 0 && (errno == EWOULDBLOCK || errno == EINTR)) {
        if (atomic_load(&c->stopping) && left-- == 0)
            return samc__coco_fail(error, SAMC_STOPPED, "%s: another program keeps its folder locked", c->path);
        nanosleep(&(struct timespec){.tv_nsec = 20000000}, NULL);
    }
    return SAMC_OK;
}

samc_status samc__coco_begin(samc__coco *c, bool change, samc_error *error) {
    pthread_mutex_lock(&c->lock);
    const samc_status status = change && c->folder >= 0 ? lock_folder(c, error) : SAMC_OK;
    return status == SAMC_OK ? look(c, error) : status;
}

void samc__coco_end(samc__coco *c) {
    if (c->folder >= 0) flock(c->folder, LOCK_UN);
    pthread_mutex_unlock(&c->lock);
}

/* ---- Writing --------------------------------------------------------------------------------- */

static bool put(FILE *to, json_t *value);

/* The fewest digits that are this number: what others wrote as 0.1 is no 0.10000000000000001 afterwards. */
static bool put_real(FILE *to, double x) {
    char text[40];
    for (int digits = 15; digits <= 17; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, x);
        if (strtod(text, NULL) == x) break;
    }
    return fprintf(to, "%s%s", text, strpbrk(text, ".e") == NULL ? ".0" : "") >= 0;
}

static bool put_name(FILE *to, const char *key) {
    json_t *name = json_string(key);
    const bool good = json_dumpf(name, to, JSON_ENCODE_ANY) == 0 && fputs(": ", to) >= 0;
    json_decref(name);
    return good;
}

static bool put_object(FILE *to, json_t *object) {
    const char *key, *before = "{";
    json_t *value;
    bool good = true;
    json_object_foreach(object, key, value) {
        good = good && fputs(before, to) >= 0 && put_name(to, key) && put(to, value);
        before = ", ";
    }
    return good && fputs(json_object_size(object) == 0 ? "{}" : "}", to) >= 0;
}

static bool put_array(FILE *to, const json_t *array, const char *first, const char *between) {
    bool good = true;
    for (size_t i = 0; i < json_array_size(array); i++)
        good = good && fputs(i == 0 ? first : between, to) >= 0 && put(to, json_array_get(array, i));
    return good && fputs(json_array_size(array) == 0 ? "[]" : "]", to) >= 0;
}

/* A value on one line; as deep as the parser let it be. */
static bool put(FILE *to, json_t *value) {
    if (json_is_object(value)) return put_object(to, value);
    if (json_is_array(value)) return put_array(to, value, "[", ", ");
    if (json_is_real(value)) return put_real(to, json_real_value(value));
    return json_dumpf(value, to, JSON_ENCODE_ANY) == 0;
}

/* An entry of the lists a line: for people, diff and git. */
static bool print(FILE *to, json_t *root) {
    const char *key, *before = "{";
    json_t *value;
    bool good = true;
    json_object_foreach(root, key, value) {
        good = good && fputs(before, to) >= 0 && put_name(to, key) &&
               (json_is_array(value) ? put_array(to, value, "[\n", ",\n") : put(to, value));
        before = ",\n";
    }
    return good && fputs("}\n", to) >= 0;
}

samc_status samc__coco_write(samc__coco *c, json_t *root, samc_error *error) {
    char *text = NULL;
    size_t size = 0;
    samc_writer *writer = NULL;
    FILE *to = open_memstream(&text, &size);
    bool good = to != NULL && print(to, root);
    if (to != NULL && fclose(to) != 0) good = false;
    samc_status status = good
                             ? samc_writer_open(c->path, &writer, error)
                             : samc__coco_fail(error, SAMC_OUT_OF_MEMORY, "%s: no memory for the annotations", c->path);
    if (status == SAMC_OK) status = samc_writer_sync(writer, error);
    if (status == SAMC_OK) status = samc_writer_append(writer, text, size, error);
    if (status == SAMC_OK) status = samc_writer_commit(writer, error);
    else samc_writer_abandon(writer);
    free(text);
    if (status != SAMC_OK) {
        json_decref(root);
        return status;
    }
    json_decref(c->root);
    c->root = root;
    c->there = stat(c->path, &c->seen) == 0; /* nobody else has the lock */
    return SAMC_OK;
}

/* ---- Opening --------------------------------------------------------------------------------- */

static bool can_write(const char *path) {
    samc_writer *writer = NULL;
    samc_error ignored;
    const bool can = samc_writer_open(path, &writer, &ignored) == SAMC_OK;
    samc_writer_abandon(writer);
    return can;
}

static int open_folder(const char *path) {
    const char *slash = strrchr(path, '/');
    char *folder = slash == NULL ? strdup(".") : strndup(path, slash == path ? 1 : (size_t)(slash - path));
    const int handle = folder != NULL ? open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
    free(folder);
    return handle;
}

samc_status samc__coco_open(const char *path, samc__coco **out, bool *writable, samc_error *error) {
    samc__coco *c = calloc(1, sizeof *c);
    *out = NULL;
    if (c == NULL) return samc__coco_fail(error, SAMC_OUT_OF_MEMORY, "no memory for annotations");
    pthread_mutex_init(&c->lock, NULL);
    c->path = path;
    c->folder = open_folder(path);
    samc_status status = samc__coco_begin(c, false, error);
    samc__coco_end(c);
    *writable = can_write(path);
    if (status == SAMC_OK) *out = c;
    else samc__coco_close(c);
    return status;
}

void samc__coco_stop(samc__coco *c) { atomic_store(&c->stopping, true); }

void samc__coco_close(samc__coco *c) {
    if (c == NULL) return;
    if (c->folder >= 0) close(c->folder);
    json_decref(c->root);
    free(c->classes);
    pthread_mutex_destroy(&c->lock);
    free(c);
}
