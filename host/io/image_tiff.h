/* Between the two halves of the TIFF reader: image_tiff.c knows files, directories and libtiff, tiff_samples.c what
 * samples mean. */
#ifndef SAMC_HOST_IO_IMAGE_TIFF_H
#define SAMC_HOST_IO_IMAGE_TIFF_H

#include "host/io/image_format.h"

/* What decoded rows hold and what is made of it. */
typedef struct samc__tiff_layout {
    uint16_t bits, per_pixel, format; /* of a sample; samples of a pixel; SAMPLEFORMAT_* */
    bool separate;                    /* a plane for each sample of a pixel */
    bool inverted;                    /* 0 is white: of 8 bits at most, as Pillow and tifffile have it */
    bool associated;                  /* colours are multiplied by alpha, the fourth sample */
    enum { TIFF_PLAIN, TIFF_PALETTE, TIFF_CMYK, TIFF_YCBCR, TIFF_LAB } colours;
    const uint16_t *palette[3]; /* of PALETTE, [2^bits] each */
    samc_sample sample;         /* of the picture */
    int used;                   /* samples of a pixel that count: 1, 3 or 4 */
} samc__tiff_layout;

/* Rows of a strip or a tile into a picture `to` [height, width, used] of the layout's type, or of a palette's colours:
 * pixels [rows, columns] from x, y, each row of `stride` bytes. `plane`: which one, where they are separate. */
typedef struct samc__tiff_block {
    const uint8_t *from;
    size_t stride, x, y, columns, rows, width;
    int plane;
} samc__tiff_block;
void samc__tiff_store(const samc__tiff_layout *layout, const samc__tiff_block *block, void *to);

/* Four samples of a pixel (CMYK, or RGB and an alpha that it is multiplied by) to RGB. */
void samc__tiff_four_to_rgb(const samc__tiff_layout *layout, const uint8_t *four, size_t count, uint8_t *rgb);

#endif
