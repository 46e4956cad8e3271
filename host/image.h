/* An image file as 8-bit RGB pixels, upright. The pixels are those that Pillow and OpenCV decode: the model was trained
 * on them, and masks change where they differ. Bytes are hostile: sizes are checked in the header, before anything is
 * decoded. */
#ifndef SAMC_HOST_IMAGE_H
#define SAMC_HOST_IMAGE_H

#include "runtime/samc.h"

/* Larger files and images are refused. 2^29 bytes of RGB are 178 megapixels, twice Pillow's warning level. */
#define SAMC__IMAGE_MAX_FILE ((size_t)1 << 29)
#ifndef SAMC__IMAGE_MAX_PIXELS
#define SAMC__IMAGE_MAX_PIXELS (((int64_t)1 << 29) / 3)
#endif

typedef struct samc__picture {
    uint8_t *pixels;   /* [height, width, 3], owned */
    int width, height; /* after EXIF orientation */
} samc__picture;

/* JPEG, PNG, BMP, GIF (first frame), PSD, PNM (binary PGM, PPM), and TGA by its file name. Grey and palette become RGB,
 * alpha is dropped, 16-bit values keep their high byte, CMYK converts as Pillow does. A truncated file is an error. On
 * failure picture->pixels is NULL and the error names the file and the reason. "-" reads standard input. */
samc_status samc__image_load(const char *path, samc__picture *picture, samc_error *error);
/* The same from memory; `name` stands in error messages. */
samc_status samc__image_decode(const uint8_t *bytes, size_t size, const char *name, samc__picture *picture,
                               samc_error *error);
/* The same with `most` pixels for the limit of what the header may ask for, SAMC__IMAGE_MAX_PIXELS at most. */
samc_status samc__image_decode_within(const uint8_t *bytes, size_t size, const char *name, int64_t most, samc__picture *picture,
                                      samc_error *error);
void samc__picture_free(samc__picture *picture);

/* "libjpeg-turbo 2.1.5", for `samc info`. */
const char *samc__image_jpeg_decoder(void);

/* ---- Between the decoders ---------------------------------------------------------------------------------------- */

/* Refuses empty images and those of more than `most` pixels; every decoder calls it with the header's numbers before it allocates. */
samc_status samc__image_check_size(const char *name, int64_t width, int64_t height, int64_t most, samc_error *error);
/* EXIF orientation, 1 to 8, of a TIFF block (what follows "Exif\0\0"); 1 where absent or malformed. */
int samc__exif_orientation(const uint8_t *tiff, size_t size);

samc_status samc__image_decode_jpeg(const uint8_t *bytes, size_t size, const char *name, int64_t most, samc__picture *picture,
                                    int *orientation, samc_error *error);
samc_status samc__image_decode_pnm(const uint8_t *bytes, size_t size, const char *name, int64_t most, samc__picture *picture,
                                   samc_error *error);
/* Everything else. The caller has recognised the format. */
samc_status samc__image_decode_stb(const uint8_t *bytes, size_t size, const char *name, int64_t most, samc__picture *picture,
                                   samc_error *error);

#endif
