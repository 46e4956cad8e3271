/* .npy reading and writing. The header is a Python dictionary literal; the three keys that NumPy writes are parsed
 * strictly, in any order, and nothing else is accepted. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host/io/abi.h"
#include "host/io/file.h"
#include "runtime/base/status.h"

/* Exact: a half has fewer digits and a smaller range than a float. */
static float half_to_float(uint16_t half) {
    int exponent = half >> 10 & 31, digits = half & 1023;
    float magnitude = exponent == 31  ? (digits != 0 ? NAN : INFINITY)
                      : exponent == 0 ? ldexpf((float)digits, -24)
                                      : ldexpf((float)(digits + 1024), exponent - 25);
    return half & 0x8000 ? -magnitude : magnitude;
}

enum { MOST_RANK = 4 };
static const size_t max_file = (size_t)1 << 30;

/* The header text while it is parsed. */
typedef struct cursor {
    const char *at, *end;
} cursor;

static void skip_blanks(cursor *text) {
    while (text->at < text->end && (*text->at == ' ' || *text->at == '\n')) text->at++;
}

/* Consumes `word` if it comes next, after blanks. */
static bool accept(cursor *text, const char *word) {
    size_t length = strlen(word);
    skip_blanks(text);
    if ((size_t)(text->end - text->at) < length || memcmp(text->at, word, length) != 0) return false;
    text->at += length;
    return true;
}

/* Either quote, as Python does. */
static bool accept_string(cursor *text, const char *word) {
    char quoted[32];
    snprintf(quoted, sizeof quoted, "'%s'", word);
    if (accept(text, quoted)) return true;
    snprintf(quoted, sizeof quoted, "\"%s\"", word);
    return accept(text, quoted);
}

/* A side between 1 and 2^31; false otherwise. */
static bool accept_side(cursor *text, size_t *side) {
    skip_blanks(text);
    size_t value = 0;
    const char *start = text->at;
    for (; text->at < text->end && *text->at >= '0' && *text->at <= '9'; text->at++) {
        value = value * 10 + (size_t)(*text->at - '0');
        if (value > (size_t)1 << 31) return false;
    }
    *side = value;
    return text->at > start && value > 0;
}

typedef struct header {
    char type; /* 'e' half, 'f' float, 'd' double, 0 unknown */
    bool fortran, shape_seen, order_seen;
} header;

/* Returns NULL, or what is wrong. */
static const char *parse_header(cursor *text, header *found, samc_array *array) {
    if (!accept(text, "{")) return "malformed header";
    while (!accept(text, "}")) {
        if (accept_string(text, "descr")) {
            if (!accept(text, ":") || found->type != 0) return "malformed header";
            if (accept_string(text, "<f2")) found->type = 'e';
            else if (accept_string(text, "<f4")) found->type = 'f';
            else if (accept_string(text, "<f8")) found->type = 'd';
            else return "not of type float32, float16 or float64 (little endian)";
        } else if (accept_string(text, "fortran_order")) {
            if (!accept(text, ":") || found->order_seen) return "malformed header";
            found->order_seen = true;
            if (accept(text, "True")) found->fortran = true;
            else if (!accept(text, "False")) return "malformed header";
        } else if (accept_string(text, "shape")) {
            if (!accept(text, ":") || found->shape_seen || !accept(text, "(")) return "malformed header";
            found->shape_seen = true;
            while (!accept(text, ")")) {
                if (array->rank == MOST_RANK) return "more than 4 dimensions";
                if (!accept_side(text, &array->shape[array->rank++])) return "malformed shape, or a side of zero";
                if (accept(text, ",")) continue;
                if (!accept(text, ")")) return "malformed shape";
                break;
            }
        } else {
            return "malformed header";
        }
        if (accept(text, ",")) continue;
        if (!accept(text, "}")) return "malformed header";
        break;
    }
    skip_blanks(text);
    if (text->at != text->end || found->type == 0 || !found->shape_seen || !found->order_seen)
        return "malformed header";
    if (array->rank == 0) return "a single number, not an array";
    if (found->fortran) return "in Fortran order; save it with numpy.ascontiguousarray()";
    return NULL;
}

