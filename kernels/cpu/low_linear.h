/* The matrix product of the 16-bit rungs: y = act(x . w^T + b) + residual with packed weights; rows of x as they lie in
 * memory, or gathered by a callback.
 *
 * linear and conv3x3 share it: a convolution is a linear layer whose rows are gathered from nine neighbours. */
#ifndef SAMC_KERNELS_CPU_LOW_LINEAR_H
#define SAMC_KERNELS_CPU_LOW_LINEAR_H

#include "kernels/cpu/linear.h"
#include "kernels/cpu/low.h"

typedef struct samc__low_gemm {
    /* Row `row` of the left side, k elements, to `out`. */
    void (*gather)(const void *source, int64_t row, uint16_t *out);
    const void *source;
    const uint16_t *x; /* [m, k] in rows x_stride apart: the left side as it is; NULL: only `gather` has it */
    int64_t x_stride;
    int64_t m, n, k;
    const uint16_t *panels; /* [ceil(n / 32)][kp / 2][32][2], samc__pack_panel_bf16 */
    const float *bias;      /* [n] or NULL */
    samc__view residual;    /* [r, n], f32 or bf16, or absent; may be y */
    samc__view y;           /* [m, n], f32 or bf16, rows y_stride apart */
    int64_t y_stride;
    samc__act act;
    bool act_last; /* behind the residual */
} samc__low_gemm;

samc_status SAMC__RUNG(samc__low_gemm)(const samc__exec *exec, const samc__low_gemm *gemm);

/* n floats, rounded. */
SAMC__INLINE void low_round(const float *from, int64_t n, uint16_t *to) {
    int64_t i = 0;
    for (; i + 2 * VW <= n; i += 2 * VW) vb_store(to + i, vb_round(vf_load(from + i), vf_load(from + i + VW)));
    for (; i < n; i += VW) {
        const int64_t count = n - i < VW ? n - i : VW;
        vf_store_bf16_first(to + i, count, vf_load_first(from + i, count));
    }
}

#endif
