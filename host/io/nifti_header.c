/* NIfTI headers: offsets and rules of nifti1.h and nifti2.h, defaults and repairs of nibabel. */
#include "host/io/nifti.h"

#include <math.h>
#include <string.h>

#include "host/io/samc_io.h"
#include "runtime/base/status.h"

/* Where the fields are. Numbers of NIfTI-2 are twice as wide, but the codes' and the units'. */
typedef struct layout {
    int magic, dim, type, pixdim, offset, slope, inter, cal_max, qform, sform, quatern, qoffset, srow, units, intent,
        intent_name;
} layout;

static const layout one = {344, 40, 70, 76, 108, 112, 116, 124, 252, 254, 256, 268, 280, 123, 68, 328},
                    two = {4, 16, 12, 104, 168, 176, 184, 192, 344, 348, 352, 376, 400, 500, 504, 508};
enum { INTENT_LABEL = 1002 };

static const struct {
    int code, bytes;
    const char *name;
} types[] = {{SAMC__NIFTI_U8, 1, "u8"},
             {SAMC__NIFTI_I16, 2, "i16"},
             {SAMC__NIFTI_I32, 4, "i32"},
             {SAMC__NIFTI_F32, 4, "f32"},
             {SAMC__NIFTI_F64, 8, "f64"},
             {SAMC__NIFTI_RGB24, 3, "rgb24"},
             {SAMC__NIFTI_I8, 1, "i8"},
             {SAMC__NIFTI_U16, 2, "u16"},
             {SAMC__NIFTI_U32, 4, "u32"},
             {SAMC__NIFTI_I64, 8, "i64"},
             {SAMC__NIFTI_U64, 8, "u64"},
             {SAMC__NIFTI_RGBA32, 4, "rgba32"},
             {1, 0, "binary"},
             {32, 0, "complex64"},
             {1536, 0, "float128"},
             {1792, 0, "complex128"},
             {2048, 0, "complex256"}};

/* ---- Reading --------------------------------------------------------------------------------- */

/* `bytes` bytes as a number of the machine's order. */
static uint64_t number(const uint8_t *at, int bytes, bool swap) {
    uint64_t value = 0;
    for (int i = 0; i < bytes; i++) { /* least first */
        const bool forwards = swap == (__BYTE_ORDER__ == __ORDER_BIG_ENDIAN__);
        value |= (uint64_t)at[forwards ? i : bytes - 1 - i] << (8 * i);
    }
    return value;
}

/* A header being read: version, byte order, bytes. */
typedef struct reader {
    const uint8_t *head;
    const layout *at;
    bool two, swap;
} reader;

static int64_t integer(const reader *r, int at, int index) { /* int16 of NIfTI-1, int64 of NIfTI-2 */
    if (r->two) return (int64_t)number(r->head + at + index * 8, 8, r->swap);
    return (int16_t)number(r->head + at + index * 2, 2, r->swap);
}

static double real(const reader *r, int at, int index) { /* float of NIfTI-1, double of NIfTI-2 */
    if (r->two) {
        uint64_t bits = number(r->head + at + index * 8, 8, r->swap);
        double value;
        memcpy(&value, &bits, sizeof value);
        return value;
    }
    uint32_t bits = (uint32_t)number(r->head + at + index * 4, 4, r->swap);
    float value;
    memcpy(&value, &bits, sizeof value);
    return (double)value;
}

static int code(const reader *r, int at) { /* int16 of NIfTI-1, int32 of NIfTI-2 */
    if (r->two) return (int32_t)number(r->head + at, 4, r->swap);
    return (int16_t)number(r->head + at, 2, r->swap);
}

/* The size that a header begins with: 348, 540 or neither, in the order that gives one of them. */
static int header_size(const uint8_t *head, size_t size, bool *swap) {
    for (int other = 0; size >= 4 && other < 2; other++) {
        uint32_t found = (uint32_t)number(head, 4, other);
        *swap = other;
        if (found == SAMC__NIFTI_1 || found == SAMC__NIFTI_2) return (int)found;
    }
    return 0;
}

