/* The store of the run lengths of masks. */
#include "runtime/runs.h"
#include "kernels/mask_rle/mask_rle.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/base/abi.h"
#include "runtime/base/spool.h"
#include "runtime/base/status.h"
#include "kernels/place.h"

struct samc_runs {
    samc__spool spool;
    atomic_int references;
};

samc_runs *samc__runs_create(const char *folder) {
    samc_runs *runs = calloc(1, sizeof *runs);
    if (runs == NULL) return NULL;
    atomic_init(&runs->references, 1);
    runs->spool.folder = folder;
    return runs;
}

samc_runs *samc_runs_keep(samc_runs *runs) {
    if (runs != NULL) atomic_fetch_add(&runs->references, 1);
    return runs;
}

void samc_runs_release(samc_runs *runs) {
    if (runs == NULL || atomic_fetch_sub(&runs->references, 1) > 1) return;
    samc__spool_free(&runs->spool);
    free(runs);
}

samc_status samc__runs_add(samc_runs *runs, const uint32_t *counts, size_t count, samc__run_place *place,
                           samc_error *error) {
    char *text = malloc(count * SAMC__RUN_CHARACTERS);
    if (text == NULL) return samc__fail(error, SAMC_OUT_OF_MEMORY, "no memory for run lengths");
    *place = (samc__run_place){runs->spool.length, samc__runs_pack(counts, count, text), count};
    samc_status status = samc__spool_append(&runs->spool, text, place->length, error);
    free(text);
    return status;
}

samc_status samc__runs_read(const samc_runs *runs, const samc__run_place *place, uint32_t *counts, samc_error *error) {
    char *text = malloc(place->length);
    if (text == NULL) return samc__fail(error, SAMC_OUT_OF_MEMORY, "no memory for run lengths");
    samc_status status = samc__spool_read(&runs->spool, place->at, text, place->length, error);
    if (status == SAMC_OK && !samc__runs_unpack(text, place->length, counts))
        status = samc__fail(error, SAMC_FORMAT, "malformed run lengths");
    free(text);
    return status;
}

samc_status samc__runs_of_bits(const samc__exec *exec, const uint64_t *bits, int width, int height, uint32_t *counts,
                               int64_t capacity, int64_t *length) {
    void *tensors[2] = {NULL, NULL};
    size_t bytes = (size_t)capacity * sizeof *counts;
    samc_status status = samc__lend(exec, counts, bytes, false, &tensors[0]);
    if (status == SAMC_OK) status = samc__lend(exec, length, sizeof *length, false, &tensors[1]);
    if (status == SAMC_OK)
        status = samc__mask_rle(exec, &(samc__mask_rle_args){.bits = bits,
                                                             .masks = 1,
                                                             .height = height,
                                                             .width = width,
                                                             .counts = tensors[0],
                                                             .capacity = capacity,
                                                             .lengths = tensors[1]});
    bool done = status == SAMC_OK;
    samc_status first = samc__collect(exec, length, tensors[1], done ? sizeof *length : 0),
                second = samc__collect(exec, counts, tensors[0], done ? bytes : 0);
    return !done ? status : first != SAMC_OK ? first : second;
}

static samc_status check(const samc_mask *mask, const void *room, samc_error *error) {
    SAMC__TRY(samc__abi_check(SAMC__ABI(samc_mask), mask, error));
    return mask->runs != NULL && room != NULL
               ? SAMC_OK
               : samc__fail(error, SAMC_INVALID_ARGUMENT, "the mask has no run lengths, or there is no room for them");
}

samc_status samc_mask_rle(const samc_mask *mask, char *rle, samc_error *error) {
    SAMC__TRY(check(mask, rle, error));
    rle[mask->rle_length] = '\0';
    return samc__spool_read(&mask->runs->spool, mask->runs_at, rle, mask->rle_length, error);
}

samc_status samc_mask_counts(const samc_mask *mask, uint32_t *counts, samc_error *error) {
    SAMC__TRY(check(mask, counts, error));
    return samc__runs_read(mask->runs, &(samc__run_place){mask->runs_at, mask->rle_length, mask->count_length}, counts,
                           error);
}

/* 64 columns at a time, as bits of a word for each row: a run sets the same bit in words that lie one after another. */
static void fill(const samc_mask *mask, const uint32_t *counts, uint64_t *rows, uint8_t *bytes) {
    enum { COLUMNS = 64 };
    int64_t height = mask->height, width = mask->width, end = 0, run = -1; /* counts[run] ends at `end` */
    for (int64_t x0 = 0; x0 < width; x0 += COLUMNS) {
        int64_t columns = width - x0 < COLUMNS ? width - x0 : COLUMNS, first = x0 * height,
                last = first + columns * height; /* pixels, down the columns */
        memset(rows, 0, (size_t)height * sizeof *rows);
        for (int64_t at = first; at < last;) {
            while (at == end) end += counts[++run];
            int64_t column = (at - first) / height, y = at - first - column * height,
                    foot = end - at < height - y ? y + end - at : height;
            for (int64_t i = y; run % 2 == 1 && i < foot; i++) rows[i] |= UINT64_C(1) << column;
            at += foot - y;
        }
        for (int64_t y = 0; y < height; y++)
            for (int64_t x = 0; x < columns; x++) bytes[y * width + x0 + x] = (uint8_t)(rows[y] >> x & 1);
    }
}

samc_status samc_mask_bytes(const samc_mask *mask, uint8_t *bytes, samc_error *error) {
    SAMC__TRY(check(mask, bytes, error));
    uint64_t *rows = malloc((size_t)mask->height * sizeof *rows);
    uint32_t *counts = malloc(mask->count_length * sizeof *counts);
    samc_status status = rows && counts
                             ? samc_mask_counts(mask, counts, error)
                             : samc__fail(error, SAMC_OUT_OF_MEMORY, "no memory for a mask of %d x %d pixels",
                                          mask->width, mask->height);
    uint64_t pixels = 0, size = (uint64_t)mask->width * (uint64_t)mask->height;
    for (size_t i = 0; status == SAMC_OK && i < mask->count_length; i++) pixels += counts[i];
    if (status == SAMC_OK && pixels != size)
        status = samc__fail(error, SAMC_FORMAT, "run lengths of %llu pixels for a mask of %d x %d",
                            (unsigned long long)pixels, mask->width, mask->height);
    if (status == SAMC_OK) fill(mask, counts, rows, bytes);
    free(counts);
    free(rows);
    return status;
}
