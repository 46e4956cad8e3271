/* The tiles of a run over a scene. */
#include "host/io/scene_run.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "host/io/scene_state.h"
#include "runtime/base/status.h"

/* Tiles that a session takes together, and what becomes of them. */
typedef struct work {
    const samc__scene_engine *engine;
    samc__scene_item *items; /* [count] */
    int count;
    uint8_t *pixels;              /* of all, and whether they are there; owned */
    uint8_t **rgb, **valid;       /* [count] */
    samc__scene_emitted *emitted; /* [count] */
    samc_status status;
    samc_error error;
} work;

typedef struct run {
    const samc__scene_job *job;
    samc__scene_state state;
    samc__scene_counts *counts;
    work works[SAMC__SCENE_ENGINES];
    int level, row, column; /* of the next tile */
    int64_t first;          /* number of the first tile of its row among all shards' */
    int64_t total, skip;    /* of all shards; tiles of this shard that are done */
} run;

/* ---- Which tiles ----------------------------------------------------------------------------- */

/* The next tiles, as many as may go together; false where there are none left. */
static bool take_tiles(run *r, work *w) {
    const samc__scene_plan *plan = r->job->plan;
    w->count = 0;
    for (; r->level >= 0; r->level--, r->row = 0) {
        for (; r->row < plan->level[r->level].rows; r->row++, r->column = 0) {
            const int columns = plan->level[r->level].columns;
            const bool mine = samc__scene_shard_of(r->first, r->total, r->job->shards) == r->job->shard;
            if (mine && r->skip > 0) {
                const int64_t passed = r->skip < columns - r->column ? r->skip : columns - r->column;
                r->column += (int)passed;
                r->skip -= passed;
            }
            if (mine && r->column < columns) {
                int alike = samc__scene_plan_alike(plan, r->level, r->row, r->column);
                if (alike > r->job->batch) alike = r->job->batch;
                for (; w->count < alike; r->column++)
                    w->items[w->count++] = samc__scene_plan_item(plan, r->level, r->row, r->column);
                return true;
            }
            r->first += columns;
        }
    }
    return false;
}

/* ---- Work ------------------------------------------------------------------------------------ */

static samc_status no_memory(const run *r, samc_error *error) {
    return samc__fail(error, SAMC_OUT_OF_MEMORY, "%s: out of memory for its tiles", r->job->input);
}

static samc_status make_work(const run *r, work *w, const samc__scene_engine *engine, samc_error *error) {
    const size_t batch = (size_t)r->job->batch;
    w->engine = engine;
    w->items = malloc(batch * sizeof *w->items);
    w->rgb = malloc(batch * sizeof *w->rgb);
    w->valid = malloc(batch * sizeof *w->valid);
    w->emitted = calloc(batch, sizeof *w->emitted);
    return w->items && w->rgb && w->valid && w->emitted ? SAMC_OK : no_memory(r, error);
}

static void empty_work(const run *r, work *w) {
    for (int i = 0; w->emitted && i < r->job->batch; i++) samc__scene_emitted_free(&w->emitted[i]);
    free(w->pixels);
    w->pixels = NULL;
}

static void free_work(const run *r, work *w) {
    empty_work(r, w);
    free(w->items);
    free(w->rgb);
    free(w->valid);
    free(w->emitted);
}

static samc_status read_pixels(const run *r, work *w, samc_error *error) {
    const samc__scene_window *window = &w->items[0].window; /* they are alike */
    const size_t pixels = (size_t)window->width * (size_t)window->height;
    w->pixels = malloc((size_t)w->count * pixels * 4);
    if (w->pixels == NULL) return no_memory(r, error);
    for (int i = 0; i < w->count; i++) {
        w->rgb[i] = w->pixels + (size_t)i * pixels * 4;
        w->valid[i] = w->rgb[i] + pixels * 3;
        SAMC__TRY(r->job->source->read(r->job->source, &w->items[i].window, w->rgb[i], w->valid[i], error));
    }
    return SAMC_OK;
}

/* A mask of one of a session's tiles. */
static samc_status emit(void *context, const samc__scene_record *record, const uint32_t *counts, samc_error *error) {
    work *w = context;
    int i = record->tile_column - w->items[0].column;
    if (i < 0 || i >= w->count || record->tile_row != w->items[0].row)
        return samc__fail(error, SAMC_INVALID_ARGUMENT, "a mask of a tile that nobody asked for");
    return samc__scene_emitted_add(&w->emitted[i], record, counts, error);
}

static void *compute(void *context) {
    work *w = context;
    w->status = samc__scene_tiles(w->engine, w->items, w->count, (const uint8_t *const *)w->rgb,
                                  (const uint8_t *const *)w->valid, emit, w, &w->error);
    return NULL;
}

