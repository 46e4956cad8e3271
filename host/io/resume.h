/* What a run finds in its folder: everything is looked at first, then made good. */
#ifndef SAMC_HOST_IO_RESUME_H
#define SAMC_HOST_IO_RESUME_H

#include "host/io/collector.h"

/* Results that are files of their own: <key><suffix>. */
typedef struct samc__result_file {
    unsigned format;
    const char *suffix;
} samc__result_file;
enum { SAMC__RESULT_FILES = 3 };
extern const samc__result_file samc__result_files[SAMC__RESULT_FILES];

/* Takes results back that have names and no record. */
samc_status samc__resume_take_back(samc__collector *collector, samc_error *error);
/* Each opens its streams at the last record, and publishes what is complete. */
samc_status samc__resume_errors(samc__collector *collector, samc_error *error);
samc_status samc__resume_lines(samc__collector *collector, samc_error *error);
samc_status samc__resume_coco(samc__collector *collector, samc_error *error);
/* The file of lines for the next record. */
samc_status samc__resume_next_lines(samc__collector *collector, samc_error *error);
/* The file of lines that ends with the last record committed becomes visible. */
samc_status samc__resume_publish_lines(samc__collector *collector, samc_error *error);
/* Looks at every file that the run will change or make, before anything is changed: what is missing, damaged or
 * somebody else's is an error. */
samc_status samc__collector_check(samc__collector *collector, samc_error *error);

#endif
