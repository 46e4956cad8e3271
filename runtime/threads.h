/* A small pool of threads that splits loops. One pool belongs to one session and serves one caller at a time. */
#ifndef SAMC_RUNTIME_THREADS_H
#define SAMC_RUNTIME_THREADS_H

#include "kernels/ops.h"

enum { SAMC__MAX_THREADS = 256 };

typedef struct samc__pool samc__pool;

/* A pool of `threads` workers, the caller of samc__pool_run() being one of them. NULL: no memory or no threads. */
samc__pool *samc__pool_create(int threads);
void samc__pool_destroy(samc__pool *pool); /* NULL is allowed */

/* samc__exec.parallel: calls task(context, begin, end, worker) for ranges of at most `grain` items until [0, n) is
 * done. */
void samc__pool_run(void *pool, int64_t n, int64_t grain, samc__task *task, void *context);

/* Processors that this process may use. */
int samc__processors(void);

#endif
