/* Counted memory: the size of a block is kept in the 64 bytes before it. */
#include "runtime/memory.h"

#include <stdint.h>
#include <stdlib.h>

enum { HEADER = 64 };

void *samc__memory_allocate(void *opaque, size_t bytes) {
    samc__memory *memory = opaque;
    if (bytes > SIZE_MAX / 2) return NULL;
    size_t size = (bytes + 2 * HEADER - 1) / HEADER * HEADER; /* header included, a multiple of the alignment */
    char *block = aligned_alloc(HEADER, size);
    if (block == NULL) return NULL;
    *(size_t *)block = size;
    memory->current += size;
    if (memory->current > memory->peak) memory->peak = memory->current;
    return block + HEADER;
}

void samc__memory_release(void *opaque, void *pointer) {
    samc__memory *memory = opaque;
    if (pointer == NULL) return;
    char *block = (char *)pointer - HEADER;
    memory->current -= *(size_t *)block;
    free(block);
}
