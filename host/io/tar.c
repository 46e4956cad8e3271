/* Archives through libarchive, restricted to tar and zip: nothing else is asked to parse foreign bytes. What it does
 * not check is checked here: that a tar has its end, and the sums of gzip (in unpack.c). */
#include "host/io/tar.h"
#include "host/io/samc_io.h"

#include <errno.h>
#include <locale.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <archive.h>
#include <archive_entry.h>

#include "runtime/base/status.h"

enum { TAR_END = 1024 }; /* two blocks of zeros */

struct samc__tar {
    struct archive *archive;
    struct archive_entry *entry; /* the archive's */
    samc__unpack *bytes;
    locale_t utf8; /* libarchive converts the names of pax headers to the locale's characters */
    char *path, *name, *link;
    samc_error reason; /* what kept the bytes from being read */
    bool zip, broken;
};

static bool ends_in(const char *path, const char *end) {
    size_t length = strlen(path), n = strlen(end);
    return length > n && strcasecmp(path + length - n, end) == 0;
}

size_t samc__tar_stem(const char *path) {
    static const char *const ends[] = {".tar",  ".tar.gz", ".tgz",     ".tar.xz", ".txz", ".tar.bz2",
                                       ".tbz2", ".tbz",    ".tar.zst", ".tzst",   ".zip"};
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++)
        if (ends_in(path, ends[i])) return strlen(path) - strlen(ends[i]);
    return strlen(path);
}

bool samc__tar_is(const char *path) { return path[samc__tar_stem(path)] != '\0'; }
bool samc_archive_is(const char *path) { return path != NULL && samc__tar_is(path); }

bool samc__tar_broken(const samc__tar *tar) { return tar->broken; }
int samc__tar_code(const samc__tar *tar) { return samc__unpack_code(tar->bytes); }

/* The archive cannot be read further. */
static samc_status damaged(samc__tar *tar, const char *reason, samc_error *error) {
    tar->broken = true;
    if (tar->reason.status != SAMC_OK) {
        if (error != NULL) *error = tar->reason;
        return tar->reason.status;
    }
    if (archive_errno(tar->archive) == ENOMEM)
        return samc__fail(error, SAMC_OUT_OF_MEMORY, "%s: out of memory", tar->path);
    return samc__fail(error, SAMC_FORMAT, "%s: damaged archive: %s", tar->path, reason ? reason : "unknown reason");
}

/* ---- libarchive's view of the bytes ---------------------------------------------------------- */

static la_ssize_t give(struct archive *archive, void *context, const void **block) {
    samc__tar *tar = context;
    ssize_t got = samc__unpack_read(tar->bytes, block, &tar->reason);
    if (got < 0) archive_set_error(archive, EIO, "%s", tar->reason.message);
    return got;
}

static la_int64_t skip(struct archive *archive, void *context, la_int64_t count) {
    samc__tar *tar = context;
    (void)archive;
    return samc__unpack_skip(tar->bytes, count);
}

static la_int64_t seek(struct archive *archive, void *context, la_int64_t offset, int whence) {
    samc__tar *tar = context;
    int64_t to = samc__unpack_seek(tar->bytes, offset, whence);
    if (to < 0) archive_set_error(archive, errno, "cannot seek");
    return to < 0 ? ARCHIVE_FATAL : to;
}

/* ---- Members --------------------------------------------------------------------------------- */

static samc_status begin(samc__tar *tar, samc_error *error) {
    struct archive *a = tar->archive;
    archive_read_set_read_callback(a, give);
    archive_read_set_skip_callback(a, skip);
    archive_read_set_callback_data(a, tar);
    if (tar->zip) {
        archive_read_set_seek_callback(a, seek);
        archive_read_support_format_zip(a);
    } else {
        archive_read_support_format_tar(a);
        archive_read_set_format_option(a, "tar", "read_concatenated_archives", "1");
    }
    archive_read_support_format_empty(a); /* so that it is told apart from a file that is no archive */
    return archive_read_open1(a) == ARCHIVE_OK ? SAMC_OK : damaged(tar, archive_error_string(a), error);
}

