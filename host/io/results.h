/* The masks of `samc segment` as files and as JSON records. */
#ifndef SAMC_HOST_IO_RESULTS_H
#define SAMC_HOST_IO_RESULTS_H

#include <jansson.h>

#include "host/io/image.h"

/* Bits of --format. */
typedef enum samc__format {
    SAMC__FORMAT_PNG = 1,
    SAMC__FORMAT_RLE = 2,
    SAMC__FORMAT_OVERLAY = 4,
    SAMC__FORMAT_CUTOUT = 8,
    SAMC__FORMAT_NPY = 16
} samc__format;

/* "png,overlay" to bits; 0 where a name is unknown or the list is empty. */
unsigned samc__formats_parse(const char *text);

/* Where masks of one image go. */
typedef struct samc__results {
    const samc__picture *picture;
    const char *folder;
    char *stem; /* the image's name without folder and extension, owned */
    unsigned formats;
    uint8_t *canvas; /* [height, width, 4], for overlays and cutouts; owned */
    json_t *records; /* list of the masks so far; owned */
} samc__results;

samc_status samc__results_begin(samc__results *results, const char *image, const samc__picture *picture,
                                const char *folder, unsigned formats, samc_error *error);
void samc__results_end(samc__results *results);

/* Writes one mask, whose bytes [height, width] the caller has made, in every format and appends its record. `number`
 * counts masks and chooses the colour. */
samc_status samc__results_add(samc__results *results, const samc_mask *mask, const uint8_t *bytes,
                              const samc_prompt *prompt, int number, samc_error *error);

#endif
