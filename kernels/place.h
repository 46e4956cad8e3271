/* Where tensors live: in the host's memory, or in a device's. Model code allocates and moves tensors only through here,
 * and hands their addresses to operators; it never looks inside one that may lie on a device.
 *
 * All of it is ordered with the operators of the same exec. */
#ifndef SAMC_RUNTIME_PLACE_H
#define SAMC_RUNTIME_PLACE_H

#include "kernels/ops.h"

struct samc__place {
    bool host;                                               /* tensors are host memory */
    void *(*allocate)(const samc__exec *exec, size_t bytes); /* NULL when there is no more */
    void (*release)(const samc__exec *exec,
                    void *tensor); /* NULL is allowed; operators already started may still use it */
    /* `rows` rows of `bytes` bytes, `pitch` apart on the host, densely into the tensor. The host's memory is free on
     * return. */
    samc_status (*upload)(const samc__exec *exec, void *tensor, const void *from, size_t pitch, size_t bytes,
                          size_t rows);
    /* The way back: rows `pitch` apart in the tensor, densely to the host, where they are on return. */
    samc_status (*download)(const samc__exec *exec, void *to, const void *tensor, size_t pitch, size_t bytes,
                            size_t rows);
    /* `rows` rows of `bytes` bytes between tensors that do not overlap. */
    samc_status (*copy)(const samc__exec *exec, void *to, size_t to_pitch, const void *from, size_t from_pitch,
                        size_t bytes, size_t rows);
    /* An image's rows where operators can read them, until the next call of `image_read`. *pitch: bytes between its
     * rows. */
    samc_status (*image)(const samc__exec *exec, const samc_image *image, const uint8_t **pixels, ptrdiff_t *pitch);
    samc_status (*image_read)(const samc__exec *exec);
    /* What `exec` does from now on happens after all that `earlier` was told so far. */
    samc_status (*wait)(const samc__exec *exec, const samc__exec *earlier);
    /* On a device alone: asks rows `pitch` apart down without waiting, into box `number`, whose contents before are
     * gone; and waits until they are there, dense, to be read until the box is used again. */
    samc_status (*fetch)(const samc__exec *exec, int number, const void *tensor, size_t pitch, size_t bytes,
                         size_t rows);
    samc_status (*fetched)(const samc__exec *exec, int number, const void **contents);
};

enum { SAMC__BOXES = 4 };

extern const samc__place samc__place_host;

static inline void *samc__tensor_allocate(const samc__exec *exec, size_t bytes) {
    return exec->place->allocate(exec, bytes);
}
static inline void samc__tensor_release(const samc__exec *exec, void *tensor) { exec->place->release(exec, tensor); }
static inline samc_status samc__upload(const samc__exec *exec, void *tensor, const void *from, size_t bytes) {
    return exec->place->upload(exec, tensor, from, bytes, bytes, 1);
}
static inline samc_status samc__download(const samc__exec *exec, void *to, const void *tensor, size_t bytes) {
    return exec->place->download(exec, to, tensor, bytes, bytes, 1);
}
static inline samc_status samc__copy_rows(const samc__exec *exec, void *to, size_t to_pitch, const void *from,
                                          size_t from_pitch, size_t bytes, size_t rows) {
    return exec->place->copy(exec, to, to_pitch, from, from_pitch, bytes, rows);
}

/* A tensor that stands for `bytes` of the host's memory: that memory itself on a host, else a new one, with the
 * memory's contents if `filled`. `collect` brings the first `bytes` back and releases it; with 0 bytes it only
 * releases. */
samc_status samc__lend(const samc__exec *exec, void *memory, size_t bytes, bool filled, void **tensor);
samc_status samc__collect(const samc__exec *exec, void *memory, void *tensor, size_t bytes);

/* A tensor's contents for the host to read: the tensor itself on a host, else a copy; NULL and the error set when that
 * fails. Of rows that are *pitch apart, the copy is dense and *pitch becomes `bytes`. */
const void *samc__read_rows(const samc__exec *exec, const void *tensor, size_t *pitch, size_t bytes, size_t rows);
const void *samc__read(const samc__exec *exec, const void *tensor, size_t bytes);
void samc__read_end(const samc__exec *exec, const void *tensor, const void *contents);

#endif
