/* cuBLASLt and, where the build has it, cuDNN. Matrices here are row-major, cuBLASLt's are column-major: y[m, n] = x[m, k] w[n, k]^T is
 * computed as its transpose, w being the first factor. */
#include "kernels/cuda/libraries.h"

#ifndef SAMC_WITHOUT_CUBLASLT
#include <cublasLt.h>
#endif
#ifdef SAMC_WITH_CUDNN
#include <cudnn.h>
#endif

#include <stdlib.h>
#include <string.h>

#include "kernels/cuda/linear_choice.h"

#ifndef SAMC_WITHOUT_CUBLASLT
/* What a product's algorithm depends on. */
typedef struct problem {
    int64_t m, n, k, batch, x_stride, y_stride;
    samc__dtype in, out;
    int epilogue;
    bool residual;
} problem;

enum { MOST_PLANS = 64 };

typedef struct plan {
    problem of;
    cublasLtMatmulAlgo_t algorithm;
} plan;
#endif

struct samc__libraries {
#ifdef SAMC_WITH_CUDNN
    cudnnHandle_t cudnn; /* NULL before the first convolution */
    const char *cudnn_refused; /* why, or NULL */
#endif
#ifndef SAMC_WITHOUT_CUBLASLT
    cublasLtHandle_t cublas;
    plan plan[MOST_PLANS];
#endif
    int plans, next; /* found so far; where the next one goes when there is no room left */
};

samc_status samc__libraries_open(samc__libraries **out, samc_error *error) {
    samc__libraries *l = *out = calloc(1, sizeof *l);
    if (l == NULL) return samc__fail(error, SAMC_OUT_OF_MEMORY, "no memory for the handle of cuBLASLt");
#ifndef SAMC_WITHOUT_CUBLASLT
    cublasStatus_t status = cublasLtCreate(&l->cublas);
    if (status != CUBLAS_STATUS_SUCCESS) {
        l->cublas = NULL;
        return samc__fail(error, SAMC_NO_DEVICE, "cuBLASLt did not start (status %d)", (int)status);
    }
#endif
    return SAMC_OK;
}

void samc__libraries_close(samc__libraries *l) {
    if (l == NULL) return;
#ifdef SAMC_WITH_CUDNN
    if (l->cudnn != NULL) cudnnDestroy(l->cudnn);
#endif
#ifndef SAMC_WITHOUT_CUBLASLT
    if (l->cublas != NULL) cublasLtDestroy(l->cublas);
#endif
    free(l);
}

#ifndef SAMC_WITHOUT_CUBLASLT
static cudaDataType_t data_type(samc__dtype type) { return type == SAMC__F32 ? CUDA_R_32F : type == SAMC__F16 ? CUDA_R_16F : CUDA_R_16BF; }

/* The descriptors of one product; all NULL to begin with. */
typedef struct descriptors {
    cublasLtMatmulDesc_t product;
    cublasLtMatrixLayout_t w, x, residual, y;
} descriptors;

static void destroy(descriptors *d) {
    if (d->product) cublasLtMatmulDescDestroy(d->product);
    if (d->w) cublasLtMatrixLayoutDestroy(d->w);
    if (d->x) cublasLtMatrixLayoutDestroy(d->x);
    if (d->residual) cublasLtMatrixLayoutDestroy(d->residual);
    if (d->y) cublasLtMatrixLayoutDestroy(d->y);
}

/* A column-major matrix [rows, columns], `batch` of them `step` elements apart. */
static cublasStatus_t layout(cublasLtMatrixLayout_t *to, samc__dtype type, int64_t rows, int64_t columns, int64_t stride, int64_t batch, int64_t step) {
    int32_t count = (int32_t)batch;
    cublasStatus_t status = cublasLtMatrixLayoutCreate(to, data_type(type), (uint64_t)rows, (uint64_t)columns, stride);
    if (status != CUBLAS_STATUS_SUCCESS) *to = NULL;
    if (status == CUBLAS_STATUS_SUCCESS) status = cublasLtMatrixLayoutSetAttribute(*to, CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT, &count, sizeof count);
    if (status == CUBLAS_STATUS_SUCCESS) status = cublasLtMatrixLayoutSetAttribute(*to, CUBLASLT_MATRIX_LAYOUT_STRIDED_BATCH_OFFSET, &step, sizeof step);
    return status;
}

#define LT_TRY(call)                                                                                                  \
    do {                                                                                                              \
        cublasStatus_t status_ = (call);                                                                              \
        if (status_ != CUBLAS_STATUS_SUCCESS) return status_;                                                         \
    } while (0)

