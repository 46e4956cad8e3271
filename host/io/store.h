/* Files that survive: results become visible whole, and what the journal calls done is on the disk, whatever happens.
 *
 * The order of fsync, for every group of images (docs/archives.md):
 *   1. each result is written under <state>/tmp and synced: fsync(file), for a folder of pictures every file, then the
 * folder;
 *   2. what is about to get a name is marked and synced (marks.h), so that it is known again: fsync(marks);
 *   3. it is renamed to its final name;
 *   4. every folder that got a name is synced: fsync(folder), parents of new folders too;
 *   5. lines of the collected files (JSON lines, COCO, errors) are appended and synced: fsync(file);
 *   6. records of the journal are appended and synced: fsync(journal). From here on the images are done.
 *   7. a collected file that is complete by what the journal says is renamed to its final name: fsync of the folders
 * above the one that it goes to, rename, fsync(folder). The journal has it already: its only synced name must not
 * go for one in a folder that a loss of power takes.
 * A crash before 6 leaves at most whole results, which the next run takes back by their marks, and tails of collected
 * files, which it cuts off at the lengths in the journal. A crash between 6 and 7 is made good by doing 7 first. So
 * nothing that the journal has is ever lost or done again, and nothing that it does not have matters.
 *
 * The output folder may be somebody else's, or open to others. It is opened once, by its name, which may be a link;
 * from then on everything is found from there, component by component, and no symbolic link is followed. No name that
 * exists is written over. */
#ifndef SAMC_HOST_IO_STORE_H
#define SAMC_HOST_IO_STORE_H

#include <stdio.h>
#include <sys/stat.h>

#include "runtime/base/writer.h"

enum { SAMC__STORE_NAME = 128 }; /* room for the name of a file of the run's own */

typedef struct samc__store {
    const char *root;     /* the output folder, the caller's; for messages only once it is open */
    char *state;          /* <root>/.samc or <root>/.samc-I-of-N: journal, unfinished files; for messages, owned */
    char *scratch;        /* <state>/tmp: what is not yet whole; for messages, owned */
    const char *name;     /* of the state folder, in `state` */
    int top, folder, tmp; /* the three folders, open; the state folder is locked */
    char spill[40]; /* a name of tmp that leads there whatever happens to the folders above it: for text that is too
                       much for the memory */
    bool sync;      /* false: survives the death of the process, not that of the machine */
    bool begun;     /* there is a run: what was made for it stays */
    bool busy;      /* it could not be opened, because another process has it open */
    bool made_root, made_state, made_tmp;
    char **folders; /* that got new names since the last samc__store_sync_folders(), below the root; owned */
    int folder_count, folder_room;
} samc__store;

/* Makes the folders and keeps other processes out. `name` is that of the state folder, which has to be a folder of the
 * output folder's owner or of the user's own; store->sync is set. */
samc_status samc__store_open(samc__store *store, const char *root, const char *name, samc_error *error);
/* Where no run was begun, the folders that were made for it go again. */
void samc__store_close(samc__store *store);
/* After an interruption: syncs all that the run before left in the page cache. */
samc_status samc__store_recover(samc__store *store, samc_error *error);
/* Removes what is in <state>/tmp: results that were written and never published. */
samc_status samc__store_clear(const samc__store *store, samc_error *error);
/* Fails where the output's name leads to another folder than when it was opened. */
samc_status samc__store_check_place(const samc__store *store, samc_error *error);
/* Whether names that differ in nothing but case are the same there, found out by trying. */
samc_status samc__store_folds(const samc__store *store, bool *folds, samc_error *error);

/* ---- Files of the run's own, in the state folder or, `in_root`, in the output folder */

/* False where there is nothing of that name, not even a dangling link. */
bool samc__store_stat(const samc__store *store, bool in_root, const char *name, struct stat *information);
/* An error that names the file: "<folder>/<name>: <format>". */
samc_status samc__store_fail(const samc__store *store, bool in_root, const char *name, samc_status status,
                             samc_error *error, const char *format, ...) __attribute__((format(printf, 6, 7)));
/* "a folder", "a symbolic link", ... for messages. */
const char *samc__store_kind(mode_t mode);
/* Opens a regular file for reading. The caller closes it. */
samc_status samc__store_read(const samc__store *store, bool in_root, const char *name, FILE **file, samc_error *error);
/* Makes a file that is there whole and synced, or not at all. SAMC_MISMATCH: the name is taken. */
samc_status samc__store_write(samc__store *store, bool in_root, const char *name, const void *bytes, size_t size,
                              samc_error *error);
/* Removes a file; what does not exist is fine. */
void samc__store_remove(samc__store *store, bool in_root, const char *name);
/* Notes for samc__store_sync_folders() that a name was given there or taken away. */
samc_status samc__store_note(samc__store *store, bool in_root, samc_error *error);
/* Renames a file of the state folder into the output folder or back, synced. A name that is taken is an error, unless
 * it is the same file: a crash has left both names. */
samc_status samc__store_move(samc__store *store, const char *name, bool to_root, samc_error *error);

/* Renames a file of the state folder to <root>/<key><suffix>, synced, making the folders on the way. */
samc_status samc__store_publish_file(samc__store *store, const char *name, const char *key, const char *suffix,
                                     samc_error *error);

/* ---- Results, which are made under <state>/tmp by any thread */

/* "<number><suffix>" */
void samc__store_scratch(int64_t number, const char *suffix, char name[SAMC__STORE_NAME]);
/* A new file; committing it syncs. */
samc_status samc__store_create(const samc__store *store, const char *scratch, samc__writer *writer, samc_error *error);
/* A new folder, open. */
samc_status samc__store_create_folder(const samc__store *store, const char *scratch, int *folder, samc_error *error);
samc_status samc__store_sync_folder(const samc__store *store, int folder, samc_error *error);
/* Removes a file, or a folder with the files in it, of the scratch folder; what does not exist is fine. */
void samc__store_discard(const samc__store *store, const char *scratch);

/* Renames a synced file or folder to <root>/<key><suffix>, making the folders on the way. One thread at a time. A name
 * that exists is an error: it belongs to somebody else. SAMC_UNSUPPORTED: the file system does not take such a name. */
samc_status samc__store_publish(samc__store *store, const char *scratch, const char *key, const char *suffix,
                                samc_error *error);
/* The opposite, for a result of that size and time; another one stays. */
samc_status samc__store_take_back(samc__store *store, const char *scratch, const char *key, const char *suffix,
                                  const struct stat *result, samc_error *error);
/* What lies at <root>/<key><suffix>: false where there is nothing. Fails where a folder on the way is none. */
samc_status samc__store_look(samc__store *store, const char *key, const char *suffix, struct stat *information,
                             bool *there, samc_error *error);
samc_status samc__store_sync_folders(samc__store *store, samc_error *error);

/* Whether what lies there is what was: size and time of the last change. Those of a result stay when it is renamed or
 * copied by cp -a, and somebody else's file has others. */
static inline bool samc__store_same(const struct stat *a, const struct stat *b) {
    return (a->st_mode & S_IFMT) == (b->st_mode & S_IFMT) && a->st_mtim.tv_sec == b->st_mtim.tv_sec &&
           a->st_mtim.tv_nsec == b->st_mtim.tv_nsec && (S_ISDIR(a->st_mode) || a->st_size == b->st_size);
}

#endif
