/* The state of a run over a scene. Everything happens on one thread, tile by tile in their order. */
#include "host/io/scene_state.h"

#include <stdlib.h>
#include <string.h>

#include "host/io/scene_spool.h"
#include "host/io/text.h"
#include "runtime/base/status.h"

static samc_status no_memory(const samc__scene_state *s, samc_error *error) {
    return samc__fail(error, SAMC_OUT_OF_MEMORY, "%s: out of memory", s->job->output);
}

/* ---- Emitted masks --------------------------------------------------------------------------- */

samc_status samc__scene_emitted_add(void *emitted, const samc__scene_record *record, const uint32_t *counts,
                                    samc_error *error) {
    samc__scene_emitted *e = emitted;
    if (e->count == e->room) {
        const int64_t room = 2 * e->room + 64;
        samc__scene_record *grown = realloc(e->records, (size_t)room * sizeof *grown);
        if (grown == NULL) return samc__fail(error, SAMC_OUT_OF_MEMORY, "out of memory for the masks of a tile");
        e->records = grown;
        e->room = room;
    }
    if (record->count > e->counts_room - e->used) {
        const int64_t room = 2 * (e->used + record->count);
        uint32_t *grown = realloc(e->counts, (size_t)room * sizeof *grown);
        if (grown == NULL) return samc__fail(error, SAMC_OUT_OF_MEMORY, "out of memory for the masks of a tile");
        e->counts = grown;
        e->counts_room = room;
    }
    e->records[e->count++] = *record;
    memcpy(e->counts + e->used, counts, (size_t)record->count * sizeof *counts);
    e->used += record->count;
    return SAMC_OK;
}

void samc__scene_emitted_free(samc__scene_emitted *e) {
    free(e->records);
    free(e->counts);
    *e = (samc__scene_emitted){0};
}

/* ---- Opening --------------------------------------------------------------------------------- */

void samc__scene_state_name(int shard, int shards, char name[SAMC__STORE_NAME]) {
    if (shards == 1) strcpy(name, ".samc");
    else snprintf(name, SAMC__STORE_NAME, ".samc-%d-of-%d", shard, shards);
}

void samc__scene_state_none(samc__scene_state *s, const samc__scene_job *job, samc__scene_counts *counts) {
    *s = (samc__scene_state){.job = job,
                             .counts = counts,
                             .store = {.top = -1, .folder = -1, .tmp = -1},
                             .journal = {.stream.handle = -1, .last.number = -1},
                             .last = {.number = -1, .unit = -1, .member = -1},
                             .records.handle = -1,
                             .errors.handle = -1,
                             .refined.handle = -1,
                             .stitched.handle = -1};
}

int64_t samc__scene_tiles_of(const samc__scene_plan *plan, int shard, int shards) {
    int64_t total = 0, first = 0, mine = 0;
    for (int i = 0; i < plan->levels; i++) total += (int64_t)plan->level[i].rows * plan->level[i].columns;
    if (shards < 0) return total;
    for (int i = plan->levels - 1; i >= 0; i--)
        for (int row = 0; row < plan->level[i].rows; row++, first += plan->level[i].columns)
            if (samc__scene_shard_of(first, total, shards) == shard) mine += plan->level[i].columns;
    return mine;
}

/* The scene as the one input of a run. */
static samc_status list_input(samc__scene_state *s, samc_error *error) {
    samc__input *item = calloc(1, sizeof *item);
    s->inputs = (samc__inputs){.text = calloc(1, 4096), .used = 1, .room = 4096, .items = item}; /* as inputs.c's */
    if (item == NULL || s->inputs.text == NULL) return no_memory(s, error);
    item->key = samc__inputs_keep(&s->inputs, s->job->stem);
    item->source = samc__inputs_keep(&s->inputs, s->job->input);
    item->tar = item->root = -1;
    s->inputs.count = s->inputs.items_room = 1;
    return item->key > 0 && item->source > 0 ? SAMC_OK : no_memory(s, error);
}

/* Notes a line of `errors`, without its line feed, unless it is there. */
static bool note_line(samc__scene_state *s, const char *line, size_t length) {
    if (s->told != NULL && memmem(s->told, s->told_length, line, length) != NULL) return true;
    char *grown = realloc(s->told, s->told_length + length + 1);
    if (grown == NULL) return false;
    s->told = grown;
    memcpy(s->told + s->told_length, line, length);
    s->told[s->told_length + length] = '\n';
    s->told_length += length + 1;
    return true;
}

samc_status samc__scene_state_take_errors(samc__scene_state *s, const samc__store *store, int64_t length,
                                          samc_error *error) {
    char *line = NULL;
    size_t room = 0;
    FILE *file;
    if (length <= 0) return SAMC_OK;
    samc_status status = samc__store_read(store, false, "errors", &file, error);
    while (status == SAMC_OK && length > 0) {
        ssize_t size = getline(&line, &room, file);
        if (size <= 0 || size > length || line[size - 1] != '\n')
            status = samc__store_fail(store, false, "errors", SAMC_FORMAT, error, "it was changed");
        else if (!note_line(s, line, (size_t)size - 1)) status = no_memory(s, error);
        length -= size;
    }
    if (file != NULL) fclose(file);
    free(line);
    return status;
}

