/* The switch between cuBLASLt and samc's kernels. */
#include "kernels/linear/choice.h"

enum {
    ALIGNMENT = 16,      /* bytes, of every address and row: what cuBLASLt's fast kernels load at a time */
    FEWEST_COLUMNS = 64, /* below these a tile of cuBLASLt's is mostly empty */
};

/* Who computes act(x w + b) with the erf GELU, which cuBLASLt's epilogues lack, from a capability on: the last row that
 * a GPU reaches. README.md of kernels/ has the arithmetic; a recorded run on hardware decides, and changes this table.
 */
static const struct {
    int capability;
    samc__linear_choice by;
} gelu_from[] = {
    {0, SAMC__LINEAR_OWN}, /* mma.sync runs at the tensor cores' peak: one pass is less than a product and a pass */
    {90, SAMC__LINEAR_CUBLASLT_GELU}, /* mma.sync stops at 63 % of it; SAMC__LINEAR_WGMMA promises more, once hardware
                                         has been asked */
    {91, SAMC__LINEAR_CUBLASLT_GELU}  /* other GPUs have no wgmma */
};

static samc__linear_choice gelu_by(int capability) {
    samc__linear_choice by = SAMC__LINEAR_OWN;
    for (size_t i = 0; i < sizeof gelu_from / sizeof *gelu_from; i++)
        if (capability >= gelu_from[i].capability) by = gelu_from[i].by;
    return by;
}

samc__linear_args samc__linear_without_gelu(const samc__linear_args *a) {
    samc__linear_args product = *a;
    product.p.b.data = product.b_of_y.data = NULL;
    product.act = SAMC__ACT_NONE;
    return product;
}

samc__view samc__linear_cublas_bias(const samc__linear_args *a) {
    return a->p.b.dtype == a->y.dtype ? a->p.b : a->b_of_y;
}

static bool aligned(samc__view v, int64_t stride) {
    return (uintptr_t)v.data % ALIGNMENT == 0 && (size_t)stride * samc__dtype_size(v.dtype) % ALIGNMENT == 0;
}

/* Whether the GELU may be a pass of its own over y: 16 bits, and no residual behind it. */
static bool gelu_can_follow(const samc__linear_args *a) {
    return a->y.dtype != SAMC__F32 && a->y.dtype == a->x.dtype && a->residual.data == NULL && a->p.w.n[0] % 8 == 0 &&
           (a->p.b.data == NULL || (uintptr_t)a->p.b.data % ALIGNMENT == 0);
}

samc__linear_choice samc__linear_cuda_choice(const samc__linear_args *a, int capability) {
    if (a->act == SAMC__ACT_GELU) {
        if (gelu_by(capability) == SAMC__LINEAR_OWN || !gelu_can_follow(a)) return SAMC__LINEAR_OWN;
        samc__linear_args product = samc__linear_without_gelu(a);
        return samc__linear_cuda_choice(&product, capability) == SAMC__LINEAR_OWN ? SAMC__LINEAR_OWN
                                                                                  : gelu_by(capability);
    }
    if (a->act != SAMC__ACT_NONE) /* of a ReLU, what its epilogue makes of NaN is not documented; token rows are few */
        return SAMC__LINEAR_OWN;
    int64_t k = a->x.n[1], n = a->p.w.n[0];
    samc__view bias = samc__linear_cublas_bias(a);
    if (a->x.dtype != a->p.w.dtype) return SAMC__LINEAR_OWN;
    if (a->y.dtype != a->x.dtype && a->y.dtype != SAMC__F32) return SAMC__LINEAR_OWN;
    if (a->p.b.data != NULL && (bias.data == NULL || bias.dtype != a->y.dtype)) return SAMC__LINEAR_OWN;
    if (a->residual.data != NULL && a->residual.dtype != a->y.dtype) return SAMC__LINEAR_OWN;
    if (n < FEWEST_COLUMNS) return SAMC__LINEAR_OWN;
    if (!aligned(a->x, a->x_stride ? a->x_stride : k) || !aligned(a->p.w, k) ||
        !aligned(a->y, a->y_stride ? a->y_stride : n))
        return SAMC__LINEAR_OWN;
    if (a->residual.data != NULL && !aligned(a->residual, n)) return SAMC__LINEAR_OWN;
    return SAMC__LINEAR_CUBLASLT;
}
