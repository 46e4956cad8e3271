/* The pool: workers sleep on a condition variable, wake for a job, and take ranges from one shared counter. */
#include "runtime/threads.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>

struct samc__pool {
    pthread_mutex_t lock;
    pthread_cond_t start, done;
    int workers;  /* with the caller */
    int started;  /* threads that exist */
    int busy;     /* threads still at the current job */
    uint64_t job; /* number of the current job */
    bool stop;
    /* the current job */
    samc__task *task;
    void *context;
    int64_t n, grain;
    atomic_llong next;
    struct worker {
        samc__pool *pool;
        pthread_t thread;
        int index;
    } threads[SAMC__MAX_THREADS];
};

static void work(samc__pool *pool, int worker) {
    for (;;) {
        int64_t begin = atomic_fetch_add(&pool->next, pool->grain);
        if (begin >= pool->n) return;
        int64_t end = begin + pool->grain;
        pool->task(pool->context, begin, end < pool->n ? end : pool->n, worker);
    }
}

static void *worker_main(void *argument) {
    struct worker *self = argument;
    samc__pool *pool = self->pool;
    uint64_t seen = 0;
    pthread_mutex_lock(&pool->lock);
    for (;;) {
        while (pool->job == seen && !pool->stop) pthread_cond_wait(&pool->start, &pool->lock);
        if (pool->stop) break;
        seen = pool->job;
        pthread_mutex_unlock(&pool->lock);
        work(pool, self->index);
        pthread_mutex_lock(&pool->lock);
        if (--pool->busy == 0) pthread_cond_signal(&pool->done);
    }
    pthread_mutex_unlock(&pool->lock);
    return NULL;
}

samc__pool *samc__pool_create(int threads) {
    samc__pool *pool = calloc(1, sizeof *pool);
    if (pool == NULL) return NULL;
    pool->workers = threads;
    pthread_mutex_init(&pool->lock, NULL);
    pthread_cond_init(&pool->start, NULL);
    pthread_cond_init(&pool->done, NULL);
    for (int i = 1; i < threads; i++) {
        struct worker *worker = &pool->threads[i];
        *worker = (struct worker){.pool = pool, .index = i};
        if (pthread_create(&worker->thread, NULL, worker_main, worker) != 0) {
            samc__pool_destroy(pool);
            return NULL;
        }
        pool->started++;
    }
    return pool;
}

void samc__pool_destroy(samc__pool *pool) {
    if (pool == NULL) return;
    pthread_mutex_lock(&pool->lock);
    pool->stop = true;
    pthread_cond_broadcast(&pool->start);
    pthread_mutex_unlock(&pool->lock);
    for (int i = 1; i <= pool->started; i++) pthread_join(pool->threads[i].thread, NULL);
    pthread_cond_destroy(&pool->done);
    pthread_cond_destroy(&pool->start);
    pthread_mutex_destroy(&pool->lock);
    free(pool);
}

void samc__pool_run(void *opaque, int64_t n, int64_t grain, samc__task *task, void *context) {
    samc__pool *pool = opaque;
    if (n <= grain || pool->workers == 1) { /* not worth waking anyone */
        for (int64_t begin = 0; begin < n; begin += grain)
            task(context, begin, begin + grain < n ? begin + grain : n, 0);
        return;
    }
    pthread_mutex_lock(&pool->lock);
    pool->task = task;
    pool->context = context;
    pool->n = n;
    pool->grain = grain;
    atomic_store(&pool->next, 0);
    pool->busy = pool->started;
    pool->job++;
    pthread_cond_broadcast(&pool->start);
    pthread_mutex_unlock(&pool->lock);
    work(pool, 0);
    pthread_mutex_lock(&pool->lock);
    while (pool->busy > 0) pthread_cond_wait(&pool->done, &pool->lock);
    pthread_mutex_unlock(&pool->lock);
}

int samc__processors(void) {
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set) != 0) return 1;
    int count = CPU_COUNT(&set);
    return count < 1 ? 1 : count > SAMC__MAX_THREADS ? SAMC__MAX_THREADS : count;
}