static samc_status decode(const uint8_t *bytes, size_t size, const char *name, samc_array *array, samc_error *error) {
    *array = (samc_array){0};
    /* "\x93NUMPY", version, length of the header in 2 bytes (version 1) or 4 bytes. */
    if (size < 10 || memcmp(bytes, "\x93NUMPY", 6) != 0)
        return samc__fail(error, SAMC_FORMAT, "%s: not a .npy file", name);
    if (bytes[6] < 1 || bytes[6] > 3)
        return samc__fail(error, SAMC_UNSUPPORTED, "%s: unknown .npy version %d", name, bytes[6]);
    size_t start = bytes[6] == 1 ? 10 : 12;
    size_t length = (size_t)bytes[8] | (size_t)bytes[9] << 8;
    if (start == 12 && size >= 12) length |= (size_t)bytes[10] << 16 | (size_t)bytes[11] << 24;
    if (size < start || length > size - start) return samc__fail(error, SAMC_FORMAT, "%s: truncated .npy header", name);

    cursor text = {(const char *)bytes + start, (const char *)bytes + start + length};
    header found = {0};
    const char *wrong = parse_header(&text, &found, array);
    if (wrong != NULL) return samc__fail(error, SAMC_FORMAT, "%s: .npy array is %s", name, wrong);

    size_t item = found.type == 'd' ? 8 : found.type == 'f' ? 4 : 2;
    size_t there = size - start - length, count = 1;
    for (int i = 0; i < array->rank; i++) {
        /* Bounded by the bytes that are really there before it is multiplied any further. */
        if (array->shape[i] > there / item / count)
            return samc__fail(error, SAMC_FORMAT, "%s: truncated .npy: the shape needs more than the %zu bytes of data",
                              name, there);
        count *= array->shape[i];
    }
    if (there != count * item)
        return samc__fail(error, SAMC_FORMAT, "%s: .npy has %zu bytes of data, its shape needs %zu", name, there,
                          count * item);
    array->values = malloc(count * sizeof(float));
    if (array->values == NULL) return samc__fail(error, SAMC_OUT_OF_MEMORY, "%s: out of memory", name);
    const uint8_t *data = bytes + start + length;
    if (found.type == 'f') {
        memcpy(array->values, data, count * sizeof(float));
    } else if (found.type == 'e') {
        for (size_t i = 0; i < count; i++)
            array->values[i] = half_to_float((uint16_t)(data[2 * i] | data[2 * i + 1] << 8));
    } else {
        for (size_t i = 0; i < count; i++) {
            double value;
            memcpy(&value, data + 8 * i, 8);
            array->values[i] = (float)value;
        }
    }
    return SAMC_OK;
}

samc_status samc_npy_decode(const void *bytes, size_t size, const char *name, samc_array *array, samc_error *error) {
    samc_array own = {0};
    SAMC__TRY(samc__abi_give(SAMC__IO(samc_array), &own, array, error));
    if (bytes == NULL || name == NULL)
        return samc__fail(error, SAMC_INVALID_ARGUMENT, "samc_npy_decode: no bytes or no name");
    samc_status status = decode(bytes, size, name, &own, error);
    if (status == SAMC_OK) samc__abi_give(SAMC__IO(samc_array), &own, array, NULL);
    return status;
}

samc_status samc_npy_read(const char *path, samc_array *array, samc_error *error) {
    uint8_t *bytes;
    size_t size;
    SAMC__TRY(samc__abi_give(SAMC__IO(samc_array), &(samc_array){0}, array, error));
    if (path == NULL) return samc__fail(error, SAMC_INVALID_ARGUMENT, "samc_npy_read: no path");
    SAMC__TRY(samc__file_read(path, max_file, &bytes, &size, error));
    samc_status status = samc_npy_decode(bytes, size, path, array, error);
    free(bytes);
    return status;
}

