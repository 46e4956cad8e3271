/* Marks of the results that are about to get their names, in <state>/marks: by them a resumed run knows what the one
 * before it wrote and did not come to record, and takes it back. What has no mark is somebody else's. */
#ifndef SAMC_HOST_IO_MARKS_H
#define SAMC_HOST_IO_MARKS_H

#include "host/io/stream.h"

typedef struct samc__marks {
    samc__stream stream;
    char *text; /* what is not yet written; owned */
    size_t used, room;
} samc__marks;

/* Makes the file, or empties it. */
samc_status samc__marks_open(samc__marks *marks, samc__store *store, samc_error *error);
void samc__marks_close(samc__marks *marks);
void samc__marks_remove(samc__store *store);
/* The result <state>/tmp/<scratch> of record `number` and the image `key`; `mark` tells which of its results it is. */
samc_status samc__marks_add(samc__marks *marks, const samc__store *store, int64_t number, const char *key,
                            const char *mark, const char *scratch, samc_error *error);
/* An image that failed, by its source: its line in errors.jsonl may be the first. */
samc_status samc__marks_add_failure(samc__marks *marks, int64_t number, const char *source, samc_error *error);
/* These marks take the place of those before, whose results are recorded by now, and are synced. */
samc_status samc__marks_write(samc__marks *marks, const samc__store *store, samc_error *error);

typedef struct samc__mark {
    int64_t number;
    char *text;         /* the key, of a failure the source; owned */
    char mark[20];      /* "-": a failure */
    struct stat result; /* its kind, size and time */
} samc__mark;

/* The marks of records behind `last`, *marks [*count], for samc__marks_free(). None where the file is missing or what a
 * crash left of it. */
samc_status samc__marks_read(const samc__store *store, int64_t last, samc__mark **marks, int *count, samc_error *error);
void samc__marks_free(samc__mark *marks, int count);

#endif
