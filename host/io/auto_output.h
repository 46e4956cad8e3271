/* The masks of `samc auto` as text and pictures: amg.py's JSON and its folder of pictures, JSON lines, COCO, an
 * overlay. */
#ifndef SAMC_HOST_IO_AUTO_OUTPUT_H
#define SAMC_HOST_IO_AUTO_OUTPUT_H

#include "host/io/image.h"
#include "runtime/base/spool.h"
#include "runtime/base/writer.h"

/* Bits of --format. */
typedef enum samc__auto_format {
    SAMC__AUTO_RLE = 1, /* <key>.json: a bare list of records with the seven keys of amg.py */
    SAMC__AUTO_PNG = 2, /* <key>/<i>.png, one picture a mask, with metadata.csv beside them, as amg.py writes them */
    SAMC__AUTO_OVERLAY = 4, /* <key>.overlay.png */
    SAMC__AUTO_JSONL = 8,   /* a line in masks.jsonl: {"image", "size", "masks"} */
    SAMC__AUTO_COCO = 16    /* entries in annotations.json */
} samc__auto_format;

/* "rle,overlay" to bits; 0 where a name is unknown or the list is empty. */
unsigned samc__auto_formats_parse(const char *text);
/* Bits to "rle,overlay". `text` has room for 64 characters. */
void samc__auto_formats_print(unsigned formats, char *text);

/* One image and its masks, ready to be written. */
typedef struct samc__auto_image {
    const char *source, *key;     /* where it came from, what its results are called */
    const samc__picture *picture; /* its pixels may be NULL unless an overlay is wanted */
    const samc_mask *masks;
    int count;
    const char *scratch; /* folder for text that is too much for the memory */
} samc__auto_image;

/* What is kept of an image as text for the files that all images share. Owned. */
typedef struct samc__auto_text {
    samc__spool line;        /* the JSON line with its line feed */
    samc__spool annotations; /* COCO: a line for each mask, `"image_id": ...}`, to be opened with `{"id": n, ` */
    char *image;             /* COCO: the entry of the image */
} samc__auto_text;

/* Fills what `formats` needs; `image_id` is COCO's. */
samc_status samc__auto_text_make(samc__auto_text *text, const samc__auto_image *image, unsigned formats,
                                 int64_t image_id, samc_error *error);
void samc__auto_text_free(samc__auto_text *text);

/* Appends the bare list of records to a writer that is open. */
samc_status samc__auto_write_records(samc__writer *writer, const samc__auto_image *image, samc_error *error);
/* Writes 0.png, 1.png, ... and metadata.csv into a new folder, which is open; `path` is for messages. `sync`: they are
 * on the disk, their names are when the folder is synced. */
samc_status samc__auto_write_pictures(int folder, const char *path, bool sync, const samc__auto_image *image,
                                      samc_error *error);
samc_status samc__auto_write_overlay(samc__writer *writer, const samc__auto_image *image, samc_error *error);

#endif
