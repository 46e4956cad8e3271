/* Embeddings one behind the other in a spool, as files of them are, in f32: what comes back is what was kept. */
#include "host/io/encodings.h"

#include <stdlib.h>

#include "runtime/base/status.h"

samc_status samc__encodings_begin(samc__encodings *e, int slices, samc_error *error) {
    *e = (samc__encodings){.count = slices};
    e->slices = calloc((size_t)slices, sizeof *e->slices);
    return e->slices ? SAMC_OK : samc__fail(error, SAMC_OUT_OF_MEMORY, "no memory for %d slices", slices);
}

void samc__encodings_keep(samc__encodings *e, samc_session *session, int slice) {
    uint8_t *bytes = NULL;
    size_t size = 0;
    if (e->full || e->slices[slice].size > 0) return;
    int64_t at = e->spool.length;
    bool kept = samc_pack_embedding(session, 0, SAMC_PRECISION_F32, &bytes, &size) == SAMC_OK &&
                samc__spool_append(&e->spool, bytes, size, NULL) == SAMC_OK;
    free(bytes);
    if (kept) e->slices[slice] = (struct samc__encoding){at, size};
    e->full = !kept;
}

samc_status samc__encodings_set(const samc__encodings *e, samc_session *session, int slice, bool *there,
                                samc_error *error) {
    const struct samc__encoding *kept = e->slices + slice;
    *there = kept->size > 0;
    if (!*there) return SAMC_OK;
    uint8_t *bytes = malloc(kept->size);
    if (bytes == NULL) return samc__fail(error, SAMC_OUT_OF_MEMORY, "no memory for an embedding");
    samc_status status = samc__spool_read(&e->spool, kept->at, bytes, kept->size, error);
    if (status == SAMC_OK)
        status = samc_session_check(session, samc_unpack_embedding(session, bytes, kept->size), "a slice", error);
    free(bytes);
    return status;
}

void samc__encodings_end(samc__encodings *e) {
    samc__spool_free(&e->spool);
    free(e->slices);
    *e = (samc__encodings){0};
}
