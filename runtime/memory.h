/* Counted memory: every block a session holds, so that current and peak bytes are numbers. Used from one thread at a time. */
#ifndef SAMC_RUNTIME_MEMORY_H
#define SAMC_RUNTIME_MEMORY_H

#include <stddef.h>

typedef struct samc__memory {
    size_t current, peak;
} samc__memory;

/* samc__exec.allocate and .release; `memory` is a samc__memory. Blocks are 64-byte aligned and not initialised. */
void *samc__memory_allocate(void *memory, size_t bytes);
void samc__memory_release(void *memory, void *block);

#endif
