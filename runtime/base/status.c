/* The one function that fills error messages. */
#include "runtime/base/decimal.h"
#include "runtime/base/status.h"

#include <stdarg.h>
#include <stdio.h>

samc_status samc__fail(samc_error *error, samc_status status, const char *format, ...) {
    if (error != NULL) {
        va_list arguments;
        va_start(arguments, format);
        error->status = status;
        samc__print_list(error->message, sizeof error->message, format, arguments);
        va_end(arguments);
    }
    return status;
}
