/* Whole files in, atomic files out: a reader sees either the file as it was before or the complete new one. */
#ifndef SAMC_HOST_FILE_H
#define SAMC_HOST_FILE_H

#include "runtime/samc.h"

/* Reads a file of at most `limit` bytes; "-" is the standard input. The caller frees *bytes (never NULL on success). */
samc_status samc__file_read(const char *path, size_t limit, uint8_t **bytes, size_t *size, samc_error *error);

/* A file that is being written: under a temporary name in the same folder until samc__writer_commit() renames it. */
typedef struct samc__writer {
    int handle;       /* file descriptor, -1 when there is none */
    char *temporary;  /* its present name, owned */
    const char *path; /* its final name, the caller's */
} samc__writer;

samc_status samc__writer_open(samc__writer *writer, const char *path, samc_error *error);
/* After a failure the temporary file is gone and further calls do nothing but fail. */
samc_status samc__writer_append(samc__writer *writer, const void *bytes, size_t size, samc_error *error);
samc_status samc__writer_commit(samc__writer *writer, samc_error *error);
/* Removes the temporary file; nothing to do after a commit or a failure. */
void samc__writer_abandon(samc__writer *writer);

/* The three steps above for bytes that are all there. */
samc_status samc__file_write(const char *path, const void *bytes, size_t size, samc_error *error);

/* Creates the folder and its parents; existing ones are fine. */
samc_status samc__folder_create(const char *path, samc_error *error);

#endif
