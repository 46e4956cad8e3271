/* Reading and atomic writing of files. Results are renamed into place, so that a full disk or a kill never leaves half
 * a file under a name that somebody may pick up. */
#include "host/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "runtime/status.h"

static samc_status read_all(int handle, const char *path, size_t limit, uint8_t **bytes, size_t *size,
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
            samc__fail(error, SAMC_IO, "%s: cannot read: %s", path, strerror(errno));
            free(buffer);
            return SAMC_IO;
        }
        used += (size_t)got;
    }
    *bytes = buffer;
    *size = used;
    return SAMC_OK;
}

samc_status samc__file_read(const char *path, size_t limit, uint8_t **bytes, size_t *size, samc_error *error) {
    *bytes = NULL;
    *size = 0;
    if (strcmp(path, "-") == 0) return read_all(STDIN_FILENO, "standard input", limit, bytes, size, error);
    int handle = open(path, O_RDONLY | O_CLOEXEC);
    if (handle < 0) return samc__fail(error, SAMC_IO, "%s: cannot open: %s", path, strerror(errno));
    samc_status status = read_all(handle, path, limit, bytes, size, error);
    close(handle);
    return status;
}

samc_status samc__file_write(const char *path, const void *bytes, size_t size, samc_error *error) {
    samc__writer writer;
    SAMC__TRY(samc__writer_open(&writer, path, error));
    SAMC__TRY(samc__writer_append(&writer, bytes, size, error));
    return samc__writer_commit(&writer, error);
}

samc_status samc__folder_create(const char *path, samc_error *error) {
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
