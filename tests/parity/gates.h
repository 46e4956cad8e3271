/* What "the same result" means, for every test that holds one backend against another or against the original. */
#ifndef SAMC_TESTS_PARITY_GATES_H
#define SAMC_TESTS_PARITY_GATES_H

#include "runtime/samc.h"
#include "tests/emu/tensor_core.h"

#include <math.h>
#include <string.h>

/* Mean squared error over the reference's variance, and largest error over its deviation. f32: the design's. 16 bits:
 * rounding a value to a mantissa of which half a place is u (f16 2^-11, bf16 2^-8) is off by 0.42 u in the root mean
 * square (u / sqrt(3), times 0.72 in the mean over mantissas), so 0.173 u^2 in squares: 4.1e-8 and 2.6e-6. The tiny
 * model's embedding shows 20 of these one after another (8.4e-7, 4.7e-5: about six in each block, and those of
 * weights), the decoder amplifies them, most in the few predicted IoU. The gates are 384 of them: 24 in series, times 4
 * in amplitude. The largest error: 7.5 deviations of that. Tensor cores add what nmse_gate() says. Hosts round in the
 * same places: 5.5e-5 of the embedding, 2.7e-4 of the logits, 7.6e-4 of the predicted IoU on either rung of 16 bits, of
 * which weights alone, on the rungs of f32, are 2.1e-5, 8.4e-5 and 4.5e-4. */
typedef struct gates {
    const char *name;
    samc_precision precision;
    double nmse, max;
} gates;
static const gates all_gates[] = {{"f32", SAMC_PRECISION_F32, 1e-10, 1e-4},
                                  {"f16", SAMC_PRECISION_F16, 1.6e-5, 0.03},
                                  {"bf16", SAMC_PRECISION_BF16, 1e-3, 0.24}};
static const double least_mask_iou = 0.98; /* median over all full-size masks */

/* NULL for an unknown name. */
static inline const gates *gates_named(const char *name) {
    for (size_t i = 0; i < sizeof all_gates / sizeof *all_gates; i++)
        if (strcmp(name, all_gates[i].name) == 0) return &all_gates[i];
    return NULL;
}

/* The gate of the mean squared error on a GPU, for this model: beside the rounding of activations the sums of its
 * tensor cores, of which the longest are the MLP's. It is little: 2e-10 for the tiny model, 3e-7 for ViT-B, 6e-6 for
 * ViT-H. */
static inline double nmse_gate(const gates *g, const samc_model_info *info) {
    if (g->precision == SAMC_PRECISION_F32 || info->backend != SAMC_BACKEND_CUDA) return g->nmse;
    return g->nmse + tensor_core_nmse(info->encoder_depth, info->encoder_mlp_dim);
}

static inline double deviation_of(const float *x, int64_t n) {
    double sum = 0, squares = 0;
    for (int64_t i = 0; i < n; i++) sum += x[i];
    for (int64_t i = 0; i < n; i++) squares += (x[i] - sum / (double)n) * (x[i] - sum / (double)n);
    return sqrt(squares / (double)n);
}

/* Errors in deviations. A NaN or an infinity anywhere makes them infinite. */
static inline void errors_of(const float *reference, const float *value, int64_t n, double deviation, double *nmse,
                             double *largest) {
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
