/* Collecting inputs. The order is that of the keys as bytes, an archive's members in the archive's order: it depends on
 * nothing but names, so that --shard and --resume mean the same images everywhere. */
#include "host/io/inputs.h"
#include "host/io/key.h"

#include <dirent.h>
#include <errno.h>
#include <fnmatch.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "host/io/braces.h"
#include "host/io/file.h"
#include "host/io/members.h"
#include "runtime/base/status.h"

/* A file or an archive, before archives are opened. */
typedef struct source {
    size_t key, path, reason;
    int32_t root;
    bool archive;
    samc__origin origin;
    size_t command; /* SAMC__FROM_COMMAND */
} source;

/* How often a folder was entered. */
typedef struct visits {
    dev_t device;
    ino_t inode;
    int count; /* 0: a free place */
} visits;

typedef struct collector {
    samc__inputs *inputs;
    const samc__inputs_options *options;
    source *sources;
    int64_t count, room;
    dev_t excluded_device; /* of options->exclude, where it exists */
    ino_t excluded_inode;
    bool excluding, flat; /* flat: no folder below this argument is entered */
    bool from_standard_input;
    char *state;     /* "<output>/.samc", resolved: what begins like that is the output's state; NULL where there is no
                        output yet */
    visits *visited; /* [visited_room], a hash table */
    size_t visited_room, visited_count;
    samc_error *error;
} collector;

enum { LIST_LIMIT = 1 << 30, MOST_VISITS = 1000 };

static samc_status no_memory(samc_error *error) {
    return samc__fail(error, SAMC_OUT_OF_MEMORY, "out of memory for the list of inputs");
}

size_t samc__inputs_keep(samc__inputs *in, const char *text) {
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
    source s = {.key = samc__inputs_keep(c->inputs, key),
                .path = samc__inputs_keep(c->inputs, path),
                .root = c->inputs->root_count - 1,
                .archive = archive};
    if (reason != NULL) s.reason = samc__inputs_keep(c->inputs, reason);
    if (s.key == 0 || s.path == 0 || (reason != NULL && s.reason == 0)) return no_memory(c->error);
    c->sources[c->count++] = s;
    return SAMC_OK;
}

/* Something that has the name of an image or an archive and is no file. */
static samc_status add_refused(collector *c, const char *key, const char *path, mode_t mode) {
    samc_error why;
    samc__file_refuse(path, mode, &why);
    return add_source(c, key, path, why.message, false);
}

static samc_status cannot_list(collector *c, const char *path, int code) {
    return samc__fail(c->error, SAMC_IO, "%s: cannot be listed: %s", path, strerror(code));
}

/* Notes the folder that the next sources are found below. */
static samc_status add_root(collector *c, const char *path) {
    samc__inputs *in = c->inputs;
    struct stat information;
    if (in->root_count > 0 && strcmp(in->text + in->roots[in->root_count - 1].path, path) == 0) return SAMC_OK;
    if (in->root_count == in->roots_room) {
        int32_t room = in->roots_room ? 2 * in->roots_room : 16;
        samc__root *grown = realloc(in->roots, (size_t)room * sizeof *grown);
        if (grown == NULL) return no_memory(c->error);
        in->roots = grown;
        in->roots_room = room;
    }
    samc__root root = {.path = samc__inputs_keep(in, path)};
    if (root.path == 0) return no_memory(c->error);
    if (stat(path, &information) == 0) root = (samc__root){root.path, information.st_dev, information.st_ino};
    in->roots[in->root_count++] = root;
    return SAMC_OK;
}

bool samc__input_root_lives(const samc__inputs *in, int64_t i) {
    struct stat information;
    const samc__root *root = &in->roots[in->items[i].root];
    if (root->inode == 0) return true;
    return stat(in->text + root->path, &information) == 0 && information.st_dev == root->device &&
           information.st_ino == root->inode;
}

/* Refuses what lies in the state of the output, over links too: reading it while it is written would make neither
 * right. */
