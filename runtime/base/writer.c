/* Atomic files, and writing into what is no file. Names are resolved once, when a writer is opened; from then on it
 * holds the folder. */
#include "runtime/base/writer.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "runtime/base/status.h"

enum { MOST_LINKS = 40, LINK_ROOM = 4096 };

static void forget(samc__writer *writer) {
    if (writer->folder >= 0 && writer->name != NULL) close(writer->folder);
    free(writer->temporary);
    free(writer->name);
    writer->handle = writer->folder = -1;
    writer->temporary = writer->name = NULL;
}

void samc__writer_abandon(samc__writer *writer) {
    if (writer->handle >= 0) close(writer->handle);
    if (writer->handle >= 0 && writer->temporary != NULL) unlinkat(writer->folder, writer->temporary, 0);
    forget(writer);
}

static samc_status cannot_write(samc__writer *writer, const char *reason, samc_error *error) {
    samc__writer_abandon(writer);
    return samc__fail(error, SAMC_IO, "%s: cannot write: %s", writer->path, reason);
}

static samc_status no_memory(samc__writer *writer, samc_error *error) {
    samc__writer_abandon(writer);
    return samc__fail(error, SAMC_OUT_OF_MEMORY, "%s: out of memory", writer->path);
}

static bool same(const struct stat *a, const struct stat *b) {
    return a->st_dev == b->st_dev && a->st_ino == b->st_ino;
}

/* The standard stream that this is, or -1: replacing the file behind it would lose what else goes there. */
static int standard_stream(const struct stat *there) {
    struct stat stream;
    for (int i = STDOUT_FILENO; i <= STDERR_FILENO; i++)
        if (fstat(i, &stream) == 0 && same(&stream, there)) return i;
    return -1;
}

/* Where the symbolic links that `path` may end with lead; the last need not exist. NULL without memory, or with errno
 * ELOOP. Owned. */
static char *follow(const char *path) {
    char target[LINK_ROOM], *at = strdup(path);
    for (int i = 0; at != NULL; i++) {
        ssize_t length = readlink(at, target, sizeof target - 1);
        if (length < 0) return at;
        if (i == MOST_LINKS) break;
        target[length] = '\0';
        const char *slash = target[0] == '/' ? NULL : strrchr(at, '/');
        size_t folder = slash ? (size_t)(slash - at) + 1 : 0; /* a relative target is one beside the link */
        char *next = malloc(folder + (size_t)length + 1);
        if (next != NULL) {
            memcpy(next, at, folder);
            memcpy(next + folder, target, (size_t)length + 1);
        }
        free(at);
        at = next;
    }
    if (at != NULL) errno = ELOOP;
    free(at);
    return NULL;
}

/* Opens the folder of `path` and keeps the name in it. */
static samc_status find_folder(samc__writer *writer, char *path, samc_error *error) {
    char *slash = strrchr(path, '/');
    writer->name = strdup(slash ? slash + 1 : path);
    if (writer->name == NULL) return no_memory(writer, error);
    if (slash != NULL) slash[slash == path] = '\0';
    writer->folder = open(slash ? path : ".", O_PATH | O_DIRECTORY | O_CLOEXEC);
    return writer->folder >= 0 ? SAMC_OK : cannot_write(writer, strerror(errno), error);
}

/* Made with O_EXCL and mode 0666, not mkstemp(), so that the user's umask decides who may read the result. The names
 * are short and independent of the final one, which may already be as long as the file system allows. */