void samc__scene_together(void *(*work)(void *context), void *const *contexts, int count) {
    pthread_t threads[SAMC__SCENE_ENGINES];
    bool started[SAMC__SCENE_ENGINES] = {false};
    for (int i = 1; i < count; i++) started[i] = pthread_create(&threads[i], NULL, work, contexts[i]) == 0;
    for (int i = 0; i < count; i++)
        if (!started[i]) work(contexts[i]);
    for (int i = 1; i < count; i++)
        if (started[i]) pthread_join(threads[i], NULL);
}

/* One piece of work for each session, at the same time. */
static samc_status compute_all(run *r, int count, samc_error *error) {
    void *works[SAMC__SCENE_ENGINES];
    for (int i = 0; i < count; i++) works[i] = &r->works[i];
    samc__scene_together(compute, works, count);
    for (int i = 0; i < count; i++) { /* what is before a failure is kept */
        work *w = &r->works[i];
        if (w->status != SAMC_OK && error != NULL) *error = w->error;
        SAMC__TRY(w->status);
        for (int k = 0; k < w->count; k++)
            SAMC__TRY(samc__scene_state_add(&r->state, &r->state.records, &w->emitted[k], error));
    }
    return SAMC_OK;
}

static void count(run *r) {
    samc__scene_counts *c = r->counts;
    c->done = r->state.last.number + 1 < c->total ? r->state.last.number + 1 : c->total;
    c->masks = r->state.last.masks;
    c->bad = r->state.last.failures;
    if (r->job->tick != NULL) r->job->tick(r->job->context, c);
}

static samc_status run_tiles(run *r, samc_error *error) {
    const samc__scene_job *job = r->job;
    for (;;) {
        int works = 0;
        samc_status status = SAMC_OK;
        if (job->stopping != NULL && atomic_load(job->stopping))
            return samc__fail(error, SAMC_STOPPED, "%s: stopped; %lld of %lld tiles are done and kept", job->output,
                              (long long)r->counts->done, (long long)r->counts->total);
        while (works < job->engine_count && take_tiles(r, &r->works[works])) works++;
        if (works == 0) return SAMC_OK;
        for (int i = 0; i < works && status == SAMC_OK; i++) status = read_pixels(r, &r->works[i], error);
        if (status == SAMC_OK) status = compute_all(r, works, error);
        samc_error why;
        samc_status written = samc__scene_state_commit(&r->state, &why);
        if (status == SAMC_OK && written != SAMC_OK) {
            status = written;
            if (error != NULL) *error = why;
        }
        for (int i = 0; i < works; i++) empty_work(r, &r->works[i]);
        count(r);
        SAMC__TRY(status);
    }
}

static samc_status run_all(run *r, samc_error *error) {
    const samc__scene_job *job = r->job;
    char name[SAMC__STORE_NAME];
    samc__scene_state_name(job->shard, job->shards, name);
    SAMC__TRY(samc__scene_state_open(&r->state, name, job->resume, error));
    r->total = samc__scene_tiles_of(job->plan, 0, -1);
    r->skip = r->state.last.number + 1;
    r->level = job->plan->levels - 1;
    r->counts->total = samc__scene_tiles_of(job->plan, job->shard, job->shards);
    r->counts->before = r->skip < r->counts->total ? r->skip : r->counts->total;
    for (int i = 0; i < job->engine_count; i++) SAMC__TRY(make_work(r, &r->works[i], &job->engines[i], error));
    job->source->report = samc__scene_state_bad;
    job->source->report_context = &r->state;
    count(r);
    SAMC__TRY(run_tiles(r, error));
    return samc__scene_finish(&r->state, error);
}

samc_status samc__scene_run(const samc__scene_job *job, samc__scene_counts *counts, samc_error *error) {
    *counts = (samc__scene_counts){0};
    if (job->engine_count < 1 || job->engine_count > SAMC__SCENE_ENGINES || job->batch < 1 ||
        job->sink_count > SAMC__SCENE_SINKS || job->shards < 1 || job->shards > SAMC__SCENE_SHARDS || job->shard < 0 ||
        job->shard >= job->shards)
        return samc__fail(error, SAMC_INVALID_ARGUMENT, "a run over a scene without sessions, or with bad numbers");
    run *r = calloc(1, sizeof *r);
    if (r == NULL) return samc__fail(error, SAMC_OUT_OF_MEMORY, "%s: out of memory", job->output);
    r->job = job;
    r->counts = counts;
    samc__scene_state_none(&r->state, job, counts);
    samc_status status = run_all(r, error);
    job->source->report = NULL;
    for (int i = 0; i < job->engine_count; i++) free_work(r, &r->works[i]);
    samc__scene_state_close(&r->state);
    free(r);
    return status;
}
