/* Statuses inside the library: one helper that fills a samc_error and returns its status. */
#ifndef SAMC_RUNTIME_BASE_STATUS_H
#define SAMC_RUNTIME_BASE_STATUS_H

#include "runtime/samc.h"

/* Fills `error` (may be NULL) and returns `status`, so that callers write `return samc__fail(error, ...)`. */
samc_status samc__fail(samc_error *error, samc_status status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Returns from the calling function when `expression` is not SAMC_OK. */
#define SAMC__TRY(expression)                                                                                          \
    do {                                                                                                               \
        samc_status status__ = (expression);                                                                           \
        if (status__ != SAMC_OK) return status__;                                                                      \
    } while (0)

#endif
