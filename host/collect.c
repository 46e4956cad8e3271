/* Collecting results. Everything here happens on one thread, image by image in the order of the inputs, so that a file of lines after an
 * interruption and a resumed run has the bytes of an uninterrupted one. */
#include "host/collect.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "host/text.h"
#include "runtime/status.h"

static const char images_name[] = "images.part";

/* ---- Names --------------------------------------------------------------------------------------------------------- */

void samc__archive_state_name(const samc__archive_options *o, char *name) {
    if (o->shards == 1) strcpy(name, ".samc");
    else snprintf(name, 128, ".samc-%d-of-%d", o->shard, o->shards);
}

void samc__archive_file_name(const samc__archive_options *o, const char *stem, const char *ending, int64_t part, char *name) {
    char shard[40] = "", piece[32] = "";
    if (o->shards > 1) snprintf(shard, sizeof shard, ".%d-of-%d", o->shard, o->shards);
    if (part >= 0) snprintf(piece, sizeof piece, "-%05lld", (long long)part);
    snprintf(name, 128, "%.20s%s%s%.10s", stem, shard, piece, ending);
}

/* The file of JSON lines that image `number` goes into; one file needs no number. */
static void lines_name(const samc__collector *c, int64_t number, char *name) {
    int64_t each = c->options->lines_per_file;
    samc__archive_file_name(c->options, "masks", ".jsonl", c->total > each ? number / each : -1, name);
}

static bool exists(const char *folder, const char *name) {
    char *path = NULL;
    if (asprintf(&path, "%s/%s", folder, name) < 0) return false;
    bool there = access(path, F_OK) == 0;
    free(path);
    return there;
}

/* ---- Beginning ----------------------------------------------------------------------------------------------------- */

static samc_status refuse_foreign(const samc__collector *c, const char *name, samc_error *error) {
    if (!exists(c->store->root, name)) return SAMC_OK;
    return samc__fail(error, SAMC_IO, "%s/%s: exists already and is not from this run", c->store->root, name);
}

/* Nothing of somebody else's is overwritten; found out before any work is done. */
static samc_status check_names(const samc__collector *c, samc_error *error) {
    char name[128];
    for (int64_t i = 0; i < c->total && c->options->formats & SAMC__AUTO_JSONL; i += c->options->lines_per_file) {
        lines_name(c, i, name);
        SAMC__TRY(refuse_foreign(c, name, error));
    }
    samc__archive_file_name(c->options, "annotations", ".json", -1, name);
    if (c->options->formats & SAMC__AUTO_COCO) SAMC__TRY(refuse_foreign(c, name, error));
    samc__archive_file_name(c->options, "errors", ".jsonl", -1, name);
    return refuse_foreign(c, name, error);
}

static samc_status open_errors(samc__collector *c, samc_error *error) {
    char name[128];
    samc__archive_file_name(c->options, "errors", ".jsonl", -1, name);
    if (c->last.errors > 0) return samc__stream_open(&c->errors, c->store, name, true, c->last.errors, error);
    char *path = NULL; /* a line that was written but not committed */
    if (asprintf(&path, "%s/%s", c->store->root, name) < 0) return samc__fail(error, SAMC_OUT_OF_MEMORY, "%s: out of memory", name);
    if (c->store->replace) unlink(path);
    free(path);
    return SAMC_OK;
}

static samc_status open_coco(samc__collector *c, samc_error *error) {
    char name[128], *header = NULL;
    samc__archive_file_name(c->options, "annotations", ".json", -1, name);
    bool published = c->last.number + 1 == c->total && !exists(c->store->state, name) && exists(c->store->root, name);
    if (published) { /* by the run before */
        char *path = NULL;
        if (asprintf(&path, "%s/%s", c->store->state, images_name) >= 0) unlink(path), free(path);
        return SAMC_OK;
    }
    SAMC__TRY(samc__stream_open(&c->annotations, c->store, name, false, c->last.annotations, error));
    SAMC__TRY(samc__stream_open(&c->images, c->store, images_name, false, c->last.images, error));
    if (c->annotations.length > 0) return SAMC_OK;
    if (asprintf(&header, "{\"info\": {\"description\": \"automatic masks\", \"version\": \"samc %s\"},\n"
                          "\"categories\": [{\"id\": 1, \"name\": \"object\", \"supercategory\": \"\"}],\n\"annotations\": [", samc_version()) < 0)
        return samc__fail(error, SAMC_OUT_OF_MEMORY, "%s: out of memory", name);
    samc_status status = samc__stream_append(&c->annotations, header, strlen(header), error);
    free(header);
    return status;
}

/* The file of lines that ends with the last image committed becomes visible. */
static samc_status publish_lines(samc__collector *c, samc_error *error) {
    int64_t next = c->last.number + 1;
    if (next == 0 || (next != c->total && next % c->options->lines_per_file != 0)) return SAMC_OK;
    if (c->lines.handle < 0) { /* at the beginning: perhaps a crash came before this */
        char name[128];
        lines_name(c, c->last.number, name);
        if (!exists(c->store->state, name)) return SAMC_OK;
        SAMC__TRY(samc__stream_open(&c->lines, c->store, name, false, c->last.lines, error));
    }
    return samc__stream_publish(&c->lines, c->store, error);
}

