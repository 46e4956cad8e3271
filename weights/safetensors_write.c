/* Writes safetensors in one pass, atomically: readers never meet half a file, and a full disk costs nothing that was
 * there. */
#include <stdlib.h>
#include <string.h>

#include "runtime/base/writer.h"
#include "runtime/base/json.h"
#include "weights/safetensors.h"

enum { ALIGNMENT = 64, CHUNK = 1 << 18 /* elements */ };

/* Visits four-byte tensors before two-byte ones, and bytes last. */
enum { PASSES = 3 };
static bool in_pass(const samc__output_tensor *tensor, int pass) {
    return samc__dtype_size(tensor->dtype) == (size_t)4 >> pass;
}

/* The JSON header without its length, padded with spaces so that the data begins at a multiple of 64; NULL without
 * memory. */
static char *make_header(const samc__output_tensor *tensors, size_t count, const samc__metadata *metadata,
                         size_t metadata_count, size_t *length) {
    samc__json_text text = {0};
    int64_t offset = 0;
    samc__json_put(&text, "{", 1);
    samc__json_put_key(&text, "__metadata__");
    samc__json_put(&text, "{", 1);
    for (size_t i = 0; i < metadata_count; i++) {
        samc__json_put_key(&text, metadata[i].key);
        samc__json_put_string(&text, metadata[i].value);
    }
    samc__json_put(&text, "}", 1);
    for (int pass = 0; pass < PASSES; pass++) {
        for (size_t i = 0; i < count; i++) {
            const samc__output_tensor *tensor = &tensors[i];
            if (!in_pass(tensor, pass)) continue;
            int64_t bytes = (int64_t)samc__dtype_size(tensor->dtype);
            samc__json_put_key(&text, tensor->name);
            samc__json_put(&text, "{", 1);
            samc__json_put_key(&text, "dtype");
            samc__json_put_string(&text, samc__dtype_name(tensor->dtype));
            samc__json_put_key(&text, "shape");
            for (int axis = 0; axis < tensor->rank; axis++) {
                samc__json_put(&text, axis == 0 ? "[" : ",", 1);
                samc__json_put_integer(&text, tensor->shape[axis]);
                bytes *= tensor->shape[axis];
            }
            samc__json_put(&text, tensor->rank == 0 ? "[]" : "]", tensor->rank == 0 ? 2 : 1);
            samc__json_put_key(&text, "data_offsets");
            samc__json_put(&text, "[", 1);
            samc__json_put_integer(&text, offset);
            samc__json_put(&text, ",", 1);
            samc__json_put_integer(&text, offset + bytes);
            samc__json_put(&text, "]}", 2);
            offset += bytes;
        }
    }
    samc__json_put(&text, "}", 1);
    while (!text.failed && (8 + text.used) % ALIGNMENT != 0) samc__json_put(&text, " ", 1);
    if (text.failed) {
        free(text.data);
        return NULL;
    }
    *length = text.used;
    return text.data;
}

static int64_t elements_of(const samc__output_tensor *tensor) {
    int64_t elements = 1;
    for (int axis = 0; axis < tensor->rank; axis++) elements *= tensor->shape[axis];
    return elements;
}

/* Where the bytes go: into a file, or behind each other in memory that has room for all of them. */
typedef struct sink {
    samc__writer *writer; /* NULL: memory */
    samc__bytes bytes;
} sink;

static samc_status put(sink *to, const void *bytes, size_t size, samc_error *error) {
    if (to->writer != NULL) return samc__writer_append(to->writer, bytes, size, error);
    memcpy(to->bytes.data + to->bytes.size, bytes, size);
    to->bytes.size += size;
    return SAMC_OK;
}

static samc_status put_tensors(sink *to, const samc__output_tensor *tensors, size_t count, samc__tensor_source *source,
                               void *context, samc_error *error) {
    void *buffer = malloc(CHUNK * sizeof(float));
    samc_status status = buffer ? SAMC_OK : samc__fail(error, SAMC_OUT_OF_MEMORY, "out of memory");
    for (int pass = 0; pass < PASSES; pass++) {
        for (size_t i = 0; i < count; i++) {
            if (!in_pass(&tensors[i], pass)) continue;
            const int64_t elements = elements_of(&tensors[i]);
            for (int64_t first = 0; first < elements && status == SAMC_OK; first += CHUNK) {
                int64_t now = elements - first < CHUNK ? elements - first : CHUNK;
                status = source(context, i, first, now, buffer, error);
                if (status == SAMC_OK)
                    status = put(to, buffer, (size_t)now * samc__dtype_size(tensors[i].dtype), error);
            }
        }
    }
    free(buffer);
    return status;
}

static samc_status put_header(sink *to, const char *header, size_t length, samc_error *error) {
    uint8_t bytes[8];
    for (int i = 0; i < 8; i++) bytes[i] = (uint8_t)((uint64_t)length >> (8 * i));
    SAMC__TRY(put(to, bytes, sizeof bytes, error));
    return put(to, header, length, error);
}

samc_status samc__safetensors_write(const char *path, const samc__output_tensor *tensors, size_t count,
                                    const samc__metadata *metadata, size_t metadata_count, samc__tensor_source *source,
                                    void *context, samc_error *error) {
    samc__writer writer = {.handle = -1, .folder = -1};
    sink to = {.writer = &writer};
    size_t length = 0;
    char *header = make_header(tensors, count, metadata, metadata_count, &length);
    samc_status status = header ? samc__writer_open(&writer, path, error)
                                : samc__fail(error, SAMC_OUT_OF_MEMORY, "%s: out of memory", path);
    writer.sync = true;
    if (status == SAMC_OK) status = put_header(&to, header, length, error);
    if (status == SAMC_OK) status = put_tensors(&to, tensors, count, source, context, error);
    if (status == SAMC_OK) status = samc__writer_commit(&writer, error);
    samc__writer_abandon(&writer);
    free(header);
    return status;
}

samc_status samc__safetensors_make(samc__bytes *file, const samc__output_tensor *tensors, size_t count,
                                   const samc__metadata *metadata, size_t metadata_count, samc__tensor_source *source,
                                   void *context, samc_error *error) {
    sink to = {0};
    size_t length = 0, size = 8;
    char *header = make_header(tensors, count, metadata, metadata_count, &length);
    for (size_t i = 0; i < count; i++) size += (size_t)elements_of(&tensors[i]) * samc__dtype_size(tensors[i].dtype);
    *file = (samc__bytes){0};
    if (header != NULL) to.bytes.data = malloc(size + length);
    samc_status status =
        to.bytes.data != NULL ? SAMC_OK : samc__fail(error, SAMC_OUT_OF_MEMORY, "no memory for a safetensors file");
    if (status == SAMC_OK) status = put_header(&to, header, length, error);
    if (status == SAMC_OK) status = put_tensors(&to, tensors, count, source, context, error);
    if (status == SAMC_OK) *file = to.bytes;
    else free(to.bytes.data);
    free(header);
    return status;
}
