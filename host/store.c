/* Durable files; the order of fsync is in store.h. Folders are opened and synced by name: they are few, and a group of images
 * touches each once. */
#include "host/store.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "host/file.h"
#include "runtime/status.h"

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

static samc_status sync_path(const char *path, samc_error *error) {
    int handle = open(path, O_RDONLY | O_CLOEXEC);
    /* EINVAL: a file system that cannot sync folders (some network ones) and keeps their order itself. */
    if (handle < 0 || (fsync(handle) != 0 && errno != EINVAL)) {
        samc_status status = cannot_write(path, error);
        if (handle >= 0) close(handle);
        return status;
    }
    close(handle);
    return SAMC_OK;
}

samc_status samc__store_sync(const samc__store *store, const char *path, samc_error *error) {
    return store->sync ? sync_path(path, error) : SAMC_OK;
}

/* ---- Folders ------------------------------------------------------------------------------------------------------- */

/* Notes the folder that `path` lies in: it got a name. */
static samc_status note_parent(samc__store *store, const char *path, samc_error *error) {
    const char *slash = strrchr(path, '/');
    char *folder = slash == NULL ? strdup(".") : strndup(path, slash == path ? 1 : (size_t)(slash - path));
    if (folder == NULL) return no_memory(path, error);
    for (int i = store->folder_count - 1; i >= 0; i--)
        if (strcmp(store->folders[i], folder) == 0) {
            free(folder);
            return SAMC_OK;
        }
    if (store->folder_count == store->folder_room) {
        int room = store->folder_room ? 2 * store->folder_room : 16;
        char **grown = realloc(store->folders, (size_t)room * sizeof *grown);
        if (grown == NULL) {
            free(folder);
            return no_memory(path, error);
        }
        store->folders = grown;
        store->folder_room = room;
    }
    store->folders[store->folder_count++] = folder;
    return SAMC_OK;
}

samc_status samc__store_sync_folders(samc__store *store, samc_error *error) {
    samc_status status = SAMC_OK;
    for (int i = 0; i < store->folder_count; i++) {
        if (status == SAMC_OK && store->sync) status = sync_path(store->folders[i], error);
        free(store->folders[i]);
    }
    store->folder_count = 0;
    return status;
}

/* Makes every folder above `path` that is missing and notes the parents of those it made. */
static samc_status make_parents(samc__store *store, char *path, samc_error *error) {
    for (char *at = strchr(path + 1, '/'); at != NULL; at = strchr(at + 1, '/')) {
        if (at[-1] == '/') continue;
        *at = '\0';
        bool made = mkdir(path, 0777) == 0;
        samc_status status = SAMC_OK;
        if (made) status = note_parent(store, path, error);
        else if (errno != EEXIST) status = samc__fail(error, SAMC_IO, "%s: cannot create the folder: %s", path, strerror(errno));
        *at = '/';
        SAMC__TRY(status);
    }
    return SAMC_OK;
}

samc_status samc__store_open(samc__store *store, const char *root, const char *name, samc_error *error) {
    *store = (samc__store){.root = root, .sync = store->sync, .replace = store->replace, .lock = -1};
    store->state = join(root, name);
    store->scratch = store->state ? join(store->state, "tmp") : NULL;
    char *inside = store->scratch ? join(store->scratch, "x") : NULL;
    samc_status status = inside ? make_parents(store, inside, error) : no_memory(root, error);
    free(inside);
    SAMC__TRY(status);
    store->lock = open(store->state, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (store->lock < 0) return cannot_write(store->state, error);
    if (flock(store->lock, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK)
        return samc__fail(error, SAMC_IO, "%s: another process is writing here", root);
    return SAMC_OK;
}

void samc__store_close(samc__store *store) {
    if (store->lock >= 0) close(store->lock);
    for (int i = 0; i < store->folder_count; i++) free(store->folders[i]);
    free(store->folders);
    free(store->state);
    free(store->scratch);
    *store = (samc__store){.lock = -1};
}

void samc__store_remove(const char *path) {
    if (unlink(path) == 0 || (errno != EISDIR && errno != EPERM)) return;
    DIR *folder = opendir(path);
    if (folder == NULL) return;
    for (const struct dirent *entry; (entry = readdir(folder)) != NULL;)
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0) unlinkat(dirfd(folder), entry->d_name, 0);
    closedir(folder);
    rmdir(path);
}

samc_status samc__store_clear(const samc__store *store, samc_error *error) {
    DIR *folder = opendir(store->scratch);
    samc_status status = folder ? SAMC_OK : cannot_write(store->scratch, error);
    while (status == SAMC_OK) {
        const struct dirent *entry = readdir(folder);
        if (entry == NULL) break;
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) continue;
        char *path = join(store->scratch, entry->d_name);
        if (path == NULL) status = no_memory(store->scratch, error);
        else samc__store_remove(path);
        free(path);
    }
    if (folder != NULL) closedir(folder);
    return status;
}

