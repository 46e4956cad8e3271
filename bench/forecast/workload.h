/* What the model asks of a GPU: every operator call of encoder, decoder and post-processing with its arithmetic and its
 * bytes, counted by rehearsing the code itself over a table of operators that only look at their arguments. No weights,
 * no device, no time. */
#ifndef SAMC_BENCH_FORECAST_WORKLOAD_H
#define SAMC_BENCH_FORECAST_WORKLOAD_H

#include "runtime/samc.h"

/* Calls of one operator with one shape. Counts are of one call. */
typedef struct samc__work {
    const char *op;   /* as in kernels/list.h */
    const char *form; /* which of its kernels: "cuBLASLt", "cuBLASLt + GELU", "own"; "global", "window"; else "" */
    long long calls;
    double flops;      /* the operator's own count, x_flops() */
    double tensor;     /* floating point operations that the CUDA kernel does on tensor cores; folding makes them differ
                          from flops */
    double plain;      /* the same outside them, where they may bound it */
    double bytes;      /* every argument read or written once; scratch is not counted */
    double gelu_bytes; /* of a linear layer with a GELU: what a second pass for it would move; else 0 */
    double pass_bytes; /* moved by a second pass over the result, when the rest is done */
    double blocks;     /* that share the tensor cores' work evenly, where their number may leave some idle; 0: many */
    int launches, steps; /* kernels, and steps of a walk that one block takes alone */
    int capability;      /* the workload's */
} samc__work;

enum { SAMC__MOST_WORK = 96 };
typedef struct samc__workload {
    int capability; /* of the GPU, 90 for 9.0: some kernels are chosen by it */
    int rows;
    samc__work row[SAMC__MOST_WORK];
} samc__workload;

/* The shapes of a model: one of the official ones by its name, "vit_b", "vit_l" or "vit_h", or a file's. */
typedef struct samc__shapes samc__shapes;
samc_status samc__shapes_open(const char *name_or_path, samc__shapes **shapes, samc_error *error);
void samc__shapes_close(samc__shapes *shapes);
struct samc__config; /* runtime/model/tensors.h */
const struct samc__config *samc__shapes_config(const samc__shapes *shapes);

/* Each adds to `load` (begin with {0}, or with a capability); activations are bf16. `images` is 1 to 64, prompts are of
 * one point each. */
samc_status samc__count_encode(const samc__shapes *shapes, int images, int width, int height, samc__workload *load,
                               samc_error *error);
samc_status samc__count_decode(const samc__shapes *shapes, int prompts, samc__workload *load, samc_error *error);
/* Statistics of masks in the image's size as if the predicted IoU let all of them pass, then bits and run lengths of
 * SAMC__COUNT_KEPT at most, and their suppression. */
enum { SAMC__COUNT_KEPT = 512 };
samc_status samc__count_post(const samc__shapes *shapes, int prompts, int width, int height, samc__workload *load,
                             samc_error *error);

#endif
