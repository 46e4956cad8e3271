/* Writes safetensors files: the format that samc keeps its models in (see FORMAT.md). The reader is declared in
 * reader.h. */
#ifndef SAMC_WEIGHTS_SAFETENSORS_H
#define SAMC_WEIGHTS_SAFETENSORS_H

#include "weights/reader.h"

typedef struct samc__output_tensor {
    const char *name;
    samc__dtype dtype; /* F32, F16, BF16 or I8 */
    int rank;
    int64_t shape[SAMC__MAX_RANK];
} samc__output_tensor;

/* Fills `bytes` with elements [first, first + count) of tensor `index`, row-major and in the type it was announced
 * with. */
typedef samc_status samc__tensor_source(void *context, size_t index, int64_t first, int64_t count, void *bytes,
                                        samc_error *error);

/* Streams the tensors through a samc__writer (runtime/base/writer.h) and waits for the disk: a file at `path` is either
 * left as it was or whole. Four-byte tensors come first, so that all of them are aligned in the mapping. */
samc_status samc__safetensors_write(const char *path, const samc__output_tensor *tensors, size_t count,
                                    const samc__metadata *metadata, size_t metadata_count, samc__tensor_source *source,
                                    void *context, samc_error *error);

/* The same in memory, to be freed. */
typedef struct samc__bytes {
    uint8_t *data;
    size_t size;
} samc__bytes;
samc_status samc__safetensors_make(samc__bytes *file, const samc__output_tensor *tensors, size_t count,
                                   const samc__metadata *metadata, size_t metadata_count, samc__tensor_source *source,
                                   void *context, samc_error *error);

/* "F32", "F16", "BF16", "I8": the names that safetensors and the model hash use. */
const char *samc__dtype_name(samc__dtype dtype);

#endif
