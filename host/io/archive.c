/* The archive job as samc_io.h has it: from a list of inputs to a journal, a pipeline and its counts. */
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "host/io/abi.h"
#include "host/io/auto_options.h"
#include "host/io/budget.h"
#include "host/io/collect.h"
#include "host/io/describe.h"
#include "host/io/resume.h"
#include "host/io/fold.h"
#include "host/io/inputs.h"
#include "host/io/pipeline.h"
#include "host/io/stats.h"
#include "host/io/tar.h"
#include "host/io/text.h"
#include "runtime/base/abi.h"
#include "runtime/base/status.h"

enum { FEW_IMAGES = 8, MOST_SHARDS = 100000, MOST_LINES = 999999999, MOST_QUEUE = 10000 };

typedef enum step { OPENED, BEGUN, RUNNING, OVER } step;

struct samc_archive {
    samc_archive_options options; /* its texts are owned, its lists are gone */
    step step;
    samc__inputs inputs;
    const char **globs; /* ended by NULL; one piece of memory */
    samc_auto_options automatic;
    samc_archive_text text; /* its options, where there are phrases, are the next */
    samc_text_options text_options;
    bool gpu;
    samc__store store;
    samc__journal journal;
    samc__collector collector;
    samc__stats stats;
    _Atomic int64_t images, total, before; /* what samc_archive_get_counts() says of the plan */
    samc__progress_counts counts;
    _Atomic double seconds;
    samc_archive_stage stages[SAMC__STAGES];
    pthread_mutex_t lock;     /* of the next two */
    samc__pipeline *pipeline; /* while it runs */
    bool stopped;
};

/* ---- Options --------------------------------------------------------------------------------- */

samc_status samc_archive_default_options(samc_archive_options *options, samc_error *error) {
    const samc_archive_options own = {.shards = 1,
                                      .lines_per_file = 10000,
                                      .max_pixels = SAMC_IMAGE_MOST_PIXELS,
                                      .memory = samc__budget_default(""),
                                      .queue = 4};
    SAMC__TRY(samc__abi_give(SAMC__IO(samc_archive_options), &own, options, error));
    return SAMC_OK;
}

static samc_status check_number(const char *name, int64_t value, int64_t least, int64_t most, samc_error *error) {
    if (value >= least && value <= most) return SAMC_OK;
    return samc__fail(error, SAMC_INVALID_ARGUMENT, "samc_archive_options.%s is %lld, not from %lld to %lld", name,
                      (long long)value, (long long)least, (long long)most);
}

static samc_status check_options(const samc_archive_options *o, samc_error *error) {
    SAMC__TRY(check_number("input_count", o->input_count, 1, INT_MAX, error));
    SAMC__TRY(check_number("glob_count", o->glob_count, 0, INT_MAX, error));
    SAMC__TRY(check_number("shards", o->shards, 1, MOST_SHARDS, error));
    SAMC__TRY(check_number("shard", o->shard, 0, o->shards - 1, error));
    SAMC__TRY(check_number("lines_per_file", o->lines_per_file, 1, MOST_LINES, error));
    SAMC__TRY(check_number("max_pixels", o->max_pixels, 1, SAMC_IMAGE_MOST_PIXELS, error));
    SAMC__TRY(check_number("memory", o->memory, 1, INT64_MAX, error));
    SAMC__TRY(check_number("batch_images", o->batch_images, 0, SAMC__MOST_BATCH, error));
    SAMC__TRY(check_number("load_threads", o->load_threads, 0, SAMC__MOST_THREADS, error));
    SAMC__TRY(check_number("write_threads", o->write_threads, 0, SAMC__MOST_THREADS, error));
    SAMC__TRY(check_number("queue", o->queue, 1, MOST_QUEUE, error));
    if (o->formats & ~(unsigned)SAMC_OUTPUT_ARCHIVE)
        return samc__fail(error, SAMC_INVALID_ARGUMENT, "samc_archive_options.formats has bits that no archive has");
    SAMC__TRY(samc_scale_check(o->scale, error));
    SAMC__TRY(check_number("page", o->page, 0, INT_MAX, error));
    SAMC__TRY(check_number("shard_by", o->shard_by, 0, SAMC_SHARD_BY_INPUT, error));
    bool dataset = o->formats & SAMC_OUTPUT_WEBDATASET;
    if (dataset && o->formats & ~(unsigned)(SAMC_OUTPUT_WEBDATASET | SAMC_OUTPUT_JSONL | SAMC_OUTPUT_COCO))
        return samc__fail(
            error, SAMC_INVALID_ARGUMENT,
            "webdataset's archives would have the names of other formats' folders: beside it are jsonl and "
            "coco");
    if (dataset && o->shard_by == SAMC_SHARD_BY_IMAGE)
        return samc__fail(error, SAMC_INVALID_ARGUMENT,
                          "webdataset makes an archive of each archive: it goes by input");
    if ((o->copy_images || o->label_maps) && !dataset)
        return samc__fail(error, SAMC_INVALID_ARGUMENT, "copied images and label maps go into archives: webdataset");
    if (o->retry_failed && !o->resume)
        return samc__fail(error, SAMC_INVALID_ARGUMENT, "samc_archive_options.retry_failed goes with resume");
    bool complete = o->inputs != NULL && (o->glob_count == 0 || o->globs != NULL) && o->output != NULL;
    for (int i = 0; i < o->input_count && complete; i++) complete = o->inputs[i] != NULL;
    for (int i = 0; i < o->glob_count && complete; i++) complete = o->globs[i] != NULL;
    return complete && o->output[0] != '\0' ? SAMC_OK
                                            : samc__fail(error, SAMC_INVALID_ARGUMENT,
                                                         "samc_archive_options: an input, a pattern or the output is "
                                                         "missing");
}

