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

static samc_status write_tensors(samc__writer *writer, const samc__output_tensor *tensors, size_t count,
                                 samc__tensor_source *source, void *context, void *buffer, samc_error *error) {
    for (int pass = 0; pass < PASSES; pass++) {
        for (size_t i = 0; i < count; i++) {
            if (!in_pass(&tensors[i], pass)) continue;
            int64_t elements = 1;
            for (int axis = 0; axis < tensors[i].rank; axis++) elements *= tensors[i].shape[axis];
            for (int64_t first = 0; first < elements; first += CHUNK) {
                int64_t now = elements - first < CHUNK ? elements - first : CHUNK;
                SAMC__TRY(source(context, i, first, now, buffer, error));
                SAMC__TRY(samc__writer_append(writer, buffer, (size_t)now * samc__dtype_size(tensors[i].dtype), error));
            }
        }
    }
    return SAMC_OK;
}

samc_status samc__safetensors_write(const char *path, const samc__output_tensor *tensors, size_t count,
                                    const samc__metadata *metadata, size_t metadata_count, samc__tensor_source *source,
                                    void *context, samc_error *error) {
    samc__writer writer = {.handle = -1, .folder = -1};
    size_t header_length = 0;
    uint8_t length[8];
    char *header = make_header(tensors, count, metadata, metadata_count, &header_length);
    void *buffer = malloc(CHUNK * sizeof(float));
    samc_status status = header && buffer ? samc__writer_open(&writer, path, error)
                                          : samc__fail(error, SAMC_OUT_OF_MEMORY, "%s: out of memory", path);
    writer.sync = true;
    for (int i = 0; i < 8; i++) length[i] = (uint8_t)((uint64_t)header_length >> (8 * i));
    if (status == SAMC_OK) status = samc__writer_append(&writer, length, sizeof length, error);
    if (status == SAMC_OK) status = samc__writer_append(&writer, header, header_length, error);
    if (status == SAMC_OK) status = write_tensors(&writer, tensors, count, source, context, buffer, error);
    if (status == SAMC_OK) status = samc__writer_commit(&writer, error);
    samc__writer_abandon(&writer);
    free(header);
    free(buffer);
    return status;
}
