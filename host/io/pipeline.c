/* The stages of the archive run and the threads that carry them. */
#include "host/io/pipeline.h"

#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "host/io/feed.h"
#include "host/io/load.h"
#include "host/io/queue.h"
#include "host/io/results.h"
#include "host/io/shelf.h"
#include "runtime/base/status.h"

enum { TICK = 200 /* milliseconds */ };

/* Queues in the order of the stages; `idle` brings jobs back to the reader. */
enum { IDLE, READ, LOADED, COMPUTED, WRITTEN, QUEUES };

typedef struct samc__pipeline pipeline;
struct samc__pipeline {
    const samc__run *run;
    const samc_archive_options *o;
    samc_auto_options automatic; /* o's, with a folder for what is too much for the memory */
    const samc__inputs *inputs;
    samc__store *store;
    samc__collector *collector;
    samc__budget budget; /* of pictures and members in flight */
    samc__queue queues[QUEUES];
    samc__job *jobs; /* [job_count], all there are */
    int job_count;
    samc__job **pending; /* [job_count], written but not in turn yet; number % job_count */
    bool complete;       /* the committer's: there is nothing left to try again */
    double seconds[6];   /* of all images so far: load, encode, decode, post, write, commit. The committer's, until the
                            end */
    atomic_bool stopping;
    pthread_mutex_t lock; /* of `error` */
    samc_error error;     /* the first that ends the run */
    int ended;            /* eventfd: the committer is through */
};

/* One compute thread and its session. */
typedef struct worker {
    pipeline *p;
    samc_session *session;
} worker;

/* ---- Stopping -------------------------------------------------------------------------------- */

/* No new work. What is computed already is still written, unless writing is what failed. */
static void stop(pipeline *p, bool writing_too) {
    atomic_store(&p->stopping, true);
    samc__budget_close(&p->budget);
    for (int i = IDLE; i <= (writing_too ? WRITTEN : LOADED); i++) samc__queue_close(&p->queues[i]);
    for (int i = 0; i < p->run->session_count; i++) samc_session_stop(p->run->sessions[i]);
}

/* The run cannot go on. */
static void fail(pipeline *p, const samc_error *error) {
    pthread_mutex_lock(&p->lock);
    if (p->error.status == SAMC_OK) p->error = *error;
    pthread_mutex_unlock(&p->lock);
    stop(p, true);
}

/* The inputs cannot be read any more, or nothing more be computed; what is computed is still written. */
static void halt(pipeline *p, const samc_error *error) {
    pthread_mutex_lock(&p->lock);
    if (p->error.status == SAMC_OK) p->error = *error;
    pthread_mutex_unlock(&p->lock);
    stop(p, false);
}

static bool does_not_fit(const samc__job *job) { return job->error.status == SAMC_OUT_OF_MEMORY && !job->alone; }

static void drop_masks(samc__job *job) {
    if (job->masks != NULL && job->count > 0) samc_runs_release(job->masks[0].runs); /* all have the same */
    free(job->masks);
    job->masks = NULL;
}

static void empty_job(pipeline *p, samc__job *job) {
    samc__job_drop_bytes(job, &p->budget);
    drop_masks(job);
    samc__job_leave(job, &p->budget);
    samc__masks_text_free(&job->text);
    free(job->names);
    *job = (samc__job){.unit = -1, .member = -1};
}

/* ---- Reader ---------------------------------------------------------------------------------- */

/* Whether the input that this run has next, passing over what cannot be read, is a link to the same member. */
static bool is_wanted_again(const pipeline *p, const samc__job *job) {
    const samc__input *input = &p->inputs->items[job->input], *next;
    for (int64_t number = job->number + 1, place; number < p->collector->end; number++) {
        samc__collector_image(p->collector, number, &place);
        next = &p->inputs->items[place];
        if (next->tar != input->tar || next->member != input->member) return false;
        if (next->reason == 0) return true;
    }
    return false;
}

/* Goes to its member of an archive. False: the run is given up. */
static bool read_member(pipeline *p, samc__shelf *shelf, samc__job *job) {
    const samc__input *input = &p->inputs->items[job->input];
    samc_status status = samc__shelf_read(shelf, p->inputs, input, !job->alone && is_wanted_again(p, job), &job->bytes,
                                          &job->size, &job->code, &job->error);
    if (samc__load_is_outage(p->inputs, job)) {
        halt(p, &job->error);
        return false;
    }
    if (job->alone) return true; /* nobody else could make room: they wait for it */
    job->counted = status == SAMC_OK && samc__budget_take(&p->budget, SAMC__MEMBERS, (int64_t)job->size);
    return status != SAMC_OK || job->counted;
}

