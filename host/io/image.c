/* Recognises an image format, holds its header against the limit, has it read, and turns the picture upright. */
#include "host/io/image.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host/io/abi.h"
#include "host/io/dicom.h"
#include "host/io/file.h"
#include "host/io/image_format.h"
#include "runtime/base/abi.h"
#include "runtime/base/kind.h"
#include "runtime/base/status.h"

/* The formats, each a row; tools/formats.cmake finds the libraries that some want. TGA has no signature, so that it
 * comes last. */
#define READER(name, format, library)                                                                                  \
    name, samc__##format##_recognise, samc__##format##_header, samc__##format##_decode, library
#define ROW(name, format, library)                                                                                     \
    { READER(name, format, library), NULL, NULL, NULL, NULL }
#define BY_ROWS(name, format, library, at)                                                                             \
    {                                                                                                                  \
        READER(name, format, library), samc__##format##_rows_open, samc__##format##_rows_next,                         \
            samc__##format##_rows_close, at                                                                            \
    }
static const samc__image_format formats[] = {
    BY_ROWS("JPEG", jpeg, samc__image_jpeg_decoder, NULL),
    BY_ROWS("PNG", png, NULL, NULL),
    ROW("GIF", gif, samc__image_gif_decoder),
    ROW("BMP", bmp, NULL),
    ROW("PSD", psd, NULL),
    ROW("PNM", pnm, NULL),
    ROW("QOI", qoi, NULL),
    ROW("ICO", ico, NULL),
#ifdef SAMC_WITH_TIFF
    BY_ROWS("TIFF", tiff, samc__image_tiff_decoder, samc__tiff_rows_at),
#endif
#ifdef SAMC_WITH_WEBP
    ROW("WebP", webp, samc__image_webp_decoder),
#endif
#ifdef SAMC_WITH_AVIF
    ROW("AVIF", avif, samc__image_avif_decoder),
#endif
#ifdef SAMC_WITH_JPEG2000
    ROW("JPEG 2000", jpeg2000, samc__image_jpeg2000_decoder),
#endif
#ifdef SAMC_WITH_HEIF
    ROW("HEIF", heif, samc__image_heif_decoder),
#endif
#ifdef SAMC_WITH_JXL
    ROW("JPEG XL", jxl, samc__image_jxl_decoder),
#endif
#ifdef SAMC_WITH_DICOM
    ROW("DICOM", dicom, samc__dicom_library),
#endif
    ROW("TGA", tga, NULL),
};
enum { FORMATS = sizeof formats / sizeof formats[0] };

void samc_image_prepare(void) {
#ifdef SAMC_WITH_DICOM
    samc__dicom_prepare();
#endif
}

void samc__picture_free(samc__picture *picture) {
    free(picture->pixels);
    *picture = (samc__picture){0};
}

void samc__palette_complete(uint8_t (*palette)[3], size_t count) {
    bool ramp = true;
    for (size_t i = 0; i < count; i++) ramp = ramp && palette[i][0] == i && palette[i][1] == i && palette[i][2] == i;
    for (size_t i = count; i < 256; i++) memset(palette[i], ramp ? (int)i : 0, 3);
}

/* Pillow's arithmetic: round(a * b / 255). */
static int multiply_255(int a, int b) {
    int product = a * b + 128;
    return ((product >> 8) + product) >> 8;
}

void samc__cmyk_to_rgb(const uint8_t *cmyk, uint8_t *rgb, size_t width) {
    for (size_t x = 0; x < width; x++, cmyk += 4, rgb += 3)
        for (int c = 0; c < 3; c++) {
            int value = cmyk[3] - multiply_255(255 - cmyk[c], cmyk[3]);
            rgb[c] = (uint8_t)(value < 0 ? 0 : value);
        }
}

/* Applies one of the eight orientations to pixels [*height, *width] of `pixel` bytes. 2 mirrors, 3 turns by 180
 * degrees, 4 flips upside down, 5 transposes, 6 turns right, 7 transposes along the other diagonal, 8 turns left. */