static cublasStatus_t describe(const problem *p, const void *bias, descriptors *d) {
    const cublasOperation_t transposed = CUBLAS_OP_T;
    const cublasLtEpilogue_t epilogue = (cublasLtEpilogue_t)p->epilogue;
    LT_TRY(cublasLtMatmulDescCreate(&d->product, CUBLAS_COMPUTE_32F, CUDA_R_32F));
    LT_TRY(cublasLtMatmulDescSetAttribute(d->product, CUBLASLT_MATMUL_DESC_TRANSA, &transposed, sizeof transposed));
    LT_TRY(cublasLtMatmulDescSetAttribute(d->product, CUBLASLT_MATMUL_DESC_EPILOGUE, &epilogue, sizeof epilogue));
    if (bias != NULL) LT_TRY(cublasLtMatmulDescSetAttribute(d->product, CUBLASLT_MATMUL_DESC_BIAS_POINTER, &bias, sizeof bias));
    LT_TRY(layout(&d->w, p->in, p->k, p->n, p->k, p->batch, 0));
    LT_TRY(layout(&d->x, p->in, p->k, p->m, p->x_stride, p->batch, p->m * p->x_stride));
    LT_TRY(layout(&d->y, p->out, p->n, p->m, p->y_stride, p->batch, p->m * p->y_stride));
    /* The same rows of the residual for every member of the batch. */
    if (p->residual) LT_TRY(layout(&d->residual, p->out, p->n, p->m, p->n, p->batch, 0));
    return CUBLAS_STATUS_SUCCESS;
}

/* The algorithm that cuBLASLt recommends for the problem; asked for once. */
static cublasStatus_t find_algorithm(samc__libraries *l, const problem *p, const descriptors *d, size_t workspace, const cublasLtMatmulAlgo_t **found) {
    for (int i = 0; i < l->plans; i++)
        if (memcmp(&l->plan[i].of, p, sizeof *p) == 0) {
            *found = &l->plan[i].algorithm;
            return CUBLAS_STATUS_SUCCESS;
        }
    cublasLtMatmulPreference_t preference;
    cublasLtMatmulHeuristicResult_t best;
    int results = 0;
    LT_TRY(cublasLtMatmulPreferenceCreate(&preference));
    cublasStatus_t status = cublasLtMatmulPreferenceSetAttribute(preference, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, &workspace, sizeof workspace);
    if (status == CUBLAS_STATUS_SUCCESS)
        status = cublasLtMatmulAlgoGetHeuristic(l->cublas, d->product, d->w, d->x, p->residual ? d->residual : d->y, d->y, preference, 1, &best, &results);
    cublasLtMatmulPreferenceDestroy(preference);
    if (status != CUBLAS_STATUS_SUCCESS) return status;
    if (results == 0) return CUBLAS_STATUS_NOT_SUPPORTED;
    plan *to = &l->plan[l->next];
    l->next = (l->next + 1) % MOST_PLANS;
    if (l->plans < MOST_PLANS) l->plans++;
    *to = (plan){.algorithm = best.algo};
    memcpy(&to->of, p, sizeof *p); /* padding too: problems are compared byte by byte */
    *found = &to->algorithm;
    return CUBLAS_STATUS_SUCCESS;
}

static cublasStatus_t multiply(const samc__cuda *cuda, const samc__linear_args *a, const problem *p, const void *bias, descriptors *d) {
    const float one = 1.0f, beta = p->residual ? 1.0f : 0.0f;
    const cublasLtMatmulAlgo_t *algorithm = NULL;
    LT_TRY(describe(p, bias, d));
    LT_TRY(find_algorithm(cuda->libraries, p, d, cuda->scratch_bytes < SAMC__LIBRARY_SCRATCH ? cuda->scratch_bytes : SAMC__LIBRARY_SCRATCH, &algorithm));
    return cublasLtMatmul(cuda->libraries->cublas, d->product, &one, a->p.w.data, d->w, a->x.data, d->x, &beta,
                          p->residual ? a->residual.data : a->y.data, p->residual ? d->residual : d->y, a->y.data, d->y, algorithm,
                          cuda->scratch, cuda->scratch_bytes < SAMC__LIBRARY_SCRATCH ? cuda->scratch_bytes : SAMC__LIBRARY_SCRATCH, cuda->stream);
}

samc_status samc__linear_cublas(const samc__cuda *cuda, const samc__linear_args *a) {
    int64_t rows = a->x.n[0], batch = a->residual.data != NULL ? rows / a->residual.n[0] : 1;
    const void *bias = a->p.b.data != NULL ? samc__linear_cublas_bias(a).data : NULL;
    problem p;
    memset(&p, 0, sizeof p);
    p.batch = batch, p.m = rows / batch, p.n = a->p.w.n[0], p.k = a->x.n[1];
    p.x_stride = a->x_stride ? a->x_stride : p.k, p.y_stride = a->y_stride ? a->y_stride : p.n;
    p.in = a->x.dtype, p.out = a->y.dtype, p.residual = a->residual.data != NULL;
    p.epilogue = a->act == SAMC__ACT_RELU ? (bias ? CUBLASLT_EPILOGUE_RELU_BIAS : CUBLASLT_EPILOGUE_RELU) : bias ? CUBLASLT_EPILOGUE_BIAS : CUBLASLT_EPILOGUE_DEFAULT;
    descriptors d = {NULL, NULL, NULL, NULL, NULL};
    cublasStatus_t status = multiply(cuda, a, &p, bias, &d);
    destroy(&d);
    if (status == CUBLAS_STATUS_SUCCESS) return SAMC_OK;
    return samc__fail(cuda->error, SAMC_INTERNAL, "cuBLASLt refused a product of %lld x %lld x %lld (status %d)", (long long)rows, (long long)p.n,
                      (long long)p.k, (int)status);
}
#endif

