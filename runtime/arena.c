/* First fit over the few blocks that are in use at a time. */
#include "runtime/arena.h"

#include <string.h>

void *samc__arena_take(samc__arena *a, size_t bytes) {
    size_t need = (bytes + SAMC__ARENA_ALIGNMENT - 1) / SAMC__ARENA_ALIGNMENT * SAMC__ARENA_ALIGNMENT, at = 0;
    if (need < bytes || a->count == SAMC__ARENA_BLOCKS) return NULL;
    int i = 0;
    while (i < a->count && a->blocks[i].at - at < need) { /* the gap before block i */
        at = a->blocks[i].at + a->blocks[i].bytes;
        i++;
    }
    if (at > a->bytes || a->bytes - at < need) return NULL;
    memmove(&a->blocks[i + 1], &a->blocks[i], (size_t)(a->count - i) * sizeof a->blocks[0]);
    a->blocks[i].at = at;
    a->blocks[i].bytes = need;
    a->count++;
    if (at + need > a->peak) a->peak = at + need;
    return a->base + at;
}

bool samc__arena_give(samc__arena *a, const void *block) {
    for (int i = 0; i < a->count; i++) {
        if (a->base + a->blocks[i].at != block) continue;
        a->count--;
        memmove(&a->blocks[i], &a->blocks[i + 1], (size_t)(a->count - i) * sizeof a->blocks[0]);
        return true;
    }
    return false;
}
