/* Whole files in, whole files out. */
#ifndef SAMC_HOST_IO_FILE_H
#define SAMC_HOST_IO_FILE_H

#include "runtime/base/writer.h"

/* Reads a file, or a pipe, of at most `limit` bytes; "-" is the standard input. The caller frees *bytes (never NULL on
 * success). */
samc_status samc__file_read(const char *path, size_t limit, uint8_t **bytes, size_t *size, samc_error *error);

/* The same of what is open, from where it stands. */
samc_status samc__file_read_open(int handle, const char *name, size_t limit, uint8_t **bytes, size_t *size,
                                 samc_error *error);

/* Opens a regular file for reading: a pipe, a device or a folder is an error at once, and is not opened. *code is the
 * system's reason (errno) for a failure, 0 where it is the file's own. */
struct stat;
samc_status samc__file_open(const char *path, int *handle, struct stat *information, int *code, samc_error *error);
/* Fails with what a name stands for instead of a regular file, from its st_mode. */
samc_status samc__file_refuse(const char *path, unsigned mode, samc_error *error);
/* samc__file_read() of a regular file; *code as above. */
samc_status samc__file_read_regular(const char *path, size_t limit, uint8_t **bytes, size_t *size, int *code,
                                    samc_error *error);
/* Whether a reason is that of the machine (a disk, a network, no descriptors left), not of the one file. 0 is not. */
bool samc__file_is_outage(int code);
/* How many bytes of `bytes` are a UTF-8 byte order mark, which Windows' editors put before texts: 3 or 0. */
size_t samc__file_mark(const uint8_t *bytes, size_t size);

/* Writes bytes that are all there, as samc__writer_open() and so on do in steps. */
samc_status samc__file_write(const char *path, const void *bytes, size_t size, samc_error *error);

#endif