static samc_status open_tar(const char *path, const samc__flow *flow, samc__tar **out, int *code, samc_error *error) {
    samc__tar *tar = *out = calloc(1, sizeof *tar);
    *code = 0;
    if (tar == NULL) return samc__fail(error, SAMC_OUT_OF_MEMORY, "%s: out of memory", path);
    tar->archive = archive_read_new();
    tar->path = strdup(path);
    tar->utf8 = newlocale(LC_CTYPE_MASK, "C.UTF-8", (locale_t)0);
    tar->zip = flow == NULL && ends_in(path, ".zip");
    samc_status status = tar->archive == NULL || tar->path == NULL
                             ? samc__fail(error, SAMC_OUT_OF_MEMORY, "%s: out of memory", path)
                         : flow != NULL ? samc__unpack_open_flow(path, flow, &tar->bytes, code, error)
                                        : samc__unpack_open(path, &tar->bytes, code, error);
    if (status == SAMC_OK && (status = begin(tar, error)) != SAMC_OK) *code = samc__tar_code(tar);
    if (status != SAMC_OK) {
        samc__tar_close(tar);
        *out = NULL;
    }
    return status;
}

samc_status samc__tar_open(const char *path, samc__tar **tar, int *code, samc_error *error) {
    return open_tar(path, NULL, tar, code, error);
}

samc_status samc__tar_open_flow(const char *name, const samc__flow *flow, samc__tar **tar, int *code,
                                samc_error *error) {
    return open_tar(name, flow, tar, code, error);
}

void samc__tar_close(samc__tar *tar) {
    if (tar == NULL) return;
    if (tar->archive != NULL) archive_read_free(tar->archive);
    if (tar->utf8 != (locale_t)0) freelocale(tar->utf8);
    samc__unpack_close(tar->bytes);
    free(tar->path);
    free(tar->name);
    free(tar->link);
    free(tar);
}

/* Whether nothing of the archive is missing behind the last member. */
static samc_status check_end(samc__tar *tar, samc_error *error) {
    if (archive_format(tar->archive) == ARCHIVE_FORMAT_EMPTY) return damaged(tar, "empty file", error);
    if (tar->zip && samc__unpack_has_zip_end(tar->bytes)) return SAMC_OK;
    if (samc__tar_code(tar) != 0)
        samc__fail(&tar->reason, SAMC_IO, "%s: cannot read: %s", tar->path, strerror(samc__tar_code(tar)));
    if (tar->zip) return damaged(tar, "it ends before its directory", error);
    /* The position is where the last member ends; libarchive has gone over the zeros behind it up to the end of the
     * file. */
    int64_t zeros = samc__unpack_position(tar->bytes) - archive_read_header_position(tar->archive);
    return zeros >= TAR_END
               ? SAMC_OK
               : damaged(tar, "it ends without the two blocks of zeros, so that members may be missing", error);
}

/* What the entry says, as bytes: as stored where the header holds bytes, as UTF-8 where it says so. */
static samc__tar_kind describe(samc__tar *tar) {
    static const char *(*const names[])(struct archive_entry *) = {archive_entry_pathname, archive_entry_hardlink,
                                                                   archive_entry_symlink};
    static const char *(*const in_utf8[])(struct archive_entry *) = {
        archive_entry_pathname_utf8, archive_entry_hardlink_utf8, archive_entry_symlink_utf8};
    const char *text[3]; /* name, hard link, symbolic link */
    for (int i = 0; i < 3; i++)
        if ((text[i] = names[i](tar->entry)) == NULL) text[i] = in_utf8[i](tar->entry);
    free(tar->name);
    free(tar->link);
    tar->name = strdup(text[0] ? text[0] : "");
    tar->link = strdup(text[1] ? text[1] : text[2] ? text[2] : "");
    samc__tar_kind kind = SAMC__TAR_OTHER;
    if (text[1] != NULL) kind = SAMC__TAR_HARD_LINK;
    else if (archive_entry_filetype(tar->entry) == AE_IFREG) kind = SAMC__TAR_FILE;
    else if (archive_entry_filetype(tar->entry) == AE_IFLNK) kind = SAMC__TAR_SYMBOLIC_LINK;
    else if (archive_entry_filetype(tar->entry) == AE_IFDIR) kind = SAMC__TAR_FOLDER;
    return kind;
}

