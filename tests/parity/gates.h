/* What "the same result" means, for every test that holds one backend against another or against the original. */
#ifndef SAMC_TESTS_PARITY_GATES_H
#define SAMC_TESTS_PARITY_GATES_H

#include "runtime/samc.h"

#include <math.h>
#include <string.h>

/* Mean squared error over the reference's variance, and largest error over its deviation. f32: the design's. The noise of 16-bit
 * activations is seen at 1e-6 (f16) and 6e-5 (bf16, 3 bits fewer, so 64 times the squares) in logits, and six times that in the few
 * predicted IoU. */
typedef struct gates { const char *name; samc_precision precision; double nmse, max; } gates;
static const gates all_gates[] = {
    {"f32", SAMC_PRECISION_F32, 1e-10, 1e-4}, {"f16", SAMC_PRECISION_F16, 1.6e-5, 0.03}, {"bf16", SAMC_PRECISION_BF16, 1e-3, 0.24}};
static const double least_mask_iou = 0.98; /* median over all full-size masks */

/* NULL for an unknown name. */
static inline const gates *gates_named(const char *name) {
    for (size_t i = 0; i < sizeof all_gates / sizeof *all_gates; i++)
        if (strcmp(name, all_gates[i].name) == 0) return &all_gates[i];
    return NULL;
}

static inline double deviation_of(const float *x, int64_t n) {
    double sum = 0, squares = 0;
    for (int64_t i = 0; i < n; i++) sum += x[i];
    for (int64_t i = 0; i < n; i++) squares += (x[i] - sum / (double)n) * (x[i] - sum / (double)n);
    return sqrt(squares / (double)n);
}

/* Errors in deviations. A NaN or an infinity anywhere makes them infinite. */
static inline void errors_of(const float *reference, const float *value, int64_t n, double deviation, double *nmse, double *largest) {
    double squares = 0, most = 0;
    for (int64_t i = 0; i < n; i++) {
        double error = fabs((double)value[i] - (double)reference[i]) / deviation;
        squares += error * error;
        if (!(error <= most)) most = error;
        if (!isfinite(error)) squares = most = INFINITY;
    }
    *nmse = squares / (double)n;
    *largest = most;
}

#endif
