/* grouped_linear: each group of channels by its own matrix, a 1x1 convolution in groups: y[g] = x[g] . w[g]^T. */
#ifndef SAMC_KERNELS_GROUPED_LINEAR_GROUPED_LINEAR_H
#define SAMC_KERNELS_GROUPED_LINEAR_GROUPED_LINEAR_H

#include "runtime/base/view.h"

enum { SAMC__GROUP_MOST = 64 }; /* channels of a group, of x and of y */

typedef struct samc__grouped_linear_args {
    samc__view x; /* [m, groups * in] */
    samc__view w; /* [groups * out, in], what a file has as [groups * out, in, 1, 1] */
    samc__view y; /* [m, groups * out] */
    int groups;
} samc__grouped_linear_args;

#endif
