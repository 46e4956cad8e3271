/* cuBLASLt and cuDNN. Matrices here are row-major, cuBLASLt's are column-major: y[m, n] = x[m, k] w[n, k]^T is computed
 * as its transpose, w being the first factor.
 *
 * Which algorithm computes a layer hangs on the layer alone, never on the number of rows: it is chosen once, for
 * USUAL_ROWS, among those that do not split k and that serve few and many rows alike. */
#include "kernels/cuda/libraries.h"
#include "kernels/conv3x3/conv3x3.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/linear/choice.h"
#include "kernels/cuda/nvidia.h"

/* A kind of layer: y [m, n] = act(x [m, k] w [n, k]^T + bias) + residual, for any m. */
typedef struct layer {
    int64_t n, k, x_stride, y_stride;
    samc__dtype in, out;
    int epilogue;
    bool residual;
} layer;

enum {
    MOST_PLANS = 64,
    CANDIDATES = 8,
    USUAL_ROWS = 4096, /* of one image of SAM */
    FEW_ROWS = 64,     /* an algorithm has to serve these numbers too */
    MANY_ROWS = 8 * 4096,
};

typedef struct plan {
    layer of;
    samc__lt_algorithm algorithm[CANDIDATES];
    int candidates, current; /* refused when current has reached candidates */
} plan;

struct samc__libraries {
    void *cublaslt, *cudnn; /* the opened libraries, or NULL */
    samc__cublaslt lt;
    samc__cudnn dnn;
    char cublaslt_text[SAMC__NVIDIA_TEXT], cudnn_text[SAMC__NVIDIA_TEXT];
    void *lt_handle, *dnn_handle; /* the latter NULL before the first convolution */
    bool cudnn_refused;
    plan plan[MOST_PLANS];
    int plans, next; /* found so far; where the next one goes when there is no room left */
};

samc_status samc__libraries_open(samc__libraries **out, const samc__libraries_wanted *wanted, samc_error *error) {
    samc__libraries *l = *out = calloc(1, sizeof *l);
    if (l == NULL) return samc__fail(error, SAMC_OUT_OF_MEMORY, "no memory for the handles of cuBLASLt and cuDNN");
    snprintf(l->cublaslt_text, sizeof l->cublaslt_text, "not asked for");
    snprintf(l->cudnn_text, sizeof l->cudnn_text, "not asked for");
    if (wanted->cudnn) l->cudnn = samc__cudnn_open(&l->dnn, wanted->folders, l->cudnn_text);
    if (wanted->cublaslt) l->cublaslt = samc__cublaslt_open(&l->lt, wanted->folders, l->cublaslt_text);
    if (l->cublaslt == NULL) return SAMC_OK;
    int status = l->lt.Create(&l->lt_handle);
    if (status == SAMC__LT_SUCCESS) return SAMC_OK;
    size_t length = strlen(l->cublaslt_text);
    snprintf(l->cublaslt_text + length, sizeof l->cublaslt_text - length, ", did not start (status %d)", status);
    samc__nvidia_close(l->cublaslt);
    l->cublaslt = l->lt_handle = NULL;
    return SAMC_OK;
}

void samc__libraries_close(samc__libraries *l) {
    if (l == NULL) return;
    if (l->dnn_handle != NULL) l->dnn.Destroy(l->dnn_handle);
    if (l->lt_handle != NULL) l->lt.Destroy(l->lt_handle);
    samc__nvidia_close(l->cudnn);
    samc__nvidia_close(l->cublaslt);
    free(l);
}

bool samc__libraries_have_cublaslt(const samc__libraries *l) { return l != NULL && l->cublaslt != NULL; }
bool samc__libraries_have_cudnn(const samc__libraries *l) { return l != NULL && l->cudnn != NULL && !l->cudnn_refused; }
const char *samc__libraries_cublaslt_text(const samc__libraries *l) { return l->cublaslt_text; }
const char *samc__libraries_cudnn_text(const samc__libraries *l) { return l->cudnn_text; }

/* ---- cuBLASLt -------------------------------------------------------------------------------- */

static int lt_type(samc__dtype type) {
    return type == SAMC__F32 ? SAMC__LT_R_32F : type == SAMC__F16 ? SAMC__LT_R_16F : SAMC__LT_R_16BF;
}

/* The descriptors of one product; all NULL to begin with. */
typedef struct descriptors {
    void *product, *w, *x, *residual, *y;
} descriptors;

static void destroy(const samc__cublaslt *lt, descriptors *d) {
    if (d->product) lt->MatmulDescDestroy(d->product);
    if (d->w) lt->MatrixLayoutDestroy(d->w);
    if (d->x) lt->MatrixLayoutDestroy(d->x);
    if (d->residual) lt->MatrixLayoutDestroy(d->residual);
    if (d->y) lt->MatrixLayoutDestroy(d->y);
    *d = (descriptors){NULL, NULL, NULL, NULL, NULL};
}

