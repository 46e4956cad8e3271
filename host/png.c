/* PNG through stb_image_write: the one unit that holds its implementation. */
#include "host/png.h"

#include <stdlib.h>

#include "host/file.h"
#include "runtime/status.h"

#define STB_IMAGE_WRITE_STATIC
#define STB_IMAGE_WRITE_IMPLEMENTATION
#define STBI_WRITE_NO_STDIO
#pragma GCC diagnostic ignored "-Wunused-function"
#include <stb/stb_image_write.h>

samc_status samc__png_write(const char *path, const uint8_t *pixels, int width, int height, int channels,
                            samc_error *error) {
    int size = 0;
    unsigned char *png = stbi_write_png_to_mem(pixels, width * channels, width, height, channels, &size);
    if (png == NULL)
        return samc__fail(error, SAMC_OUT_OF_MEMORY, "%s: out of memory for a PNG of %d x %d", path, width, height);
    samc_status status = samc__file_write(path, png, (size_t)size, error);
    STBIW_FREE(png);
    return status;
}
