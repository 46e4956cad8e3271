/* Windows of scenes that are picture files: the pixels of a plain reduction, in any order, with the band in memory and
 * in a file, and of files that are damaged. */
#include <criterion/criterion.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "host/io/file.h"
#include "host/io/png.h"
#include "host/io/scene_source.h"

enum { WIDTH = 101, HEIGHT = 77 };
static const samc__image_options all = {.most = SAMC__IMAGE_MAX_PIXELS};
static char path[64];

static void forget(void) { unlink(path); }

static void put(const void *bytes, size_t size, const char *ending) {
    samc_error error;
    snprintf(path, sizeof path, "/tmp/samc-scene-%ld%s", (long)getpid(), ending);
    cr_assert_eq(samc__file_write(path, bytes, size, &error), SAMC_OK, "%s", error.message);
}

static void make_pixels(uint8_t *rgb) {
    uint32_t state = 7;
    for (int i = 0; i < WIDTH * HEIGHT * 3; i++) rgb[i] = (uint8_t)((state = state * 1664525 + 1013904223) >> 24);
}

/* A pixel of a level. */
static void reduce(const uint8_t *rgb, int level, int x, int y, uint8_t out[3]) {
    int sum[3] = {0}, n = 0;
    for (int v = y << level; v < HEIGHT && v < (y + 1) << level; v++)
        for (int u = x << level; u < WIDTH && u < (x + 1) << level; u++, n++)
            for (int c = 0; c < 3; c++) sum[c] += rgb[(v * WIDTH + u) * 3 + c];
    for (int c = 0; c < 3; c++) out[c] = (uint8_t)((sum[c] + n / 2) / n);
}

static void compare(samc__scene_source *source, const uint8_t *rgb, samc__scene_window w) {
    uint8_t *got = malloc((size_t)(w.width * w.height * 3)), *valid = malloc((size_t)(w.width * w.height));
    samc_error error = {0};
    cr_assert_eq(source->read(source, &w, got, valid, &error), SAMC_OK, "%s", error.message);
    for (int i = 0; i < w.width * w.height; i++) {
        uint8_t want[3];
        reduce(rgb, w.level, (int)w.x + i % w.width, (int)w.y + i / w.width, want);
        cr_assert_eq(memcmp(got + 3 * i, want, 3), 0, "level %d, %d of the window at %d, %d", w.level, i, (int)w.x,
                     (int)w.y);
        cr_assert_eq(valid[i], 1, "level %d, row %d", w.level, (int)w.y + i / w.width);
    }
    free(got);
    free(valid);
}

static void compare_many(samc__scene_source *source, const uint8_t *rgb) {
    for (int level = 7; level >= 0; level--) { /* as a run asks: tiles with a halo, row by row */
        const int width = (int)samc__scene_side(WIDTH, level), height = (int)samc__scene_side(HEIGHT, level);
        for (int y = 0; y < height; y += 16)
            for (int x = 0; x < width; x += 16) {
                int w = width < 24 ? width : 24, h = height < 24 ? height : 24;
                int left = x > width - w ? width - w : x, top = y > height - h ? height - h : y;
                compare(source, rgb, (samc__scene_window){level, left, top, w, h});
            }
    }
    uint32_t state = 3;
    for (int i = 0; i < 60; i++) { /* anyhow */
        const int level = (int)((state = state * 1664525 + 1013904223) >> 30);
        const int width = (int)samc__scene_side(WIDTH, level), height = (int)samc__scene_side(HEIGHT, level);
        const int y = (int)((state = state * 1664525 + 1013904223) >> 8) % height;
        compare(source, rgb, (samc__scene_window){level, 0, y, width, 1 + (int)(state >> 20) % (height - y)});
    }
}

