/* A read-only view of a zip archive in memory, as far as PyTorch's checkpoints use the format: entries stored
 * uncompressed.
 *
 * Why not a library: samc needs the bytes of an entry in place, inside the file's mapping, which libzip and libarchive
 * do not give. Sizes come from the central directory; the local header of an entry is checked when the entry is used.
 */
#ifndef SAMC_WEIGHTS_ZIP_H
#define SAMC_WEIGHTS_ZIP_H

#include "weights/reader.h"

typedef struct samc__zip_entry {
    const char *name; /* [name_length], inside the file, not NUL-terminated */
    uint32_t name_length;
    uint32_t method, flags;
    uint64_t packed_size, size;
    uint64_t header_at; /* of the local header */
} samc__zip_entry;

typedef struct samc__zip {
    const uint8_t *bytes;
    size_t size;
    const char *label;        /* for messages */
    samc__zip_entry *entries; /* [count], sorted by name */
    size_t count;
} samc__zip;

samc_status samc__zip_open(const uint8_t *bytes, size_t size, const char *label, samc__zip *zip, samc_error *error);
void samc__zip_close(samc__zip *zip);

const samc__zip_entry *samc__zip_find(const samc__zip *zip, const char *name, size_t length); /* NULL if absent */
/* The entry's bytes inside the file; fails if they are compressed, encrypted or not where the directory says. */
samc_status samc__zip_data(const samc__zip *zip, const samc__zip_entry *entry, const uint8_t **data, samc_error *error);

#endif
