/* A file that is being written: whoever reads it sees it as it was before, or the complete new one. Every output of
 * samc that has a path of its own goes through here, so that what the path leads to is treated the same everywhere:
 *   nothing or a regular file   written under a temporary name in the same folder, renamed when it is complete
 *   a symbolic link             followed: its target is what is written, in the target's own folder; the link stays
 *   a pipe or a device          written into as the bytes come; a pipe waits for its reader
 *   a standard stream           (/dev/stdout) written into where it stands, also where it is a file
 *   a folder, a disk, a socket  refused */
#ifndef SAMC_RUNTIME_BASE_WRITER_H
#define SAMC_RUNTIME_BASE_WRITER_H

#include "runtime/samc.h"

typedef struct samc__writer {
    int handle; /* file descriptor, -1 when there is none */
    int folder; /* that `temporary` and `name` are in, -1: what is written into has its name already */
    char *
        temporary; /* the file's present name, owned; NULL: it is a pipe or a device and stays when the writing fails */
    char *name;    /* its final name, owned; NULL: it has it already, and the folder is the caller's */
    const char *path; /* for messages, the caller's */
    bool sync;        /* committing waits until file and name are on the disk; may be set after opening */
} samc__writer;

samc_status samc__writer_open(samc__writer *writer, const char *path, samc_error *error);
/* A new file in a folder that is open, under its final name, which must be free. Committing renames nothing; `path` is
 * for messages. */
samc_status samc__writer_create(samc__writer *writer, int folder, const char *name, const char *path,
                                samc_error *error);
/* After a failure the temporary file is gone and further calls do nothing but fail. */
samc_status samc__writer_append(samc__writer *writer, const void *bytes, size_t size, samc_error *error);
samc_status samc__writer_commit(samc__writer *writer, samc_error *error);
/* Removes the temporary file; nothing to do after a commit or a failure. */
void samc__writer_abandon(samc__writer *writer);

#endif