/* The images of a list. */
static void read_list(pipeline *p) {
    samc__shelf shelf = {.archive = -1};
    for (int64_t number = p->collector->last.number + 1; number < p->collector->end; number++) {
        samc__job *job = samc__queue_pop(&p->queues[IDLE]);
        if (job == NULL) break;
        job->number = number;
        job->image = samc__collector_image(p->collector, number, &job->input);
        job->key = samc__input_key(p->inputs, job->input);
        job->source = samc__input_source(p->inputs, job->input);
        const char *reason = samc__input_reason(p->inputs, job->input);
        double start = samc__now();
        if (reason != NULL) samc__fail(&job->error, SAMC_IO, "%s", reason);
        else if (p->inputs->items[job->input].tar >= 0 && !read_member(p, &shelf, job)) break;
        job->load_seconds = samc__now() - start;
        if (!samc__queue_push(&p->queues[READ], job)) break;
    }
    samc__shelf_close(&shelf);
}

/* Archives as they come. */
static void read_units(pipeline *p) {
    samc__progress_counts *counts = p->run->counts;
    samc__feed feed = samc__feed_begin(p->collector, &p->stopping, &counts->found, &counts->skipped);
    for (int64_t number = p->collector->last.number + 1;; number++) {
        samc__job *job = samc__queue_pop(&p->queues[IDLE]);
        if (job == NULL) break;
        double start = samc__now();
        job->number = number;
        if (!samc__feed_next(&feed, job)) {
            samc__queue_push(&p->queues[IDLE], job);
            break;
        }
        if (atomic_load(&p->stopping)) break; /* what a read that was given up says is nobody's failure */
        if (samc__load_is_outage(p->inputs, job)) {
            halt(p, &job->error);
            break;
        }
        job->counted = job->bytes != NULL && samc__budget_take(&p->budget, SAMC__MEMBERS, (int64_t)job->size);
        if (job->bytes != NULL && !job->counted) break;
        job->load_seconds = samc__now() - start;
        if (!samc__queue_push(&p->queues[READ], job)) break;
    }
    samc__feed_close(&feed);
}

static void *read_main(void *argument) {
    pipeline *p = argument;
    if (p->collector->units < 0) read_list(p);
    else read_units(p);
    samc__queue_finish(&p->queues[READ]);
    return NULL;
}

/* ---- Load ------------------------------------------------------------------------------------ */

/* Reads and decodes; what is wrong with the image itself is in job->error. False: the run is given up. */
static bool load(pipeline *p, samc__job *job) {
    if (job->error.status != SAMC_OK || job->ends) return true;
    if (samc__load(p->o, p->inputs, &p->budget, job) == SAMC_STOPPED) return false;
    if (!samc__load_is_outage(p->inputs, job)) return true;
    halt(p, &job->error);
    return false;
}

static void *load_main(void *argument) {
    pipeline *p = argument;
    for (samc__job *job; (job = samc__queue_pop(&p->queues[READ])) != NULL;) {
        double start = samc__now();
        job->fill[0] = samc__queue_count(&p->queues[READ]);
        bool loaded = load(p, job);
        job->load_seconds += samc__now() - start;
        if (!loaded) break;
        if (!samc__queue_push(&p->queues[job->error.status == SAMC_OK && !job->ends ? LOADED : WRITTEN], job)) break;
    }
    samc__queue_finish(&p->queues[LOADED]);
    samc__queue_finish(&p->queues[WRITTEN]);
    return NULL;
}

/* ---- Compute --------------------------------------------------------------------------------- */

typedef struct batch {
    pipeline *p;
    samc__job **jobs;
    int delivered;
    samc_error error; /* of the callback */
} batch;

static samc_status add_labels(batch *b, const samc__picture *picture, samc_mask *masks, int count) {
    const samc_image image = {sizeof image, picture->pixels, picture->width, picture->height,
                              (ptrdiff_t)picture->width * 3};
    const samc_phrases *labels = b->p->run->text->labels;
    return labels ? samc_label_masks(labels, &image, masks, count, &b->error) : SAMC_OK;
}

