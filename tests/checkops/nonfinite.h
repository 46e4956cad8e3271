/* NaN and infinities: every operator must carry them on, exactly where straightforward arithmetic does. */
#ifndef SAMC_TESTS_CHECKOPS_NONFINITE_H
#define SAMC_TESTS_CHECKOPS_NONFINITE_H

#include "tests/checkops/checkops.h"

/* What straightforward IEEE arithmetic makes of the arguments, in double precision: for each buffer of floats that the
 * operator writes, as many doubles; NULL for the others. The caller frees them. False: the operator has no floats to
 * look at. */
bool evaluate(const check *c, const char *name, double *expected[MAX_BUFFERS]);

/* The floats of buffer `index` that may be planted in, at their place before a run; NULL: none. Boxes count, bits do
 * not. */
float *plantable(check *c, const char *name, int index, int64_t *count);

/* Whether a value planted in this buffer can occur there. Position encodings are sines and cosines: NaN or at most one.
 */
bool occurs(const check *c, const char *name, int index, float value);

/* Whether buffer `index` may be non-finite where the book's is not, with `value` planted in another: in image_to_token
 * an infinite token makes every term of a score infinite, and whether their sum is -infinity, a weight of 0, or NaN is
 * a matter of their order. What it notes for others also depends on that for infinite keys, whose y is NaN for both. */
bool may_spread(const check *c, const char *name, int planted, float value, int index);

/* Shapes of the tensor-core kernels, which the cases of the operators' rows may not have; ended by a NULL name. */
typedef struct shape {
    const char *name;
    int p[MAX_PARAMS];
} shape;
extern const shape tensor_shapes[];

/* Runs the operator on the CUDA kernels (tests/emu/emu_nonfinite.cc), tensors in the given type. SAMC_UNSUPPORTED where
 * no kernel does that. */
samc_status run_cuda(const char *name, check *c, samc__dtype type, samc_error *error);

#endif
