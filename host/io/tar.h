/* Reading archives member by member: tar, by itself or compressed with gzip, xz, bzip2 or zstd, and zip. */
#ifndef SAMC_HOST_IO_TAR_H
#define SAMC_HOST_IO_TAR_H

#include "host/io/unpack.h"
#include "runtime/samc.h"

/* True for names that end in .tar, .tar.gz, .tgz, .tar.xz, .txz, .tar.bz2, .tbz2, .tbz, .tar.zst, .tzst or .zip, in any
 * case. */
bool samc__tar_is(const char *path);
/* The length of a name without such an ending. */
size_t samc__tar_stem(const char *path);

typedef struct samc__tar samc__tar;

typedef enum samc__tar_kind {
    SAMC__TAR_FILE,
    SAMC__TAR_HARD_LINK,
    SAMC__TAR_SYMBOLIC_LINK,
    SAMC__TAR_FOLDER,
    SAMC__TAR_OTHER
} samc__tar_kind;

/* A member. `link` is what a link leads to, "" for others. Both are valid until the next call. */
typedef struct samc__tar_entry {
    const char *name, *link;
    samc__tar_kind kind;
} samc__tar_entry;

/* Opens a regular file. On failure *tar is NULL, and *code the system's reason, or 0 where it is the file's own. */
samc_status samc__tar_open(const char *path, samc__tar **tar, int *code, samc_error *error);
/* A tar, compressed or not, from what cannot be read twice. */
samc_status samc__tar_open_flow(const char *name, const samc__flow *flow, samc__tar **tar, int *code,
                                samc_error *error);
void samc__tar_close(samc__tar *tar); /* NULL is allowed */

/* Goes to the next member. entry->name is NULL at the end. A damaged archive is an error, after the members before the
 * damage; so is one without its end (two blocks of zeros, the directory of a zip) and one whose compressed data has a
 * wrong checksum or length. */
samc_status samc__tar_next(samc__tar *tar, samc__tar_entry *entry, samc_error *error);
/* Reads the file that samc__tar_next() stands at, which may have at most `limit` bytes. The caller frees *bytes (never
 * NULL on success). */
samc_status samc__tar_read(samc__tar *tar, size_t limit, uint8_t **bytes, size_t *size, samc_error *error);
/* After an error: whether the archive cannot be read further; errno where the system was the reason, 0 where the bytes
 * were. */
bool samc__tar_broken(const samc__tar *tar);
int samc__tar_code(const samc__tar *tar);

#endif
