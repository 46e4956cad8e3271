/* Pictures by rows: the pixels of the whole reader, in memory that does not grow with the picture. */
#include <criterion/criterion.h>

#include <dirent.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <jpeglib.h>

#include "host/io/file.h"
#include "host/io/png.h"
#include "host/io/rows.h"

static const samc__image_options all = {.most = SAMC__IMAGE_MAX_PIXELS};

/* Every fixture that decodes, in pieces of several sizes, in order and not. Returns how many went by rows. */
static int compare_fixtures(const samc__image_options *options) {
    DIR *folder = opendir(SAMC_TEST_DATA "/images");
    cr_assert(folder != NULL);
    int by_rows = 0;
    for (struct dirent *entry; (entry = readdir(folder)) != NULL;) {
        char path[1024];
        uint8_t *bytes;
        size_t size;
        samc__picture whole;
        samc__rows rows;
        samc_error error = {0};
        if (entry->d_name[0] == '.') continue;
        snprintf(path, sizeof path, SAMC_TEST_DATA "/images/%s", entry->d_name);
        cr_assert_eq(samc__file_read(path, 1 << 24, &bytes, &size, &error), SAMC_OK);
        samc_status status = samc__image_decode_within(bytes, size, path, options, &whole, &error);
        if (status != SAMC_OK) {
            free(bytes);
            continue;
        }
        cr_assert_eq(samc__rows_open(&rows, path, options, &error), SAMC_OK, "%s: %s", path, error.message);
        cr_assert(rows.width == whole.width && rows.height == whole.height, "%s", path);
        cr_assert(rows.scale.name == whole.scale.name && rows.scale.low == whole.scale.low &&
                  rows.scale.high == whole.scale.high);
        const size_t row = (size_t)whole.width * 3;
        uint8_t *got = malloc(row * (size_t)whole.height);
        static const int pieces[] = {1, 3, 1000};
        for (int p = 0; p < 3; p++) {
            memset(got, p, row * (size_t)whole.height);
            for (int y = 0; y < whole.height; y += pieces[p]) {
                int count = whole.height - y < pieces[p] ? whole.height - y : pieces[p];
                cr_assert_eq(samc__rows_read(&rows, y, count, got + (size_t)y * row, &error), SAMC_OK, "%s: %s", path,
                             error.message);
            }
            cr_assert_eq(memcmp(got, whole.pixels, row * (size_t)whole.height), 0, "%s by %d", path, pieces[p]);
        }
        for (int i = 0; i < 6; i++) { /* back, and on with a gap */
            int64_t y = (int64_t)whole.height * (5 * i % 6) / 6;
            cr_assert_eq(samc__rows_read(&rows, y, 1, got, &error), SAMC_OK, "%s: %s", path, error.message);
            cr_assert_eq(memcmp(got, whole.pixels + (size_t)y * row, row), 0, "%s row %d", path, (int)y);
        }
        cr_assert_eq(samc__rows_read(&rows, whole.height - 1, 2, got, &error), SAMC_INVALID_ARGUMENT);
        cr_assert_eq(samc__rows_read(&rows, -1, 1, got, &error), SAMC_INVALID_ARGUMENT);
        by_rows += rows.by_rows;
        samc__rows_close(&rows);
        samc__picture_free(&whole);
        free(got);
        free(bytes);
    }
    closedir(folder);
    return by_rows;
}

Test(rows, as_the_whole_reader) { cr_expect_geq(compare_fixtures(&all), 30); }

/* Two passes before the first row. */
Test(rows, scaled_by_percentiles) {
    samc__image_options options = all;
    cr_assert_eq(samc__scale_parse("P2-98", &options.scale, NULL), SAMC_OK);
    cr_expect_geq(compare_fixtures(&options), 30);
}

/* ---- Large pictures, whose bytes are made and not kept in the repository --------------------- */

enum { SIDE = 2600, ROW = SIDE * 3 };

static void paint(int y, uint8_t *rgb) {
    for (int x = 0; x < ROW; x++) rgb[x] = (uint8_t)(x * 7 + y * 3 + (x * y >> 9));
}