/* Whether somebody named a few pictures to look at, not an archive to work through: an overlay of a photograph takes
 * longer to write than a GPU needs for its masks. */
static bool few_images(const samc_archive_options *o, const samc__inputs *inputs) {
    struct stat s;
    if (o->input_count > FEW_IMAGES || inputs->tar_count > 0) return false;
    for (int i = 0; i < o->input_count; i++)
        if (o->inputs[i][0] == '@' || strcmp(o->inputs[i], "-") == 0 ||
            (stat(o->inputs[i], &s) == 0 && S_ISDIR(s.st_mode)))
            return false;
    return true;
}

/* Threads and batches that nobody asked for: on a CPU the computing has all processors anyway; a GPU wants 30
 * photographs a second decoded, each 30 to 60 ms of one of them, and takes half of a batch through the encoder at once.
 */
static void choose_sizes(samc_archive_options *o, bool gpu, int devices) {
    samc_machine machine = SAMC_INIT(samc_machine);
    samc_get_machine(&machine);
    if (o->batch_images == 0) o->batch_images = gpu ? 16 : 4;
    int load = gpu ? machine.processors / 2 : 2, write = gpu ? machine.processors / 4 : 2, most = gpu ? devices : 1;
    if (o->load_threads == 0) o->load_threads = load < 2 ? 2 : load > 8 * most ? 8 * most : load;
    if (o->write_threads == 0) o->write_threads = write < 2 ? 2 : write > 4 * most ? 4 * most : write;
    if (o->load_threads > SAMC__MOST_THREADS) o->load_threads = SAMC__MOST_THREADS;
    if (o->write_threads > SAMC__MOST_THREADS) o->write_threads = SAMC__MOST_THREADS;
}

/* ---- Opening --------------------------------------------------------------------------------- */

/* The patterns, for as long as archives are read. */
static samc_status keep_globs(samc_archive *a, const samc_archive_options *o, samc_error *error) {
    size_t size = ((size_t)o->glob_count + 1) * sizeof *a->globs, at = size;
    for (int i = 0; i < o->glob_count; i++) size += strlen(o->globs[i]) + 1;
    a->globs = calloc(1, size);
    if (a->globs == NULL) return samc__fail(error, SAMC_OUT_OF_MEMORY, "out of memory");
    for (int i = 0; i < o->glob_count; i++) {
        a->globs[i] = strcpy((char *)a->globs + at, o->globs[i]);
        at += strlen(o->globs[i]) + 1;
    }
    return SAMC_OK;
}

