/* samc auto on scenes. */
#include "host/cli/auto_tiles.h"

#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "host/cli/progress.h"
#include "host/cli/signals.h"

/* What is told of a run while it goes on. */
typedef struct watch {
    const samc__auto_request *r;
    samc_tiles *tiles;
    samc__progress progress;
    int phase;
    samc__cli_signals signals; /* the listener's until it ends */
    pthread_t listener;
    bool listens;
    int over; /* an eventfd that ends the listener */
} watch;

static samc_tiles_counts count(const watch *w) {
    samc_tiles_counts counts = SAMC_INIT(samc_tiles_counts);
    samc_tiles_get_counts(w->tiles, &counts, NULL);
    return counts;
}

static void tick(void *context) {
    watch *w = context;
    const samc_tiles_counts c = count(w);
    const samc__progress_count now = {c.done, c.masks, c.bad};
    if (c.phase != w->phase) {
        static const char *const units[] = {"tiles", "windows", "masks written"};
        samc__progress_clear(&w->progress);
        w->progress = samc__progress_begin(w->r->cli.quiet, c.total, c.before);
        w->progress.unit = units[c.phase];
        w->phase = c.phase;
    }
    samc__progress_tick(&w->progress, now);
}

/* Waits for a signal while tiles are at work, which may take minutes each. The second one is let through to this thread
 * alone, and ends the process. */
static void *listen(void *context) {
    watch *w = context;
    struct pollfd files[2] = {{.fd = w->signals.handle, .events = POLLIN}, {.fd = w->over, .events = POLLIN}};
    while (files[1].revents == 0) {
        if (poll(files, 2, -1) < 0 || files[0].revents == 0 || !samc__cli_signals_read(&w->signals)) continue;
        files[0].fd = -1;
        samc__cli_note(&w->r->cli, "%s: stopping; what is computed is still written", strsignal(w->signals.received));
        samc_tiles_stop(w->tiles);
    }
    return NULL;
}

static void begin_listening(watch *w) {
    w->over = eventfd(0, EFD_CLOEXEC);
    w->listens = w->over >= 0 && pthread_create(&w->listener, NULL, listen, w) == 0;
    if (!w->listens) pthread_sigmask(SIG_SETMASK, &w->signals.before, NULL); /* nobody would hear them */
}

static void end_listening(watch *w) {
    const uint64_t one = 1;
    if (w->listens && write(w->over, &one, sizeof one) == sizeof one) pthread_join(w->listener, NULL);
    if (w->over >= 0) close(w->over);
}

/* One JSON object a line for each scene that is done. */
static int announce(const char *scene, const samc_tiles_counts *c) {
    return samc__cli_print_json(json_pack("{s:o, s:[I, I], s:i, s:I, s:I}", "image", samc__cli_text(scene), "size",
                                          (json_int_t)c->height, (json_int_t)c->width, "levels", c->levels, "tiles",
                                          (json_int_t)c->tiles, "masks", (json_int_t)c->kept));
}

/* What one scene has come to. Returns the exit code. */
static int conclude(const watch *w, const char *scene, samc_status status, const samc_error *error) {
    const samc_tiles_counts c = count(w);
    char message[1400];
    if (status == SAMC_STOPPED && w->signals.received != 0) {
        snprintf(message, sizeof message, "%s: stopped by signal %d; %lld of %lld are done and kept; --resume goes on",
                 scene, w->signals.received, (long long)c.done, (long long)c.total);
        samc__cli_fail(message);
        return 128 + w->signals.received;
    }
    if (status != SAMC_OK) return samc__cli_fail(error->message);
    if (c.waiting < 0) samc__cli_note(&w->r->cli, "%s: another process writes the results", scene);
    if (c.waiting > 0)
        samc__cli_note(&w->r->cli, "%s: %d shards are not through; the last one writes the results", scene, c.waiting);
    if (c.waiting == 0 && announce(scene, &c) != SAMC__EXIT_OK) return SAMC__EXIT_FAILURE;
    if (c.bad == 0) return SAMC__EXIT_OK;
    snprintf(message, sizeof message, "%lld parts of it could not be read and are left out%s%s; see errors.jsonl in %s",
             (long long)c.bad, c.first_bad[0] != '\0' ? ": " : "", c.first_bad, w->r->archive.output);
    samc__cli_fail(message);
    return SAMC__EXIT_PARTLY;
}

