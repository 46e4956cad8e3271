/* nms: greedy non-maximum suppression of boxes in a given order (torchvision.ops.nms).
 *
 * A box is dropped when its IoU with a kept box before it exceeds the threshold. IoU in float32 from float32 corners,
 * compared with the threshold in double, as torchvision does; two boxes without area give 0/0 and both survive. */
#ifndef SAMC_KERNELS_NMS_NMS_H
#define SAMC_KERNELS_NMS_NMS_H

#include "runtime/base/view.h"

typedef struct samc__nms_args {
    const float *boxes;   /* [count, 4], x0 y0 x1 y1 */
    const int32_t *order; /* [count], indices by descending priority */
    int64_t count;
    double threshold;
    uint8_t *keep; /* [count], by index: 1 kept, 0 dropped */
} samc__nms_args;

#endif
