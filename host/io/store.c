/* Durable files; the order of fsync is in store.h. Folders below the output are opened by handles from the output's
 * own, never through a link, and synced by name in the same way: they are few, and a group of images touches each once.
 */
#include "host/io/store.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "runtime/base/decimal.h"
#include "runtime/base/status.h"

enum { AS_FOLDER = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC };

static samc_status no_memory(const char *path, samc_error *error) {
    return samc__fail(error, SAMC_OUT_OF_MEMORY, "%s: out of memory", path);
}

static samc_status cannot_write(const char *path, samc_error *error) {
    return samc__fail(error, SAMC_IO, "%s: cannot write: %s", path, strerror(errno));
}

static char *join(const char *folder, const char *name) {
    char *path = NULL;
    return asprintf(&path, "%s/%s", folder, name) < 0 ? NULL : path;
}

const char *samc__store_kind(mode_t mode) {
    return S_ISREG(mode)    ? "a file"
           : S_ISDIR(mode)  ? "a folder"
           : S_ISLNK(mode)  ? "a symbolic link"
           : S_ISFIFO(mode) ? "a pipe"
           : S_ISSOCK(mode) ? "a socket"
                            : "a device";
}

/* EINVAL: a file system that cannot sync folders (some network ones) and keeps their order itself. */
static bool sync_handle(int handle) { return fsync(handle) == 0 || errno == EINVAL; }

/* ---- Folders --------------------------------------------------------------------------------- */

/* Notes a folder that got a name: its path below the root, `length` characters, "" for the root itself. */
static samc_status note(samc__store *store, const char *path, size_t length, samc_error *error) {
    for (int i = store->folder_count - 1; i >= 0; i--)
        if (strlen(store->folders[i]) == length && memcmp(store->folders[i], path, length) == 0) return SAMC_OK;
    if (store->folder_count == store->folder_room) {
        int room = store->folder_room ? 2 * store->folder_room : 16;
        char **grown = realloc(store->folders, (size_t)room * sizeof *grown);
        if (grown == NULL) return no_memory(store->root, error);
        store->folders = grown;
        store->folder_room = room;
    }
    char *folder = strndup(path, length);
    if (folder == NULL) return no_memory(store->root, error);
    store->folders[store->folder_count++] = folder;
    return SAMC_OK;
}

samc_status samc__store_note(samc__store *store, bool in_root, samc_error *error) {
    return note(store, in_root ? "" : store->name, in_root ? 0 : strlen(store->name), error);
}

/* What keeps <root>/<path> from being a folder that can be entered, `at` being its last component in `above`; errno is
 * that of opening it. */
static samc_status no_folder(const samc__store *store, int above, const char *at, const char *path, samc_error *error) {
    struct stat information;
    int reason = errno;
    if (fstatat(above, at, &information, AT_SYMLINK_NOFOLLOW) == 0 && !S_ISDIR(information.st_mode))
        return samc__fail(error, SAMC_IO, "%s/%s: is %s, not a folder; no link is followed below the output folder",
                          store->root, path, samc__store_kind(information.st_mode));
    return samc__fail(error, SAMC_IO, "%s/%s: cannot open the folder: %s", store->root, path, strerror(reason));
}

/* Whether a file system refuses a name for what it is: too long, or of characters that it does not take. */
static bool is_refused_name(int reason) { return reason == ENAMETOOLONG || reason == EILSEQ || reason == EINVAL; }

/* Opens the folder <root>/<path> a component at a time; "" is the root. `make`: the missing ones are made. *handle is
 * -1 and the status SAMC_OK where it does not exist. */
