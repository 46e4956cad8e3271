/* A bounded queue between the stages of a pipeline. A full queue holds the stage before it back, so that memory is
 * bounded by the queues and not by what goes through them. */
#ifndef SAMC_HOST_IO_QUEUE_H
#define SAMC_HOST_IO_QUEUE_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

typedef struct samc__queue {
    pthread_mutex_t lock;
    pthread_cond_t filled, drained;
    void **items; /* ring of `room` */
    int room, first, count;
    int producers; /* that have not finished */
    bool closed;
    int64_t taken, fill_sum; /* items taken so far, and how many lay here each time: the mean fill */
} samc__queue;

/* `producers` is the number of samc__queue_finish() calls that end it. False without memory. */
bool samc__queue_create(samc__queue *queue, int room, int producers);
/* Nobody may use the queue any more. What still lies in it is the caller's to know. */
void samc__queue_destroy(samc__queue *queue);

/* Waits for room. False: the queue was closed, and the item stays the caller's. */
bool samc__queue_push(samc__queue *queue, void *item);
/* Waits for an item; NULL after the last one. */
void *samc__queue_pop(samc__queue *queue);
/* Waits for one item and takes what else is there already, up to `most`; 0 after the last one. */
int samc__queue_pop_some(samc__queue *queue, void **items, int most);
/* One producer has pushed its last item. */
void samc__queue_finish(samc__queue *queue);
/* The work is given up: pushes fail from now on and pops find nothing. */
void samc__queue_close(samc__queue *queue);

/* How many items lie there. */
int samc__queue_count(samc__queue *queue);
/* Mean number of items found when one was taken. */
double samc__queue_mean_fill(samc__queue *queue);

#endif
