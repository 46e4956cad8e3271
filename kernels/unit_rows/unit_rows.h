/* unit_rows: rows over their length, y = x / (|x| + eps): what a cosine is a product of. y may be x. */
#ifndef SAMC_KERNELS_UNIT_ROWS_UNIT_ROWS_H
#define SAMC_KERNELS_UNIT_ROWS_UNIT_ROWS_H

#include "runtime/base/view.h"

typedef struct samc__unit_rows_args {
    samc__view x; /* f32 [m, c] */
    samc__view y; /* f32 [m, c] */
    float eps;
} samc__unit_rows_args;

#endif
