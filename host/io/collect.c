/* Collecting results. Everything here happens on one thread, image by image in the order of the inputs, so that a file
 * of lines after an interruption and a resumed run has the bytes of an uninterrupted one. What a resumed run finds is
 * looked at in resume.c. */
#include "host/io/collect.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host/io/resume.h"
#include "host/io/sample.h"
#include "host/io/text.h"
#include "runtime/base/status.h"

/* ---- Beginning ------------------------------------------------------------------------------- */

samc__collector samc__collector_none(void) {
    return (samc__collector){.last.number = -1,
                             .lines.handle = -1,
                             .annotations.handle = -1,
                             .images.handle = -1,
                             .errors.handle = -1,
                             .samples.handle = -1,
                             .units = -1,
                             .marks.stream.handle = -1};
}

samc__collector samc__collector_plan(const samc_archive_options *o, const samc__inputs *inputs, samc__store *store,
                                     samc__journal *journal) {
    int64_t total = inputs->count > o->shard ? (inputs->count - o->shard - 1) / o->shards + 1 : 0,
            next = journal->last.number + 1;
    int64_t retries = o->retry_failed ? journal->scan.failed_count : 0;
    samc__collector c = samc__collector_none();
    c.options = o;
    c.inputs = inputs;
    if (inputs->units) { /* `total` of them */
        bool over = journal->last.number >= 0 && journal->last.member < 0 && journal->last.unit + 1 == total;
        c.units = total;
        total = over || total == 0 ? next : INT64_MAX;
    }
    c.total = total;
    c.end = (next > total ? next : total) + retries;
    c.retries = retries;
    c.store = store;
    c.journal = journal;
    c.last = journal->last;
    return c;
}

samc_status samc__collector_open(samc__collector *c, samc_error *error) {
    c->last = c->journal->last;
    SAMC__TRY(samc__resume_take_back(c, error));
    SAMC__TRY(samc__store_clear(c->store, error));
    SAMC__TRY(samc__resume_errors(c, error));
    if (c->options->formats & SAMC_OUTPUT_JSONL) SAMC__TRY(samc__resume_lines(c, error));
    if (c->options->formats & SAMC_OUTPUT_COCO) SAMC__TRY(samc__resume_coco(c, error));
    if (c->options->formats & SAMC_OUTPUT_WEBDATASET) SAMC__TRY(samc__resume_samples(c, error));
    if (c->last.number + 1 < c->end) SAMC__TRY(samc__marks_open(&c->marks, c->store, error));
    return samc__store_sync_folders(c->store, error);
}

/* ---- Images ---------------------------------------------------------------------------------- */

const samc__result_file samc__result_files[SAMC__RESULT_FILES] = {
    {SAMC_OUTPUT_RLE, ".json", ".json", false},
    {SAMC_OUTPUT_PNG, "", "", false},
    {SAMC_OUTPUT_OVERLAY, ".overlay.png", ".overlay.png", false},
    {SAMC_OUTPUT_SA1B, ".sa1b", ".json", true}};

void samc__result_key(const samc__result_file *file, const char *key, char out[SAMC__KEY_ROOM]) {
    snprintf(out, SAMC__KEY_ROOM, "%.*s", (int)(file->stem ? samc__name_stem(key) : strlen(key)), key);
}

samc_status samc__collector_mark(samc__collector *c, const samc__job *job, samc_error *error) {
    if (job->error.status != SAMC_OK)
        return c->errors.handle < 0 ? samc__marks_add_failure(&c->marks, job->number, job->source, error) : SAMC_OK;
    if (job->ends) return SAMC_OK;
    for (int i = 0; i < SAMC__RESULT_FILES; i++) {
        char scratch[SAMC__STORE_NAME];
        if (!(c->options->formats & samc__result_files[i].format)) continue;
        samc__store_scratch(job->number, samc__result_files[i].mark, scratch);
        SAMC__TRY(
            samc__marks_add(&c->marks, c->store, job->number, job->key, samc__result_files[i].mark, scratch, error));
    }
    return SAMC_OK;
}

samc_status samc__collector_marked(samc__collector *c, samc_error *error) {
    return samc__marks_write(&c->marks, c->store, error);
}

