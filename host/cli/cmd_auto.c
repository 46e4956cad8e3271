/* samc auto: every mask of images and archives of them, as SamAutomaticMaskGenerator and scripts/amg.py make them. */
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "host/cli/auto_tiles.h"
#include "host/cli/progress.h"
#include "host/cli/signals.h"
#include "host/cli/volume_auto.h"

/* ---- The run --------------------------------------------------------------------------------- */

/* What is told of a run while it goes on. */
typedef struct watch {
    const samc__auto_request *r;
    samc_archive *archive;
    samc__progress progress;
    bool erase; /* both outputs are terminals: a line takes the place of the progress */
    samc__cli_signals signals;
    bool ran; /* images may have been done */
} watch;

static samc__progress_count count(const watch *w, samc_archive_counts *counts) {
    *counts = SAMC_INIT(samc_archive_counts);
    samc_archive_get_counts(w->archive, counts, NULL);
    return (samc__progress_count){counts->done, counts->masks, counts->failures};
}

static void tick(void *context) {
    watch *w = context;
    samc_archive_counts counts;
    samc__progress_tick(&w->progress, count(w, &counts));
    if (!samc__cli_signals_read(&w->signals)) return;
    samc__progress_clear(&w->progress);
    samc__cli_note(&w->r->cli, "%s: stopping; what is computed is still written", strsignal(w->signals.received));
    samc_archive_stop(w->archive);
}

/* One JSON object a line for each image that is done. */
static samc_status announce(void *context, const samc_archive_image *image, samc_error *error) {
    const watch *w = context;
    if (image->error != NULL) return SAMC_OK;
    json_t *line = json_pack("{s:o, s:[i, i], s:i}", "image", samc__cli_text(image->source), "size", image->height,
                             image->width, "masks", image->masks);
    if (w->erase) fputs("\r\033[K", stdout);
    int printed = line ? json_dumpf(line, stdout, JSON_REAL_PRECISION(9)) : -1;
    json_decref(line);
    if (printed == 0 && fputc('\n', stdout) != EOF && fflush(stdout) == 0) return SAMC_OK;
    return samc__cli_error(error, SAMC_IO, "cannot write to standard output");
}

/* The sessions, one for each device, and the run. */
static samc_status run_sessions(watch *w, samc_model *const *models, int model_count, samc_error *error) {
    const samc__auto_request *r = w->r;
    samc_session *sessions[SAMC__CLI_DEVICES] = {NULL};
    samc_status status = SAMC_OK;
    samc_archive_counts counts;
    samc__cli_signals_open(&w->signals);
    const samc_archive_events events = {
        .size = sizeof events, .context = w, .image = announce, .tick = tick, .wake = w->signals.handle};
    for (int i = 0; i < model_count && status == SAMC_OK && models[i] != NULL; i++)
        status = samc_session_create(models[i], &sessions[i], error);
    if (status == SAMC_OK) {
        count(w, &counts);
        w->progress = samc__progress_begin(r->cli.quiet, counts.by_input ? -1 : counts.total, counts.before);
        w->erase = !r->cli.quiet && isatty(STDOUT_FILENO) && isatty(STDERR_FILENO);
        w->ran = true;
        status = samc_archive_run(w->archive, sessions, model_count, &events, error);
        samc__progress_clear(&w->progress);
        samc__progress_count end = count(w, &counts);
        if (r->archive.stats != NULL && !r->cli.quiet) samc__progress_stages(w->archive, counts.seconds);
        samc__progress_end(&w->progress, end);
    }
    for (int i = 0; i < model_count; i++) {
        samc__cli_note_session(&r->cli, sessions[i]);
        samc_session_destroy(sessions[i]);
    }
    samc__cli_signals_close(&w->signals);
    return status;
}

static samc_status run(watch *w, samc_error *error) {
    const samc__auto_request *r = w->r;
    samc_model *models[SAMC__CLI_DEVICES] = {NULL};
    int model_count;
    samc_auto_options automatic = SAMC_INIT(samc_auto_options);
    samc_archive_counts counts;
    samc_status status = samc__auto_request_open(r, models, &model_count, &automatic, error);
    if (status == SAMC_OK) status = samc_archive_begin(w->archive, models[0], &automatic, error);
    if (status == SAMC_OK) {
        count(w, &counts);
        if (counts.before > 0) samc__cli_note(&r->cli, "going on after %lld images", (long long)counts.before);
        status = run_sessions(w, models, model_count, error);
    }
    for (int i = 0; i < SAMC__CLI_DEVICES; i++) samc_model_close(models[i]);
    return status;
}

/* Phrases or labels, before anything that takes long. Returns the exit code. */
static int open_text(samc__auto_request *r, samc_archive *archive) {
    bool usage;
    samc_error error;
    if (!r->looks && r->text.labels == NULL) return SAMC__EXIT_OK;
    samc_status status = samc__cli_phrases_open(&r->text, &r->cli, &usage, &error);
    if (status == SAMC_OK) {
        const samc_archive_text text = {.size = sizeof text,
                                        .phrases = r->looks ? r->text.phrases : NULL,
                                        .options = &r->text.options,
                                        .labels = r->looks ? NULL : r->text.phrases};
        status = samc_archive_set_text(archive, &text, &error);
        usage = status == SAMC_INVALID_ARGUMENT;
    }
    if (status == SAMC_OK) return SAMC__EXIT_OK;
    return usage ? samc__cli_usage(&r->cli, "%s", error.message) : samc__cli_fail(error.message);
}

