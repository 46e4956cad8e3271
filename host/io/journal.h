/* The journal of an archive run: which images are done, and how long the collected files were then. With it stand the
 * options and the inputs of the run, which a resumed one must share.
 *
 *   <root>/.samc-run.json  options and model, as one JSON object; the first run in a folder makes it, the other shards
 * must agree <state>/inputs         keys and sources of all inputs, each ended by a zero byte <state>/journal the line
 * "samc journal 3", then one line an image, in the order of the inputs; behind all of them one for each time that a
 * failed image was tried again. Where the unit of work is the input, an archive's end has a line too
 *
 * What a loss of power can leave of lines that were not synced is known: the last line cut short, or zeros up to the
 * end of a sector. There the journal ends. Any other line that is no record is damage, and nothing is done. */
#ifndef SAMC_HOST_IO_JOURNAL_H
#define SAMC_HOST_IO_JOURNAL_H

#include <jansson.h>
#include <stdio.h>

#include "host/io/inputs.h"
#include "host/io/stream.h"

enum { SAMC__JOURNAL_LINE = 288 }; /* longest line, with its end */

/* One image that is done. Lengths and sums are those after it. */
typedef struct samc__record {
    int64_t number; /* of the record: 0, 1, 2, ... */
    int64_t image;  /* number of the image in this run: the same, or an earlier one that is tried again */
    bool failed;
    bool ended;                                 /* it is the end of an archive and no image */
    int64_t masks;                              /* of all images so far */
    int64_t failures;                           /* so far, without those that were resolved */
    int64_t lines, annotations, images, errors; /* bytes of the collected files */
    int64_t samples; /* bytes of the archive that the unit becomes (SAMC_OUTPUT_WEBDATASET) */
    int64_t unit;   /* whose image it is, a number among those of this run; -1 where inputs are listed image by image */
    int64_t member; /* its place among the entries of the unit, -1: the unit is over with this record */
} samc__record;

/* Images up to a record, which may be none (number -1); not of retries. */
static inline int64_t samc__record_images(const samc__record *r) {
    return r->number < 0 ? 0 : r->unit < 0 ? r->number + 1 : r->image + !r->ended;
}

/* The line of a record with its checksum and line feed, 0-terminated; returns its length. */
int samc__record_print(const samc__record *record, char line[SAMC__JOURNAL_LINE]);
/* Reads a line without its line feed; false where it is damaged. */
bool samc__record_parse(const char *line, size_t length, samc__record *record);

/* What a journal holds. */
typedef struct samc__journal_scan {
    samc__record last; /* number -1: nothing is done */
    int64_t good;      /* bytes up to the end of the last record */
    bool foreign;      /* it does not begin as a journal */
    int64_t damaged;   /* number of the first line that is damaged, from 1; 0: none is */
    int64_t *failed;   /* [failed_count], images that failed and were not resolved since, in order; owned */
    int64_t failed_count, failed_room;
} samc__journal_scan;

/* False without memory. */
bool samc__journal_read(FILE *file, samc__journal_scan *scan);

typedef struct samc__journal {
    samc__stream stream;
    bool resumed; /* there was a run */
    samc__journal_scan scan;
    samc__record last; /* number -1: nothing is done */
} samc__journal;

/* True where a run was begun in that folder. */
bool samc__journal_exists(const samc__store *store);
/* Only looks: refuses other options or inputs, naming the difference, and a damaged journal; finds the last good
 * record. */
samc_status samc__journal_check(samc__journal *journal, const samc__store *store, const json_t *options,
                                const samc__inputs *inputs, samc_error *error);
/* Goes on behind the last good record; what follows it is cut off. */
samc_status samc__journal_resume(samc__journal *journal, samc__store *store, samc_error *error);
/* Begins: writes the inputs, then the empty journal, whose presence is what makes the run. */
samc_status samc__journal_create(samc__journal *journal, samc__store *store, const samc__inputs *inputs,
                                 samc_error *error);
/* Only looks: whether the folder is free, or its runs have the same options. */
samc_status samc__journal_agree(const samc__store *store, const json_t *options, samc_error *error);
/* Makes .samc-run.json, or compares with it: of runs that begin in one folder at the same time only those with the same
 * options go on. */
samc_status samc__journal_claim(samc__store *store, const json_t *options, samc_error *error);
void samc__journal_close(samc__journal *journal);

#endif
