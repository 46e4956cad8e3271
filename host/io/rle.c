/* COCO run lengths, as in pycocotools' maskApi.c: counts down the columns. */
#include "host/io/rle.h"

#include <stdlib.h>
#include <string.h>

#include "runtime/base/coco.h"
#include "runtime/base/status.h"

enum { COLUMNS = 64 }; /* turned at a time: reading a row-major mask down one column misses the cache at every step */

void samc__rle_free(samc__rle *rle) {
    free(rle->counts);
    *rle = (samc__rle){0};
}

static bool append(samc__rle *rle, size_t *room, uint32_t run) {
    if (rle->count == *room) {
        size_t more = *room == 0 ? 256 : *room * 2;
        uint32_t *grown = realloc(rle->counts, more * sizeof *grown);
        if (grown == NULL) return false;
        rle->counts = grown;
        *room = more;
    }
    rle->counts[rle->count++] = run;
    return true;
}

samc_status samc__rle_encode(const uint8_t *mask, int height, int width, samc__rle *rle, samc_error *error) {
    *rle = (samc__rle){.height = height, .width = width};
    if (height <= 0 || width <= 0 || (uint64_t)height * (uint64_t)width > UINT32_MAX)
        return samc__fail(error, SAMC_INVALID_ARGUMENT, "run lengths of a mask of %d x %d", width, height);
    uint8_t *columns = malloc((size_t)height * COLUMNS); /* [COLUMNS, height] */
    bool ok = columns != NULL;
    size_t room = 0;
    uint32_t run = 0;
    uint8_t value = 0;
    for (int x0 = 0; ok && x0 < width; x0 += COLUMNS) {
        int columns_here = width - x0 < COLUMNS ? width - x0 : COLUMNS;
        for (int y = 0; y < height; y++) {
            const uint8_t *row = mask + (size_t)y * (size_t)width + x0;
            for (int x = 0; x < columns_here; x++) columns[(size_t)x * (size_t)height + (size_t)y] = row[x] != 0;
        }
        size_t pixels = (size_t)columns_here * (size_t)height;
        for (size_t i = 0; ok && i < pixels; i++) {
            if (columns[i] != value) {
                ok = append(rle, &room, run);
                value = columns[i];
                run = 0;
            }
            run++;
        }
    }
    ok = ok && append(rle, &room, run);
    free(columns);
    if (ok) return SAMC_OK;
    samc__rle_free(rle);
    return samc__fail(error, SAMC_OUT_OF_MEMORY, "out of memory for run lengths");
}

samc_status samc__rle_decode(const samc__rle *rle, uint8_t *mask, samc_error *error) {
    uint64_t pixels = (uint64_t)rle->height * (uint64_t)rle->width, at = 0;
    for (size_t i = 0; i < rle->count; i++) {
        if (rle->counts[i] > pixels - at) return samc__fail(error, SAMC_FORMAT, "run lengths beyond the mask");
        for (uint64_t end = at + rle->counts[i]; at < end; at++) {
            uint64_t x = at / (uint64_t)rle->height, y = at % (uint64_t)rle->height;
            mask[y * (uint64_t)rle->width + x] = i & 1;
        }
    }
    return at == pixels ? SAMC_OK : samc__fail(error, SAMC_FORMAT, "run lengths cover only part of the mask");
}

samc_status samc__rle_to_string(const samc__rle *rle, char **string, samc_error *error) {
    char *text = malloc(rle->count * SAMC__RUN_CHARACTERS + 1);
    if (text == NULL) return samc__fail(error, SAMC_OUT_OF_MEMORY, "out of memory for run lengths");
    text[samc__runs_pack(rle->counts, rle->count, text)] = '\0';
    *string = text;
    return SAMC_OK;
}

samc_status samc__rle_from_string(const char *string, int height, int width, samc__rle *rle, samc_error *error) {
    size_t length = strlen(string), count = samc__runs_count(string, length);
    *rle = (samc__rle){malloc((count + 1) * sizeof *rle->counts), count, height, width};
    if (rle->counts == NULL) return samc__fail(error, SAMC_OUT_OF_MEMORY, "out of memory for run lengths");
    if (samc__runs_unpack(string, length, rle->counts)) return SAMC_OK;
    samc__rle_free(rle);
    return samc__fail(error, SAMC_FORMAT, "malformed run lengths");
}
