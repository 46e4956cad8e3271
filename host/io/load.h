/* The first stages of the archive run for one image: reading and decoding it, and telling what is its own fault from an
 * outage. */
#ifndef SAMC_HOST_IO_LOAD_H
#define SAMC_HOST_IO_LOAD_H

#include "host/io/collect.h"
#include "host/io/budget.h"

/* Reads the image's file, unless its bytes are there already, and decodes it, with job->held bytes of the budget taken.
 * SAMC_STOPPED: the run is given up. Other failures are in job->error, with nothing held. */
samc_status samc__load(const samc_archive_options *options, const samc__inputs *inputs, samc__budget *budget,
                       samc__job *job);
/* Whether a failure says nothing about the image: a disk or a network that does not answer, no descriptors left, or a
 * root of the inputs that is gone. Then the run has to stop, and job->error says why. */
bool samc__load_is_outage(const samc__inputs *inputs, samc__job *job);
/* The picture's pixels are no longer needed; nor is the image in flight. */
void samc__job_drop_pixels(samc__job *job, samc__budget *budget);
void samc__job_leave(samc__job *job, samc__budget *budget);
void samc__job_drop_bytes(samc__job *job, samc__budget *budget);

#endif
