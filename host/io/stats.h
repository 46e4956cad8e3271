/* The file of seconds and counts of each image of an archive run: one JSON list. */
#ifndef SAMC_HOST_IO_STATS_H
#define SAMC_HOST_IO_STATS_H

#include "host/io/collect.h"
#include "runtime/base/writer.h"

typedef struct samc__stats {
    samc__writer writer; /* begins with a handle of -1 */
    bool open, begun;    /* it has its first entry */
} samc__stats;

samc_status samc__stats_open(samc__stats *stats, const char *path, samc_error *error);
/* Nothing where it is not open, as of what follows. */
samc_status samc__stats_add(samc__stats *stats, const samc__job *job, samc_error *error);
samc_status samc__stats_finish(samc__stats *stats, samc_error *error);
void samc__stats_abandon(samc__stats *stats);

#endif
