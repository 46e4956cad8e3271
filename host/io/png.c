/* PNG through stb_image_write: the one unit that holds its implementation. It filters and frames, zlib compresses. */
#include "host/io/png.h"

#include <stdlib.h>

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
