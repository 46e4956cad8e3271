/* The archive's pipeline: images flow through bounded queues from files to results.
 *
 *   reader (1) -> load (several) -> compute (one for each session) -> write (several) -> commit (1)
 *   names, tar     decode pixels     samc_auto() on a batch            text, pictures,    in the order of the inputs:
 *                                                                      synced files       rename, collected files,
 *                                                                                         journal
 *
 * The jobs that go through them are made once; the committer hands them back to the reader, so that their number bounds
 * everything, and samc__budget bounds what they hold. An image that does not fit in memory is tried once more when it
 * is its turn to be committed, with no other picture in flight. */
#ifndef SAMC_HOST_IO_PIPELINE_H
#define SAMC_HOST_IO_PIPELINE_H

#include <stdatomic.h>

#include "host/io/collect.h"
#include "host/io/stats.h"

enum { SAMC__MOST_THREADS = 64, SAMC__MOST_BATCH = 256, SAMC__STAGES = 7 };

/* What the run has reached; read by any thread. */
typedef struct samc__progress_counts {
    atomic_llong done, masks, failures;
    atomic_llong found, skipped; /* by who reads archives as they come: images of this run, members that are none */
} samc__progress_counts;

/* All that the pipeline works on; the caller's. */
typedef struct samc__run {
    const samc_archive_options *options; /* with no number left to be chosen */
    const samc_auto_options *automatic;
    const samc_archive_text *text; /* its options too are there */
    samc__collector *collector;    /* open */
    samc__stats *stats;
    samc_session *const *sessions; /* [session_count] */
    int session_count;
    const samc_archive_events *events;
    samc__progress_counts *counts;
} samc__run;

typedef struct samc__pipeline samc__pipeline;

samc_status samc__pipeline_create(const samc__run *run, samc__pipeline **pipeline, samc_error *error);
/* Runs to the end, to a failure or until it is stopped, which is SAMC_OK too. */
samc_status samc__pipeline_run(samc__pipeline *pipeline, samc_error *error);
/* No new work; what is computed already is still written. From any thread while the pipeline exists. */
void samc__pipeline_stop(samc__pipeline *pipeline);
/* Where the time went. */
void samc__pipeline_stages(samc__pipeline *pipeline, samc_archive_stage stages[SAMC__STAGES]);
void samc__pipeline_destroy(samc__pipeline *pipeline);

/* Seconds of the monotonic clock. */
double samc__now(void);

#endif