/* What is freed goes back to the system. glibc would keep up to 32 MB of it for each thread, so that --memory would
 * bound what is in use and not what the process holds. */
static void keep_no_pictures(void) {
#ifdef M_MMAP_THRESHOLD
    mallopt(M_MMAP_THRESHOLD, 1 << 20);
    mallopt(M_TRIM_THRESHOLD, 16 << 20); /* else 128 KB from then on: small images would come back as page faults */
#endif
}

/* What the run has come to, as a message and an exit code. */
static int conclude(const watch *w, samc_status status, const samc_error *error) {
    samc_archive_counts counts;
    char message[1400];
    count(w, &counts);
    long long total = (long long)counts.images;
    long long done = counts.done < counts.images ? (long long)counts.done : total;
    if (status == SAMC_STOPPED && w->signals.received != 0) {
        snprintf(message, sizeof message,
                 "stopped by signal %d; %lld of %lld images are done and kept; --resume goes on", w->signals.received,
                 done, total);
        samc__cli_fail(message);
        return 128 + w->signals.received;
    }
    if (status != SAMC_OK && counts.done > 0 && w->ran) {
        snprintf(message, sizeof message, "%s (%lld of %lld images are done and kept; --resume goes on)",
                 error->message, done, total);
        return samc__cli_fail(message);
    }
    if (status != SAMC_OK) return samc__cli_fail(error->message);
    if (counts.failures == 0) return SAMC__EXIT_OK;
    snprintf(message, sizeof message, "%lld of %lld images failed; the reasons are in errors.jsonl in %s",
             (long long)counts.failures, total, w->r->archive.output);
    samc__cli_fail(message);
    return SAMC__EXIT_PARTLY;
}

/* Collects the inputs and runs. Returns the exit code. */
static int run_inputs(samc__auto_request *r, char **arguments, int argument_count) {
    samc_archive_counts counts;
    samc_error error = {0};
    watch w = {.r = r};
    int code;
    keep_no_pictures();
    r->archive.inputs = (const char *const *)arguments;
    r->archive.input_count = argument_count;
    r->archive.flat = r->input;
    if (r->archive.formats == 0 && (r->convert_to_rle || r->input != NULL))
        r->archive.formats = r->convert_to_rle ? SAMC_OUTPUT_RLE : SAMC_OUTPUT_PNG;
    if (samc_archive_open(&r->archive, &w.archive, &error) != SAMC_OK)
        return error.status == SAMC_INVALID_ARGUMENT ? samc__cli_usage(&r->cli, "%s", error.message)
                                                     : samc__cli_fail(error.message);
    count(&w, &counts);
    if (counts.inputs == 0) {
        code = samc__cli_fail("the inputs hold no image");
    } else if ((code = open_text(r, w.archive)) == SAMC__EXIT_OK) {
        if (counts.skipped > 0) samc__cli_note(&r->cli, "%lld other files passed over", (long long)counts.skipped);
        samc_status status = run(&w, &error);
        code = conclude(&w, status, &error);
    }
    samc_archive_close(w.archive);
    return code;
}

/* What the command line asks for. Returns the exit code. */
static int command(samc__auto_request *r, int argc, char **argv) {
    int inputs, code;
    if (!samc__auto_request_read(r, argc, argv, &inputs, &code)) return code;
    if (r->looks && !r->many && inputs == 1 && samc__text_is_one(argv[optind], r->archive.formats))
        return samc__text_of_one(&r->cli, &r->text, argv[optind], r->archive.output, r->archive.formats);
    if ((code = samc__auto_request_check(r)) != SAMC__EXIT_OK) return code;
    if (r->tiles.asked) return samc__auto_tiles(r, argv + optind, inputs);
    if (!r->looks && samc__cli_volume_wanted(&r->volume, argv + optind, inputs))
        return samc__volume_auto(r, argv + optind, inputs);
    return run_inputs(r, argv + optind, inputs);
}

int samc__cmd_auto(int argc, char **argv) {
    samc__auto_request r = {.cli = samc__cli_begin("auto", samc__auto_help),
                            .text = samc__cli_phrases_begin(),
                            .tiles = samc__cli_tiles_begin(),
                            .volume = samc__cli_volume_begin()};
    int code = command(&r, argc, argv);
    samc__cli_phrases_end(&r.text);
    return code;
}

int samc__text_command(const char *text_help, int argc, char **argv) {
    samc__auto_request r = {.cli = samc__cli_begin("text", text_help),
                            .text = samc__cli_phrases_begin(),
                            .tiles = samc__cli_tiles_begin(),
                            .volume = samc__cli_volume_begin(),
                            .looks = true};
    int code = command(&r, argc, argv);
    samc__cli_phrases_end(&r.text);
    return code;
}