/* Each input becomes an archive. */
static samc_status check_dataset(const samc__inputs *inputs, samc_error *error) {
    for (int64_t i = 0; i < inputs->count; i++)
        if (inputs->items[i].tar < 0)
            return samc__fail(error, SAMC_INVALID_ARGUMENT,
                              "webdataset makes an archive of each archive, and '%.300s' is none",
                              samc__input_source(inputs, i));
    return samc__inputs_check_stems(inputs, samc__tar_stem, true, error);
}

static samc_status collect(samc_archive *a, const samc_archive_options *o, samc_error *error) {
    bool units = o->shard_by == SAMC_SHARD_BY_INPUT || o->formats & SAMC_OUTPUT_WEBDATASET;
    SAMC__TRY(keep_globs(a, o, error));
    const samc__inputs_options options = {.globs = a->globs,
                                          .exclude = o->output,
                                          .units = units,
                                          .listed = o->shard_by == SAMC_SHARD_BY_IMAGE,
                                          .flat = o->flat};
    SAMC__TRY(samc__inputs_collect(&a->inputs, o->inputs, o->input_count, &options, error));
    if (a->inputs.units && o->retry_failed)
        return samc__fail(error, SAMC_INVALID_ARGUMENT,
                          "archives that are read as they come are not gone through again for failed images");
    if (a->options.formats == 0)
        a->options.formats = few_images(o, &a->inputs) ? SAMC_OUTPUT_RLE | SAMC_OUTPUT_OVERLAY : SAMC_OUTPUT_RLE;
    unsigned formats = a->options.formats;
    SAMC__TRY(samc__inputs_check_names(&a->inputs, formats & SAMC_OUTPUT_PNG, error));
    if (formats & SAMC_OUTPUT_WEBDATASET) SAMC__TRY(check_dataset(&a->inputs, error));
    return formats & SAMC_OUTPUT_SA1B ? samc__inputs_check_stems(&a->inputs, samc__name_stem, false, error) : SAMC_OK;
}

samc_status samc_archive_open(const samc_archive_options *options, samc_archive **archive, samc_error *error) {
    samc_archive_options own = {0};
    if (archive == NULL) return samc__fail(error, SAMC_INVALID_ARGUMENT, "samc_archive_open: no place for the archive");
    *archive = NULL;
    SAMC__TRY(samc__abi_take(SAMC__IO(samc_archive_options), options, &own, error));
    SAMC__TRY(check_options(&own, error));
    samc_archive *a = calloc(1, sizeof *a);
    if (a == NULL) return samc__fail(error, SAMC_OUT_OF_MEMORY, "out of memory");
    pthread_mutex_init(&a->lock, NULL);
    a->options = own;
    a->options.inputs = a->options.globs = NULL;
    a->options.flat = NULL;
    a->options.output = strdup(own.output);
    a->options.stats = own.stats ? strdup(own.stats) : NULL;
    a->options.scale = own.scale && *own.scale ? strdup(own.scale) : NULL;
    a->stats.writer = (samc__writer){.handle = -1, .folder = -1};
    a->journal = (samc__journal){.stream.handle = -1, .last.number = -1};
    a->collector = samc__collector_none();
    samc_status status = SAMC_OK;
    if (a->options.output == NULL || (own.stats != NULL && a->options.stats == NULL) ||
        (own.scale != NULL && *own.scale != '\0' && a->options.scale == NULL))
        status = samc__fail(error, SAMC_OUT_OF_MEMORY, "out of memory");
    if (status == SAMC_OK) status = collect(a, &own, error);
    if (status == SAMC_OK) {
        a->images = a->total =
            a->inputs.units ? 0 : samc__collector_plan(&a->options, &a->inputs, &a->store, &a->journal).total;
        *archive = a;
    } else {
        samc_archive_close(a);
    }
    return status;
}

void samc_archive_close(samc_archive *a) {
    samc_error ignored; /* what is left there goes with the next run, too */
    if (a == NULL) return;
    if (a->store.begun) samc__store_clear(&a->store, &ignored);
    samc__stats_abandon(&a->stats);
    samc__collector_close(&a->collector);
    samc__journal_close(&a->journal);
    if (a->step != OPENED) samc__store_close(&a->store);
    samc__inputs_free(&a->inputs);
    free(a->globs);
    pthread_mutex_destroy(&a->lock);
    free((void *)a->options.output);
    free((void *)a->options.stats);
    free((void *)a->options.scale);
    free(a);
}