bool samc__nifti_is(const uint8_t *head, size_t size) {
    bool swap;
    int found = header_size(head, size, &swap);
    return found != 0 && size >= (size_t)found; /* Analyze 7.5 too, which is refused by its name */
}

static samc_status parse_extent(const reader *r, const char *name, samc__nifti *n, samc_error *error) {
    int64_t rank = integer(r, r->at->dim, 0), bytes = n->bytes, times = 1;
    if (rank < 1 || rank > 7)
        return samc__fail(error, SAMC_FORMAT, "%s: %lld dimensions, not 1 to 7", name, (long long)rank);
    n->rank = (int)rank;
    for (int i = 0; i < 7; i++) {
        int64_t side = i < rank ? integer(r, r->at->dim, i + 1) : 1;
        if (side < 1) return samc__fail(error, SAMC_FORMAT, "%s: dimension %d is %lld", name, i + 1, (long long)side);
        if (i < 3 && side > SAMC__VOLUME_MOST_SIDE)
            return samc__fail(error, SAMC_UNSUPPORTED, "%s: %lld voxels along %c, at most %d", name, (long long)side,
                              "ijk"[i], SAMC__VOLUME_MOST_SIDE);
        if (side > SAMC__VOLUME_MOST_BYTES / bytes)
            return samc__fail(error, SAMC_UNSUPPORTED, "%s: more than %lld bytes of voxels", name,
                              (long long)SAMC__VOLUME_MOST_BYTES);
        bytes *= side;
        if (i < 3) n->extent[i] = (int)side;
        else times *= side;
    }
    if (times > INT32_MAX) return samc__fail(error, SAMC_UNSUPPORTED, "%s: %lld volumes", name, (long long)times);
    n->times = (int)times;
    for (int axis = 0; axis < 3; axis++) {
        const int64_t a = n->extent[axis == 0], b = n->extent[axis == 2 ? 1 : 2];
        if (a * b > SAMC_IMAGE_MOST_PIXELS)
            return samc__fail(error, SAMC_UNSUPPORTED, "%s: slices across %c of %lld x %lld voxels are too large", name,
                              "ijk"[axis], (long long)a, (long long)b);
    }
    return SAMC_OK;
}

static samc_status parse_type(const reader *r, const char *name, samc__nifti *n, samc_error *error) {
    n->type = (int16_t)number(r->head + r->at->type, 2, r->swap); /* of 16 bits in both versions */
    const char *called = "unknown";
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        if (types[i].code != n->type) continue;
        n->bytes = types[i].bytes;
        called = types[i].name;
    }
    if (n->bytes > 0) return SAMC_OK;
    return samc__fail(error, SAMC_UNSUPPORTED, "%s: voxels of type %d (%s) are not read", name, n->type, called);
}

/* Where the voxels are, and what their numbers mean. */
static samc_status parse_values(const reader *r, const char *name, samc__nifti *n, samc_error *error) {
    const int least = r->two ? SAMC__NIFTI_2 + 4 : SAMC__NIFTI_1 + 4; /* the four bytes of the extension's flag */
    double offset = r->two ? (double)integer(r, r->at->offset, 0) : real(r, r->at->offset, 0);
    if (!(offset >= (n->single ? least : 0)) || offset > (double)SAMC__VOLUME_MOST_BYTES || offset != floor(offset))
        return samc__fail(error, SAMC_FORMAT, "%s: the voxels' offset is %g", name, offset);
    n->offset = (int64_t)offset;
    n->slope = real(r, r->at->slope, 0);
    n->inter = real(r, r->at->inter, 0);
    const bool rgb = n->type == SAMC__NIFTI_RGB24 || n->type == SAMC__NIFTI_RGBA32;
    if (n->slope == 0 || !isfinite(n->slope) || rgb) n->slope = 1, n->inter = 0;
    if (isfinite(n->inter)) return SAMC_OK;
    return samc__fail(error, SAMC_FORMAT, "%s: scl_slope is %g, but scl_inter %g", name, n->slope, n->inter);
}

/* ---- Space ----------------------------------------------------------------------------------- */

