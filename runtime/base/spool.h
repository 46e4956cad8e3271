/* Bytes that are appended and read back, however many: in memory as long as all spools of the process hold less than a
 * budget together, beyond it in a temporary file. One thread at a time appends; any number read what was appended
 * before. */
#ifndef SAMC_RUNTIME_BASE_SPOOL_H
#define SAMC_RUNTIME_BASE_SPOOL_H

#include "runtime/samc.h"

enum { SAMC__SPOOL_BUDGET = 256 << 20 };
#define SAMC__SPOOL_FOLDER "/var/tmp" /* on a disk where /tmp may be memory */

typedef struct samc__spool {
    const char *folder; /* for the temporary file, the owner's; NULL: SAMC__SPOOL_FOLDER */
    char *bytes;        /* the first `held`; owned */
    int64_t held, room;
    int64_t length; /* held and in the file */
    int file;       /* descriptor + 1 of the rest, whose name is gone already; 0: there is none */
} samc__spool;      /* empty when all but the folder is zero */

/* Errors: no memory; a temporary file that cannot be made or written. */
samc_status samc__spool_append(samc__spool *spool, const void *bytes, size_t size, samc_error *error);
/* `size` bytes from `at` on, which are there. */
samc_status samc__spool_read(const samc__spool *spool, int64_t at, void *bytes, size_t size, samc_error *error);
void samc__spool_free(samc__spool *spool);

/* A descriptor of a new file in the folder whose name is gone already; -1 and errno, ENOMEM where there is no memory.
 */
int samc__unnamed_file(const char *folder);

/* Another budget, for tests. */
void samc__spool_set_budget(int64_t bytes);

#endif
