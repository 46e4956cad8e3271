/* Reading tar and tar.gz archives member by member (libarchive). */
#ifndef SAMC_HOST_TAR_H
#define SAMC_HOST_TAR_H

#include "runtime/samc.h"

/* True for names that end in .tar, .tar.gz or .tgz, in any case. */
bool samc__tar_is(const char *path);

typedef struct samc__tar samc__tar;

samc_status samc__tar_open(const char *path, samc__tar **tar, samc_error *error);
void samc__tar_close(samc__tar *tar); /* NULL is allowed */

/* Goes to the next regular file; links, folders and devices are passed over. *name is NULL at the end, else valid until the next
 * call. A damaged archive is an error, after the members before the damage. */
samc_status samc__tar_next(samc__tar *tar, const char **name, samc_error *error);
/* Reads that file, which may have at most `limit` bytes. The caller frees *bytes (never NULL on success). After an error other
 * than SAMC_UNSUPPORTED (too large) the archive cannot be read further. */
samc_status samc__tar_read(samc__tar *tar, size_t limit, uint8_t **bytes, size_t *size, samc_error *error);

#endif
