/* samc auto on a scene. */
#ifndef SAMC_HOST_CLI_AUTO_TILES_H
#define SAMC_HOST_CLI_AUTO_TILES_H

#include "host/cli/auto_request.h"

/* The whole run; there is to be one scene. Returns the exit code. */
int samc__auto_tiles(samc__auto_request *request, char **scenes, int count);

#endif
