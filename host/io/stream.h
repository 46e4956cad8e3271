/* Files that lines are appended to, cut off after an interruption at what the journal calls synced. */
#ifndef SAMC_HOST_IO_STREAM_H
#define SAMC_HOST_IO_STREAM_H

#include "host/io/store.h"

typedef struct samc__stream {
    char name[SAMC__STORE_NAME];
    bool in_root; /* it grows in the output folder, else in the state folder */
    int handle;   /* -1: not open */
    int64_t length;
    bool dirty; /* has bytes that are not synced */
} samc__stream;

/* Only looks: whether the file can be gone on with at `length`. What does not exist is fine at length 0. Else it has to
 * be a file with no other name, as long at least: bytes that were synced must not be missing. */
samc_status samc__stream_check(const samc__store *store, bool in_root, const char *name, int64_t length,
                               samc_error *error);
/* Opens it, makes it if it does not exist, and cuts it off. One in the output folder at length 0 must be new. */
samc_status samc__stream_open(samc__stream *stream, samc__store *store, bool in_root, const char *name, int64_t length,
                              samc_error *error);
samc_status samc__stream_append(samc__stream *stream, const samc__store *store, const void *bytes, size_t size,
                                samc_error *error);
/* Writes over its beginning, and syncs that. What stood behind it stays: a file that keeps its length and its place is
 * synced without the file system's journal, which many small ones would wait for. */
samc_status samc__stream_rewrite(samc__stream *stream, const samc__store *store, const void *bytes, size_t size,
                                 samc_error *error);
samc_status samc__stream_sync(samc__stream *stream, const samc__store *store, samc_error *error);
/* Syncs, closes, and moves the file from the state folder to the output folder. */
samc_status samc__stream_publish(samc__stream *stream, samc__store *store, samc_error *error);
/* Closes it as it is. */
void samc__stream_close(samc__stream *stream);

#endif
