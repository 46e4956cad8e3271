/* NIfTI as a source of volumes: .nii is read where it is asked, .nii.gz through an index (gunzip.h), and the voxels of
 * a .hdr lie in the .img beside it, packed or not. */
#include "host/io/nifti.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "host/io/gunzip.h"
#include "runtime/base/status.h"

enum { HEAD = 1024, PIECE = 1 << 18 /* bytes of voxels at a time */ };

typedef struct state {
    samc__nifti header;
    int64_t begin;        /* of the volume that was asked for, in the file's bytes */
    int handle;           /* of the file with the voxels */
    char *name;           /* its path; owned */
    samc__gunzip *gunzip; /* NULL: it is not packed */
    uint8_t *piece;       /* [PIECE], owned */
} state;

const samc__nifti *samc__nifti_of(const void *opened) { return &((const state *)opened)->header; }

static bool recognise(const char *path, bool folder, const uint8_t *head, size_t size) {
    size_t length = strlen(path);
    const bool image = (length > 4 && strcasecmp(path + length - 4, ".img") == 0) ||
                       (length > 7 && strcasecmp(path + length - 7, ".img.gz") == 0);
    return !folder && (samc__nifti_is(head, size) || image); /* an image's header lies beside it */
}

static samc_status read_at(int handle, const char *name, int64_t at, uint8_t *bytes, size_t size, samc_error *error) {
    while (size > 0) {
        ssize_t got = pread(handle, bytes, size, at);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return samc__fail(error, SAMC_IO, "%s: cannot read: %s", name, strerror(errno));
        if (got == 0) return samc__fail(error, SAMC_FORMAT, "%s: cut off", name);
        bytes += got;
        at += got;
        size -= (size_t)got;
    }
    return SAMC_OK;
}

/* The other of a pair: "x.hdr" to "x.img" or back, of the same case; NULL without memory. `packed`: with ".gz". */
static char *other_name(const char *path, bool header, bool packed) {
    size_t length = strlen(path);
    if (length > 3 && strcasecmp(path + length - 3, ".gz") == 0) length -= 3;
    char *name = malloc(length + 4);
    if (name == NULL) return NULL;
    memcpy(name, path, length);
    memcpy(name + length, ".gz", 4);
    if (!packed) name[length] = '\0';
    const bool capital = length > 3 && isupper((unsigned char)name[length - 3]);
    if (length > 3) memcpy(name + length - 3, header ? (capital ? "HDR" : "hdr") : (capital ? "IMG" : "img"), 3);
    return name;
}

/* Opens the other of a pair, packed or not, whichever there is. */
static samc_status open_other(state *s, const char *path, bool header, struct stat *information, samc_error *error) {
    int code = ENOENT;
    samc_status status = SAMC_OK;
    for (int packed = 0; packed < 2 && code == ENOENT; packed++) {
        free(s->name);
        s->name = other_name(path, header, packed);
        if (s->name == NULL) return samc__fail(error, SAMC_OUT_OF_MEMORY, "%s: out of memory", path);
        status = samc__file_open(s->name, &s->handle, information, &code, packed ? NULL : error);
    }
    return status; /* of neither: the message names the plain one */
}

/* The first bytes of what is open, unpacked: *size of them; *packed: they are gzip's in the file. */
static samc_status read_head(const state *s, uint8_t head[HEAD], size_t *size, bool *packed, samc_error *error) {
    uint8_t raw[HEAD];
    ssize_t got;
    do got = pread(s->handle, raw, HEAD, 0);
    while (got < 0 && errno == EINTR);
    if (got < 0) return samc__fail(error, SAMC_IO, "%s: cannot read: %s", s->name, strerror(errno));
    *size = (size_t)got;
    *packed = got > 2 && raw[0] == 0x1f && raw[1] == 0x8b;
    if (*packed) *size = samc__gunzip_head(raw, (size_t)got, head, HEAD);
    else memcpy(head, raw, (size_t)got);
    return SAMC_OK;
}

/* Reads the header, of the file itself or of the one beside it, and leaves the file with the voxels open. */
static samc_status open_files(state *s, const char *path, struct stat *information, bool *packed, samc_error *error) {
    uint8_t head[HEAD];
    size_t size;
    int code;
    s->name = strdup(path);
    if (s->name == NULL) return samc__fail(error, SAMC_OUT_OF_MEMORY, "%s: out of memory", path);
    SAMC__TRY(samc__file_open(path, &s->handle, information, &code, error));
    SAMC__TRY(read_head(s, head, &size, packed, error));
    const bool image = !samc__nifti_is(head, size);
    if (image && recognise(path, false, NULL, 0)) {
        close(s->handle);
        s->handle = -1;
        SAMC__TRY(open_other(s, path, true, information, error));
        SAMC__TRY(read_head(s, head, &size, packed, error));
    }
    SAMC__TRY(samc__nifti_parse(head, size, s->name, &s->header, error));
    if (s->header.single && image) return samc__fail(error, SAMC_FORMAT, "%s: the header of no pair", s->name);
    if (s->header.single) return SAMC_OK;
    close(s->handle);
    s->handle = -1;
    SAMC__TRY(open_other(s, path, false, information, error));
    return read_head(s, head, &size, packed, error);
}

