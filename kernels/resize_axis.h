/* The filter of one axis of Pillow's antialiased bilinear resize, shared by every version of preprocess. */
#ifndef SAMC_KERNELS_RESIZE_AXIS_H
#define SAMC_KERNELS_RESIZE_AXIS_H

#include "kernels/ops.h"

enum { SAMC__RESIZE_BITS = 32 - 8 - 2 }; /* of the fixed-point weights */

/* Output i is the sum over j < count[i] of weight[i * taps + j] * input[first[i] + j]. */
typedef struct samc__resize_axis {
    int taps;
    int32_t *first, *count, *weight;
    void *block; /* to be released by the caller */
} samc__resize_axis;

samc_status samc__resize_axis_init(const samc__exec *exec, int in, int out, samc__resize_axis *axis);

#endif
