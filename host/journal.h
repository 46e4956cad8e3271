/* The journal of an archive run: which images are done, and how long the collected files were then. With it stand the options and the
 * inputs of the run, which a resumed one must share.
 *
 *   <state>/run.json   options and model, as one JSON object
 *   <state>/inputs     keys and sources of all inputs, each ended by a zero byte
 *   <state>/journal    the line "samc journal 1", then one line an image, in the order of the inputs */
#ifndef SAMC_HOST_JOURNAL_H
#define SAMC_HOST_JOURNAL_H

#include <jansson.h>
#include <stdio.h>

#include "host/inputs.h"
#include "host/store.h"

enum { SAMC__JOURNAL_LINE = 256 }; /* longest line, with its end */

/* One image that is done. Lengths and sums are those after it. */
typedef struct samc__record {
    int64_t number;      /* of the image in this run: 0, 1, 2, ... */
    bool failed;
    int64_t masks;       /* of all images so far */
    int64_t failures;    /* so far */
    int64_t lines, annotations, images, errors; /* bytes of the collected files */
} samc__record;

/* The line of a record with its checksum and line feed, 0-terminated; returns its length. */
int samc__record_print(const samc__record *record, char line[SAMC__JOURNAL_LINE]);
/* Reads a line without its line feed; false where it is damaged. */
bool samc__record_parse(const char *line, size_t length, samc__record *record);

typedef struct samc__journal {
    samc__stream stream;
    samc__record last; /* number -1: nothing is done */
} samc__journal;

/* True where a run was begun in that folder. */
bool samc__journal_exists(const samc__store *store);
/* Begins: writes run.json and inputs, then the empty journal, whose presence is what makes the run. `options` stays the caller's. */
samc_status samc__journal_create(samc__journal *journal, samc__store *store, const json_t *options, const samc__inputs *inputs,
                                 samc_error *error);
/* Goes on: refuses other options or inputs, naming the difference, finds the last good record, cuts off what follows. */
samc_status samc__journal_resume(samc__journal *journal, samc__store *store, const json_t *options, const samc__inputs *inputs,
                                 samc_error *error);
/* Finds the last good record and the length of what precedes the first bad line; false without the first line. */
bool samc__journal_scan(FILE *file, samc__record *last, int64_t *good);

/* Compares with <root>/<name>/run.json, leaving out `except` (may be NULL). The error names every difference. */
samc_status samc__journal_same_options(const char *root, const char *name, const json_t *options, const char *except, samc_error *error);

#endif
