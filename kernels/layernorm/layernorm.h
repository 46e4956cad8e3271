/* layernorm: y = (t - mean) / sqrt(var + eps) * g + b over the last dimension of t = x + residual, variance in two
 * passes.
 *
 * Also the original's LayerNorm2d: activations are kept as [pixels, channels] everywhere. The residual connection
 * before a norm is one operator with it: t goes to `sum`, where the next block goes on from it. y and sum may be x or
 * residual, not each other. */
#ifndef SAMC_KERNELS_LAYERNORM_LAYERNORM_H
#define SAMC_KERNELS_LAYERNORM_LAYERNORM_H

#include "runtime/base/view.h"

typedef struct samc__layernorm_args {
    samc__view x;        /* [m, c] */
    samc__view residual; /* [m, c] or absent: zeros */
    samc__norm norm;     /* g, b [c] */
    samc__view y;        /* [m, c] */
    samc__view sum;      /* [m, c] or absent; only with a residual */
} samc__layernorm_args;

#endif
