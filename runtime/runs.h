/* Where the run lengths of an image's automatic masks are kept, as COCO's compressed text: a fifth of the memory that
 * the numbers take, and what nearly everybody wants of them. */
#ifndef SAMC_RUNTIME_RUNS_H
#define SAMC_RUNTIME_RUNS_H

#include "runtime/base/coco.h"

/* With one reference; NULL without memory. `folder` is the spool's, and must last as long as run lengths are added. */
samc_auto_runs *samc__runs_create(const char *folder);

/* Where the run lengths of one mask are. */
typedef struct samc__run_place {
    int64_t at;    /* of the first character */
    size_t length; /* in characters */
    size_t count;
} samc__run_place;

samc_status samc__runs_add(samc_auto_runs *runs, const uint32_t *counts, size_t count, samc__run_place *place,
                           samc_error *error);
/* counts [place->count] */
samc_status samc__runs_read(const samc_auto_runs *runs, const samc__run_place *place, uint32_t *counts,
                            samc_error *error);

#endif
