/* What a run finds in its folder: everything is looked at first, then made good. */
#ifndef SAMC_HOST_IO_RESUME_H
#define SAMC_HOST_IO_RESUME_H

#include <limits.h>

#include "host/io/collector.h"

/* Results that are files of their own: <key><suffix>, or <key without its extension><suffix>. */
typedef struct samc__result_file {
    unsigned format;
    const char *mark; /* the end of their names in the scratch folder and in marks, which no two have the same */
    const char *suffix;
    bool stem;
} samc__result_file;
enum { SAMC__RESULT_FILES = 4, SAMC__KEY_ROOM = PATH_MAX / 2 + 1 /* of a key that is not too long: names.c */ };
extern const samc__result_file samc__result_files[SAMC__RESULT_FILES];
/* What the suffix is put behind. */
void samc__result_key(const samc__result_file *file, const char *key, char out[SAMC__KEY_ROOM]);

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
/* The archive that the unit of the last record becomes: opened there, or published where the unit is over. */
samc_status samc__resume_samples(samc__collector *collector, samc_error *error);
samc_status samc__resume_publish_samples(samc__collector *collector, samc_error *error);
/* Looks at every file that the run will change or make, before anything is changed: what is missing, damaged or
 * somebody else's is an error. */
samc_status samc__collector_check(samc__collector *collector, samc_error *error);

#endif
