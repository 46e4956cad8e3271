/* Between the image readers: a format is a row of the table in image.c. Its reader is two functions in a file of its
 * own: one says from the header how large the picture is, the other writes the pixels. image.c stands between the two:
 * it holds the size against the limit and only then allocates the picture, and turns it upright at the end. */
#ifndef SAMC_HOST_IO_IMAGE_FORMAT_H
#define SAMC_HOST_IO_IMAGE_FORMAT_H

#include "host/io/image.h"

typedef struct samc__image_file {
    const uint8_t *bytes;
    size_t size;
    const char *name;  /* in messages */
    int page;          /* the one that is wanted, from 0 */
    samc__scale scale; /* that was asked for, for a reader whose samples depend on it */
} samc__image_file;

typedef struct samc__image_format {
    const char *name;
    bool (*recognise)(const samc__image_file *file);
    /* Fills width and height, and into `peak` what decoding allocates beside the picture and its samples; sample,
     * channels and pages where they are not SAMC_SAMPLE_U8, 3 and 1. */
    samc_status (*header)(const samc__image_file *file, samc__image_extent *extent, samc_error *error);
    /* Fills samples [extent->height, extent->width, extent->channels] of the header's type, every one of them, in the
     * machine's byte order, and may set an EXIF orientation, which comes in as 1. */
    samc_status (*decode)(const samc__image_file *file, const samc__image_extent *extent, void *samples,
                          int *orientation, samc_error *error);
    const char *(*library)(void); /* its name and version; NULL: samc's own code */
    /* Rows from the top down without the picture in memory; NULL: this reader cannot. *rows stays NULL where the format
     * can and this file cannot, which is no failure. The file outlives them. */
    samc_status (*rows_open)(const samc__image_file *file, void **rows, int *orientation, samc_error *error);
    /* Fills samples [extent->width, extent->channels]; at most extent->height times from the top, and not after a
     * failure. */
    samc_status (*rows_next)(void *rows, void *samples, samc_error *error);
    void (*rows_close)(void *rows);
    /* Goes to any row, also after a failure: a file with an index. NULL: its rows come from the top or not at all. */
    void (*rows_at)(void *rows, int64_t row);
} samc__image_format;

/* The format of a file and its header's numbers. */
samc_status samc__image_open(const samc__image_file *file, const samc__image_format **format,
                             samc__image_extent *extent, samc_error *error);
/* What the header says of samples to scale. */
static inline samc__sampling samc__image_sampling(const samc__image_extent *extent) {
    return (samc__sampling){.sample = extent->sample,
                            .channels = extent->channels,
                            .bits = extent->bits > 0 ? extent->bits : 16,
                            .own = extent->own,
                            .inverted = extent->inverted,
                            .ct = extent->ct};
}
/* Bytes of a pixel of samples. */
static inline size_t samc__image_pixel(const samc__image_extent *extent) {
    return samc__sample_bytes(extent->sample) * (size_t)extent->channels;
}

#define SAMC__IMAGE_READER(format)                                                                                     \
    bool samc__##format##_recognise(const samc__image_file *file);                                                     \
    samc_status samc__##format##_header(const samc__image_file *file, samc__image_extent *extent, samc_error *error);  \
    samc_status samc__##format##_decode(const samc__image_file *file, const samc__image_extent *extent, void *samples, \
                                        int *orientation, samc_error *error)
#define SAMC__IMAGE_ROWS(format)                                                                                       \
    samc_status samc__##format##_rows_open(const samc__image_file *file, void **rows, int *orientation,                \
                                           samc_error *error);                                                         \
    samc_status samc__##format##_rows_next(void *rows, void *samples, samc_error *error);                              \
    void samc__##format##_rows_close(void *rows)
