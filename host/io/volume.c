/* The table of sources, and slices across any axis out of rows of slices across k. */
#include "host/io/volume.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <openssl/evp.h>

#include "host/io/gunzip.h"
#include "host/io/samc_io.h"
#include "runtime/base/status.h"

/* The order in which they are tried. */
static const samc__volume_source *const sources[] = {
    &samc__volume_nifti,
#ifdef SAMC_WITH_DICOM
    &samc__volume_dicom,
#endif
};

enum {
    HEAD = 1024,     /* bytes that tell the source */
    BAND = 32 << 20, /* bytes of neighbouring slices across i or j that are kept; of one slice, if it has more */
    ROWS = 4 << 20   /* bytes of rows that are read for them at a time */
};

struct samc__volume {
    samc__volume_info info;
    const samc__volume_source *source;
    void *state;
    char *path; /* owned */
    int time;
    int axis, first, wide; /* of the slices in the band, which begin at a multiple of `wide`; axis -1: it is empty */
    float *band;           /* [wide, height, width, channels], owned */
    float *rows;           /* of ROWS bytes, owned */
};

/* ---- Opening --------------------------------------------------------------------------------- */

static const samc__volume_source *find_source(const char *path) {
    uint8_t raw[HEAD], head[HEAD];
    struct stat information;
    size_t size = 0;
    if (stat(path, &information) != 0) return NULL;
    const bool folder = S_ISDIR(information.st_mode);
    if (S_ISREG(information.st_mode)) {
        int handle = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
        ssize_t got = handle < 0 ? -1 : pread(handle, raw, HEAD, 0);
        if (handle >= 0) close(handle);
        if (got < 0) return NULL;
        const bool packed = got > 2 && raw[0] == 0x1f && raw[1] == 0x8b;
        size = packed ? samc__gunzip_head(raw, (size_t)got, head, HEAD) : (size_t)got;
        if (!packed) memcpy(head, raw, size);
    } else if (!folder) return NULL;
    for (size_t i = 0; i < sizeof sources / sizeof *sources; i++)
        if (sources[i]->recognise(path, folder, head, size)) return sources[i];
    return NULL;
}

bool samc__volume_is(const char *path) { return find_source(path) != NULL; }

/* Spacing from the affine, which has to be one that leads back, too. */
static samc_status check_space(samc__volume *v, samc_error *error) {
    samc__volume_info *info = &v->info;
    const double(*a)[4] = (const double(*)[4])info->affine;
    double volume = 1;
    for (int k = 0; k < 3; k++) {
        info->spacing[k] = sqrt(a[0][k] * a[0][k] + a[1][k] * a[1][k] + a[2][k] * a[2][k]);
        if (!isfinite(info->spacing[k]) || !isfinite(a[k][3]) || info->spacing[k] < 1e-9 || info->spacing[k] > 1e9)
            return samc__fail(error, SAMC_FORMAT, "%s: its voxels have no place: spacing %g along %c, origin %g",
                              v->path, info->spacing[k], "ijk"[k], a[k][3]);
        volume *= info->spacing[k];
    }
    const double determinant = a[0][0] * (a[1][1] * a[2][2] - a[1][2] * a[2][1]) -
                               a[0][1] * (a[1][0] * a[2][2] - a[1][2] * a[2][0]) +
                               a[0][2] * (a[1][0] * a[2][1] - a[1][1] * a[2][0]);
    if (fabs(determinant) >= 1e-6 * volume) return SAMC_OK;
    return samc__fail(error, SAMC_FORMAT, "%s: its axes lie in one plane", v->path);
}

static samc_status open_volume(samc__volume *v, samc_error *error) {
    SAMC__TRY(v->source->open(v->path, v->time, &v->info, &v->state, error));
    return check_space(v, error);
}

samc_status samc__volume_open(const char *path, int time, samc__volume **volume, samc_error *error) {
    struct stat information;
    *volume = NULL;
    if (stat(path, &information) != 0) return samc__fail(error, SAMC_IO, "%s: cannot open: %s", path, strerror(errno));
    const samc__volume_source *source = find_source(path);
    if (source == NULL) return samc__fail(error, SAMC_UNSUPPORTED, "%s: no volume that samc reads", path);
    samc__volume *v = calloc(1, sizeof *v);
    if (v != NULL) v->path = strdup(path);
    if (v == NULL || v->path == NULL) {
        free(v);
        return samc__fail(error, SAMC_OUT_OF_MEMORY, "%s: out of memory", path);
    }
    v->source = source;
    v->time = time;
    v->axis = -1;
    samc_status status = open_volume(v, error);
    if (status != SAMC_OK) samc__volume_close(v);
    else *volume = v;
    return status;
}

const samc__volume_info *samc__volume_get_info(const samc__volume *v) { return &v->info; }

const samc__volume_source *samc__volume_get_source(const samc__volume *v, void **state) {
    *state = v->state;
    return v->source;
}

void samc__volume_close(samc__volume *v) {
    if (v == NULL) return;
    if (v->state != NULL) v->source->close(v->state);
    free(v->rows);
    free(v->band);
    free(v->path);
    free(v);
}

/* ---- Slices ---------------------------------------------------------------------------------- */

/* Values of a slice. */
static size_t slice_size(const samc__volume_info *info, int axis) {
    return (size_t)info->extent[axis == 0] * (size_t)info->extent[axis == 2 ? 1 : 2] * (size_t)info->channels;
}

