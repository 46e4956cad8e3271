/* The label writers: which one a name means, and NIfTI. */
#include "host/io/labels.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <zlib.h>

#include "host/io/dicom_seg.h"
#include "host/io/nifti.h"
#include "runtime/base/status.h"

/* ---- The header ------------------------------------------------------------------------------ */

/* The quaternion of the rotation in an affine, whose third column is turned where it mirrors; false where the axes are
 * not at right angles, which no quaternion says (a tilted gantry). */
static bool find_quaternion(const samc__volume_info *info, samc__nifti *n) {
    double r[3][3];
    for (int i = 0; i < 3; i++)
        for (int k = 0; k < 3; k++) r[i][k] = info->affine[i][k] / info->spacing[k];
    for (int a = 0; a < 3; a++)
        for (int b = 0; b < a; b++)
            if (fabs(r[0][a] * r[0][b] + r[1][a] * r[1][b] + r[2][a] * r[2][b]) > 1e-4) return false;
    const double determinant = r[0][0] * (r[1][1] * r[2][2] - r[1][2] * r[2][1]) -
                               r[0][1] * (r[1][0] * r[2][2] - r[1][2] * r[2][0]) +
                               r[0][2] * (r[1][0] * r[2][1] - r[1][1] * r[2][0]);
    n->pixdim[0] = determinant < 0 ? -1 : 1;
    for (int i = 0; i < 3; i++) r[i][2] *= n->pixdim[0];
    /* The largest of the four parts first, so that none is divided by something small; then the first one positive. */
    const double w = 1 + r[0][0] + r[1][1] + r[2][2], x = 1 + r[0][0] - r[1][1] - r[2][2],
                 y = 1 - r[0][0] + r[1][1] - r[2][2], z = 1 - r[0][0] - r[1][1] + r[2][2];
    const double p = r[2][1] - r[1][2], q = r[0][2] - r[2][0], s = r[1][0] - r[0][1];
    double four[4];
    if (w >= x && w >= y && w >= z) memcpy(four, (double[4]){w, p, q, s}, sizeof four);
    else if (x >= y && x >= z) memcpy(four, (double[4]){p, x, r[0][1] + r[1][0], r[0][2] + r[2][0]}, sizeof four);
    else if (y >= z) memcpy(four, (double[4]){q, r[0][1] + r[1][0], y, r[1][2] + r[2][1]}, sizeof four);
    else memcpy(four, (double[4]){s, r[0][2] + r[2][0], r[1][2] + r[2][1], z}, sizeof four);
    double length = sqrt(four[0] * four[0] + four[1] * four[1] + four[2] * four[2] + four[3] * four[3]);
    if (four[0] < 0) length = -length;
    for (int i = 0; i < 3; i++) n->quatern[i] = four[i + 1] / length;
    return true;
}

/* The space of a volume that is no NIfTI, in millimetres of the scanner. */
static samc__nifti describe(const samc__volume_info *info) {
    enum { SCANNER = 1, MILLIMETRES = 2 };
    samc__nifti n = {.version = 1, .rank = 3, .sform = SCANNER, .units = MILLIMETRES};
    n.pixdim[0] = 1;
    for (int i = 0; i < 3; i++) {
        n.extent[i] = info->extent[i];
        n.pixdim[i + 1] = info->spacing[i];
        n.qoffset[i] = info->affine[i][3];
        memcpy(n.srow[i], info->affine[i], sizeof n.srow[i]);
    }
    if (find_quaternion(info, &n)) n.qform = SCANNER;
    return n;
}

/* ---- The file -------------------------------------------------------------------------------- */

/* Bytes on their way into a file. */
typedef struct sink {
    samc__writer writer;
    const char *path;
    bool packed;
    z_stream zlib;
    uint8_t out[1 << 16];
} sink;

static samc_status sink_append(sink *to, const void *bytes, size_t size, bool last, samc_error *error) {
    if (!to->packed) return samc__writer_append(&to->writer, bytes, size, error);
    to->zlib.next_in = (uint8_t *)bytes;
    to->zlib.avail_in = (uInt)size; /* of a slice: below 2^32 by the limit on its pixels */
    int code;
    do {
        to->zlib.next_out = to->out;
        to->zlib.avail_out = sizeof to->out;
        code = deflate(&to->zlib, last ? Z_FINISH : Z_NO_FLUSH);
        SAMC__TRY(samc__writer_append(&to->writer, to->out, sizeof to->out - to->zlib.avail_out, error));
    } while (to->zlib.avail_out == 0);
    if (code == Z_STREAM_ERROR) return samc__fail(error, SAMC_INTERNAL, "%s: zlib does not go on", to->path);
    return SAMC_OK;
}