static samc_status open_below(samc__store *store, const char *path, bool make, int *handle, samc_error *error) {
    char *copy = strdup(path), *rest = copy;
    samc_status status = copy ? SAMC_OK : no_memory(store->root, error);
    int at = openat(store->top, ".", AS_FOLDER);
    if (at < 0 && status == SAMC_OK) status = cannot_write(store->root, error);
    while (status == SAMC_OK && at >= 0 && *rest != '\0') {
        char *slash = strchrnul(rest, '/'), end = *slash;
        *slash = '\0';
        bool made = false;
        int next = openat(at, rest, AS_FOLDER);
        if (next < 0 && make && is_refused_name(errno)) {
            status = samc__fail(error, SAMC_UNSUPPORTED, "%s/%s: cannot create the folder: %s", store->root, copy,
                                strerror(errno));
        } else if (next < 0 && errno == ENOENT && make) {
            made = mkdirat(at, rest, 0777) == 0;
            if (!made && errno != EEXIST)
                status = samc__fail(error, is_refused_name(errno) ? SAMC_UNSUPPORTED : SAMC_IO,
                                    "%s/%s: cannot create the folder: %s", store->root, copy, strerror(errno));
            else next = openat(at, rest, AS_FOLDER);
        }
        if (next < 0 && status == SAMC_OK && (make || (errno != ENOENT && !is_refused_name(errno))))
            status = no_folder(store, at, rest, copy, error);
        if (made && status == SAMC_OK) status = note(store, path, rest > copy ? (size_t)(rest - copy) - 1 : 0, error);
        close(at);
        at = next;
        *slash = end;
        rest = end ? slash + 1 : slash;
    }
    if (status != SAMC_OK && at >= 0) close(at);
    *handle = status == SAMC_OK ? at : -1;
    free(copy);
    return status;
}

samc_status samc__store_sync_folders(samc__store *store, samc_error *error) {
    samc_status status = SAMC_OK;
    for (int i = 0; i < store->folder_count; i++) {
        int handle = -1;
        if (status == SAMC_OK && store->sync) status = open_below(store, store->folders[i], false, &handle, error);
        if (handle >= 0 && !sync_handle(handle))
            status =
                samc__fail(error, SAMC_IO, "%s/%s: cannot write: %s", store->root, store->folders[i], strerror(errno));
        if (handle >= 0) close(handle);
        free(store->folders[i]);
    }
    store->folder_count = 0;
    return status;
}

samc_status samc__store_sync_folder(const samc__store *store, int folder, samc_error *error) {
    return !store->sync || sync_handle(folder) ? SAMC_OK : cannot_write(store->scratch, error);
}