/* A column-major matrix [rows, columns]. */
static int layout(const samc__cublaslt *lt, void **to, samc__dtype type, int64_t rows, int64_t columns,
                  int64_t stride) {
    int status = lt->MatrixLayoutCreate(to, lt_type(type), (uint64_t)rows, (uint64_t)columns, stride);
    if (status != SAMC__LT_SUCCESS) *to = NULL;
    return status;
}

#define LT_TRY(call)                                                                                                   \
    do {                                                                                                               \
        int status_ = (call);                                                                                          \
        if (status_ != SAMC__LT_SUCCESS) return status_;                                                               \
    } while (0)

static int describe(const samc__cublaslt *lt, const layer *of, int64_t m, const void *bias, descriptors *d) {
    const int transposed = SAMC__LT_OP_T;
    LT_TRY(lt->MatmulDescCreate(&d->product, SAMC__LT_COMPUTE_32F, SAMC__LT_R_32F));
    LT_TRY(lt->MatmulDescSetAttribute(d->product, SAMC__LT_MATMUL_DESC_TRANSA, &transposed, sizeof transposed));
    LT_TRY(lt->MatmulDescSetAttribute(d->product, SAMC__LT_MATMUL_DESC_EPILOGUE, &of->epilogue, sizeof of->epilogue));
    if (bias != NULL)
        LT_TRY(lt->MatmulDescSetAttribute(d->product, SAMC__LT_MATMUL_DESC_BIAS_POINTER, &bias, sizeof bias));
    LT_TRY(layout(lt, &d->w, of->in, of->k, of->n, of->k));
    LT_TRY(layout(lt, &d->x, of->in, of->k, m, of->x_stride));
    LT_TRY(layout(lt, &d->y, of->out, of->n, m, of->y_stride));
    if (of->residual) LT_TRY(layout(lt, &d->residual, of->out, of->n, m, of->n));
    return SAMC__LT_SUCCESS;
}

/* Whether the algorithm computes the layer with m rows within the workspace. */
static bool serves(const samc__libraries *l, const layer *of, int64_t m, const void *bias, size_t workspace,
                   const samc__lt_algorithm *algorithm) {
    descriptors d = {NULL, NULL, NULL, NULL, NULL};
    samc__lt_candidate checked;
    memset(&checked, 0, sizeof checked);
    bool good = describe(&l->lt, of, m, bias, &d) == SAMC__LT_SUCCESS &&
                l->lt.MatmulAlgoCheck(l->lt_handle, d.product, d.w, d.x, of->residual ? d.residual : d.y, d.y,
                                      algorithm, &checked) == SAMC__LT_SUCCESS &&
                checked.workspace <= workspace;
    destroy(&l->lt, &d);
    return good;
}

static bool splits_k(const samc__libraries *l, const samc__lt_algorithm *algorithm) {
    int32_t parts = 0;
    size_t written = 0;
    int status =
        l->lt.MatmulAlgoConfigGetAttribute(algorithm, SAMC__LT_ALGO_CONFIG_SPLITK_NUM, &parts, sizeof parts, &written);
    return status == SAMC__LT_SUCCESS && parts > 1;
}

/* Fills the plan with the candidates that cuBLASLt recommends for so many rows and that are as this file's head says,
 * best first. */
static int ask(const samc__libraries *l, const layer *of, int64_t rows, const void *bias, size_t workspace, plan *to) {
    const uint32_t no_reduction = SAMC__LT_REDUCTION_SCHEME_NONE;
    samc__lt_candidate candidates[CANDIDATES];
    descriptors d = {NULL, NULL, NULL, NULL, NULL};
    void *preference = NULL;
    int found = 0, status = l->lt.MatmulPreferenceCreate(&preference);
    if (status != SAMC__LT_SUCCESS) return status;
    status = l->lt.MatmulPreferenceSetAttribute(preference, SAMC__LT_MATMUL_PREF_MAX_WORKSPACE_BYTES, &workspace,
                                                sizeof workspace);
    if (status == SAMC__LT_SUCCESS)
        status = l->lt.MatmulPreferenceSetAttribute(preference, SAMC__LT_MATMUL_PREF_REDUCTION_SCHEME_MASK,
                                                    &no_reduction, sizeof no_reduction);
    if (status == SAMC__LT_SUCCESS) status = describe(&l->lt, of, rows, bias, &d);
    if (status == SAMC__LT_SUCCESS)
        status = l->lt.MatmulAlgoGetHeuristic(l->lt_handle, d.product, d.w, d.x, of->residual ? d.residual : d.y, d.y,
                                              preference, CANDIDATES, candidates, &found);
    destroy(&l->lt, &d);
    l->lt.MatmulPreferenceDestroy(preference);
    if (status != SAMC__LT_SUCCESS) return status;
    for (int i = 0; i < found; i++) {
        const samc__lt_algorithm *algorithm = &candidates[i].algorithm;
        if (candidates[i].state != SAMC__LT_SUCCESS || candidates[i].workspace > workspace || splits_k(l, algorithm))
            continue;
        if (serves(l, of, FEW_ROWS, bias, workspace, algorithm) && serves(l, of, MANY_ROWS, bias, workspace, algorithm))
            to->algorithm[to->candidates++] = *algorithm;
    }
    return SAMC__LT_SUCCESS;
}