static samc_status open_state(state *s, const char *path, int time, samc_error *error) {
    const samc__nifti *n = &s->header;
    struct stat information;
    bool packed;
    SAMC__TRY(open_files(s, path, &information, &packed, error));
    if (time < 0 || time >= n->times)
        return samc__fail(error, SAMC_INVALID_ARGUMENT, "%s: there is no volume %d: it has %d, counted from 0", s->name,
                          time, n->times);
    const int64_t voxels = (int64_t)n->extent[0] * n->extent[1] * n->extent[2], each = voxels * n->bytes;
    const int64_t size = n->offset + each * n->times;
    s->begin = n->offset + each * time;
    s->piece = malloc(PIECE);
    if (s->piece == NULL) return samc__fail(error, SAMC_OUT_OF_MEMORY, "%s: out of memory", s->name);
    if (packed) return samc__gunzip_open(s->handle, s->name, information.st_size, size, &s->gunzip, error);
    if (information.st_size >= size) return SAMC_OK;
    return samc__fail(error, SAMC_FORMAT, "%s: cut off: it has %lld bytes, and its header promises %lld", s->name,
                      (long long)information.st_size, (long long)size);
}

static samc_status nifti_open(const char *path, int time, samc__volume_info *info, void **opened, samc_error *error) {
    state *s = calloc(1, sizeof *s);
    if (s == NULL) return samc__fail(error, SAMC_OUT_OF_MEMORY, "%s: out of memory", path);
    *opened = s;
    s->handle = -1;
    SAMC__TRY(open_state(s, path, time, error));
    const samc__nifti *n = &s->header;
    memcpy(info->extent, n->extent, sizeof info->extent);
    memcpy(info->affine, n->affine, sizeof info->affine);
    info->times = n->times;
    info->channels = n->type == SAMC__NIFTI_RGB24 || n->type == SAMC__NIFTI_RGBA32 ? 3 : 1;
    info->format = n->version == 2 ? "NIfTI-2" : "NIfTI-1";
    return SAMC_OK;
}

/* ---- Voxels ---------------------------------------------------------------------------------- */

static void swap_bytes(uint8_t *at, size_t count, int bytes) {
    for (size_t i = 0; i < count; i++, at += bytes)
        for (int a = 0, b = bytes - 1; a < b; a++, b--) {
            uint8_t kept = at[a];
            at[a] = at[b];
            at[b] = kept;
        }
}

#define CONVERT(type)                                                                                                  \
    for (size_t i = 0; i < count; i++) {                                                                               \
        type stored;                                                                                                   \
        memcpy(&stored, bytes + i * sizeof stored, sizeof stored);                                                     \
        values[i] = (float)((double)stored * n->slope + n->inter);                                                     \
    }                                                                                                                  \
    break

/* `count` voxels to values; colours are bytes. */
static void convert(const samc__nifti *n, const uint8_t *bytes, size_t count, float *values) {
    switch (n->type) {
    case SAMC__NIFTI_U8:
        CONVERT(uint8_t);
    case SAMC__NIFTI_I8:
        CONVERT(int8_t);
    case SAMC__NIFTI_U16:
        CONVERT(uint16_t);
    case SAMC__NIFTI_I16:
        CONVERT(int16_t);
    case SAMC__NIFTI_U32:
        CONVERT(uint32_t);
    case SAMC__NIFTI_I32:
        CONVERT(int32_t);
    case SAMC__NIFTI_U64:
        CONVERT(uint64_t);
    case SAMC__NIFTI_I64:
        CONVERT(int64_t);
    case SAMC__NIFTI_F32:
        CONVERT(float);
    case SAMC__NIFTI_F64:
        CONVERT(double);
    default:
        for (size_t i = 0; i < count * 3; i++) values[i] = (float)bytes[i / 3 * (size_t)n->bytes + i % 3];
    }
}

static samc_status nifti_rows(void *opened, int k, int first, int rows, float *values, samc_error *error) {
    state *s = opened;
    const samc__nifti *n = &s->header;
    const bool colours = n->type == SAMC__NIFTI_RGB24 || n->type == SAMC__NIFTI_RGBA32;
    const size_t channels = colours ? 3 : 1, most = (size_t)(PIECE / n->bytes);
    size_t left = (size_t)rows * (size_t)n->extent[0];
    int64_t at = s->begin + ((int64_t)k * n->extent[1] + first) * n->extent[0] * n->bytes;
    while (left > 0) {
        const size_t count = left < most ? left : most, bytes = count * (size_t)n->bytes;
        if (s->gunzip != NULL) SAMC__TRY(samc__gunzip_read(s->gunzip, at, s->piece, bytes, error));
        else SAMC__TRY(read_at(s->handle, s->name, at, s->piece, bytes, error));
        if (n->swap && !colours) swap_bytes(s->piece, count, n->bytes);
        convert(n, s->piece, count, values);
        values += count * channels;
        at += (int64_t)bytes;
        left -= count;
    }
    return SAMC_OK;
}

static void nifti_close(void *opened) {
    state *s = opened;
    samc__gunzip_close(s->gunzip);
    if (s->handle >= 0) close(s->handle);
    free(s->piece);
    free(s->name);
    free(s);
}

const samc__volume_source samc__volume_nifti = {
    .name = "NIfTI", .recognise = recognise, .open = nifti_open, .rows = nifti_rows, .close = nifti_close};