/* Makes the output folder and those above it, which are the user's own choice: links in its path are followed. */
static samc_status open_root(samc__store *store, samc_error *error) {
    store->top = open(store->root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (store->top >= 0) return SAMC_OK;
    if (errno != ENOENT)
        return samc__fail(error, SAMC_IO, "%s: cannot open the folder: %s", store->root, strerror(errno));
    char *path = strdup(store->root);
    samc_status status = path ? SAMC_OK : no_memory(store->root, error);
    for (char *at = path; status == SAMC_OK && *at != '\0'; at++) {
        if ((at[1] != '/' && at[1] != '\0') || *at == '/') continue;
        char end = at[1], *slash;
        at[1] = '\0';
        store->made_root = mkdir(path, 0777) == 0;
        if (!store->made_root && errno != EEXIST)
            status = samc__fail(error, SAMC_IO, "%s: cannot create the folder: %s", path, strerror(errno));
        if (store->made_root && store->sync) { /* the name is on the disk when the folder above it is */
            int above;
            if ((slash = strrchr(path, '/')) != NULL) *slash = '\0';
            above = open(slash == NULL ? "." : slash == path ? "/" : path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
            if (above >= 0 && !sync_handle(above)) status = cannot_write(path, error);
            if (above >= 0) close(above);
            if (slash != NULL) *slash = '/';
        }
        at[1] = end;
    }
    free(path);
    SAMC__TRY(status);
    store->top = open(store->root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return store->top >= 0 ? SAMC_OK
                           : samc__fail(error, SAMC_IO, "%s: cannot open the folder: %s", store->root, strerror(errno));
}

/* One of the run's own folders: made if it is missing; a real folder, and nobody's but the output's owner's or our own.
 */
static samc_status enter(samc__store *store, int above, const char *name, const char *path, int *handle, bool *made,
                         samc_error *error) {
    struct stat information, output;
    *made = mkdirat(above, name, 0777) == 0;
    if (!*made && errno != EEXIST)
        return samc__fail(error, SAMC_IO, "%s: cannot create the folder: %s", path, strerror(errno));
    *handle = openat(above, name, AS_FOLDER);
    if (*handle < 0) return no_folder(store, above, name, path + strlen(store->root) + 1, error);
    if (fstat(*handle, &information) != 0 || fstat(store->top, &output) != 0) return cannot_write(path, error);
    if (!*made && information.st_uid != output.st_uid && information.st_uid != geteuid())
        return samc__fail(error, SAMC_IO, "%s: belongs to user %ld, who is neither the output folder's owner nor you",
                          path, (long)information.st_uid);
    return SAMC_OK;
}

samc_status samc__store_open(samc__store *store, const char *root, const char *name, samc_error *error) {
    *store = (samc__store){.root = root, .sync = store->sync, .top = -1, .folder = -1, .tmp = -1};
    struct stat locked, there;
    store->state = join(root, name);
    store->scratch = store->state ? join(store->state, "tmp") : NULL;
    if (store->scratch == NULL) return no_memory(root, error);
    store->name = store->state + strlen(root) + 1;
    SAMC__TRY(open_root(store, error));
    SAMC__TRY(enter(store, store->top, store->name, store->state, &store->folder, &store->made_state, error));
    if (store->made_state) SAMC__TRY(samc__store_note(store, true, error));
    bool busy = flock(store->folder, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK;
    /* The process that had the lock before may have taken its folder away. */
    busy = busy || fstat(store->folder, &locked) != 0 || !samc__store_stat(store, true, store->name, &there) ||
           locked.st_ino != there.st_ino;
    store->busy = busy;
    if (busy) store->made_state = false;
    if (busy) return samc__fail(error, SAMC_IO, "%s: another process is writing here", root);
    SAMC__TRY(enter(store, store->folder, "tmp", store->scratch, &store->tmp, &store->made_tmp, error));
    if (store->made_tmp) SAMC__TRY(samc__store_note(store, false, error));
    snprintf(store->spill, sizeof store->spill, "/proc/self/fd/%d", store->tmp);
    return SAMC_OK;
}

void samc__store_close(samc__store *store) {
    /* None of these is removed unless it is empty. */
    if (!store->begun && store->made_tmp) unlinkat(store->folder, "tmp", AT_REMOVEDIR);
    if (!store->begun && store->made_state) unlinkat(store->top, store->name, AT_REMOVEDIR);
    if (!store->begun && store->made_root) rmdir(store->root);
    const int handles[] = {store->tmp, store->folder, store->top};
    for (size_t i = 0; i < sizeof handles / sizeof *handles; i++)
        if (handles[i] >= 0) close(handles[i]);
    for (int i = 0; i < store->folder_count; i++) free(store->folders[i]);
    free(store->folders);
    free(store->state);
    free(store->scratch);
    *store = (samc__store){.top = -1, .folder = -1, .tmp = -1};
}

samc_status samc__store_check_place(const samc__store *store, samc_error *error) {
    struct stat opened, there;
    if (fstat(store->top, &opened) == 0 && stat(store->root, &there) == 0 && opened.st_dev == there.st_dev &&
        opened.st_ino == there.st_ino)
        return SAMC_OK;
    return samc__fail(error, SAMC_IO, "%s: was moved, removed or replaced while the run was writing to it",
                      store->root);
}

/* ---- The scratch folder ---------------------------------------------------------------------- */

void samc__store_scratch(int64_t number, const char *suffix, char name[SAMC__STORE_NAME]) {
    snprintf(name, SAMC__STORE_NAME, "%lld%s", (long long)number, suffix);
}

samc_status samc__store_create(const samc__store *store, const char *scratch, samc__writer *writer, samc_error *error) {
    samc_status status = samc__writer_create(writer, store->tmp, scratch, store->scratch, error);
    writer->sync = store->sync;
    return status;
}

samc_status samc__store_create_folder(const samc__store *store, const char *scratch, int *folder, samc_error *error) {
    *folder = mkdirat(store->tmp, scratch, 0777) == 0 ? openat(store->tmp, scratch, AS_FOLDER) : -1;
    return *folder >= 0 ? SAMC_OK
                        : samc__fail(error, SAMC_IO, "%s/%s: cannot create the folder: %s", store->scratch, scratch,
                                     strerror(errno));
}

/* Calls `act` for every name in an open folder but . and .. */
static bool each_name(int folder, void (*act)(int folder, const char *name)) {
    int again = openat(folder, ".", AS_FOLDER); /* reading moves a place that `folder` shares with nobody */
    DIR *list = again >= 0 ? fdopendir(again) : NULL;
    if (list == NULL) {
        if (again >= 0) close(again);
        return false;
    }
    for (const struct dirent *entry; (entry = readdir(list)) != NULL;)
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0) act(folder, entry->d_name);
    closedir(list);
    return true;
}

static void remove_file(int folder, const char *name) { unlinkat(folder, name, 0); }

static void remove_whole(int folder, const char *name) {
    if (unlinkat(folder, name, 0) == 0 || (errno != EISDIR && errno != EPERM)) return;
    int inside = openat(folder, name, AS_FOLDER);
    if (inside < 0) return;
    each_name(inside, remove_file);
    close(inside);
    unlinkat(folder, name, AT_REMOVEDIR);
}

void samc__store_discard(const samc__store *store, const char *scratch) { remove_whole(store->tmp, scratch); }

samc_status samc__store_clear(const samc__store *store, samc_error *error) {
    return each_name(store->tmp, remove_whole) ? SAMC_OK : cannot_write(store->scratch, error);
}

samc_status samc__store_recover(samc__store *store, samc_error *error) {
    return store->sync && syncfs(store->folder) != 0 ? cannot_write(store->state, error) : SAMC_OK;
}

samc_status samc__store_folds(const samc__store *store, bool *folds, samc_error *error) {
    static const char one[] = "Probe", other[] = "pROBE";
    samc__store_discard(store, one);
    int made = openat(store->tmp, one, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0666);
    if (made < 0) return cannot_write(store->scratch, error);
    int found = openat(store->tmp, other, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    *folds = found >= 0;
    if (found >= 0) close(found);
    close(made);
    samc__store_discard(store, one);
    return SAMC_OK;
}

/* ---- Files of the run's own ------------------------------------------------------------------ */

static int folder_of(const samc__store *store, bool in_root) { return in_root ? store->top : store->folder; }

bool samc__store_stat(const samc__store *store, bool in_root, const char *name, struct stat *information) {
    *information = (struct stat){0};
    return fstatat(folder_of(store, in_root), name, information, AT_SYMLINK_NOFOLLOW) == 0 || errno != ENOENT;
}

samc_status samc__store_fail(const samc__store *store, bool in_root, const char *name, samc_status status,
                             samc_error *error, const char *format, ...) {
    char text[512];
    va_list arguments;
    va_start(arguments, format);
    samc__print_list(text, sizeof text, format, arguments);
    va_end(arguments);
    return samc__fail(error, status, "%s/%s: %s", in_root ? store->root : store->state, name, text);
}

samc_status samc__store_read(const samc__store *store, bool in_root, const char *name, FILE **file, samc_error *error) {
    struct stat information;
    /* O_NONBLOCK: a pipe must not be waited for; it means nothing to a file. */
    int handle = openat(folder_of(store, in_root), name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    int reason = errno;
    *file = NULL;
    if (samc__store_stat(store, in_root, name, &information) && !S_ISREG(information.st_mode)) {
        if (handle >= 0) close(handle);
        return samc__store_fail(store, in_root, name, SAMC_IO, error, "is %s, not a file of samc",
                                samc__store_kind(information.st_mode));
    }
    if (handle >= 0) *file = fdopen(handle, "rb");
    if (handle >= 0 && *file == NULL) close(handle);
    return *file != NULL ? SAMC_OK
                         : samc__store_fail(store, in_root, name, SAMC_IO, error, "cannot open: %s", strerror(reason));
}

/* A rename that fails with EEXIST where the name is taken. */
static int rename_new(int from_folder, const char *from, int to_folder, const char *to) {
    struct stat information;
    if (renameat2(from_folder, from, to_folder, to, RENAME_NOREPLACE) == 0) return 0;
    if (errno != EINVAL && errno != ENOSYS) return -1;
    /* This file system cannot. A second name fails where there is one, on those that have links; the rest has to be
     * looked at first. */
    if (fstatat(from_folder, from, &information, AT_SYMLINK_NOFOLLOW) != 0) return -1;
    if (!S_ISDIR(information.st_mode)) {
        if (linkat(from_folder, from, to_folder, to, 0) == 0) return unlinkat(from_folder, from, 0);
        if (errno != EPERM && errno != EOPNOTSUPP && errno != ENOSYS && errno != EMLINK) return -1;
    }
    if (fstatat(to_folder, to, &information, AT_SYMLINK_NOFOLLOW) == 0) return errno = EEXIST, -1;
    return errno == ENOENT ? renameat(from_folder, from, to_folder, to) : -1;
}

samc_status samc__store_write(samc__store *store, bool in_root, const char *name, const void *bytes, size_t size,
                              samc_error *error) {
    samc__writer writer;
    samc__store_discard(store, name);
    SAMC__TRY(samc__store_create(store, name, &writer, error));
    SAMC__TRY(samc__writer_append(&writer, bytes, size, error));
    SAMC__TRY(samc__writer_commit(&writer, error));
    if (rename_new(store->tmp, name, folder_of(store, in_root), name) == 0) {
        SAMC__TRY(samc__store_note(store, in_root, error));
        return samc__store_sync_folders(store, error);
    }
    int reason = errno;
    samc__store_discard(store, name);
    return samc__store_fail(store, in_root, name, reason == EEXIST ? SAMC_MISMATCH : SAMC_IO, error, "cannot write: %s",
                            strerror(reason));
}

void samc__store_remove(samc__store *store, bool in_root, const char *name) {
    unlinkat(folder_of(store, in_root), name, 0);
}

samc_status samc__store_move(samc__store *store, const char *name, bool to_root, samc_error *error) {
    struct stat from, to;
    int source = folder_of(store, !to_root), target = folder_of(store, to_root);
    SAMC__TRY(samc__store_sync_folders(
        store, error)); /* what was noted before would be synced first, and one of these two could be among it */
    if (rename_new(source, name, target, name) != 0) {
        int reason = errno;
        bool twice = reason == EEXIST && samc__store_stat(store, true, name, &from) &&
                     samc__store_stat(store, false, name, &to) && from.st_dev == to.st_dev && from.st_ino == to.st_ino;
        if (twice) unlinkat(source, name, 0);
        else if (reason == EEXIST)
            return samc__store_fail(store, to_root, name, SAMC_IO, error, "exists already and is not from this run");
        else return samc__store_fail(store, to_root, name, SAMC_IO, error, "cannot write: %s", strerror(reason));
    }
    /* Where it goes first: a name too many is noticed, a name too few would be a loss. */
    SAMC__TRY(samc__store_note(store, to_root, error));
    SAMC__TRY(samc__store_note(store, !to_root, error));
    return samc__store_sync_folders(store, error);
}

/* ---- Results --------------------------------------------------------------------------------- */

/* Opens the folder of <root>/<key><suffix>. *path, the caller's to free, is cut there; *last is what follows. */
static samc_status open_parent(samc__store *store, const char *key, const char *suffix, bool make, char **path,
                               const char **last, int *parent, samc_error *error) {
    *parent = -1;
    if (asprintf(path, "%s%s", key, suffix) < 0) return *path = NULL, no_memory(key, error);
    if (strncmp(*path, ".samc", 5) == 0 && strchr("/-", (*path)[5]) != NULL)
        return samc__fail(error, SAMC_INVALID_ARGUMENT, "%s/%s: is a name of samc's own", store->root, *path);
    char *slash = strrchr(*path, '/');
    *last = slash ? slash + 1 : *path;
    if (slash != NULL) *slash = '\0';
    return open_below(store, slash ? *path : "", make, parent, error);
}

/* Whether a rename that found its name taken has been done already, but for the old name. */
static bool is_twice(int from_folder, const char *from, int to_folder, const char *to) {
    struct stat a, b;
    return fstatat(from_folder, from, &a, AT_SYMLINK_NOFOLLOW) == 0 &&
           fstatat(to_folder, to, &b, AT_SYMLINK_NOFOLLOW) == 0 && a.st_dev == b.st_dev && a.st_ino == b.st_ino;
}

/* Notes all folders above <root>/<path>, `length` characters; outermost first, so that each has its name before what is
 * in it. Also those that were there: another shard may have made them and not synced them yet. */
static samc_status note_above(samc__store *store, const char *path, size_t length, samc_error *error) {
    for (size_t i = 0; i < length; i++)
        if (i == 0 || path[i] == '/') SAMC__TRY(note(store, path, i, error));
    return SAMC_OK;
}

/* From the scratch folder, or from the state folder. */
static samc_status publish(samc__store *store, int from, const char *name, const char *key, const char *suffix,
                           samc_error *error) {
    char *path = NULL;
    const char *last = NULL;
    int parent;
    samc_status status = open_parent(store, key, suffix, true, &path, &last, &parent, error);
    size_t length = path == NULL || last == path ? 0 : strlen(path);
    if (status == SAMC_OK) status = note_above(store, path, length, error);
    /* What the state folder has is recorded: it must not lose its name there for one in a folder that may not be on the
     * disk. */
    if (status == SAMC_OK && from == store->folder) status = samc__store_sync_folders(store, error);
    if (status == SAMC_OK && rename_new(from, name, parent, last) != 0) {
        bool taken = errno == EEXIST;
        if (taken && from == store->folder && is_twice(from, name, parent, last)) unlinkat(from, name, 0);
        else
            status = samc__fail(
                error, is_refused_name(errno) ? SAMC_UNSUPPORTED : SAMC_IO, "%s/%s%s: %s%s", store->root, key, suffix,
                taken ? "exists already and is not from this run" : "cannot write: ", taken ? "" : strerror(errno));
    }
    if (parent >= 0) close(parent);
    if (status == SAMC_OK) status = note(store, path, length, error);
    free(path);
    return status;
}

samc_status samc__store_publish(samc__store *store, const char *scratch, const char *key, const char *suffix,
                                samc_error *error) {
    return publish(store, store->tmp, scratch, key, suffix, error);
}

samc_status samc__store_publish_file(samc__store *store, const char *name, const char *key, const char *suffix,
                                     samc_error *error) {
    SAMC__TRY(
        publish(store, store->folder, name, key, suffix, error)); /* the new name first, as in samc__store_move() */
    SAMC__TRY(samc__store_note(store, false, error));
    return samc__store_sync_folders(store, error);
}

samc_status samc__store_look(samc__store *store, const char *key, const char *suffix, struct stat *information,
                             bool *there, samc_error *error) {
    char *path = NULL;
    const char *last = NULL;
    int parent;
    samc_status status = open_parent(store, key, suffix, false, &path, &last, &parent, error);
    *there = status == SAMC_OK && parent >= 0 &&
             (fstatat(parent, last, information, AT_SYMLINK_NOFOLLOW) == 0 || errno != ENOENT);
    if (parent >= 0) close(parent);
    free(path);
    return status;
}

samc_status samc__store_take_back(samc__store *store, const char *scratch, const char *key, const char *suffix,
                                  const struct stat *result, samc_error *error) {
    char *path = NULL;
    const char *last = NULL;
    struct stat there;
    int parent;
    samc_status status = open_parent(store, key, suffix, false, &path, &last, &parent, error);
    if (status == SAMC_OK && parent >= 0 && fstatat(parent, last, &there, AT_SYMLINK_NOFOLLOW) == 0 &&
        samc__store_same(&there, result)) {
        samc__store_discard(store, scratch);
        if (renameat(parent, last, store->tmp, scratch) != 0)
            status = samc__fail(error, SAMC_IO, "%s/%s%s: cannot take it back: %s", store->root, key, suffix,
                                strerror(errno));
        else status = note(store, last == path ? "" : path, last == path ? 0 : strlen(path), error);
    }
    if (parent >= 0) close(parent);
    free(path);
    return status;
}
