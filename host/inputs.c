/* Collecting inputs. The order is that of the keys as bytes, an archive's members in the archive's order: it depends on nothing but
 * names, so that --shard and --resume mean the same images everywhere. */
#include "host/inputs.h"

#include <dirent.h>
#include <errno.h>
#include <fnmatch.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#include "host/file.h"
#include "host/tar.h"
#include "runtime/status.h"

/* A file or an archive, before archives are opened. */
typedef struct source {
    size_t key, path, reason;
    bool archive;
} source;

typedef struct collector {
    samc__inputs *inputs;
    const samc__inputs_options *options;
    source *sources;
    int64_t count, room;
    dev_t excluded_device; /* of options->exclude, where it exists */
    ino_t excluded_inode;
    bool excluding;
    samc_error *error;
} collector;

enum { LIST_LIMIT = 1 << 30 };

static samc_status no_memory(samc_error *error) { return samc__fail(error, SAMC_OUT_OF_MEMORY, "out of memory for the list of inputs"); }

/* Copies text into the pool; returns its offset, 0 without memory or for "". */
static size_t keep(samc__inputs *in, const char *text) {
    size_t length = strlen(text) + 1;
    if (length == 1) return 0;
    if (in->room - in->used < length) {
        size_t room = (in->room + length) * 2;
        char *grown = realloc(in->text, room);
        if (grown == NULL) return 0;
        in->text = grown;
        in->room = room;
    }
    size_t at = in->used;
    memcpy(in->text + at, text, length);
    in->used += length;
    return at;
}

static samc_status add_source(collector *c, const char *key, const char *path, const char *reason, bool archive) {
    if (c->count == c->room) {
        int64_t room = c->room ? c->room * 2 : 256;
        source *grown = realloc(c->sources, (size_t)room * sizeof *grown);
        if (grown == NULL) return no_memory(c->error);
        c->sources = grown;
        c->room = room;
    }
    source s = {.key = keep(c->inputs, key), .path = keep(c->inputs, path), .archive = archive};
    if (reason != NULL) s.reason = keep(c->inputs, reason);
    if (s.key == 0 || s.path == 0 || (reason != NULL && s.reason == 0)) return no_memory(c->error);
    c->sources[c->count++] = s;
    return SAMC_OK;
}

/* "what: why" as the reason of a path that cannot be looked into. */
static samc_status add_refused(collector *c, const char *key, const char *path, const char *what, int code) {
    char *reason = NULL;
    if (asprintf(&reason, "%s: %s: %s", path, what, strerror(code)) < 0) return no_memory(c->error);
    samc_status status = add_source(c, key, path, reason, false);
    free(reason);
    return status;
}

/* ---- Names --------------------------------------------------------------------------------------------------------- */

bool samc__key_of_path(const char *path, char *out) {
    bool inside = true;
    char *to = out;
    for (const char *at = path; *at != '\0';) {
        size_t n = strcspn(at, "/");
        bool parent = n == 2 && memcmp(at, "..", 2) == 0;
        if (parent) inside = false;
        if (n > 0 && !parent && !(n == 1 && *at == '.')) {
            if (to != out) *to++ = '/';
            memcpy(to, at, n);
            to += n;
        }
        at += n;
        while (*at == '/') at++;
    }
    *to = '\0';
    return inside;
}

