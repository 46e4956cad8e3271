/* The journal. A record counts only if its checksum holds and it follows the one before: what a crash left of unsynced lines, in
 * any order, is no record. */
#include "host/journal.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "host/crc.h"
#include "host/file.h"
#include "runtime/status.h"

static const char first_line[] = "samc journal 1\n";
enum { FIRST = sizeof first_line - 1, RUN_LIMIT = 1 << 20 };

static samc_status no_memory(const samc__store *store, samc_error *error) {
    return samc__fail(error, SAMC_OUT_OF_MEMORY, "%s: out of memory", store->state);
}

static char *path_of(const char *folder, const char *name) {
    char *path = NULL;
    return asprintf(&path, "%s/%s", folder, name) < 0 ? NULL : path;
}

/* ---- Records ------------------------------------------------------------------------------------------------------- */

static uint32_t sum(const char *line, size_t length) {
    uint32_t table[256];
    samc__crc_table(table);
    return samc__crc(table, line, length);
}

int samc__record_print(const samc__record *r, char line[SAMC__JOURNAL_LINE]) {
    int n = snprintf(line, SAMC__JOURNAL_LINE, "%" PRId64 " %s %" PRId64 " %" PRId64 " %" PRId64 " %" PRId64 " %" PRId64 " %" PRId64 " ", r->number,
                     r->failed ? "failed" : "done", r->masks, r->failures, r->lines, r->annotations, r->images, r->errors);
    return n + snprintf(line + n, SAMC__JOURNAL_LINE - (size_t)n, "%08" PRIx32 "\n", sum(line, (size_t)n));
}

bool samc__record_parse(const char *line, size_t length, samc__record *r) {
    char text[SAMC__JOURNAL_LINE], state[8], again[SAMC__JOURNAL_LINE];
    if (length + 1 >= sizeof text || length < 10) return false;
    memcpy(text, line, length);
    text[length] = '\0';
    *r = (samc__record){0};
    if (sscanf(text, "%" SCNd64 " %7s %" SCNd64 " %" SCNd64 " %" SCNd64 " %" SCNd64 " %" SCNd64 " %" SCNd64, &r->number, state, &r->masks, &r->failures,
               &r->lines, &r->annotations, &r->images, &r->errors) != 8)
        return false;
    r->failed = strcmp(state, "failed") == 0;
    /* Only what is printed the same way is a record: that settles the checksum, blanks, signs and the rest of the line. */
    int n = samc__record_print(r, again);
    return (size_t)n == length + 1 && memcmp(again, text, length) == 0 && r->number >= 0 && r->masks >= 0 && r->failures >= 0 && r->lines >= 0 &&
           r->annotations >= 0 && r->images >= 0 && r->errors >= 0;
}

bool samc__journal_scan(FILE *file, samc__record *last, int64_t *good) {
    char line[SAMC__JOURNAL_LINE];
    *last = (samc__record){.number = -1};
    *good = 0;
    if (fgets(line, sizeof line, file) == NULL || strcmp(line, first_line) != 0) return false;
    *good = FIRST;
    while (fgets(line, sizeof line, file) != NULL) {
        samc__record r;
        size_t length = strlen(line);
        if (length == 0 || line[length - 1] != '\n' || !samc__record_parse(line, length - 1, &r) || r.number != last->number + 1) break;
        *last = r;
        *good += (int64_t)length;
    }
    return true;
}

/* ---- Options and inputs -------------------------------------------------------------------------------------------- */

/* "points_per_side is 16, the run was begun with 32", for every key that differs. */
static bool differ(const json_t *now, const json_t *then, const char *except, char *text, size_t room) {
    size_t used = 0;
    const char *key;
    json_t *value;
    text[0] = '\0';
    for (int pass = 0; pass < 2; pass++) /* keys of this run, then those that only the other has */
        json_object_foreach((json_t *)(pass ? then : now), key, value) {
            const json_t *other = json_object_get(pass ? now : then, key);
            if ((pass && other != NULL) || (except != NULL && strcmp(key, except) == 0) || json_equal(value, (json_t *)other)) continue;
            char *ours = pass ? NULL : json_dumps(value, JSON_ENCODE_ANY | JSON_REAL_PRECISION(9));
            char *theirs = pass ? json_dumps(value, JSON_ENCODE_ANY | JSON_REAL_PRECISION(9)) : other ? json_dumps(other, JSON_ENCODE_ANY | JSON_REAL_PRECISION(9)) : NULL;
            int n = snprintf(text + used, room - used, "%s%s is %s, the run was begun with %s", used ? "; " : "", key, ours ? ours : "not known", theirs ? theirs : "none");
            free(ours);
            free(theirs);
            used += n > 0 && (size_t)n < room - used ? (size_t)n : 0;
        }
    return used > 0;
}

samc_status samc__journal_same_options(const char *root, const char *name, const json_t *options, const char *except, samc_error *error) {
    char difference[900], *path = NULL;
    uint8_t *bytes;
    size_t size;
    json_error_t why;
    if (asprintf(&path, "%s/%s/run.json", root, name) < 0) return samc__fail(error, SAMC_OUT_OF_MEMORY, "%s: out of memory", root);
    samc_status status = samc__file_read(path, RUN_LIMIT, &bytes, &size, error);
    if (status == SAMC_OK) {
        json_t *then = json_loadb((const char *)bytes, size, 0, &why);
        if (!json_is_object(then)) status = samc__fail(error, SAMC_FORMAT, "%s: not the options of a run", path);
        else if (differ(options, then, except, difference, sizeof difference)) status = samc__fail(error, SAMC_MISMATCH, "%s: %s", root, difference);
        json_decref(then);
        free(bytes);
    }
    free(path);
    return status;
}

