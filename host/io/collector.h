/* What an archive run collects, and the names of its files: shared by the end of the run (collect.h) and by what goes
 * on with one that was interrupted (resume.h). */
#ifndef SAMC_HOST_IO_COLLECTOR_H
#define SAMC_HOST_IO_COLLECTOR_H

#include "host/io/image.h"
#include "host/io/inputs.h"
#include "host/io/journal.h"
#include "host/io/marks.h"
#include "host/io/masks.h"

/* Names of the state folder, and of a collected file of the output: ".samc" and "masks.jsonl", or ".samc-2-of-8" and
 * "masks.2-of-8.jsonl". `name` has room for 128 characters; `part` >= 0 numbers a file of several. */
void samc__archive_state_name(const samc_archive_options *options, char *name);
void samc__archive_file_name(const samc_archive_options *options, const char *stem, const char *ending, int64_t part,
                             char *name);

/* One image on its way. */
typedef struct samc__job {
    int64_t number;       /* of its record */
    int64_t image, input; /* in this run; in the list, or the unit's there */
    const char *key, *source;
    char *names;             /* of both, where the list of inputs does not have them; owned */
    const char *member_name; /* the key below its archive, of a unit's member */
    int64_t unit, member;    /* as in its record */
    bool ends, last;         /* it is the end of an archive and no image; the last of the run */
    uint8_t *bytes;          /* of a member of an archive; owned */
    size_t size;
    bool counted;   /* `size` is counted as a member in flight */
    bool in_flight; /* counted as a picture, with `held` bytes, from reading until its results are written */
    bool alone;     /* it did not fit in memory, and this is the second attempt, with no other picture in flight */
    int64_t held;
    samc__picture picture; /* its size stays when its pixels are freed; owned */
    samc_mask *masks;      /* [count]; owned, and so is a reference to their run lengths */
    int count;
    samc_auto_stats stats;
    samc__masks_text text;
    int code;         /* errno of what kept it from being read, 0 where the system had no part in it */
    samc_error error; /* status other than SAMC_OK: the image failed */
    double load_seconds, write_seconds, commit_seconds;
    int fill[4]; /* images in the queue before load, compute, write and commit when this one left it */
} samc__job;

/* An image that had failed, and is tried once more behind all others. */
static inline bool samc__job_is_again(const samc__job *job) { return job->unit < 0 && job->image != job->number; }

typedef struct samc__collector {
    const samc_archive_options *options;
    const samc__inputs *inputs;
    const char *const *globs; /* that chose them, ended by NULL */
    int64_t units;            /* of the run, where archives are read as they come: nobody knows `total` and `end`, which
                                 are INT64_MAX, before the last one is over. -1: images are listed */
    const samc_phrases *phrases; /* COCO's categories, or NULL */
    int64_t total,
        end;         /* images of the run; records when it is through: images, then failed ones that are tried again */
    int64_t retries; /* of these */
    samc__store *store;
    samc__journal *journal;
    samc__record last; /* added, perhaps not yet committed */
    samc__stream lines, annotations, images, errors, samples;
    samc__marks marks;
    samc__mark *left; /* [left_count], results that the run before did not come to record; owned */
    int left_count;
    char *records; /* lines for the journal; owned */
    size_t records_used, records_room;
} samc__collector;

/* Where a unit stands in the list of inputs, and the name of the archive that it becomes. */
static inline int64_t samc__collector_unit(const samc__collector *c, int64_t unit) {
    return unit * c->options->shards + c->options->shard;
}
/* Of the state folder. */
void samc__samples_name(int64_t unit, char name[SAMC__STORE_NAME]);

/* The image of a record that is still to be made, and its place in the list of inputs. */
int64_t samc__collector_image(const samc__collector *collector, int64_t number, int64_t *input);

#endif
