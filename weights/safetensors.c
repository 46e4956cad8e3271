/* Reads safetensors: eight bytes of header length, a JSON header, then the tensors' bytes. Strict, as its authors
 * specify it.
 *
 * https://github.com/huggingface/safetensors: offsets count from the end of the header, tensors are row-major,
 * little-endian, do not overlap, leave no holes and end where the file ends.
 */
#include <stdlib.h>
#include <string.h>

#include "runtime/base/json.h"
#include "weights/safetensors.h"

/* SAM's largest header has 70 kB. The format's authors allow 100 MB; what a file of that kind holds is no model of this
 * family. */
enum { MAX_HEADER = 16 << 20, MAX_METADATA = 1024 };

typedef struct element_type {
    const char *name;
    int size; /* bytes */
    samc__dtype dtype;
} element_type;

static const element_type element_types[] = {
    {"F32", 4, SAMC__F32},
    {"F16", 2, SAMC__F16},
    {"BF16", 2, SAMC__BF16},
    {"F64", 8, SAMC__F64},
    {"I8", 1, SAMC__I8},
    {"I64", 8, SAMC__OTHER},
    {"U64", 8, SAMC__OTHER},
    {"I32", 4, SAMC__OTHER},
    {"U32", 4, SAMC__OTHER},
    {"I16", 2, SAMC__OTHER},
    {"U16", 2, SAMC__OTHER},
    {"U8", 1, SAMC__OTHER},
    {"BOOL", 1, SAMC__OTHER},
    {"F8_E4M3", 1, SAMC__OTHER},
    {"F8_E5M2", 1, SAMC__OTHER},
    {"F8_E8M0", 1, SAMC__OTHER},
    {"F8_E4M3FNUZ", 1, SAMC__OTHER},
    {"F8_E5M2FNUZ", 1, SAMC__OTHER},
    {"C64", 8, SAMC__OTHER},
};

const char *samc__dtype_name(samc__dtype dtype) { return dtype == SAMC__OTHER ? "other" : element_types[dtype].name; }

/* Where a tensor's bytes lie, kept to check that all of them together cover the file once. */
typedef struct span {
    uint64_t begin, end;
    samc__json name;
} span;

static int compare_spans(const void *a, const void *b) {
    const span *x = a, *y = b;
    if (x->begin != y->begin) return x->begin < y->begin ? -1 : 1;
    return (x->end > y->end) - (x->end < y->end); /* empty tensors come before the one that begins at the same place */
}

/* The name of a tensor, or the key of a metadata string, for a message: as it is written in the header. */
static samc__text key_text(samc__json key) { return samc__printable(key.begin + 1, (size_t)(key.end - key.begin) - 2); }

/* Decodes a string of the header into memory of its own; NULL without memory. */
static char *decoded(samc__json string) {
    size_t room = (size_t)(string.end - string.begin);
    char *text = malloc(room);
    if (text != NULL) (void)samc__json_string(string, text, room); /* decoding never makes it longer */
    return text;
}

static samc_status read_metadata(samc__checkpoint *checkpoint, samc__json metadata, samc_error *error) {
    const char *cursor = NULL;
    samc__json key, value;
    if (!samc__json_is_object(metadata))
        return samc__fail(error, SAMC_FORMAT, "%s: __metadata__ is not an object", checkpoint->label);
    while (samc__json_next(metadata, &cursor, &key, &value)) {
        if (!samc__json_is_string(value))
            return samc__fail(error, SAMC_FORMAT, "%s: metadata %s is not a string", checkpoint->label,
                              key_text(key).text);
        if (checkpoint->metadata_count == MAX_METADATA)
            return samc__fail(error, SAMC_UNSUPPORTED, "%s: more than %d metadata strings", checkpoint->label,
                              MAX_METADATA);
        char *name = decoded(key), *text = decoded(value);
        samc_status status;
        if (name == NULL || text == NULL) {
            status = samc__fail(error, SAMC_OUT_OF_MEMORY, "%s: out of memory", checkpoint->label);
        } else if (samc__checkpoint_metadata(checkpoint, name) != NULL) {
            status =
                samc__fail(error, SAMC_FORMAT, "%s: metadata %s occurs twice", checkpoint->label, key_text(key).text);
        } else {
            status = samc__checkpoint_add_metadata(checkpoint, name, text, error);
        }
        free(name);
        free(text);
        if (status != SAMC_OK) return status;
    }
    return SAMC_OK;
}

