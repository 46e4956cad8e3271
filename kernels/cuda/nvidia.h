/* nvidia: what samc calls of cuBLASLt and cuDNN, declared here, and the libraries opened by name when they are wanted.
 *
 * No header of theirs is needed to build samc and no library of theirs to start it: one program serves machines with
 * and without them. Handles and descriptors are pointers, enumerations ints, as in C's calling conventions on Linux.
 * tests/gpu/declarations_test.cc holds every number and signature against NVIDIA's headers where those are installed.
 */
#ifndef SAMC_KERNELS_CUDA_NVIDIA_H
#define SAMC_KERNELS_CUDA_NVIDIA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

struct CUstream_st;

/* cuBLASLt's constants, each with its name there behind SAMC__LT_. */
enum {
    SAMC__LT_SUCCESS = 0,
    SAMC__LT_INVALID_VALUE = 7,
    SAMC__LT_NOT_SUPPORTED = 15, /* CUBLAS_STATUS_... */
    SAMC__LT_R_32F = 0,
    SAMC__LT_R_16F = 2,
    SAMC__LT_R_16BF = 14, /* CUDA_R_... */
    SAMC__LT_OP_T = 1,
    SAMC__LT_COMPUTE_32F = 68,
    SAMC__LT_EPILOGUE_DEFAULT = 1,
    SAMC__LT_EPILOGUE_BIAS = 4,
    SAMC__LT_MATMUL_DESC_TRANSA = 3,
    SAMC__LT_MATMUL_DESC_EPILOGUE = 7,
    SAMC__LT_MATMUL_DESC_BIAS_POINTER = 8,
    SAMC__LT_MATMUL_PREF_MAX_WORKSPACE_BYTES = 1,
    SAMC__LT_MATMUL_PREF_REDUCTION_SCHEME_MASK = 3,
    SAMC__LT_REDUCTION_SCHEME_NONE = 0,
    SAMC__LT_ALGO_CONFIG_SPLITK_NUM = 2,
};

typedef struct samc__lt_algorithm {
    uint64_t data[8];
} samc__lt_algorithm;
typedef struct samc__lt_candidate {
    samc__lt_algorithm algorithm;
    size_t workspace;
    int state;
    float waves;
    int reserved[4];
} samc__lt_candidate;

/* X(name, parameters): cublasLt<name>, which returns a status. */
#define SAMC__CUBLASLT_FUNCTIONS(X)                                                                                    \
    X(Create, (void **handle))                                                                                         \
    X(Destroy, (void *handle))                                                                                         \
    X(MatmulDescCreate, (void **product, int compute, int scale_type))                                                 \
    X(MatmulDescSetAttribute, (void *product, int name, const void *value, size_t bytes))                              \
    X(MatmulDescDestroy, (void *product))                                                                              \
    X(MatrixLayoutCreate, (void **layout, int type, uint64_t rows, uint64_t columns, int64_t stride))                  \
    X(MatrixLayoutDestroy, (void *layout))                                                                             \
    X(MatmulPreferenceCreate, (void **preference))                                                                     \
    X(MatmulPreferenceSetAttribute, (void *preference, int name, const void *value, size_t bytes))                     \
    X(MatmulPreferenceDestroy, (void *preference))                                                                     \
    X(MatmulAlgoGetHeuristic, (void *handle, void *product, void *a, void *b, void *c, void *d, void *preference,      \
                               int wanted, samc__lt_candidate *candidates, int *found))                                \
    X(MatmulAlgoConfigGetAttribute,                                                                                    \
      (const samc__lt_algorithm *algorithm, int name, void *value, size_t bytes, size_t *written))                     \
    X(MatmulAlgoCheck, (void *handle, void *product, void *a, void *b, void *c, void *d,                               \
                        const samc__lt_algorithm *algorithm, samc__lt_candidate *checked))                             \
    X(Matmul,                                                                                                          \
      (void *handle, void *product, const void *alpha, const void *a, void *a_layout, const void *b, void *b_layout,   \
       const void *beta, const void *c, void *c_layout, void *d, void *d_layout, const samc__lt_algorithm *algorithm,  \
       void *workspace, size_t workspace_bytes, struct CUstream_st *stream))

