/* PNG files: masks, overlays and cutouts. */
#ifndef SAMC_HOST_IO_PNG_H
#define SAMC_HOST_IO_PNG_H

#include "runtime/samc.h"

/* pixels: [height, width, channels] of 1 (grey), 3 (RGB) or 4 (RGBA, colour not multiplied by alpha). The caller frees
 * *png [*size]; `path` is for messages. */
samc_status samc__png_encode(const char *path, const uint8_t *pixels, int width, int height, int channels,
                             uint8_t **png, size_t *size, samc_error *error);
/* The same of 16-bit grey values [height, width]. */
samc_status samc__png_encode_grey16(const char *path, const uint16_t *pixels, int width, int height, uint8_t **png,
                                    size_t *size, samc_error *error);

#endif