static samc_status next(samc__tar *tar, samc__tar_entry *entry, samc_error *error) {
    *entry = (samc__tar_entry){0};
    int code;
    do code = archive_read_next_header(tar->archive, &tar->entry);
    while (code == ARCHIVE_RETRY);
    if (code == ARCHIVE_EOF) return check_end(tar, error);
    if (code < ARCHIVE_WARN) return damaged(tar, archive_error_string(tar->archive), error);
    samc__tar_kind kind = describe(tar);
    if (tar->name == NULL || tar->link == NULL)
        return samc__fail(error, SAMC_OUT_OF_MEMORY, "%s: out of memory", tar->path);
    *entry = (samc__tar_entry){tar->name, tar->link, kind};
    return SAMC_OK;
}

samc_status samc__tar_next(samc__tar *tar, samc__tar_entry *entry, samc_error *error) {
    locale_t before = tar->utf8 != (locale_t)0
                          ? uselocale(tar->utf8)
                          : (locale_t)0; /* names are converted here, or while the header is read */
    samc_status status = next(tar, entry, error);
    if (before != (locale_t)0) uselocale(before);
    return status;
}

samc_status samc__tar_read(samc__tar *tar, size_t limit, uint8_t **bytes, size_t *size, samc_error *error) {
    int64_t stated = archive_entry_size_is_set(tar->entry) ? archive_entry_size(tar->entry)
                                                           : -1; /* a zip may say it behind the data */
    *bytes = NULL;
    *size = 0;
    if (stated >= 0 && (uint64_t)stated > limit)
        return samc__fail(error, SAMC_UNSUPPORTED, "%s/%s: file of %lld bytes is larger than the limit of %zu",
                          tar->path, tar->name, (long long)stated, limit);
    size_t room = stated >= 0 ? (size_t)stated + 1 : 1 << 16,
           used = 0; /* one more, so that the end, with its checks, is seen without growing */
    uint8_t *buffer = malloc(room);
    while (buffer != NULL) {
        if (used == room) {
            uint8_t *grown = realloc(buffer, room *= 2);
            if (grown == NULL) free(buffer);
            buffer = grown;
            continue;
        }
        la_ssize_t got = archive_read_data(tar->archive, buffer + used, room - used);
        if (got == ARCHIVE_RETRY) continue;
        if (got > 0) used += (size_t)got;
        if (got > 0 && used <= limit) continue;
        if (got == 0 && (stated < 0 || used == (size_t)stated)) {
            *bytes = buffer;
            *size = used;
            return SAMC_OK;
        }
        free(buffer);
        if (got > 0)
            return samc__fail(error, SAMC_UNSUPPORTED, "%s/%s: larger than the limit of %zu bytes", tar->path,
                              tar->name, limit);
        const char *reason = archive_error_string(tar->archive);
        if (got == ARCHIVE_FAILED || got == ARCHIVE_WARN) /* this member alone */
            return samc__fail(error, SAMC_FORMAT, "%s/%s: damaged member: %s", tar->path, tar->name,
                              reason ? reason : "unknown reason");
        return damaged(tar, got == 0 ? "a member is shorter than it says" : reason, error);
    }
    return samc__fail(error, SAMC_OUT_OF_MEMORY, "%s/%s: out of memory for %zu bytes", tar->path, tar->name, room);
}
