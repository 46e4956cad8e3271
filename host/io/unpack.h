/* A file's bytes, decompressed on the way: as they are, or out of gzip, xz, bzip2 or zstd, which its first bytes tell.
 */
#ifndef SAMC_HOST_IO_UNPACK_H
#define SAMC_HOST_IO_UNPACK_H

#include <stdatomic.h>
#include <sys/types.h>

#include "runtime/samc.h"

typedef struct samc__unpack samc__unpack;

/* Opens a regular file. On failure *unpack is NULL and *code the system's reason, or 0 where it is the file's own. */
samc_status samc__unpack_open(const char *path, samc__unpack **unpack, int *code, samc_error *error);
/* The same of what cannot be read twice, a pipe or the standard input, from where it stands. */
typedef struct samc__flow {
    int handle;
    uint8_t head[512]; /* [head_size], bytes before those that are still to be read */
    size_t head_size;
    const atomic_bool *stopping; /* reading gives up, with ECANCELED, when it becomes true. NULL: never */
} samc__flow;
samc_status samc__unpack_open_flow(const char *name, const samc__flow *flow, samc__unpack **unpack, int *code,
                                   samc_error *error);
void samc__unpack_close(samc__unpack *unpack); /* NULL is allowed; the handle of a flow stays open */

/* The next bytes into *block, valid until the next call. Returns how many, 0 at the end; -1 for damage (a wrong
 * checksum or length, a stream that is cut off or followed by garbage) and for what the system refuses: the reason is
 * then in `error`. */
ssize_t samc__unpack_read(samc__unpack *unpack, const void **block, samc_error *error);
/* Passes over up to `count` bytes without reading them; returns how many, 0 where they have to be read. Never beyond
 * the end. */
int64_t samc__unpack_skip(samc__unpack *unpack, int64_t count);
/* Goes elsewhere in a file that is not compressed: as lseek(). */
int64_t samc__unpack_seek(samc__unpack *unpack, int64_t offset, int whence);
/* How many bytes were read and passed over so far. */
int64_t samc__unpack_position(const samc__unpack *unpack);
/* errno of the read that failed, 0 where none did: then what is wrong is the bytes. */
int samc__unpack_code(const samc__unpack *unpack);
/* Whether the file has the zip directory's end in its last 64 KiB. */
bool samc__unpack_has_zip_end(samc__unpack *unpack);

#endif
