/* The archive run: images flow through bounded queues from files to results.
 *
 *   reader (1) -> load (several) -> compute (one for each session) -> write (several) -> commit (1)
 *   names, tar     decode pixels     samc_auto() on a batch            text, pictures,    in the order of the inputs:
 *                                                                      synced files       rename, collected files,
 * journal
 *
 * The jobs that go through them are made once; the committer hands them back to the reader, so that their number bounds
 * everything, and samc__budget bounds what they hold. An image that does not fit in memory is tried once more when it
 * is its turn to be committed, with no other picture in flight. */
#ifndef SAMC_HOST_IO_ARCHIVE_H
#define SAMC_HOST_IO_ARCHIVE_H

#include <signal.h>

#include "host/io/inputs.h"
#include "host/io/journal.h"
#include "runtime/base/writer.h"

typedef struct samc__archive_options {
    unsigned formats;       /* samc__auto_format bits */
    int shard, shards;      /* this run has the inputs i with i % shards == shard */
    int64_t lines_per_file; /* images in one file of JSON lines */
    int64_t max_pixels;
    int load_threads, write_threads;
    int batch_images; /* most images handed to samc_auto() at once */
    int queue;        /* images waiting between two stages */
    int64_t memory;   /* bytes that pictures and members of archives in flight may hold; one always passes */
    bool quiet;
    bool retry_failed;   /* images that are recorded as failed are tried again, behind all others */
    samc__writer *stats; /* open, for seconds and counts of each image, or NULL; committed by the run */
    samc_auto_options automatic;
} samc__archive_options;

/* How it ended. */
typedef struct samc__archive_result {
    int64_t total, done,
        failures; /* images of this run; those done by it and by runs before; those of them that failed */
    int signal;   /* that stopped it before its end, or 0 */
} samc__archive_result;

/* SIGINT, SIGTERM and SIGHUP, unless the parent had them ignored (nohup), are blocked and read from a file: to be
 * opened before any thread is started, also those of sessions. */
typedef struct samc__signals {
    int handle;
    sigset_t before; /* what was blocked then */
} samc__signals;
samc__signals samc__signals_open(void);
void samc__signals_close(samc__signals *signals);

/* Names of the state folder, and of a collected file of the output: ".samc" and "masks.jsonl", or ".samc-2-of-8" and
 * "masks.2-of-8.jsonl". `name` has room for 128 characters; `part` >= 0 numbers a file of several. */
void samc__archive_state_name(const samc__archive_options *options, char *name);
void samc__archive_file_name(const samc__archive_options *options, const char *stem, const char *ending, int64_t part,
                             char *name);

typedef struct samc__collector samc__collector; /* collect.h */

/* Runs to the end, to a failure or to a signal. Prints one JSON object a line for each image on the standard output.
 * SAMC_OK means that everything is done or that a signal stopped it; images that failed are in errors.jsonl. The
 * collector is open. */
samc_status samc__archive_run(const samc__archive_options *options, samc_session *const *sessions, int session_count,
                              const samc__signals *signals, samc__collector *collector, samc__archive_result *result,
                              samc_error *error);

#endif
