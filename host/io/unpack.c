/* gzip goes through zlib, because libarchive does not look at its checksum and length; the other kinds go through
 * libarchive. */
#include "host/io/unpack.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <archive.h>
#include <archive_entry.h>
#include <zlib.h>

#include "host/io/file.h"
#include "runtime/base/status.h"

enum { BLOCK = 1 << 18 };

struct samc__unpack {
    char *path;
    int handle, code;       /* code: errno of a failed read */
    int64_t size, position; /* of the file; of what was handed out */
    uint8_t *in;            /* [BLOCK], bytes of the file */
    bool gzip, within;      /* within: in the middle of a gzip member */
    z_stream zlib;
    uint8_t *out;           /* [BLOCK], of zlib; NULL where it is not open */
    struct archive *filter; /* xz, bzip2, zstd */
    samc_error failed;      /* what the next read of gzip will fail with: the bytes before it come first */
    bool flows;             /* it is `flow`, of which `head` bytes at the beginning are handed out */
    samc__flow flow;
    size_t head;
};

/* Whether a flow has bytes, or its end, to give; false with u->code set where reading is given up. */
static bool wait_for_bytes(samc__unpack *u) {
    enum { TICK = 100 /* milliseconds */ };
    struct pollfd file = {.fd = u->handle, .events = POLLIN};
    while (u->flow.stopping != NULL) { /* looked at also where there are always bytes: some never end */
        if (atomic_load(u->flow.stopping)) return u->code = ECANCELED, false;
        if (poll(&file, 1, TICK) != 0) break;
    }
    return true;
}

/* The file's own bytes into `to`; -1 with u->code set. */
static ssize_t read_file(samc__unpack *u, void *to, size_t size) {
    ssize_t got;
    if (u->flows && u->head < u->flow.head_size) {
        size_t left = u->flow.head_size - u->head, piece = left < size ? left : size;
        memcpy(to, u->flow.head + u->head, piece);
        u->head += piece;
        return (ssize_t)piece;
    }
    if (u->flows && !wait_for_bytes(u)) return -1;
    do got = read(u->handle, to, size);
    while (got < 0 && errno == EINTR);
    if (got < 0) u->code = errno;
    return got;
}

static ssize_t fail(const samc__unpack *u, const char *reason, samc_error *error) {
    if (u->code != 0) samc__fail(error, SAMC_IO, "%s: cannot read: %s", u->path, strerror(u->code));
    else samc__fail(error, SAMC_FORMAT, "%s: damaged archive: %s", u->path, reason != NULL ? reason : "unknown reason");
    return -1;
}

/* ---- Kinds ----------------------------------------------------------------------------------- */

static la_ssize_t filter_read(struct archive *archive, void *context, const void **block) {
    samc__unpack *u = context;
    ssize_t got = read_file(u, u->in, BLOCK);
    *block = u->in;
    if (got < 0) archive_set_error(archive, u->code, "cannot read");
    return got;
}

/* libarchive's decompression without any archive format behind it. */
static bool open_filter(samc__unpack *u, int (*support)(struct archive *)) {
    struct archive_entry *entry;
    u->filter = archive_read_new();
    return u->filter != NULL && support(u->filter) == ARCHIVE_OK &&
           archive_read_support_format_raw(u->filter) == ARCHIVE_OK &&
           archive_read_open(u->filter, u, NULL, filter_read, NULL) == ARCHIVE_OK &&
           archive_read_next_header(u->filter, &entry) == ARCHIVE_OK;
}

/* The first bytes of a flow, which stay to be read. */
static ssize_t peek(samc__unpack *u, uint8_t *first, size_t size) {
    samc__flow *flow = &u->flow;
    while (flow->head_size < size) {
        if (!wait_for_bytes(u)) return errno = u->code, -1;
        ssize_t got = read(u->handle, flow->head + flow->head_size, sizeof flow->head - flow->head_size);
        if (got == 0) break;
        if (got < 0 && errno != EINTR) return -1;
        flow->head_size += got > 0 ? (size_t)got : 0;
    }
    size = flow->head_size < size ? flow->head_size : size;
    memcpy(first, flow->head, size);
    return (ssize_t)size;
}