void samc__tiff_rows_at(void *rows, int64_t row);
SAMC__IMAGE_ROWS(jpeg);
SAMC__IMAGE_ROWS(png);
SAMC__IMAGE_ROWS(tiff);
SAMC__IMAGE_READER(jpeg);
SAMC__IMAGE_READER(png);
SAMC__IMAGE_READER(gif);
SAMC__IMAGE_READER(bmp);
SAMC__IMAGE_READER(psd);
SAMC__IMAGE_READER(pnm);
SAMC__IMAGE_READER(tga);
SAMC__IMAGE_READER(webp);
SAMC__IMAGE_READER(tiff);
SAMC__IMAGE_READER(avif);
SAMC__IMAGE_READER(jpeg2000);
SAMC__IMAGE_READER(heif);
SAMC__IMAGE_READER(jxl);
SAMC__IMAGE_READER(qoi);
SAMC__IMAGE_READER(ico);
SAMC__IMAGE_READER(dicom);
/* "libjpeg-turbo 2.1.5", "giflib 5.2.1" and so on */
const char *samc__image_jpeg_decoder(void);
const char *samc__image_gif_decoder(void);
const char *samc__image_webp_decoder(void);
const char *samc__image_tiff_decoder(void);
const char *samc__image_avif_decoder(void);
const char *samc__image_jpeg2000_decoder(void);
const char *samc__image_heif_decoder(void);
const char *samc__image_jxl_decoder(void);

/* The components of a JPEG 2000 as they are stored, one behind the other: samples [components, pixels], of the same
 * size each (image_jpeg2000.c). *bits: the most of one. */
samc_status samc__jpeg2000_stored(const samc__image_file *file, int64_t pixels, int components, int32_t *samples,
                                  int *bits, samc_error *error);
/* The DIB of an icon, whose height counts its mask too (image_bmp.c). */
samc_status samc__icon_header(const samc__image_file *file, samc__image_extent *extent, samc_error *error);
samc_status samc__icon_decode(const samc__image_file *file, const samc__image_extent *extent, void *samples,
                              samc_error *error);

/* What `each` bytes (up to 256) a pixel of the header's size make, and `more`; 0 where the size is refused anyway. */
static inline int64_t samc__image_room(const samc__image_extent *extent, int64_t each, int64_t more) {
    int64_t width = extent->width, height = extent->height;
    bool sane = width > 0 && height > 0 && width <= INT32_MAX && height <= INT32_MAX;
    return sane && width <= INT64_MAX / 512 / height ? width * height * each + more : 0;
}

/* Says that the wanted page is not among those that there are. */
samc_status samc__image_no_page(const samc__image_file *file, int64_t pages, samc_error *error);

/* Unaligned numbers of either byte order. */
static inline uint32_t samc__little16(const uint8_t *at) { return (uint32_t)at[0] | (uint32_t)at[1] << 8; }
static inline uint32_t samc__little32(const uint8_t *at) { return samc__little16(at) | samc__little16(at + 2) << 16; }
static inline uint32_t samc__big16(const uint8_t *at) { return (uint32_t)at[0] << 8 | at[1]; }
static inline uint32_t samc__big32(const uint8_t *at) { return samc__big16(at) << 16 | samc__big16(at + 2); }

/* Entries that a palette [256, 3] of BMP or GIF has not got: black, as Pillow has them, but where the `count` there are
 * begin the ramp of greys, which Pillow takes for a grey picture, the ramp goes on. */
void samc__palette_complete(uint8_t (*palette)[3], size_t count);
/* Pillow's CMYK, inverted as Adobe writes it, to RGB: `width` pixels. */
void samc__cmyk_to_rgb(const uint8_t *cmyk, uint8_t *rgb, size_t width);
/* YCbCr of 8 bits [count, 3] to RGB in place (image_colour.c). */
void samc__ycbcr_to_rgb(uint8_t *pixels, size_t count);
/* CIELab of 8 bits [count, 3], a and b from 128, to sRGB in place (lab.c, with SAMC_WITH_LAB). */
samc_status samc__lab_to_rgb(uint8_t *pixels, size_t count, const char *name, samc_error *error);

/* ---- Orientation (image_exif.c) ---- */

/* EXIF orientation of a block that may begin with any number of "Exif\0\0": 1 to 8; 0 where the tag is absent, 1 where
 * its value means nothing. */
int samc__exif_orientation(const uint8_t *block, size_t size);
/* The same of an XMP packet, from the attribute or the element tiff:Orientation. */
int samc__xmp_orientation(const uint8_t *packet, size_t size);
/* The same of a "Raw profile type exif" text: three lines of heading, then hexadecimal digits. */
int samc__raw_profile_orientation(const uint8_t *text, size_t size);

#endif
