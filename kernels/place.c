/* Tensors in the host's memory: every move is a memcpy, and images are read where the caller keeps them. */
#include "kernels/place.h"

#include <string.h>

static void *allocate(const samc__exec *exec, size_t bytes) { return exec->allocate(exec->memory, bytes); }
static void release(const samc__exec *exec, void *tensor) { exec->release(exec->memory, tensor); }

static samc_status copy(const samc__exec *exec, void *to, size_t to_pitch, const void *from, size_t from_pitch,
                        size_t bytes, size_t rows) {
    (void)exec;
    for (size_t row = 0; row < rows; row++)
        memcpy((char *)to + row * to_pitch, (const char *)from + row * from_pitch, bytes);
    return SAMC_OK;
}

static samc_status upload(const samc__exec *exec, void *tensor, const void *from, size_t pitch, size_t bytes,
                          size_t rows) {
    return copy(exec, tensor, bytes, from, pitch, bytes, rows);
}

static samc_status download(const samc__exec *exec, void *to, const void *tensor, size_t pitch, size_t bytes,
                            size_t rows) {
    return copy(exec, to, bytes, tensor, pitch, bytes, rows);
}

static samc_status image(const samc__exec *exec, const samc_image *picture, const uint8_t **pixels, ptrdiff_t *pitch) {
    (void)exec;
    *pixels = picture->pixels;
    *pitch = picture->row_bytes;
    return SAMC_OK;
}

static samc_status image_read(const samc__exec *exec) {
    (void)exec;
    return SAMC_OK;
}

static samc_status follow(const samc__exec *exec, const samc__exec *earlier) {
    (void)exec, (void)earlier; /* operators have finished when they return */
    return SAMC_OK;
}

const samc__place samc__place_host = {true,  allocate,   release, upload, download, copy,
                                      image, image_read, follow,  NULL,   NULL};

samc_status samc__lend(const samc__exec *exec, void *memory, size_t bytes, bool filled, void **tensor) {
    *tensor = memory;
    if (exec->place->host) return SAMC_OK;
    *tensor = samc__tensor_allocate(exec, bytes);
    if (*tensor == NULL) return samc__fail(exec->error, SAMC_OUT_OF_MEMORY, "no device memory for %zu bytes", bytes);
    samc_status status = filled ? samc__upload(exec, *tensor, memory, bytes) : SAMC_OK;
    if (status == SAMC_OK) return SAMC_OK;
    samc__tensor_release(exec, *tensor);
    *tensor = NULL;
    return status;
}

samc_status samc__collect(const samc__exec *exec, void *memory, void *tensor, size_t bytes) {
    if (exec->place->host || tensor == NULL) return SAMC_OK;
    samc_status status = bytes > 0 ? samc__download(exec, memory, tensor, bytes) : SAMC_OK;
    samc__tensor_release(exec, tensor);
    return status;
}

const void *samc__read_rows(const samc__exec *exec, const void *tensor, size_t *pitch, size_t bytes, size_t rows) {
    if (exec->place->host) return tensor;
    void *contents = exec->allocate(exec->memory, bytes * rows);
    if (contents == NULL) {
        samc__fail(exec->error, SAMC_OUT_OF_MEMORY, "no memory to download %zu bytes", bytes * rows);
        return NULL;
    }
    if (exec->place->download(exec, contents, tensor, *pitch, bytes, rows) == SAMC_OK) {
        *pitch = bytes;
        return contents;
    }
    exec->release(exec->memory, contents);
    return NULL;
}

const void *samc__read(const samc__exec *exec, const void *tensor, size_t bytes) {
    return samc__read_rows(exec, tensor, &bytes, bytes, 1);
}

void samc__read_end(const samc__exec *exec, const void *tensor, const void *contents) {
    if (contents != tensor) exec->release(exec->memory, (void *)contents);
}
