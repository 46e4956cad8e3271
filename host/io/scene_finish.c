/* What comes behind the last tile of a scene: the masks of all tiles, and of all shards, become one mask for an object,
 * those of reduced levels get finer outlines, and the files are written. All of it but the outlines is done again where
 * it was interrupted. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "host/io/scene_spool.h"
#include "host/io/scene_state.h"
#include "runtime/base/status.h"

static const char merge_name[] = ".samc-merge", stitched_name[] = "stitched";
enum { ERRORS = -1, REPORT_EVERY = 1024 /* masks */ };

typedef struct finish {
    const samc__scene_job *job;
    samc__scene_counts *counts;
    samc__scene_state *tiles; /* of this shard */
    samc__scene_state own;    /* of what shards have in common */
    samc__scene_state *state; /* either of them, that this goes into */
    int64_t base;             /* records of the journal before the first outline */
    samc__scene_spool spool;
    uint8_t *keep; /* [spool.count]; owned */
    samc__scene_refine_plan refine;
    int64_t *order; /* of the results: indices of the spool; owned */
    bool open[SAMC__SCENE_SINKS];
    char paths[SAMC__SCENE_SINKS][64 + SAMC__STORE_NAME];
} finish;

static samc_status no_memory(const finish *f, samc_error *error) {
    return samc__fail(error, SAMC_OUT_OF_MEMORY, "%s: out of memory for its masks", f->job->output);
}

static samc_status read_counts(void *spool, int64_t index, uint32_t *counts, samc_error *error) {
    return samc__scene_spool_read(spool, index, counts, error);
}

static samc__scene_masks masks_of(finish *f) {
    return (samc__scene_masks){f->spool.records, f->spool.count, read_counts, &f->spool};
}

/* ---- Shards ---------------------------------------------------------------------------------- */

