/* What a run over a scene is asked for, and what it has come to. */
#ifndef SAMC_HOST_IO_SCENE_JOB_H
#define SAMC_HOST_IO_SCENE_JOB_H

#include <jansson.h>
#include <stdatomic.h>

#include "host/io/scene_engine.h"
#include "host/io/scene_sink.h"

enum { SAMC__SCENE_ENGINES = 64, SAMC__SCENE_SHARDS = 100000, SAMC__SCENE_SINKS = 16 };

typedef enum samc__scene_phase {
    SAMC__SCENE_TILES,
    SAMC__SCENE_REFINING, /* of windows */
    SAMC__SCENE_WRITING,  /* of masks */
} samc__scene_phase;

/* What a run has come to. */
typedef struct samc__scene_counts {
    samc__scene_phase phase;
    int64_t total, done, before; /* of the phase, of this shard; `before`: by runs before this one */
    int64_t masks;               /* that the tiles gave */
    int64_t left;                /* after the last suppression; 0 until then */
    int64_t bad;                 /* parts of the scene that could not be read */
    int waiting; /* shards that are not through, so that nothing is written; -1: another process is writing it */
} samc__scene_counts;

typedef struct samc__scene_job {
    const char *output; /* folder */
    const char *input;  /* the scene's path, as it was given */
    const char *stem;   /* of the results' names */
    int shard, shards;
    bool resume, no_sync;
    const json_t *options; /* what the results depend on */
    samc__scene_source *source;
    const samc__scene_plan *plan;
    const samc__scene_engine *engines; /* [engine_count], of sessions on the same model */
    int engine_count, batch;           /* tiles that a session takes together, at most */
    samc__scene_thresholds thresholds;
    samc__scene_sink *sinks; /* [sink_count] */
    int sink_count;
    const atomic_bool *stopping; /* ends the run after the tiles at work; NULL: nothing does */
    void (*tick)(void *context, const samc__scene_counts *counts); /* after each group; NULL: nobody wants to know */
    void *context;
} samc__scene_job;

#endif