/* Takes the masks of one image over and sends it on. */
static samc_status receive(void *context, int index, const samc_mask *masks, int count, const samc_auto_stats *stats) {
    batch *b = context;
    samc__job *job = b->jobs[index];
    samc_mask *copy = malloc(((size_t)count + 1) * sizeof *copy);
    if (copy == NULL)
        return samc__fail(&b->error, SAMC_OUT_OF_MEMORY, "%s: out of memory for its %d masks", job->source, count);
    for (int i = 0; i < count; i++) copy[i] = *samc_mask_at(masks, i), copy[i].size = sizeof *copy;
    samc_status status = add_labels(b, &job->picture, copy, count);
    if (status != SAMC_OK) {
        free(copy);
        return status;
    }
    if (count > 0) samc_runs_keep(masks[0].runs);
    job->masks = copy;
    job->count = count;
    job->stats = *stats;
    if (!(b->p->o->formats & SAMC_OUTPUT_OVERLAY))
        samc__job_drop_pixels(job, &b->p->budget); /* nobody needs them any more */
    b->delivered++;
    return samc__queue_push(&b->p->queues[COMPUTED], job) ? SAMC_OK : SAMC_STOPPED;
}

/* Whether a failure of automatic masks is that of the image: what the device, the disk, the model or the program itself
 * fails with ends the run. */
static bool is_of_the_image(samc_status status) {
    return status != SAMC_IO && status != SAMC_NO_DEVICE && status != SAMC_INTERNAL && status != SAMC_DIVERGED;
}

/* Batches end where an image fails; the rest is tried one by one, so that the failure is known to be that image's own.
 */
static void compute_batch(worker *w, samc__job **jobs, int n) {
    pipeline *p = w->p;
    samc_image images[SAMC__MOST_BATCH];
    for (int i = 0; i < n; i++) {
        const samc__picture *picture = &jobs[i]->picture;
        images[i] = (samc_image){sizeof(samc_image), picture->pixels, picture->width, picture->height,
                                 (ptrdiff_t)picture->width * 3};
        jobs[i]->fill[1] = samc__queue_count(&p->queues[LOADED]);
    }
    bool alone = false;
    for (int begin = 0; begin < n && !atomic_load(&p->stopping);) {
        int count = alone ? 1 : n - begin;
        batch b = {.p = p, .jobs = jobs + begin};
        const samc_archive_text *text = p->run->text;
        samc_error why = {0};
        samc_status status = text->phrases ? samc_text(w->session, text->phrases, images + begin, count, text->options,
                                                       receive, &b, &why)
                                           : samc_auto(w->session, images + begin, count, &p->automatic, receive, &b);
        begin += b.delivered;
        if (status == SAMC_OK) continue;
        if (status == SAMC_STOPPED) continue; /* which this run is, or what the session was told before it */
        if (count > 1) {
            alone = true;
            continue;
        }
        samc__job *job = jobs[begin++];
        job->error = b.error;
        if (job->error.status == SAMC_OK && text->phrases != NULL)
            samc__fail(&job->error, status, "%s: %s", job->source, why.message);
        if (job->error.status == SAMC_OK) samc_session_check(w->session, status, job->source, &job->error);
        if (!is_of_the_image(status)) halt(p, &job->error);
        else if (!samc__queue_push(&p->queues[COMPUTED], job)) return;
    }
}

/* An image that is tried again: what the session keeps could be what was missing. False: there is nothing to compute.
 */
static bool load_alone(worker *w, samc__job *job) {
    pipeline *p = w->p;
    samc__shelf shelf = {.archive = -1};
    double start = samc__now();
    samc_session_trim(w->session);
    bool there = job->bytes != NULL || p->inputs->items[job->input].tar < 0;
    bool going = (there || read_member(p, &shelf, job)) && load(p, job);
    samc__shelf_close(&shelf);
    job->load_seconds = samc__now() - start;
    if (going && job->error.status != SAMC_OK) samc__queue_push(&p->queues[COMPUTED], job);
    return going && job->error.status == SAMC_OK;
}

static void *compute_main(void *argument) {
    worker *w = argument;
    samc__job *jobs[SAMC__MOST_BATCH];
    for (int n; (n = samc__queue_pop_some(&w->p->queues[LOADED], (void **)jobs, w->p->o->batch_images)) > 0;)
        if (!jobs[0]->alone || load_alone(w, jobs[0])) compute_batch(w, jobs, n);
    samc__queue_finish(&w->p->queues[COMPUTED]);
    return NULL;
}