static uint8_t *large_png(size_t *size) {
    uint8_t *pixels = malloc((size_t)ROW * SIDE), *png;
    for (int y = 0; y < SIDE; y++) paint(y, pixels + (size_t)y * ROW);
    cr_assert_eq(samc_png_encode(pixels, SIDE, SIDE, 3, &png, size, NULL), SAMC_OK);
    free(pixels);
    return png;
}

static uint8_t *large_jpeg(bool progressive, size_t *size) {
    struct jpeg_compress_struct jpeg;
    struct jpeg_error_mgr errors;
    unsigned char *bytes = NULL;
    unsigned long length = 0;
    static uint8_t row[ROW];
    JSAMPROW rows[1] = {row};
    jpeg.err = jpeg_std_error(&errors);
    jpeg_create_compress(&jpeg);
    jpeg_mem_dest(&jpeg, &bytes, &length);
    jpeg.image_width = jpeg.image_height = SIDE;
    jpeg.input_components = 3;
    jpeg.in_color_space = JCS_RGB;
    jpeg_set_defaults(&jpeg);
    if (progressive) jpeg_simple_progression(&jpeg);
    jpeg_start_compress(&jpeg, TRUE);
    for (int y = 0; y < SIDE; y++) {
        paint(y, row);
        jpeg_write_scanlines(&jpeg, rows, 1);
    }
    jpeg_finish_compress(&jpeg);
    jpeg_destroy_compress(&jpeg);
    *size = length;
    return bytes;
}

/* Bytes that are allocated now, by whichever library; 0 where another allocator does not tell (a sanitizer's). */
static size_t allocated(void) {
    struct mallinfo2 m = mallinfo2();
    return m.uordblks + m.hblkhd;
}

/* The most that is allocated between rows, beside what there was: not `limit` bytes. */
static void check_bounded(const uint8_t *bytes, size_t size, size_t limit, const char *name) {
    const samc__image_options small = {.most = 1000}; /* no picture as a whole is this small */
    static uint8_t rgb[8 * ROW];
    samc__rows rows;
    samc_error error = {0};
    size_t before = allocated(), most = 0;
    cr_assert_eq(samc__rows_open_bytes(&rows, bytes, size, name, &small, &error), SAMC_OK, "%s", error.message);
    cr_assert(rows.by_rows);
    for (int y = 0; y < SIDE; y += 8) {
        cr_assert_eq(samc__rows_read(&rows, y, 8, rgb, &error), SAMC_OK, "%s", error.message);
        size_t now = allocated();
        if (now > most) most = now;
    }
    cr_expect_lt(most, before + limit, "%s: %zu bytes", name, most - before);
    samc__rows_close(&rows);
    cr_expect_leq(allocated(), before + 4096, "%s", name);
}

Test(rows, png_in_bounded_memory) {
    size_t size;
    uint8_t *bytes = large_png(&size);
    check_bounded(bytes, size, 256 << 10, "large.png"); /* the picture has 20 MB */
    free(bytes);
}

Test(rows, jpeg_in_bounded_memory) {
    size_t size;
    uint8_t *bytes = large_jpeg(false, &size);
    check_bounded(bytes, size, 1 << 20, "large.jpg");
    free(bytes);
}

static void put(uint8_t **at, uint64_t value, int bytes) {
    for (int i = 0; i < bytes; i++) *(*at)++ = (uint8_t)(value >> (8 * i));
}

/* Little-endian, not compressed, 16 rows a strip: the header, a directory, the strips' places and sizes, the strips. */
static uint8_t *large_tiff(size_t *size) {
    enum { STRIP = 16, STRIPS = (SIDE + STRIP - 1) / STRIP, ENTRIES = 9 };
    const size_t bits = 8 + 2 + ENTRIES * 12 + 4, offsets = bits + 6, counts = offsets + 4 * STRIPS,
                 pixels = counts + 4 * STRIPS;
    const uint64_t entries[ENTRIES][4] = {{256, 4, 1, SIDE}, {257, 4, 1, SIDE},  {258, 3, 3, bits},
                                          {259, 3, 1, 1},    {262, 3, 1, 2},     {273, 4, STRIPS, offsets},
                                          {277, 3, 1, 3},    {278, 4, 1, STRIP}, {279, 4, STRIPS, counts}};
    *size = pixels + (size_t)ROW * SIDE;
    uint8_t *bytes = malloc(*size), *at = bytes;
    put(&at, 0x002a4949, 4);
    put(&at, 8, 4);
    put(&at, ENTRIES, 2);
    for (int i = 0; i < ENTRIES; i++) {
        put(&at, entries[i][0], 2);
        put(&at, entries[i][1], 2);
        put(&at, entries[i][2], 4);
        put(&at, entries[i][3], 4);
    }
    put(&at, 0, 4);
    for (int c = 0; c < 3; c++) put(&at, 8, 2);
    for (size_t i = 0; i < STRIPS; i++) put(&at, pixels + i * STRIP * ROW, 4);
    for (size_t i = 0; i < STRIPS; i++) put(&at, (i + 1 < STRIPS ? STRIP : SIDE - i * STRIP) * ROW, 4);
    for (int y = 0; y < SIDE; y++, at += ROW) paint(y, at);
    return bytes;
}