/* The rotation of a unit quaternion whose first part is the positive one that b, c, d leave. */
static samc_status rotation(const samc__nifti *n, const char *name, double turned[3][3], samc_error *error) {
    const double b = n->quatern[0], c = n->quatern[1], d = n->quatern[2], left = 1 - (b * b + c * c + d * d);
    /* Rounded to floats, three numbers whose squares make 1 may make a little more. */
    const double slack = n->version == 2 ? 3 * 0x1p-52 : 3 * 0x1p-23;
    if (!(left >= -slack)) return samc__fail(error, SAMC_FORMAT, "%s: the qform's quaternion is no rotation", name);
    const double a = left > 0 ? sqrt(left) : 0;
    const double w = a * a + b * b + c * c + d * d, s = 2 / w;
    const double rows[3][3] = {{1 - s * (c * c + d * d), s * (b * c - d * a), s * (b * d + c * a)},
                               {s * (b * c + d * a), 1 - s * (b * b + d * d), s * (c * d - b * a)},
                               {s * (b * d - c * a), s * (c * d + b * a), 1 - s * (b * b + c * c)}};
    memcpy(turned, rows, sizeof rows);
    return SAMC_OK;
}

static samc_status find_affine(const char *name, samc__nifti *n, samc_error *error) {
    if (n->sform != 0) {
        memcpy(n->affine, n->srow, sizeof n->affine);
        return SAMC_OK;
    }
    double turned[3][3] = {{-1, 0, 0}, {0, 1, 0}, {0, 0, 1}}; /* without any form x is mirrored, as Analyze had it */
    if (n->qform != 0) SAMC__TRY(rotation(n, name, turned, error));
    for (int i = 0; i < 3; i++) {
        const double sign = n->qform != 0 ? n->pixdim[0] : 1;
        n->affine[i][3] = n->qform != 0 ? n->qoffset[i] : -turned[i][i] * n->pixdim[i + 1] * (n->extent[i] - 1) / 2;
        for (int k = 0; k < 3; k++) n->affine[i][k] = turned[i][k] * n->pixdim[k + 1] * (k == 2 ? sign : 1);
    }
    return SAMC_OK;
}

static samc_status parse_space(const reader *r, const char *name, samc__nifti *n, samc_error *error) {
    n->qform = code(r, r->at->qform);
    n->sform = code(r, r->at->sform);
    n->units = (r->two ? code(r, r->at->units) : r->head[r->at->units]) & 7;
    n->pixdim[0] = real(r, r->at->pixdim, 0) == -1 ? -1 : 1;
    for (int i = 0; i < 3; i++) {
        double spacing = i < n->rank ? real(r, r->at->pixdim, i + 1) : 1;
        if (!isfinite(spacing) && n->sform == 0)
            return samc__fail(error, SAMC_FORMAT, "%s: the spacing along %c is %g", name, "ijk"[i], spacing);
        n->pixdim[i + 1] = spacing == 0 || !isfinite(spacing) ? 1 : fabs(spacing);
        n->quatern[i] = real(r, r->at->quatern, i);
        n->qoffset[i] = real(r, r->at->qoffset, i);
        for (int k = 0; k < 4; k++) n->srow[i][k] = real(r, r->at->srow, i * 4 + k);
    }
    return find_affine(name, n, error);
}

samc_status samc__nifti_parse(const uint8_t *head, size_t size, const char *name, samc__nifti *n, samc_error *error) {
    *n = (samc__nifti){0};
    const int found = header_size(head, size, &n->swap);
    if (found == 0) return samc__fail(error, SAMC_FORMAT, "%s: not a NIfTI file", name);
    if (size < (size_t)found) return samc__fail(error, SAMC_FORMAT, "%s: cut off within its header", name);
    const reader r = {head, found == SAMC__NIFTI_2 ? &two : &one, found == SAMC__NIFTI_2, n->swap};
    const uint8_t *magic = head + r.at->magic;
    n->version = r.two ? 2 : 1;
    n->single = magic[1] == '+';
    if (magic[0] != 'n' || (magic[1] != '+' && magic[1] != 'i') || magic[2] != '0' + n->version || magic[3] != 0) {
        const bool analyze = !r.two && memcmp(magic, "\0\0\0", 4) == 0;
        return samc__fail(error, analyze ? SAMC_UNSUPPORTED : SAMC_FORMAT, "%s: %s", name,
                          analyze ? "Analyze 7.5, which does not say where its voxels are; not NIfTI"
                                  : "the header has not NIfTI's magic");
    }
    if (r.two && memcmp(magic + 4, "\r\n\032\n", 4) != 0)
        return samc__fail(error, SAMC_FORMAT, "%s: its line ends were changed on the way (copied as text?)", name);
    SAMC__TRY(parse_type(&r, name, n, error));
    SAMC__TRY(parse_extent(&r, name, n, error));
    SAMC__TRY(parse_values(&r, name, n, error));
    return parse_space(&r, name, n, error);
}

