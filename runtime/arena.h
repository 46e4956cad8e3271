/* An arena: blocks out of one piece of memory, which it never touches, by first fit. With a made-up base it is a plan:
 * the same calls in the same order find out how large the piece has to be. */
#ifndef SAMC_RUNTIME_ARENA_H
#define SAMC_RUNTIME_ARENA_H

#include <stdbool.h>
#include <stddef.h>

enum { SAMC__ARENA_ALIGNMENT = 256, SAMC__ARENA_BLOCKS = 32 };

typedef struct samc__arena {
    char *base;         /* aligned to SAMC__ARENA_ALIGNMENT */
    size_t bytes, peak; /* of the piece; the highest end of a block so far */
    int count;
    struct {
        size_t at, bytes;
    } blocks[SAMC__ARENA_BLOCKS]; /* in use, by ascending address */
} samc__arena;

/* NULL when no gap is large enough, or too many blocks are in use. */
void *samc__arena_take(samc__arena *arena, size_t bytes);
/* False when the block is not one of this arena's. */
bool samc__arena_give(samc__arena *arena, const void *block);

#endif
