/* Reading and writing structs of which the caller may know more or less than the library. */
#include "runtime/base/abi.h"

#include <string.h>

#include "runtime/base/status.h"

static const struct {
    const char *name;
    size_t first, now; /* bytes up to the end of its first version's last field, and of all */
} known[] = {
#define SAMC__ABI_ROW(type, last) {#type, offsetof(type, last) + sizeof(((type *)0)->last), sizeof(type)},
    SAMC__ABI_LIST(SAMC__ABI_ROW)
#undef SAMC__ABI_ROW
};

enum { MOST = 4096 }; /* bytes; beyond any version to come: a size that was never set is not believed */

static size_t size_of(const void *given) {
    size_t size; /* elements of an array whose stride is odd are not aligned */
    memcpy(&size, given, sizeof size);
    return size;
}

static samc_status check_size(samc__abi type, const void *given, samc_error *error) {
    if (given == NULL) return samc__fail(error, SAMC_INVALID_ARGUMENT, "%s: NULL", known[type].name);
    size_t size = size_of(given);
    if (size >= known[type].first && size <= MOST) return SAMC_OK;
    return samc__fail(error, SAMC_INVALID_ARGUMENT, "%s: its size is %zu; it must be set to sizeof(%s)",
                      known[type].name, size, known[type].name);
}

samc_status samc__abi_check(samc__abi type, const void *given, samc_error *error) {
    SAMC__TRY(check_size(type, given, error));
    size_t size = size_of(given), now = known[type].now;
    for (size_t i = now; i < size; i++)
        if (((const unsigned char *)given)[i] != 0)
            return samc__fail(error, SAMC_UNSUPPORTED,
                              "%s: a field beyond the %zu bytes that samc %s knows is not zero", known[type].name, now,
                              SAMC_VERSION);
    return SAMC_OK;
}

samc_status samc__abi_take(samc__abi type, const void *given, void *own, samc_error *error) {
    SAMC__TRY(samc__abi_check(type, given, error));
    size_t size = size_of(given), now = known[type].now;
    memcpy(own, given, size < now ? size : now);
    memcpy(own, &now, sizeof now);
    return SAMC_OK;
}

samc_status samc__abi_give(samc__abi type, const void *own, void *out, samc_error *error) {
    SAMC__TRY(check_size(type, out, error));
    size_t size = size_of(out), now = known[type].now;
    memcpy(out, own, size < now ? size : now);
    if (size > now) memset((char *)out + now, 0, size - now);
    memcpy(out, &size, sizeof size);
    return SAMC_OK;
}
