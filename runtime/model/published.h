/* Files by their bytes: their hash, and those of them that were published. */
#ifndef SAMC_RUNTIME_MODEL_PUBLISHED_H
#define SAMC_RUNTIME_MODEL_PUBLISHED_H

#include <stdint.h>

#include "weights/checkpoint.h"

typedef struct samc__published {
    const char *name;
    uint64_t size;      /* in bytes; 0: not known for sure, but the encoder's kind */
    const char *sha256; /* of the file */
    const char *recipe; /* a name among its encoder's */
    const char *encoder;
} samc__published;

/* A NULL name ends it. */
extern const samc__published samc__published_files[];

/* SHA-256 of the checkpoint's file, or of its files one after another; 64 hexadecimal digits and a NUL. */
samc_status samc__files_hash(const samc__checkpoint *checkpoint, char hex[65], samc_error *error);

/* The row that the checkpoint's file is; NULL where it is none. A file is read for its hash only where it has the size
 * of one, or the kind of encoder. */
const samc__published *samc__published_find(const samc__published *rows, const samc__checkpoint *checkpoint,
                                            const char *encoder);

#endif
