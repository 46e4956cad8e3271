/* Files that survive: results become visible whole, and what the journal calls done is on the disk, whatever happens.
 *
 * The order of fsync, for every group of images (docs: README, "Archives"):
 *   1. each result is written under <state>/tmp and synced: fsync(file), for a folder of pictures every file, then the folder;
 *   2. it is renamed to its final name;
 *   3. every folder that got a name is synced: fsync(folder), parents of new folders too;
 *   4. lines of the collected files (JSON lines, COCO, errors) are appended and synced: fsync(file);
 *   5. records of the journal are appended and synced: fsync(journal). From here on the images are done.
 *   6. a collected file that is complete by what the journal says is renamed to its final name: rename, fsync(folder).
 * A crash before 5 leaves at most whole results that the next run writes again, equal bytes, and tails of collected files, which it cuts off at
 * the lengths in the journal. A crash between 5 and 6 is made good by doing 6 first. So nothing that the journal has is ever lost or
 * done again, and nothing that it does not have matters. */
#ifndef SAMC_HOST_STORE_H
#define SAMC_HOST_STORE_H

#include "runtime/samc.h"

typedef struct samc__store {
    const char *root; /* the output folder, the caller's */
    char *state;      /* <root>/.samc or <root>/.samc-I-of-N: journal, unfinished files; owned */
    char *scratch;    /* <state>/tmp: what is not yet whole; owned */
    bool sync;        /* false: survives the death of the process, not that of the machine */
    bool replace;     /* a resumed run: what lies at a result's name was left by the interruption */
    char **folders;   /* that got new names since the last samc__store_sync_folders(); owned */
    int folder_count, folder_room;
    int lock;         /* the state folder, open and locked */
} samc__store;

/* Makes the folders and keeps other processes out. `name` is that of the state folder; store->sync and store->replace are set. */
samc_status samc__store_open(samc__store *store, const char *root, const char *name, samc_error *error);
void samc__store_close(samc__store *store);
/* After an interruption: syncs all that the run before left in the page cache, and empties <state>/tmp. */
samc_status samc__store_recover(samc__store *store, samc_error *error);
/* Removes results that were written and never published. */
samc_status samc__store_clear(const samc__store *store, samc_error *error);

/* "<state>/tmp/<number><suffix>", for any thread; NULL without memory. */
char *samc__store_scratch(const samc__store *store, int64_t number, const char *suffix);
/* fsync of a file or a folder, for any thread. */
samc_status samc__store_sync(const samc__store *store, const char *path, samc_error *error);
/* Removes a file, or a folder with the files in it; what does not exist is fine. */
void samc__store_remove(const char *path);

/* Renames a synced file or folder to <root>/<key><suffix>, making the folders on the way. One thread at a time. In a run that is not
 * resumed, a name that exists is an error: it belongs to somebody else. */
samc_status samc__store_publish(samc__store *store, const char *scratch, const char *key, const char *suffix, samc_error *error);
samc_status samc__store_sync_folders(samc__store *store, samc_error *error);

/* A file that lines are appended to. */
typedef struct samc__stream {
    char *path, *final; /* where it grows, where it goes when complete (may be the same); owned */
    int handle;         /* -1: not open */
    int64_t length;
    bool dirty;         /* has bytes that are not synced */
} samc__stream;

/* Opens <state>/<name> (or, in place, <root>/<name>) and cuts it off at `length`. Shorter is an error: synced bytes are missing. */
samc_status samc__stream_open(samc__stream *stream, samc__store *store, const char *name, bool in_place, int64_t length, samc_error *error);
samc_status samc__stream_append(samc__stream *stream, const void *bytes, size_t size, samc_error *error);
samc_status samc__stream_sync(samc__stream *stream, const samc__store *store, samc_error *error);
/* Syncs, closes, and renames the file to <root>/<name>. */
samc_status samc__stream_publish(samc__stream *stream, samc__store *store, samc_error *error);
/* Closes it as it is. */
void samc__stream_close(samc__stream *stream);

#endif