static samc_status open_lines(samc__collector *c, samc_error *error) {
    char name[128];
    int64_t next = c->last.number + 1;
    lines_name(c, next, name);
    return samc__stream_open(&c->lines, c->store, name, false, next % c->options->lines_per_file == 0 ? 0 : c->last.lines, error);
}

samc_status samc__collector_open(samc__collector *c, const samc__archive_options *options, const samc__inputs *inputs, int64_t total,
                                 samc__store *store, samc__journal *journal, samc_error *error) {
    *c = (samc__collector){.options = options, .inputs = inputs, .total = total, .store = store, .journal = journal, .last = journal->last,
                           .lines.handle = -1, .annotations.handle = -1, .images.handle = -1, .errors.handle = -1};
    if (!store->replace) SAMC__TRY(check_names(c, error));
    SAMC__TRY(open_errors(c, error));
    if (options->formats & SAMC__AUTO_JSONL) {
        SAMC__TRY(publish_lines(c, error));
        if (c->last.number + 1 < total || total == 0) SAMC__TRY(open_lines(c, error));
    }
    if (options->formats & SAMC__AUTO_COCO) SAMC__TRY(open_coco(c, error));
    return samc__store_sync_folders(store, error);
}

/* ---- Images -------------------------------------------------------------------------------------------------------- */

static samc_status add_error(samc__collector *c, const samc__job *job, samc_error *error) {
    char name[128];
    if (c->errors.handle < 0) {
        samc__archive_file_name(c->options, "errors", ".jsonl", -1, name);
        SAMC__TRY(samc__stream_open(&c->errors, c->store, name, true, 0, error));
    }
    json_t *json = json_pack("{s:o, s:o, s:o}", "image", samc__text_json(samc__input_source(c->inputs, job->input)),
                             "name", samc__text_json(samc__input_key(c->inputs, job->input)), "error", samc__text_json(job->error.message));
    char *text = json ? json_dumps(json, 0) : NULL, *line = NULL;
    int n = text ? asprintf(&line, "%s\n", text) : -1; /* a line in one write: whoever looks sees whole lines */
    samc_status status = n < 0 ? samc__fail(error, SAMC_OUT_OF_MEMORY, "errors.jsonl: out of memory") : samc__stream_append(&c->errors, line, (size_t)n, error);
    if (n >= 0) free(line);
    free(text);
    json_decref(json);
    return status;
}

enum { PIECE = 1 << 16 }; /* bytes of a spool at a time */

static samc_status read_piece(const samc__spool *spool, int64_t at, char *piece, size_t *size, samc_error *error) {
    *size = spool->length - at < PIECE ? (size_t)(spool->length - at) : PIECE;
    return samc__spool_read(spool, at, piece, *size, error);
}

static samc_status add_line(samc__collector *c, const samc__job *job, samc_error *error) {
    char piece[PIECE];
    size_t size;
    for (int64_t at = 0; at < job->text.line.length; at += (int64_t)size) {
        SAMC__TRY(read_piece(&job->text.line, at, piece, &size, error));
        SAMC__TRY(samc__stream_append(&c->lines, piece, size, error));
    }
    return SAMC_OK;
}

/* Entries are put in commas before them. The numbers of annotations go on through the run, and differ between its shards. */
static samc_status start_annotation(samc__collector *c, int64_t i, samc_error *error) {
    char start[64];
    int n = snprintf(start, sizeof start, "%s\n{\"id\": %lld, ", c->last.masks + i > 0 ? "," : "",
                     (long long)((c->last.masks + i) * c->options->shards + c->options->shard + 1));
    return samc__stream_append(&c->annotations, start, (size_t)n, error);
}

static samc_status add_coco(samc__collector *c, const samc__job *job, samc_error *error) {
    char piece[PIECE];
    size_t size;
    bool begins = true; /* a line, whose end is left out */
    for (int64_t at = 0, i = 0; at < job->text.annotations.length; at += (int64_t)size) {
        SAMC__TRY(read_piece(&job->text.annotations, at, piece, &size, error));
        for (const char *from = piece, *stop = piece + size, *end; from < stop; from = begins ? end + 1 : stop) {
            if (begins) SAMC__TRY(start_annotation(c, i++, error));
            end = memchr(from, '\n', (size_t)(stop - from));
            begins = end != NULL;
            SAMC__TRY(samc__stream_append(&c->annotations, from, (size_t)((begins ? end : stop) - from), error));
        }
    }
    SAMC__TRY(samc__stream_append(&c->images, c->images.length > 0 ? ",\n" : "\n", c->images.length > 0 ? 2 : 1, error));
    return samc__stream_append(&c->images, job->text.image, strlen(job->text.image), error);
}

