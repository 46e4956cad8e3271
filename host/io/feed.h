/* The images of units of work, in their order: archives are read as they come, and nothing is known of what lies ahead.
 * Memory is that of one image, and 16 to 32 bytes for each name of the one archive that is open. */
#ifndef SAMC_HOST_IO_FEED_H
#define SAMC_HOST_IO_FEED_H

#include "host/io/collector.h"
#include "host/io/command.h"
#include "host/io/tar.h"

typedef struct samc__feed {
    const samc__inputs *inputs;
    const char *const *globs;
    const atomic_bool *stopping;
    atomic_llong *found, *skipped; /* images, and members that are none */
    int shard, shards;
    bool stems, maps;       /* results have the names of members without their extensions; copies and label maps too */
    bool pictures, samples; /* results are folders too; they are entries of an archive */
    int64_t unit, units;    /* that is open, or comes next; of this shard */
    int64_t member;         /* of the entry that was read last, -1: none was */
    int64_t passed;         /* entries up to this one are done already */
    int64_t images;         /* so far, of the whole run */
    samc__tar *tar;         /* NULL: the unit is not open */
    samc__command command;
    uint64_t *seen; /* [seen_room], a hash table of the names in this archive, 0: a free place */
    size_t seen_room, seen_count;
} samc__feed;

/* Behind `last`, the last record of the journal. */
samc__feed samc__feed_begin(const samc__collector *collector, const atomic_bool *stopping, atomic_llong *found,
                            atomic_llong *skipped);
/* Fills a job with the next image, an archive's with its bytes, or with the end of an archive. What is wrong with it is
 * in job->error, with job->code. False: there is nothing left, or the run stops. */
bool samc__feed_next(samc__feed *feed, samc__job *job);
void samc__feed_close(samc__feed *feed);

#endif