Test(rows, tiff_in_bounded_memory) {
    size_t size;
    bool built = false;
    for (int i = 0; samc_image_format(i) != NULL; i++) built = built || strcmp(samc_image_format(i), "TIFF") == 0;
    if (!built) return;
    uint8_t *bytes = large_tiff(&size);
    check_bounded(bytes, size, 1 << 20, "large.tif");
    samc__rows rows;
    static uint8_t rgb[ROW], painted[ROW];
    cr_assert_eq(samc__rows_open_bytes(&rows, bytes, size, "large.tif", &all, NULL), SAMC_OK);
    for (int y = 0; y < SIDE; y += 331) {
        paint(y, painted);
        cr_assert_eq(samc__rows_read(&rows, y, 1, rgb, NULL), SAMC_OK);
        cr_expect_eq(memcmp(rgb, painted, ROW), 0, "row %d", y);
    }
    samc__rows_close(&rows);
    free(bytes);
}

/* What cannot be read by rows is held against the limit, by its header. */
Test(rows, whole_pictures_have_a_limit) {
    const samc__image_options small = {.most = SIDE * SIDE - 1};
    samc__rows rows;
    samc_error error = {0};
    size_t size;
    uint8_t *bytes = large_jpeg(true, &size);
    cr_expect_eq(samc__rows_open_bytes(&rows, bytes, size, "scans.jpg", &small, &error), SAMC_UNSUPPORTED);
    cr_expect(strstr(error.message, "scans.jpg") && strstr(error.message, "limit"), "%s", error.message);
    samc__rows_close(&rows);
    cr_expect_eq(samc__rows_open_bytes(&rows, bytes, size, "scans.jpg", &all, &error), SAMC_OK);
    cr_expect(!rows.by_rows && rows.width == SIDE);
    samc__rows_close(&rows);
    free(bytes);
}

/* A file that ends early fails at the row that is not there, and not before; and again when asked again. */
Test(rows, cut_files) {
    static uint8_t rgb[ROW];
    samc__rows rows;
    samc_error error = {0};
    size_t size;
    uint8_t *bytes = large_jpeg(false, &size);
    cr_assert_eq(samc__rows_open_bytes(&rows, bytes, size / 2, "half.jpg", &all, &error), SAMC_OK);
    int64_t y = 0;
    while (y < SIDE && samc__rows_read(&rows, y, 1, rgb, &error) == SAMC_OK) y++;
    cr_expect(y > SIDE / 8 && y < SIDE, "row %d", (int)y);
    cr_expect(error.status == SAMC_FORMAT && strstr(error.message, "half.jpg"), "%s", error.message);
    cr_expect_eq(samc__rows_read(&rows, y, 1, rgb, &error), SAMC_FORMAT);
    cr_expect_eq(samc__rows_read(&rows, 0, 1, rgb, &error), SAMC_OK);
    samc__rows_close(&rows);
    free(bytes);
}

Test(rows, no_file) {
    samc__rows rows;
    samc_error error = {0};
    cr_expect_eq(samc__rows_open(&rows, "no.png", &all, &error), SAMC_IO);
    samc__rows_close(&rows);
    cr_expect_eq(samc__rows_open(&rows, "/dev/null", &all, &error), SAMC_IO);
    samc__rows_close(&rows);
    cr_expect_eq(samc__rows_open_bytes(&rows, (const uint8_t *)"", 0, "empty", &all, &error), SAMC_FORMAT);
    samc__rows_close(&rows);
}
