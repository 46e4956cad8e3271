/* The journal of a run over slices: one line a visit, whole or not there. A run that was ended anywhere goes on behind
 * the last whole line, and as every line is a function of those before it, ends with the same bytes.
 *
 *   samc volume 1 <identity> <sum>
 *   <number> <count> <object> <slice> <bits of the IoU> <run lengths> ... <sum>
 *
 * Each line ends with the first 8 hexadecimal digits of its CRC-32. */
#ifndef SAMC_HOST_IO_VISITS_H
#define SAMC_HOST_IO_VISITS_H

#include "host/io/samc_io.h"

/* A mask of a visit. */
typedef struct samc__visited {
    int object, slice;
    samc_rle mask;
    float iou;
} samc__visited;

typedef struct samc__visits {
    const char *path; /* the caller's; NULL: there is none */
    int file;         /* locked; -1: not open */
    char *text;       /* of the file that is resumed, or of the line that is written; owned */
    size_t size, at, room;
    int64_t number; /* of the next visit */
    int masks;      /* in the line that is written */
} samc__visits;

/* `path` NULL: nothing is kept. One that is there and not to be resumed is SAMC_MISMATCH, and so is one of another
 * run. */
samc_status samc__visits_open(samc__visits *visits, const char *path, bool resume, const char *identity,
                              samc_error *error);
/* Whether the next visit was made before. Then its masks follow, until there is none. */
bool samc__visits_replay(samc__visits *visits);
/* *there false: there is none any more. The run lengths are the caller's, of width x height pixels. */
samc_status samc__visits_mask(samc__visits *visits, int width, int height, samc__visited *visited, bool *there,
                              samc_error *error);
/* One that is made now: its masks, then its end, when it is on the disk. */
samc_status samc__visits_add(samc__visits *visits, int object, int slice, const samc_rle *mask, float iou,
                             samc_error *error);
samc_status samc__visits_end(samc__visits *visits, samc_error *error);
void samc__visits_close(samc__visits *visits);

#endif
