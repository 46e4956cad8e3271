/* Streams of lines. They are looked at before they are changed, and looked at again through the handle that changes
 * them. */
#include "host/io/stream.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "runtime/base/status.h"

static samc_status cannot_write(const samc__stream *stream, const samc__store *store, samc_error *error) {
    return samc__store_fail(store, stream->in_root, stream->name, SAMC_IO, error, "cannot write: %s", strerror(errno));
}

/* A file that has a second name is somebody's copy (cp -al) or a trap, unless that name is samc's own: a crash in the
 * middle of a rename can leave both. */
static bool is_shared(const samc__store *store, const char *name, const struct stat *information) {
    const int folders[] = {store->top, store->folder, store->tmp};
    nlink_t known = 0;
    for (size_t i = 0; i < sizeof folders / sizeof *folders; i++) {
        struct stat there;
        known += fstatat(folders[i], name, &there, AT_SYMLINK_NOFOLLOW) == 0 && there.st_ino == information->st_ino &&
                 there.st_dev == information->st_dev;
    }
    return information->st_nlink > (known > 1 ? known : 1);
}

static samc_status check(const samc__store *store, bool in_root, const char *name, const struct stat *information,
                         int64_t length, samc_error *error) {
    if (!S_ISREG(information->st_mode))
        return samc__store_fail(store, in_root, name, SAMC_IO, error, "is %s, not a file of this run",
                                samc__store_kind(information->st_mode));
    if (is_shared(store, name, information))
        return samc__store_fail(store, in_root, name, SAMC_IO, error,
                                "has other names (hard links), and what they belong to would change with it");
    if (information->st_size >= length) return SAMC_OK;
    return samc__store_fail(store, in_root, name, SAMC_FORMAT, error,
                            "%lld bytes, but the journal says %lld: it was changed, or synced data was lost",
                            (long long)information->st_size, (long long)length);
}

samc_status samc__stream_check(const samc__store *store, bool in_root, const char *name, int64_t length,
                               samc_error *error) {
    struct stat information;
    if (samc__store_stat(store, in_root, name, &information))
        return check(store, in_root, name, &information, length, error);
    if (length == 0) return SAMC_OK;
    return samc__store_fail(store, in_root, name, SAMC_FORMAT, error,
                            "is not there, but the journal has %lld bytes of it: it was moved, or synced data was lost",
                            (long long)length);
}

static samc_status cut(samc__stream *stream, const samc__store *store, int64_t length, samc_error *error) {
    if (ftruncate(stream->handle, length) != 0 || lseek(stream->handle, length, SEEK_SET) < 0)
        return cannot_write(stream, store, error);
    stream->length = length;
    stream->dirty = true;
    return SAMC_OK;
}

samc_status samc__stream_open(samc__stream *stream, samc__store *store, bool in_root, const char *name, int64_t length,
                              samc_error *error) {
    struct stat information;
    *stream = (samc__stream){.in_root = in_root, .handle = -1, .length = length};
    snprintf(stream->name, sizeof stream->name, "%s", name);
    /* O_NONBLOCK: a pipe must not be waited for; it means nothing to a file. */
    stream->handle =
        openat(in_root ? store->top : store->folder, name,
               O_WRONLY | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC | (in_root && length == 0 ? O_EXCL : 0), 0666);
    if (stream->handle < 0) {
        int reason = errno;
        if (reason == EEXIST)
            return samc__store_fail(store, in_root, name, SAMC_IO, error, "exists already and is not from this run");
        SAMC__TRY(samc__stream_check(store, in_root, name, length, error));
        return samc__store_fail(store, in_root, name, SAMC_IO, error, "cannot write: %s", strerror(reason));
    }
    if (fstat(stream->handle, &information) != 0) return cannot_write(stream, store, error);
    SAMC__TRY(check(store, in_root, name, &information, length, error));
    SAMC__TRY(cut(stream, store, length, error));
    return samc__store_note(store, in_root, error);
}

samc_status samc__stream_append(samc__stream *stream, const samc__store *store, const void *bytes, size_t size,
                                samc_error *error) {
    const char *at = bytes;
    while (size > 0) {
        ssize_t written = write(stream->handle, at, size);
        if (written < 0 && errno == EINTR) continue;
        if (written < 0) return cannot_write(stream, store, error);
        at += written;
        size -= (size_t)written;
        stream->length += written;
        stream->dirty = true;
    }
    return SAMC_OK;
}

samc_status samc__stream_rewrite(samc__stream *stream, const samc__store *store, const void *bytes, size_t size,
                                 samc_error *error) {
    if (lseek(stream->handle, 0, SEEK_SET) < 0) return cannot_write(stream, store, error);
    stream->length = 0;
    SAMC__TRY(samc__stream_append(stream, store, bytes, size, error));
    if (store->sync && fdatasync(stream->handle) != 0) return cannot_write(stream, store, error);
    stream->dirty = false;
    return SAMC_OK;
}

samc_status samc__stream_sync(samc__stream *stream, const samc__store *store, samc_error *error) {
    if (stream->handle < 0 || !stream->dirty) return SAMC_OK;
    if (store->sync && fsync(stream->handle) != 0) return cannot_write(stream, store, error);
    stream->dirty = false;
    return SAMC_OK;
}

void samc__stream_close(samc__stream *stream) {
    if (stream->handle >= 0) close(stream->handle);
    *stream = (samc__stream){.handle = -1};
}

samc_status samc__stream_publish(samc__stream *stream, samc__store *store, samc_error *error) {
    samc_status status = samc__stream_sync(stream, store, error);
    if (status == SAMC_OK) status = samc__store_move(store, stream->name, true, error);
    samc__stream_close(stream);
    return status;
}
