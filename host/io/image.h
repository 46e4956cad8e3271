/* An image file as 8-bit RGB pixels, upright. The pixels are those that Pillow decodes (below 12.2; and OpenCV where
 * both read the same thing): the model was trained on them, and masks change where they differ. Bytes are hostile:
 * sizes are checked in the header, before anything is decoded. */
#ifndef SAMC_HOST_IO_IMAGE_H
#define SAMC_HOST_IO_IMAGE_H

#include "host/io/scale.h"

/* Larger files and images are refused. 2^29 bytes of RGB are 178 megapixels, twice Pillow's warning level. */
#define SAMC__IMAGE_MAX_FILE ((size_t)1 << 29)
#ifndef SAMC__IMAGE_MAX_PIXELS
#define SAMC__IMAGE_MAX_PIXELS SAMC_IMAGE_MOST_PIXELS
#endif

typedef struct samc__picture {
    uint8_t *pixels;   /* [height, width, 3], owned */
    int width, height; /* upright */
    samc_scale scale;  /* that its samples were brought to 8 bits by; name NULL: they were 8 bits */
} samc__picture;

/* What a file's header promises, before anything is decoded. */
typedef struct samc__image_extent {
    int64_t width, height; /* as stored: turning the picture upright may swap them */
    int64_t bytes;         /* of the decoded picture in 8-bit RGB, width * height * 3 */
    int64_t peak;          /* the most that is allocated while it is decoded, the picture itself included */
    samc_sample sample;    /* those above 8 bits become 8 bits once the whole picture is there */
    int channels;          /* of samples: 3, or 1 for grey ones above 8 bits */
    int bits;              /* of SAMC_SAMPLE_U16, 9 to 16, that count; 0: 16 */
    samc__scale own;       /* these three as samc__sampling has them */
    bool inverted, ct;
    int pages; /* of a document or an animation, at least 1 */
} samc__image_extent;

typedef struct samc__image_options {
    int64_t most; /* the limit in pixels, SAMC__IMAGE_MAX_PIXELS at most */
    int page;     /* of a document, or frame of an animation, from 0 */
    samc__scale scale;
} samc__image_options;

/* Decodes as samc_image_decode() says. On failure picture->pixels is NULL. */
samc_status samc__image_decode_within(const uint8_t *bytes, size_t size, const char *name,
                                      const samc__image_options *options, samc__picture *picture, samc_error *error);
/* The header alone, of any of these formats: nothing is decoded, and sizes are not held against a limit, but that both
 * are positive and that `bytes` does not overflow. Fails as decoding would where the header cannot be read. */
samc_status samc__image_size(const uint8_t *bytes, size_t size, const char *name, int page, samc__image_extent *extent,
                             samc_error *error);
void samc__picture_free(samc__picture *picture);

#endif
