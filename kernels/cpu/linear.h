/* The matrix product of the cpu table: y = act(x . w^T + b) + residual, or act of all of it, with packed weights, rows
 * of x gathered by a callback.
 *
 * linear and conv3x3 share it: a convolution is a linear layer whose rows are gathered from nine neighbours. */
#ifndef SAMC_KERNELS_CPU_LINEAR_H
#define SAMC_KERNELS_CPU_LINEAR_H

#include "kernels/linear/linear.h"
#include "kernels/ops.h"
#include "kernels/cpu/packed.h"
#include "kernels/cpu/vec.h"

typedef struct samc__gemm {
    /* Copies elements [begin, end) of row `row` of the left side to `out`. */
    void (*gather)(const void *source, int64_t row, int64_t begin, int64_t end, float *out);
    const void *source;
    int64_t m, n, k;
    const float *panels;   /* [ceil(n / 32)][k][32], samc__pack_panel; or NULL, and: */
    const uint16_t *low;   /* [ceil(n / 32)][kp / 2][32][2], samc__pack_panel_bf16; widened where they are needed */
    const float *bias;     /* [n] or NULL */
    const float *residual; /* [residual_rows, n] or NULL; may be y */
    int64_t residual_rows;
    float *y; /* [m, n], rows y_stride apart */
    int64_t y_stride;
    samc__act act;
    bool act_last; /* behind the residual */
} samc__gemm;

samc_status SAMC__RUNG(samc__gemm)(const samc__exec *exec, const samc__gemm *gemm);

/* Runs `task` on the pool, or on the caller alone where waking the pool would cost more than `flops` of work. */
static inline void samc__parallel(const samc__exec *exec, double flops, int64_t n, int64_t grain, samc__task *task,
                                  void *context) {
    if (exec->rehearsal) return;
    if (flops < 2e6 || exec->workers == 1) /* about 20 microseconds */
        for (int64_t begin = 0; begin < n; begin += grain)
            task(context, begin, begin + grain < n ? begin + grain : n, 0);
    else exec->parallel(exec->pool, n, grain, task, context);
}

#endif