/* {"image": ..., "name": ..., "error": ...}, or "resolved": true where an image that had failed is done now. */
static samc_status add_error(samc__collector *c, const samc__job *job, samc_error *error) {
    char name[SAMC__STORE_NAME];
    if (c->errors.handle < 0) {
        samc__archive_file_name(c->options, "errors", ".jsonl", -1, name);
        SAMC__TRY(samc__stream_open(&c->errors, c->store, true, name, 0, error));
    }
    bool failed = job->error.status != SAMC_OK;
    json_t *json =
        json_pack("{s:o, s:o, s:o}", "image", samc__text_json(job->source), "name", samc__text_json(job->key),
                  failed ? "error" : "resolved", failed ? samc__text_json(job->error.message) : json_true());
    char *text = json ? json_dumps(json, 0) : NULL, *line = NULL;
    int n = text ? asprintf(&line, "%s\n", text) : -1; /* a line in one write: whoever looks sees whole lines */
    samc_status status = n < 0 ? samc__fail(error, SAMC_OUT_OF_MEMORY, "errors.jsonl: out of memory")
                               : samc__stream_append(&c->errors, c->store, line, (size_t)n, error);
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

static samc_status add_spool(samc__collector *c, samc__stream *stream, const samc__spool *spool, samc_error *error) {
    char piece[PIECE];
    size_t size;
    for (int64_t at = 0; at < spool->length; at += (int64_t)size) {
        SAMC__TRY(read_piece(spool, at, piece, &size, error));
        SAMC__TRY(samc__stream_append(stream, c->store, piece, size, error));
    }
    return SAMC_OK;
}

/* The entries of an image, or the end, of the archive that its unit becomes. */
static samc_status add_sample(samc__collector *c, const samc__job *job, samc_error *error) {
    static const char zeros[SAMC__SAMPLES_END];
    char name[SAMC__STORE_NAME];
    samc__samples_name(job->unit, name);
    if (c->samples.handle < 0) SAMC__TRY(samc__stream_open(&c->samples, c->store, false, name, 0, error));
    if (job->ends) return samc__stream_append(&c->samples, c->store, zeros, sizeof zeros, error);
    return add_spool(c, &c->samples, &job->text.sample, error);
}

/* Entries are put in commas before them. The numbers of annotations go on through the run, and differ between its
 * shards. */
static samc_status start_annotation(samc__collector *c, int64_t i, samc_error *error) {
    char start[64];
    int n = snprintf(start, sizeof start, "%s\n{\"id\": %lld, ", c->last.masks + i > 0 ? "," : "",
                     (long long)((c->last.masks + i) * c->options->shards + c->options->shard + 1));
    return samc__stream_append(&c->annotations, c->store, start, (size_t)n, error);
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
            SAMC__TRY(
                samc__stream_append(&c->annotations, c->store, from, (size_t)((begins ? end : stop) - from), error));
        }
    }
    SAMC__TRY(samc__stream_append(&c->images, c->store, c->images.length > 0 ? ",\n" : "\n",
                                  c->images.length > 0 ? 2 : 1, error));
    return samc__stream_append(&c->images, c->store, job->text.image, strlen(job->text.image), error);
}

/* Takes back the first `count` kinds of files. */
static samc_status remove_files(samc__collector *c, const samc__job *job, int count, samc_error *error) {
    for (int i = 0; i < count; i++) {
        const samc__result_file *file = &samc__result_files[i];
        char scratch[SAMC__STORE_NAME], key[SAMC__KEY_ROOM];
        struct stat result;
        bool there;
        if (!(c->options->formats & file->format)) continue;
        samc__result_key(file, job->key, key);
        samc__store_scratch(job->number, file->mark, scratch);
        SAMC__TRY(samc__store_look(c->store, key, file->suffix, &result, &there, error));
        if (there) SAMC__TRY(samc__store_take_back(c->store, scratch, key, file->suffix, &result, error));
    }
    return SAMC_OK;
}

static samc_status add_files(samc__collector *c, samc__job *job, samc_error *error) {
    for (int i = 0; i < SAMC__RESULT_FILES; i++) {
        const samc__result_file *file = &samc__result_files[i];
        char scratch[SAMC__STORE_NAME], key[SAMC__KEY_ROOM];
        if (!(c->options->formats & file->format)) continue;
        samc__result_key(file, job->key, key);
        samc__store_scratch(job->number, file->mark, scratch);
        samc_status status = samc__store_publish(c->store, scratch, key, file->suffix, &job->error);
        if (status == SAMC_UNSUPPORTED)
            return remove_files(c, job, i,
                                error); /* this image's own: its name is none there, and that of others may be */
        if (status == SAMC_OK) continue;
        if (error != NULL) *error = job->error;
        return status;
    }
    return SAMC_OK;
}