Test(scene_file, windows, .fini = forget) {
    uint8_t *rgb = malloc(WIDTH * HEIGHT * 3), *png;
    size_t size;
    samc_error error = {0};
    make_pixels(rgb);
    cr_assert_eq(samc__png_encode("a", rgb, WIDTH, HEIGHT, 3, &png, &size, &error), SAMC_OK);
    put(png, size, ".png");
    static const int64_t bands[] = {SAMC__SCENE_BAND, 100};
    for (int i = 0; i < 2; i++) {
        samc__scene_source source;
        samc__scene_file_set_band(bands[i]);
        cr_assert_eq(samc__scene_file_open(&source, path, &all, i ? "/tmp" : NULL, &error), SAMC_OK, "%s",
                     error.message);
        cr_assert(source.width == WIDTH && source.height == HEIGHT);
        compare_many(&source, rgb);
        cr_assert_eq(source.bad, 0);
        static const samc__scene_window outside[] = {
            {0, 0, 0, WIDTH + 1, 1}, {0, 0, HEIGHT, 1, 1}, {0, -1, 0, 1, 1}, {1, 50, 0, 2, 1}, {24, 0, 0, 1, 1}};
        for (size_t k = 0; k < sizeof outside / sizeof *outside; k++)
            cr_assert_eq(source.read(&source, &outside[k], rgb, NULL, &error), SAMC_INVALID_ARGUMENT);
        source.close(&source);
    }
    samc__scene_file_set_band(100);
    samc__scene_source source;
    cr_assert_eq(samc__scene_file_open(&source, path, &all, "/nowhere", &error), SAMC_OK);
    const samc__scene_window window = {0, 0, 0, WIDTH, 4};
    cr_assert_eq(source.read(&source, &window, rgb, NULL, &error), SAMC_IO);
    cr_assert(strstr(error.message, "/nowhere: cannot create a temporary file") != NULL);
    source.close(&source);
    free(rgb);
    free(png);
}

/* What comes from the top alone ends where it breaks, and is told of once, however often it is read. */
Test(scene_file, cut_off, .fini = forget) {
    static const char photograph[] = SAMC_TEST_DATA "/../../tools/examples/coffee.jpg";
    uint8_t *bytes;
    size_t size;
    samc_error error = {0};
    samc__scene_source whole, source;
    cr_assert_eq(samc__file_read(photograph, 1 << 24, &bytes, &size, &error), SAMC_OK, "%s", error.message);
    put(bytes, size / 2, ".jpg");
    cr_assert_eq(samc__scene_file_open(&whole, photograph, &all, NULL, &error), SAMC_OK);
    cr_assert_eq(samc__scene_file_open(&source, path, &all, NULL, &error), SAMC_OK, "%s", error.message);
    const size_t row = (size_t)whole.width * 3;
    uint8_t *want = malloc(row), *got = malloc(row), *valid = malloc((size_t)whole.width);
    int64_t lost[3];
    for (int pass = 0; pass < 3; pass++) { /* the second at a coarser level */
        const int level = pass == 1;
        lost[pass] = 0;
        for (int64_t y = 0; y < samc__scene_side(whole.height, level); y++) {
            const samc__scene_window window = {level, 0, y, (int)samc__scene_side(whole.width, level), 1};
            cr_assert_eq(source.read(&source, &window, got, valid, &error), SAMC_OK, "%s", error.message);
            cr_assert_eq(whole.read(&whole, &window, want, NULL, &error), SAMC_OK);
            if (valid[0]) cr_assert_eq(lost[pass], y, "row %d of level %d", (int)y, level);
            lost[pass] += valid[0];
            memset(want, 0, valid[0] ? 0 : row);
            if (!valid[0] || (y + 1) << level < lost[0] - 16) /* its last rows lean on the next ones */
                cr_assert_eq(memcmp(got, want, (size_t)window.width * 3), 0, "row %d of level %d", (int)y, level);
        }
    }
    cr_assert(lost[0] > whole.height / 8 && lost[0] < whole.height * 7 / 8, "%d", (int)lost[0]);
    cr_assert(lost[1] == (lost[0] + 1) / 2 && lost[2] == lost[0]);
    char from[64];
    snprintf(from, sizeof from, "and nothing from row %d on", (int)lost[0]);
    cr_assert_eq(source.bad, 1);
    cr_assert(strstr(source.first_bad, path) != NULL && strstr(source.first_bad, from) != NULL, "%s", source.first_bad);
    source.close(&source);
    whole.close(&whole);
    free(bytes);
    free(want);
    free(got);
    free(valid);
}

