/* Python pickles as inert data: a stack machine that builds a graph of small objects and never calls anything.
 *
 * A checkpoint may carry anything (optimizers, argparse.Namespace, NumPy scalars, classes that are not installed).
 * Calls and unknown classes become objects that nothing looks into unless a tensor that is needed depends on them.
 * Memory grows with the pickle's own bytes up to a fixed bound, and nothing recurses: objects refer to each other by
 * index.
 */
#ifndef SAMC_WEIGHTS_PICKLE_H
#define SAMC_WEIGHTS_PICKLE_H

#include <stdbool.h>

#include "runtime/base/status.h"

typedef enum samc__pickle_kind {
    SAMC__PICKLE_OPAQUE, /* a value that no tensor needs: a float, bytes, a set, an instance of some class */
    SAMC__PICKLE_NONE,
    SAMC__PICKLE_INTEGER,    /* `integer`; booleans too */
    SAMC__PICKLE_STRING,     /* `offset`, `length` */
    SAMC__PICKLE_TUPLE,      /* `first`, `last`: cells */
    SAMC__PICKLE_LIST,       /* cells */
    SAMC__PICKLE_DICT,       /* cells: key, value, key, value ...; also OrderedDict and defaultdict */
    SAMC__PICKLE_GLOBAL,     /* `a`, `b`: strings, the module and the name */
    SAMC__PICKLE_CALL,       /* `a`, `b`: the callable and its tuple of arguments */
    SAMC__PICKLE_PERSISTENT, /* `a`: the identifier, a tuple ('storage', ...) in PyTorch */
} samc__pickle_kind;

typedef struct samc__pickle_object {
    samc__pickle_kind kind;
    union {
        int64_t integer;
        struct {
            uint32_t offset, length;
        };
        struct {
            uint32_t first, last;
        }; /* indices of cells, 0 when empty */
        struct {
            uint32_t a, b;
        }; /* indices of objects */
    };
} samc__pickle_object;

typedef struct samc__pickle_cell {
    uint32_t object, next; /* next: a cell, 0 at the end */
} samc__pickle_cell;

typedef struct samc__pickle {
    const uint8_t *bytes; /* [size] */
    size_t size;
    const char *label;
    samc__pickle_object *objects; /* index 0 is an opaque object */
    size_t object_count, object_capacity;
    samc__pickle_cell *cells; /* index 0 is unused */
    size_t cell_count, cell_capacity;
    uint32_t root;
} samc__pickle;

samc_status samc__pickle_parse(const uint8_t *bytes, size_t size, const char *label, samc__pickle *pickle,
                               samc_error *error);
void samc__pickle_free(samc__pickle *pickle);

/* The questions below accept any object index of the pickle and answer false or 0 for objects of another kind. */
static inline samc__pickle_kind samc__pickle_is(const samc__pickle *pickle, uint32_t object) {
    return pickle->objects[object].kind;
}
bool samc__pickle_string_equals(const samc__pickle *pickle, uint32_t object, const char *text);
bool samc__pickle_global_equals(const samc__pickle *pickle, uint32_t object, const char *module, const char *name);
/* The elements of a tuple or list, at most `limit` of them; returns how many there are, limit + 1 if more. */
int samc__pickle_items(const samc__pickle *pickle, uint32_t object, uint32_t *items, int limit);

#endif