/* ---- Write ----------------------------------------------------------------------------------- */

static void *write_main(void *argument) {
    pipeline *p = argument;
    for (samc__job *job; (job = samc__queue_pop(&p->queues[COMPUTED])) != NULL;) {
        samc_error error;
        double start = samc__now();
        job->fill[2] = samc__queue_count(&p->queues[COMPUTED]);
        samc_status status = job->error.status == SAMC_OK ? samc__results_write(p->o, p->store, job, &error) : SAMC_OK;
        if (status != SAMC_OK) samc__results_discard(p->store, job);
        if (status == SAMC_UNSUPPORTED) job->error = error, status = SAMC_OK; /* a sample that no tar has */
        if (status == SAMC_OUT_OF_MEMORY) job->error = error;                 /* this image's own; others may fit */
        else if (status != SAMC_OK) fail(p, &error);
        drop_masks(job);
        if (!does_not_fit(job)) samc__job_drop_bytes(job, &p->budget);
        samc__job_leave(job, &p->budget);
        job->write_seconds = samc__now() - start;
        if (!samc__queue_push(&p->queues[WRITTEN], job)) break;
    }
    samc__queue_finish(&p->queues[WRITTEN]);
    return NULL;
}

/* ---- Commit ---------------------------------------------------------------------------------- */

/* Tells of an image that is done. */
static samc_status announce(pipeline *p, const samc__job *job, samc_error *error) {
    const samc_archive_events *events = p->run->events;
    samc__progress_counts *counts = p->run->counts;
    bool failed = job->error.status != SAMC_OK, again = samc__job_is_again(job);
    if (job->ends && !failed) return SAMC_OK;
    atomic_fetch_add(&counts->failures, again ? failed - 1 : failed);
    atomic_fetch_add(&counts->masks, failed ? 0 : job->count);
    atomic_fetch_add(&counts->done, 1);
    const double seconds[] = {job->load_seconds,       job->stats.encode_seconds, job->stats.decode_seconds,
                              job->stats.post_seconds, job->write_seconds,        job->commit_seconds};
    for (size_t i = 0; i < sizeof seconds / sizeof *seconds; i++) p->seconds[i] += seconds[i];
    if (events->image != NULL) {
        const samc_archive_image image = {.size = sizeof image,
                                          .source = job->source,
                                          .name = job->key,
                                          .error = failed ? job->error.message : NULL,
                                          .width = job->picture.width,
                                          .height = job->picture.height,
                                          .masks = failed ? 0 : job->count};
        samc__fail(error, SAMC_STOPPED, "%s: the program ended the run", job->source); /* unless it says why */
        SAMC__TRY(events->image(events->context, &image, error));
    }
    return failed ? SAMC_OK : samc__stats_add(p->run->stats, job, error);
}

/* Commits the images that are in turn, up to one that is to be tried again, and tells of those that are safe, also
 * where a later one of them failed to be written. */
static samc_status commit_ready(pipeline *p, samc_error *error) {
    int64_t first = p->collector->last.number + 1, next = first;
    double start = samc__now();
    samc_status status = SAMC_OK;
    for (samc__job *job; status == SAMC_OK && (job = p->pending[next % p->job_count]) != NULL && job->number == next &&
                         !does_not_fit(job);
         next++)
        status = samc__collector_mark(p->collector, job, error);
    if (status == SAMC_OK) status = samc__collector_marked(p->collector, error);
    for (int64_t number = first; status == SAMC_OK && number < next; number++)
        status = samc__collector_add(p->collector, p->pending[number % p->job_count], error);
    if (status == SAMC_OK) status = samc__collector_commit(p->collector, error);
    for (int64_t number = first; number <= p->collector->journal->last.number; number++) {
        samc__job **place = &p->pending[number % p->job_count], *job = *place;
        samc_error why;
        *place = NULL;
        job->commit_seconds = (samc__now() - start) / (double)(next - first);
        samc_status told = announce(p, job, &why);
        if (told != SAMC_OK && status == SAMC_OK) status = told, *error = why;
        if (job->alone) samc__budget_release(&p->budget);
        empty_job(p, job);
        samc__queue_push(&p->queues[IDLE], job);
    }
    return status;
}

/* The next image did not fit in memory while others were there: when they have left it goes through the stages again,
 * from its file on, which the compute thread reads, so that nothing else happens meanwhile. */
