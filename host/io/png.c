/* PNG through stb_image_write: the one unit that holds its implementation. It filters and frames, zlib compresses. */
#include "host/io/png.h"

#include <stdlib.h>
#include <string.h>

#include "host/io/file.h"
#include "host/io/samc_io.h"
#include "runtime/base/status.h"

#include <zlib.h>

/* stb's own deflate takes half a second for the overlay of a photograph; zlib's fastest, on rows that stb has filtered,
 * a tenth of that. */
static unsigned char *deflate_fast(unsigned char *data, int size, int *packed, int quality) {
    (void)quality;
    uLongf room = compressBound((uLong)size);
    unsigned char *out = malloc(room);
    if (out != NULL && compress2(out, &room, data, (uLong)size, 1) != Z_OK) {
        free(out);
        out = NULL;
    }
    *packed = (int)room;
    return out;
}
#define STBIW_ZLIB_COMPRESS deflate_fast
#define STB_IMAGE_WRITE_STATIC
#define STB_IMAGE_WRITE_IMPLEMENTATION
#define STBI_WRITE_NO_STDIO
#pragma GCC diagnostic ignored "-Wunused-function"
#include <stb/stb_image_write.h>

samc_status samc__png_encode(const char *path, const uint8_t *pixels, int width, int height, int channels,
                             uint8_t **png, size_t *size, samc_error *error) {
    int length = 0;
    *png = stbi_write_png_to_mem(pixels, width * channels, width, height, channels, &length); /* by malloc() */
    *size = (size_t)length;
    return *png ? SAMC_OK
                : samc__fail(error, SAMC_OUT_OF_MEMORY, "%s: out of memory for a PNG of %d x %d", path, width, height);
}

static uint8_t *put_long(uint8_t *to, uint32_t value) {
    for (int shift = 24; shift >= 0; shift -= 8) *to++ = (uint8_t)(value >> shift);
    return to;
}

/* A chunk's length and kind stand before its `size` bytes at `at`, which are there; its checksum goes behind. */
static uint8_t *close_chunk(uint8_t *at, const char *kind, size_t size) {
    memcpy(put_long(at - 8, (uint32_t)size), kind, 4);
    return put_long(at + size, (uint32_t)crc32(0, at - 4, (uInt)size + 4));
}

samc_status samc__png_encode_grey16(const char *path, const uint16_t *pixels, int width, int height, uint8_t **png,
                                    size_t *size, samc_error *error) {
    static const uint8_t magic[8] = {0x89, 'P', 'N', 'G', '\r', '\n', 0x1a, '\n'};
    size_t row = (size_t)width * 2 + 1, bytes = row * (size_t)height; /* a filter byte, none, before each row */
    uLongf packed = bytes < UINT32_MAX / 2 ? compressBound((uLong)bytes) : 0;
    uint8_t *rows = packed > 0 ? malloc(bytes) : NULL, *out = packed > 0 ? malloc(packed + 64) : NULL;
    for (int y = 0; rows != NULL && y < height; y++) {
        uint8_t *to = rows + (size_t)y * row;
        *to++ = 0;
        for (int x = 0; x < width; x++) {
            uint16_t value = pixels[(size_t)y * (size_t)width + (size_t)x];
            *to++ = (uint8_t)(value >> 8);
            *to++ = (uint8_t)value;
        }
    }
    bool good = rows != NULL && out != NULL;
    *png = NULL;
    *size = 0;
    if (good) {
        memcpy(out, magic, sizeof magic);
        uint8_t *at = out + sizeof magic + 8;
        static const uint8_t kind[5] = {16, 0, 0, 0, 0}; /* bits, grey, and no choices */
        memcpy(put_long(put_long(at, (uint32_t)width), (uint32_t)height), kind, sizeof kind);
        at = close_chunk(at, "IHDR", 13) + 8;
        good = compress2(at, &packed, rows, (uLong)bytes, 1) == Z_OK;
        if (good) *size = (size_t)(close_chunk(close_chunk(at, "IDAT", packed) + 8, "IEND", 0) - out);
    }
    free(rows);
    if (good) *png = out;
    else free(out);
    return good ? SAMC_OK
                : samc__fail(error, SAMC_OUT_OF_MEMORY, "%s: out of memory for a PNG of %d x %d", path, width, height);
}

static samc_status check(const uint8_t *pixels, int width, int height, int channels, samc_error *error) {
    bool good = pixels != NULL && width > 0 && height > 0 && (channels == 1 || channels == 3 || channels == 4) &&
                (int64_t)width * height < INT32_MAX / channels - height; /* stb counts in int, filter bytes included */
    return good ? SAMC_OK
                : samc__fail(error, SAMC_INVALID_ARGUMENT, "no PNG can be made of %d x %d pixels of %d channels", width,
                             height, channels);
}

samc_status samc_png_encode(const uint8_t *pixels, int width, int height, int channels, uint8_t **png, size_t *size,
                            samc_error *error) {
    if (png == NULL || size == NULL) return samc__fail(error, SAMC_INVALID_ARGUMENT, "samc_png_encode: no place");
    *png = NULL;
    *size = 0;
    SAMC__TRY(check(pixels, width, height, channels, error));
    return samc__png_encode("memory", pixels, width, height, channels, png, size, error);
}

samc_status samc_png_write(const char *path, const uint8_t *pixels, int width, int height, int channels,
                           samc_error *error) {
    size_t size;
    uint8_t *png;
    if (path == NULL) return samc__fail(error, SAMC_INVALID_ARGUMENT, "samc_png_write: no path");
    SAMC__TRY(check(pixels, width, height, channels, error));
    SAMC__TRY(samc__png_encode(path, pixels, width, height, channels, &png, &size, error));
    samc_status status = samc__file_write(path, png, size, error);
    free(png);
    return status;
}