samc_status samc__collector_add(samc__collector *c, samc__job *job, samc_error *error) {
    if (job->number % c->options->lines_per_file == 0) {
        SAMC__TRY(samc__collector_commit(c, error));
        if (c->options->formats & SAMC_OUTPUT_JSONL && c->lines.handle < 0)
            SAMC__TRY(samc__resume_next_lines(c, error));
    }
    if (job->error.status == SAMC_OK && !job->ends) SAMC__TRY(add_files(c, job, error));
    bool failed = job->error.status != SAMC_OK, again = samc__job_is_again(job);
    if (failed || again) SAMC__TRY(add_error(c, job, error));
    if (c->options->formats & SAMC_OUTPUT_WEBDATASET && (!failed || job->ends)) SAMC__TRY(add_sample(c, job, error));
    if (!failed && !job->ends) {
        if (c->options->formats & SAMC_OUTPUT_JSONL) SAMC__TRY(add_spool(c, &c->lines, &job->text.line, error));
        if (c->options->formats & SAMC_OUTPUT_COCO) SAMC__TRY(add_coco(c, job, error));
    }
    c->last = (samc__record){.number = job->number,
                             .image = job->image,
                             .failed = failed,
                             .masks = c->last.masks + (failed || job->ends ? 0 : job->count),
                             .failures = c->last.failures + (again ? failed - 1 : failed),
                             .lines = c->lines.length,
                             .annotations = c->annotations.length,
                             .images = c->images.length,
                             .errors = c->errors.length,
                             .samples = c->samples.length,
                             .unit = job->unit,
                             .member = job->member,
                             .ended = job->ends && !failed};
    if (job->last) c->total = c->end = job->number + 1;
    if (c->records_room - c->records_used < SAMC__JOURNAL_LINE) {
        size_t room = 2 * c->records_room + 16 * SAMC__JOURNAL_LINE;
        char *grown = realloc(c->records, room);
        if (grown == NULL) return samc__fail(error, SAMC_OUT_OF_MEMORY, "out of memory for the journal");
        c->records = grown;
        c->records_room = room;
    }
    c->records_used += (size_t)samc__record_print(&c->last, c->records + c->records_used);
    return job->ends && c->samples.handle >= 0 ? samc__collector_commit(c, error) : SAMC_OK;
}

samc_status samc__collector_commit(samc__collector *c, samc_error *error) {
    if (c->records_used == 0) return SAMC_OK;
    SAMC__TRY(samc__store_check_place(c->store, error));
    samc__stream *const streams[] = {&c->lines, &c->annotations, &c->images, &c->errors, &c->samples};
    SAMC__TRY(samc__store_sync_folders(c->store, error));
    for (size_t i = 0; i < sizeof streams / sizeof *streams; i++)
        SAMC__TRY(samc__stream_sync(streams[i], c->store, error));
    SAMC__TRY(samc__stream_append(&c->journal->stream, c->store, c->records, c->records_used, error));
    SAMC__TRY(samc__stream_sync(&c->journal->stream, c->store, error));
    c->journal->last = c->last;
    c->records_used = 0;
    if (c->samples.handle >= 0 && c->last.member < 0) SAMC__TRY(samc__resume_publish_samples(c, error));
    return c->options->formats & SAMC_OUTPUT_JSONL ? samc__resume_publish_lines(c, error) : SAMC_OK;
}

/* ---- The end --------------------------------------------------------------------------------- */

/* Images stand behind the annotations in the file, because only these are many. */
static samc_status append_images(samc__collector *c, samc_error *error) {
    char piece[PIECE];
    FILE *from;
    SAMC__TRY(samc__store_read(c->store, false, c->images.name, &from, error));
    samc_status status = samc__stream_append(&c->annotations, c->store, samc__coco_before_images,
                                             strlen(samc__coco_before_images), error);
    for (size_t got; status == SAMC_OK && (got = fread(piece, 1, sizeof piece, from)) > 0;)
        status = samc__stream_append(&c->annotations, c->store, piece, got, error);
    if (status == SAMC_OK && ferror(from))
        status = samc__store_fail(c->store, false, c->images.name, SAMC_IO, error, "cannot read");
    fclose(from);
    return status == SAMC_OK ? samc__stream_append(&c->annotations, c->store, samc__coco_after_images,
                                                   strlen(samc__coco_after_images), error)
                             : status;
}

samc_status samc__collector_finish(samc__collector *c, samc_error *error) {
    if (c->lines.handle >= 0) SAMC__TRY(samc__stream_publish(&c->lines, c->store, error)); /* a shard without images */
    if (c->annotations.handle >= 0) {
        SAMC__TRY(append_images(c, error));
        SAMC__TRY(samc__stream_publish(&c->annotations, c->store, error));
        samc__store_remove(c->store, false, c->images.name);
    }
    samc__marks_remove(c->store); /* all results are recorded */
    return SAMC_OK;
}

void samc__collector_close(samc__collector *c) {
    samc__stream_close(&c->lines);
    samc__stream_close(&c->annotations);
    samc__stream_close(&c->images);
    samc__stream_close(&c->errors);
    samc__stream_close(&c->samples);
    samc__marks_close(&c->marks);
    samc__marks_free(c->left, c->left_count);
    free(c->records);
    c->left = NULL;
    c->records = NULL;
}