static void try_alone(pipeline *p) {
    samc__job **place = &p->pending[(p->collector->last.number + 1) % p->job_count], *job = *place;
    if (job == NULL || job->number != p->collector->last.number + 1 || !does_not_fit(job) ||
        !samc__budget_reserve(&p->budget))
        return;
    samc__job again = {.number = job->number,
                       .image = job->image,
                       .input = job->input,
                       .key = job->key,
                       .source = job->source,
                       .names = job->names,
                       .member_name = job->member_name,
                       .unit = job->unit,
                       .member = job->member,
                       .last = job->last,
                       .bytes = job->bytes,
                       .size = job->size,
                       .counted = job->counted,
                       .alone = true};
    job->names = NULL;
    job->bytes = NULL;
    job->counted = false;
    empty_job(p, job);
    *job = again;
    *place = NULL;
    samc__queue_push(&p->queues[LOADED], job);
}

/* Nothing will be tried again: the committer brings no more images to be computed. */
static void finish_if_complete(pipeline *p) {
    if (p->complete || p->collector->last.number + 1 < p->collector->end) return;
    p->complete = true;
    samc__queue_finish(&p->queues[LOADED]);
}

static void *commit_main(void *argument) {
    pipeline *p = argument;
    samc_error error = {0};
    samc_status status = SAMC_OK;
    samc__job **arrived = calloc((size_t)p->job_count, sizeof *arrived);
    if (arrived == NULL) status = samc__fail(&error, SAMC_OUT_OF_MEMORY, "out of memory");
    finish_if_complete(p);
    for (int n;
         status == SAMC_OK && (n = samc__queue_pop_some(&p->queues[WRITTEN], (void **)arrived, p->job_count)) > 0;) {
        for (int i = 0; i < n; i++) {
            arrived[i]->fill[3] = n;
            p->pending[arrived[i]->number % p->job_count] = arrived[i];
        }
        status = commit_ready(p, &error);
        if (status == SAMC_OK) try_alone(p);
        finish_if_complete(p);
    }
    if (status == SAMC_OK && p->collector->last.number + 1 == p->collector->end)
        status = samc__collector_finish(p->collector, &error);
    if (status != SAMC_OK) fail(p, &error);
    free(arrived);
    uint64_t one = 1;
    if (write(p->ended, &one, sizeof one) < 0) return NULL; /* an eventfd takes it */
    return NULL;
}

/* ---- The run --------------------------------------------------------------------------------- */

