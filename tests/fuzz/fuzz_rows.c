/* Fuzzes the row readers, against the whole reader where that takes the same bytes. Rows have no limit on pixels: what
 * has too many of them for a fuzzer is left out by its header. */
#include <stdlib.h>
#include <string.h>

#include "host/io/rows.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    enum { ROWS = 5, MOST = 1 << 16 /* pixels of a row, and rows */ };
    static uint8_t rgb[ROWS * MOST * 3];
    samc__image_options options = {.most = 1 << 16};
    samc__image_extent extent;
    samc__picture whole;
    samc__rows rows;
    samc_error error;
    /* The scale is chosen by the last byte; its passes read all rows. */
    static const char *const scales[] = {"", "minmax", "P1-99", "-5,300", "high-byte"};
    if (size == 0 || samc__image_size(data, size, "fuzz.tga", 0, &extent, &error) != SAMC_OK) return 0;
    if (extent.width > MOST || extent.height > MOST) return 0;
    samc__scale_parse(scales[data[size - 1] % 5], &options.scale, NULL);
    samc_status status = samc__image_decode_within(data, size, "fuzz.tga", &options, &whole, &error);
    samc_status opened = samc__rows_open_bytes(&rows, data, size, "fuzz.tga", &options, &error);
    if (status == SAMC_OK && (opened != SAMC_OK || rows.width != whole.width || rows.height != whole.height)) abort();
    for (int64_t y = 0; opened == SAMC_OK && y < rows.height; y += ROWS) {
        int64_t count = rows.height - y < ROWS ? rows.height - y : ROWS;
        opened = samc__rows_read(&rows, y, count, rgb, &error);
        if (status != SAMC_OK) continue;
        const size_t row = (size_t)whole.width * 3;
        if (opened != SAMC_OK || memcmp(rgb, whole.pixels + (size_t)y * row, (size_t)count * row) != 0) abort();
    }
    if (opened == SAMC_OK && status == SAMC_OK) {
        if (samc__rows_read(&rows, 0, 1, rgb, &error) != SAMC_OK) abort();
        if (memcmp(rgb, whole.pixels, (size_t)whole.width * 3) != 0) abort();
    }
    samc__rows_close(&rows);
    samc__picture_free(&whole);
    return 0;
}
