/* Ranges in braces, as shells and WebDataset have them: "{00000..00099}.tar" are a hundred names. */
#ifndef SAMC_HOST_IO_BRACES_H
#define SAMC_HOST_IO_BRACES_H

#include "runtime/samc.h"

/* Calls `name` for each of the names that `text` stands for, the last range counting fastest, until it returns other
 * than SAMC_OK. Numbers have as many digits as the longer of their range's two ends where one of them begins with a
 * zero, and may count down. Other braces are themselves. */
samc_status samc__braces_each(const char *text, samc_status (*name)(void *context, const char *text), void *context,
                              samc_error *error);

#endif
