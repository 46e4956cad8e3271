/* Entries: a checksum, the record, its run lengths, in the machine's byte order. */
#include "host/io/scene_spool.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "host/io/crc.h"
#include "runtime/base/status.h"

typedef struct entry {
    uint32_t sum; /* of what follows, the run lengths too */
    uint32_t mark;
    samc__scene_record record;
} entry;

enum { MARK = 0x534d5331, MOST_COUNTS = 1 << 30, PIECE = 1 << 16 };

_Static_assert(sizeof(samc__scene_record) == 112 && sizeof(entry) == 120, "a record is the same on every machine");

static uint32_t sum_of(const entry *e, const uint32_t *counts) {
    uint32_t table[256];
    samc__crc_table(table);
    uint32_t of_record = samc__crc(table, &e->mark, sizeof *e - sizeof e->sum);
    return of_record ^ samc__crc(table, counts, (size_t)e->record.count * sizeof *counts);
}

samc_status samc__scene_spool_append(samc__stream *stream, const samc__store *store, const samc__scene_record *record,
                                     const uint32_t *counts, samc_error *error) {
    entry e = {.mark = MARK, .record = *record};
    if (record->count < 1 || record->count > MOST_COUNTS)
        return samc__store_fail(store, stream->in_root, stream->name, SAMC_UNSUPPORTED, error,
                                "a mask of %lld run lengths", (long long)record->count);
    e.sum = sum_of(&e, counts);
    SAMC__TRY(samc__stream_append(stream, store, &e, sizeof e, error));
    return samc__stream_append(stream, store, counts, (size_t)record->count * sizeof *counts, error);
}

/* ---- Reading --------------------------------------------------------------------------------- */

static samc_status no_memory(const samc__store *store, samc_error *error) {
    return samc__fail(error, SAMC_OUT_OF_MEMORY, "%s: out of memory for its masks", store->root);
}

static samc_status make_room(samc__scene_spool *spool, const samc__store *store, samc_error *error) {
    if (spool->count < spool->room) return SAMC_OK;
    const int64_t room = spool->room ? spool->room + spool->room / 2 : 1024;
    samc__scene_record *records = realloc(spool->records, (size_t)room * sizeof *records);
    if (records == NULL) return no_memory(store, error);
    spool->records = records;
    samc__scene_place *places = realloc(spool->places, (size_t)room * sizeof *places);
    if (places == NULL) return no_memory(store, error);
    spool->places = places;
    spool->room = room;
    return SAMC_OK;
}

/* The entries of an open file up to `length`; counts [*room] grows. */
static samc_status add_entries(samc__scene_spool *spool, const samc__store *store, const char *name, int64_t length,
                               FILE *file, uint32_t **counts, samc_error *error) {
    int64_t at = 0, room = 0;
    entry e;
    while (at < length) {
        bool good = length - at > (int64_t)sizeof e && fread(&e, sizeof e, 1, file) == 1 && e.mark == MARK &&
                    e.record.count > 0 && e.record.count <= MOST_COUNTS &&
                    e.record.count <= (length - at - (int64_t)sizeof e) / (int64_t)sizeof **counts;
        if (good && e.record.count > room) {
            room = 2 * e.record.count;
            free(*counts);
            *counts = malloc((size_t)room * sizeof **counts);
            if (*counts == NULL) return no_memory(store, error);
        }
        good = good && fread(*counts, sizeof **counts, (size_t)e.record.count, file) == (size_t)e.record.count &&
               e.sum == sum_of(&e, *counts);
        if (!good)
            return samc__store_fail(store, false, name, SAMC_FORMAT, error,
                                    "damaged in the entry at byte %lld; put it back from a copy, or begin anew in "
                                    "another folder",
                                    (long long)at);
        SAMC__TRY(make_room(spool, store, error));
        spool->records[spool->count] = e.record;
        spool->places[spool->count++] = (samc__scene_place){spool->file_count - 1, at + (int64_t)sizeof e};
        if (e.record.count > spool->most) spool->most = e.record.count;
        at += (int64_t)sizeof e + e.record.count * (int64_t)sizeof **counts;
    }
    return SAMC_OK;
}

