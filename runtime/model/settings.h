/* What a caller may set of a model beside what its file says: samc_options.settings, `samc --set NAME=VALUE`. */
#ifndef SAMC_RUNTIME_MODEL_SETTINGS_H
#define SAMC_RUNTIME_MODEL_SETTINGS_H

#include "runtime/model/config.h"

/* A number of the configuration that callers may set. A family's list of them ends with a name of NULL. */
typedef struct samc__setting {
    const char *name;
    double least, most;
    size_t offset; /* of a float in samc__config */
} samc__setting;

/* Applies "NAME=VALUE" ..., ended by NULL (or NULL: none), in order. Errors, in one line that begins with `path` and
 * names all that is known: another name, a value that is no number or out of bounds. */
samc_status samc__settings_apply(const samc__setting *known, const char *const *given, samc__config *config,
                                 const char *path, samc_error *error);

/* What they are, "NAME=VALUE,...", into text [size]; all, or with `file` those that are otherwise there. Errors: no
 * memory, no room. */
samc_status samc__settings_print(const samc__setting *known, const samc__config *config, const samc__config *file,
                                 char *text, size_t size, samc_error *error);

#endif
