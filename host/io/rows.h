/* A picture by its rows, for who never holds all of it: TIFF, PNG that is not interlaced and JPEG of one scan, upright
 * as stored, take memory for a few rows (a strip, a row of tiles) whatever their size. Any other picture is decoded
 * whole, if the limit on pixels lets it. The pixels are those of samc__image_decode_within(), by either way. */
#ifndef SAMC_HOST_IO_ROWS_H
#define SAMC_HOST_IO_ROWS_H

#include "host/io/image_format.h"

/* A side has at most this many pixels, however a picture is read. */
enum { SAMC__ROWS_MOST_SIDE = 1 << 24 };

typedef struct samc__rows {
    int64_t width, height; /* upright */
    bool by_rows;          /* else `whole` */
    samc_scale scale;      /* as samc__picture's */
    /* The rest is its own. */
    samc__image_file file; /* the bytes are there until the end: the caller's, or `map` */
    char *name;            /* owned */
    void *map;             /* [map_size] of the file, or NULL */
    size_t map_size;
    const samc__image_format *format;
    samc__image_extent extent;
    void *reader;  /* by rows; NULL: none is open */
    int64_t at;    /* the row that it gives next */
    void *samples; /* one row of them */
    samc__scaler scaler;
    samc__picture whole;
} samc__rows;

/* Opens a regular file, which is mapped and may be of any size; that it is cut off meanwhile ends the process, as with
 * any mapped file. options->most holds where it is not read by rows. Where samples are scaled, this reads the picture
 * once or twice, for the numbers that all of it shares, of which rows that cannot be read have none. */
samc_status samc__rows_open(samc__rows *rows, const char *path, const samc__image_options *options, samc_error *error);
/* The same of bytes, which stay the caller's and have to stay. */
samc_status samc__rows_open_bytes(samc__rows *rows, const uint8_t *bytes, size_t size, const char *name,
                                  const samc__image_options *options, samc_error *error);
/* Fills rgb [count, width, 3] with rows first to first + count - 1. They are cheapest in order; going back begins at
 * the top again where the format has no index. After a failure it can be asked again. */
samc_status samc__rows_read(samc__rows *rows, int64_t first, int64_t count, uint8_t *rgb, samc_error *error);
void samc__rows_close(samc__rows *rows); /* also one that could not be opened */

#endif
