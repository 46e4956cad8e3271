/* Stages: a queue and threads each. Sessions are made when the first request needs one, and keep their memory then. */
#include "host/serve/internal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { DECODERS = 2, FETCHERS = 4, MOST_THREADS = SAMC__SERVE_SESSIONS };

typedef struct stage {
    samc__serve *serve;
    samc__request *first, **last;
    int waiting, working, threads;
    struct worker {
        struct stage *stage;
        pthread_t thread;
        pthread_cond_t more;
        bool idle;             /* and was not called yet */
        samc_session *session; /* of stages that need one */
    } worker[MOST_THREADS];
    bool sessions;
    bool always; /* what it does, it does although the client hung up: a page that is left saves its last change */
} stage;

struct samc__stages {
    pthread_mutex_t lock;
    pthread_cond_t idle; /* nobody's prompts wait */
    stage stage[SAMC__STAGES];
    bool stopping;
};

void samc__stage_count(samc__serve *serve, samc__stage number, int *waiting, int *working) {
    samc__stages *all = serve->stages;
    pthread_mutex_lock(&all->lock);
    *waiting = all->stage[number].waiting;
    *working = all->stage[number].working;
    pthread_mutex_unlock(&all->lock);
}

/* No image is decoded while those that wait to be encoded fill their room. */
static bool has_room(const stage *s) {
    return s != &s->serve->stages->stage[SAMC__DECODE] ||
           atomic_load(&s->serve->clients.pixels) < s->serve->options.waiting_bytes;
}

/* What a thread that is free is about to take does not wait: whether it is awake by now is a matter of luck. */
static bool is_full(const stage *s) {
    const int idle = has_room(s) ? s->threads - s->working : 0;
    return s->waiting - idle >= s->serve->options.queue;
}

/* The first, so that one client's requests find the session that has their memory in the processor's caches. */
static void call_one(stage *s) {
    int t = 0;
    while (t < s->threads && !s->worker[t].idle) t++;
    if (t == s->threads) return; /* each looks at what waits before it goes to sleep */
    s->worker[t].idle = false;
    pthread_cond_signal(&s->worker[t].more);
}

static void call_all(stage *s) {
    for (int t = 0; t < s->threads; t++) pthread_cond_signal(&s->worker[t].more);
}

bool samc__stage_submit(samc__request *r, samc__stage number, samc__work work) {
    samc__stages *all = r->serve->stages;
    stage *s = &all->stage[number];
    pthread_mutex_lock(&all->lock);
    const bool room = !is_full(s) && !all->stopping;
    if (room) {
        const bool begins = !r->taken;
        r->work = work;
        r->next = NULL;
        atomic_fetch_add(&r->on, 1);
        if (begins) {
            r->taken = true;
            atomic_fetch_add(&r->serve->owed, 1);
            samc__request_keep(r); /* the stages'; passed on from one to the next */
            if (r->events == NULL) MHD_suspend_connection(r->connection);
        }
        *s->last = r;
        s->last = &r->next;
        s->waiting++;
        call_one(s);
    }
    pthread_mutex_unlock(&all->lock);
    if (room) return true;
    samc__reply_header(r, "Retry-After", "%d", number == SAMC__AUTO ? 10 : 1);
    samc__reply_error(r, MHD_HTTP_SERVICE_UNAVAILABLE, "too many requests wait already; try again");
    return false;
}

/* Whose it is, is said by a number that only grows: the stage that has it next may be here with it at the same time. */
void samc__request_go_on(samc__request *r) {
    samc__request_keep(r);
    const int before = atomic_load(&r->on);
    samc__request_handle(r);
    if (atomic_load(&r->on) == before) samc__request_finish(r);
    samc__request_release(r);
}

/* With the lock held. */
static samc__request *pop(stage *s) {
    samc__request *r = s->first;
    if (r == NULL) return NULL;
    s->first = r->next;
    if (s->first == NULL) s->last = &s->first;
    s->waiting--;
    r->next = NULL;
    return r;
}

samc__request *samc__stage_take(samc__serve *serve, samc__stage number,
                                bool (*like)(const samc__request *, const void *), const void *what) {
    samc__stages *all = serve->stages;
    stage *s = &all->stage[number];
    pthread_mutex_lock(&all->lock);
    samc__request *r = s->first != NULL && like(s->first, what) ? pop(s) : NULL;
    pthread_mutex_unlock(&all->lock);
    return r;
}

bool samc__stages_give_way(samc__serve *serve) {
    samc__stages *all = serve->stages;
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += serve->patience;
    pthread_mutex_lock(&all->lock);
    stage *s = &all->stage[SAMC__PREDICT];
    while (s->waiting + s->working > 0 && !all->stopping)
        if (pthread_cond_timedwait(&all->idle, &all->lock, &until) == ETIMEDOUT) break;
    const bool on = !all->stopping;
    pthread_mutex_unlock(&all->lock);
    return on;
}

bool samc__stages_stopping(samc__serve *serve) {
    pthread_mutex_lock(&serve->stages->lock);
    const bool stopping = serve->stages->stopping;
    pthread_mutex_unlock(&serve->stages->lock);
    return stopping;
}

void samc__stages_room(samc__serve *serve) {
    samc__stages *all = serve->stages;
    if (all == NULL) return;
    pthread_mutex_lock(&all->lock);
    call_all(&all->stage[SAMC__DECODE]);
    pthread_mutex_unlock(&all->lock);
}