/* The plan of a kind of layer; made once. A library that cannot say leaves it without candidates. */
static plan *plan_of(samc__libraries *l, const layer *of, int64_t rows, const void *bias, size_t workspace) {
    for (int i = 0; i < l->plans; i++)
        if (memcmp(&l->plan[i].of, of, sizeof *of) == 0) return &l->plan[i];
    plan *to = &l->plan[l->next];
    l->next = (l->next + 1) % MOST_PLANS;
    if (l->plans < MOST_PLANS) l->plans++;
    memset(to, 0, sizeof *to);
    memcpy(&to->of, of, sizeof *of); /* padding too: layers are compared byte by byte */
    if (ask(l, of, rows, bias, workspace, to) != SAMC__LT_SUCCESS) to->candidates = 0;
    return to;
}

/* m rows by the plan's current algorithm. */
static int multiply(const samc__cuda *cuda, const samc__linear_args *a, const plan *by, int64_t m, const void *x,
                    const void *bias, void *y) {
    const samc__libraries *l = cuda->libraries;
    const float one = 1.0f, beta = by->of.residual ? 1.0f : 0.0f;
    descriptors d = {NULL, NULL, NULL, NULL, NULL};
    int status = describe(&l->lt, &by->of, m, bias, &d);
    if (status == SAMC__LT_SUCCESS)
        status = l->lt.Matmul(
            l->lt_handle, d.product, &one, a->p.w.data, d.w, x, d.x, &beta, by->of.residual ? a->residual.data : y,
            by->of.residual ? d.residual : d.y, y, d.y, &by->algorithm[by->current], cuda->scratch,
            cuda->scratch_bytes < SAMC__LIBRARY_SCRATCH ? cuda->scratch_bytes : SAMC__LIBRARY_SCRATCH, cuda->stream);
    destroy(&l->lt, &d);
    return status;
}

/* All rows. The same rows of a residual for several images: a product for each, since strides of zero are what a
 * library may refuse. */
static bool multiply_images(const samc__cuda *cuda, const samc__linear_args *a, const plan *by, const void *bias) {
    int64_t rows = a->x.n[0], m = by->of.residual ? a->residual.n[0] : rows;
    for (int64_t at = 0; at < rows; at += m) {
        const char *x = (const char *)a->x.data + (size_t)(at * by->of.x_stride) * samc__dtype_size(by->of.in);
        char *y = (char *)a->y.data + (size_t)(at * by->of.y_stride) * samc__dtype_size(by->of.out);
        if (multiply(cuda, a, by, m, x, bias, y) != SAMC__LT_SUCCESS) return false;
    }
    return true;
}

bool samc__linear_cublas(const samc__cuda *cuda, const samc__linear_args *a) {
    const void *bias = a->p.b.data != NULL ? samc__linear_cublas_bias(a).data : NULL;
    size_t workspace = cuda->scratch_bytes < SAMC__LIBRARY_SCRATCH ? cuda->scratch_bytes : SAMC__LIBRARY_SCRATCH;
    layer of;
    memset(&of, 0, sizeof of);
    of.n = a->p.w.n[0], of.k = a->x.n[1];
    of.x_stride = a->x_stride ? a->x_stride : of.k, of.y_stride = a->y_stride ? a->y_stride : of.n;
    of.in = a->x.dtype, of.out = a->y.dtype, of.residual = a->residual.data != NULL;
    of.epilogue = bias ? SAMC__LT_EPILOGUE_BIAS : SAMC__LT_EPILOGUE_DEFAULT;
    plan *by = plan_of(cuda->libraries, &of, USUAL_ROWS, bias, workspace);
    for (; by->current < by->candidates; by->current++)
        if (multiply_images(cuda, a, by, bias)) return true;
    return false;
}

/* ---- cuDNN ----------------------------------------------------------------------------------- */

