/* Reading a configuration: from tensors' shapes and, where present, from the metadata "samc.config".
 *
 * One context keeps what is wrong: tensors that are missing or misshapen are collected and told of together, otherwise
 * the first failure counts. */
#ifndef SAMC_RUNTIME_MODEL_READING_H
#define SAMC_RUNTIME_MODEL_READING_H

#include "runtime/base/json.h"
#include "weights/reader.h"

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

/* What another program's configuration calls a field of "samc.config": an object in it by its path, or NULL, and a key
 * there. */
typedef struct samc__foreign_name {
    const char *key, *object, *name;
} samc__foreign_name;

typedef struct samc__reading {
    const samc__checkpoint *checkpoint;
    samc__json json; /* "samc.config", a slice of the checkpoint's metadata, or another's text; may be absent */
    samc__report report;
    samc_status status; /* the first failure's, whose message is in `error` */
    samc_error *error;
    const char *where;               /* what `json` is, for messages; NULL: metadata samc.config */
    const samc__foreign_name *names; /* of its fields, to a NULL; NULL: their own */
    int image_size;                  /* what the caller says of it, where no tensor does; 0: nothing */
} samc__reading;

/* The checkpoint's "samc.config" as an object; absent when it has none. */
samc_status samc__read_metadata(const samc__checkpoint *checkpoint, samc__json *json, samc_error *error);
/* Checks a text and that it is an object in which no key occurs twice. `where`: what it is, for messages. */
samc_status samc__read_object(const char *text, const char *label, const char *where, samc__json *json,
                              samc_error *error);
/* A field by samc's name for it; absent where it is not there. */
samc__json samc__read_field(const samc__reading *r, const char *key);
/* Where the configuration is, and what it calls a field, for messages. */
const char *samc__read_where(const samc__reading *r);
samc__text samc__read_name(const samc__reading *r, const char *key);

/* ---- Shapes ---- */

/* One side of a shape as a number to compute with; 0 if it is absurd, or the tensor NULL. */
int samc__read_side(const samc__tensor *tensor, int axis);
/* Finds a tensor that the configuration is read from, and reports it if it is missing or of another rank. */
const samc__tensor *samc__read_tensor(samc__reading *r, const char *name, int rank);
/* The number of layers named PREFIX0., PREFIX1. ...: one more than the highest, so that a gap shows as missing. */
int samc__read_layers(const samc__reading *r, const char *prefix);
/* True unless the tensors are absent and the metadata says that they may be: a lost tensor must not pass for a choice.
 */
bool samc__read_expected(const samc__reading *r, const char *key, bool found);

/* ---- Metadata ---- */

void samc__read_fail(samc__reading *r, samc_status status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
void samc__read_malformed(samc__reading *r, const char *key, const char *expected);
void samc__read_contradicts(samc__reading *r, const char *key, double says, double tensors);
/* A number from 0 to 2^24, far more than any field may have. False if absent or wrong. */
bool samc__read_count(samc__reading *r, const char *key, int *value);
/* The tensors win only in being right: where both speak and differ, the file is refused. `known`: the tensors say it.
 */
void samc__merge_count(samc__reading *r, const char *key, int *value, bool known);
void samc__merge_flag(samc__reading *r, const char *key, bool value);
void samc__merge_float(samc__reading *r, const char *key, samc__json field, float *value, bool positive);
void samc__merge_triple(samc__reading *r, const char *key, float values[3], bool positive);

/* ---- Bounds ---- */

typedef struct samc__bounds {
    const char *name;
    int value, least, most;
} samc__bounds;
samc_status samc__check_bounds(const char *label, const samc__bounds *bounds, size_t count, samc_error *error);
typedef struct samc__multiple {
    const char *name;
    int value;
    const char *by_name;
    int by;
} samc__multiple;
samc_status samc__check_multiples(const char *label, const samc__multiple *multiples, size_t count, samc_error *error);

/* ---- Writing ---- */

void samc__write_count(samc__json_text *text, const char *key, int value);
void samc__write_flag(samc__json_text *text, const char *key, bool value);
void samc__write_triple(samc__json_text *text, const char *key, const float values[3]);
/* Copies the fields of `from` that are not in the list `except`. */
void samc__write_others(samc__json_text *text, samc__json from, const char *const *except, size_t count);

#endif
