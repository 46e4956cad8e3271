/* A gzip file read anywhere. Opening decompresses it once, which finds all damage, and keeps the state of the
 * decompression every so often; reading begins again at the state before. There is no temporary file, and memory is at
 * most 8 MB whatever the size: 32 KiB for each of at most 256 states. */
#ifndef SAMC_HOST_IO_GUNZIP_H
#define SAMC_HOST_IO_GUNZIP_H

#include "runtime/samc.h"

typedef struct samc__gunzip samc__gunzip;

/* Of the file behind `handle`, which is of `packed` bytes and stays the caller's, and open: the first `size` bytes that
 * it holds. What follows them is not read. A file that holds fewer is an error, at once where `size` is more than
 * deflate can pack into it. */
samc_status samc__gunzip_open(int handle, const char *name, int64_t packed, int64_t size, samc__gunzip **gunzip,
                              samc_error *error);
/* `size` bytes from `at` on, which are within what was opened. Cheap where they follow those before, or are near. */
samc_status samc__gunzip_read(samc__gunzip *gunzip, int64_t at, void *bytes, size_t size, samc_error *error);
void samc__gunzip_close(samc__gunzip *gunzip); /* NULL is allowed */

/* The first bytes of what a gzip file's first bytes hold: how many, at most `room`. */
size_t samc__gunzip_head(const uint8_t *packed, size_t size, uint8_t *bytes, size_t room);

#endif