typedef struct convolution {
    void *x, *y, *w, *of;
} convolution;

#define DNN_TRY(call)                                                                                                  \
    do {                                                                                                               \
        int status_ = (call);                                                                                          \
        if (status_ != SAMC__DNN_SUCCESS) return status_;                                                              \
    } while (0)

/* The handle is made at the first convolution: it takes time and memory, and the streams of prompts have no use for it.
 */
static int handle_of(const samc__cuda *cuda, void **handle) {
    samc__libraries *l = cuda->libraries;
    if (l->dnn_handle == NULL) {
        DNN_TRY(l->dnn.Create(handle));
        l->dnn_handle = *handle;
    }
    *handle = l->dnn_handle;
    return l->dnn.SetStream(*handle, cuda->stream);
}

static int convolve(const samc__cuda *cuda, const samc__conv3x3_args *a, void *workspace, convolution *c) {
    const samc__cudnn *dnn = &cuda->libraries->dnn;
    const float one = 1.0f, zero = 0.0f;
    int images = (int)a->x.n[0], in = (int)a->x.n[3], out = (int)a->y.n[3];
    int height = (int)a->x.n[1], width = (int)a->x.n[2];
    int type = a->x.dtype == SAMC__F32   ? SAMC__DNN_DATA_FLOAT
               : a->x.dtype == SAMC__F16 ? SAMC__DNN_DATA_HALF
                                         : SAMC__DNN_DATA_BFLOAT16;
    void *handle = NULL;
    DNN_TRY(handle_of(cuda, &handle));
    DNN_TRY(dnn->CreateTensorDescriptor(&c->x));
    DNN_TRY(dnn->CreateTensorDescriptor(&c->y));
    DNN_TRY(dnn->CreateFilterDescriptor(&c->w));
    DNN_TRY(dnn->CreateConvolutionDescriptor(&c->of));
    DNN_TRY(dnn->SetTensor4dDescriptor(c->x, SAMC__DNN_TENSOR_NHWC, type, images, in, height, width));
    DNN_TRY(dnn->SetTensor4dDescriptor(c->y, SAMC__DNN_TENSOR_NHWC, type, images, out, height, width));
    DNN_TRY(dnn->SetFilter4dDescriptor(c->w, type, SAMC__DNN_TENSOR_NHWC, out, in, 3, 3));
    DNN_TRY(
        dnn->SetConvolution2dDescriptor(c->of, 1, 1, 1, 1, 1, 1, SAMC__DNN_CROSS_CORRELATION, SAMC__DNN_DATA_FLOAT));
    DNN_TRY(dnn->SetConvolutionMathType(c->of,
                                        type == SAMC__DNN_DATA_FLOAT ? SAMC__DNN_FMA_MATH : SAMC__DNN_TENSOR_OP_MATH));
    int algorithm = SAMC__DNN_CONVOLUTION_FWD_ALGO_IMPLICIT_PRECOMP_GEMM;
    size_t bytes = 0;
    int status = dnn->GetConvolutionForwardWorkspaceSize(handle, c->x, c->w, c->of, c->y, algorithm, &bytes);
    if (status != SAMC__DNN_SUCCESS || bytes > SAMC__LIBRARY_SCRATCH) { /* the one that needs none */
        algorithm = SAMC__DNN_CONVOLUTION_FWD_ALGO_IMPLICIT_GEMM;
        DNN_TRY(dnn->GetConvolutionForwardWorkspaceSize(handle, c->x, c->w, c->of, c->y, algorithm, &bytes));
        if (bytes > SAMC__LIBRARY_SCRATCH) return SAMC__DNN_NOT_SUPPORTED;
    }
    return dnn->ConvolutionForward(handle, &one, c->x, a->x.data, c->w, a->w.data, c->of, algorithm, workspace, bytes,
                                   &zero, c->y, a->y.data);
}

bool samc__conv3x3_cudnn(const samc__cuda *cuda, const samc__conv3x3_args *a, void *workspace) {
    samc__libraries *l = cuda->libraries;
    convolution c = {NULL, NULL, NULL, NULL};
    int status = convolve(cuda, a, workspace, &c);
    if (c.of) l->dnn.DestroyConvolutionDescriptor(c.of);
    if (c.w) l->dnn.DestroyFilterDescriptor(c.w);
    if (c.y) l->dnn.DestroyTensorDescriptor(c.y);
    if (c.x) l->dnn.DestroyTensorDescriptor(c.x);
    if (status == SAMC__DNN_SUCCESS) return true;
    l->cudnn_refused = true;
    size_t length = strlen(l->cudnn_text);
    snprintf(l->cudnn_text + length, sizeof l->cudnn_text - length, ", refused (status %d)", status);
    return false;
}
