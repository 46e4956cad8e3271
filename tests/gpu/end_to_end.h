/* What end_to_end.c and speed.c share: what was asked for, lines of results, an opened engine. */
#ifndef SAMC_TESTS_GPU_END_TO_END_H
#define SAMC_TESTS_GPU_END_TO_END_H

#include "tests/parity/gates.h"

#include <stddef.h>
#include <stdint.h>

enum { MOST_BATCH = 64 }; /* images together */

typedef struct request {
    const char *verb, *model, *second, *name, *json;
    const gates *gate;
    samc_backend oracle;
    int width, height, points, seed, batches[8], batch_count;
    double seconds;
} request;

void die(const char *format, ...) __attribute__((noreturn, format(printf, 1, 2)));
void *allocate(size_t bytes); /* zeros; never NULL */

/* One line of JSON, also printed. Rows begin with what was asked for. */
typedef struct row {
    char text[2000];
} row;
row row_begin(const request *r, const char *what);
void row_add(row *r, const char *format, ...) __attribute__((format(printf, 2, 3)));
void row_finish(const request *r, row *line); /* appends it to r->json */

typedef struct engine {
    samc_model *model;
    samc_session *session;
    samc_model_info info;
} engine;
engine open_engine(const char *path, samc_backend backend, samc_precision precision);
void close_engine(engine *e);
void must(const engine *e, samc_status status, const char *what);
samc_image scene(const request *r, uint64_t seed); /* pixels to be freed */

/* Times the encoder, the decoder and every operator, or automatic masks; 1 if a figure failed. */
int run_speed(const request *r, bool automatic);

#endif