static samc_status open_kind(samc__unpack *u, samc_error *error) {
    static const struct {
        const char *magic;
        size_t length;
        int (*support)(struct archive *);
    } kinds[] = {{"\xfd"
                  "7zXZ\0",
                  6, archive_read_support_filter_xz},
                 {"BZh", 3, archive_read_support_filter_bzip2},
                 {"\x28\xb5\x2f\xfd", 4, archive_read_support_filter_zstd}};
    uint8_t first[6] = {0};
    ssize_t got = u->flows ? peek(u, first, sizeof first) : pread(u->handle, first, sizeof first, 0);
    if (got < 0) {
        u->code = errno;
        fail(u, NULL, error);
        return SAMC_IO;
    }
    u->gzip = got >= 2 && memcmp(first, "\x1f\x8b", 2) == 0;
    if (u->gzip) {
        u->out = malloc(BLOCK);
        if (u->out == NULL || inflateInit2(&u->zlib, 15 + 16) != Z_OK)
            return samc__fail(error, SAMC_OUT_OF_MEMORY, "%s: out of memory", u->path);
        return SAMC_OK;
    }
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        if ((size_t)got < kinds[i].length || memcmp(first, kinds[i].magic, kinds[i].length) != 0) continue;
        if (open_filter(u, kinds[i].support)) return SAMC_OK;
        fail(u, u->filter ? archive_error_string(u->filter) : "out of memory", error);
        return u->code != 0 ? SAMC_IO : SAMC_FORMAT;
    }
    return SAMC_OK;
}

static samc_status open_bytes(const char *path, const samc__flow *flow, samc__unpack **out, int *code,
                              samc_error *error) {
    struct stat information;
    samc__unpack *u = *out = calloc(1, sizeof *u);
    *code = 0;
    if (u == NULL) return samc__fail(error, SAMC_OUT_OF_MEMORY, "%s: out of memory", path);
    u->handle = -1;
    u->path = strdup(path);
    u->in = malloc(BLOCK);
    samc_status status = u->path && u->in ? SAMC_OK : samc__fail(error, SAMC_OUT_OF_MEMORY, "%s: out of memory", path);
    if (status == SAMC_OK && flow == NULL) {
        status = samc__file_open(path, &u->handle, &information, &u->code, error);
        if (status == SAMC_OK) u->size = information.st_size;
    } else if (status == SAMC_OK) {
        u->flows = true;
        u->flow = *flow;
        u->handle = flow->handle;
    }
    if (status == SAMC_OK) status = open_kind(u, error);
    if (status != SAMC_OK) {
        *code = u->code;
        samc__unpack_close(u);
        *out = NULL;
    }
    return status;
}

samc_status samc__unpack_open(const char *path, samc__unpack **out, int *code, samc_error *error) {
    return open_bytes(path, NULL, out, code, error);
}

samc_status samc__unpack_open_flow(const char *name, const samc__flow *flow, samc__unpack **out, int *code,
                                   samc_error *error) {
    return open_bytes(name, flow, out, code, error);
}

void samc__unpack_close(samc__unpack *u) {
    if (u == NULL) return;
    if (u->filter != NULL) archive_read_free(u->filter);
    if (u->gzip) inflateEnd(&u->zlib);
    if (u->handle >= 0 && !u->flows) close(u->handle);
    free(u->path);
    free(u->in);
    free(u->out);
    free(u);
}

/* ---- Reading --------------------------------------------------------------------------------- */

/* Behind a gzip member: another one, nothing, or zeros that a tape was filled up with. True at the end. */
static bool gzip_ended(samc__unpack *u, bool *garbage) {
    for (;;) {
        while (u->zlib.avail_in > 0 && *u->zlib.next_in == 0) u->zlib.next_in++, u->zlib.avail_in--;
        if (u->zlib.avail_in > 0) break;
        ssize_t got = read_file(u, u->in, BLOCK);
        if (got <= 0) return true;
        u->zlib.next_in = u->in;
        u->zlib.avail_in = (uInt)got;
    }
    *garbage = *u->zlib.next_in != 0x1f;
    return *garbage;
}

