/* NumPy's .npy files: logits, embeddings and masks in and out of Python. */
#ifndef SAMC_HOST_IO_NPY_H
#define SAMC_HOST_IO_NPY_H

#include "host/io/file.h"

enum { SAMC__NPY_MAX_RANK = 4 };

typedef struct samc__array {
    float *values; /* [shape[0], ...], row-major, owned */
    int rank;
    size_t shape[SAMC__NPY_MAX_RANK];
} samc__array;

/* Reads little-endian float16, float32 or float64 in C order, rank 1 to 4, no side zero, at most 1 GiB. */
samc_status samc__npy_read(const char *path, samc__array *array, samc_error *error);
/* The same from memory; `name` stands in error messages. */
samc_status samc__npy_decode(const uint8_t *bytes, size_t size, const char *name, samc__array *array,
                             samc_error *error);
void samc__array_free(samc__array *array);

typedef enum samc__npy_type { SAMC__NPY_F32, SAMC__NPY_BOOL } samc__npy_type;

/* Begins a file of the given shape: opens the writer and writes the header. The values follow with
 * samc__writer_append(). */
samc_status samc__npy_begin(samc__writer *writer, const char *path, samc__npy_type type, int rank, const size_t *shape,
                            samc_error *error);
/* A whole file: floats, or bytes 0 and 1 for booleans. */
samc_status samc__npy_write(const char *path, samc__npy_type type, int rank, const size_t *shape, const void *values,
                            samc_error *error);

#endif