typedef struct samc__cublaslt {
#define SAMC__MEMBER(name, parameters) int(*name) parameters;
    SAMC__CUBLASLT_FUNCTIONS(SAMC__MEMBER)
} samc__cublaslt;

/* cuDNN's, likewise. */
enum {
    SAMC__DNN_SUCCESS = 0,
    SAMC__DNN_NOT_INITIALIZED = 1001,
    SAMC__DNN_BAD_PARAM = 2000,
    SAMC__DNN_NOT_SUPPORTED = 3000,
    SAMC__DNN_DATA_FLOAT = 0,
    SAMC__DNN_DATA_HALF = 2,
    SAMC__DNN_DATA_BFLOAT16 = 9,
    SAMC__DNN_TENSOR_NHWC = 1,
    SAMC__DNN_CROSS_CORRELATION = 1,
    SAMC__DNN_TENSOR_OP_MATH = 1,
    SAMC__DNN_FMA_MATH = 3,
    SAMC__DNN_CONVOLUTION_FWD_ALGO_IMPLICIT_GEMM = 0,
    SAMC__DNN_CONVOLUTION_FWD_ALGO_IMPLICIT_PRECOMP_GEMM = 1,
};

/* X(name, parameters): cudnn<name>, which returns a status. */
#define SAMC__CUDNN_FUNCTIONS(X)                                                                                       \
    X(Create, (void **handle))                                                                                         \
    X(Destroy, (void *handle))                                                                                         \
    X(SetStream, (void *handle, struct CUstream_st *stream))                                                           \
    X(CreateTensorDescriptor, (void **tensor))                                                                         \
    X(SetTensor4dDescriptor, (void *tensor, int format, int type, int n, int c, int h, int w))                         \
    X(DestroyTensorDescriptor, (void *tensor))                                                                         \
    X(CreateFilterDescriptor, (void **filter))                                                                         \
    X(SetFilter4dDescriptor, (void *filter, int type, int format, int k, int c, int h, int w))                         \
    X(DestroyFilterDescriptor, (void *filter))                                                                         \
    X(CreateConvolutionDescriptor, (void **convolution))                                                               \
    X(SetConvolution2dDescriptor, (void *convolution, int pad_h, int pad_w, int stride_h, int stride_w,                \
                                   int dilation_h, int dilation_w, int mode, int compute_type))                        \
    X(SetConvolutionMathType, (void *convolution, int math))                                                           \
    X(DestroyConvolutionDescriptor, (void *convolution))                                                               \
    X(GetConvolutionForwardWorkspaceSize,                                                                              \
      (void *handle, void *x, void *w, void *convolution, void *y, int algorithm, size_t *bytes))                      \
    X(ConvolutionForward, (void *handle, const void *alpha, void *x_layout, const void *x, void *w_layout,             \
                           const void *w, void *convolution, int algorithm, void *workspace, size_t workspace_bytes,   \
                           const void *beta, void *y_layout, void *y))

typedef struct samc__cudnn {
    SAMC__CUDNN_FUNCTIONS(SAMC__MEMBER)
#undef SAMC__MEMBER
} samc__cudnn;

enum { SAMC__NVIDIA_TEXT = 512 }; /* bytes of a path with a version, or of a reason */

/* Opens the library and finds every function. `folders`, separated by colons or NULL, are looked through where the
 * system's loader does not find it. Returns what samc__nvidia_close() takes, with its path and version in `text`
 * [SAMC__NVIDIA_TEXT]; NULL with the reason there. */
void *samc__cublaslt_open(samc__cublaslt *functions, const char *folders, char *text);
void *samc__cudnn_open(samc__cudnn *functions, const char *folders, char *text);
void samc__nvidia_close(void *library); /* NULL is allowed */

#ifdef __cplusplus
}
#endif

#endif