/* Reads a list of whole numbers; returns how many there are, limit + 1 if more, -1 if it is no such list. */
static int read_integers(samc__json list, int64_t *values, int limit) {
    const char *cursor = NULL;
    samc__json item;
    int count = 0;
    if (!samc__json_is_array(list)) return -1;
    while (samc__json_next(list, &cursor, NULL, &item)) {
        if (count == limit) return limit + 1;
        if (!samc__json_integer(item, &values[count++])) return -1;
    }
    return count;
}

/* Reads one entry; `data` is [data_size], the bytes behind the header. */
static samc_status read_tensor(samc__checkpoint *checkpoint, samc__json key, samc__json entry, const uint8_t *data,
                               uint64_t data_size, span *where, samc_error *error) {
    const char *label = checkpoint->label, *cursor = NULL;
    const samc__text name = key_text(key);
    char decoded_name[SAMC__MAX_NAME + 1], type_name[16];
    if (!samc__json_string(key, decoded_name, sizeof decoded_name))
        return samc__fail(error, SAMC_UNSUPPORTED, "%s: tensor %s: a name of more than %d bytes", label, name.text,
                          SAMC__MAX_NAME);
    samc__json dtype = {NULL, NULL}, shape = dtype, offsets = dtype, field, value;
    int fields = 0;
    for (; samc__json_next(entry, &cursor, &field, &value) && fields < 4; fields++) {
        if (samc__json_equals(field, "dtype")) dtype = value;
        if (samc__json_equals(field, "shape")) shape = value;
        if (samc__json_equals(field, "data_offsets")) offsets = value;
    }
    int64_t range[2];
    if (!samc__json_is_string(dtype) || !samc__json_is_array(shape) || read_integers(offsets, range, 2) != 2 ||
        fields != 3)
        return samc__fail(error, SAMC_FORMAT, "%s: tensor %s: its entry is not {dtype, shape, data_offsets}", label,
                          name.text);

    const element_type *type = NULL;
    if (samc__json_string(dtype, type_name, sizeof type_name))
        for (size_t i = 0; i < sizeof element_types / sizeof *element_types; i++)
            if (strcmp(type_name, element_types[i].name) == 0) type = &element_types[i];
    if (type == NULL)
        return samc__fail(error, SAMC_UNSUPPORTED, "%s: tensor %s: unknown dtype %s", label, name.text,
                          key_text(dtype).text);

    samc__tensor tensor = {.dtype = type->dtype};
    tensor.rank = read_integers(shape, tensor.shape, SAMC__MAX_RANK);
    if (tensor.rank > SAMC__MAX_RANK)
        return samc__fail(error, SAMC_UNSUPPORTED, "%s: tensor %s: more than %d dimensions", label, name.text,
                          SAMC__MAX_RANK);
    int64_t elements;
    if (tensor.rank < 0 || !samc__shape_elements(tensor.rank, tensor.shape, &elements))
        return samc__fail(error, SAMC_FORMAT, "%s: tensor %s: impossible shape", label, name.text);
    for (int64_t i = tensor.rank - 1, step = 1; i >= 0; i--) {
        tensor.stride[i] = step;
        step *= tensor.shape[i] > 0 ? tensor.shape[i] : 1;
    }

    const int64_t begin = range[0], end = range[1];
    if (begin < 0 || end < begin || (uint64_t)end > data_size)
        return samc__fail(error, SAMC_FORMAT, "%s: tensor %s: bytes %lld to %lld lie outside the %llu bytes of data%s",
                          label, name.text, (long long)begin, (long long)end, (unsigned long long)data_size,
                          end > begin && begin >= 0 ? " (is the file complete?)" : "");
    if (end - begin != elements * type->size)
        return samc__fail(error, SAMC_FORMAT, "%s: tensor %s: %lld bytes, but its shape and dtype need %lld", label,
                          name.text, (long long)(end - begin), (long long)(elements * type->size));
    tensor.data = data + begin;
    *where = (span){(uint64_t)begin, (uint64_t)end, key};
    return samc__checkpoint_add(checkpoint, decoded_name, strlen(decoded_name), &tensor, error);
}

