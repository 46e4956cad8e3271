/* Masks of frames: a slot for the newest one, or a short queue where every frame counts, between who brings them and
 * who computes. Pixels are copied once, into buffers that go round. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "host/io/abi.h"
#include "runtime/base/status.h"

enum { MOST_ROOM = 1024, LATENCIES = 65536, BATCH = 64 /* prompts at a time, which bounds the memory for logits */ };

typedef struct frame {
    uint8_t *pixels; /* [height, width, 3]; owned */
    size_t room;
    int width, height;
    int64_t number;
    double pushed;
} frame;

struct samc_stream {
    samc_session *session;
    samc_stream_options options;
    samc_auto_options automatic; /* the caller's, where options.automatic points here */
    pthread_mutex_t lock;
    pthread_cond_t filled, drained;
    frame *waiting; /* [room], a ring; owned */
    int room, first, count;
    frame spare, current; /* the pusher's, and the one that is computed */
    bool finished, stopped, computing;
    samc_mask *masks; /* [mask_count] of `current`; each holds its run lengths */
    int mask_count, mask_room;
    samc_image image;
    samc_stream_counts counts;
    double began, ended; /* the first push, the last result */
    double *latencies;   /* [LATENCIES], a ring by counts.done; owned */
};

static double seconds(samc_stream *s) {
    struct timespec now;
    if (s->options.clock != NULL) return s->options.clock(s->options.clock_context);
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

samc_status samc_stream_create(samc_session *session, const samc_stream_options *options, samc_stream **stream,
                               samc_error *error) {
    samc_stream_options own = {0};
    if (session == NULL || stream == NULL)
        return samc__fail(error, SAMC_INVALID_ARGUMENT, "samc_stream_create: no session, or no place for the stream");
    *stream = NULL;
    if (options != NULL) SAMC__TRY(samc__abi_take(SAMC__IO(samc_stream_options), options, &own, error));
    if (own.room < 0 || own.room > MOST_ROOM)
        return samc__fail(error, SAMC_INVALID_ARGUMENT, "samc_stream_options.room is %d, not from 0 to %d", own.room,
                          MOST_ROOM);
    if (own.prompts != NULL && samc_prompts_count(own.prompts) == 0)
        return samc__fail(error, SAMC_INVALID_ARGUMENT, "samc_stream_options.prompts: there is none");
    if (own.automatic != NULL) SAMC__TRY(samc_auto_check(own.automatic, error));
    samc_stream *s = calloc(1, sizeof *s);
    if (s == NULL) return samc__fail(error, SAMC_OUT_OF_MEMORY, "no memory for a stream");
    s->session = session;
    s->options = own;
    s->room = !own.every ? 1 : own.room == 0 ? 2 : own.room;
    s->waiting = calloc((size_t)s->room, sizeof *s->waiting);
    s->latencies = malloc(LATENCIES * sizeof *s->latencies);
    s->counts.size = sizeof s->counts;
    s->image.size = sizeof s->image;
    pthread_mutex_init(&s->lock, NULL);
    pthread_cond_init(&s->filled, NULL);
    pthread_cond_init(&s->drained, NULL);
    if (own.automatic != NULL) {
        samc__abi_take(SAMC__ABI(samc_auto_options), own.automatic, &s->automatic, NULL);
        s->options.automatic = &s->automatic;
    }
    if (s->waiting != NULL && s->latencies != NULL) {
        *stream = s;
        return SAMC_OK;
    }
    samc_stream_destroy(s);
    return samc__fail(error, SAMC_OUT_OF_MEMORY, "no memory for a stream");
}

static void release_masks(samc_stream *s) {
    for (int i = 0; i < s->mask_count; i++) samc_runs_release(s->masks[i].runs);
    s->mask_count = 0;
}

void samc_stream_destroy(samc_stream *s) {
    if (s == NULL) return;
    release_masks(s);
    for (int i = 0; i < s->room && s->waiting != NULL; i++) free(s->waiting[i].pixels);
    free(s->waiting);
    free(s->spare.pixels);
    free(s->current.pixels);
    free(s->masks);
    free(s->latencies);
    pthread_cond_destroy(&s->filled);
    pthread_cond_destroy(&s->drained);
    pthread_mutex_destroy(&s->lock);
    free(s);
}

/* ---- In -------------------------------------------------------------------------------------- */

static samc_status copy(frame *to, const samc_image *image, samc_error *error) {
    size_t row = (size_t)image->width * 3, size = row * (size_t)image->height;
    if (size > to->room) {
        uint8_t *pixels = realloc(to->pixels, size);
        if (pixels == NULL) return samc__fail(error, SAMC_OUT_OF_MEMORY, "no memory for a frame");
        to->pixels = pixels;
        to->room = size;
    }
    to->width = image->width;
    to->height = image->height;
    for (int y = 0; y < image->height; y++)
        memcpy(to->pixels + (size_t)y * row, image->pixels + y * image->row_bytes, row);
    return SAMC_OK;
}

static void swap(frame *a, frame *b) {
    frame kept = *a;
    *a = *b;
    *b = kept;
}

samc_status samc_stream_push(samc_stream *s, const samc_image *given, int64_t number, samc_error *error) {
    samc_image image;
    if (s == NULL) return samc__fail(error, SAMC_INVALID_ARGUMENT, "samc_stream_push: no stream");
    SAMC__TRY(samc__abi_take(SAMC__ABI(samc_image), given, &image, error));
    if (image.pixels == NULL || image.width < 1 || image.height < 1 || image.row_bytes / 3 < image.width ||
        image.width > SAMC_IMAGE_MOST_PIXELS / image.height)
        return samc__fail(error, SAMC_INVALID_ARGUMENT, "frame %lld: no pixels, or no size for them",
                          (long long)number);
    SAMC__TRY(copy(&s->spare, &image, error));
    s->spare.number = number;
    pthread_mutex_lock(&s->lock);
    while (s->options.every && s->count == s->room && !s->stopped && !s->finished)
        pthread_cond_wait(&s->drained, &s->lock);
    bool open = !s->stopped && !s->finished;
    if (open) {
        s->spare.pushed = seconds(s);
        if (s->counts.pushed++ == 0) s->began = s->ended = s->spare.pushed;
        bool full = s->count == s->room; /* then it is the one slot, and its frame comes back as the spare one */
        swap(&s->waiting[(s->first + (full ? 0 : s->count)) % s->room], &s->spare);
        s->counts.dropped += full;
        s->count += !full;
        pthread_cond_signal(&s->filled);
    }
    pthread_mutex_unlock(&s->lock);
    return open ? SAMC_OK : samc__fail(error, SAMC_STOPPED, "frame %lld: the stream is over", (long long)number);
}

void samc_stream_finish(samc_stream *s) {
    if (s == NULL) return;
    pthread_mutex_lock(&s->lock);
    s->finished = true;
    pthread_cond_broadcast(&s->filled);
    pthread_cond_broadcast(&s->drained);
    pthread_mutex_unlock(&s->lock);
}

void samc_stream_stop(samc_stream *s) {
    if (s == NULL) return;
    pthread_mutex_lock(&s->lock);
    s->stopped = true;
    /* Of prompts nothing would take the stop back: it would end the session's next automatic masks. */
    if (s->computing && s->options.prompts == NULL) samc_session_stop(s->session);
    pthread_cond_broadcast(&s->filled);
    pthread_cond_broadcast(&s->drained);
    pthread_mutex_unlock(&s->lock);
}

/* ---- Out ------------------------------------------------------------------------------------- */

/* Waits for a frame, which becomes the current one. False: there is none any more. */
static bool take(samc_stream *s, bool *stopped) {
    pthread_mutex_lock(&s->lock);
    while (s->count == 0 && !s->finished && !s->stopped) pthread_cond_wait(&s->filled, &s->lock);
    *stopped = s->stopped;
    bool there = s->count > 0 && !s->stopped;
    if (there) {
        swap(&s->waiting[s->first], &s->current);
        s->first = (s->first + 1) % s->room;
        s->count--;
        s->computing = true;
        pthread_cond_signal(&s->drained);
    }
    pthread_mutex_unlock(&s->lock);
    return there;
}

static samc_status keep(samc_stream *s, const samc_mask *mask) {
    if (s->mask_count == s->mask_room) {
        int room = s->mask_room > 0 ? 2 * s->mask_room : 64;
        samc_mask *masks = realloc(s->masks, (size_t)room * sizeof *masks);
        if (masks == NULL) return SAMC_OUT_OF_MEMORY;
        s->masks = masks;
        s->mask_room = room;
    }
    samc_runs_keep(mask->runs);
    s->masks[s->mask_count++] = *mask;
    return SAMC_OK;
}

static samc_status keep_all(void *context, int image, const samc_mask *masks, int count, const samc_auto_stats *stats) {
    (void)image, (void)stats;
    for (int i = 0; i < count; i++) SAMC__TRY(keep(context, samc_mask_at(masks, i)));
    return SAMC_OK;
}

/* The best masks of some prompts. */
static samc_status predict(samc_stream *s, int first, int count) {
    samc_result *result = NULL;
    samc_mask mask = SAMC_INIT(samc_mask);
    SAMC__TRY(samc_predict(s->session, samc_prompts_at(s->options.prompts, first), count, !s->options.single, &result));
    samc_status status = SAMC_OK;
    for (int i = 0; i < count && status == SAMC_OK; i++) {
        status = samc_result_mask(s->session, result, i, samc_result_best(result, i), &mask);
        mask.prompt = first + i;
        if (status == SAMC_OK) status = keep(s, &mask);
    }
    samc_result_free(result);
    return status;
}

static bool is_stopped(samc_stream *s) {
    pthread_mutex_lock(&s->lock);
    bool stopped = s->stopped;
    pthread_mutex_unlock(&s->lock);
    return stopped;
}

static samc_status compute(samc_stream *s, const char *name, samc_error *error) {
    const samc_prompts *prompts = s->options.prompts;
    samc_status status;
    if (prompts == NULL) {
        status = samc_auto(s->session, &s->image, 1, s->options.automatic, keep_all, s);
        return samc_session_check(s->session, status, name, error);
    }
    SAMC__TRY(samc_prompts_check(prompts, name, s->image.width, s->image.height, error));
    status = samc_set_image(s->session, &s->image);
    const int all = samc_prompts_count(prompts);
    for (int first = 0; first < all && status == SAMC_OK; first += BATCH) {
        if (is_stopped(s)) return samc__fail(error, SAMC_STOPPED, "%s: the stream was stopped", name);
        status = predict(s, first, all - first < BATCH ? all - first : BATCH);
    }
    return samc_session_check(s->session, status, name, error);
}

samc_status samc_stream_next(samc_stream *s, samc_stream_frame *out, samc_error *error) {
    samc_stream_frame own = {.size = sizeof own};
    char name[40];
    bool stopped;
    if (s == NULL) return samc__fail(error, SAMC_INVALID_ARGUMENT, "samc_stream_next: no stream");
    SAMC__TRY(samc__abi_give(SAMC__IO(samc_stream_frame), &own, out, error));
    release_masks(s);
    if (!take(s, &stopped)) return stopped ? samc__fail(error, SAMC_STOPPED, "the stream was stopped") : SAMC_OK;
    const frame *f = &s->current;
    s->image = (samc_image){sizeof s->image, f->pixels, f->width, f->height, (ptrdiff_t)f->width * 3};
    snprintf(name, sizeof name, "frame %lld", (long long)f->number);
    samc_status status = compute(s, name, error);
    pthread_mutex_lock(&s->lock);
    s->computing = false;
    s->ended = seconds(s);
    own.latency = s->ended - f->pushed;
    if (status == SAMC_OK) s->latencies[s->counts.done++ % LATENCIES] = own.latency;
    else s->counts.failed++;
    pthread_mutex_unlock(&s->lock);
    own.number = f->number;
    if (status != SAMC_OK) {
        samc__abi_give(SAMC__IO(samc_stream_frame), &own, out, NULL);
        return status;
    }
    own.image = &s->image;
    own.masks = s->masks;
    own.count = s->mask_count;
    return samc__abi_give(SAMC__IO(samc_stream_frame), &own, out, error);
}

static int by_size(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

samc_status samc_stream_get_counts(samc_stream *s, samc_stream_counts *out, samc_error *error) {
    if (s == NULL) return samc__fail(error, SAMC_INVALID_ARGUMENT, "samc_stream_get_counts: no stream");
    double *sorted = malloc(LATENCIES * sizeof *sorted);
    if (sorted == NULL) return samc__fail(error, SAMC_OUT_OF_MEMORY, "no memory to sort latencies");
    pthread_mutex_lock(&s->lock);
    samc_stream_counts own = s->counts;
    size_t count = own.done < LATENCIES ? (size_t)own.done : LATENCIES;
    memcpy(sorted, s->latencies, count * sizeof *sorted);
    own.seconds = s->ended - s->began;
    pthread_mutex_unlock(&s->lock);
    qsort(sorted, count, sizeof *sorted, by_size);
    double *const to[] = {&own.p50, &own.p95, &own.p99};
    static const size_t percent[] = {50, 95, 99};
    for (int i = 0; i < 3 && count > 0; i++) *to[i] = sorted[(count * percent[i] + 99) / 100 - 1];
    free(sorted);
    return samc__abi_give(SAMC__IO(samc_stream_counts), &own, out, error);
}
