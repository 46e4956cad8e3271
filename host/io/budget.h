/* How many bytes decoded pictures and members of archives may hold at a time. Whoever wants to add to them waits until
 * there is room; one picture, and one member, always passes, whatever its size. */
#ifndef SAMC_HOST_IO_BUDGET_H
#define SAMC_HOST_IO_BUDGET_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

typedef enum samc__held { SAMC__MEMBERS, SAMC__PICTURES } samc__held;

typedef struct samc__budget {
    pthread_mutex_t lock;
    pthread_cond_t freed;
    int64_t limit, bytes[2]; /* of members and pictures in flight */
    int pictures;            /* images between samc__budget_enter() and samc__budget_leave() */
    bool reserved;           /* none enters but the one that it is reserved for */
    bool closed;
} samc__budget;

void samc__budget_create(samc__budget *budget, int64_t limit);
void samc__budget_destroy(samc__budget *budget);

/* An image is going to be read and decoded; it waits where the budget is reserved for another one. False: the work was
 * given up. */
bool samc__budget_enter(samc__budget *budget, bool alone);
/* All of an image has been given back and is written. */
void samc__budget_leave(samc__budget *budget);
/* Waits for room. False: the work was given up, and nothing was taken. */
bool samc__budget_take(samc__budget *budget, samc__held kind, int64_t bytes);
/* What is held has become less, or more: nobody waits. */
void samc__budget_change(samc__budget *budget, samc__held kind, int64_t from, int64_t to);

/* From now on no image enters. True where none is in flight; else to be asked again when one has left. */
bool samc__budget_reserve(samc__budget *budget);
void samc__budget_release(samc__budget *budget);
/* Everybody who waits is sent away. */
void samc__budget_close(samc__budget *budget);

/* A quarter of what this process may use: of the machine's memory, or of what its control group (version 1 or 2) or one
 * above it allows. `root` is put before the names of the system's files: "" but in tests. */
int64_t samc__budget_default(const char *root);

#endif
