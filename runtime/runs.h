/* Where the run lengths of masks are kept, as COCO's compressed text: a fifth of the memory that the numbers take, and
 * what nearly everybody wants of them. */
#ifndef SAMC_RUNTIME_RUNS_H
#define SAMC_RUNTIME_RUNS_H

#include "runtime/base/coco.h"

typedef struct samc__exec samc__exec; /* kernels/ops.h */

/* With one reference; NULL without memory. `folder` is the spool's, and must last as long as run lengths are added. */
samc_runs *samc__runs_create(const char *folder);

/* Where the run lengths of one mask are. */
typedef struct samc__run_place {
    int64_t at;    /* of the first character */
    size_t length; /* in characters */
    size_t count;
} samc__run_place;

samc_status samc__runs_add(samc_runs *runs, const uint32_t *counts, size_t count, samc__run_place *place,
                           samc_error *error);
/* counts [place->count] */
samc_status samc__runs_read(const samc_runs *runs, const samc__run_place *place, uint32_t *counts, samc_error *error);

/* Run lengths of the mask in the tensor `bits` [height, words], into the host's counts [capacity]. *length: how many
 * there are; where that is more than the capacity, the counts say nothing. */
samc_status samc__runs_of_bits(const samc__exec *exec, const uint64_t *bits, int width, int height, uint32_t *counts,
                               int64_t capacity, int64_t *length);

#endif
