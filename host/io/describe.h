/* What the results of a run depend on, as JSON that a run which goes on with it has to share. */
#ifndef SAMC_HOST_IO_DESCRIBE_H
#define SAMC_HOST_IO_DESCRIBE_H

#include <jansson.h>

#include "host/io/samc_io.h"

/* The model and how it computes; NULL: that there is none. NULL with an error. */
json_t *samc__describe_model(const samc_model *model, samc_error *error);
/* Phrases or labels, under `key`, and whose they are. False with an error. */
bool samc__describe_phrases(const samc_phrases *phrases, const char *key, json_t *json, samc_error *error);

#endif
