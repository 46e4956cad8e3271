/* COCO's compressed run lengths, as in pycocotools' maskApi.c, and the store of those of automatic masks. */
#include "runtime/runs.h"

#include <stdatomic.h>
#include <stdlib.h>

#include "runtime/base/spool.h"
#include "runtime/base/status.h"

struct samc_auto_runs {
    samc__spool spool;
    atomic_int references;
};

/* Each count, from the fourth on as the difference to the one two before it, in groups of five bits, the lowest first;
 * bit 5 says that more follow, the last group's bit 4 is the sign. 48 makes it printable. */
size_t samc__runs_pack(const uint32_t *counts, size_t count, char *text) {
    size_t length = 0;
    for (size_t i = 0; i < count; i++) {
        int64_t value = counts[i];
        if (i > 2) value -= counts[i - 2];
        for (bool more = true; more;) {
            int group = value & 31;
            value >>= 5;
            more = group & 16 ? value != -1 : value != 0;
            text[length++] = (char)((more ? group | 32 : group) + 48);
        }
    }
    return length;
}

size_t samc__runs_count(const char *text, size_t length) {
    size_t count = 0;
    for (size_t i = 0; i < length; i++) count += !((text[i] - 48) & 32);
    return count;
}

bool samc__runs_unpack(const char *text, size_t length, uint32_t *counts) {
    size_t count = 0;
    for (size_t i = 0; i < length;) {
        int64_t value = 0;
        bool more = true;
        for (int shift = 0; more; shift += 5) {
            int group = i < length ? text[i++] - 48 : -1;
            if (group < 0 || group > 63 || shift > 30) return false;
            value |= (int64_t)(group & 31) << shift;
            more = group & 32;
            if (!more && group & 16) value -= (int64_t)1 << (shift + 5);
        }
        if (count > 2) value += counts[count - 2];
        if (value < 0 || value > UINT32_MAX) return false;
        counts[count++] = (uint32_t)value;
    }
    return true;
}

samc_auto_runs *samc__runs_create(const char *folder) {
    samc_auto_runs *runs = calloc(1, sizeof *runs);
    if (runs == NULL) return NULL;
    atomic_init(&runs->references, 1);
    runs->spool.folder = folder;
    return runs;
}

samc_auto_runs *samc_auto_runs_keep(samc_auto_runs *runs) {
    if (runs != NULL) atomic_fetch_add(&runs->references, 1);
    return runs;
}

void samc_auto_runs_release(samc_auto_runs *runs) {
    if (runs == NULL || atomic_fetch_sub(&runs->references, 1) > 1) return;
    samc__spool_free(&runs->spool);
    free(runs);
}

samc_status samc__runs_add(samc_auto_runs *runs, const uint32_t *counts, size_t count, samc__run_place *place,
                           samc_error *error) {
    char *text = malloc(count * SAMC__RUN_CHARACTERS);
    if (text == NULL) return samc__fail(error, SAMC_OUT_OF_MEMORY, "no memory for run lengths");
    *place = (samc__run_place){runs->spool.length, samc__runs_pack(counts, count, text), count};
    samc_status status = samc__spool_append(&runs->spool, text, place->length, error);
    free(text);
    return status;
}

samc_status samc__runs_read(const samc_auto_runs *runs, const samc__run_place *place, uint32_t *counts,
                            samc_error *error) {
    char *text = malloc(place->length);
    if (text == NULL) return samc__fail(error, SAMC_OUT_OF_MEMORY, "no memory for run lengths");
    samc_status status = samc__spool_read(&runs->spool, place->at, text, place->length, error);
    if (status == SAMC_OK && !samc__runs_unpack(text, place->length, counts))
        status = samc__fail(error, SAMC_FORMAT, "malformed run lengths");
    free(text);
    return status;
}

samc_status samc_auto_mask_rle(const samc_auto_mask *mask, char *rle, samc_error *error) {
    if (mask == NULL || mask->runs == NULL || rle == NULL)
        return samc__fail(error, SAMC_INVALID_ARGUMENT, "samc_auto_mask_rle: no mask or no room");
    rle[mask->rle_length] = '\0';
    return samc__spool_read(&mask->runs->spool, mask->rle_at, rle, mask->rle_length, error);
}

samc_status samc_auto_mask_counts(const samc_auto_mask *mask, uint32_t *counts, samc_error *error) {
    if (mask == NULL || mask->runs == NULL || counts == NULL)
        return samc__fail(error, SAMC_INVALID_ARGUMENT, "samc_auto_mask_counts: no mask or no room");
    return samc__runs_read(mask->runs, &(samc__run_place){mask->rle_at, mask->rle_length, (size_t)mask->count_length},
                           counts, error);
}
