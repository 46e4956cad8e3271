/* samc auto on a volume. */
#ifndef SAMC_HOST_CLI_VOLUME_AUTO_H
#define SAMC_HOST_CLI_VOLUME_AUTO_H

#include "host/cli/auto_request.h"

/* Returns the exit code. */
int samc__volume_auto(samc__auto_request *request, char **inputs, int count);

#endif