/* Fills u->out; -1 where that fails, whatever is in there already. */
static ssize_t fill_gzip(samc__unpack *u, samc_error *error) {
    z_stream *z = &u->zlib;
    while (z->avail_out > 0) {
        bool garbage = false;
        if (!u->within) {
            if (gzip_ended(u, &garbage)) {
                if (garbage) return fail(u, "garbage behind the gzip data", error);
                if (u->code != 0) return fail(u, NULL, error);
                break;
            }
            inflateReset(z);
            u->within = true;
        }
        if (z->avail_in == 0) {
            ssize_t got = read_file(u, u->in, BLOCK);
            if (got <= 0) return fail(u, "truncated gzip data", error);
            z->next_in = u->in;
            z->avail_in = (uInt)got;
        }
        int code = inflate(z, Z_NO_FLUSH);
        if (code == Z_STREAM_END) u->within = false;
        else if (code == Z_MEM_ERROR) return samc__fail(error, SAMC_OUT_OF_MEMORY, "%s: out of memory", u->path), -1;
        else if (code != Z_OK && code != Z_BUF_ERROR) return fail(u, z->msg ? z->msg : "not gzip data", error);
    }
    return 0;
}

static ssize_t read_gzip(samc__unpack *u, const void **block, samc_error *error) {
    *block = u->zlib.next_out = u->out;
    u->zlib.avail_out = BLOCK;
    if (u->failed.status == SAMC_OK) fill_gzip(u, &u->failed);
    ssize_t got = BLOCK - (ssize_t)u->zlib.avail_out;
    if (got > 0 || u->failed.status == SAMC_OK) return got;
    *error = u->failed;
    return -1;
}

static ssize_t read_filter(samc__unpack *u, const void **block, samc_error *error) {
    size_t size = 0;
    la_int64_t offset;
    int code;
    do code = archive_read_data_block(u->filter, block, &size, &offset);
    while (code == ARCHIVE_RETRY || (code == ARCHIVE_OK && size == 0));
    if (code == ARCHIVE_EOF) return 0;
    return code == ARCHIVE_OK ? (ssize_t)size : fail(u, archive_error_string(u->filter), error);
}

ssize_t samc__unpack_read(samc__unpack *u, const void **block, samc_error *error) {
    ssize_t got;
    *block = u->in;
    if (u->gzip) got = read_gzip(u, block, error);
    else if (u->filter != NULL) got = read_filter(u, block, error);
    else if ((got = read_file(u, u->in, BLOCK)) < 0) fail(u, NULL, error);
    if (got > 0) u->position += got;
    return got;
}

int64_t samc__unpack_skip(samc__unpack *u, int64_t count) {
    if (u->gzip || u->filter != NULL) return 0;
    int64_t left = u->size - u->position, skip = count < left ? count : left;
    if (skip <= 0 || lseek(u->handle, skip, SEEK_CUR) < 0) return 0;
    u->position += skip;
    return skip;
}

int64_t samc__unpack_seek(samc__unpack *u, int64_t offset, int whence) {
    int64_t to = u->gzip || u->filter != NULL || u->flows ? -1 : lseek(u->handle, offset, whence);
    if (to >= 0) u->position = to;
    return to;
}

int64_t samc__unpack_position(const samc__unpack *u) { return u->position; }
int samc__unpack_code(const samc__unpack *u) { return u->code; }

bool samc__unpack_has_zip_end(samc__unpack *u) {
    enum { MOST = 65535 + 22 };
    uint8_t *tail = malloc(MOST);
    int64_t from = u->size > MOST ? u->size - MOST : 0;
    ssize_t got = tail ? pread(u->handle, tail, MOST, from) : 0;
    if (got < 0) u->code = errno;
    bool found = got >= 22 && memmem(tail, (size_t)got, "PK\5\6", 4) != NULL;
    free(tail);
    return found;
}
