/* The end of the archive run: results of images, in the order of the inputs, become files that survive. */
#ifndef SAMC_HOST_COLLECT_H
#define SAMC_HOST_COLLECT_H

#include "host/archive.h"
#include "host/auto_output.h"

/* One image on its way. */
typedef struct samc__job {
    int64_t number, input;  /* in this run, in the list */
    uint8_t *bytes;         /* of a member of an archive; owned */
    size_t size;
    bool member;            /* `size` is counted as a member in flight */
    bool in_flight;         /* counted as a picture, with `held` bytes, from reading until its results are written */
    bool alone;             /* it did not fit in memory, and this is the second attempt, with no other picture in flight */
    int64_t held;
    samc__picture picture;  /* its size stays when its pixels are freed; owned */
    samc_auto_mask *masks;  /* [count]; owned, and so is a reference to their run lengths */
    int count;
    samc_auto_stats stats;
    samc__auto_text text;
    int code;               /* errno of what kept it from being read, 0 where the system had no part in it */
    samc_error error;       /* status other than SAMC_OK: the image failed */
    double load_seconds, write_seconds, commit_seconds;
    int fill[4];            /* images in the queue before load, compute, write and commit when this one left it */
} samc__job;

typedef struct samc__collector {
    const samc__archive_options *options;
    const samc__inputs *inputs;
    int64_t total;
    samc__store *store;
    samc__journal *journal;
    samc__record last;      /* added, perhaps not yet committed */
    samc__stream lines, annotations, images, errors;
    char *records;          /* lines for the journal; owned */
    size_t records_used, records_room;
} samc__collector;

/* Opens at the journal's last record and makes good what a crash left undone. */
samc_status samc__collector_open(samc__collector *collector, const samc__archive_options *options, const samc__inputs *inputs, int64_t total,
                                 samc__store *store, samc__journal *journal, samc_error *error);
/* The next image: its files get their names, its lines are appended. Not yet safe. */
samc_status samc__collector_add(samc__collector *collector, const samc__job *job, samc_error *error);
/* All images added so far are done from now on, whatever happens. */
samc_status samc__collector_commit(samc__collector *collector, samc_error *error);
/* All images of the run are committed: the collected files become visible. */
samc_status samc__collector_finish(samc__collector *collector, samc_error *error);
void samc__collector_close(samc__collector *collector);

#endif
