/* linear_attention: attention whose weights are products of ReLUs, so that sums over keys are made once for all
 * queries: y = (sum of v k') q / (sum of k' q + eps) with q and k behind a ReLU. Sums in f32, whatever the views are.
 *
 * A second set of q, k and v, with as many heads, may lie elsewhere: its heads follow in y. */
#ifndef SAMC_KERNELS_LINEAR_ATTENTION_LINEAR_ATTENTION_H
#define SAMC_KERNELS_LINEAR_ATTENTION_LINEAR_ATTENTION_H

#include "runtime/base/view.h"

#include <stddef.h>

enum { SAMC__LINEAR_ATTENTION_MOST = 64 }; /* width of a head */

typedef struct samc__linear_attention_args {
    samc__view qkv[2]; /* [images, n, heads * 3 * dim], a head's q, k and v side by side; the second may be absent */
    samc__view y;      /* [images, n, sets * heads * dim] */
    int heads;         /* of a set */
    float eps;
} samc__linear_attention_args;

static inline int samc__linear_attention_sets(const samc__linear_attention_args *a) {
    return a->qkv[1].data != NULL ? 2 : 1;
}

#endif
