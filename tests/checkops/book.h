/* Every operator once more, by the book and in double precision.
 *
 * Sums, softmax and norms are written as their formulas say, with the subtraction of the largest score that every
 * implementation makes; none of the fast versions' folding or tiling. */
#ifndef SAMC_TESTS_CHECKOPS_BOOK_H
#define SAMC_TESTS_CHECKOPS_BOOK_H

#include "kernels/linear/linear.h"
#include "tests/checkops/checkops.h"

typedef struct book {
    const check *c;
    double **expected;
    double *owned[64]; /* freed at the end */
    int owned_count;
    samc__dtype low; /* what every step is rounded to; SAMC__F32: nothing is */
    bool tensor;     /* attend() multiplies as tensor cores do then; project() does so by its shape */
    int every; /* every how many-th row, pixel or query is asked for, where the operator's cases have such an `every` */
} book;

/* What straightforward IEEE arithmetic makes of the arguments: for each buffer of floats that the operator writes, as
 * many doubles, NULL for the others. The caller frees them. False: the operator has no floats to look at. */
bool evaluate(const row *r, const check *c, double *expected[MAX_BUFFERS]);
/* The same as a naive kernel in 16 bits has it: what projections and attention read, and weights of a softmax, are
 * rounded to `low`; scores, sums and what norms read are fp32. Tensor cores add as sm_80's, the coarsest. */
bool evaluate_low(const row *r, const check *c, samc__dtype low, bool tensor, double *expected[MAX_BUFFERS]);
/* Of large cases every how many-th row, pixel or query (row.every). */
bool evaluate_every(const row *r, const check *c, int every, double *expected[MAX_BUFFERS]);
/* What the operator's own naive kernel makes of case p, likewise; NaN where it says nothing. False: there is none. */
bool evaluate_naive(const row *r, const check *c, const int *p, int every, double *expected[MAX_BUFFERS]);

double *room(book *b, int64_t count); /* zeros */
int64_t count_of(samc__view v);
/* `count` values of the buffer at `data` before the run; zeros where there is none. */
double *values_at(book *b, const void *data, int64_t count);
double *values(book *b, samc__view v);
double *result(book *b, samc__view v); /* where the results of the buffer at `data` are expected */

float rounded_to(int type, float value); /* F32, F16 or BF16, and back */
double lower(const book *b, double x);   /* rounded to b->low */
double gelu(double x);
/* What linear layers and convolutions do to a sum: act(sum) + *added, or act(sum + *added) where `last`; NULL: nothing
 * is added. */
double finished(double sum, samc__act act, bool last, const double *added);
double *sum_of(book *b, const double *x, const double *y, int64_t count, int64_t y_count); /* y repeats */
double *project(book *b, const double *x, int64_t m, samc__projection p);                  /* x [m, k] . w^T + b */
/* Rows of c channels, in place; 1 / deviation of each goes to `scales` where that is not NULL. */
void normalise(book *b, double *x, int64_t rows, samc__norm norm, double *scales);
void softmax(double *score, int64_t n);
/* out [entries, tq, inner]; entry e reads entry e / (entries / sharing) of k and v, and of q where `q_shared`. Where
 * `weights` is not NULL, the softmax of query i of entry e for head h and key t goes to weights[((e tq + i) heads + h)
 * tk + t]. */
double *attend(book *b, const double *q, const double *k, const double *v, int64_t entries, int64_t q_entries,
               int64_t kv_entries, int64_t tq, int64_t tk, int64_t inner, int64_t heads, double *weights);
/* The encoding of position (x, y) in [0, 1]. */
void encode(double x, double y, const double *gaussian, int64_t c, double *out);
/* queries = norm(queries + out), or without them. */
void finish_queries(book *b, samc__view queries, double *out, samc__norm norm, bool residual);

#endif