static samc_status check_outside(collector *c, const char *path) {
    char *real = c->state ? realpath(path, NULL) : NULL;
    bool inside = real != NULL && strncmp(real, c->state, strlen(c->state)) == 0;
    free(real);
    return inside ? samc__fail(c->error, SAMC_INVALID_ARGUMENT, "'%s' lies in the state of the output folder", path)
                  : SAMC_OK;
}

/* ---- Visited folders ------------------------------------------------------------------------- */

static visits *place_of(visits *table, size_t room, dev_t device, ino_t inode) {
    size_t at = (size_t)((inode * 0x9e3779b97f4a7c15ull ^ device) >> 20) % room;
    while (table[at].count > 0 && (table[at].device != device || table[at].inode != inode)) at = (at + 1) % room;
    return &table[at];
}

/* Counts a visit. Links that lead to the same folders in many ways multiply with every level: 30 folders with two links
 * each to the next are a billion paths. */
static samc_status count_visit(collector *c, const char *path, const struct stat *information) {
    if (2 * c->visited_count >= c->visited_room) {
        size_t room = c->visited_room ? 2 * c->visited_room : 64;
        visits *grown = calloc(room, sizeof *grown);
        if (grown == NULL) return no_memory(c->error);
        for (size_t i = 0; i < c->visited_room; i++)
            if (c->visited[i].count > 0)
                *place_of(grown, room, c->visited[i].device, c->visited[i].inode) = c->visited[i];
        free(c->visited);
        c->visited = grown;
        c->visited_room = room;
    }
    visits *place = place_of(c->visited, c->visited_room, information->st_dev, information->st_ino);
    c->visited_count += place->count == 0;
    *place = (visits){information->st_dev, information->st_ino, place->count + 1};
    return place->count <= MOST_VISITS
               ? SAMC_OK
               : samc__fail(c->error, SAMC_UNSUPPORTED, "%s: symbolic links lead to this folder on more than %d ways",
                            path, MOST_VISITS);
}

/* ---- Names ----------------------------------------------------------------------------------- */