/* ---- Beginning ------------------------------------------------------------------------------- */

samc_status samc_archive_set_text(samc_archive *a, const samc_archive_text *text, samc_error *error) {
    samc_archive_text own = {0};
    if (a == NULL || a->step != OPENED)
        return samc__fail(error, SAMC_INVALID_ARGUMENT, "samc_archive_set_text: no archive that is not begun");
    SAMC__TRY(samc__abi_take(SAMC__IO(samc_archive_text), text, &own, error));
    if (own.phrases != NULL && own.labels != NULL)
        return samc__fail(error, SAMC_INVALID_ARGUMENT, "samc_archive_set_text: phrases and labels");
    a->text_options = SAMC_INIT(samc_text_options);
    SAMC__TRY(samc_default_text_options(&a->text_options));
    if (own.options != NULL)
        SAMC__TRY(samc__abi_take(SAMC__ABI(samc_text_options), own.options, &a->text_options, error));
    if (a->text_options.boxes_only &&
        (a->options.formats & ~(unsigned)(SAMC_OUTPUT_RLE | SAMC_OUTPUT_JSONL | SAMC_OUTPUT_COCO)) != 0)
        return samc__fail(error, SAMC_INVALID_ARGUMENT, "boxes alone are written as rle, jsonl or coco");
    own.options = &a->text_options;
    a->text = own;
    return SAMC_OK;
}

/* What text adds to that. Takes the reference; NULL with an error. */
static json_t *describe_text(const samc_archive *a, json_t *json, samc_error *error) {
    const samc_phrases *phrases = a->text.phrases ? a->text.phrases : a->text.labels;
    const samc_text_options *o = &a->text_options;
    if (json == NULL || phrases == NULL) return json;
    bool good = samc__describe_phrases(phrases, a->text.phrases ? "phrases" : "labels", json, error);
    if (a->text.phrases != NULL) {
        json_object_set_new(json, "threshold", json_real(o->threshold));
        json_object_set_new(json, "nms", json_real(o->nms));
        json_object_set_new(json, "top", json_integer(o->top));
        json_object_set_new(json, "boxes-only", json_boolean(o->boxes_only));
    }
    if (good) return json;
    json_decref(json);
    return NULL;
}

/* What another run must share to go on with this one: all that the results depend on. NULL with an error. */
static json_t *describe(const samc_archive *a, const samc_model *model, samc_error *error) {
    const samc_archive_options *o = &a->options;
    char formats[64];
    json_t *json = samc__describe_model(model, error);
    samc__outputs_print(o->formats, formats);
    if (json != NULL) {
        json_object_set_new(json, "format", json_string(formats));
        json_object_set_new(json, "shards", json_integer(o->shards));
        json_object_set_new(json, "lines-per-file", json_integer(o->lines_per_file));
        json_object_set_new(json, "max-pixels", json_integer(o->max_pixels));
        if (a->text.phrases == NULL) samc__auto_options_describe(&a->automatic, json);
    }
    if (json != NULL && o->scale != NULL) json_object_set_new(json, "scale", json_string(o->scale));
    if (json != NULL && o->page > 0) json_object_set_new(json, "page", json_integer(o->page));
    if (json != NULL && a->inputs.units) {
        json_t *globs = json_array();
        for (int i = 0; a->globs[i] != NULL; i++) json_array_append_new(globs, samc__text_json(a->globs[i]));
        json_object_set_new(json, "shard-by", json_string("input"));
        json_object_set_new(json, "glob", globs); /* nothing else tells which members are images */
        json_object_set_new(json, "copy-images", json_boolean(o->copy_images));
        json_object_set_new(json, "label-maps", json_boolean(o->label_maps));
    }
    return describe_text(a, json, error);
}

/* Everything is looked at before anything is changed: the run before, files of the same names, names that the folder
 * holds for the same. */