#ifdef SAMC_WITH_CUDNN
/* ---- cuDNN ------------------------------------------------------------------------------------------------------------- */

typedef struct convolution {
    cudnnTensorDescriptor_t x, y;
    cudnnFilterDescriptor_t w;
    cudnnConvolutionDescriptor_t of;
} convolution;

#define DNN_TRY(call)                                                                                                 \
    do {                                                                                                              \
        cudnnStatus_t status_ = (call);                                                                               \
        if (status_ != CUDNN_STATUS_SUCCESS) return status_;                                                          \
    } while (0)

/* The handle is made at the first convolution: it takes time and memory, and the streams of prompts have no use for it. */
static cudnnStatus_t handle_of(const samc__cuda *cuda, cudnnHandle_t *handle) {
    if (cuda->libraries->cudnn == NULL) {
        DNN_TRY(cudnnCreate(handle));
        cuda->libraries->cudnn = *handle;
    }
    *handle = cuda->libraries->cudnn;
    return cudnnSetStream(*handle, cuda->stream);
}

static cudnnStatus_t convolve(const samc__cuda *cuda, const samc__conv3x3_args *a, void *workspace, convolution *c) {
    const float one = 1.0f, zero = 0.0f;
    int images = (int)a->x.n[0], in = (int)a->x.n[2], out = (int)a->y.n[2];
    cudnnDataType_t type = a->x.dtype == SAMC__F32 ? CUDNN_DATA_FLOAT : a->x.dtype == SAMC__F16 ? CUDNN_DATA_HALF : CUDNN_DATA_BFLOAT16;
    cudnnHandle_t handle = NULL;
    DNN_TRY(handle_of(cuda, &handle));
    DNN_TRY(cudnnCreateTensorDescriptor(&c->x));
    DNN_TRY(cudnnCreateTensorDescriptor(&c->y));
    DNN_TRY(cudnnCreateFilterDescriptor(&c->w));
    DNN_TRY(cudnnCreateConvolutionDescriptor(&c->of));
    DNN_TRY(cudnnSetTensor4dDescriptor(c->x, CUDNN_TENSOR_NHWC, type, images, in, a->grid, a->grid));
    DNN_TRY(cudnnSetTensor4dDescriptor(c->y, CUDNN_TENSOR_NHWC, type, images, out, a->grid, a->grid));
    DNN_TRY(cudnnSetFilter4dDescriptor(c->w, type, CUDNN_TENSOR_NHWC, out, in, 3, 3));
    DNN_TRY(cudnnSetConvolution2dDescriptor(c->of, 1, 1, 1, 1, 1, 1, CUDNN_CROSS_CORRELATION, CUDNN_DATA_FLOAT));
    DNN_TRY(cudnnSetConvolutionMathType(c->of, type == CUDNN_DATA_FLOAT ? CUDNN_FMA_MATH : CUDNN_TENSOR_OP_MATH));
    cudnnConvolutionFwdAlgo_t algorithm = CUDNN_CONVOLUTION_FWD_ALGO_IMPLICIT_PRECOMP_GEMM;
    size_t bytes = 0;
    cudnnStatus_t status = cudnnGetConvolutionForwardWorkspaceSize(handle, c->x, c->w, c->of, c->y, algorithm, &bytes);
    if (status != CUDNN_STATUS_SUCCESS || bytes > SAMC__LIBRARY_SCRATCH) { /* the one that needs none */
        algorithm = CUDNN_CONVOLUTION_FWD_ALGO_IMPLICIT_GEMM;
        DNN_TRY(cudnnGetConvolutionForwardWorkspaceSize(handle, c->x, c->w, c->of, c->y, algorithm, &bytes));
        if (bytes > SAMC__LIBRARY_SCRATCH) return CUDNN_STATUS_NOT_SUPPORTED;
    }
    return cudnnConvolutionForward(handle, &one, c->x, a->x.data, c->w, a->w.data, c->of, algorithm, workspace, bytes, &zero, c->y, a->y.data);
}

const char *samc__cudnn_refused(const samc__libraries *l) { return l->cudnn_refused; }

bool samc__conv3x3_cudnn(const samc__cuda *cuda, const samc__conv3x3_args *a, void *workspace) {
    convolution c = {NULL, NULL, NULL, NULL};
    cudnnStatus_t status = convolve(cuda, a, workspace, &c);
    if (c.of) cudnnDestroyConvolutionDescriptor(c.of);
    if (c.w) cudnnDestroyFilterDescriptor(c.w);
    if (c.y) cudnnDestroyTensorDescriptor(c.y);
    if (c.x) cudnnDestroyTensorDescriptor(c.x);
    if (status != CUDNN_STATUS_SUCCESS) cuda->libraries->cudnn_refused = cudnnGetErrorString(status);
    return status == CUDNN_STATUS_SUCCESS;
}
#endif
