/* Names that results carry, made of paths. */
#ifndef SAMC_HOST_IO_KEY_H
#define SAMC_HOST_IO_KEY_H

#include <stdbool.h>

/* `path` without a leading /, without empty and "." components, into `out` (room: strlen(path) + 1). ".." components
 * are left out and make it return false: such a name would leave the output folder. */
bool samc__key_of_path(const char *path, char *out);

#endif
