/* The switch between cuBLASLt and samc's kernel. */
#include "kernels/cuda/linear_choice.h"

enum {
    ALIGNMENT = 16, /* bytes, of every address and row: what cuBLASLt's fast kernels load at a time */
    FEWEST_ROWS = 128,
    FEWEST_COLUMNS = 64, /* below these the launch costs more than the product, and the decoder's token rows are f32 anyway */
};

samc__view samc__linear_cublas_bias(const samc__linear_args *a) { return a->p.b.dtype == a->y.dtype ? a->p.b : a->b_of_y; }

static bool aligned(samc__view v, int64_t stride) {
    return (uintptr_t)v.data % ALIGNMENT == 0 && (size_t)stride * samc__dtype_size(v.dtype) % ALIGNMENT == 0;
}

samc__linear_choice samc__linear_cuda_choice(const samc__linear_args *a) {
    int64_t m = a->x.n[0], k = a->x.n[1], n = a->p.w.n[0];
    samc__view bias = samc__linear_cublas_bias(a);
    if (a->act == SAMC__ACT_GELU) return SAMC__LINEAR_OWN; /* cuBLASLt's is the tanh approximation, SAM's is erf */
    if (a->act == SAMC__ACT_RELU && a->residual.data != NULL) return SAMC__LINEAR_OWN; /* it would add the residual first */
    if (a->x.dtype != a->p.w.dtype) return SAMC__LINEAR_OWN;
    if (a->y.dtype != a->x.dtype && a->y.dtype != SAMC__F32) return SAMC__LINEAR_OWN;
    if (a->p.b.data != NULL && (bias.data == NULL || bias.dtype != a->y.dtype)) return SAMC__LINEAR_OWN;
    if (a->residual.data != NULL && a->residual.dtype != a->y.dtype) return SAMC__LINEAR_OWN;
    if (m < FEWEST_ROWS || n < FEWEST_COLUMNS) return SAMC__LINEAR_OWN;
    if (!aligned(a->x, a->x_stride ? a->x_stride : k) || !aligned(a->p.w, k) || !aligned(a->y, a->y_stride ? a->y_stride : n)) return SAMC__LINEAR_OWN;
    if (a->residual.data != NULL && !aligned(a->residual, n)) return SAMC__LINEAR_OWN;
    return SAMC__LINEAR_CUBLASLT;
}
