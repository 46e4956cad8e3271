/* The switch between cuDNN and samc's kernel. */
#include "kernels/conv3x3/choice.h"

enum {
    ALIGNMENT = 16
}; /* bytes, of addresses and of a pixel's channels: what cuDNN's tensor-core kernels load at a time */

static bool aligned(samc__view v, int64_t channels) {
    return (uintptr_t)v.data % ALIGNMENT == 0 && (size_t)channels * samc__dtype_size(v.dtype) % ALIGNMENT == 0;
}

samc__conv3x3_choice samc__conv3x3_cuda_choice(const samc__conv3x3_args *a) {
    int64_t pixels = a->x.n[0] * a->x.n[1] * a->x.n[2], c_in = a->x.n[3], c_out = a->y.n[3];
    if (a->stride != 1 || a->b.data != NULL || a->residual.data != NULL || a->act != SAMC__ACT_NONE)
        return SAMC__CONV3X3_OWN;
    if (a->w.dtype != a->x.dtype || a->y.dtype != a->x.dtype) return SAMC__CONV3X3_OWN;
    if (!aligned(a->x, c_in) || !aligned(a->y, c_out)) return SAMC__CONV3X3_OWN;
    if (pixels * c_in > INT32_MAX || pixels * c_out > INT32_MAX)
        return SAMC__CONV3X3_OWN; /* cuDNN counts elements in 32 bits */
    return SAMC__CONV3X3_CUDNN;
}
