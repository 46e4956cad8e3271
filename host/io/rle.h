/* COCO run lengths of a mask: what pycocotools, annotation tools and data sets read. */
#ifndef SAMC_HOST_IO_RLE_H
#define SAMC_HOST_IO_RLE_H

#include "runtime/samc.h"

/* Runs of zeros and ones in turn, down the columns, beginning with (possibly no) zeros. They add up to height * width.
 */
typedef struct samc__rle {
    uint32_t *counts; /* owned */
    size_t count;
    int height, width;
} samc__rle;

/* mask: [height, width], 0 or not 0; fewer than 2^32 pixels. */
samc_status samc__rle_encode(const uint8_t *mask, int height, int width, samc__rle *rle, samc_error *error);
/* Fills mask [height, width] with 0 and 1; refuses counts that do not add up to the size. */
samc_status samc__rle_decode(const samc__rle *rle, uint8_t *mask, samc_error *error);
void samc__rle_free(samc__rle *rle);

/* pycocotools' compressed string, 0-terminated; the caller frees it. */
samc_status samc__rle_to_string(const samc__rle *rle, char **string, samc_error *error);
samc_status samc__rle_from_string(const char *string, int height, int width, samc__rle *rle, samc_error *error);

#endif
