/* Photographs for benches: a few distinct ones of 3 megapixels, JPEG as cameras write it. */
#include "bench/host_side/photographs.h"

#include <stdio.h> /* before jpeglib.h, which uses FILE */

#include <jpeglib.h>
#include <stdlib.h>
#include <string.h>

#include "host/io/samc_io.h"
#include "runtime/base/status.h"

enum { WIDTH = 2048, HEIGHT = 1536, TILE = 256, QUALITY = 93 };

static uint32_t next(uint32_t *state) { return *state = *state * 1664525u + 1013904223u; }

/* A tile of `from`, somewhere, mirrored or not, with the grain of a sensor. */
static void paint(uint8_t *pixels, int x0, int y0, const samc_image *from, uint32_t *state) {
    int left = (int)(next(state) >> 8) % (from->width - TILE), top = (int)(next(state) >> 8) % (from->height - TILE);
    bool mirrored = next(state) >> 31;
    for (int y = 0; y < TILE; y++)
        for (int x = 0; x < TILE; x++) {
            const uint8_t *p =
                from->pixels + 3 * ((ptrdiff_t)(top + y) * from->width + left + (mirrored ? TILE - 1 - x : x));
            uint8_t *q = pixels + 3 * ((ptrdiff_t)(y0 + y) * WIDTH + x0 + x);
            for (int c = 0; c < 3; c++) {
                int grain = (int)(next(state) >> 29) + (int)(next(state) >> 29) - 7, value = p[c] + grain;
                q[c] = (uint8_t)(value < 0 ? 0 : value > 255 ? 255 : value);
            }
        }
}

static samc_status write_jpeg(const char *path, uint8_t *pixels, samc_error *error) {
    FILE *file = fopen(path, "wb");
    if (file == NULL) return samc__fail(error, SAMC_IO, "%s cannot be written", path);
    struct jpeg_error_mgr manager;
    struct jpeg_compress_struct jpeg = {.err = jpeg_std_error(&manager)};
    jpeg_create_compress(&jpeg);
    jpeg_stdio_dest(&jpeg, file);
    jpeg.image_width = WIDTH, jpeg.image_height = HEIGHT, jpeg.input_components = 3, jpeg.in_color_space = JCS_RGB;
    jpeg_set_defaults(&jpeg);
    jpeg_set_quality(&jpeg, QUALITY, TRUE); /* and colour at half the resolution, both ways */
    jpeg_start_compress(&jpeg, TRUE);
    for (JSAMPROW row; jpeg.next_scanline < HEIGHT;) {
        row = pixels + 3 * (size_t)jpeg.next_scanline * WIDTH;
        jpeg_write_scanlines(&jpeg, &row, 1);
    }
    jpeg_finish_compress(&jpeg);
    jpeg_destroy_compress(&jpeg);
    return fclose(file) == 0 ? SAMC_OK : samc__fail(error, SAMC_IO, "%s cannot be written", path);
}

samc_status make_photographs(const char *folder, char *const *examples, int example_count, int count,
                             samc_error *error) {
    samc_image from[8];
    int loaded = 0;
    samc_status status = SAMC_OK;
    uint8_t *pixels = malloc(3 * (size_t)WIDTH * HEIGHT);
    if (pixels == NULL) return samc__fail(error, SAMC_OUT_OF_MEMORY, "no memory for photographs");
    for (int i = 0; i < example_count && status == SAMC_OK; i++) {
        from[i] = SAMC_INIT(samc_image);
        status = samc_image_load(examples[i], SAMC_IMAGE_MOST_PIXELS, &from[i], error);
        if (status == SAMC_OK) loaded++;
        if (status == SAMC_OK && (from[i].width <= TILE || from[i].height <= TILE))
            status = samc__fail(error, SAMC_INVALID_ARGUMENT, "%s is too small", examples[i]);
    }
    for (int n = 0; n < count && status == SAMC_OK; n++) {
        uint32_t state = (uint32_t)n + 1;
        char path[4096];
        for (int y = 0; y < HEIGHT; y += TILE)
            for (int x = 0; x < WIDTH; x += TILE)
                paint(pixels, x, y, &from[(next(&state) >> 8) % (uint32_t)example_count], &state);
        snprintf(path, sizeof path, "%s/%d.jpg", folder, n);
        status = write_jpeg(path, pixels, error);
    }
    while (loaded > 0) samc_image_free(&from[--loaded]);
    free(pixels);
    return status;
}