double samc__now(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

void samc__pipeline_stop(pipeline *p) { stop(p, false); }

/* Ticks until the committer is through. */
static void watch(pipeline *p) {
    const samc_archive_events *events = p->run->events;
    struct pollfd files[] = {{.fd = p->ended, .events = POLLIN},
                             {.fd = events->wake > 0 ? events->wake : -1, .events = POLLIN}};
    for (;;) {
        poll(files, 2, events->tick != NULL ? TICK : -1);
        if (files[0].revents) return;
        if (events->tick != NULL) events->tick(events->context);
        if (files[1].revents & ~POLLIN) files[1].fd = -1; /* closed: it would be ready for ever */
    }
}

typedef struct crew {
    pthread_t threads[2 + 3 * SAMC__MOST_THREADS];
    worker workers[SAMC__MOST_THREADS];
    int count;
} crew;

static bool start(pipeline *p, crew *crew, void *(*body)(void *), void *argument) {
    samc_error error;
    int code = pthread_create(&crew->threads[crew->count], NULL, body, argument);
    if (code == 0) {
        crew->count++;
        return true;
    }
    samc__fail(&error, SAMC_OUT_OF_MEMORY, "cannot start a thread: %s", strerror(code));
    fail(p, &error);
    return false;
}

samc_status samc__pipeline_run(pipeline *p, samc_error *error) {
    crew *crew = calloc(1, sizeof *crew);
    bool good = crew != NULL && start(p, crew, read_main, p);
    for (int i = 0; i < p->o->load_threads && good; i++) good = start(p, crew, load_main, p);
    for (int i = 0; i < p->run->session_count && good; i++) {
        crew->workers[i] = (worker){p, p->run->sessions[i]};
        good = start(p, crew, compute_main, &crew->workers[i]);
    }
    for (int i = 0; i < p->o->write_threads && good; i++) good = start(p, crew, write_main, p);
    good = good && start(p, crew, commit_main, p); /* the last: it is what is waited for */
    if (good) watch(p);
    else stop(p, true);
    for (int i = 0; crew != NULL && i < crew->count; i++) pthread_join(crew->threads[i], NULL);
    if (crew == NULL) samc__fail(&p->error, SAMC_OUT_OF_MEMORY, "out of memory");
    free(crew);
    if (p->error.status != SAMC_OK && error != NULL) *error = p->error;
    return p->error.status;
}

void samc__pipeline_stages(pipeline *p, samc_archive_stage stages[SAMC__STAGES]) {
    const double *s = p->seconds;
    const struct {
        const char *name;
        double seconds;
        int threads, queue; /* -1: a part of compute */
    } rows[SAMC__STAGES] = {
        {"load", s[0], p->o->load_threads, READ},       {"compute", s[1] + s[2] + s[3], p->run->session_count, LOADED},
        {"write", s[4], p->o->write_threads, COMPUTED}, {"commit", s[5], 1, WRITTEN},
        {"encode", s[1], p->run->session_count, -1},    {"decode", s[2], p->run->session_count, -1},
        {"post", s[3], p->run->session_count, -1}};
    for (int i = 0; i < SAMC__STAGES; i++) {
        samc__queue *queue = rows[i].queue < 0 ? NULL : &p->queues[rows[i].queue];
        stages[i] = (samc_archive_stage){.size = sizeof stages[i],
                                         .name = rows[i].name,
                                         .threads = rows[i].threads,
                                         .seconds = rows[i].seconds,
                                         .waiting = queue ? samc__queue_mean_fill(queue) : 0.0,
                                         .room = queue ? queue->room : 0};
    }
}

static samc_status create(pipeline *p, samc_error *error) {
    const samc_archive_options *o = p->o;
    const int rooms[QUEUES] = {[IDLE] = p->job_count,
                               [READ] = o->queue,
                               [LOADED] = o->queue + o->batch_images,
                               [COMPUTED] = o->queue,
                               [WRITTEN] = p->job_count};
    const int producers[QUEUES] = {[IDLE] = 1,
                                   [READ] = 1,
                                   [LOADED] = o->load_threads + 1,
                                   [COMPUTED] = p->run->session_count,
                                   [WRITTEN] = o->load_threads + o->write_threads};
    bool good = true;
    samc__budget_create(&p->budget, o->memory);
    p->jobs = calloc((size_t)p->job_count, sizeof *p->jobs);
    p->pending = calloc((size_t)p->job_count, sizeof *p->pending);
    for (int i = 0; i < QUEUES; i++) good = samc__queue_create(&p->queues[i], rooms[i], producers[i]) && good;
    p->ended = eventfd(0, EFD_CLOEXEC);
    if (!good || p->jobs == NULL || p->pending == NULL || p->ended < 0)
        return samc__fail(error, SAMC_OUT_OF_MEMORY, "out of memory for %d images at a time", p->job_count);
    for (int i = 0; i < p->job_count; i++) {
        p->jobs[i].unit = p->jobs[i].member = -1;
        samc__queue_push(&p->queues[IDLE], &p->jobs[i]);
    }
    return SAMC_OK;
}

void samc__pipeline_destroy(pipeline *p) {
    for (int i = 0; p->jobs != NULL && i < p->job_count; i++) empty_job(p, &p->jobs[i]);
    for (int i = 0; i < QUEUES; i++) samc__queue_destroy(&p->queues[i]);
    if (p->ended >= 0) close(p->ended);
    samc__budget_destroy(&p->budget);
    pthread_mutex_destroy(&p->lock);
    free(p->jobs);
    free(p->pending);
    free(p);
}

samc_status samc__pipeline_create(const samc__run *run, pipeline **pipeline, samc_error *error) {
    const samc_archive_options *o = run->options;
    struct samc__pipeline *p = calloc(1, sizeof *p);
    *pipeline = NULL;
    if (p == NULL) return samc__fail(error, SAMC_OUT_OF_MEMORY, "out of memory");
    p->run = run;
    p->o = o;
    p->automatic = *run->automatic;
    p->inputs = run->collector->inputs;
    p->store = run->collector->store;
    p->collector = run->collector;
    p->automatic.temporary_folder = p->store->spill;
    p->job_count = o->load_threads + o->write_threads + run->session_count * o->batch_images + 4 * o->queue;
    pthread_mutex_init(&p->lock, NULL);
    samc_status status = create(p, error);
    if (status == SAMC_OK) *pipeline = p;
    else samc__pipeline_destroy(p);
    return status;
}