/* A shard's state folder, to read from: nothing of it is to be changed. *there: the shard has begun. */
static samc_status open_shard(const finish *f, int shard, samc__store *store, char *path, size_t room, bool *there,
                              samc_error *error) {
    char name[SAMC__STORE_NAME];
    *store = f->tiles->store;
    samc__scene_state_name(shard, f->job->shards, name);
    snprintf(path, room, "%.1000s/%s", f->job->output, name);
    store->state = path;
    store->folder = openat(store->top, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    *there = store->folder >= 0;
    if (*there || errno == ENOENT) return SAMC_OK;
    return samc__fail(error, SAMC_IO, "%s: cannot open the folder: %s", path, strerror(errno));
}

/* The last record of a shard's journal. */
static samc_status read_last(const finish *f, const samc__store *store, samc__record *last, samc_error *error) {
    samc__journal_scan scan = {0};
    FILE *file;
    last->number = -1;
    if (!samc__journal_exists(store)) return SAMC_OK;
    SAMC__TRY(samc__store_read(store, false, "journal", &file, error));
    bool memory = samc__journal_read(file, &scan);
    fclose(file);
    free(scan.failed);
    *last = scan.last;
    if (!memory) return no_memory(f, error);
    if (!scan.foreign && scan.damaged == 0) return SAMC_OK;
    return samc__store_fail(store, false, "journal", SAMC_FORMAT, error,
                            "is damaged; put it back from a copy, or begin anew in another folder");
}

/* Looks whether a shard is through with its tiles, or, `add`, takes its masks and errors. */
static samc_status visit_shard(finish *f, int shard, bool add, samc_error *error) {
    char path[1200];
    samc__store store;
    samc__record last;
    bool there;
    SAMC__TRY(open_shard(f, shard, &store, path, sizeof path, &there, error));
    if (!there) {
        f->counts->waiting++;
        return SAMC_OK;
    }
    samc_status status = read_last(f, &store, &last, error);
    if (status == SAMC_OK && last.number + 1 < samc__scene_tiles_of(f->job->plan, shard, f->job->shards))
        f->counts->waiting++;
    else if (status == SAMC_OK && add && last.number >= 0) {
        status = samc__scene_spool_add(&f->spool, &store, "records", last.lines, error);
        if (status == SAMC_OK) status = samc__scene_state_take_errors(f->state, &store, last.errors, error);
    }
    close(store.folder);
    return status;
}

/* The masks of all tiles, in their order; none where shards are waited for. */
static samc_status gather(finish *f, samc_error *error) {
    const int shards = f->job->shards;
    if (shards == 1) {
        SAMC__TRY(samc__scene_spool_add(&f->spool, &f->state->store, "records", f->state->last.lines, error));
    } else {
        for (int i = 0; i < shards; i++) SAMC__TRY(visit_shard(f, i, false, error));
        if (f->counts->waiting > 0) return SAMC_OK;
        samc_status status = samc__scene_state_open(&f->own, merge_name, true, error);
        if (f->own.store.busy) f->counts->waiting = -1; /* another shard was through at the same time and does it */
        if (f->own.store.busy) return SAMC_OK;
        SAMC__TRY(status);
        for (int i = 0; i < shards; i++) SAMC__TRY(visit_shard(f, i, true, error));
    }
    return samc__scene_spool_sort(&f->spool, error);
}

/* ---- Masks ----------------------------------------------------------------------------------- */

static samc_status append_stitched(void *context, const samc__scene_record *record, const uint32_t *counts,
                                   samc_error *error) {
    samc__scene_state *s = context;
    return samc__scene_spool_append(&s->stitched, &s->store, record, counts, error);
}

/* Pieces that belong together. */
static samc_status stitch(finish *f, samc_error *error) {
    samc__scene_state *s = f->state;
    if (!f->job->engines[0].pieces) return SAMC_OK;
    const samc__scene_masks masks = masks_of(f);
    SAMC__TRY(samc__stream_open(&s->stitched, &s->store, false, stitched_name, 0, error));
    SAMC__TRY(samc__scene_stitch(&masks, f->job->plan, append_stitched, s, error));
    SAMC__TRY(samc__scene_spool_add(&f->spool, &s->store, stitched_name, s->stitched.length, error));
    return samc__scene_spool_sort(&f->spool, error);
}

/* Suppression over all that there is; f->keep says what stays. */
static samc_status merge(finish *f, samc_error *error) {
    const samc__scene_masks masks = masks_of(f);
    free(f->keep);
    f->keep = malloc((size_t)f->spool.count + 1);
    if (f->keep == NULL) return no_memory(f, error);
    return samc__scene_merge(&masks, &f->job->thresholds, f->keep, error);
}

/* A window of outlines, of one session. */
typedef struct outlines {
    const samc__scene_engine *engine;
    const samc__scene_refining *item;
    const samc__scene_masks *masks;
    uint8_t *rgb, *valid; /* of the window; one piece, owned */
    samc__scene_emitted emitted;
    samc_status status;
    samc_error error;
} outlines;

static void *outline(void *context) {
    outlines *o = context;
    o->status = samc__scene_refine(o->engine, o->item, o->rgb, o->valid, o->masks, samc__scene_emitted_add, &o->emitted,
                                   &o->error);
    return NULL;
}

static samc_status read_outlines(const finish *f, outlines *o, samc_error *error) {
    const samc__scene_window *window = &o->item->window;
    const size_t pixels = (size_t)window->width * (size_t)window->height;
    o->rgb = malloc(pixels * 4);
    if (o->rgb == NULL) return no_memory(f, error);
    o->valid = o->rgb + pixels * 3;
    return f->job->source->read(f->job->source, window, o->rgb, o->valid, error);
}

/* What is before a failure is kept. */
static samc_status keep_outlines(finish *f, outlines *all, int count, samc_error *error) {
    samc_status status = SAMC_OK;
    for (int i = 0; i < count && status == SAMC_OK; i++) {
        status = all[i].status;
        if (status != SAMC_OK && error != NULL) *error = all[i].error;
        if (status == SAMC_OK) status = samc__scene_state_add(f->state, &f->state->refined, &all[i].emitted, error);
        f->counts->done += status == SAMC_OK;
    }
    samc_error why;
    const samc_status written = samc__scene_state_commit(f->state, &why);
    if (status == SAMC_OK && written != SAMC_OK && error != NULL) *error = why;
    return status != SAMC_OK ? status : written;
}

/* The next windows, one for each session. */
static samc_status refine_some(finish *f, samc_error *error) {
    const samc__scene_masks masks = masks_of(f);
    const int64_t left = f->refine.count - f->counts->done;
    const int count = (int)(left < f->job->engine_count ? left : f->job->engine_count);
    outlines *all = calloc((size_t)count, sizeof *all);
    void *contexts[SAMC__SCENE_ENGINES] = {NULL};
    samc_status status = all != NULL ? SAMC_OK : no_memory(f, error);
    for (int i = 0; i < count && status == SAMC_OK; i++) {
        all[i].engine = &f->job->engines[i], all[i].item = &f->refine.items[f->counts->done + i], all[i].masks = &masks;
        contexts[i] = &all[i];
        status = read_outlines(f, &all[i], error);
    }
    if (status == SAMC_OK) {
        samc__scene_together(outline, contexts, count);
        status = keep_outlines(f, all, count, error);
    }
    for (int i = 0; all != NULL && i < count; i++) {
        samc__scene_emitted_free(&all[i].emitted);
        free(all[i].rgb);
    }
    free(all);
    return status;
}

static void tick(finish *f) {
    if (f->job->tick != NULL) f->job->tick(f->job->context, f->counts);
}

/* Finer outlines for what is left of reduced levels, in the place of the ones before. */
static samc_status refine(finish *f, samc_error *error) {
    samc__scene_counts *c = f->counts;
    SAMC__TRY(samc__scene_refine_plan_make(&f->refine, f->job->plan, f->spool.records, f->spool.count, f->keep, error));
    c->phase = SAMC__SCENE_REFINING;
    c->total = f->refine.count;
    c->before = c->done = f->state->last.number + 1 - f->base;
    while (c->done < c->total) {
        if (f->job->stopping != NULL && atomic_load(f->job->stopping))
            return samc__fail(error, SAMC_STOPPED, "%s: stopped; all tiles, and %lld of %lld outlines, are kept",
                              f->job->output, (long long)c->done, (long long)c->total);
        tick(f);
        SAMC__TRY(refine_some(f, error));
    }
    for (int64_t i = 0; i < f->refine.count; i++)
        for (int64_t k = 0; k < f->refine.items[i].count; k++) f->keep[f->refine.items[i].order[k]] = 0;
    samc__scene_spool_filter(&f->spool, f->keep);
    SAMC__TRY(samc__scene_spool_add(&f->spool, &f->state->store, "refined", f->state->last.annotations, error));
    return samc__scene_spool_sort(&f->spool, error);
}

/* ---- Results --------------------------------------------------------------------------------- */

/* Of a sink, or ERRORS: the key and the end of its name, and the name that it is made under. */
static const char *result(const samc__scene_state *s, int sink, const char **key, int64_t number,
                          char scratch[SAMC__STORE_NAME]) {
    const char *suffix = sink == ERRORS ? ".jsonl" : s->job->sinks[sink].suffix;
    *key = sink == ERRORS ? "errors" : s->job->stem;
    samc__store_scratch(number, suffix, scratch);
    return suffix;
}

samc_status samc__scene_check_results(samc__scene_state *s, samc_error *error) {
    char scratch[SAMC__STORE_NAME];
    const char *key;
    samc__mark *marks = NULL;
    struct stat information;
    int count = 0;
    if (s->last.ended || (s->job->shards > 1 && samc__store_stat(&s->store, true, merge_name, &information)))
        return SAMC_OK;
    if (s->journal.resumed) SAMC__TRY(samc__marks_read(&s->store, s->last.number, &marks, &count, error));
    samc_status status = SAMC_OK;
    for (int i = ERRORS; i < s->job->sink_count && status == SAMC_OK; i++) {
        const char *suffix = result(s, i, &key, 0, scratch);
        bool there, ours = false;
        status = samc__store_look(&s->store, key, suffix, &information, &there, error);
        for (int k = 0; k < count; k++)
            ours = ours || (atoi(marks[k].mark) == i && samc__store_same(&marks[k].result, &information));
        if (status == SAMC_OK && there && !ours)
            status = samc__fail(error, SAMC_IO, "%s/%s%s: exists already and is not from this run", s->store.root, key,
                                suffix);
    }
    samc__marks_free(marks, count);
    return status;
}

/* Results that have names and no record go back and are made again. */
static samc_status take_back(samc__scene_state *s, samc_error *error) {
    char scratch[SAMC__STORE_NAME];
    const char *key;
    samc__mark *marks;
    int count;
    SAMC__TRY(samc__marks_read(&s->store, s->last.number, &marks, &count, error));
    samc_status status = SAMC_OK;
    for (int i = 0; i < count && status == SAMC_OK; i++) {
        const int sink = atoi(marks[i].mark);
        if (sink < ERRORS || sink >= s->job->sink_count) continue;
        const char *suffix = result(s, sink, &key, marks[i].number, scratch);
        status = samc__store_take_back(&s->store, scratch, key, suffix, &marks[i].result, error);
    }
    samc__marks_free(marks, count);
    SAMC__TRY(status);
    SAMC__TRY(samc__store_sync_folders(&s->store, error));
    return samc__store_clear(&s->store, error);
}

static int by_area(const void *a, const void *b, void *context) {
    const samc__scene_record *records = context;
    const int64_t i = *(const int64_t *)a, k = *(const int64_t *)b;
    if (records[i].area != records[k].area) return records[i].area > records[k].area ? -1 : 1;
    return i < k ? -1 : i > k;
}

/* Every mask to every sink. */
static samc_status add_masks(finish *f, samc_error *error) {
    const samc__scene_spool *spool = &f->spool;
    uint32_t *counts = malloc(((size_t)spool->most + 1) * sizeof *counts);
    f->order = malloc(((size_t)spool->count + 1) * sizeof *f->order);
    samc_status status = counts && f->order ? SAMC_OK : no_memory(f, error);
    for (int64_t i = 0; i < spool->count && status == SAMC_OK; i++) f->order[i] = i;
    if (status == SAMC_OK && spool->count > 0)
        qsort_r(f->order, (size_t)spool->count, sizeof *f->order, by_area, spool->records);
    for (int64_t i = 0; i < spool->count && status == SAMC_OK; i++) {
        const int64_t index = f->order[i];
        status = samc__scene_spool_read(spool, index, counts, error);
        for (int k = 0; k < f->job->sink_count && status == SAMC_OK; k++)
            status = f->job->sinks[k].add(&f->job->sinks[k], i + 1, &spool->records[index], counts, error);
        f->counts->done = i + 1;
        if (i % REPORT_EVERY == 0) tick(f);
    }
    free(counts);
    return status;
}

/* What was written by somebody else's library is synced by its name. */
static samc_status sync_result(const samc__store *store, const char *scratch, samc_error *error) {
    int handle = openat(store->tmp, scratch, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    bool good = handle >= 0 && (!store->sync || fsync(handle) == 0);
    int reason = errno;
    if (handle >= 0) close(handle);
    return good ? SAMC_OK
                : samc__fail(error, SAMC_IO, "%s/%s: cannot write: %s", store->scratch, scratch, strerror(reason));
}

static samc_status write_errors(finish *f, const char *scratch, samc_error *error) {
    const samc__scene_state *s = f->state;
    samc__writer writer;
    SAMC__TRY(samc__store_create(&s->store, scratch, &writer, error));
    SAMC__TRY(samc__writer_append(&writer, s->told, s->told_length, error));
    return samc__writer_commit(&writer, error);
}

/* All results, whole and synced, in the scratch folder. */
static samc_status make_results(finish *f, int64_t number, samc_error *error) {
    samc__scene_state *s = f->state;
    char scratch[SAMC__STORE_NAME];
    const char *key;
    f->counts->phase = SAMC__SCENE_WRITING;
    f->counts->total = f->counts->left = f->spool.count;
    f->counts->before = f->counts->done = 0;
    for (int i = 0; i < f->job->sink_count; i++) {
        samc__scene_sink *sink = &f->job->sinks[i];
        result(s, i, &key, number, scratch);
        snprintf(f->paths[i], sizeof f->paths[i], "%s/%s", s->store.spill, scratch);
        f->open[i] = true;
        SAMC__TRY(sink->open(sink, f->job->source, f->paths[i], error));
    }
    SAMC__TRY(add_masks(f, error));
    for (int i = 0; i < f->job->sink_count; i++) {
        SAMC__TRY(f->job->sinks[i].close(&f->job->sinks[i], error));
        f->open[i] = false;
        result(s, i, &key, number, scratch);
        SAMC__TRY(sync_result(&s->store, scratch, error));
    }
    result(s, ERRORS, &key, number, scratch);
    return s->told_length > 0 ? write_errors(f, scratch, error) : SAMC_OK;
}

/* Marks them and gives them their names. */
static samc_status publish(finish *f, int64_t number, samc_error *error) {
    samc__scene_state *s = f->state;
    char scratch[SAMC__STORE_NAME], mark[20];
    const char *key;
    const int first = s->told_length > 0 ? ERRORS : 0;
    samc__marks marks = {.stream.handle = -1};
    samc_status status = samc__marks_open(&marks, &s->store, error);
    if (status == SAMC_OK) status = samc__store_sync_folders(&s->store, error);
    for (int i = first; i < f->job->sink_count && status == SAMC_OK; i++) {
        result(s, i, &key, number, scratch);
        snprintf(mark, sizeof mark, "%d", i);
        status = samc__marks_add(&marks, &s->store, number, key, mark, scratch, error);
    }
    if (status == SAMC_OK) status = samc__marks_write(&marks, &s->store, error);
    for (int i = first; i < f->job->sink_count && status == SAMC_OK; i++) {
        const char *suffix = result(s, i, &key, number, scratch);
        status = samc__store_publish(&s->store, scratch, key, suffix, error);
    }
    if (status == SAMC_OK) status = samc__store_sync_folders(&s->store, error);
    samc__marks_close(&marks);
    return status;
}

/* Of a run that is over, what nothing is to be made good by any more. */
static samc_status clean(samc__scene_state *s, samc_error *error) {
    samc__stream_close(&s->stitched);
    samc__marks_remove(&s->store);
    samc__store_remove(&s->store, false, stitched_name);
    SAMC__TRY(samc__store_note(&s->store, false, error));
    return samc__store_sync_folders(&s->store, error);
}

static samc_status write_results(finish *f, samc_error *error) {
    const int64_t number = f->state->last.number + 1;
    SAMC__TRY(take_back(f->state, error));
    samc_status status = make_results(f, number, error);
    for (int i = 0; i < f->job->sink_count; i++)
        if (f->open[i]) f->job->sinks[i].abandon(&f->job->sinks[i]);
    SAMC__TRY(status);
    SAMC__TRY(publish(f, number, error));
    f->state->last.samples = f->counts->left;
    SAMC__TRY(samc__scene_state_end(f->state, error));
    return clean(f->state, error);
}

static samc_status finish_all(finish *f, samc_error *error) {
    SAMC__TRY(gather(f, error));
    if (f->counts->waiting != 0) return SAMC_OK;
    if (f->state->last.ended) {
        f->counts->left = f->state->last.samples;
        return clean(f->state, error); /* it may have been interrupted there */
    }
    f->job->source->report_context = f->state;
    SAMC__TRY(stitch(f, error));
    SAMC__TRY(merge(f, error));
    SAMC__TRY(refine(f, error));
    SAMC__TRY(merge(f, error));
    samc__scene_spool_filter(&f->spool, f->keep);
    return write_results(f, error);
}

samc_status samc__scene_finish(samc__scene_state *state, samc_error *error) {
    const samc__scene_job *job = state->job;
    finish *f = calloc(1, sizeof *f);
    if (f == NULL) return samc__fail(error, SAMC_OUT_OF_MEMORY, "%s: out of memory", job->output);
    f->job = job;
    f->counts = state->counts;
    f->tiles = state;
    samc__scene_state_none(&f->own, job, state->counts);
    f->state = job->shards > 1 ? &f->own : state;
    f->base = job->shards > 1 ? 0 : samc__scene_tiles_of(job->plan, 0, 1);
    samc_status status = finish_all(f, error);
    if (f->counts->waiting == 0) f->counts->bad = samc__scene_state_bad_parts(f->state);
    job->source->report = NULL;
    samc__scene_state_close(&f->own);
    samc__scene_refine_plan_free(&f->refine);
    samc__scene_spool_free(&f->spool);
    free(f->keep);
    free(f->order);
    free(f);
    return status;
}