static samc_status orient(samc__picture *picture, size_t pixel, int orientation, const char *name, samc_error *error) {
    if (orientation <= 1) return SAMC_OK;
    bool swap = orientation >= 5; /* rows become columns */
    bool from_right = orientation == 2 || orientation == 3 || orientation == 7 || orientation == 8;
    bool from_bottom = orientation == 3 || orientation == 4 || orientation == 6 || orientation == 7;
    int width = picture->width, height = picture->height;
    samc__picture turned = {.width = swap ? height : width, .height = swap ? width : height};
    turned.pixels = malloc((size_t)width * (size_t)height * pixel);
    if (turned.pixels == NULL) return samc__fail(error, SAMC_OUT_OF_MEMORY, "%s: out of memory", name);
    uint8_t *to = turned.pixels; /* [turned.height, turned.width] */
    for (int y = 0; y < turned.height; y++) {
        for (int x = 0; x < turned.width; x++, to += pixel) {
            int source_x = swap ? y : x, source_y = swap ? x : y;
            if (from_right) source_x = width - 1 - source_x;
            if (from_bottom) source_y = height - 1 - source_y;
            memcpy(to, picture->pixels + ((size_t)source_y * (size_t)width + (size_t)source_x) * pixel, pixel);
        }
    }
    free(picture->pixels);
    *picture = turned;
    return SAMC_OK;
}

static samc_status recognise(const samc__image_file *file, const samc__image_format **format, samc_error *error) {
    if (file->size == 0) return samc__fail(error, SAMC_FORMAT, "%s: empty file", file->name);
    bool dicom = false; /* whose first 128 bytes may be those of another file, such as a TIFF */
#ifdef SAMC_WITH_DICOM
    dicom = samc__dicom_has_preamble(file->bytes, file->size);
#endif
    for (int i = 0; i < FORMATS; i++) {
        *format = &formats[i];
        if ((!dicom || strcmp(formats[i].name, "DICOM") == 0) && formats[i].recognise(file)) return SAMC_OK;
    }
    const char *advice, *kind = samc__kind_of(file->bytes, file->size, &advice);
    char names[256] = "";
    for (int i = 0; i < FORMATS; i++) {
        size_t used = strlen(names);
        snprintf(names + used, sizeof names - used, "%s%s", i > 0 ? ", " : "", formats[i].name);
    }
    return samc__fail(error, SAMC_UNSUPPORTED, "%s: %s%snot a supported image format (%s)%s", file->name,
                      kind == NULL ? "" : kind, kind == NULL ? "" : " is ", names, advice);
}

samc_status samc__image_no_page(const samc__image_file *file, int64_t pages, samc_error *error) {
    return samc__fail(error, SAMC_INVALID_ARGUMENT, "%s: page %d is wanted, but the last of %lld is %lld", file->name,
                      file->page, (long long)pages, (long long)pages - 1);
}

/* The header's numbers, sane ones. */
static samc_status measure(const samc__image_format *format, const samc__image_file *file, samc__image_extent *extent,
                           samc_error *error) {
    *extent = (samc__image_extent){0};
    SAMC__TRY(format->header(file, extent, error));
    if (extent->channels == 0) extent->channels = 3;
    if (extent->pages == 0) extent->pages = 1;
    if (file->page < 0 || file->page >= extent->pages) return samc__image_no_page(file, extent->pages, error);
    if (extent->width <= 0 || extent->height <= 0)
        return samc__fail(error, SAMC_FORMAT, "%s: image without pixels (%lld x %lld)", file->name,
                          (long long)extent->width, (long long)extent->height);
    if (extent->width > INT32_MAX || extent->height > INT32_MAX || extent->width > INT64_MAX / 256 / extent->height)
        return samc__fail(error, SAMC_UNSUPPORTED, "%s: image of %lld x %lld pixels", file->name,
                          (long long)extent->width, (long long)extent->height);
    extent->bytes = extent->width * extent->height * 3;
    extent->peak += extent->bytes;
    if (extent->sample != SAMC_SAMPLE_U8)
        extent->peak += 2 * extent->width * extent->height * samc__image_pixel(extent);
    return SAMC_OK;
}

samc_status samc__image_open(const samc__image_file *file, const samc__image_format **format,
                             samc__image_extent *extent, samc_error *error) {
    SAMC__TRY(recognise(file, format, error));
    return measure(*format, file, extent, error);
}

samc_status samc__image_size(const uint8_t *bytes, size_t size, const char *name, int page, samc__image_extent *extent,
                             samc_error *error) {
    const samc__image_format *format;
    return samc__image_open(&(samc__image_file){.bytes = bytes, .size = size, .name = name, .page = page}, &format,
                            extent, error);
}