/* One slice across k: asked for, checked, as u8 or u16 little-endian. */
static samc_status append_slice(sink *to, const samc__labels *labels, int k, size_t size, uint16_t *values,
                                samc_error *error) {
    SAMC__TRY(labels->slice(labels->context, k, values, error));
    uint8_t *bytes = (uint8_t *)values; /* in place: what is written is never before what is still to be read */
    const bool wide = labels->count > UINT8_MAX;
    for (size_t i = 0; i < size; i++) {
        const unsigned value = values[i];
        if (value > (unsigned)labels->count)
            return samc__fail(error, SAMC_INTERNAL, "%s: label %u of %d", to->path, value, labels->count);
        bytes[wide ? i * 2 : i] = (uint8_t)value;
        if (wide) bytes[i * 2 + 1] = (uint8_t)(value >> 8);
    }
    return sink_append(to, bytes, wide ? size * 2 : size, false, error);
}

static samc_status write_all(sink *to, const samc__nifti *space, const samc__labels *labels, samc_error *error) {
    const size_t size = (size_t)space->extent[0] * (size_t)space->extent[1];
    uint8_t head[SAMC__NIFTI_2 + 4];
    const int type = labels->count > UINT8_MAX ? SAMC__NIFTI_U16 : SAMC__NIFTI_U8;
    const size_t header = samc__nifti_label_header(space, type, labels->count, head);
    uint16_t *values = malloc(size * sizeof *values);
    if (values == NULL) return samc__fail(error, SAMC_OUT_OF_MEMORY, "%s: out of memory", to->path);
    samc_status status = sink_append(to, head, header, false, error);
    for (int k = 0; k < space->extent[2] && status == SAMC_OK; k++)
        status = append_slice(to, labels, k, size, values, error);
    free(values);
    return status != SAMC_OK ? status : sink_append(to, NULL, 0, true, error);
}

static samc_status write_nifti(const char *path, bool packed, const samc__nifti *space, const samc__labels *labels,
                               samc_error *error) {
    sink *to = calloc(1, sizeof *to);
    if (to == NULL) return samc__fail(error, SAMC_OUT_OF_MEMORY, "%s: out of memory", path);
    to->path = path;
    to->packed = packed;
    enum { GZIP = 16 + MAX_WBITS }; /* without a name or a time: the same labels are the same bytes */
    const bool failed =
        packed && deflateInit2(&to->zlib, Z_DEFAULT_COMPRESSION, Z_DEFLATED, GZIP, 8, Z_DEFAULT_STRATEGY) != Z_OK;
    samc_status status = failed ? samc__fail(error, SAMC_OUT_OF_MEMORY, "%s: out of memory", path)
                                : samc__writer_open(&to->writer, path, error);
    if (status == SAMC_OK) {
        status = write_all(to, space, labels, error);
        if (status == SAMC_OK) status = samc__writer_commit(&to->writer, error);
        else samc__writer_abandon(&to->writer);
    }
    if (packed && !failed) deflateEnd(&to->zlib);
    free(to);
    return status;
}

/* ---- Which one ------------------------------------------------------------------------------- */

static bool ends(const char *path, const char *with) {
    size_t length = strlen(path), end = strlen(with);
    return length > end && strcasecmp(path + length - end, with) == 0;
}

#ifdef SAMC_WITH_DICOM
static bool is_dicom(const samc__volume *volume, void **state) {
    return samc__volume_get_source(volume, state) == &samc__volume_dicom;
}

static samc_status write_segmentation(void *state, const char *path, const samc__labels *labels, samc_error *error) {
    return samc__dicom_segmentation(state, path, labels, error);
}
#else
static bool is_dicom(const samc__volume *volume, void **state) { return (void)volume, (void)state, false; }

static samc_status write_segmentation(void *state, const char *path, const samc__labels *labels, samc_error *error) {
    (void)state, (void)labels;
    return samc__fail(error, SAMC_INTERNAL, "%s: no volume is DICOM here", path);
}
#endif

samc_status samc__labels_check(const char *path, const samc__volume *volume, samc_error *error) {
    void *state;
    if (ends(path, ".nii") || ends(path, ".nii.gz")) return SAMC_OK;
    if (!ends(path, ".dcm"))
        return samc__fail(error, SAMC_INVALID_ARGUMENT,
                          "%s: labels are written as .nii, .nii.gz or .dcm, masks as .json or into a folder, NAME/",
                          path);
    if (is_dicom(volume, &state)) return write_segmentation(state, path, NULL, error);
    return samc__fail(error, SAMC_UNSUPPORTED, "%s: a DICOM segmentation is of DICOM images, and this volume is %s",
                      path, samc__volume_get_info(volume)->format);
}

samc_status samc__labels_write(const char *path, samc__volume *volume, const samc__labels *labels, samc_error *error) {
    void *state;
    const samc__volume_source *source = samc__volume_get_source(volume, &state);
    if (labels->count < 0 || labels->count > SAMC__LABELS_MOST)
        return samc__fail(error, SAMC_UNSUPPORTED, "%s: %d labels, at most %d", path, labels->count, SAMC__LABELS_MOST);
    if (ends(path, ".dcm") && is_dicom(volume, &state)) return write_segmentation(state, path, labels, error);
    SAMC__TRY(samc__labels_check(path, volume, error));
    const samc__nifti space =
        source == &samc__volume_nifti ? *samc__nifti_of(state) : describe(samc__volume_get_info(volume));
    return write_nifti(path, ends(path, ".gz"), &space, labels, error);
}
