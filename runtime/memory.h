/* Counted memory: every block a session holds, so that current and peak bytes are numbers. Used from one thread at a
 * time.
 *
 * Large blocks come and go with every batch of prompts. Given back to the system they return as pages that the kernel
 * clears one by one: up to `keep` bytes of the last ones stay for the next. They are not counted. */
#ifndef SAMC_RUNTIME_MEMORY_H
#define SAMC_RUNTIME_MEMORY_H

#include <stddef.h>

enum { SAMC__SPARE_BLOCKS = 8 };

typedef struct samc__memory {
    size_t current, peak;
    size_t keep;                     /* bytes of blocks given back that may stay; then samc__memory_drop() at the end */
    void *spare[SAMC__SPARE_BLOCKS]; /* the oldest first */
    int spares;
} samc__memory;

/* samc__exec.allocate and .release; `memory` is a samc__memory. Blocks are 64-byte aligned and not initialised. */
void *samc__memory_allocate(void *memory, size_t bytes);
void samc__memory_release(void *memory, void *block);
/* What a block of `bytes` counts for. */
size_t samc__memory_counted(size_t bytes);
void samc__memory_drop(samc__memory *memory); /* what was kept */

#endif