/* The models and the sessions of all scenes. */
typedef struct devices {
    samc_model *models[SAMC__CLI_DEVICES];
    samc_session *sessions[SAMC__CLI_DEVICES];
    int count;
    samc_auto_options automatic;
} devices;

static samc_status open_devices(const samc__auto_request *r, devices *d, samc_error *error) {
    samc_status status = samc__auto_request_open(r, d->models, &d->count, &d->automatic, error);
    for (int i = 0; i < d->count && status == SAMC_OK && d->models[i] != NULL; i++)
        status = samc_session_create(d->models[i], &d->sessions[i], error);
    return status;
}

static void close_devices(const samc__auto_request *r, devices *d) {
    for (int i = 0; i < SAMC__CLI_DEVICES; i++) {
        if (d->sessions[i] != NULL) samc__cli_note_session(&r->cli, d->sessions[i]);
        samc_session_destroy(d->sessions[i]);
        samc_model_close(d->models[i]);
    }
}

static int run_scene(watch *w, const devices *d, const char *scene) {
    const samc__auto_request *r = w->r;
    samc_error error = {0};
    samc_tiles_options options = r->tiles.options;
    options.input = scene;
    options.output = r->archive.output;
    options.formats = r->archive.formats;
    options.shard = r->archive.shard, options.shards = r->archive.shards;
    options.resume = r->archive.resume, options.no_sync = r->archive.no_sync;
    options.batch = r->archive.batch_images;
    options.scale = r->archive.scale, options.page = r->archive.page;
    options.most_pixels = r->archive.max_pixels;
    if (samc_tiles_open(&options, &w->tiles, &error) != SAMC_OK)
        return error.status == SAMC_INVALID_ARGUMENT ? samc__cli_usage(&r->cli, "%s", error.message)
                                                     : samc__cli_fail(error.message);
    const samc_tiles_events events = {.size = sizeof events, .context = w, .tick = tick};
    w->phase = -1;
    begin_listening(w);
    const samc_status status =
        samc_tiles_run(w->tiles, d->models[0], d->sessions, d->count, &d->automatic, r->text.phrases, &events, &error);
    end_listening(w);
    samc__progress_clear(&w->progress);
    const int code = conclude(w, scene, status, &error);
    samc_tiles_close(w->tiles);
    w->tiles = NULL;
    return code;
}

int samc__auto_tiles(samc__auto_request *r, char **scenes, int count) {
    devices d = {.count = 0, .automatic = SAMC_INIT(samc_auto_options)};
    watch w = {.r = r};
    samc_error error = {0};
    bool usage = false;
    int code = SAMC__EXIT_OK;
    if (r->not_of_scenes != NULL) return samc__cli_usage(&r->cli, "--%s does not go with --tile", r->not_of_scenes);
    if (count > 1)
        return samc__cli_usage(&r->cli, "with --tile there is one INPUT, not %d: a run's folder is of one scene",
                               count);
    if (r->text.labels != NULL && samc__cli_phrases_open(&r->text, &r->cli, &usage, &error) != SAMC_OK)
        return usage ? samc__cli_usage(&r->cli, "%s", error.message) : samc__cli_fail(error.message);
    samc__cli_signals_open(&w.signals);
    if (open_devices(r, &d, &error) != SAMC_OK) code = samc__cli_fail(error.message);
    else code = run_scene(&w, &d, scenes[0]);
    close_devices(r, &d);
    samc__cli_signals_close(&w.signals);
    return code;
}