samc_status samc__scene_spool_add(samc__scene_spool *spool, const samc__store *store, const char *name, int64_t length,
                                  samc_error *error) {
    uint32_t *counts = NULL;
    FILE *file;
    SAMC__TRY(samc__store_read(store, false, name, &file, error));
    int *files = realloc(spool->files, ((size_t)spool->file_count + 1) * sizeof *files);
    samc_status status = files != NULL ? SAMC_OK : no_memory(store, error);
    if (files != NULL) {
        spool->files = files;
        files[spool->file_count] = dup(fileno(file));
        if (files[spool->file_count] >= 0) spool->file_count++;
        else status = samc__store_fail(store, false, name, SAMC_IO, error, "cannot be kept open: %s", strerror(errno));
    }
    if (status == SAMC_OK) status = add_entries(spool, store, name, length, file, &counts, error);
    free(counts);
    fclose(file);
    return status;
}

samc_status samc__scene_spool_read(const samc__scene_spool *spool, int64_t i, uint32_t *counts, samc_error *error) {
    const samc__scene_place *place = &spool->places[i];
    const size_t size = (size_t)spool->records[i].count * sizeof *counts;
    for (size_t done = 0; done < size;) {
        ssize_t now = pread(spool->files[place->file], (char *)counts + done, size - done, place->at + (int64_t)done);
        if (now == 0 || (now < 0 && errno != EINTR))
            return samc__fail(error, SAMC_IO, "cannot read the masks of the run: %s",
                              now == 0 ? "the file was cut off" : strerror(errno));
        if (now > 0) done += (size_t)now;
    }
    return SAMC_OK;
}

/* ---- Order ----------------------------------------------------------------------------------- */

static int in_order(const void *a, const void *b, void *context) {
    const samc__scene_record *records = context, *x = &records[*(const int64_t *)a], *y = &records[*(const int64_t *)b];
    const int32_t left[] = {-x->level, x->tile_row, x->tile_column, x->index, x->cut},
                  right[] = {-y->level, y->tile_row, y->tile_column, y->index, y->cut};
    for (int i = 0; i < 5; i++)
        if (left[i] != right[i]) return left[i] < right[i] ? -1 : 1;
    return 0;
}

samc_status samc__scene_spool_sort(samc__scene_spool *spool, samc_error *error) {
    const int64_t count = spool->count;
    samc__scene_record *records = spool->records;
    samc__scene_place *places = spool->places;
    int64_t *order = malloc(((size_t)count + 1) * sizeof *order);
    if (order == NULL) return samc__fail(error, SAMC_OUT_OF_MEMORY, "out of memory for %lld masks", (long long)count);
    for (int64_t i = 0; i < count; i++) order[i] = i;
    if (count > 0) qsort_r(order, (size_t)count, sizeof *order, in_order, records);
    for (int64_t i = 0; i < count; i++) { /* one circle of those that take each other's place after the other */
        const samc__scene_record record = records[i];
        const samc__scene_place place = places[i];
        int64_t at = i;
        for (int64_t from; (from = order[at]) != i; at = from) {
            records[at] = records[from], places[at] = places[from];
            order[at] = at;
        }
        records[at] = record, places[at] = place;
        order[at] = at;
    }
    free(order);
    return SAMC_OK;
}

void samc__scene_spool_filter(samc__scene_spool *spool, const uint8_t *keep) {
    int64_t count = 0;
    for (int64_t i = 0; i < spool->count; i++) {
        if (!keep[i]) continue;
        spool->records[count] = spool->records[i];
        spool->places[count++] = spool->places[i];
    }
    spool->count = count;
}

void samc__scene_spool_free(samc__scene_spool *spool) {
    for (int i = 0; i < spool->file_count; i++) close(spool->files[i]);
    free(spool->files);
    free(spool->records);
    free(spool->places);
    *spool = (samc__scene_spool){0};
}