/* Samples of more than 8 bits, upright, become the picture. */
static samc_status scale(samc__picture *picture, const samc__image_extent *extent, samc__scale how, const char *name,
                         samc_error *error) {
    if (extent->sample == SAMC_SAMPLE_U8) return SAMC_OK;
    const samc_samples samples = {.values = picture->pixels,
                                  .width = picture->width,
                                  .height = picture->height,
                                  .channels = extent->channels,
                                  .row_bytes = picture->width * (ptrdiff_t)samc__image_pixel(extent),
                                  .sample = extent->sample,
                                  .bits = extent->bits};
    uint8_t *rgb = malloc((size_t)extent->bytes);
    if (rgb == NULL) return samc__fail(error, SAMC_OUT_OF_MEMORY, "%s: out of memory", name);
    samc_status status =
        samc__scale_picture(how, samc__image_sampling(extent), &samples, name, rgb, &picture->scale, error);
    free(picture->pixels);
    picture->pixels = rgb;
    return status;
}

samc_status samc__image_decode_within(const uint8_t *bytes, size_t size, const char *name,
                                      const samc__image_options *options, samc__picture *picture, samc_error *error) {
    samc__image_file file = {bytes, size, name, options->page, options->scale};
    const samc__image_format *format;
    samc__image_extent extent;
    *picture = (samc__picture){0};
    SAMC__TRY(samc__image_open(&file, &format, &extent, error));
    if (extent.width > options->most / extent.height)
        return samc__fail(error, SAMC_UNSUPPORTED,
                          "%s: image of %lld x %lld pixels is larger than the limit of %lld pixels", name,
                          (long long)extent.width, (long long)extent.height, (long long)options->most);
    size_t pixel = samc__image_pixel(&extent);
    *picture = (samc__picture){.pixels = malloc((size_t)extent.width * (size_t)extent.height * pixel),
                               .width = (int)extent.width,
                               .height = (int)extent.height};
    if (picture->pixels == NULL)
        return samc__fail(error, SAMC_OUT_OF_MEMORY, "%s: out of memory for %d x %d pixels", name, picture->width,
                          picture->height);
    int orientation = 1;
    samc_status status = format->decode(&file, &extent, picture->pixels, &orientation, error);
    if (status == SAMC_OK) status = orient(picture, pixel, orientation, name, error);
    if (status == SAMC_OK) status = scale(picture, &extent, options->scale, name, error);
    if (status != SAMC_OK) samc__picture_free(picture);
    return status;
}

/* The file's bytes by their path; `name` is what messages call it. */
static samc_status read_path(const char *path, uint8_t **bytes, size_t *size, const char **name, samc_error *error) {
    int code;
    *name = strcmp(path, "-") == 0 ? "standard input" : path;
    return strcmp(path, "-") == 0 ? samc__file_read(path, SAMC__IMAGE_MAX_FILE, bytes, size, error)
                                  : samc__file_read_regular(path, SAMC__IMAGE_MAX_FILE, bytes, size, &code, error);
}

/* ---- Public ---------------------------------------------------------------------------------- */

/* Where an image goes, what became of its samples, and what was asked for. */
typedef struct target {
    samc__image_options options;
    samc_image *image;
    samc_scale *applied; /* NULL: nobody wants to know */
} target;

/* Empties what the caller gave, and checks it. `given` NULL: the defaults. */
static samc_status begin(target *t, const void *from, const char *name, const samc_image_options *given,
                         samc_error *error) {
    samc_image_options own = {.size = sizeof own};
    SAMC__TRY(samc__abi_give(SAMC__ABI(samc_image), &(samc_image){0}, t->image, error));
    if (t->applied != NULL) SAMC__TRY(samc__abi_give(SAMC__IO(samc_scale), &(samc_scale){0}, t->applied, error));
    if (given != NULL) SAMC__TRY(samc__abi_take(SAMC__IO(samc_image_options), given, &own, error));
    if (from == NULL || name == NULL || own.most_pixels < 0 || own.most_pixels > SAMC_IMAGE_MOST_PIXELS || own.page < 0)
        return samc__fail(error, SAMC_INVALID_ARGUMENT,
                          "an image from nowhere, a page below 0, or a limit above %lld pixels",
                          (long long)SAMC_IMAGE_MOST_PIXELS);
    t->options = (samc__image_options){.most = own.most_pixels == 0 || own.most_pixels > SAMC__IMAGE_MAX_PIXELS
                                                   ? SAMC__IMAGE_MAX_PIXELS
                                                   : own.most_pixels,
                                       .page = own.page};
    return samc__scale_parse(own.scale, &t->options.scale, error);
}

