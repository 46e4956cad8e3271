/* Guarded memory: [inaccessible][pages of the block][inaccessible], from the system each time. */
#include "tests/checkops/guard.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum { PAGE = 4096, GUARD = 16 * PAGE /* a stride too far is found as well */, PATTERN = 0xa5, MOST = 256 };

typedef struct region {
    unsigned char *map, *data; /* NULL: free */
    size_t pages, bytes;       /* accessible bytes behind map + GUARD, and those of the block */
    char name[40];
    bool read_only;
} region;

static region regions[MOST]; /* one thread allocates at a time; a handler only reads */

static region *region_of(const void *data) {
    for (int i = 0; i < MOST; i++)
        if (regions[i].map != NULL && regions[i].data == data) return &regions[i];
    abort();
}

static void protect(const region *r, int access) {
    if (r->pages > 0 && mprotect(r->map + GUARD, r->pages, access) != 0) abort();
}

void *guard_allocate(size_t bytes, size_t alignment, guard_place place, const char *name) {
    region *r = regions;
    while (r->map != NULL)
        if (++r == regions + MOST) abort();
    *r = (region){.bytes = bytes, .pages = (bytes + PAGE - 1) / PAGE * PAGE};
    snprintf(r->name, sizeof r->name, "%s", name);
    unsigned char *map =
        mmap(NULL, r->pages + 2 * GUARD, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (map == MAP_FAILED) abort();
    unsigned char *first = map + GUARD,
                  *end = first + r->pages; /* a page's start has any alignment: rounding down stays inside */
    r->data = place == GUARD_START ? first : (unsigned char *)((uintptr_t)(end - bytes) & ~(uintptr_t)(alignment - 1));
    r->map = map;
    protect(r, PROT_READ | PROT_WRITE);
    memset(first, PATTERN, (size_t)(r->data - first));
    memset(r->data + bytes, PATTERN, (size_t)(end - r->data) - bytes);
    return r->data;
}

void guard_read_only(void *data, bool on) {
    region *r = region_of(data);
    if (r->read_only != on) protect(r, on ? PROT_READ : PROT_READ | PROT_WRITE);
    r->read_only = on;
}

const char *guard_touched(const void *data) {
    const region *r = region_of(data);
    const unsigned char *first = r->map + GUARD, *end = first + r->pages;
    for (const unsigned char *at = first; at < r->data; at++)
        if (*at != PATTERN) return "memory before a block was written to";
    for (const unsigned char *at = r->data + r->bytes; at < end; at++)
        if (*at != PATTERN) return "memory behind a block was written to";
    return NULL;
}

const char *guard_free(void *data) {
    if (data == NULL) return NULL;
    region *r = region_of(data);
    const char *wrong = guard_touched(data);
    if (munmap(r->map, r->pages + 2 * GUARD) != 0) abort();
    *r = (region){0};
    return wrong;
}

void guard_describe(const void *address, char *text, size_t room) {
    const unsigned char *at = address;
    for (int i = 0; i < MOST; i++) {
        const region *r = &regions[i];
        if (r->map == NULL || at < r->map || at >= r->map + r->pages + 2 * GUARD) continue;
        if (at < r->data)
            snprintf(text, room, "touched memory %zd bytes before the %s of %zu bytes", (ptrdiff_t)(r->data - at),
                     r->name, r->bytes);
        else if (at >= r->data + r->bytes)
            snprintf(text, room, "touched memory %zd bytes behind the %s of %zu bytes",
                     (ptrdiff_t)(at - r->data) - (ptrdiff_t)r->bytes, r->name, r->bytes);
        else
            snprintf(text, room, "wrote to byte %zd of the %s of %zu bytes", (ptrdiff_t)(at - r->data), r->name,
                     r->bytes);
        return;
    }
    snprintf(text, room, "touched memory at %p, near no buffer", address);
}
