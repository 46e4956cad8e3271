/* Texts of the statuses and the one function that fills error messages. */
#include "runtime/base/status.h"

#include <stdarg.h>
#include <stdio.h>

const char *samc_status_text(samc_status status) {
    static const char *const texts[] = {
#define SAMC_STATUS_TEXT(name, text) text,
        SAMC_STATUS_LIST(SAMC_STATUS_TEXT)
#undef SAMC_STATUS_TEXT
    };
    size_t index = (size_t)status;
    return index < sizeof texts / sizeof *texts ? texts[index] : "unknown status";
}

const char *samc_version(void) { return SAMC_VERSION; }

samc_status samc__fail(samc_error *error, samc_status status, const char *format, ...) {
    if (error != NULL) {
        va_list arguments;
        va_start(arguments, format);
        error->status = status;
        vsnprintf(error->message, sizeof error->message, format, arguments);
        va_end(arguments);
    }
    return status;
}
