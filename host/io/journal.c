/* The journal. A record counts only if its checksum holds and it follows the one before. */
#include "host/io/journal.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host/io/crc.h"
#include "runtime/base/status.h"

static const char first_line[] = "samc journal 3\n", run_name[] = ".samc-run.json", inputs_name[] = "inputs",
                  journal_name[] = "journal";
enum { FIRST = sizeof first_line - 1, SECTOR = 512 /* the least that a disk writes */ };

static samc_status no_memory(const samc__store *store, samc_error *error) {
    return samc__fail(error, SAMC_OUT_OF_MEMORY, "%s: out of memory", store->state);
}

/* ---- Records --------------------------------------------------------------------------------- */

static uint32_t sum(const char *line, size_t length) {
    uint32_t table[256];
    samc__crc_table(table);
    return samc__crc(table, line, length);
}

int samc__record_print(const samc__record *r, char line[SAMC__JOURNAL_LINE]) {
    int n = snprintf(line, SAMC__JOURNAL_LINE, "%" PRId64 " %" PRId64 " %s", r->number, r->image,
                     r->failed  ? "failed"
                     : r->ended ? "ended"
                                : "done");
    const int64_t rest[] = {r->masks,  r->failures, r->lines,    r->annotations, r->images,
                            r->errors, r->samples,  r->unit + 1, r->member + 1};
    for (size_t i = 0; i < sizeof rest / sizeof *rest; i++)
        n += snprintf(line + n, SAMC__JOURNAL_LINE - (size_t)n, " %" PRId64, rest[i]);
    line[n++] = ' ';
    return n + snprintf(line + n, SAMC__JOURNAL_LINE - (size_t)n, "%08" PRIx32 "\n", sum(line, (size_t)n));
}

bool samc__record_parse(const char *line, size_t length, samc__record *r) {
    char text[SAMC__JOURNAL_LINE], state[8], again[SAMC__JOURNAL_LINE], *at;
    if (length + 1 >= sizeof text || length < 10) return false;
    memcpy(text, line, length);
    text[length] = '\0';
    *r = (samc__record){0};
    int begins = 0;
    if (sscanf(text, "%" SCNd64 " %" SCNd64 " %7s%n", &r->number, &r->image, state, &begins) != 3) return false;
    r->failed = strcmp(state, "failed") == 0;
    r->ended = strcmp(state, "ended") == 0;
    int64_t *const rest[] = {&r->masks,  &r->failures, &r->lines, &r->annotations, &r->images,
                             &r->errors, &r->samples,  &r->unit,  &r->member};
    at = text + begins;
    for (size_t i = 0; i < sizeof rest / sizeof *rest; i++)
        if ((*rest[i] = strtoll(at, &at, 10)) < 0) return false;
    r->unit--;
    r->member--;
    /* Only what is printed the same way is a record: that settles the checksum, blanks, signs and the rest of the line.
     */
    int n = samc__record_print(r, again);
    return (size_t)n == length + 1 && memcmp(again, text, length) == 0 && r->image >= 0 && r->image <= r->number;
}