static samc_status add_files(samc__collector *c, const samc__job *job, samc_error *error) {
    static const struct { unsigned format; const char *suffix; } files[] = {
        {SAMC__AUTO_RLE, ".json"}, {SAMC__AUTO_PNG, ""}, {SAMC__AUTO_OVERLAY, ".overlay.png"}};
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        if (!(c->options->formats & files[i].format)) continue;
        char *scratch = samc__store_scratch(c->store, job->number, files[i].suffix);
        samc_status status = scratch ? samc__store_publish(c->store, scratch, samc__input_key(c->inputs, job->input), files[i].suffix, error)
                                     : samc__fail(error, SAMC_OUT_OF_MEMORY, "out of memory");
        free(scratch);
        SAMC__TRY(status);
    }
    return SAMC_OK;
}

samc_status samc__collector_add(samc__collector *c, const samc__job *job, samc_error *error) {
    if (job->number % c->options->lines_per_file == 0) {
        SAMC__TRY(samc__collector_commit(c, error));
        if (c->options->formats & SAMC__AUTO_JSONL && c->lines.handle < 0) SAMC__TRY(open_lines(c, error));
    }
    bool failed = job->error.status != SAMC_OK;
    if (failed) {
        SAMC__TRY(add_error(c, job, error));
    } else {
        SAMC__TRY(add_files(c, job, error));
        if (c->options->formats & SAMC__AUTO_JSONL) SAMC__TRY(add_line(c, job, error));
        if (c->options->formats & SAMC__AUTO_COCO) SAMC__TRY(add_coco(c, job, error));
    }
    c->last = (samc__record){.number = job->number, .failed = failed, .masks = c->last.masks + (failed ? 0 : job->count),
                             .failures = c->last.failures + failed, .lines = c->lines.length, .annotations = c->annotations.length,
                             .images = c->images.length, .errors = c->errors.length};
    if (c->records_room - c->records_used < SAMC__JOURNAL_LINE) {
        size_t room = 2 * c->records_room + 16 * SAMC__JOURNAL_LINE;
        char *grown = realloc(c->records, room);
        if (grown == NULL) return samc__fail(error, SAMC_OUT_OF_MEMORY, "out of memory for the journal");
        c->records = grown;
        c->records_room = room;
    }
    c->records_used += (size_t)samc__record_print(&c->last, c->records + c->records_used);
    return SAMC_OK;
}

samc_status samc__collector_commit(samc__collector *c, samc_error *error) {
    if (c->records_used == 0) return SAMC_OK;
    samc__stream *const streams[] = {&c->lines, &c->annotations, &c->images, &c->errors};
    SAMC__TRY(samc__store_sync_folders(c->store, error));
    for (size_t i = 0; i < sizeof streams / sizeof *streams; i++) SAMC__TRY(samc__stream_sync(streams[i], c->store, error));
    SAMC__TRY(samc__stream_append(&c->journal->stream, c->records, c->records_used, error));
    SAMC__TRY(samc__stream_sync(&c->journal->stream, c->store, error));
    c->journal->last = c->last;
    c->records_used = 0;
    return c->options->formats & SAMC__AUTO_JSONL ? publish_lines(c, error) : SAMC_OK;
}

/* ---- The end ------------------------------------------------------------------------------------------------------- */

/* Images stand behind the annotations in the file, because only these are many. */
static samc_status append_images(samc__collector *c, samc_error *error) {
    static const char before[] = "\n],\n\"images\": [", after[] = "\n]}\n";
    char piece[1 << 16];
    int from = open(c->images.path, O_RDONLY | O_CLOEXEC);
    samc_status status = from < 0 ? samc__fail(error, SAMC_IO, "%s: cannot open: %s", c->images.path, strerror(errno)) : SAMC_OK;
    if (status == SAMC_OK) status = samc__stream_append(&c->annotations, before, sizeof before - 1, error);
    while (status == SAMC_OK) {
        ssize_t got = read(from, piece, sizeof piece);
        if (got < 0) status = samc__fail(error, SAMC_IO, "%s: cannot read: %s", c->images.path, strerror(errno));
        if (got <= 0) break;
        status = samc__stream_append(&c->annotations, piece, (size_t)got, error);
    }
    if (from >= 0) close(from);
    return status == SAMC_OK ? samc__stream_append(&c->annotations, after, sizeof after - 1, error) : status;
}

samc_status samc__collector_finish(samc__collector *c, samc_error *error) {
    if (c->lines.handle >= 0) SAMC__TRY(samc__stream_publish(&c->lines, c->store, error)); /* a shard without images */
    if (c->annotations.handle < 0) return SAMC_OK;
    SAMC__TRY(append_images(c, error));
    SAMC__TRY(samc__stream_publish(&c->annotations, c->store, error));
    unlink(c->images.path);
    return SAMC_OK;
}

void samc__collector_close(samc__collector *c) {
    samc__stream_close(&c->lines);
    samc__stream_close(&c->annotations);
    samc__stream_close(&c->images);
    samc__stream_close(&c->errors);
    free(c->records);
    c->records = NULL;
}
