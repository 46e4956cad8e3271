/* Whole files in, whole files out. */
#ifndef SAMC_HOST_FILE_H
#define SAMC_HOST_FILE_H

#include "runtime/writer.h"

/* Reads a file of at most `limit` bytes; "-" is the standard input. The caller frees *bytes (never NULL on success). */
samc_status samc__file_read(const char *path, size_t limit, uint8_t **bytes, size_t *size, samc_error *error);

/* Writes bytes that are all there, as samc__writer_open() and so on do in steps. */
samc_status samc__file_write(const char *path, const void *bytes, size_t size, samc_error *error);

/* Creates the folder and its parents; existing ones are fine. */
samc_status samc__folder_create(const char *path, samc_error *error);

#endif
