/* PNG, BMP, GIF, PSD and TGA through stb_image: the one unit that holds its implementation.
 *
 * stb_image reads zeros past the end of most formats and calls it a picture. So it reads through callbacks that notice,
 * and a file that ended early is refused. The callbacks need stb_image's own context to tell its read-ahead from a real
 * demand. */
#include <stdlib.h>
#include <string.h>

#include "host/image.h"
#include "runtime/status.h"

/* No single allocation above 1 GiB: a PNG's compressed data may unpack to far more than its header admits. */
static size_t within_limit(size_t size) { return size <= (size_t)1 << 30 ? size : 0; }
static void *stb_allocate(size_t size) { return within_limit(size) ? malloc(size) : NULL; }
static void *stb_resize(void *block, size_t size) { return within_limit(size) ? realloc(block, size) : NULL; }

#define STBI_MALLOC(size) stb_allocate(size)
#define STBI_REALLOC(block, size) stb_resize(block, size)
#define STBI_FREE(block) free(block)
#define STB_IMAGE_STATIC
#define STB_IMAGE_IMPLEMENTATION
#define STBI_NO_STDIO
#define STBI_NO_JPEG
#define STBI_NO_HDR
#define STBI_NO_LINEAR
#define STBI_NO_PIC
#define STBI_NO_PNM
#define STBI_FAILURE_USERMSG
#pragma GCC diagnostic ignored "-Wunused-function"
#include <stb/stb_image.h>

typedef struct source {
    stbi__context context;
    const uint8_t *bytes;
    size_t size, at;
    bool overrun; /* the decoder wanted more bytes than there are */
} source;

static int source_read(void *user, char *to, int size) {
    source *from = user;
    size_t left = from->size - from->at, count = (size_t)size < left ? (size_t)size : left;
    /* Filling its own buffer only partly is no harm: it asks again when it needs more. */
    bool read_ahead = to == (char *)from->context.buffer_start;
    if (count == 0 || (!read_ahead && count < (size_t)size)) from->overrun = true;
    memcpy(to, from->bytes + from->at, count);
    from->at += count;
    return (int)count;
}

static void source_skip(void *user, int count) {
    source *from = user;
    size_t left = from->size - from->at;
    from->at += count < 0 ? 0 : (size_t)count < left ? (size_t)count : left;
}

static int source_end(void *user) {
    source *from = user;
    return from->at >= from->size;
}

samc_status samc__image_decode_stb(const uint8_t *bytes, size_t size, const char *name, int64_t most, samc__picture *picture,
                                   samc_error *error) {
    int width = 0, height = 0, channels = 0;
    if (!stbi_info_from_memory(bytes, (int)size, &width, &height, &channels))
        return samc__fail(error, SAMC_FORMAT, "%s: damaged image: %s", name, stbi_failure_reason());
    SAMC__TRY(samc__image_check_size(name, width, height, most, error));

    static const stbi_io_callbacks callbacks = {source_read, source_skip, source_end};
    source from = {.bytes = bytes, .size = size};
    stbi__start_callbacks(&from.context, (stbi_io_callbacks *)&callbacks, &from);
    uint8_t *pixels = stbi__load_and_postprocess_8bit(&from.context, &width, &height, &channels, 3);
    if (from.overrun) {
        free(pixels);
        return samc__fail(error, SAMC_FORMAT, "%s: truncated image", name);
    }
    if (pixels == NULL) return samc__fail(error, SAMC_FORMAT, "%s: damaged image: %s", name, stbi_failure_reason());
    *picture = (samc__picture){.pixels = pixels, .width = width, .height = height};
    return SAMC_OK;
}