/* The session, which the end of the server stops at what it is at. */
static samc_status open_session(struct worker *w, samc_error *error) {
    samc__stages *all = w->stage->serve->stages;
    samc_session *session = NULL;
    const samc_status status = samc_session_create(w->stage->serve->options.model, &session, error);
    pthread_mutex_lock(&all->lock);
    w->session = session;
    if (all->stopping) samc_session_stop(session);
    pthread_mutex_unlock(&all->lock);
    return status;
}

static void *work(void *argument) {
    struct worker *w = argument;
    stage *s = w->stage;
    samc__stages *all = s->serve->stages;
    samc_error error;
    pthread_mutex_lock(&all->lock);
    for (;;) {
        while ((s->first == NULL || !has_room(s)) && !all->stopping) {
            w->idle = true;
            pthread_cond_wait(&w->more, &all->lock);
            w->idle = false;
        }
        if (all->stopping) break;
        samc__request *r = pop(s);
        s->working++;
        pthread_mutex_unlock(&all->lock);
        if (s->sessions && w->session == NULL && open_session(w, &error) != SAMC_OK) {
            samc__reply_failure(r, &error);
            samc__request_finish(r);
        } else if (!s->always && samc__request_gone(r)) { /* nobody waits for it */
            samc__reply_error(r, MHD_HTTP_SERVICE_UNAVAILABLE, "the client is gone");
            samc__request_finish(r);
        } else r->work(r, w->session);
        pthread_mutex_lock(&all->lock);
        s->working--;
        if (s->waiting + s->working == 0) pthread_cond_broadcast(&all->idle);
    }
    pthread_mutex_unlock(&all->lock);
    samc_session_destroy(w->session);
    return NULL;
}

samc_status samc__stages_start(samc__serve *serve, samc_error *error) {
    const struct {
        int threads;
        bool sessions, always;
    } kinds[SAMC__STAGES] = {
        [SAMC__DECODE] = {DECODERS, false, false},
        [SAMC__ENCODE] = {1, true, false},
        [SAMC__PREDICT] = {serve->options.sessions, true, false},
        [SAMC__AUTO] = {1, true, false},
        [SAMC__PARSE] = {1, false, true},
        [SAMC__TEXT] = {1, true, false},
        [SAMC__FETCH] = {FETCHERS, false, false},
        [SAMC__FILES] = {1, false, true},
    };
    samc__stages *all = calloc(1, sizeof *all);
    pthread_condattr_t forward;
    if (all == NULL) {
        *error = (samc_error){SAMC_OUT_OF_MEMORY, "no memory for a server"};
        return SAMC_OUT_OF_MEMORY;
    }
    serve->stages = all;
    pthread_condattr_init(&forward);
    pthread_condattr_setclock(&forward, CLOCK_MONOTONIC);
    pthread_mutex_init(&all->lock, NULL);
    pthread_cond_init(&all->idle, &forward);
    for (int i = 0; i < SAMC__STAGES; i++) {
        all->stage[i].serve = serve;
        all->stage[i].sessions = kinds[i].sessions;
        all->stage[i].always = kinds[i].always;
        all->stage[i].last = &all->stage[i].first;
        for (int t = 0; t < MOST_THREADS; t++) {
            all->stage[i].worker[t].stage = &all->stage[i];
            pthread_cond_init(&all->stage[i].worker[t].more, &forward);
        }
    }
    pthread_condattr_destroy(&forward);
    for (int i = 0; i < SAMC__STAGES; i++)
        for (stage *s = &all->stage[i]; s->threads < kinds[i].threads; s->threads++)
            if (pthread_create(&s->worker[s->threads].thread, NULL, work, &s->worker[s->threads]) != 0) {
                *error = (samc_error){SAMC_OUT_OF_MEMORY, "no threads for a server"};
                return SAMC_OUT_OF_MEMORY;
            }
    return SAMC_OK;
}

void samc__stages_stop(samc__serve *serve) {
    samc__stages *all = serve->stages;
    if (all == NULL) return;
    pthread_mutex_lock(&all->lock);
    all->stopping = true;
    for (int i = 0; i < SAMC__STAGES; i++) {
        for (int t = 0; t < all->stage[i].threads; t++) /* what phrases name may be thousands of masks */
            samc_session_stop(all->stage[i].worker[t].session);
        call_all(&all->stage[i]);
    }
    pthread_cond_broadcast(&all->idle);
    pthread_mutex_unlock(&all->lock);
    for (int i = 0; i < SAMC__STAGES; i++) {
        stage *s = &all->stage[i];
        for (int t = 0; t < s->threads; t++) pthread_join(s->worker[t].thread, NULL);
        pthread_mutex_lock(&all->lock);
        for (samc__request *r; (r = pop(s)) != NULL;) {
            pthread_mutex_unlock(&all->lock);
            samc__reply_error(r, MHD_HTTP_SERVICE_UNAVAILABLE, "the server stops");
            samc__request_finish(r);
            pthread_mutex_lock(&all->lock);
        }
        pthread_mutex_unlock(&all->lock);
    }
}

void samc__stages_free(samc__serve *serve) {
    samc__stages *all = serve->stages;
    if (all == NULL) return;
    for (int i = 0; i < SAMC__STAGES * MOST_THREADS; i++)
        pthread_cond_destroy(&all->stage[i / MOST_THREADS].worker[i % MOST_THREADS].more);
    pthread_cond_destroy(&all->idle);
    pthread_mutex_destroy(&all->lock);
    free(all);
    serve->stages = NULL;
}