#ifdef SAMC_WITH_TIFF
/* In a file with an index, what is behind the damage is still there. */
Test(scene_file, bad_tile, .fini = forget) {
    uint8_t *bytes, row[37 * 3], want[37 * 3], valid[37];
    size_t size;
    samc_error error = {0};
    samc__scene_source whole, source;
    cr_assert_eq(samc__file_read(SAMC_TEST_DATA "/images/tiff_tiled.tif", 1 << 20, &bytes, &size, &error), SAMC_OK);
    uint32_t at, offset = 0;
    memcpy(&at, bytes + 4, 4); /* tags of twelve bytes; 324 are the offsets of the tiles, of 16 rows each */
    for (uint32_t i = at + 2; i + 12 <= size && offset == 0; i += 12)
        if (bytes[i] == (324 & 255) && bytes[i + 1] == 324 >> 8) memcpy(&offset, bytes + i + 8, 4);
    memcpy(&offset, bytes + offset, 4);
    memset(bytes + offset, 0xff, 8);
    put(bytes, size, ".tif");
    cr_assert_eq(samc__scene_file_open(&whole, SAMC_TEST_DATA "/images/tiff_tiled.tif", &all, NULL, &error), SAMC_OK);
    cr_assert_eq(samc__scene_file_open(&source, path, &all, NULL, &error), SAMC_OK);
    for (int pass = 0; pass < 2; pass++)
        for (int y = 0; y < 29; y++) {
            const samc__scene_window window = {0, 0, y, 37, 1};
            cr_assert_eq(source.read(&source, &window, row, valid, &error), SAMC_OK);
            cr_assert_eq(whole.read(&whole, &window, want, NULL, &error), SAMC_OK);
            cr_assert_eq(valid[5], y >= 16, "row %d", y);
            if (y >= 16) cr_assert_eq(memcmp(row, want, sizeof row), 0, "row %d", y);
        }
    cr_assert_eq(source.bad, 1);
    cr_assert(strstr(source.first_bad, path) != NULL && strstr(source.first_bad, "(rows 0 to 15)") != NULL, "%s",
              source.first_bad);
    source.close(&source);
    whole.close(&whole);
    free(bytes);
}

/* The scale of deep samples is that of what can be read. */
Test(scene_file, bad_strip_of_deep_samples, .fini = forget) {
    enum { SIDE = 6, ENTRIES = 9, STRIPS = 3 /* of two rows, the second beyond the end of the file */ };
    static const uint16_t entries[ENTRIES][3] = {{256, 1, SIDE}, {257, 1, SIDE}, {258, 1, 16},
                                                 {259, 1, 1},    {262, 1, 1},    {273, 3, 122},
                                                 {277, 1, 1},    {278, 1, 2},    {279, 3, 134}};
    static const uint32_t strips[2 * STRIPS] = {146, 60000, 170, 24, 24, 24};
    uint8_t bytes[194] = {'I', 'I', 42, 0, 8, 0, 0, 0, ENTRIES}, rgb[SIDE * SIDE * 3], valid[SIDE * SIDE];
    samc_error error = {0};
    samc__scene_source source;
    for (int i = 0; i < ENTRIES; i++) {
        const uint16_t entry[6] = {entries[i][0], 4, entries[i][1], 0, entries[i][2], 0};
        memcpy(bytes + 10 + 12 * i, entry, sizeof entry);
    }
    memcpy(bytes + 122, strips, sizeof strips);
    for (int i = 0; i < 24; i++) memcpy(bytes + 146 + 2 * i, &(uint16_t){i < 12 ? 100 : 300}, 2);
    put(bytes, sizeof bytes, ".tif");
    cr_assert_eq(samc__scene_file_open(&source, path, &all, NULL, &error), SAMC_OK, "%s", error.message);
    cr_assert(source.scale.low == 100 && source.scale.high == 300, "%g to %g", source.scale.low, source.scale.high);
    const samc__scene_window window = {0, 0, 0, SIDE, SIDE};
    cr_assert_eq(source.read(&source, &window, rgb, valid, &error), SAMC_OK, "%s", error.message);
    for (int i = 0; i < SIDE * SIDE; i++) {
        cr_assert_eq(valid[i], i < 12 || i >= 24, "pixel %d", i);
        cr_assert_eq(rgb[3 * i], i < 24 ? 0 : 255, "pixel %d", i);
    }
    cr_assert_eq(source.bad, 1);
    cr_assert(strstr(source.first_bad, "(rows 2 to 3)") != NULL, "%s", source.first_bad);
    source.close(&source);
}
#endif
