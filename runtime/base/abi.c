/* Reading and writing structs of which the caller may know more or less than the library. */
#include "runtime/base/abi.h"

#include <stdlib.h>
#include <string.h>

#include "runtime/base/status.h"

const samc__abi samc__abi_rows[SAMC__ABI_COUNT] = {SAMC__ABI_LIST(SAMC__ABI_ROW)};

enum { MOST = 4096 }; /* bytes; beyond any version to come: a size that was never set is not believed */

static size_t size_of(const void *given) {
    size_t size; /* elements of an array whose stride is odd are not aligned */
    memcpy(&size, given, sizeof size);
    return size;
}

/* Whether fields of an element that this library does not know are zero. */
static samc_status check_tail(const samc__abi *type, const unsigned char *given, size_t size, samc_error *error) {
    size_t now = type->now;
    for (size_t i = now; i < size; i++)
        if (given[i] != 0)
            return samc__fail(error, SAMC_UNSUPPORTED,
                              "%s: a field beyond the %zu bytes that samc %s knows is not zero", type->name, now,
                              SAMC_VERSION);
    return SAMC_OK;
}

samc_status samc__abi_check_size(const samc__abi *type, const void *given, samc_error *error) {
    if (given == NULL) return samc__fail(error, SAMC_INVALID_ARGUMENT, "%s: NULL", type->name);
    size_t size = size_of(given);
    if (size >= type->first && size <= MOST) return SAMC_OK;
    return samc__fail(error, SAMC_INVALID_ARGUMENT, "%s: its size is %zu; it must be set to sizeof(%s)", type->name,
                      size, type->name);
}

samc_status samc__abi_check(const samc__abi *type, const void *given, samc_error *error) {
    SAMC__TRY(samc__abi_check_size(type, given, error));
    return check_tail(type, given, size_of(given), error);
}

static void take(const samc__abi *type, const void *given, size_t size, void *own) {
    size_t now = type->now;
    memcpy(own, given, size < now ? size : now);
    memcpy(own, &now, sizeof now);
}

samc_status samc__abi_take(const samc__abi *type, const void *given, void *own, samc_error *error) {
    SAMC__TRY(samc__abi_check(type, given, error));
    take(type, given, size_of(given), own);
    return SAMC_OK;
}

samc_status samc__abi_array(const samc__abi *type, const void *given, int count, const void **own, samc_error *error) {
    *own = NULL;
    SAMC__TRY(samc__abi_check_size(type, given, error));
    size_t size = size_of(given), now = type->now;
    for (int i = 0; i < count; i++)
        SAMC__TRY(check_tail(type, (const unsigned char *)given + (size_t)i * size, size, error));
    if (size == now) {
        *own = given;
        return SAMC_OK;
    }
    char *copy = calloc((size_t)count, now);
    if (copy == NULL) return samc__fail(error, SAMC_OUT_OF_MEMORY, "no memory for %d of %s", count, type->name);
    for (int i = 0; i < count; i++) take(type, (const char *)given + (size_t)i * size, size, copy + (size_t)i * now);
    *own = copy;
    return SAMC_OK;
}

void samc__abi_array_free(const void *given, const void *own) {
    if (own != given) free((void *)own);
}

static void give(const samc__abi *type, const void *own, size_t size, void *out) {
    size_t now = type->now;
    memcpy(out, own, size < now ? size : now);
    if (size > now) memset((char *)out + now, 0, size - now);
    memcpy(out, &size, sizeof size);
}

samc_status samc__abi_give(const samc__abi *type, const void *own, void *out, samc_error *error) {
    SAMC__TRY(samc__abi_check_size(type, out, error));
    give(type, own, size_of(out), out);
    return SAMC_OK;
}

samc_status samc__abi_give_array(const samc__abi *type, const void *rows, int count, void *out, samc_error *error) {
    SAMC__TRY(samc__abi_check_size(type, out, error));
    size_t size = size_of(out), now = type->now;
    for (int i = 0; i < count; i++)
        give(type, (const char *)rows + (size_t)i * now, size, (char *)out + (size_t)i * size);
    return SAMC_OK;
}