static samc_status make_temporary(samc__writer *writer, samc_error *error) {
    enum { ROOM = 80 };
    if ((writer->temporary = malloc(ROOM)) == NULL) return no_memory(writer, error);
    for (int attempt = 0; attempt < 100; attempt++) {
        struct timespec now;
        clock_gettime(CLOCK_MONOTONIC, &now);
        snprintf(writer->temporary, ROOM, ".samc-%ld-%ld-%d.tmp", (long)getpid(), now.tv_nsec, attempt);
        writer->handle = openat(writer->folder, writer->temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
        if (writer->handle >= 0) return SAMC_OK;
        if (errno != EEXIST) break;
    }
    return cannot_write(writer, strerror(errno), error);
}

samc_status samc__writer_open(samc__writer *writer, const char *path, samc_error *error) {
    struct stat there, last;
    *writer = (samc__writer){.handle = -1, .folder = -1, .path = path};
    size_t length = strlen(path);
    if (length == 0 || path[length - 1] == '/')
        return samc__fail(error, SAMC_INVALID_ARGUMENT, "%s: not the name of a file", path);
    bool exists = stat(path, &there) == 0;
    if (exists) {
        int stream = S_ISCHR(there.st_mode) ? -1 : standard_stream(&there);
        bool straight = stream >= 0 || S_ISCHR(there.st_mode) || S_ISFIFO(there.st_mode);
        if (S_ISDIR(there.st_mode)) return cannot_write(writer, "is a directory", error);
        if (!straight && !S_ISREG(there.st_mode))
            return cannot_write(writer, S_ISSOCK(there.st_mode) ? "is a socket" : "is a block device", error);
        if (straight)
            writer->handle = stream >= 0 ? fcntl(stream, F_DUPFD_CLOEXEC, STDERR_FILENO + 1)
                                         : open(path, O_WRONLY | O_CLOEXEC | O_NOCTTY);
        if (straight) return writer->handle >= 0 ? SAMC_OK : cannot_write(writer, strerror(errno), error);
    }
    char *target = follow(path);
    if (target == NULL) return errno == ELOOP ? cannot_write(writer, strerror(errno), error) : no_memory(writer, error);
    samc_status status = find_folder(writer, target, error);
    free(target);
    SAMC__TRY(status);
    if (*writer->name == '\0') return cannot_write(writer, "its link leads to no file", error);
    /* A link of /proc leads to files that have no name any more, and its text is then no name either. */
    if (exists && (fstatat(writer->folder, writer->name, &last, AT_SYMLINK_NOFOLLOW) != 0 || !same(&last, &there)))
        return cannot_write(writer, "is a link to a file without a name", error);
    return make_temporary(writer, error);
}

samc_status samc__writer_create(samc__writer *writer, int folder, const char *name, const char *path,
                                samc_error *error) {
    *writer = (samc__writer){.handle = -1, .folder = folder, .path = path};
    if ((writer->temporary = strdup(name)) == NULL) return no_memory(writer, error);
    writer->handle = openat(folder, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0666);
    return writer->handle >= 0 ? SAMC_OK : cannot_write(writer, strerror(errno), error);
}

samc_status samc__writer_append(samc__writer *writer, const void *bytes, size_t size, samc_error *error) {
    const uint8_t *at = bytes;
    if (writer->handle < 0) return samc__fail(error, SAMC_IO, "%s: not open for writing", writer->path);
    while (size > 0) {
        ssize_t written = write(writer->handle, at, size);
        if (written < 0 && errno == EINTR) continue;
        if (written < 0) return cannot_write(writer, strerror(errno), error);
        at += written;
        size -= (size_t)written;
    }
    return SAMC_OK;
}

/* A rename is only on the disk when its folder is; file systems that cannot do this are no reason to fail. */
static void sync_folder(int folder) {
    int handle = openat(folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (handle < 0) return;
    (void)fsync(handle);
    close(handle);
}

samc_status samc__writer_commit(samc__writer *writer, samc_error *error) {
    if (writer->handle < 0) return samc__fail(error, SAMC_IO, "%s: not open for writing", writer->path);
    bool file = writer->temporary != NULL;
    if (file && writer->sync && fsync(writer->handle) != 0) return cannot_write(writer, strerror(errno), error);
    /* Some file systems (NFS, quotas) report a full disk only here. */
    int handle = writer->handle, reason = 0;
    if (close(handle) != 0 ||
        (writer->name != NULL && renameat(writer->folder, writer->temporary, writer->folder, writer->name) != 0))
        reason = errno;
    writer->handle = -1;
    if (reason != 0 && file) unlinkat(writer->folder, writer->temporary, 0);
    if (reason == 0 && writer->name != NULL && writer->sync) sync_folder(writer->folder);
    forget(writer);
    return reason == 0 ? SAMC_OK : samc__fail(error, SAMC_IO, "%s: cannot write: %s", writer->path, strerror(reason));
}
