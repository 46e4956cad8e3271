/* Reading and atomic writing of files. Results are renamed into place, so that a full disk or a kill never leaves half
 * a file under a name that somebody may pick up. */
#include "host/io/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "host/io/samc_io.h"
#include "runtime/base/status.h"

static samc_status read_all(int handle, const char *path, size_t limit, uint8_t **bytes, size_t *size, int *code,
                            samc_error *error) {
    size_t room = 1 << 16, used = 0;
    struct stat information;
    if (fstat(handle, &information) == 0 && S_ISREG(information.st_mode)) {
        if ((uint64_t)information.st_size > limit)
            return samc__fail(error, SAMC_UNSUPPORTED, "%s: file of %lld bytes is larger than the limit of %zu", path,
                              (long long)information.st_size, limit);
        room = (size_t)information.st_size + 1; /* one more, so that the end is seen without growing */
    }
    uint8_t *buffer = malloc(room);
    if (buffer == NULL) return samc__fail(error, SAMC_OUT_OF_MEMORY, "%s: out of memory for %zu bytes", path, room);
    for (;;) {
        if (used > limit) {
            free(buffer);
            return samc__fail(error, SAMC_UNSUPPORTED, "%s: larger than the limit of %zu bytes", path, limit);
        }
        if (used == room) {
            uint8_t *grown = room > SIZE_MAX / 2 ? NULL : realloc(buffer, room * 2);
            if (grown == NULL) {
                free(buffer);
                return samc__fail(error, SAMC_OUT_OF_MEMORY, "%s: out of memory for %zu bytes", path, room);
            }
            buffer = grown;
            room *= 2;
        }
        ssize_t got = read(handle, buffer + used, room - used);
        if (got == 0) break;
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) {
            *code = errno;
            free(buffer);
            return samc__fail(error, SAMC_IO, "%s: cannot read: %s", path, strerror(*code));
        }
        used += (size_t)got;
    }
    *bytes = buffer;
    *size = used;
    return SAMC_OK;
}

samc_status samc__file_read_open(int handle, const char *name, size_t limit, uint8_t **bytes, size_t *size,
                                 samc_error *error) {
    int code;
    *bytes = NULL;
    *size = 0;
    return read_all(handle, name, limit, bytes, size, &code, error);
}

samc_status samc__file_read(const char *path, size_t limit, uint8_t **bytes, size_t *size, samc_error *error) {
    int code;
    *bytes = NULL;
    *size = 0;
    if (strcmp(path, "-") == 0) return read_all(STDIN_FILENO, "standard input", limit, bytes, size, &code, error);
    int handle = open(path, O_RDONLY | O_CLOEXEC);
    if (handle < 0) return samc__fail(error, SAMC_IO, "%s: cannot open: %s", path, strerror(errno));
    samc_status status = read_all(handle, path, limit, bytes, size, &code, error);
    close(handle);
    return status;
}

samc_status samc__file_refuse(const char *path, unsigned mode, samc_error *error) {
    const char *kind = S_ISDIR(mode)    ? "a folder"
                       : S_ISFIFO(mode) ? "a pipe"
                       : S_ISSOCK(mode) ? "a socket"
                                        : "a device";
    return samc__fail(error, SAMC_IO, "%s: not a regular file but %s", path, kind);
}

samc_status samc__file_open(const char *path, int *handle, struct stat *information, int *code, samc_error *error) {
    *code = 0;
    *handle = -1;
    if (stat(path, information) ==
        0) { /* before opening: that alone moves a tape, and waits for whoever writes to a pipe */
        if (!S_ISREG(information->st_mode)) return samc__file_refuse(path, information->st_mode, error);
        *handle = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    }
    if (*handle < 0 || fstat(*handle, information) != 0) {
        *code = errno;
        if (*handle >= 0) close(*handle);
        return samc__fail(error, SAMC_IO, "%s: cannot open: %s", path, strerror(*code));
    }
    if (S_ISREG(information->st_mode)) return SAMC_OK;
    close(*handle);
    return samc__file_refuse(path, information->st_mode, error);
}

samc_status samc__file_read_regular(const char *path, size_t limit, uint8_t **bytes, size_t *size, int *code,
                                    samc_error *error) {
    struct stat information;
    int handle;
    *bytes = NULL;
    *size = 0;
    SAMC__TRY(samc__file_open(path, &handle, &information, code, error));
    samc_status status = read_all(handle, path, limit, bytes, size, code, error);
    close(handle);
    return status;
}