/* ---- Writing --------------------------------------------------------------------------------- */

static void put(uint8_t *at, uint64_t value, int bytes) { /* little-endian */
    for (int i = 0; i < bytes; i++) at[i] = (uint8_t)(value >> (8 * i));
}

typedef struct maker {
    uint8_t *head;
    const layout *at;
    bool two;
} maker;

static void put_integer(const maker *m, int at, int index, int64_t value) {
    const int bytes = m->two ? 8 : 2;
    put(m->head + at + index * bytes, (uint64_t)value, bytes);
}

static void put_code(const maker *m, int at, int value) { put(m->head + at, (uint64_t)value, m->two ? 4 : 2); }

static void put_real(const maker *m, int at, int index, double value) {
    uint64_t bits;
    float narrow = (float)value;
    uint32_t narrow_bits;
    memcpy(&bits, &value, sizeof bits);
    memcpy(&narrow_bits, &narrow, sizeof narrow_bits);
    if (m->two) put(m->head + at + index * 8, bits, 8);
    else put(m->head + at + index * 4, narrow_bits, 4);
}

size_t samc__nifti_label_header(const samc__nifti *n, int type, int most, uint8_t head[SAMC__NIFTI_2 + 4]) {
    const bool is_two = n->version == 2;
    const maker m = {head, is_two ? &two : &one, is_two};
    const int bytes = type == SAMC__NIFTI_U8 ? 1 : 2, size = is_two ? SAMC__NIFTI_2 : SAMC__NIFTI_1;
    const int rank = n->rank < 3 ? n->rank : 3;
    memset(head, 0, SAMC__NIFTI_2 + 4);
    put(head, (uint64_t)size, 4);
    memcpy(head + m.at->magic, is_two ? "n+2\0\r\n\032\n" : "n+1", is_two ? 8 : 4);
    put_integer(&m, m.at->dim, 0, rank);
    for (int i = 0; i < 7; i++) put_integer(&m, m.at->dim, i + 1, i < rank ? n->extent[i] : 1);
    put_code(&m, m.at->intent, INTENT_LABEL);
    memcpy(head + m.at->intent_name, "Label", 5);
    put(head + m.at->type, (uint64_t)type, 2); /* and bitpix, of 16 bits in both */
    put(head + m.at->type + 2, (uint64_t)bytes * 8, 2);
    for (int i = 0; i < 8; i++) put_real(&m, m.at->pixdim, i, i < 4 ? n->pixdim[i] : 1);
    if (is_two) put_integer(&m, m.at->offset, 0, size + 4);
    else put_real(&m, m.at->offset, 0, size + 4);
    put_real(&m, m.at->slope, 0, 1);
    put_real(&m, m.at->cal_max, 0, most);
    if (is_two) put_code(&m, m.at->units, n->units);
    else head[m.at->units] = (uint8_t)n->units;
    put_code(&m, m.at->qform, n->qform);
    put_code(&m, m.at->sform, n->sform);
    for (int i = 0; i < 3; i++) {
        put_real(&m, m.at->quatern, i, n->quatern[i]);
        put_real(&m, m.at->qoffset, i, n->qoffset[i]);
        for (int k = 0; k < 4; k++) put_real(&m, m.at->srow, i * 4 + k, n->srow[i][k]);
    }
    return (size_t)size + 4;
}