/* Writes `bytes` so that they are there whole and synced, or not at all. */
static samc_status write_synced(samc__store *store, const char *name, const void *bytes, size_t size, samc_error *error) {
    samc__stream stream;
    char scratch[64];
    snprintf(scratch, sizeof scratch, "tmp/%s", name);
    samc_status status = samc__stream_open(&stream, store, scratch, false, 0, error);
    if (status == SAMC_OK) status = samc__stream_append(&stream, bytes, size, error);
    if (status == SAMC_OK) {
        free(stream.final);
        stream.final = path_of(store->state, name);
        status = stream.final ? samc__stream_publish(&stream, store, error) : no_memory(store, error);
    }
    samc__stream_close(&stream);
    return status;
}

static samc_status write_inputs(samc__store *store, const samc__inputs *inputs, samc_error *error) {
    char *text = NULL;
    size_t size = 0;
    FILE *memory = open_memstream(&text, &size);
    if (memory == NULL) return no_memory(store, error);
    for (int64_t i = 0; i < inputs->count; i++) {
        const char *parts[2] = {samc__input_key(inputs, i), samc__input_source(inputs, i)};
        for (int part = 0; part < 2; part++) fwrite(parts[part], 1, strlen(parts[part]) + 1, memory);
    }
    samc_status status = fclose(memory) == 0 ? write_synced(store, "inputs", text, size, error) : no_memory(store, error);
    free(text);
    return status;
}

static samc_status same_inputs(const samc__store *store, const samc__inputs *inputs, samc_error *error) {
    char *path = path_of(store->state, "inputs"), *then = NULL;
    size_t room = 0;
    FILE *file = path ? fopen(path, "rbe") : NULL;
    samc_status status = SAMC_OK;
    if (file == NULL) status = samc__fail(error, SAMC_IO, "%s/inputs: cannot open: %s", store->state, strerror(errno));
    for (int64_t i = 0; i <= inputs->count && status == SAMC_OK; i++)
        for (int part = 0; part < 2 && status == SAMC_OK; part++) {
            const char *now = i == inputs->count ? NULL : part ? samc__input_source(inputs, i) : samc__input_key(inputs, i);
            bool ended = getdelim(&then, &room, '\0', file) < 0;
            if (now == NULL && ended) break;
            if (now == NULL) status = samc__fail(error, SAMC_MISMATCH, "%s: fewer inputs than the run was begun with, '%.300s' is missing", store->root, then);
            else if (ended) status = samc__fail(error, SAMC_MISMATCH, "%s: more inputs than the run was begun with, '%.300s' is new", store->root, now);
            else if (strcmp(now, then) != 0)
                status = samc__fail(error, SAMC_MISMATCH, "%s: input %lld is '%.300s', the run was begun with '%.300s'", store->root, (long long)i, now, then);
        }
    if (file != NULL) fclose(file);
    free(then);
    free(path);
    return status;
}

/* ---- The file ------------------------------------------------------------------------------------------------------ */

bool samc__journal_exists(const samc__store *store) {
    char *path = path_of(store->state, "journal");
    bool exists = path != NULL && access(path, F_OK) == 0;
    free(path);
    return exists;
}

samc_status samc__journal_create(samc__journal *journal, samc__store *store, const json_t *options, const samc__inputs *inputs,
                                 samc_error *error) {
    journal->stream.handle = -1;
    journal->last = (samc__record){.number = -1};
    char *text = json_dumps(options, JSON_INDENT(2) | JSON_REAL_PRECISION(17));
    samc_status status = text ? write_synced(store, "run.json", text, strlen(text), error) : no_memory(store, error);
    free(text);
    SAMC__TRY(status);
    SAMC__TRY(write_inputs(store, inputs, error));
    SAMC__TRY(write_synced(store, "journal", first_line, FIRST, error));
    return samc__stream_open(&journal->stream, store, "journal", false, FIRST, error);
}

samc_status samc__journal_resume(samc__journal *journal, samc__store *store, const json_t *options, const samc__inputs *inputs,
                                 samc_error *error) {
    const char *name = strrchr(store->state, '/') + 1;
    int64_t good = 0;
    journal->stream.handle = -1;
    SAMC__TRY(samc__journal_same_options(store->root, name, options, NULL, error));
    SAMC__TRY(same_inputs(store, inputs, error));
    char *path = path_of(store->state, "journal");
    FILE *file = path ? fopen(path, "rbe") : NULL;
    samc_status status = SAMC_OK;
    if (file == NULL) status = samc__fail(error, SAMC_IO, "%s/journal: cannot open: %s", store->state, strerror(errno));
    else if (!samc__journal_scan(file, &journal->last, &good)) status = samc__fail(error, SAMC_FORMAT, "%s: not a journal of this version of samc", path);
    if (file != NULL) fclose(file);
    free(path);
    SAMC__TRY(status);
    return samc__stream_open(&journal->stream, store, "journal", false, good, error);
}