samc_status samc__store_recover(samc__store *store, samc_error *error) {
    if (store->sync && syncfs(store->lock) != 0) return cannot_write(store->state, error);
    return samc__store_clear(store, error);
}

/* ---- Results ------------------------------------------------------------------------------------------------------- */

char *samc__store_scratch(const samc__store *store, int64_t number, const char *suffix) {
    char *path = NULL;
    return asprintf(&path, "%s/%lld%s", store->scratch, (long long)number, suffix) < 0 ? NULL : path;
}

/* rename() that fails with EEXIST where the name is taken and may not be replaced. */
static int rename_to(const samc__store *store, const char *from, const char *to) {
    if (store->replace) {
        if (rename(from, to) == 0) return 0;
        if (errno != ENOTEMPTY && errno != EEXIST && errno != EISDIR && errno != ENOTDIR) return -1;
        samc__store_remove(to); /* a folder of pictures that was renamed but not yet in the journal */
        return rename(from, to);
    }
    if (renameat2(AT_FDCWD, from, AT_FDCWD, to, RENAME_NOREPLACE) == 0) return 0;
    if (errno != EINVAL && errno != ENOSYS) return -1; /* those: this file system cannot, so look first */
    if (access(to, F_OK) == 0) {
        errno = EEXIST;
        return -1;
    }
    return errno == ENOENT || errno == ENOTDIR ? rename(from, to) : -1;
}

samc_status samc__store_publish(samc__store *store, const char *scratch, const char *key, const char *suffix, samc_error *error) {
    char *path = NULL;
    if (asprintf(&path, "%s/%s%s", store->root, key, suffix) < 0) return no_memory(key, error);
    samc_status status = SAMC_OK;
    int code = rename_to(store, scratch, path);
    if (code != 0 && errno == ENOENT) {
        status = make_parents(store, path, error);
        if (status == SAMC_OK) code = rename_to(store, scratch, path);
    }
    if (status == SAMC_OK && code != 0)
        status = errno == EEXIST ? samc__fail(error, SAMC_IO, "%s: exists already and is not from this run", path) : cannot_write(path, error);
    /* All folders up to the output, also those that were there: another shard may have made them and not synced them yet. */
    while (status == SAMC_OK && strlen(path) > strlen(store->root)) {
        status = note_parent(store, path, error);
        *strrchr(path, '/') = '\0';
    }
    free(path);
    return status;
}

/* ---- Streams ------------------------------------------------------------------------------------------------------- */

samc_status samc__stream_open(samc__stream *stream, samc__store *store, const char *name, bool in_place, int64_t length, samc_error *error) {
    *stream = (samc__stream){.handle = -1, .length = length};
    stream->final = join(store->root, name);
    stream->path = in_place ? stream->final : join(store->state, name);
    if (stream->final == NULL || stream->path == NULL) return no_memory(name, error);
    stream->handle = open(stream->path, O_WRONLY | O_CREAT | O_CLOEXEC, 0666);
    struct stat information;
    if (stream->handle < 0 || fstat(stream->handle, &information) != 0) return cannot_write(stream->path, error);
    if (information.st_size < length)
        return samc__fail(error, SAMC_FORMAT, "%s: %lld bytes, but the journal says %lld: it was changed, or synced data was lost", stream->path,
                          (long long)information.st_size, (long long)length);
    if (ftruncate(stream->handle, length) != 0 || lseek(stream->handle, length, SEEK_SET) < 0) return cannot_write(stream->path, error);
    stream->dirty = true;
    return note_parent(store, stream->path, error);
}

samc_status samc__stream_append(samc__stream *stream, const void *bytes, size_t size, samc_error *error) {
    const char *at = bytes;
    while (size > 0) {
        ssize_t written = write(stream->handle, at, size);
        if (written < 0 && errno == EINTR) continue;
        if (written < 0) return cannot_write(stream->path, error);
        at += written;
        size -= (size_t)written;
        stream->length += written;
        stream->dirty = true;
    }
    return SAMC_OK;
}

samc_status samc__stream_sync(samc__stream *stream, const samc__store *store, samc_error *error) {
    if (stream->handle < 0 || !stream->dirty) return SAMC_OK;
    if (store->sync && fsync(stream->handle) != 0) return cannot_write(stream->path, error);
    stream->dirty = false;
    return SAMC_OK;
}

void samc__stream_close(samc__stream *stream) {
    if (stream->handle >= 0) close(stream->handle);
    if (stream->path != stream->final) free(stream->path);
    free(stream->final);
    *stream = (samc__stream){.handle = -1};
}

samc_status samc__stream_publish(samc__stream *stream, samc__store *store, samc_error *error) {
    samc_status status = samc__stream_sync(stream, store, error);
    if (status == SAMC_OK && rename(stream->path, stream->final) != 0) status = cannot_write(stream->final, error);
    if (status == SAMC_OK) status = note_parent(store, stream->final, error);
    if (status == SAMC_OK) status = note_parent(store, stream->path, error);
    if (status == SAMC_OK) status = samc__store_sync_folders(store, error);
    samc__stream_close(stream);
    return status;
}