static const char *last_component(const char *path) {
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

/* Whether a file found in a folder or an archive is taken for an image. Formats that samc does not read count too: they end in
 * errors.jsonl instead of being lost in silence. */
static bool is_image(const collector *c, const char *key) {
    static const char *const endings[] = {"jpg", "jpeg", "jpe", "png", "bmp", "gif", "psd", "pgm", "ppm", "pnm", "tga", "webp", "tif",
                                          "tiff", "avif", "heic", "heif", "jp2", "jxl"};
    const char *name = last_component(key), *dot = strrchr(name, '.');
    if (name[0] == '.') return false;
    if (c->options->globs != NULL && c->options->globs[0] != NULL) {
        for (const char *const *glob = c->options->globs; *glob != NULL; glob++)
            if (fnmatch(*glob, strchr(*glob, '/') ? key : name, 0) == 0) return true;
        return false;
    }
    for (size_t i = 0; dot != NULL && i < sizeof endings / sizeof *endings; i++)
        if (strcasecmp(dot + 1, endings[i]) == 0) return true;
    return false;
}

/* ---- Folders ------------------------------------------------------------------------------------------------------- */

/* The folders above the one being read: where one of them turns up again, a symbolic link leads in a circle. */
typedef struct ancestor {
    dev_t device;
    ino_t inode;
    const struct ancestor *parent;
} ancestor;

static samc_status walk(collector *c, const char *folder, const char *prefix, const ancestor *parent);

static samc_status visit(collector *c, const char *folder, const char *prefix, const char *name, const ancestor *self) {
    char *path = NULL, *key = NULL;
    struct stat information;
    samc_status status = SAMC_OK;
    size_t length = strlen(folder);
    const char *slash = length > 0 && folder[length - 1] == '/' ? "" : "/";
    if (asprintf(&path, "%s%s%s", folder, slash, name) < 0) path = NULL;
    if (asprintf(&key, "%s%s%s", prefix, *prefix ? "/" : "", name) < 0) key = NULL;
    if (path == NULL || key == NULL) status = no_memory(c->error);
    else if (stat(path, &information) != 0) {
        /* A dangling link or a name that is gone: an image's is recorded when it is to be read. */
        if (is_image(c, key)) status = add_source(c, key, path, NULL, false);
        else c->inputs->skipped++;
    } else if (S_ISDIR(information.st_mode)) {
        status = walk(c, path, key, self);
    } else if (S_ISREG(information.st_mode) && samc__tar_is(name)) {
        status = add_source(c, key, path, NULL, true);
    } else if (S_ISREG(information.st_mode) && is_image(c, key)) {
        status = add_source(c, key, path, NULL, false);
    } else {
        c->inputs->skipped++;
    }
    free(path);
    free(key);
    return status;
}

static samc_status walk(collector *c, const char *folder, const char *prefix, const ancestor *parent) {
    struct stat information;
    const char *name = *prefix ? prefix : last_component(folder);
    DIR *open = stat(folder, &information) == 0 ? opendir(folder) : NULL;
    if (open == NULL) return add_refused(c, *name ? name : "folder", folder, "cannot open the folder", errno);
    ancestor self = {information.st_dev, information.st_ino, parent};
    samc_status status = SAMC_OK;
    bool enter = !(c->excluding && self.device == c->excluded_device && self.inode == c->excluded_inode);
    for (const ancestor *a = parent; a != NULL && enter; a = a->parent) enter = a->device != self.device || a->inode != self.inode;
    while (enter && status == SAMC_OK) {
        errno = 0;
        const struct dirent *entry = readdir(open);
        if (entry == NULL) {
            if (errno != 0) status = add_refused(c, *name ? name : "folder", folder, "cannot read the folder", errno);
            break;
        }
        if (entry->d_name[0] != '.') status = visit(c, folder, prefix, entry->d_name, &self);
    }
    closedir(open);
    return status;
}

/* ---- Arguments and lists ------------------------------------------------------------------------------------------- */

static samc_status add_path(collector *c, const char *path, const char *key, bool must_exist) {
    struct stat information;
    if (stat(path, &information) != 0) {
        if (must_exist) return samc__fail(c->error, SAMC_IO, "%s: cannot open: %s", path, strerror(errno));
        return add_source(c, key, path, NULL, false);
    }
    if (S_ISDIR(information.st_mode)) {
        if (c->excluding && information.st_dev == c->excluded_device && information.st_ino == c->excluded_inode)
            return samc__fail(c->error, SAMC_INVALID_ARGUMENT, "%s is the output folder too", path);
        return walk(c, path, must_exist ? "" : key, NULL);
    }
    return add_source(c, key, path, NULL, samc__tar_is(path));
}

static samc_status add_line(void *context, const char *path) {
    collector *c = context;
    char *key = malloc(strlen(path) + 1);
    if (key == NULL) return no_memory(c->error);
    samc__key_of_path(path, key);
    samc_status status = *key == '\0' ? samc__fail(c->error, SAMC_FORMAT, "a list holds '%s', which names no file", path)
                                      : add_path(c, path, key, false);
    free(key);
    return status;
}

samc_status samc__list_lines(const uint8_t *bytes, size_t size, samc_status (*line)(void *, const char *), void *context, samc_error *error) {
    int separator = memchr(bytes, '\0', size) != NULL ? '\0' : '\n';
    for (size_t at = 0; at < size;) {
        const uint8_t *end = memchr(bytes + at, separator, size - at);
        size_t whole = end != NULL ? (size_t)(end - bytes) - at : size - at, n = whole;
        if (separator == '\n' && n > 0 && bytes[at + n - 1] == '\r') n--;
        if (n > 0) {
            char *text = strndup((const char *)bytes + at, n);
            if (text == NULL) return no_memory(error);
            samc_status status = line(context, text);
            free(text);
            SAMC__TRY(status);
        }
        at += whole + 1;
    }
    return SAMC_OK;
}

static samc_status add_argument(collector *c, const char *argument) {
    if (argument[0] != '@' && strcmp(argument, "-") != 0) {
        const char *name = last_component(argument);
        return add_path(c, argument, *name ? name : argument, true);
    }
    uint8_t *bytes;
    size_t size;
    SAMC__TRY(samc__file_read(argument[0] == '@' ? argument + 1 : argument, LIST_LIMIT, &bytes, &size, c->error));
    samc_status status = samc__list_lines(bytes, size, add_line, c, c->error);
    free(bytes);
    return status;
}

/* ---- The list ------------------------------------------------------------------------------------------------------ */

static int by_key(const void *a, const void *b, void *context) {
    const char *text = context;
    const source *x = a, *y = b;
    int order = strcmp(text + x->key, text + y->key);
    return order ? order : strcmp(text + x->path, text + y->path);
}

static samc_status add_input(samc__inputs *in, samc__input item, samc_error *error) {
    if (in->count == in->items_room) {
        int64_t room = in->items_room ? in->items_room * 2 : 256;
        samc__input *grown = realloc(in->items, (size_t)room * sizeof *grown);
        if (grown == NULL) return no_memory(error);
        in->items = grown;
        in->items_room = room;
    }
    in->items[in->count++] = item;
    return SAMC_OK;
}

/* One image of an archive. */
static samc_status add_member(collector *c, const source *s, const char *name, int64_t number) {
    samc__inputs *in = c->inputs;
    char *member = malloc(strlen(name) + 1), *key = NULL, *path = NULL, *reason = NULL;
    samc_status status = SAMC_OK;
    bool inside = member != NULL && samc__key_of_path(name, member);
    if (member != NULL && !is_image(c, member)) {
        in->skipped++;
    } else if (member == NULL || asprintf(&key, "%s/%s", in->text + s->key, member) < 0 || asprintf(&path, "%s/%s", in->text + s->path, name) < 0 ||
               (!inside && asprintf(&reason, "%s: its name leads out of the output folder", path) < 0)) {
        status = no_memory(c->error);
    } else {
        samc__input item = {.key = keep(in, key), .source = keep(in, path), .tar = in->tar_count - 1, .member = number};
        if (reason != NULL) item.reason = keep(in, reason);
        status = item.key && item.source && (reason == NULL || item.reason) ? add_input(in, item, c->error) : no_memory(c->error);
    }
    free(member);
    free(key);
    free(path);
    free(reason);
    return status;
}

/* Lists the members of an archive. Damage becomes an item of its own behind the members that can be read. */
static samc_status add_members(collector *c, const source *s) {
    samc__inputs *in = c->inputs;
    samc__tar *tar = NULL;
    samc_error why;
    const char *name = NULL;
    size_t *grown = realloc(in->tars, ((size_t)in->tar_count + 1) * sizeof *grown);
    if (grown == NULL) return no_memory(c->error);
    in->tars = grown;
    in->tars[in->tar_count++] = s->path;
    char *path = strdup(in->text + s->path); /* the pool moves */
    samc_status status = path ? SAMC_OK : no_memory(c->error), readable = path ? samc__tar_open(path, &tar, &why) : SAMC_OK;
    for (int64_t number = 0; status == SAMC_OK && readable == SAMC_OK; number++) {
        readable = samc__tar_next(tar, &name, &why);
        if (name == NULL) break;
        status = add_member(c, s, name, number);
    }
    if (status == SAMC_OK && readable != SAMC_OK) {
        samc__input item = {.key = s->key, .source = s->path, .reason = keep(in, why.message), .tar = -1};
        status = item.reason ? add_input(in, item, c->error) : no_memory(c->error);
    }
    samc__tar_close(tar);
    free(path);
    return status;
}

samc_status samc__inputs_collect(samc__inputs *in, const char *const *arguments, int count, const samc__inputs_options *options,
                                 samc_error *error) {
    collector c = {.inputs = in, .options = options, .error = error};
    struct stat information;
    *in = (samc__inputs){.text = calloc(1, 4096), .used = 1, .room = 4096};
    if (in->text == NULL) return no_memory(error);
    if (options->exclude != NULL && stat(options->exclude, &information) == 0) {
        c.excluding = true;
        c.excluded_device = information.st_dev;
        c.excluded_inode = information.st_ino;
    }
    samc_status status = SAMC_OK;
    for (int i = 0; i < count && status == SAMC_OK; i++) status = add_argument(&c, arguments[i]);
    if (status == SAMC_OK && c.count > 0) qsort_r(c.sources, (size_t)c.count, sizeof *c.sources, by_key, in->text);
    for (int64_t i = 0; i < c.count && status == SAMC_OK; i++) {
        const source *s = &c.sources[i];
        status = s->archive ? add_members(&c, s)
                            : add_input(in, (samc__input){.key = s->key, .source = s->path, .reason = s->reason, .tar = -1}, error);
    }
    free(c.sources);
    if (status != SAMC_OK) samc__inputs_free(in);
    return status;
}

/* ---- Names that collide -------------------------------------------------------------------------------------------- */

/* Keys in order, so that one can be looked up. */
typedef struct index {
    const char *text;
    size_t *keys; /* [count], sorted */
    size_t count;
} index_of_keys;

static int by_text(const void *a, const void *b, void *context) {
    const char *text = context;
    return strcmp(text + *(const size_t *)a, text + *(const size_t *)b);
}

/* Whether the first `length` characters of `name` are a key. */
static bool is_key(const index_of_keys *index, const char *name, size_t length) {
    for (size_t low = 0, high = index->count; low < high;) {
        size_t middle = (low + high) / 2;
        const char *key = index->text + index->keys[middle];
        int order = strncmp(key, name, length);
        if (order == 0 && key[length] != '\0') order = 1;
        if (order == 0) return true;
        if (order < 0) low = middle + 1;
        else high = middle;
    }
    return false;
}

static bool ends_with(const char *name, size_t length, const char *end) {
    size_t n = strlen(end);
    return length > n && memcmp(name + length - n, end, n) == 0;
}

/* Files of the run itself, which no image may have in its way. */
static bool is_reserved(const char *name) {
    return fnmatch("masks*.jsonl", name, 0) == 0 || fnmatch("annotations*.json", name, 0) == 0 || fnmatch("errors*.jsonl", name, 0) == 0;
}

/* Whether results would need the first `length` characters of `key` both as a folder and as another image's results. */
static bool folder_is_taken(const index_of_keys *index, const char *key, size_t length, bool pictures) {
    if (key[length] != '\0' && pictures && is_key(index, key, length)) return true;
    return (ends_with(key, length, ".json") && is_key(index, key, length - 5)) ||
           (ends_with(key, length, ".overlay.png") && is_key(index, key, length - 12));
}

static samc_status check_key(const index_of_keys *index, const char *key, bool pictures, samc_error *error) {
    size_t first = strcspn(key, "/"), length = strlen(key);
    char name[NAME_MAX + 8] = "";
    if (first < NAME_MAX) snprintf(name, sizeof name, "%.*s%s", (int)first, key, first == length ? ".json" : "");
    bool taken = is_reserved(name);
    if (first == length && pictures && first < NAME_MAX) {
        name[first] = '\0';
        taken = taken || is_reserved(name);
    }
    for (size_t at = first; at < length && !taken; at += 1 + strcspn(key + at + 1, "/")) taken = folder_is_taken(index, key, at, pictures);
    if (pictures && !taken) taken = folder_is_taken(index, key, length, pictures);
    return taken ? samc__fail(error, SAMC_INVALID_ARGUMENT, "the results of '%s' would be in the way of another image's or of the run's own files", key)
                 : SAMC_OK;
}

samc_status samc__inputs_check_names(samc__inputs *in, bool pictures, samc_error *error) {
    index_of_keys index = {.keys = malloc(((size_t)in->count + 1) * sizeof(size_t))};
    if (index.keys == NULL) return no_memory(error);
    for (int64_t i = 0; i < in->count; i++) {
        const char *name = last_component(samc__input_key(in, i));
        if (in->items[i].reason == 0 && (strlen(name) + strlen(".overlay.png") > NAME_MAX || strlen(samc__input_key(in, i)) > PATH_MAX / 2))
            in->items[i].reason = keep(in, "its name is too long for the names of its results");
        if (in->items[i].reason == 0) index.keys[index.count++] = in->items[i].key; /* what cannot be read writes nothing */
    }
    index.text = in->text;
    if (index.count > 0) qsort_r(index.keys, index.count, sizeof *index.keys, by_text, in->text);
    samc_status status = SAMC_OK;
    for (size_t i = 1; i < index.count && status == SAMC_OK; i++)
        if (strcmp(in->text + index.keys[i - 1], in->text + index.keys[i]) == 0) {
            const char *a = NULL, *b = NULL; /* the sources of the two */
            for (int64_t j = 0; j < in->count; j++)
                if (in->items[j].reason == 0 && strcmp(samc__input_key(in, j), in->text + index.keys[i]) == 0) *(a == NULL ? &a : &b) = samc__input_source(in, j);
            status = samc__fail(error, SAMC_INVALID_ARGUMENT, "'%.300s' and '%.300s' would write the same files", a, b);
        }
    for (size_t i = 0; i < index.count && status == SAMC_OK; i++) status = check_key(&index, in->text + index.keys[i], pictures, error);
    free(index.keys);
    return status;
}

void samc__inputs_free(samc__inputs *in) {
    free(in->text);
    free(in->items);
    free(in->tars);
    *in = (samc__inputs){0};
}