void samc_array_free(samc_array *array) {
    if (samc__abi_check_size(SAMC__IO(samc_array), array, NULL) != SAMC_OK) return;
    free(array->values);
    samc__abi_give(SAMC__IO(samc_array), &(samc_array){0}, array, NULL);
}

/* Whether a file can be of that shape; *count is that of its values. */
static samc_status check_shape(const char *path, samc_npy_type type, int rank, const size_t *shape, size_t *count,
                               samc_error *error) {
    *count = 1;
    if (path == NULL || shape == NULL || rank < 1 || rank > MOST_RANK ||
        (type != SAMC_NPY_F32 && type != SAMC_NPY_BOOL))
        return samc__fail(error, SAMC_INVALID_ARGUMENT, "a .npy file without a name, or of %d dimensions", rank);
    for (int i = 0; i < rank; i++) {
        if (shape[i] > SIZE_MAX / sizeof(float) / *count)
            return samc__fail(error, SAMC_INVALID_ARGUMENT, "%s: an array that no memory holds", path);
        *count *= shape[i] > 0 ? shape[i] : 1;
    }
    for (int i = 0; i < rank; i++) *count = shape[i] > 0 ? *count : 0;
    return SAMC_OK;
}

samc_status samc_npy_begin(const char *path, samc_npy_type type, int rank, const size_t *shape, samc_writer **writer,
                           samc_error *error) {
    char text[256];
    size_t count;
    if (writer == NULL) return samc__fail(error, SAMC_INVALID_ARGUMENT, "samc_npy_begin: no place for the writer");
    *writer = NULL;
    SAMC__TRY(check_shape(path, type, rank, shape, &count, error));
    int length = snprintf(text, sizeof text, "{'descr': '%s', 'fortran_order': False, 'shape': (",
                          type == SAMC_NPY_F32 ? "<f4" : "|b1");
    for (int i = 0; i < rank; i++)
        length += snprintf(text + length, sizeof text - (size_t)length,
                           i + 1 < rank ? "%zu, "
                           : rank == 1  ? "%zu,"
                                        : "%zu",
                           shape[i]);
    length += snprintf(text + length, sizeof text - (size_t)length, "), }");
    /* Blanks and a newline bring magic, version, length and text to a multiple of 64, so that the data is aligned. */
    while ((10 + length + 1) % 64 != 0) text[length++] = ' ';
    text[length++] = '\n';
    const uint8_t magic[10] = {0x93, 'N', 'U', 'M', 'P', 'Y', 1, 0, (uint8_t)(length & 255), (uint8_t)(length >> 8)};
    SAMC__TRY(samc_writer_open(path, writer, error));
    samc_status status = samc_writer_append(*writer, magic, sizeof magic, error);
    if (status == SAMC_OK) status = samc_writer_append(*writer, text, (size_t)length, error);
    if (status == SAMC_OK) return SAMC_OK;
    samc_writer_abandon(*writer);
    *writer = NULL;
    return status;
}

samc_status samc_npy_write(const char *path, samc_npy_type type, int rank, const size_t *shape, const void *values,
                           samc_error *error) {
    samc_writer *writer;
    size_t count;
    SAMC__TRY(check_shape(path, type, rank, shape, &count, error));
    if (values == NULL && count > 0) return samc__fail(error, SAMC_INVALID_ARGUMENT, "%s: no values", path);
    SAMC__TRY(samc_npy_begin(path, type, rank, shape, &writer, error));
    samc_status status = samc_writer_append(writer, values, count * (type == SAMC_NPY_F32 ? sizeof(float) : 1), error);
    if (status == SAMC_OK) return samc_writer_commit(writer, error);
    samc_writer_abandon(writer);
    return status;
}
