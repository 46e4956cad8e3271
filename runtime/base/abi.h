/* Structs that cross the interface. Each begins with `size`, by which the library knows how much of it the caller
 * knows: fields that came later keep their defaults where they are read, and are not written. */
#ifndef SAMC_RUNTIME_BASE_ABI_H
#define SAMC_RUNTIME_BASE_ABI_H

#include "runtime/samc.h"

/* X(type, last field of its first version): all of them. A field more goes to the end of its struct, not here. */
#define SAMC__ABI_LIST(X) X(samc_mask, count_length)

typedef enum samc__abi {
#define SAMC__ABI_ENUM(type, last) SAMC__ABI_##type,
    SAMC__ABI_LIST(SAMC__ABI_ENUM)
#undef SAMC__ABI_ENUM
        SAMC__ABI_COUNT
} samc__abi;

/* SAMC_INVALID_ARGUMENT: NULL, or a size that no version of the struct has. SAMC_UNSUPPORTED: a field that this library
 * does not know is not zero. */
samc_status samc__abi_check(samc__abi type, const void *given, samc_error *error);

/* The caller's struct over `own`, a whole one that holds the defaults. */
samc_status samc__abi_take(samc__abi type, const void *given, void *own, samc_error *error);

/* `own`, a whole one, into the caller's struct, whose size stays: fields that this library does not know become zero.
 */
samc_status samc__abi_give(samc__abi type, const void *own, void *out, samc_error *error);

#endif