bool samc__file_is_outage(int code) {
    static const int own[] = {0, ENOENT, ENOTDIR, EACCES, EPERM, ELOOP, ENAMETOOLONG, EISDIR, ENXIO, EOVERFLOW, EILSEQ};
    for (size_t i = 0; i < sizeof own / sizeof *own; i++)
        if (code == own[i]) return false;
    return true;
}

size_t samc__file_mark(const uint8_t *bytes, size_t size) {
    return size >= 3 && memcmp(bytes, "\xef\xbb\xbf", 3) == 0 ? 3 : 0;
}

samc_status samc__file_write(const char *path, const void *bytes, size_t size, samc_error *error) {
    samc__writer writer;
    SAMC__TRY(samc__writer_open(&writer, path, error));
    SAMC__TRY(samc__writer_append(&writer, bytes, size, error));
    return samc__writer_commit(&writer, error);
}

samc_status samc_folder_create(const char *path, samc_error *error) {
    if (path == NULL || *path == '\0') return samc__fail(error, SAMC_INVALID_ARGUMENT, "a folder without a name");
    char *copy = strdup(path);
    if (copy == NULL) return samc__fail(error, SAMC_OUT_OF_MEMORY, "%s: out of memory", path);
    /* Every parent first: cut the path at each slash that ends a name, the last name ends with the string. */
    for (char *at = copy;; at++) {
        if ((*at != '/' && *at != '\0') || at == copy) {
            if (*at == '\0') break;
            continue;
        }
        char end = *at;
        *at = '\0';
        if (mkdir(copy, 0777) != 0 && errno != EEXIST) {
            samc__fail(error, SAMC_IO, "%s: cannot create the folder: %s", copy, strerror(errno));
            free(copy);
            return SAMC_IO;
        }
        *at = end;
        if (end == '\0') break;
    }
    free(copy);
    struct stat information;
    if (stat(path, &information) != 0) return samc__fail(error, SAMC_IO, "%s: %s", path, strerror(errno));
    if (!S_ISDIR(information.st_mode)) return samc__fail(error, SAMC_IO, "%s: not a folder", path);
    return SAMC_OK;
}

/* ---- The public writer ----------------------------------------------------------------------- */

struct samc_writer {
    samc__writer file;
    char *path; /* for messages; owned */
};

static void forget(samc_writer *writer) {
    free(writer->path);
    free(writer);
}

samc_status samc_writer_open(const char *path, samc_writer **writer, samc_error *error) {
    if (path == NULL || writer == NULL)
        return samc__fail(error, SAMC_INVALID_ARGUMENT, "samc_writer_open: no path or no place for the writer");
    *writer = NULL;
    samc_writer *made = calloc(1, sizeof *made);
    if (made != NULL) made->path = strdup(path);
    samc_status status = made == NULL || made->path == NULL
                             ? samc__fail(error, SAMC_OUT_OF_MEMORY, "%s: out of memory", path)
                             : samc__writer_open(&made->file, made->path, error);
    if (status == SAMC_OK) *writer = made;
    else if (made != NULL) forget(made);
    return status;
}

samc_status samc_writer_append(samc_writer *writer, const void *bytes, size_t size, samc_error *error) {
    if (writer == NULL || (bytes == NULL && size > 0))
        return samc__fail(error, SAMC_INVALID_ARGUMENT, "samc_writer_append: no writer or no bytes");
    return samc__writer_append(&writer->file, bytes, size, error);
}

samc_status samc_writer_commit(samc_writer *writer, samc_error *error) {
    if (writer == NULL) return samc__fail(error, SAMC_INVALID_ARGUMENT, "samc_writer_commit: no writer");
    samc_status status = samc__writer_commit(&writer->file, error);
    forget(writer);
    return status;
}

void samc_writer_abandon(samc_writer *writer) {
    if (writer == NULL) return;
    samc__writer_abandon(&writer->file);
    forget(writer);
}

samc_status samc_writer_sync(samc_writer *writer, samc_error *error) {
    if (writer == NULL) return samc__fail(error, SAMC_INVALID_ARGUMENT, "samc_writer_sync: no writer");
    writer->file.sync = true;
    return SAMC_OK;
}

void samc_io_free(void *memory) { free(memory); }