/* Everything is looked at before anything is changed. */
static samc_status look(samc__scene_state *s, bool resume, samc_error *error) {
    const bool there = samc__journal_exists(&s->store);
    if (there && !resume)
        return samc__fail(error, SAMC_MISMATCH,
                          "%s: holds a run already; go on with it by --resume, or choose another folder",
                          s->job->output);
    SAMC__TRY(there ? samc__journal_check(&s->journal, &s->store, s->job->options, &s->inputs, error)
                    : samc__journal_agree(&s->store, s->job->options, error));
    if (s->journal.last.number >= 0) s->last = s->journal.last;
    SAMC__TRY(samc__stream_check(&s->store, false, "records", s->last.lines, error));
    SAMC__TRY(samc__stream_check(&s->store, false, "errors", s->last.errors, error));
    SAMC__TRY(samc__stream_check(&s->store, false, "refined", s->last.annotations, error));
    SAMC__TRY(samc__scene_state_take_errors(s, &s->store, s->last.errors, error));
    s->told_written = s->told_length;
    return samc__scene_check_results(s, error);
}

static samc_status begin(samc__scene_state *s, samc_error *error) {
    SAMC__TRY(samc__store_recover(&s->store, error));
    if (!s->journal.resumed) SAMC__TRY(samc__journal_claim(&s->store, s->job->options, error));
    SAMC__TRY(s->journal.resumed ? samc__journal_resume(&s->journal, &s->store, error)
                                 : samc__journal_create(&s->journal, &s->store, &s->inputs, error));
    SAMC__TRY(samc__stream_open(&s->records, &s->store, false, "records", s->last.lines, error));
    SAMC__TRY(samc__stream_open(&s->errors, &s->store, false, "errors", s->last.errors, error));
    SAMC__TRY(samc__stream_open(&s->refined, &s->store, false, "refined", s->last.annotations, error));
    return samc__store_sync_folders(&s->store, error);
}

samc_status samc__scene_state_open(samc__scene_state *s, const char *name, bool resume, samc_error *error) {
    SAMC__TRY(list_input(s, error));
    s->store.sync = !s->job->no_sync;
    SAMC__TRY(samc__store_open(&s->store, s->job->output, name, error));
    SAMC__TRY(look(s, resume, error));
    return begin(s, error);
}

void samc__scene_state_close(samc__scene_state *s) {
    samc_error ignored; /* what is left there goes with the next run, too */
    if (s->store.begun) samc__store_clear(&s->store, &ignored);
    samc__stream_close(&s->records);
    samc__stream_close(&s->errors);
    samc__stream_close(&s->refined);
    samc__stream_close(&s->stitched);
    samc__journal_close(&s->journal);
    samc__store_close(&s->store);
    samc__inputs_free(&s->inputs);
    free(s->lines);
    free(s->told);
    samc__scene_state_none(s, s->job, s->counts);
}

/* ---- Work that is done ----------------------------------------------------------------------- */

void samc__scene_state_bad(void *state, const char *text) {
    samc__scene_state *s = state;
    json_t *json = json_pack("{s:o, s:o, s:o}", "image", samc__text_json(s->job->input), "name",
                             samc__text_json(s->job->stem), "error", samc__text_json(text));
    char *line = json ? json_dumps(json, 0) : NULL;
    json_decref(json);
    if (line == NULL || !note_line(s, line, strlen(line))) s->no_memory = true;
    free(line);
}

int64_t samc__scene_state_bad_parts(const samc__scene_state *s) {
    int64_t lines = 0;
    for (size_t i = 0; i < s->told_length; i++) lines += s->told[i] == '\n';
    return lines;
}

/* The line of s->last. */
static samc_status add_line(samc__scene_state *s, samc_error *error) {
    if (s->room - s->used < SAMC__JOURNAL_LINE) {
        const size_t room = 2 * s->room + 16 * SAMC__JOURNAL_LINE;
        char *grown = realloc(s->lines, room);
        if (grown == NULL) return no_memory(s, error);
        s->lines = grown;
        s->room = room;
    }
    s->used += (size_t)samc__record_print(&s->last, s->lines + s->used);
    return SAMC_OK;
}

samc_status samc__scene_state_add(samc__scene_state *s, samc__stream *stream, const samc__scene_emitted *emitted,
                                  samc_error *error) {
    const uint32_t *counts = emitted->counts;
    for (int64_t i = 0; i < emitted->count; counts += emitted->records[i++].count)
        SAMC__TRY(samc__scene_spool_append(stream, &s->store, &emitted->records[i], counts, error));
    if (s->no_memory) return no_memory(s, error);
    if (s->told_length > s->told_written)
        SAMC__TRY(samc__stream_append(&s->errors, &s->store, s->told + s->told_written,
                                      s->told_length - s->told_written, error));
    s->told_written = s->told_length;
    s->last = (samc__record){.number = s->last.number + 1,
                             .image = s->last.number + 1,
                             .masks = s->last.masks + (stream == &s->records ? emitted->count : 0),
                             .failures = samc__scene_state_bad_parts(s),
                             .lines = s->records.length,
                             .errors = s->errors.length,
                             .annotations = s->refined.length,
                             .unit = -1,
                             .member = -1};
    return add_line(s, error);
}

samc_status samc__scene_state_end(samc__scene_state *s, samc_error *error) {
    s->last.image = ++s->last.number;
    s->last.ended = true;
    SAMC__TRY(add_line(s, error));
    return samc__scene_state_commit(s, error);
}

samc_status samc__scene_state_commit(samc__scene_state *s, samc_error *error) {
    if (s->used == 0) return SAMC_OK;
    SAMC__TRY(samc__stream_sync(&s->records, &s->store, error));
    SAMC__TRY(samc__stream_sync(&s->errors, &s->store, error));
    SAMC__TRY(samc__stream_sync(&s->refined, &s->store, error));
    SAMC__TRY(samc__stream_append(&s->journal.stream, &s->store, s->lines, s->used, error));
    SAMC__TRY(samc__stream_sync(&s->journal.stream, &s->store, error));
    s->used = 0;
    return SAMC_OK;
}
