/* The configuration as JSON: the metadata "samc.config" of a model file (see FORMAT.md). */
#ifndef SAMC_RUNTIME_MODEL_CONFIG_H
#define SAMC_RUNTIME_MODEL_CONFIG_H

#include "runtime/base/json.h"
#include "runtime/model/tensors.h"
#include "weights/reader.h"

/* The checkpoint's "samc.config" as an object, a slice of its metadata; absent when it has none. */
samc_status samc__config_metadata(const samc__checkpoint *checkpoint, samc__json *json, samc_error *error);

/* Takes over what the metadata says, and fails where it contradicts the tensors; `config` holds what the shapes say, 0
 * where they say nothing. `json` may be absent. Fills defaults, so that the configuration is complete afterwards. */
samc_status samc__config_merge(samc__json json, const samc__checkpoint *checkpoint, samc__config *config,
                               samc_error *error);

/* Writes the configuration as an object, followed by the fields of `json` (may be absent) that samc does not know. */
void samc__config_write(const samc__config *config, samc__json json, samc__json_text *text);

/* Checks ranges and divisibility, so that no later size computation can overflow. */
samc_status samc__config_check(const samc__config *config, const char *label, samc_error *error);

/* A list of defects for one message: as many as fit, then how many more there are. */
typedef struct samc__report {
    char text[760]; /* leaves room for the file's name in samc_error.message */
    size_t used, count, left_out;
    const char *kind; /* of the last item, to write each heading once */
} samc__report;
void samc__report_add(samc__report *report, const char *kind, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* SAMC_OK for an empty report. A checkpoint of another architecture is named as that instead. */
samc_status samc__report_finish(samc__report *report, const samc__checkpoint *checkpoint, samc_error *error);

/* "[192, 3, 16, 16]" */
samc__text samc__shape_text(int rank, const int64_t *shape);

#endif
