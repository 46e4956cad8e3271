/* What a caller may set of a model beside what its file says: samc_options.settings, `samc --set NAME=VALUE`. */
#ifndef SAMC_RUNTIME_MODEL_SETTINGS_H
#define SAMC_RUNTIME_MODEL_SETTINGS_H

#include "runtime/model/tensors.h"

/* Applies "NAME=VALUE" ..., ended by NULL (or NULL: none), in order, and writes what all of the model's settings are
 * then as "NAME=VALUE,..." into text [size]. Errors, in one line with the names that the model knows: another name, a
 * value that is no number or out of bounds. */
samc_status samc__settings_apply(samc__config *config, const char *const *settings, char *text, size_t size,
                                 samc_error *error);

#endif
