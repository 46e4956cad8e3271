/* layernorm: y = (x - mean) / sqrt(var + eps) * g + b over the last dimension, variance in two passes.
 *
 * Also the original's LayerNorm2d: activations are kept as [pixels, channels] everywhere. y may be x. */
#ifndef SAMC_KERNELS_LAYERNORM_LAYERNORM_H
#define SAMC_KERNELS_LAYERNORM_LAYERNORM_H

#include "runtime/base/view.h"

typedef struct samc__layernorm_args {
    samc__view x;    /* [m, c] */
    samc__norm norm; /* g, b [c] */
    samc__view y;    /* [m, c] */
} samc__layernorm_args;

#endif
