/* The bounded queue: one lock, two conditions, a ring. */
#include "host/io/queue.h"

#include <stdlib.h>

bool samc__queue_create(samc__queue *q, int room, int producers) {
    *q = (samc__queue){.room = room, .producers = producers, .items = calloc((size_t)room, sizeof *q->items)};
    pthread_mutex_init(&q->lock, NULL);
    pthread_cond_init(&q->filled, NULL);
    pthread_cond_init(&q->drained, NULL);
    return q->items != NULL;
}

void samc__queue_destroy(samc__queue *q) {
    pthread_mutex_destroy(&q->lock);
    pthread_cond_destroy(&q->filled);
    pthread_cond_destroy(&q->drained);
    free(q->items);
}

bool samc__queue_push(samc__queue *q, void *item) {
    pthread_mutex_lock(&q->lock);
    while (q->count == q->room && !q->closed) pthread_cond_wait(&q->drained, &q->lock);
    bool open = !q->closed;
    if (open) {
        q->items[(q->first + q->count++) % q->room] = item;
        pthread_cond_signal(&q->filled);
    }
    pthread_mutex_unlock(&q->lock);
    return open;
}

int samc__queue_pop_some(samc__queue *q, void **items, int most) {
    pthread_mutex_lock(&q->lock);
    while (q->count == 0 && q->producers > 0 && !q->closed) pthread_cond_wait(&q->filled, &q->lock);
    int n = q->closed ? 0 : q->count < most ? q->count : most;
    for (int i = 0; i < n; i++) {
        q->fill_sum += q->count;
        q->taken++;
        items[i] = q->items[q->first];
        q->first = (q->first + 1) % q->room;
        q->count--;
    }
    if (n > 0) pthread_cond_broadcast(&q->drained);
    pthread_mutex_unlock(&q->lock);
    return n;
}

void *samc__queue_pop(samc__queue *q) {
    void *item;
    return samc__queue_pop_some(q, &item, 1) == 1 ? item : NULL;
}

void samc__queue_finish(samc__queue *q) {
    pthread_mutex_lock(&q->lock);
    if (--q->producers == 0) pthread_cond_broadcast(&q->filled);
    pthread_mutex_unlock(&q->lock);
}

void samc__queue_close(samc__queue *q) {
    pthread_mutex_lock(&q->lock);
    q->closed = true;
    pthread_cond_broadcast(&q->filled);
    pthread_cond_broadcast(&q->drained);
    pthread_mutex_unlock(&q->lock);
}

int samc__queue_count(samc__queue *q) {
    pthread_mutex_lock(&q->lock);
    int count = q->count;
    pthread_mutex_unlock(&q->lock);
    return count;
}

double samc__queue_mean_fill(samc__queue *q) {
    pthread_mutex_lock(&q->lock);
    double mean = q->taken > 0 ? (double)q->fill_sum / (double)q->taken : 0.0;
    pthread_mutex_unlock(&q->lock);
    return mean;
}