static samc_status check_spans(const samc__checkpoint *checkpoint, span *spans, size_t count, uint64_t data_size,
                               samc_error *error) {
    uint64_t covered = 0;
    if (count > 1) qsort(spans, count, sizeof *spans, compare_spans);
    for (size_t i = 0; i < count; i++) {
        if (spans[i].begin != covered)
            return samc__fail(error, SAMC_FORMAT, "%s: tensor %s %s", checkpoint->label, key_text(spans[i].name).text,
                              spans[i].begin < covered ? "overlaps another tensor" : "follows a hole in the data");
        covered = spans[i].end;
    }
    if (covered != data_size)
        return samc__fail(error, SAMC_FORMAT, "%s: %llu bytes after the last tensor", checkpoint->label,
                          (unsigned long long)(data_size - covered));
    return SAMC_OK;
}

static samc_status read_header(samc__checkpoint *checkpoint, samc__json header, size_t data_at, samc_error *error) {
    const uint64_t data_size = checkpoint->size - data_at;
    const char *cursor = NULL;
    samc__json key, entry;
    span *spans = NULL;
    size_t count = 0, capacity = 0;
    samc_status status = SAMC_OK;
    while (status == SAMC_OK && samc__json_next(header, &cursor, &key, &entry)) {
        if (samc__json_equals(key, "__metadata__")) {
            status = read_metadata(checkpoint, entry, error);
            continue;
        }
        if (count == capacity) {
            capacity = capacity ? capacity * 2 : 256;
            span *larger = realloc(spans, capacity * sizeof *spans);
            if (larger == NULL) {
                status = samc__fail(error, SAMC_OUT_OF_MEMORY, "%s: out of memory", checkpoint->label);
                break;
            }
            spans = larger;
        }
        status = read_tensor(checkpoint, key, entry, checkpoint->bytes + data_at, data_size, &spans[count++], error);
    }
    if (status == SAMC_OK) status = check_spans(checkpoint, spans, count, data_size, error);
    free(spans);
    return status == SAMC_OK && !checkpoint->part ? samc__checkpoint_select(checkpoint, error) : status;
}

samc_status samc__safetensors_read(samc__checkpoint *checkpoint, samc_error *error) {
    if (checkpoint->size < 9) return samc__fail(error, SAMC_FORMAT, "%s: too short to be a model", checkpoint->label);
    uint64_t length = samc__le64(checkpoint->bytes);
    if (length > checkpoint->size - 8)
        return samc__fail(error, SAMC_FORMAT,
                          "%s: the safetensors header claims %llu bytes, the file has %zu (is it complete?)",
                          checkpoint->label, (unsigned long long)length, checkpoint->size);
    if (length > MAX_HEADER)
        return samc__fail(error, SAMC_UNSUPPORTED, "%s: a safetensors header of %llu bytes; at most %d can be read",
                          checkpoint->label, (unsigned long long)length, MAX_HEADER);
    samc__json header;
    size_t at;
    const char *wrong = samc__json_check((const char *)checkpoint->bytes + 8, (size_t)length, &header, &at);
    if (wrong != NULL)
        return samc__fail(error, SAMC_FORMAT, "%s: the safetensors header is not valid JSON: %s (byte %zu)",
                          checkpoint->label, wrong, at);
    if (!samc__json_is_object(header))
        return samc__fail(error, SAMC_FORMAT, "%s: the safetensors header is not a JSON object", checkpoint->label);
    return read_header(checkpoint, header, 8 + (size_t)length, error);
}
