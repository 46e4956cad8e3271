/* The masks of `samc auto` as files: amg.py's JSON and its folder of pictures, JSON lines, an overlay. */
#ifndef SAMC_HOST_AUTO_OUTPUT_H
#define SAMC_HOST_AUTO_OUTPUT_H

#include <jansson.h>

#include "host/file.h"
#include "host/image.h"

/* Bits of --format. */
typedef enum samc__auto_format {
    SAMC__AUTO_RLE = 1,
    SAMC__AUTO_PNG = 2,
    SAMC__AUTO_OVERLAY = 4,
    SAMC__AUTO_JSONL = 8
} samc__auto_format;

/* "rle,overlay" to bits; 0 where a name is unknown or the list is empty. */
unsigned samc__auto_formats_parse(const char *text);

/* Where the masks of a run go. Files are named after the image with its extension, so that a.jpg and a.png do not collide:
 *   <image>.json           rle: a bare list of records with the seven keys of amg.py
 *   <image>/<i>.png        png: one picture a mask, with metadata.csv beside them, as amg.py writes them
 *   <image>.overlay.png    overlay
 *   masks.jsonl            jsonl: one line an image: {"image", "size", "masks"} */
typedef struct samc__auto_output {
    const char *folder;
    unsigned formats;
    samc__writer jsonl; /* open while formats has SAMC__AUTO_JSONL */
} samc__auto_output;

samc_status samc__auto_output_begin(samc__auto_output *output, const char *folder, unsigned formats, samc_error *error);
/* Writes the masks of one image in every format. `image` is its path as given. */
samc_status samc__auto_output_add(samc__auto_output *output, const char *image, const samc__picture *picture,
                                  const samc_auto_mask *masks, int count, samc_error *error);
/* Makes the JSON lines visible. */
samc_status samc__auto_output_commit(samc__auto_output *output, samc_error *error);
void samc__auto_output_abandon(samc__auto_output *output);

#endif