static samc_status look(samc_archive *a, const json_t *description, samc_error *error) {
    bool folds, there = samc__journal_exists(&a->store);
    if (there && !a->options.resume)
        return samc__fail(error, SAMC_MISMATCH,
                          "%s: holds a run already; go on with it by --resume, or choose another folder",
                          a->options.output);
    SAMC__TRY(there ? samc__journal_check(&a->journal, &a->store, description, &a->inputs, error)
                    : samc__journal_agree(&a->store, description, error));
    a->collector = samc__collector_plan(&a->options, &a->inputs, &a->store, &a->journal);
    a->collector.globs = a->globs;
    a->collector.phrases = a->text.phrases ? a->text.phrases : a->text.labels;
    SAMC__TRY(samc__collector_check(&a->collector, error));
    SAMC__TRY(samc__store_folds(&a->store, &folds, error));
    return folds ? samc__inputs_check_folded(&a->inputs, a->options.formats & SAMC_OUTPUT_PNG, error) : SAMC_OK;
}

static samc_status begin(samc_archive *a, const json_t *description, samc_error *error) {
    if (a->options.stats != NULL) /* a pipe waits here */
        SAMC__TRY(samc__stats_open(&a->stats, a->options.stats, error));
    SAMC__TRY(samc__store_recover(&a->store, error));
    if (!a->journal.resumed) SAMC__TRY(samc__journal_claim(&a->store, description, error));
    SAMC__TRY(a->journal.resumed ? samc__journal_resume(&a->journal, &a->store, error)
                                 : samc__journal_create(&a->journal, &a->store, &a->inputs, error));
    return samc__collector_open(&a->collector, error);
}

/* Whether nothing is asked of a model of masks. */
static bool takes_no_model(const samc_archive *a) { return a->text.phrases != NULL && a->text_options.boxes_only; }

samc_status samc_archive_begin(samc_archive *a, const samc_model *model, const samc_auto_options *automatic,
                               samc_error *error) {
    char name[128];
    samc_model_info info = SAMC_INIT(samc_model_info);
    if (a == NULL || (model == NULL && !takes_no_model(a)) || a->step != OPENED)
        return samc__fail(error, SAMC_INVALID_ARGUMENT,
                          "samc_archive_begin: no archive that is not begun, or no model");
    a->automatic = SAMC_INIT(samc_auto_options);
    SAMC__TRY(samc_default_auto_options(model, &a->automatic));
    if (automatic != NULL) SAMC__TRY(samc__abi_take(SAMC__ABI(samc_auto_options), automatic, &a->automatic, error));
    SAMC__TRY(samc_auto_check(&a->automatic, error));
    if (a->automatic.point_grids != NULL)
        return samc__fail(error, SAMC_UNSUPPORTED, "samc_archive_begin: an archive takes no point grids");
    if (model != NULL) samc_model_get_info(model, &info);
    if (info.boxes_only && a->text.phrases == NULL)
        return samc__fail(error, SAMC_UNSUPPORTED,
                          "automatic masks ask with points, and the model's recipe, %s, is for boxes alone",
                          info.recipe);
    a->gpu = info.backend == SAMC_BACKEND_CUDA;
    json_t *description = describe(a, model, error);
    if (description == NULL) return error != NULL ? error->status : SAMC_OUT_OF_MEMORY;
    samc__archive_state_name(&a->options, name);
    a->store.sync = !a->options.no_sync;
    a->step = OVER; /* where this fails */
    samc_status status = samc__store_open(&a->store, a->options.output, name, error);
    if (status == SAMC_OK) status = look(a, description, error);
    if (status == SAMC_OK) status = begin(a, description, error);
    json_decref(description);
    SAMC__TRY(status);
    a->step = BEGUN;
    a->before = samc__record_images(&a->collector.journal->last);
    if (!a->inputs.units) a->total = a->collector.end;
    atomic_store(&a->counts.done, a->before);
    atomic_store(&a->counts.failures, a->collector.last.failures);
    atomic_store(&a->counts.found, a->inputs.units ? a->before : 0);
    return SAMC_OK;
}

/* ---- Running --------------------------------------------------------------------------------- */

static void set_pipeline(samc_archive *a, samc__pipeline *pipeline) {
    pthread_mutex_lock(&a->lock);
    a->pipeline = pipeline;
    if (pipeline != NULL && a->stopped) samc__pipeline_stop(pipeline);
    pthread_mutex_unlock(&a->lock);
}

void samc_archive_stop(samc_archive *a) {
    if (a == NULL) return;
    pthread_mutex_lock(&a->lock);
    a->stopped = true;
    if (a->pipeline != NULL) samc__pipeline_stop(a->pipeline);
    pthread_mutex_unlock(&a->lock);
}

