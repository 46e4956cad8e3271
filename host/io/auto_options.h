/* The options of automatic masks by name, and as JSON for the journal. */
#ifndef SAMC_HOST_IO_AUTO_OPTIONS_H
#define SAMC_HOST_IO_AUTO_OPTIONS_H

#include <jansson.h>

#include "host/io/samc_io.h"

/* Adds those that results depend on to an object. */
void samc__auto_options_describe(const samc_auto_options *options, json_t *object);

#endif
