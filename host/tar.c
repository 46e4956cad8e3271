/* tar through libarchive, restricted to tar and gzip: nothing else is asked to parse foreign bytes. */
#include "host/tar.h"

#include <locale.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <archive.h>
#include <archive_entry.h>

#include "runtime/status.h"

struct samc__tar {
    struct archive *archive;
    struct archive_entry *entry; /* the archive's */
    locale_t utf8;               /* libarchive converts the names of pax headers to the locale's characters */
    char *path, *name;
};

bool samc__tar_is(const char *path) {
    static const char *const ends[] = {".tar", ".tar.gz", ".tgz"};
    size_t length = strlen(path);
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
        size_t n = strlen(ends[i]);
        if (length > n && strcasecmp(path + length - n, ends[i]) == 0) return true;
    }
    return false;
}

static samc_status damaged(samc__tar *tar, const char *where, samc_error *error) {
    const char *reason = archive_error_string(tar->archive);
    return samc__fail(error, SAMC_FORMAT, "%s: damaged archive: %s", where, reason ? reason : "unknown reason");
}

samc_status samc__tar_open(const char *path, samc__tar **out, samc_error *error) {
    samc__tar *tar = *out = calloc(1, sizeof *tar);
    if (tar != NULL) {
        tar->archive = archive_read_new();
        tar->path = strdup(path);
        tar->utf8 = newlocale(LC_CTYPE_MASK, "C.UTF-8", (locale_t)0);
    }
    samc_status status = SAMC_OK;
    if (tar == NULL || tar->archive == NULL || tar->path == NULL) {
        status = samc__fail(error, SAMC_OUT_OF_MEMORY, "%s: out of memory", path);
    } else {
        archive_read_support_filter_gzip(tar->archive);
        archive_read_support_format_tar(tar->archive);
        archive_read_support_format_empty(tar->archive); /* so that it is told apart from a file that is no archive */
        if (archive_read_open_filename(tar->archive, path, 1 << 18) != ARCHIVE_OK) {
            const char *reason = archive_errno(tar->archive) > 0 ? strerror(archive_errno(tar->archive)) : archive_error_string(tar->archive);
            status = samc__fail(error, SAMC_IO, "%s: cannot open: %s", path, reason ? reason : "unknown reason");
        }
    }
    if (status != SAMC_OK) {
        samc__tar_close(tar);
        *out = NULL;
    }
    return status;
}

void samc__tar_close(samc__tar *tar) {
    if (tar == NULL) return;
    if (tar->archive != NULL) archive_read_free(tar->archive);
    if (tar->utf8 != (locale_t)0) freelocale(tar->utf8);
    free(tar->path);
    free(tar->name);
    free(tar);
}

/* The member's name as bytes: as stored where the header holds bytes, as UTF-8 where it says so. */
static const char *entry_name(samc__tar *tar) {
    locale_t before = tar->utf8 != (locale_t)0 ? uselocale(tar->utf8) : (locale_t)0;
    const char *name = archive_entry_pathname(tar->entry);
    if (name == NULL) name = archive_entry_pathname_utf8(tar->entry);
    free(tar->name);
    tar->name = strdup(name != NULL ? name : "");
    if (before != (locale_t)0) uselocale(before);
    return tar->name;
}

samc_status samc__tar_next(samc__tar *tar, const char **name, samc_error *error) {
    *name = NULL;
    for (;;) {
        int code = archive_read_next_header(tar->archive, &tar->entry);
        if (code == ARCHIVE_EOF) {
            if (archive_format(tar->archive) == ARCHIVE_FORMAT_EMPTY)
                return samc__fail(error, SAMC_FORMAT, "%s: damaged archive: empty file", tar->path);
            return SAMC_OK;
        }
        if (code == ARCHIVE_RETRY) continue;
        if (code < ARCHIVE_WARN) return damaged(tar, tar->path, error);
        if (archive_entry_filetype(tar->entry) != AE_IFREG || archive_entry_hardlink(tar->entry) != NULL) continue;
        *name = entry_name(tar);
        return *name ? SAMC_OK : samc__fail(error, SAMC_OUT_OF_MEMORY, "%s: out of memory", tar->path);
    }
}

samc_status samc__tar_read(samc__tar *tar, size_t limit, uint8_t **bytes, size_t *size, samc_error *error) {
    int64_t stated = archive_entry_size(tar->entry);
    *bytes = NULL;
    *size = 0;
    if (stated < 0 || (uint64_t)stated > limit)
        return samc__fail(error, SAMC_UNSUPPORTED, "%s/%s: file of %lld bytes is larger than the limit of %zu", tar->path, tar->name,
                          (long long)stated, limit);
    uint8_t *buffer = malloc((size_t)stated + 1);
    if (buffer == NULL) return samc__fail(error, SAMC_OUT_OF_MEMORY, "%s/%s: out of memory for %lld bytes", tar->path, tar->name, (long long)stated);
    size_t used = 0;
    while (used < (size_t)stated) {
        la_ssize_t got = archive_read_data(tar->archive, buffer + used, (size_t)stated - used);
        if (got == ARCHIVE_RETRY) continue;
        if (got <= 0) {
            free(buffer);
            return damaged(tar, tar->path, error);
        }
        used += (size_t)got;
    }
    *bytes = buffer;
    *size = used;
    return SAMC_OK;
}