samc_status samc_archive_run(samc_archive *a, samc_session *const *sessions, int session_count,
                             const samc_archive_events *events, samc_error *error) {
    samc_archive_events own = {0};
    if (a == NULL || sessions == NULL || session_count < 1 || session_count > SAMC__MOST_THREADS)
        return samc__fail(error, SAMC_INVALID_ARGUMENT, "samc_archive_run: no archive, or not 1 to %d sessions",
                          SAMC__MOST_THREADS);
    for (int i = 0; i < session_count; i++)
        if (sessions[i] == NULL && !takes_no_model(a))
            return samc__fail(error, SAMC_INVALID_ARGUMENT, "samc_archive_run: session %d: NULL", i);
    if (a->step != BEGUN)
        return samc__fail(error, SAMC_INVALID_ARGUMENT, "samc_archive_run: the archive is not begun, or has run");
    if (events != NULL) SAMC__TRY(samc__abi_take(SAMC__IO(samc_archive_events), events, &own, error));
    choose_sizes(&a->options, a->gpu, session_count);
    const samc__run run = {&a->options, &a->automatic, &a->text, &a->collector, &a->stats,
                           sessions,    session_count, &own,     &a->counts};
    double start = samc__now();
    samc__pipeline *pipeline;
    a->step = RUNNING;
    samc_status status = samc__pipeline_create(&run, &pipeline, error);
    if (status == SAMC_OK) {
        set_pipeline(a, pipeline);
        status = samc__pipeline_run(pipeline, error);
        set_pipeline(a, NULL);
        samc__pipeline_stages(pipeline, a->stages);
        samc__pipeline_destroy(pipeline);
    }
    samc_error why;
    samc_status written = samc__stats_finish(&a->stats, &why);
    if (status == SAMC_OK && written != SAMC_OK) {
        status = written;
        if (error != NULL) *error = why;
    }
    a->seconds = samc__now() - start;
    a->step = OVER;
    int64_t done = atomic_load(&a->counts.done);
    if (status == SAMC_OK && a->collector.journal->last.number + 1 < a->collector.end)
        status =
            samc__fail(error, SAMC_STOPPED, "%s: stopped; %lld of %lld images are done and kept", a->options.output,
                       (long long)done, a->inputs.units ? atomic_load(&a->counts.found) : (long long)a->total);
    return status;
}

/* ---- Counts ---------------------------------------------------------------------------------- */

samc_status samc_archive_get_counts(const samc_archive *a, samc_archive_counts *counts, samc_error *error) {
    SAMC__TRY(samc__abi_check_size(SAMC__IO(samc_archive_counts), counts, error));
    if (a == NULL) return samc__fail(error, SAMC_INVALID_ARGUMENT, "samc_archive_get_counts: no archive");
    samc_archive *from = (samc_archive *)a; /* C11 loads from const atomics are a defect that compilers differ on */
    const samc_archive_counts own = {.inputs = a->inputs.count,
                                     .skipped = a->inputs.skipped + atomic_load(&from->counts.skipped),
                                     .images = a->inputs.units ? atomic_load(&from->counts.found) : from->images,
                                     .total = a->inputs.units ? atomic_load(&from->counts.found) : from->total,
                                     .done = atomic_load(&from->counts.done),
                                     .before = from->before,
                                     .failures = atomic_load(&from->counts.failures),
                                     .masks = atomic_load(&from->counts.masks),
                                     .seconds = from->seconds,
                                     .by_input = a->inputs.units};
    return samc__abi_give(SAMC__IO(samc_archive_counts), &own, counts, error);
}

samc_status samc_archive_get_stage(const samc_archive *a, int index, samc_archive_stage *stage, samc_error *error) {
    SAMC__TRY(samc__abi_check_size(SAMC__IO(samc_archive_stage), stage, error));
    if (a == NULL || index < 0 || index >= SAMC__STAGES || a->step != OVER || a->stages[index].name == NULL)
        return samc__fail(error, SAMC_INVALID_ARGUMENT, "there is no stage %d of a run that is over", index);
    return samc__abi_give(SAMC__IO(samc_archive_stage), &a->stages[index], stage, error);
}
