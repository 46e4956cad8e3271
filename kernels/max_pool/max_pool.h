/* max_pool: the largest of each 2 x 2 pixels of a map, channel by channel; NaN where one of them is. Of x the first
 * channels are read, as many as y has: q of rows that hold q, k and v. */
#ifndef SAMC_KERNELS_MAX_POOL_MAX_POOL_H
#define SAMC_KERNELS_MAX_POOL_MAX_POOL_H

#include "runtime/base/view.h"

typedef struct samc__max_pool_args {
    samc__view x; /* [images, 2 h, 2 w, c or more] */
    samc__view y; /* [images, h, w, c] */
} samc__max_pool_args;

#endif
