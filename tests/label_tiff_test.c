/* Rasters of ids by libtiff, read back by it. */
#include <criterion/criterion.h>

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include <tiffio.h>

#include "host/io/label_tiff.h"

static char folder[64], path[96];
static samc_error error;

static void begin(void) {
    strcpy(folder, "/tmp/samc-labels-XXXXXX");
    cr_assert(mkdtemp(folder) != NULL);
    snprintf(path, sizeof path, "%s/masks.tif", folder);
}

static void end(void) {
    unlink(path);
    cr_assert_eq(rmdir(folder), 0, "nothing else is left");
}

TestSuite(label_tiff, .init = begin, .fini = end);

enum { WIDTH = 1500, HEIGHT = 700, MASKS = 40 };

static uint32_t draw(uint32_t below) {
    static uint32_t state = 5;
    state = state * 1664525u + 1013904223u;
    return (state >> 8) % below;
}

/* Adds random masks to the sink, and paints the same into ids [HEIGHT, WIDTH]. */
static samc_status add_masks(samc__scene_sink *sink, uint32_t *ids) {
    samc_status status = SAMC_OK;
    for (int64_t id = 1; id <= MASKS && status == SAMC_OK; id++) {
        samc__scene_record r = {.width = 1 + draw(id == 1 ? WIDTH : 200), .height = 1 + draw(200)};
        r.x = draw((uint32_t)(WIDTH - r.width + 1)), r.y = draw((uint32_t)(HEIGHT - r.height + 1));
        uint32_t *counts = malloc((size_t)(r.width * r.height + 1) * sizeof *counts);
        for (int64_t at = 0, size = r.width * r.height; at < size; at += counts[r.count++]) {
            const uint32_t length = draw(300) + (r.count > 0);
            counts[r.count] = length < size - at ? length : (uint32_t)(size - at);
            for (int64_t p = at; r.count % 2 == 1 && p < at + counts[r.count]; p++)
                ids[(r.y + p % r.height) * WIDTH + r.x + p / r.height] = (uint32_t)id;
        }
        status = sink->add(sink, id, &r, counts, &error);
        free(counts);
    }
    return status;
}

static void fill_disk(void) {
    struct rlimit limit;
    cr_assert_eq(getrlimit(RLIMIT_FSIZE, &limit), 0);
    limit.rlim_cur = 3000;
    cr_assert_eq(setrlimit(RLIMIT_FSIZE, &limit), 0); /* of this test's process alone */
}

enum { NEVER, AT_FIRST, AT_LAST };

static samc_status write_raster(uint32_t *ids, int full) {
    const samc__scene_source scene = {.name = "scene", .width = WIDTH, .height = HEIGHT};
    samc__scene_sink sink;
    cr_assert_eq(samc__label_tiff_sink(&sink, &error), SAMC_OK);
    cr_assert_str_eq(sink.suffix, ".masks.tif");
    if (full == AT_FIRST) fill_disk();
    samc_status status = sink.open(&sink, &scene, path, &error);
    if (status == SAMC_OK) status = add_masks(&sink, ids);
    if (full == AT_LAST) fill_disk();
    if (status == SAMC_OK) status = sink.close(&sink, &error);
    else sink.abandon(&sink);
    samc__label_tiff_sink_end(&sink);
    return status;
}

/* A directory's pixels are every 2^level-th of `ids`. */
static void check_level(TIFF *tiff, int level, const uint32_t *ids) {
    uint32_t width, height, *tile = malloc((size_t)TIFFTileSize(tiff));
    uint16_t bits, kind, compression;
    cr_assert(TIFFGetField(tiff, TIFFTAG_IMAGEWIDTH, &width) && TIFFGetField(tiff, TIFFTAG_IMAGELENGTH, &height));
    cr_assert(TIFFGetField(tiff, TIFFTAG_BITSPERSAMPLE, &bits) && TIFFGetField(tiff, TIFFTAG_SAMPLEFORMAT, &kind));
    cr_assert(TIFFGetField(tiff, TIFFTAG_COMPRESSION, &compression) && TIFFIsTiled(tiff));
    cr_assert(bits == 32 && kind == SAMPLEFORMAT_UINT && compression == COMPRESSION_ADOBE_DEFLATE);
    cr_assert(width == samc__scene_side(WIDTH, level) && height == samc__scene_side(HEIGHT, level));
    for (uint32_t y = 0; y < height; y += 512)
        for (uint32_t x = 0; x < width; x += 512) {
            cr_assert(TIFFReadTile(tiff, tile, x, y, 0, 0) > 0);
            for (uint32_t i = 0; i < 512 * 512; i++) {
                const uint32_t px = x + i % 512, py = y + i / 512;
                if (px < width && py < height)
                    cr_assert_eq(tile[i], ids[(size_t)(py << level) * WIDTH + (px << level)], "%u, %u", px, py);
            }
        }
    free(tile);
}

Test(label_tiff, pixel_by_pixel) {
    uint32_t *ids = calloc((size_t)WIDTH * HEIGHT, sizeof *ids);
    for (int big = 0; big < 2; big++) {
        memset(ids, 0, (size_t)WIDTH * HEIGHT * sizeof *ids);
        if (big) samc__label_tiff_set_big(1 << 20);
        cr_assert_eq(write_raster(ids, NEVER), SAMC_OK, "%s", error.message);
        TIFF *tiff = TIFFOpen(path, "r");
        cr_assert(tiff != NULL && TIFFIsBigTIFF(tiff) == big);
        cr_assert_eq(TIFFNumberOfDirectories(tiff), 3);
        for (int level = 0; level < 3; level++) {
            uint32_t reduced = 0;
            cr_assert(TIFFSetDirectory(tiff, (tdir_t)level));
            TIFFGetField(tiff, TIFFTAG_SUBFILETYPE, &reduced);
            cr_assert_eq(reduced == FILETYPE_REDUCEDIMAGE, level > 0);
            check_level(tiff, level, ids);
        }
        TIFFClose(tiff);
        unlink(path);
    }
    free(ids);
}

/* A disk that is full leaves no file: when the raster is painted, and when it becomes a TIFF. */
static void check_full(int when) {
    uint32_t *ids = calloc((size_t)WIDTH * HEIGHT, sizeof *ids);
    signal(SIGXFSZ, SIG_IGN);
    cr_assert_eq(write_raster(ids, when), SAMC_IO);
    cr_assert(strstr(error.message, path) != NULL && access(path, F_OK) != 0, "%s", error.message);
    free(ids);
}

Test(label_tiff, full_at_first) { check_full(AT_FIRST); }
Test(label_tiff, full_at_last) { check_full(AT_LAST); }
