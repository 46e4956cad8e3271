/* linear: y = act(x . w^T + b) + residual, the GEMM of every projection, with its epilogue.
 *
 * Rows of x and y may be spaced wider than their length, so that single tokens of a sequence can be projected in place.
 * The residual has r rows; row i of y takes row i % r (a position table shared by a batch). y may be the residual. */
#ifndef SAMC_KERNELS_LINEAR_LINEAR_H
#define SAMC_KERNELS_LINEAR_LINEAR_H

#include "runtime/base/view.h"

typedef enum samc__act {
    SAMC__ACT_NONE,
    SAMC__ACT_GELU, /* erf */
    SAMC__ACT_RELU,
    SAMC__ACT_GELU_TANH, /* torch's approximation "tanh" */
    SAMC__ACT_HARDSWISH,
    SAMC__ACT_GELU_QUICK, /* x sigmoid(1.702 x), CLIP's */
    SAMC__ACT_ELU,
    SAMC__ACTS
} samc__act;

typedef struct samc__linear_args {
    samc__view x;       /* [m, k] */
    samc__projection p; /* w [n, k], b [n] or absent */
    samc__view b_of_y; /* [n] b again in y's type, or absent: on a GPU the only bias that cuBLASLt adds to a 16-bit y */
    samc__view residual;        /* [r, n] or absent */
    samc__view y;               /* [m, n] */
    int64_t x_stride, y_stride; /* elements between rows; 0: dense */
    samc__act act;
    bool act_last; /* act(x . w^T + b + residual) */
} samc__linear_args;

#endif
