/* One state folder of a run over a scene: its journal and the files that it has the lengths of. */
#ifndef SAMC_HOST_IO_SCENE_STATE_H
#define SAMC_HOST_IO_SCENE_STATE_H

#include "host/io/inputs.h"
#include "host/io/journal.h"
#include "host/io/marks.h"
#include "host/io/scene_job.h"

/* Masks that were emitted and are not yet appended to a file. */
typedef struct samc__scene_emitted {
    samc__scene_record *records; /* [count], owned */
    int64_t count, room;
    uint32_t *counts; /* [used], one mask's after the other's; owned */
    int64_t used, counts_room;
} samc__scene_emitted;

samc_status samc__scene_emitted_add(void *emitted, const samc__scene_record *record, const uint32_t *counts,
                                    samc_error *error); /* a samc__scene_emit */
void samc__scene_emitted_free(samc__scene_emitted *emitted);

typedef struct samc__scene_state {
    const samc__scene_job *job;
    samc__scene_counts *counts;
    samc__store store;
    samc__inputs inputs; /* the scene */
    samc__journal journal;
    samc__record last; /* added, perhaps not yet committed */
    samc__stream records, errors, refined, stitched;
    char *lines; /* of the journal, not yet written; owned */
    size_t used, room;
    char *told; /* all lines of `errors`, as a text; owned */
    size_t told_length, told_written;
    bool no_memory; /* for a line of that */
} samc__scene_state;

void samc__scene_state_none(samc__scene_state *state, const samc__scene_job *job, samc__scene_counts *counts);
/* Begins, or goes on behind what the journal has; `name` is the folder's. A run that is there and not to be resumed,
 * and one of other options, are refused. */
samc_status samc__scene_state_open(samc__scene_state *state, const char *name, bool resume, samc_error *error);
/* A part of the scene cannot be read: a line of errors.jsonl, unless it has one. */
void samc__scene_state_bad(void *state, const char *text);
/* How many there are. */
int64_t samc__scene_state_bad_parts(const samc__scene_state *state);
/* The next piece of work is done and gave these masks, which go to `stream`. */
samc_status samc__scene_state_add(samc__scene_state *state, samc__stream *stream, const samc__scene_emitted *emitted,
                                  samc_error *error);
/* The results have their names: there is nothing to be done any more. */
samc_status samc__scene_state_end(samc__scene_state *state, samc_error *error);
/* What was added is synced, then its records. */
samc_status samc__scene_state_commit(samc__scene_state *state, samc_error *error);
void samc__scene_state_close(samc__scene_state *state);

/* Lines of a file `errors`, of which `length` bytes count, that this state does not have. */
samc_status samc__scene_state_take_errors(samc__scene_state *state, const samc__store *store, int64_t length,
                                          samc_error *error);
/* Refuses names of results that somebody else's files have. */
samc_status samc__scene_check_results(samc__scene_state *state, samc_error *error);

/* The name of a shard's state folder, which is that of an archive run. */
void samc__scene_state_name(int shard, int shards, char name[SAMC__STORE_NAME]);
/* The shard of a row of tiles that begins with the tile `first` of `total`. */
static inline int samc__scene_shard_of(int64_t first, int64_t total, int shards) {
    return (int)(first * shards / total);
}
/* How many tiles a shard has; shards < 0: all. */
int64_t samc__scene_tiles_of(const samc__scene_plan *plan, int shard, int shards);

/* Calls work() for each context, [count] of at most SAMC__SCENE_ENGINES, at the same time, and waits for all. */
void samc__scene_together(void *(*work)(void *context), void *const *contexts, int count);

/* What comes behind the last tile: `state` is that of the tiles, all of them where there is one shard. */
samc_status samc__scene_finish(samc__scene_state *state, samc_error *error);

#endif
