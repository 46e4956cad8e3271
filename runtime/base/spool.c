/* Bytes in memory, beyond a budget in a temporary file. */
#include "runtime/base/spool.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "runtime/base/status.h"

static _Atomic int64_t budget = SAMC__SPOOL_BUDGET, in_memory; /* of all spools */

void samc__spool_set_budget(int64_t bytes) { atomic_store(&budget, bytes); }

/* Once some bytes went to the file, the others follow them. */
static bool may_hold(const samc__spool *spool, int64_t size) {
    return spool->file == 0 && atomic_load(&in_memory) + size <= atomic_load(&budget);
}

static samc_status hold(samc__spool *spool, const void *bytes, int64_t size, samc_error *error) {
    if (size > spool->room - spool->held) {
        int64_t room = 2 * (spool->held + size) + 4096; /* pages that nobody writes to are not there yet */
        char *more = realloc(spool->bytes, (size_t)room);
        if (more == NULL)
            return samc__fail(error, SAMC_OUT_OF_MEMORY, "no memory for %lld bytes of results",
                              (long long)(spool->held + size));
        spool->bytes = more;
        spool->room = room;
    }
    memcpy(spool->bytes + spool->held, bytes, (size_t)size);
    spool->held += size;
    atomic_fetch_add(&in_memory, size);
    return SAMC_OK;
}

int samc__unnamed_file(const char *folder) {
    static const char name[] = "/samc-XXXXXX";
    size_t length = strlen(folder);
    char *path = malloc(length + sizeof name);
    if (path == NULL) return -1;
    memcpy(path, folder, length);
    memcpy(path + length, name, sizeof name);
    int file = mkostemp(path, O_CLOEXEC), reason = errno;
    if (file >= 0) unlink(path);
    free(path);
    errno = reason;
    return file;
}

static samc_status open_file(samc__spool *spool, samc_error *error) {
    const char *folder = spool->folder ? spool->folder : SAMC__SPOOL_FOLDER;
    int file = samc__unnamed_file(folder);
    if (file < 0 && errno == ENOMEM)
        return samc__fail(error, SAMC_OUT_OF_MEMORY, "no memory for the name of a temporary file");
    if (file < 0) return samc__fail(error, SAMC_IO, "%s: cannot create a temporary file: %s", folder, strerror(errno));
    spool->file = file + 1;
    return SAMC_OK;
}

samc_status samc__spool_append(samc__spool *spool, const void *bytes, size_t size, samc_error *error) {
    if (may_hold(spool, (int64_t)size)) {
        SAMC__TRY(hold(spool, bytes, (int64_t)size, error));
    } else {
        if (spool->file == 0) SAMC__TRY(open_file(spool, error));
        for (size_t done = 0; done < size;) {
            ssize_t now = pwrite(spool->file - 1, (const char *)bytes + done, size - done,
                                 spool->length - spool->held + (int64_t)done);
            if (now < 0 && errno != EINTR)
                return samc__fail(error, SAMC_IO, "cannot write a temporary file: %s", strerror(errno));
            if (now > 0) done += (size_t)now;
        }
    }
    spool->length += (int64_t)size;
    return SAMC_OK;
}

samc_status samc__spool_read(const samc__spool *spool, int64_t at, void *bytes, size_t size, samc_error *error) {
    size_t here = at >= spool->held ? 0 : (size_t)(spool->held - at);
    if (here > size) here = size;
    if (here > 0) memcpy(bytes, spool->bytes + at, here);
    for (size_t done = here; done < size;) {
        ssize_t now = pread(spool->file - 1, (char *)bytes + done, size - done, at - spool->held + (int64_t)done);
        if (now == 0 || (now < 0 && errno != EINTR))
            return samc__fail(error, SAMC_IO, "cannot read a temporary file: %s",
                              now == 0 ? "it is cut off" : strerror(errno));
        if (now > 0) done += (size_t)now;
    }
    return SAMC_OK;
}

void samc__spool_free(samc__spool *spool) {
    atomic_fetch_sub(&in_memory, spool->held);
    free(spool->bytes);
    if (spool->file > 0) close(spool->file - 1);
    *spool = (samc__spool){0};
}
