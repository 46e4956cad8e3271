/* The masks of a scene while it is worked on, on the disk but for what is known of each: entries that are appended to a
 * file of the run, and all of them by number when they are read back. */
#ifndef SAMC_HOST_IO_SCENE_SPOOL_H
#define SAMC_HOST_IO_SCENE_SPOOL_H

#include "host/io/scene_record.h"
#include "host/io/stream.h"

/* Appends a record with its run lengths and their checksum. */
samc_status samc__scene_spool_append(samc__stream *stream, const samc__store *store, const samc__scene_record *record,
                                     const uint32_t *counts, samc_error *error);

/* Where an entry's run lengths are. */
typedef struct samc__scene_place {
    int32_t file;
    int64_t at;
} samc__scene_place;

/* All zero: none yet. */
typedef struct samc__scene_spool {
    samc__scene_record *records; /* [count], owned: 128 bytes a mask with its place are all that is in memory */
    samc__scene_place *places;   /* [count], owned */
    int64_t count, room;
    int64_t most; /* run lengths of the mask that has most */
    int *files;   /* [file_count], open; owned */
    int file_count;
} samc__scene_spool;

/* Adds the entries of a file of the store's state folder, of which the first `length` bytes count; the file stays open.
 * One that is damaged is named. */
samc_status samc__scene_spool_add(samc__scene_spool *spool, const samc__store *store, const char *name, int64_t length,
                                  samc_error *error);
/* Into the order of the work, in place: by level, the coarsest first, tile row, tile column and index. */
samc_status samc__scene_spool_sort(samc__scene_spool *spool, samc_error *error);
/* Leaves those of which keep [count] is not 0. */
void samc__scene_spool_filter(samc__scene_spool *spool, const uint8_t *keep);
/* counts [records[i].count]. By any thread. */
samc_status samc__scene_spool_read(const samc__scene_spool *spool, int64_t i, uint32_t *counts, samc_error *error);
void samc__scene_spool_free(samc__scene_spool *spool);

#endif
