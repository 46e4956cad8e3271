/* What tells a file from others by all of its bytes: a run that goes on must read what it began with. */
#ifndef SAMC_HOST_IO_IDENTITY_H
#define SAMC_HOST_IO_IDENTITY_H

#include "runtime/samc.h"

enum { SAMC__IDENTITY = 64 };

/* "324000300 bytes, 9a3f...": of one file, or of several in their order. Reads each once from its first to its last
 * byte. Not against who makes files alike on purpose: any change of one byte shows, others but for one in 2^128. */
samc_status samc__identity(const char *const *paths, int count, char out[SAMC__IDENTITY], samc_error *error);

#endif
