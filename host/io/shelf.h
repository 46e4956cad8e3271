/* Reading the images of archives in the order of the list. */
#ifndef SAMC_HOST_IO_SHELF_H
#define SAMC_HOST_IO_SHELF_H

#include "host/io/inputs.h"
#include "host/io/tar.h"

/* The archive that is open, and how far it was read. Begins as {.archive = -1}. */
typedef struct samc__shelf {
    samc__tar *tar;
    int32_t archive; /* index in the list, -1: none */
    int64_t member;  /* number of the current regular file, -1 before the first */
    uint8_t *bytes;  /* its contents, kept for a link to it; owned */
    size_t size;
    bool gone;         /* they were handed over, or did not fit in memory */
    samc_error bad;    /* what is wrong with that file alone */
    samc_error broken; /* what kept the archive from being read further */
    int code;          /* errno, where that was the system; else 0 */
} samc__shelf;

/* Reads a member of an archive. Where inputs come in the order of the list, reading goes forward only. `again`: the
 * next input has the same contents. The caller frees *bytes. After a failure *code is errno where the system was the
 * reason, else 0. */
samc_status samc__shelf_read(samc__shelf *shelf, const samc__inputs *inputs, const samc__input *input, bool again,
                             uint8_t **bytes, size_t *size, int *code, samc_error *error);
void samc__shelf_close(samc__shelf *shelf);

#endif
