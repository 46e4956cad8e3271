/* checkops: the check and the benchmark of every operator, from one list of cases.
 *
 * A row describes an operator: its cases as small integers with names, how to build arguments from them, how to draw
 * any valid shape at random, and how close a fast version must come to the reference. Every buffer and all scratch lie
 * between pages that nobody may touch (guard.h), inputs may not be written, outputs and scratch are NaN before each
 * run. */
#ifndef SAMC_TESTS_CHECKOPS_H
#define SAMC_TESTS_CHECKOPS_H

#include "kernels/ops.h"
#include "tests/checkops/guard.h"

enum { MAX_PARAMS = 12, MAX_BUFFERS = 40 };

typedef enum role { IN, OUT, INOUT } role;

typedef struct buffer {
    void *data;
    size_t bytes;
    enum role role; /* C++ reads this too */
    bool floats;    /* compared with a tolerance; otherwise byte by byte */
    void *initial;  /* copy of the data before any run, for IN and INOUT */
} buffer;

/* What the inputs look like. MODEL: near-normal values as in a real network. */
typedef enum pattern {
    PATTERN_MODEL,
    PATTERN_LARGE_MEAN,
    PATTERN_LARGE,
    PATTERN_ZERO,
    PATTERN_DENORMAL,
    PATTERNS
} pattern;

typedef struct check {
    uint64_t random;
    enum pattern pattern;
    guard_place place; /* of every buffer */
    buffer buffers[MAX_BUFFERS];
    int count;
    samc__up_layer layers[4]; /* what arguments point to */
    union {
#define SAMC_OP(name) samc__##name##_args name;
#include "kernels/list.h"
#undef SAMC_OP
    } args;
} check;

typedef struct test_case {
    int full; /* 0: quick; 1: shapes of real models, for the full run and the benchmark */
    int p[MAX_PARAMS];
} test_case;

typedef struct row {
    const char *name;
    const char *fields; /* names of p[], for the report */
    /* Against the reference on MODEL inputs: normalised mean squared error, and largest error in units of the
     * reference's standard deviation. Other patterns may exceed it as far as the reference itself moves when its inputs
     * are rounded differently in the last place, times `slack`. */
    double nmse, deviation;
    const test_case *cases;
    int case_count;
    void (*build)(check *c, const int *p);
    /* Narrows the arguments to the last entry of a batch (same buffers); false where the case has only one. NULL: none.
     */
    bool (*narrow)(check *c, const int *p);
    /* NULL, or what is wrong with a result by another algorithm than the reference's. NULL: the reference is enough. */
    const char *(*verify)(const check *c, const int *p);
    /* Fills p[] with a valid shape, anything an operator promises to do; what would take too long is drawn again. */
    void (*draw)(check *c, int *p);
} row;

/* One row for each operator that has cases, ended by a NULL name. */
extern const row encoder_rows[], prompt_rows[], decoder_rows[], image_rows[], mask_rows[];

/* Buffers of `count` floats or `bytes` bytes. Random data follows the pattern, scaled by `scale`. */
float *input(check *c, int64_t count, float scale);
float *input_around(check *c, int64_t count, float mean, float scale); /* the same in every pattern: gains, biases */
float *output(check *c, int64_t count);
float *in_out(check *c, int64_t count, float scale);
void *raw_input(check *c, size_t bytes);  /* zeros to be filled by the caller */
void *raw_output(check *c, size_t bytes); /* compared byte by byte */
void *raw_in_out(check *c, size_t bytes);
const void *initial(const check *c, const void *data); /* the input of the buffer at `data` before the run */

void keep_initial(check *c); /* what the buffers hold now is the input of every run */
void protect_inputs(check *c, bool on);
void reset(check *c); /* inputs as they were, outputs NaN */
void free_buffers(check *c);
void snapshot_size(const check *c, size_t *size);
unsigned char *snapshot(const check *c,
                        size_t *size); /* copies of all outputs, one after the other; the caller frees */
uint32_t random_bits(check *c);
float random_uniform(check *c);    /* [0, 1) */
float random_normal(check *c);     /* deviation 1, near enough */
int random_below(check *c, int n); /* [0, n) */
/* A size in [1, most] that kernels are afraid of: small, or within one of a multiple of a vector, or any. */
int random_size(check *c, int most);

#endif
