/* Recognises an image format, checks what the decoders would not, and turns the picture upright. */
#include "host/image.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "host/crc.h"
#include "host/file.h"
#include "runtime/status.h"

samc_status samc__image_check_size(const char *name, int64_t width, int64_t height, int64_t most, samc_error *error) {
    if (width <= 0 || height <= 0)
        return samc__fail(error, SAMC_FORMAT, "%s: image without pixels (%lld x %lld)", name, (long long)width,
                          (long long)height);
    if (width > most / height)
        return samc__fail(error, SAMC_UNSUPPORTED,
                          "%s: image of %lld x %lld pixels is larger than the limit of %lld pixels", name,
                          (long long)width, (long long)height, (long long)most);
    return SAMC_OK;
}

void samc__picture_free(samc__picture *picture) {
    free(picture->pixels);
    *picture = (samc__picture){0};
}

/* ---- EXIF -------------------------------------------------------------------------------------------------------- */

static uint32_t read_u16(const uint8_t *at, bool little) {
    return little ? (uint32_t)at[0] | (uint32_t)at[1] << 8 : (uint32_t)at[0] << 8 | at[1];
}

static uint32_t read_u32(const uint8_t *at, bool little) {
    return little ? read_u16(at, true) | read_u16(at + 2, true) << 16
                  : read_u16(at, false) << 16 | read_u16(at + 2, false);
}

int samc__exif_orientation(const uint8_t *tiff, size_t size) {
    enum { ORIENTATION = 0x0112, SHORT = 3, LONG = 4 };
    if (size < 8 || (memcmp(tiff, "II", 2) != 0 && memcmp(tiff, "MM", 2) != 0)) return 1;
    bool little = tiff[0] == 'I';
    size_t directory = read_u32(tiff + 4, little);
    if (read_u16(tiff + 2, little) != 42 || directory > size - 2) return 1;
    size_t entries = read_u16(tiff + directory, little);
    for (size_t i = 0; i < entries; i++) {
        size_t at = directory + 2 + 12 * i;
        if (at + 12 > size) return 1;
        if (read_u16(tiff + at, little) != ORIENTATION) continue;
        uint32_t type = read_u16(tiff + at + 2, little);
        uint32_t value = type == SHORT  ? read_u16(tiff + at + 8, little)
                         : type == LONG ? read_u32(tiff + at + 8, little)
                                        : 1;
        return value >= 1 && value <= 8 ? (int)value : 1;
    }
    return 1;
}

/* Applies one of the eight orientations. 2 mirrors, 3 turns by 180 degrees, 4 flips upside down, 5 transposes, 6 turns
 * right, 7 transposes along the other diagonal, 8 turns left. */
static samc_status orient(samc__picture *picture, int orientation, const char *name, samc_error *error) {
    if (orientation == 1) return SAMC_OK;
    bool swap = orientation >= 5; /* rows become columns */
    bool from_right = orientation == 2 || orientation == 3 || orientation == 7 || orientation == 8;
    bool from_bottom = orientation == 3 || orientation == 4 || orientation == 6 || orientation == 7;
    int width = picture->width, height = picture->height;
    samc__picture turned = {.width = swap ? height : width, .height = swap ? width : height};
    turned.pixels = malloc((size_t)width * (size_t)height * 3);
    if (turned.pixels == NULL) return samc__fail(error, SAMC_OUT_OF_MEMORY, "%s: out of memory", name);
    uint8_t *to = turned.pixels; /* [turned.height, turned.width, 3] */
    for (int y = 0; y < turned.height; y++) {
        for (int x = 0; x < turned.width; x++, to += 3) {
            int source_x = swap ? y : x, source_y = swap ? x : y;
            if (from_right) source_x = width - 1 - source_x;
            if (from_bottom) source_y = height - 1 - source_y;
            memcpy(to, picture->pixels + ((size_t)source_y * (size_t)width + (size_t)source_x) * 3, 3);
        }
    }
    free(picture->pixels);
    *picture = turned;
    return SAMC_OK;
}

/* ---- PNG --------------------------------------------------------------------------------------------------------- */

/* Walks the chunks: stb_image checks no sums, so that a flipped bit would pass as a picture. Finds eXIf on the way. */
static samc_status check_png(const uint8_t *bytes, size_t size, const char *name, int64_t most, int *orientation, samc_error *error) {
    uint32_t table[256];
    samc__crc_table(table);
    if (size >= 24 && memcmp(bytes + 12, "IHDR", 4) == 0)
        SAMC__TRY(samc__image_check_size(name, read_u32(bytes + 16, false), read_u32(bytes + 20, false), most, error));
    for (size_t at = 8;;) {
        if (size - at < 12) return samc__fail(error, SAMC_FORMAT, "%s: truncated PNG", name);
        size_t length = read_u32(bytes + at, false);
        const uint8_t *type = bytes + at + 4, *data = type + 4;
        if (length > size - at - 12) return samc__fail(error, SAMC_FORMAT, "%s: truncated PNG", name);
        bool critical = (type[0] & 0x20) == 0;
        bool intact = samc__crc(table, type, length + 4) == read_u32(data + length, false);
#ifdef FUZZING_BUILD_MODE_UNSAFE_FOR_PRODUCTION
        intact = true; /* a fuzzer cannot guess sums, and what lies behind them is to be fuzzed */
#endif
        if (critical && !intact)
            return samc__fail(error, SAMC_FORMAT, "%s: damaged PNG (wrong checksum of a %.4s chunk)", name, type);
        if (memcmp(type, "eXIf", 4) == 0 && intact) *orientation = samc__exif_orientation(data, length);
        if (memcmp(type, "IEND", 4) == 0) return SAMC_OK;
        at += length + 12;
    }
}