/* Rows j `first` to first + rows - 1 of slice k go into the `count` slices of the band. */
static void deal(samc__volume *v, int k, int first, int rows, int count) {
    const samc__volume_info *info = &v->info;
    const size_t channels = (size_t)info->channels, row = (size_t)info->extent[0] * channels;
    const size_t slice = slice_size(info, v->axis), line = v->axis == 1 ? row : (size_t)info->extent[1] * channels;
    for (int i = 0; i < rows; i++) {
        const float *from = v->rows + (size_t)i * row;
        if (v->axis == 1) {
            memcpy(v->band + (size_t)(first + i - v->first) * slice + (size_t)k * line, from, row * sizeof *from);
            continue;
        }
        from += (size_t)v->first * channels;
        for (int n = 0; n < count; n++, from += channels)
            memcpy(v->band + (size_t)n * slice + (size_t)k * line + (size_t)(first + i) * channels, from,
                   channels * sizeof *from);
    }
}

/* Fills the band with the slices around `index`. */
static samc_status fill_band(samc__volume *v, int axis, int index, samc_error *error) {
    const samc__volume_info *info = &v->info;
    const size_t bytes = slice_size(info, axis) * sizeof(float), row = (size_t)info->extent[0] * (size_t)info->channels;
    const int wide = bytes < BAND ? (int)(BAND / bytes) : 1, step = (int)(ROWS / (row * sizeof(float)));
    if (axis != v->axis) {
        v->axis = -1;
        free(v->band);
        v->band = malloc(bytes * (size_t)(wide < info->extent[axis] ? wide : info->extent[axis]));
    }
    if (v->rows == NULL) v->rows = malloc(ROWS);
    if (v->band == NULL || v->rows == NULL) return samc__fail(error, SAMC_OUT_OF_MEMORY, "%s: out of memory", v->path);
    v->axis = axis;
    v->wide = wide;
    v->first = index / wide * wide;
    const int count = info->extent[axis] - v->first < wide ? info->extent[axis] - v->first : wide;
    const int begin = axis == 1 ? v->first : 0, end = axis == 1 ? v->first + count : info->extent[1];
    for (int k = 0; k < info->extent[2]; k++)
        for (int j = begin; j < end; j += step) {
            const int rows = end - j < step ? end - j : step;
            SAMC__TRY(v->source->rows(v->state, k, j, rows, v->rows, error));
            deal(v, k, j, rows, count);
        }
    return SAMC_OK;
}

samc_status samc__volume_slice(samc__volume *v, int axis, int index, float *values, samc_error *error) {
    if (axis < 0 || axis > 2 || index < 0 || index >= v->info.extent[axis])
        return samc__fail(error, SAMC_INVALID_ARGUMENT, "%s: there is no slice %d across axis %d", v->path, index,
                          axis);
    if (axis == 2) return v->source->rows(v->state, index, 0, v->info.extent[1], values, error);
    if (axis != v->axis || index < v->first || index >= v->first + v->wide) {
        samc_status status = fill_band(v, axis, index, error);
        if (status != SAMC_OK) {
            v->axis = -1;
            return status;
        }
    }
    const size_t size = slice_size(&v->info, axis);
    memcpy(values, v->band + (size_t)(index - v->first) * size, size * sizeof *values);
    return SAMC_OK;
}

/* ---- Identity -------------------------------------------------------------------------------- */

/* Adds space and values to the hash. */
static samc_status add_all(samc__volume *v, EVP_MD_CTX *hash, float *values, bool *good, samc_error *error) {
    const samc__volume_info *info = &v->info;
    const size_t bytes = slice_size(info, 2) * sizeof *values;
    *good = EVP_DigestUpdate(hash, info->extent, sizeof info->extent) == 1 &&
            EVP_DigestUpdate(hash, &info->channels, sizeof info->channels) == 1 &&
            EVP_DigestUpdate(hash, &v->time, sizeof v->time) == 1 &&
            EVP_DigestUpdate(hash, info->affine, sizeof info->affine) == 1;
    for (int k = 0; k < info->extent[2] && *good; k++) {
        SAMC__TRY(samc__volume_slice(v, 2, k, values, error));
        *good = EVP_DigestUpdate(hash, values, bytes) == 1;
    }
    return SAMC_OK;
}

samc_status samc__volume_identity(samc__volume *v, char identity[65], samc_error *error) {
    unsigned char digest[EVP_MAX_MD_SIZE];
    EVP_MD_CTX *hash = EVP_MD_CTX_new();
    float *values = malloc(slice_size(&v->info, 2) * sizeof *values);
    bool good = hash != NULL && values != NULL && EVP_DigestInit_ex(hash, EVP_sha256(), NULL) == 1;
    samc_status status = good ? add_all(v, hash, values, &good, error) : SAMC_OK;
    good = good && status == SAMC_OK && EVP_DigestFinal_ex(hash, digest, NULL) == 1;
    EVP_MD_CTX_free(hash);
    free(values);
    if (status == SAMC_OK && !good) return samc__fail(error, SAMC_OUT_OF_MEMORY, "%s: out of memory", v->path);
    for (int i = 0; i < 32 && good; i++) {
        identity[i * 2] = "0123456789abcdef"[digest[i] >> 4];
        identity[i * 2 + 1] = "0123456789abcdef"[digest[i] & 15];
    }
    identity[64] = '\0';
    return status;
}