static samc_status decode(const target *t, const void *bytes, size_t size, const char *name, samc_error *error) {
    samc__picture p;
    SAMC__TRY(samc__image_decode_within(bytes, size, name, &t->options, &p, error));
    if (t->applied != NULL) samc__abi_give(SAMC__IO(samc_scale), &p.scale, t->applied, NULL);
    return samc__abi_give(SAMC__ABI(samc_image),
                          &(samc_image){sizeof(samc_image), p.pixels, p.width, p.height, (ptrdiff_t)p.width * 3},
                          t->image, error);
}

samc_status samc_image_decode_with(const void *bytes, size_t size, const char *name, const samc_image_options *options,
                                   samc_image *image, samc_scale *applied, samc_error *error) {
    target t = {.image = image, .applied = applied};
    SAMC__TRY(begin(&t, bytes, name, options, error));
    return decode(&t, bytes, size, name, error);
}

samc_status samc_image_load_with(const char *path, const samc_image_options *options, samc_image *image,
                                 samc_scale *applied, samc_error *error) {
    target t = {.image = image, .applied = applied};
    uint8_t *bytes;
    size_t size;
    const char *name;
    SAMC__TRY(begin(&t, path, path, options, error));
    SAMC__TRY(read_path(path, &bytes, &size, &name, error));
    samc_status status = decode(&t, bytes, size, name, error);
    free(bytes);
    return status;
}

samc_status samc_image_read_with(int descriptor, const char *name, const samc_image_options *options, samc_image *image,
                                 samc_scale *applied, samc_error *error) {
    target t = {.image = image, .applied = applied};
    uint8_t *bytes;
    size_t size;
    SAMC__TRY(begin(&t, name, name, options, error));
    SAMC__TRY(samc__file_read_open(descriptor, name, SAMC__IMAGE_MAX_FILE, &bytes, &size, error));
    samc_status status = decode(&t, bytes, size, name, error);
    free(bytes);
    return status;
}

#define MOST(pixels) (&(samc_image_options){.size = sizeof(samc_image_options), .most_pixels = (pixels)})

samc_status samc_image_decode(const void *bytes, size_t size, const char *name, int64_t most, samc_image *image,
                              samc_error *error) {
    return samc_image_decode_with(bytes, size, name, MOST(most), image, NULL, error);
}

samc_status samc_image_load(const char *path, int64_t most, samc_image *image, samc_error *error) {
    return samc_image_load_with(path, MOST(most), image, NULL, error);
}

samc_status samc_image_read(int descriptor, const char *name, int64_t most, samc_image *image, samc_error *error) {
    return samc_image_read_with(descriptor, name, MOST(most), image, NULL, error);
}

void samc_image_free(samc_image *image) {
    if (samc__abi_check_size(SAMC__ABI(samc_image), image, NULL) != SAMC_OK) return;
    free((void *)image->pixels);
    samc__abi_give(SAMC__ABI(samc_image), &(samc_image){0}, image, NULL);
}

samc_status samc_image_read_header(const void *bytes, size_t size, const char *name, samc_image_header *header,
                                   samc_error *error) {
    const samc__image_format *format;
    samc__image_extent extent;
    samc_image_header own = {0};
    SAMC__TRY(samc__abi_give(SAMC__IO(samc_image_header), &own, header, error));
    if (bytes == NULL || name == NULL)
        return samc__fail(error, SAMC_INVALID_ARGUMENT, "samc_image_read_header: no bytes or no name");
    samc__image_file file = {.bytes = bytes, .size = size, .name = name};
    SAMC__TRY(samc__image_open(&file, &format, &extent, error));
    own = (samc_image_header){sizeof own, extent.width, extent.height, extent.peak, format->name, extent.pages};
    return samc__abi_give(SAMC__IO(samc_image_header), &own, header, error);
}

const char *samc_image_format(int index) { return index >= 0 && index < FORMATS ? formats[index].name : NULL; }

const char *samc_image_decoder(int index) {
    if (index < 0 || index >= FORMATS) return NULL;
    return formats[index].library ? formats[index].library() : "";
}
