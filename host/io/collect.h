/* The end of the archive run: results of images, in the order of the inputs, become files that survive. */
#ifndef SAMC_HOST_IO_COLLECT_H
#define SAMC_HOST_IO_COLLECT_H

#include "host/io/collector.h"

/* One with nothing open, which can be closed. */
samc__collector samc__collector_none(void);
/* Plans the run: behind the journal's last record. All arguments outlive it. Nothing is touched. */
samc__collector samc__collector_plan(const samc_archive_options *options, const samc__inputs *inputs,
                                     samc__store *store, samc__journal *journal);
/* Opens at the journal's last record and makes good what a crash left undone. */
samc_status samc__collector_open(samc__collector *collector, samc_error *error);
/* Before images are added: their files are marked as this run's. */
samc_status samc__collector_mark(samc__collector *collector, const samc__job *job, samc_error *error);
samc_status samc__collector_marked(samc__collector *collector, samc_error *error);
/* The next image: its files get their names, its lines are appended. Not yet safe. An image whose names the file system
 * of the output does not take has failed. */
samc_status samc__collector_add(samc__collector *collector, samc__job *job, samc_error *error);
/* All images added so far are done from now on, whatever happens. */
samc_status samc__collector_commit(samc__collector *collector, samc_error *error);
/* All images of the run are committed: the collected files become visible. */
samc_status samc__collector_finish(samc__collector *collector, samc_error *error);
void samc__collector_close(samc__collector *collector);

#endif
