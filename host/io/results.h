/* The writing stage of the archive run: what one image becomes, as files in the scratch folder and as text. */
#ifndef SAMC_HOST_IO_RESULTS_H
#define SAMC_HOST_IO_RESULTS_H

#include "host/io/collector.h"

/* Writes the files of a job and makes its text. */
samc_status samc__results_write(const samc_archive_options *options, const samc__store *store, samc__job *job,
                                samc_error *error);
/* Takes back what was written of an image that failed. */
void samc__results_discard(const samc__store *store, const samc__job *job);

#endif
