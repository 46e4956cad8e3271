/* Counted memory: the size of a block, and of what it was cut from, are kept in the 64 bytes before it. */
#include "runtime/memory.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum { HEADER = 64, LEAST_KEPT = 1 << 20, HUGE = 2 << 20, LEAST_HUGE = 8 << 20 };

typedef struct header {
    size_t size, room; /* header included; room is what was allocated */
} header;

static header *remove_spare(samc__memory *memory, int index) {
    header *block = memory->spare[index];
    memory->spares--;
    memmove(&memory->spare[index], &memory->spare[index + 1], (size_t)(memory->spares - index) * sizeof *memory->spare);
    return block;
}

/* A spare block of at least `size` bytes and less than twice as many, or NULL. */
static header *take_spare(samc__memory *memory, size_t size) {
    for (int i = memory->spares - 1; i >= 0; i--) {
        const header *block = memory->spare[i];
        if (block->room >= size && block->room / 2 < size) return remove_spare(memory, i);
    }
    return NULL;
}

/* A block of many pages in large ones where the system has them: they are cleared 2 MiB at a time when they are first
 * touched, and the rows of an image's activations, far apart as they are, share entries of the table of addresses. */
static header *allocate_block(size_t size) {
#if defined(MADV_HUGEPAGE)
    void *block = NULL;
    if (size < LEAST_HUGE) return aligned_alloc(HEADER, size);
    if (posix_memalign(&block, HUGE, size) != 0) return NULL;
    madvise(block, size / HUGE * HUGE, MADV_HUGEPAGE);
    return block;
#else
    return aligned_alloc(HEADER, size);
#endif
}

size_t samc__memory_counted(size_t bytes) { return (bytes + 2 * HEADER - 1) / HEADER * HEADER; }

void *samc__memory_allocate(void *opaque, size_t bytes) {
    samc__memory *memory = opaque;
    if (bytes > SIZE_MAX / 2) return NULL;
    size_t size = samc__memory_counted(bytes); /* header included, a multiple of the alignment */
    header *block = take_spare(memory, size);
    if (block == NULL) {
        block = allocate_block(size);
        if (block == NULL && memory->spares > 0) { /* where memory is short, nothing is kept */
            samc__memory_drop(memory);
            block = allocate_block(size);
        }
        if (block == NULL) return NULL;
        block->room = size;
    }
    block->size = size;
    memory->current += size;
    if (memory->current > memory->peak) memory->peak = memory->current;
    return (char *)block + HEADER;
}

void samc__memory_release(void *opaque, void *pointer) {
    samc__memory *memory = opaque;
    if (pointer == NULL) return;
    header *block = (header *)((char *)pointer - HEADER);
    size_t kept = block->room;
    memory->current -= block->size;
    if (block->room < LEAST_KEPT || block->room > memory->keep) {
        free(block);
        return;
    }
    for (int i = 0; i < memory->spares; i++) kept += ((const header *)memory->spare[i])->room;
    for (; memory->spares > 0 && (kept > memory->keep || memory->spares == SAMC__SPARE_BLOCKS);) {
        header *oldest = remove_spare(memory, 0);
        kept -= oldest->room;
        free(oldest);
    }
    memory->spare[memory->spares++] = block;
}

void samc__memory_drop(samc__memory *memory) {
    while (memory->spares > 0) free(remove_spare(memory, 0));
}
