/* An image file as 8-bit RGB pixels, upright. The pixels are those that Pillow decodes (below 12.2; and OpenCV where
 * both read the same thing): the model was trained on them, and masks change where they differ. Bytes are hostile:
 * sizes are checked in the header, before anything is decoded. */
#ifndef SAMC_HOST_IO_IMAGE_H
#define SAMC_HOST_IO_IMAGE_H

#include "runtime/samc.h"

/* Larger files and images are refused. 2^29 bytes of RGB are 178 megapixels, twice Pillow's warning level. */
#define SAMC__IMAGE_MAX_FILE ((size_t)1 << 29)
#ifndef SAMC__IMAGE_MAX_PIXELS
#define SAMC__IMAGE_MAX_PIXELS (((int64_t)1 << 29) / 3)
#endif

typedef struct samc__picture {
    uint8_t *pixels;   /* [height, width, 3], owned */
    int width, height; /* upright */
} samc__picture;

/* What a file's header promises, before anything is decoded. */
typedef struct samc__image_extent {
    int64_t width, height; /* as stored: turning the picture upright may swap them */
    int64_t bytes;         /* of the decoded picture, width * height * 3 */
    int64_t peak;          /* the most that is allocated while it is decoded, the picture itself included */
} samc__image_extent;

/* JPEG, PNG (Apple's CgBI too), BMP, DIB, GIF (first frame), PSD, PNM (P1 to P6), and TGA by its file name or its
 * footer. Grey and palette become RGB, alpha is dropped, 16-bit values keep their high byte, CMYK converts as Pillow
 * does. A truncated file is an error, and so is a path that is no regular file. On failure picture->pixels is NULL and
 * the error names the file and the reason. "-" reads standard input. */
samc_status samc__image_load(const char *path, samc__picture *picture, samc_error *error);
/* The same from memory; `name` stands in error messages. */
samc_status samc__image_decode(const uint8_t *bytes, size_t size, const char *name, samc__picture *picture,
                               samc_error *error);
/* The same with `most` pixels for the limit of what the header may ask for, SAMC__IMAGE_MAX_PIXELS at most. */
samc_status samc__image_decode_within(const uint8_t *bytes, size_t size, const char *name, int64_t most,
                                      samc__picture *picture, samc_error *error);
/* The header alone, of any of these formats: nothing is decoded, and sizes are not held against a limit, but that both
 * are positive and that `bytes` does not overflow. Fails as decoding would where the header cannot be read. */
samc_status samc__image_size(const uint8_t *bytes, size_t size, const char *name, samc__image_extent *extent,
                             samc_error *error);
void samc__picture_free(samc__picture *picture);

/* "libjpeg-turbo 2.1.5" and "giflib 5.2.1", for `samc info`. */
const char *samc__image_jpeg_decoder(void);
const char *samc__image_gif_decoder(void);

#endif
