/* Builds checkpoints byte by byte for the weights' tests: what no honest writer would write must come from somewhere.
 */
#ifndef SAMC_TESTS_WEIGHTS_BUILD_H
#define SAMC_TESTS_WEIGHTS_BUILD_H

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "weights/reader.h"

typedef struct bytes {
    uint8_t *data;
    size_t size, capacity;
} bytes;

static inline void put(bytes *b, const void *data, size_t size) {
    if (b->size + size > b->capacity) {
        b->capacity = (b->size + size) * 2;
        b->data = realloc(b->data, b->capacity);
        if (b->data == NULL) abort();
    }
    if (size > 0) memcpy(b->data + b->size, data, size);
    b->size += size;
}
static inline void put_text(bytes *b, const char *text) { put(b, text, strlen(text)); }
static inline void put_number(bytes *b, uint64_t value, int width) {
    put(b, &value, (size_t)width);
} /* little-endian */
static inline void clear(bytes *b) {
    free(b->data);
    *b = (bytes){0};
}

/* ---- safetensors ---- */

/* Length, header and `data_size` zero bytes. */
static inline bytes safetensors_of(const char *header, size_t data_size) {
    bytes b = {0};
    put_number(&b, strlen(header), 8);
    put_text(&b, header);
    for (size_t i = 0; i < data_size; i++) put(&b, "", 1);
    return b;
}

/* ---- pickle: a few opcodes of protocol 2 ---- */

static inline void pickle_string(bytes *b, const char *text) {
    put_text(b, "X");
    put_number(b, strlen(text), 4);
    put_text(b, text);
}
static inline void pickle_integer(bytes *b, int64_t value) { /* LONG1 with eight bytes */
    put(b, "\x8a\x08", 2);
    put_number(b, (uint64_t)value, 8);
}
static inline void pickle_tuple(bytes *b, int count, const int64_t *values) {
    put_text(b, "(");
    for (int i = 0; i < count; i++) pickle_integer(b, values[i]);
    put_text(b, "t");
}
/* torch._utils._rebuild_tensor_v2(('storage', torch.FloatStorage, '0', 'cpu', numel), offset, shape, stride, False, {})
 */
static inline void pickle_tensor(bytes *b, int64_t numel, int64_t offset, int rank, const int64_t *shape,
                                 const int64_t *stride) {
    put_text(b, "ctorch._utils\n_rebuild_tensor_v2\n((");
    pickle_string(b, "storage");
    put_text(b, "ctorch\nFloatStorage\n");
    pickle_string(b, "0");
    pickle_string(b, "cpu");
    pickle_integer(b, numel);
    put_text(b, "tQ");
    pickle_integer(b, offset);
    pickle_tuple(b, rank, shape);
    pickle_tuple(b, rank, stride);
    put_text(b, "\x89}tR");
}

/* ---- zip: stored entries ---- */

typedef struct zip_writer {
    bytes file, directory;
    int entries;
} zip_writer;

static inline void zip_add(zip_writer *z, const char *name, const void *data, size_t size) {
    size_t at = z->file.size, length = strlen(name);
    put_text(&z->file, "PK\3\4");
    put(&z->file, "\x14\0\0\0\0\0\0\0\0\0\0\0\0\0", 14); /* version, flags, stored, time, date, CRC */
    put_number(&z->file, size, 4);
    put_number(&z->file, size, 4);
    put_number(&z->file, length, 2);
    put_number(&z->file, 0, 2);
    put(&z->file, name, length);
    put(&z->file, data, size);
    put_text(&z->directory, "PK\1\2");
    put(&z->directory, "\x14\0\x14\0\0\0\0\0\0\0\0\0\0\0\0\0", 16);
    put_number(&z->directory, size, 4);
    put_number(&z->directory, size, 4);
    put_number(&z->directory, length, 2);
    put(&z->directory, "\0\0\0\0\0\0\0\0\0\0\0\0", 12); /* extra, comment, disk, attributes */
    put_number(&z->directory, at, 4);
    put(&z->directory, name, length);
    z->entries++;
}

static inline bytes zip_finish(zip_writer *z) {
    size_t at = z->file.size;
    put(&z->file, z->directory.data, z->directory.size);
    put(&z->file, "PK\5\6\0\0\0\0", 8);
    put_number(&z->file, (uint64_t)z->entries, 2);
    put_number(&z->file, (uint64_t)z->entries, 2);
    put_number(&z->file, z->directory.size, 4);
    put_number(&z->file, at, 4);
    put_number(&z->file, 0, 2);
    clear(&z->directory);
    return z->file;
}

/* A checkpoint of this pickle and one storage "0" of `storage` zero bytes; frees the pickle. */
static inline bytes pth_of(bytes *pickle, size_t storage) {
    zip_writer z = {0};
    uint8_t *zeros = calloc(storage + 1, 1);
    if (zeros == NULL) abort();
    zip_add(&z, "a/data.pkl", pickle->data, pickle->size);
    zip_add(&z, "a/data/0", zeros, storage);
    free(zeros);
    clear(pickle);
    return zip_finish(&z);
}

/* ---- files ---- */

static inline bytes read_file(const char *path) {
    bytes b = {0};
    uint8_t chunk[4096];
    FILE *file = fopen(path, "rb");
    if (file == NULL) return b;
    for (size_t n; (n = fread(chunk, 1, sizeof chunk, file)) > 0;) put(&b, chunk, n);
    fclose(file);
    return b;
}

#endif