static int by_number(const void *a, const void *b) {
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

/* Notes an image that failed, or takes one away that was resolved. */
static bool note_failure(samc__journal_scan *scan, const samc__record *r) {
    if (r->unit >= 0) return true; /* an archive is not gone through again */
    if (r->image == r->number && r->failed) {
        if (scan->failed_count == scan->failed_room) {
            int64_t room = scan->failed_room ? 2 * scan->failed_room : 64;
            int64_t *grown = realloc(scan->failed, (size_t)room * sizeof *grown);
            if (grown == NULL) return false;
            scan->failed = grown;
            scan->failed_room = room;
        }
        scan->failed[scan->failed_count++] = r->image;
    } else if (r->image != r->number && !r->failed) {
        int64_t *found = scan->failed_count
                             ? bsearch(&r->image, scan->failed, (size_t)scan->failed_count, sizeof *found, by_number)
                             : NULL;
        if (found == NULL) return true;
        memmove(found, found + 1, (size_t)(scan->failed + --scan->failed_count - found) * sizeof *found);
    }
    return true;
}

/* A line that is no record, from byte `at` of the file on: a loss of power leaves lines that were not synced cut short
 * at the end, or with zeros up to the end of a sector. A flipped bit makes a zero of a blank, which is not that. */
static bool is_damage(const char *line, size_t length, int64_t at) {
    if (line[length - 1] != '\n') return false;
    for (size_t i = 1; i < length; i++)
        if (line[i - 1] == '\0' && line[i] != '\0' && (at + (int64_t)i) % SECTOR == 0) return false;
    return true;
}

bool samc__journal_read(FILE *file, samc__journal_scan *scan) {
    char *line = NULL;
    size_t room = 0;
    bool memory = true;
    *scan = (samc__journal_scan){.last.number = -1};
    ssize_t length = getline(&line, &room, file);
    scan->foreign = length != FIRST || memcmp(line, first_line, FIRST) != 0;
    if (!scan->foreign) scan->good = FIRST;
    while (!scan->foreign && memory && (length = getline(&line, &room, file)) > 0) {
        samc__record r;
        bool follows = line[length - 1] == '\n' && samc__record_parse(line, (size_t)length - 1, &r) &&
                       r.number == scan->last.number + 1;
        if (!follows) {
            if (is_damage(line, (size_t)length, scan->good)) scan->damaged = scan->last.number + 3;
            break;
        }
        memory = note_failure(scan, &r);
        scan->last = r;
        scan->good += length;
    }
    free(line);
    return memory;
}

/* ---- Options and inputs ---------------------------------------------------------------------- */

/* What is said of what differs. */
typedef struct difference {
    char text[900];
    size_t used;
} difference;

static char *print(const json_t *value) {
    return value ? json_dumps(value, JSON_ENCODE_ANY | JSON_REAL_PRECISION(9)) : NULL;
}

static void tell(difference *d, const char *key, const json_t *now, const json_t *then) {
    const size_t room = sizeof d->text - d->used;
    char *ours = print(now), *theirs = print(then);
    const int n = snprintf(d->text + d->used, room, "%s%s is %s, the run was begun with %s", d->used ? "; " : "", key,
                           ours ? ours : "not known", theirs ? theirs : "none");
    free(ours);
    free(theirs);
    if (n > 0 && (size_t)n < room) d->used += (size_t)n;
    else if (d->used > 0) d->text[d->used] = '\0'; /* the first is said as far as it goes */
    else d->used = strlen(d->text);
}

/* "points_per_side is 16, the run was begun with 32", for every key that differs; "recipe.std is ..." for those of
 * an object. */
static void differ(const json_t *now, const json_t *then, const char *within, difference *d) {
    const char *key;
    json_t *value;
    for (int pass = 0; pass < 2; pass++) /* keys of this run, then those that only the other has */
        json_object_foreach((json_t *)(pass ? then : now), key, value) {
            const json_t *other = json_object_get(pass ? now : then, key);
            char name[130];
            if ((pass && other != NULL) || json_equal(value, (json_t *)other)) continue;
            snprintf(name, sizeof name - 1, "%s%s", within, key); /* a point has room */
            if (json_is_object(value) && json_is_object(other)) differ(value, other, strcat(name, "."), d);
            else tell(d, name, pass ? NULL : value, pass ? value : other);
        }
}

static samc_status same_options(const samc__store *store, const json_t *options, samc_error *error) {
    difference d = {.used = 0};
    json_error_t why;
    FILE *file;
    SAMC__TRY(samc__store_read(store, true, run_name, &file, error));
    json_t *then = json_loadf(file, 0, &why);
    fclose(file);
    samc_status status = SAMC_OK;
    if (!json_is_object(then))
        status = samc__store_fail(store, true, run_name, SAMC_FORMAT, error, "not the options of a run");
    else {
        differ(options, then, "", &d);
        if (d.used > 0) status = samc__fail(error, SAMC_MISMATCH, "%s: %s (%s)", store->root, d.text, run_name);
    }
    json_decref(then);
    return status;
}

samc_status samc__journal_agree(const samc__store *store, const json_t *options, samc_error *error) {
    struct stat information;
    return samc__store_stat(store, true, run_name, &information) ? same_options(store, options, error) : SAMC_OK;
}

samc_status samc__journal_claim(samc__store *store, const json_t *options, samc_error *error) {
    struct stat information;
    if (samc__store_stat(store, true, run_name, &information)) return same_options(store, options, error);
    char *text = json_dumps(options, JSON_INDENT(2) | JSON_REAL_PRECISION(17));
    samc_status status =
        text ? samc__store_write(store, true, run_name, text, strlen(text), error) : no_memory(store, error);
    free(text);
    return status == SAMC_MISMATCH ? same_options(store, options, error) : status; /* another was first */
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
    samc__store_remove(store, false, inputs_name); /* of a run that did not come to its journal */
    samc_status status =
        fclose(memory) == 0 ? samc__store_write(store, false, inputs_name, text, size, error) : no_memory(store, error);
    free(text);
    return status;
}

static samc_status same_inputs(const samc__store *store, const samc__inputs *inputs, samc_error *error) {
    char *then = NULL;
    size_t room = 0;
    FILE *file;
    samc_status status = samc__store_read(store, false, inputs_name, &file, error);
    for (int64_t i = 0; i <= inputs->count && status == SAMC_OK; i++)
        for (int part = 0; part < 2 && status == SAMC_OK; part++) {
            const char *now = i == inputs->count ? NULL
                              : part             ? samc__input_source(inputs, i)
                                                 : samc__input_key(inputs, i);
            bool ended = getdelim(&then, &room, '\0', file) < 0;
            if (now == NULL && ended) break;
            if (now == NULL)
                status =
                    samc__fail(error, SAMC_MISMATCH,
                               "%s: fewer inputs than the run was begun with, '%.300s' is missing", store->root, then);
            else if (ended)
                status = samc__fail(error, SAMC_MISMATCH,
                                    "%s: more inputs than the run was begun with, '%.300s' is new", store->root, now);
            else if (strcmp(now, then) != 0)
                status = samc__fail(error, SAMC_MISMATCH, "%s: input %lld is '%.300s', the run was begun with '%.300s'",
                                    store->root, (long long)i, now, then);
        }
    if (file != NULL) fclose(file);
    free(then);
    return status;
}

/* ---- The file -------------------------------------------------------------------------------- */

bool samc__journal_exists(const samc__store *store) {
    struct stat information;
    return samc__store_stat(store, false, journal_name, &information);
}

samc_status samc__journal_create(samc__journal *journal, samc__store *store, const samc__inputs *inputs,
                                 samc_error *error) {
    journal->stream.handle = -1;
    journal->last = (samc__record){.number = -1};
    SAMC__TRY(write_inputs(store, inputs, error));
    SAMC__TRY(samc__store_write(store, false, journal_name, first_line, FIRST, error));
    store->begun = true;
    return samc__stream_open(&journal->stream, store, false, journal_name, FIRST, error);
}

samc_status samc__journal_check(samc__journal *journal, const samc__store *store, const json_t *options,
                                const samc__inputs *inputs, samc_error *error) {
    FILE *file;
    journal->resumed = true;
    SAMC__TRY(same_options(store, options, error));
    SAMC__TRY(same_inputs(store, inputs, error));
    SAMC__TRY(samc__store_read(store, false, journal_name, &file, error));
    bool memory = samc__journal_read(file, &journal->scan);
    fclose(file);
    if (!memory) return no_memory(store, error);
    journal->last = journal->scan.last;
    if (journal->scan.foreign)
        return samc__store_fail(store, false, journal_name, SAMC_FORMAT, error,
                                "not a journal of this version of samc");
    if (journal->scan.damaged > 0)
        return samc__store_fail(store, false, journal_name, SAMC_FORMAT, error,
                                "line %lld is damaged, nothing was touched; put the journal back from a copy, or begin "
                                "anew in another folder",
                                (long long)journal->scan.damaged);
    return samc__stream_check(store, false, journal_name, journal->scan.good, error);
}

samc_status samc__journal_resume(samc__journal *journal, samc__store *store, samc_error *error) {
    store->begun = true;
    return samc__stream_open(&journal->stream, store, false, journal_name, journal->scan.good, error);
}

void samc__journal_close(samc__journal *journal) {
    samc__stream_close(&journal->stream);
    free(journal->scan.failed);
    journal->scan = (samc__journal_scan){0};
}
