/* COCO run lengths of a mask, as in pycocotools' maskApi.c: counts down the columns. */
#include <stdlib.h>
#include <string.h>

#include "host/io/abi.h"
#include "host/io/samc_io.h"
#include "runtime/base/coco.h"
#include "runtime/base/status.h"

enum { COLUMNS = 64 }; /* turned at a time: reading a row-major mask down one column misses the cache at every step */

static samc_status no_memory(samc_error *error) {
    return samc__fail(error, SAMC_OUT_OF_MEMORY, "out of memory for run lengths");
}

static bool append(samc_rle *rle, size_t *room, uint32_t run) {
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

/* Columns [x0, x0 + count) of a mask of bytes or of bits into columns [count, height], 0 and 1. */
static void turn(const uint8_t *mask, bool bits, const samc_rle *rle, int x0, int count, uint8_t *columns) {
    size_t width = (size_t)rle->width, height = (size_t)rle->height;
    for (size_t y = 0; y < height; y++) {
        const uint8_t *row = mask + y * (bits ? (width + 7) / 8 : width);
        for (int x = 0; x < count; x++) {
            int at = x0 + x;
            columns[(size_t)x * height + y] = bits ? row[at / 8] >> (7 - at % 8) & 1 : row[at] != 0;
        }
    }
}

static samc_status encode(const uint8_t *mask, bool bits, int width, int height, samc_rle *out, samc_error *error) {
    samc_rle rle = {.width = width, .height = height};
    SAMC__TRY(samc__abi_give(SAMC__IO(samc_rle), &(samc_rle){0}, out, error));
    if (mask == NULL) return samc__fail(error, SAMC_INVALID_ARGUMENT, "run lengths of no mask");
    if (height <= 0 || width <= 0 || (uint64_t)height * (uint64_t)width > UINT32_MAX)
        return samc__fail(error, SAMC_INVALID_ARGUMENT, "run lengths of a mask of %d x %d", width, height);
    uint8_t *columns = malloc((size_t)height * COLUMNS); /* [COLUMNS, height] */
    bool ok = columns != NULL;
    size_t room = 0;
    uint32_t run = 0;
    uint8_t value = 0;
    for (int x0 = 0; ok && x0 < width; x0 += COLUMNS) {
        int columns_here = width - x0 < COLUMNS ? width - x0 : COLUMNS;
        turn(mask, bits, &rle, x0, columns_here, columns);
        size_t pixels = (size_t)columns_here * (size_t)height;
        for (size_t i = 0; ok && i < pixels; i++) {
            if (columns[i] != value) {
                ok = append(&rle, &room, run);
                value = columns[i];
                run = 0;
            }
            run++;
        }
    }
    ok = ok && append(&rle, &room, run);
    free(columns);
    if (ok) {
        return samc__abi_give(SAMC__IO(samc_rle), &rle, out, error);
    }
    free(rle.counts);
    return no_memory(error);
}

samc_status samc_rle_from_bytes(const uint8_t *mask, int width, int height, samc_rle *rle, samc_error *error) {
    return encode(mask, false, width, height, rle, error);
}

samc_status samc_rle_from_bits(const uint8_t *bits, int width, int height, samc_rle *rle, samc_error *error) {
    return encode(bits, true, width, height, rle, error);
}

/* The caller's struct, its counts held against its size. */
static samc_status take(const samc_rle *given, samc_rle *rle, samc_error *error) {
    *rle = (samc_rle){0};
    SAMC__TRY(samc__abi_take(SAMC__IO(samc_rle), given, rle, error));
    if (rle->counts == NULL || rle->width <= 0 || rle->height <= 0)
        return samc__fail(error, SAMC_INVALID_ARGUMENT, "run lengths that are none");
    uint64_t pixels = (uint64_t)rle->height * (uint64_t)rle->width, at = 0;
    for (size_t i = 0; i < rle->count; at += rle->counts[i++])
        if (rle->counts[i] > pixels - at) return samc__fail(error, SAMC_FORMAT, "run lengths beyond the mask");
    return at == pixels ? SAMC_OK : samc__fail(error, SAMC_FORMAT, "run lengths cover only part of the mask");
}

samc_status samc_rle_to_bytes(const samc_rle *given, uint8_t *mask, samc_error *error) {
    samc_rle rle;
    SAMC__TRY(take(given, &rle, error));
    if (mask == NULL) return samc__fail(error, SAMC_INVALID_ARGUMENT, "no room for the mask of run lengths");
    size_t width = (size_t)rle.width, height = (size_t)rle.height, x = 0, y = 0;
    for (size_t i = 0; i < rle.count; i++)
        for (uint32_t left = rle.counts[i]; left > 0; left--) {
            mask[y * width + x] = i & 1;
            if (++y == height) x++, y = 0;
        }
    return SAMC_OK;
}

samc_status samc_rle_to_bits(const samc_rle *given, uint8_t *bits, samc_error *error) {
    samc_rle rle;
    SAMC__TRY(take(given, &rle, error));
    if (bits == NULL) return samc__fail(error, SAMC_INVALID_ARGUMENT, "no room for the mask of run lengths");
    size_t row = ((size_t)rle.width + 7) / 8, height = (size_t)rle.height, at = 0;
    memset(bits, 0, row * height);
    for (size_t i = 0; i < rle.count; at += rle.counts[i++])
        for (size_t p = at; i % 2 == 1 && p < at + rle.counts[i]; p++)
            bits[p % height * row + p / height / 8] |= (uint8_t)(0x80 >> p / height % 8);
    return SAMC_OK;
}

samc_status samc_rle_measure(const samc_rle *given, int64_t *area, int bbox[4], samc_error *error) {
    samc_rle rle;
    int64_t pixels = 0, at = 0, height, x0 = INT32_MAX, y0 = INT32_MAX, x1 = -1, y1 = -1;
    SAMC__TRY(take(given, &rle, error));
    height = rle.height;
    for (size_t i = 0; i < rle.count; at += rle.counts[i++]) {
        if (i % 2 == 0 || rle.counts[i] == 0) continue;
        int64_t last = at + rle.counts[i] - 1, first_x = at / height, last_x = last / height;
        bool turns = last_x > first_x; /* the run reaches the bottom and goes on at the top */
        int64_t top = turns ? 0 : at % height, bottom = turns ? height - 1 : last % height;
        x0 = first_x < x0 ? first_x : x0;
        x1 = last_x > x1 ? last_x : x1;
        y0 = top < y0 ? top : y0;
        y1 = bottom > y1 ? bottom : y1;
        pixels += rle.counts[i];
    }
    if (area != NULL) *area = pixels;
    const int64_t box[4] = {x0, y0, x1 - x0, y1 - y0};
    for (int i = 0; i < 4 && bbox != NULL; i++) bbox[i] = pixels > 0 ? (int)box[i] : 0;
    return SAMC_OK;
}

samc_status samc_rle_to_string(const samc_rle *given, char **string, samc_error *error) {
    samc_rle rle;
    if (string == NULL) return samc__fail(error, SAMC_INVALID_ARGUMENT, "no place for the string of run lengths");
    *string = NULL;
    SAMC__TRY(take(given, &rle, error));
    char *text = malloc(rle.count * SAMC__RUN_CHARACTERS + 1);
    if (text == NULL) return no_memory(error);
    text[samc__runs_pack(rle.counts, rle.count, text)] = '\0';
    *string = text;
    return SAMC_OK;
}

samc_status samc_rle_from_string(const char *string, int width, int height, samc_rle *out, samc_error *error) {
    SAMC__TRY(samc__abi_give(SAMC__IO(samc_rle), &(samc_rle){0}, out, error));
    if (string == NULL || width <= 0 || height <= 0)
        return samc__fail(error, SAMC_INVALID_ARGUMENT, "run lengths of a mask of %d x %d", width, height);
    size_t length = strlen(string), count = samc__runs_count(string, length);
    samc_rle checked, rle = {sizeof rle, width, height, count, malloc((count + 1) * sizeof *rle.counts)};
    if (rle.counts == NULL) return no_memory(error);
    samc_status status = samc__runs_unpack(string, length, rle.counts)
                             ? take(&rle, &checked, error)
                             : samc__fail(error, SAMC_FORMAT, "malformed run lengths");
    if (status == SAMC_OK) samc__abi_give(SAMC__IO(samc_rle), &rle, out, NULL);
    else free(rle.counts);
    return status;
}

void samc_rle_free(samc_rle *rle) {
    if (samc__abi_check_size(SAMC__IO(samc_rle), rle, NULL) != SAMC_OK) return;
    free(rle->counts);
    samc__abi_give(SAMC__IO(samc_rle), &(samc_rle){0}, rle, NULL);
}