static const char *last_component(const char *path) {
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

static bool is_image(const collector *c, const char *key) { return samc__inputs_is_image(c->options->globs, key); }

/* ---- Folders --------------------------------------------------------------------------------- */

/* The folders above the one being read: where one of them turns up again, a symbolic link leads in a circle. */
typedef struct ancestor {
    dev_t device;
    ino_t inode;
    const struct ancestor *parent;
} ancestor;

static samc_status walk(collector *c, const char *folder, const char *prefix, const ancestor *parent);

/* One entry of a folder; `link`: it is a symbolic link, or may be one. */
static samc_status visit(collector *c, const char *folder, const char *prefix, const char *name, bool link,
                         const ancestor *self) {
    char *path = NULL, *key = NULL;
    struct stat information;
    samc_status status = SAMC_OK;
    size_t length = strlen(folder);
    const char *slash = length > 0 && folder[length - 1] == '/' ? "" : "/";
    if (asprintf(&path, "%s%s%s", folder, slash, name) < 0) path = NULL;
    if (asprintf(&key, "%s%s%s", prefix, *prefix ? "/" : "", name) < 0) key = NULL;
    if (path == NULL || key == NULL) {
        status = no_memory(c->error);
    } else if (stat(path, &information) != 0) {
        /* A dangling link or a name that is gone: an image's is recorded when it is to be read. */
        bool gone = errno == ENOENT || errno == ELOOP, image = is_image(c, key);
        if (samc__file_is_outage(errno) || (!gone && !image))
            status = cannot_list(c, path, errno); /* it may be a folder */
        else if (image) status = add_source(c, key, path, NULL, false);
        else c->inputs->skipped++;
    } else if (link && (status = check_outside(c, path)) != SAMC_OK) {
        /* refused */
    } else if (S_ISDIR(information.st_mode)) {
        if (c->flat) c->inputs->skipped++;
        else status = walk(c, path, key, self);
    } else if (!samc__tar_is(name) && !is_image(c, key)) {
        c->inputs->skipped++;
    } else if (S_ISREG(information.st_mode)) {
        status = add_source(c, key, path, NULL, samc__tar_is(name));
    } else {
        status = add_refused(c, key, path, information.st_mode);
    }
    free(path);
    free(key);
    return status;
}

static samc_status walk(collector *c, const char *folder, const char *prefix, const ancestor *parent) {
    struct stat information;
    DIR *open = stat(folder, &information) == 0 ? opendir(folder) : NULL;
    if (open == NULL) return cannot_list(c, folder, errno);
    ancestor self = {information.st_dev, information.st_ino, parent};
    samc_status status = SAMC_OK;
    bool enter = !(c->excluding && self.device == c->excluded_device && self.inode == c->excluded_inode);
    for (const ancestor *a = parent; a != NULL && enter; a = a->parent)
        enter = a->device != self.device || a->inode != self.inode;
    if (enter) status = count_visit(c, folder, &information);
    while (enter && status == SAMC_OK) {
        errno = 0;
        const struct dirent *entry = readdir(open);
        if (entry == NULL) {
            if (errno != 0) status = cannot_list(c, folder, errno);
            break;
        }
        if (entry->d_name[0] != '.')
            status =
                visit(c, folder, prefix, entry->d_name, entry->d_type == DT_LNK || entry->d_type == DT_UNKNOWN, &self);
    }
    closedir(open);
    return status;
}

/* ---- Arguments and lists --------------------------------------------------------------------- */

/* The folder that a file named by `path` lies in becomes the root. */
static samc_status add_parent(collector *c, const char *path) {
    const char *slash = strrchr(path, '/');
    char *folder = slash == NULL ? strdup(".") : strndup(path, slash == path ? 1 : (size_t)(slash - path));
    samc_status status = folder ? add_root(c, folder) : no_memory(c->error);
    free(folder);
    return status;
}

static samc_status add_path(collector *c, const char *path, const char *key, bool must_exist) {
    struct stat information;
    if (stat(path, &information) != 0) {
        int code = errno;
        if (must_exist) return samc__fail(c->error, SAMC_IO, "%s: cannot open: %s", path, strerror(code));
        if (samc__file_is_outage(code)) return cannot_list(c, path, code);
        SAMC__TRY(add_parent(c, path));
        return add_source(c, key, path, NULL, false);
    }
    SAMC__TRY(check_outside(c, path));
    if (S_ISDIR(information.st_mode)) {
        if (c->excluding && information.st_dev == c->excluded_device && information.st_ino == c->excluded_inode)
            return samc__fail(c->error, SAMC_INVALID_ARGUMENT, "%s is the output folder too", path);
        SAMC__TRY(add_root(c, path));
        return walk(c, path, must_exist ? "" : key, NULL);
    }
    if (!S_ISREG(information.st_mode) && must_exist) return samc__file_refuse(path, information.st_mode, c->error);
    SAMC__TRY(add_parent(c, path));
    if (!S_ISREG(information.st_mode)) return add_refused(c, key, path, information.st_mode);
    return add_source(c, key, path, NULL, samc__tar_is(path));
}

static samc_status add_line(void *context, const char *path) {
    collector *c = context;
    char *key = malloc(strlen(path) + 1);
    if (key == NULL) return no_memory(c->error);
    samc__key_of_path(path, key);
    samc_status status = *key == '\0'
                             ? samc__fail(c->error, SAMC_FORMAT, "a list holds '%s', which names no file", path)
                             : add_path(c, path, key, false);
    free(key);
    return status;
}

/* An archive that is read as it comes. */
static samc_status add_flow(collector *c, const char *key, const char *path, const char *command) {
    SAMC__TRY(add_root(c, "."));
    SAMC__TRY(add_source(c, key, path, NULL, true));
    source *s = &c->sources[c->count - 1];
    s->origin = command ? SAMC__FROM_COMMAND : SAMC__FROM_STANDARD_INPUT;
    if (command == NULL) return SAMC_OK;
    s->command = samc__inputs_keep(c->inputs, command);
    return s->command != 0 ? SAMC_OK : no_memory(c->error);
}

/* "pipe:aws s3 cp s3://bucket/00000.tar -" is called 00000.tar: the last word of the command that has the name of an
 * archive, from its last slash on; else pipe.tar. The command itself stands in no result and no message: it may hold
 * what lets it in, and may hold another the next time. */
static samc_status add_command(collector *c, const char *argument) {
    static const char ends[] = " \t\n/'\"=:;|&<>()?#,";
    const char *command = argument + strlen("pipe:");
    char *copy = strdup(command), *rest = NULL, key[NAME_MAX] = "pipe.tar", path[NAME_MAX + 8];
    if (copy == NULL) return no_memory(c->error);
    if (*command == '\0') {
        free(copy);
        return samc__fail(c->error, SAMC_INVALID_ARGUMENT, "pipe: without a command");
    }
    for (const char *word = strtok_r(copy, ends, &rest); word != NULL; word = strtok_r(NULL, ends, &rest))
        if (samc__tar_is(word) && samc__tar_stem(word) > 0) snprintf(key, sizeof key, "%s", word);
    free(copy);
    snprintf(path, sizeof path, "pipe:%s", key);
    return add_flow(c, key, path, command);
}

/* Whether bytes are the beginning of a tar, by itself or compressed; a list never has a zero byte and "ustar" there. */
static bool is_archive(const uint8_t *bytes, size_t size) {
    static const struct {
        const char *magic;
        size_t at, length;
    } kinds[] = {{"\x1f\x8b\x08", 0, 3},
                 {"\xfd"
                  "7zXZ\0",
                  0, 6},
                 {"\x28\xb5\x2f\xfd", 0, 4},
                 {"1AY&SY", 4, 6},
                 {"ustar", 257, 5}};
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (size >= kinds[i].at + kinds[i].length && memcmp(bytes + kinds[i].at, kinds[i].magic, kinds[i].length) == 0)
            return true;
    return false;
}

/* The standard input: an archive, or a list. */
static samc_status add_standard_input(collector *c, uint8_t **bytes, size_t *size) {
    samc__inputs *in = c->inputs;
    uint8_t *rest = NULL;
    size_t more = 0;
    *bytes = NULL;
    *size = 0;
    if (c->from_standard_input) return samc__fail(c->error, SAMC_INVALID_ARGUMENT, "the standard input is given twice");
    c->from_standard_input = true;
    while (in->head_size < sizeof in->head) {
        ssize_t got = read(STDIN_FILENO, in->head + in->head_size, sizeof in->head - in->head_size);
        if (got == 0) break;
        if (got < 0 && errno != EINTR) return cannot_list(c, "standard input", errno);
        in->head_size += got > 0 ? (size_t)got : 0;
    }
    if (is_archive(in->head, in->head_size)) return add_flow(c, "stdin.tar", "-", NULL);
    SAMC__TRY(samc__file_read("-", LIST_LIMIT, &rest, &more, c->error));
    *size = in->head_size + more;
    if ((*bytes = malloc(*size + 1)) == NULL) {
        free(rest);
        return no_memory(c->error);
    }
    memcpy(*bytes, in->head, in->head_size);
    memcpy(*bytes + in->head_size, rest, more);
    free(rest);
    return SAMC_OK;
}

static samc_status add_list(collector *c, const char *argument) {
    uint8_t *bytes;
    size_t size;
    if (argument[0] == '@') SAMC__TRY(samc__file_read(argument + 1, LIST_LIMIT, &bytes, &size, c->error));
    else SAMC__TRY(add_standard_input(c, &bytes, &size));
    if (bytes == NULL) return SAMC_OK;
    bool wide = size >= 2 && (memcmp(bytes, "\xff\xfe", 2) == 0 || memcmp(bytes, "\xfe\xff", 2) == 0);
    samc_status status =
        wide ? samc__fail(c->error, SAMC_FORMAT, "%s: a list in UTF-16; it has to be UTF-8, or bytes", argument)
             : samc__list_lines(bytes, size, add_line, c, c->error);
    free(bytes);
    return status;
}

static samc_status add_name(void *context, const char *argument) {
    const char *name = last_component(argument);
    if (strncmp(argument, "pipe:", 5) == 0) return add_command(context, argument);
    return add_path(context, argument, *name ? name : argument, true);
}

static samc_status add_argument(collector *c, const char *argument) {
    struct stat information;
    if (argument[0] == '@' || strcmp(argument, "-") == 0) return add_list(c, argument);
    if (lstat(argument, &information) == 0) {
        const char *name = last_component(argument);
        return add_path(c, argument, *name ? name : argument, true);
    }
    return samc__braces_each(argument, add_name, c, c->error);
}

/* ---- The list -------------------------------------------------------------------------------- */

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

/* One image of an archive and where it stands in the order of reading. */
typedef struct placed {
    samc__input item;
    int64_t place;
    bool behind; /* a link or what cannot be read: after the file of the same place */
} placed;

static int by_place(const void *a, const void *b) {
    const placed *x = a, *y = b;
    if (x->item.member != y->item.member) return x->item.member < y->item.member ? -1 : 1;
    if (x->behind != y->behind) return x->behind ? 1 : -1;
    return (x->place > y->place) - (x->place < y->place);
}

/* Why a member is no file of the archive's; NULL where it is. Follows links: *file is the member that has the data. */
static const char *follow(samc__members *m, int64_t i, int64_t *file, char *text, size_t room) {
    const char *why = NULL;
    *file = i;
    if (m->items[i].kind == SAMC__TAR_OTHER) return "not a regular file but a pipe or a device";
    if (m->items[i].kind == SAMC__TAR_FILE) return NULL;
    if ((*file = samc__members_follow(m, i, &why)) >= 0) return NULL;
    snprintf(text, room, "a link to '%.300s', %s", m->text + m->items[i].link, why);
    return text;
}

/* Member `i` as an image; where it is not one, *p stays without a key. */
static samc_status place_member(collector *c, const source *s, samc__members *m, int64_t i, placed *p) {
    samc__inputs *in = c->inputs;
    const char *name = samc__member_name(m, i), *why = "its name leads out of the output folder";
    char *member = malloc(strlen(name) + 1), *key = NULL, *path = NULL, *reason = NULL, text[600];
    samc_status status = SAMC_OK;
    int64_t file = i;
    bool inside = member != NULL && samc__key_of_path(name, member);
    *p = (placed){.place = i, .behind = m->items[i].kind != SAMC__TAR_FILE};
    if (member == NULL) {
        status = no_memory(c->error);
    } else if (m->items[i].kind == SAMC__TAR_FOLDER) {
        /* nothing of its own */
    } else if (!is_image(c, member)) {
        in->skipped++;
    } else {
        if (inside) why = follow(m, i, &file, text, sizeof text);
        if (file == -2 || asprintf(&key, "%s/%s", in->text + s->key, member) < 0 ||
            asprintf(&path, "%s/%s", in->text + s->path, name) < 0 ||
            (why != NULL && asprintf(&reason, "%.500s: %s", path, why) < 0)) {
            status = no_memory(c->error);
        } else {
            const samc__member *from = &m->items[file >= 0 ? file : i];
            p->item = (samc__input){.key = samc__inputs_keep(in, key),
                                    .source = samc__inputs_keep(in, path),
                                    .tar = in->tar_count - 1,
                                    .root = s->root,
                                    .member = from->number};
            if (reason != NULL) p->item.reason = samc__inputs_keep(in, reason);
            if (reason == NULL && file != i) p->item.target = samc__inputs_keep(in, m->text + from->name);
            if (!p->item.key || !p->item.source || (reason != NULL && !p->item.reason) ||
                (reason == NULL && file != i && !p->item.target))
                status = no_memory(c->error);
        }
    }
    free(member);
    free(key);
    free(path);
    free(reason);
    return status;
}

static samc_status add_tar(collector *c, const source *s) {
    samc__inputs *in = c->inputs;
    if (in->tar_count == in->tars_room) {
        int32_t room = in->tars_room ? 2 * in->tars_room : 64;
        size_t *grown = realloc(in->tars, (size_t)room * sizeof *grown);
        if (grown == NULL) return no_memory(c->error);
        in->tars = grown;
        in->tars_room = room;
    }
    in->tars[in->tar_count++] = s->command ? s->command : s->path;
    return SAMC_OK;
}

/* The images of an archive, each link behind the file that it leads to, so that reading goes forward only. Damage
 * becomes an item of its own behind the members that can be read. */
static samc_status add_members(collector *c, const source *s) {
    samc__inputs *in = c->inputs;
    samc__members m;
    samc_error damage;
    SAMC__TRY(add_tar(c, s));
    char *path = strdup(in->text + s->path); /* the pool moves */
    samc_status status = path ? samc__members_list(path, &m, &damage, c->error) : no_memory(c->error);
    free(path);
    if (path == NULL) return status;
    placed *all = status == SAMC_OK ? malloc(((size_t)m.count + 1) * sizeof *all) : NULL;
    if (status == SAMC_OK && all == NULL) status = no_memory(c->error);
    int64_t count = 0;
    for (int64_t i = 0; i < m.count && status == SAMC_OK; i++) {
        status = place_member(c, s, &m, i, &all[count]);
        count += status == SAMC_OK && all[count].item.key != 0;
    }
    if (status == SAMC_OK && count > 0) qsort(all, (size_t)count, sizeof *all, by_place);
    for (int64_t i = 0; i < count && status == SAMC_OK; i++) status = add_input(in, all[i].item, c->error);
    if (status == SAMC_OK && damage.status != SAMC_OK) {
        samc__input item = {.key = s->key,
                            .source = s->path,
                            .reason = samc__inputs_keep(in, damage.message),
                            .tar = -1,
                            .root = s->root};
        status = item.reason ? add_input(in, item, c->error) : no_memory(c->error);
    }
    free(all);
    samc__members_free(&m);
    return status;
}

static samc_status resolve_state(collector *c) {
    char *real = c->excluding ? realpath(c->options->exclude, NULL) : NULL;
    if (real == NULL) return SAMC_OK;
    int n = asprintf(&c->state, "%s/.samc", strcmp(real, "/") == 0 ? "" : real);
    free(real);
    if (n >= 0) return SAMC_OK;
    c->state = NULL;
    return no_memory(c->error);
}

samc_status samc__inputs_collect(samc__inputs *in, const char *const *arguments, int count,
                                 const samc__inputs_options *options, samc_error *error) {
    collector c = {.inputs = in, .options = options, .error = error};
    struct stat information;
    *in = (samc__inputs){.text = calloc(1, 4096), .used = 1, .room = 4096};
    if (in->text == NULL) return no_memory(error);
    if (options->exclude != NULL && stat(options->exclude, &information) == 0) {
        c.excluding = true;
        c.excluded_device = information.st_dev;
        c.excluded_inode = information.st_ino;
    }
    samc_status status = resolve_state(&c);
    for (int i = 0; i < count && status == SAMC_OK; i++) {
        c.flat = arguments[i] == options->flat;
        status = add_argument(&c, arguments[i]);
    }
    if (status == SAMC_OK && c.count > 0) qsort_r(c.sources, (size_t)c.count, sizeof *c.sources, by_key, in->text);
    in->units = options->units;
    for (int64_t i = 0; i < c.count; i++) in->units = in->units || c.sources[i].origin != SAMC__FROM_FILE;
    if (status == SAMC_OK && in->units && options->listed)
        status = samc__fail(error, SAMC_INVALID_ARGUMENT,
                            "archives from commands and the standard input are read once and cannot be listed image by "
                            "image");
    for (int64_t i = 0; i < c.count && status == SAMC_OK; i++) {
        const source *s = &c.sources[i];
        bool unit = s->archive && in->units;
        if (unit) status = add_tar(&c, s);
        const samc__input item = {.key = s->key,
                                  .source = s->path,
                                  .reason = s->reason,
                                  .tar = unit ? in->tar_count - 1 : -1,
                                  .root = s->root,
                                  .origin = s->origin};
        if (status == SAMC_OK) status = s->archive && !unit ? add_members(&c, s) : add_input(in, item, error);
    }
    free(c.sources);
    free(c.visited);
    free(c.state);
    if (status != SAMC_OK) samc__inputs_free(in);
    return status;
}

void samc__inputs_free(samc__inputs *in) {
    free(in->text);
    free(in->items);
    free(in->tars);
    free(in->roots);
    *in = (samc__inputs){0};
}
