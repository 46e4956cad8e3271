/* How far a long run is, for people: one line that is rewritten on a terminal, now and then a plain line in a log. */
#ifndef SAMC_HOST_CLI_PROGRESS_H
#define SAMC_HOST_CLI_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

#include "host/io/samc_io.h"

typedef struct samc__progress {
    bool quiet, terminal;
    int64_t total, before; /* images of the run, and how many were done when it began */
    double begun, printed; /* seconds of the monotonic clock */
    const char *unit;      /* "images" */
    bool shown;            /* a line without an end stands on the terminal */
} samc__progress;

/* What is done so far, before this run included; masks are those of this run. */
typedef struct samc__progress_count {
    int64_t images, masks, failures;
} samc__progress_count;

/* `total` -1: nobody knows. */
samc__progress samc__progress_begin(bool quiet, int64_t total, int64_t before);
/* To be called often; prints five times a second on a terminal, every ten seconds otherwise. */
void samc__progress_tick(samc__progress *progress, samc__progress_count count);
/* Takes the line off the terminal, so that something else can be printed. */
void samc__progress_clear(samc__progress *progress);
/* The last line, with the time that it took. */
void samc__progress_end(samc__progress *progress, samc__progress_count count);

/* Where the time of a run went and how full the queues were: a stage behind a full queue and before an empty one is the
 * slowest. */
void samc__progress_stages(const samc_archive *archive, double wall);

#endif