/* ---- Any format -------------------------------------------------------------------------------------------------- */

/* The name of a format that people have and samc does not read, so that the message can say so; NULL where unknown. */
static const char *foreign_format(const uint8_t *bytes, size_t size) {
    if (size >= 12 && memcmp(bytes, "RIFF", 4) == 0 && memcmp(bytes + 8, "WEBP", 4) == 0) return "WebP";
    if (size >= 4 && (memcmp(bytes, "II*\0", 4) == 0 || memcmp(bytes, "MM\0*", 4) == 0)) return "TIFF";
    if (size >= 4 && (memcmp(bytes, "II+\0", 4) == 0 || memcmp(bytes, "MM\0+", 4) == 0)) return "BigTIFF";
    if (size >= 12 && memcmp(bytes + 4, "ftypavi", 7) == 0) return "AVIF";
    if (size >= 12 && (memcmp(bytes + 4, "ftyphe", 6) == 0 || memcmp(bytes + 4, "ftypmif", 7) == 0)) return "HEIC";
    if (size >= 12 && memcmp(bytes + 4, "jP  \r\n", 6) == 0) return "JPEG 2000";
    if (size >= 12 && (memcmp(bytes + 4, "JXL \r\n", 6) == 0 || memcmp(bytes, "\xff\x0a", 2) == 0)) return "JPEG XL";
    if (size >= 4 && memcmp(bytes, "\x76\x2f\x31\x01", 4) == 0) return "OpenEXR";
    if (size >= 4 && memcmp(bytes, "%PDF", 4) == 0) return "PDF";
    return NULL;
}

samc_status samc__image_decode_within(const uint8_t *bytes, size_t size, const char *name, int64_t most, samc__picture *picture,
                                      samc_error *error) {
    const char *dot = strrchr(name, '.');
    int orientation = 1;
    samc_status status;
    *picture = (samc__picture){0};
    if (size >= 3 && memcmp(bytes, "\xff\xd8\xff", 3) == 0) {
        status = samc__image_decode_jpeg(bytes, size, name, most, picture, &orientation, error);
    } else if (size >= 8 && memcmp(bytes, "\x89PNG\r\n\x1a\n", 8) == 0) {
        status = check_png(bytes, size, name, most, &orientation, error);
        if (status == SAMC_OK) status = samc__image_decode_stb(bytes, size, name, most, picture, error);
    } else if (size >= 2 && (memcmp(bytes, "P5", 2) == 0 || memcmp(bytes, "P6", 2) == 0)) {
        status = samc__image_decode_pnm(bytes, size, name, most, picture, error);
    } else if ((size >= 2 && memcmp(bytes, "BM", 2) == 0) || (size >= 4 && memcmp(bytes, "GIF8", 4) == 0) ||
               (size >= 4 && memcmp(bytes, "8BPS", 4) == 0) ||
               /* TGA has no signature: anything might be one, so that the name has to say so. */
               (size > 0 && dot != NULL && strcasecmp(dot, ".tga") == 0)) {
        status = samc__image_decode_stb(bytes, size, name, most, picture, error);
    } else if (size == 0) {
        status = samc__fail(error, SAMC_FORMAT, "%s: empty file", name);
    } else {
        const char *format = foreign_format(bytes, size);
        status = samc__fail(error, SAMC_UNSUPPORTED,
                            "%s: %s%snot a supported image format (JPEG, PNG, BMP, GIF, PSD, PGM, PPM, TGA)", name,
                            format == NULL ? "" : format, format == NULL ? "" : " is ");
    }
    if (status == SAMC_OK) status = orient(picture, orientation, name, error);
    if (status != SAMC_OK) samc__picture_free(picture);
    return status;
}

samc_status samc__image_decode(const uint8_t *bytes, size_t size, const char *name, samc__picture *picture,
                               samc_error *error) {
    return samc__image_decode_within(bytes, size, name, SAMC__IMAGE_MAX_PIXELS, picture, error);
}

samc_status samc__image_load(const char *path, samc__picture *picture, samc_error *error) {
    uint8_t *bytes;
    size_t size;
    *picture = (samc__picture){0};
    int code;
    if (strcmp(path, "-") == 0) SAMC__TRY(samc__file_read(path, SAMC__IMAGE_MAX_FILE, &bytes, &size, error));
    else SAMC__TRY(samc__file_read_regular(path, SAMC__IMAGE_MAX_FILE, &bytes, &size, &code, error));
    samc_status status =
        samc__image_decode(bytes, size, strcmp(path, "-") == 0 ? "standard input" : path, picture, error);
    free(bytes);
    return status;
}
