/* The store of the run lengths of automatic masks. */
#include "runtime/runs.h"

#include <stdatomic.h>
#include <stdlib.h>

#include "runtime/base/spool.h"
#include "runtime/base/status.h"

struct samc_auto_runs {
    samc__spool spool;
    atomic_int references;
};

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
