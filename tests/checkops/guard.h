/* Memory between pages that nobody may touch, and the report of who did.
 *
 * A sanitizer sees what the compiler instruments; a masked vector store, a gather or generated code it does not. The
 * processor sees them all: what lies between two inaccessible pages faults at the first byte beyond its end, or before
 * its start, by whichever instruction. One of the two ends is exact, to be chosen; what is left of a page at the other
 * end holds a pattern that is compared afterwards. */
#ifndef SAMC_TESTS_GUARD_H
#define SAMC_TESTS_GUARD_H

#include <stdbool.h>
#include <stddef.h>

typedef enum guard_place { GUARD_END, GUARD_START } guard_place;

/* `bytes` bytes that end, or start, at a guard page; `name` is copied for the report. At the end the address is rounded
 * down to `alignment`, a power of two; at the start it is that of a page. Never NULL. */
void *guard_allocate(size_t bytes, size_t alignment, guard_place place, const char *name);
/* NULL, or what was written to beside the block; then it is gone. NULL is allowed. */
const char *guard_free(void *data);
void guard_read_only(void *data, bool on);   /* writing to the block faults */
const char *guard_touched(const void *data); /* as guard_free(), and the block stays */

/* Of an address that faulted: the block it lies beside, and where. Safe in a signal handler. */
void guard_describe(const void *address, char *text, size_t room);

#endif
