/* cuda_ops: the CUDA versions of operators, as C functions. Every pointer in the arguments is device memory.
 *
 * They check types, shapes and scratch, start kernels on the stream and return; they wait for nothing. A version takes
 * the dtypes that its comment names; anything else is SAMC_INVALID_ARGUMENT. */
#ifndef SAMC_KERNELS_CUDA_CUDA_OPS_H
#define SAMC_KERNELS_CUDA_CUDA_OPS_H

#ifdef __cplusplus
extern "C" {
#endif

#include "runtime/base/status.h"
#include "runtime/base/view.h"

typedef struct samc__cuda {
    struct CUstream_st *stream; /* a cudaStream_t; NULL: the default stream */
    void *scratch; /* device memory for one call, at least what the operator's _scratch() says; 256-byte aligned */
    size_t scratch_bytes;
    samc_error *error;
    int capability; /* ten times the compute capability: 90 for 9.0 */
    bool cudnn;     /* asked for */
    struct samc__libraries
        *libraries; /* cuBLASLt and cuDNN as far as they are there, kernels/cuda/libraries.h; NULL while planning */
    samc_status (*reserve)(struct samc__cuda *cuda, size_t bytes); /* sees to it that there is that much scratch */
} samc__cuda;

/* Bytes of shared memory that one block may ask for, by compute capability (CUDA programming guide); the least of all
 * from 8.0 on where it is not known. Beside what asks for more (image_to_token, wgmma) every kernel keeps to that
 * least. */
static inline size_t samc__shared_limit(int capability) {
    if (capability == 80 || capability == 87) return 163 << 10;
    return capability == 90 || capability == 100 || capability == 103 ? 227 << 10 : 99 << 10; /* 86, 89, 120 */
}

/* The version of each operator, and bytes of scratch for a call where its kernel has that function. What a version
 * takes is said before it in kernels/<operator>/cuda.cu, or in its cuda.h. */
#define SAMC_OP(name, ...)                                                                                             \
    typedef struct samc__##name##_args samc__##name##_args;                                                            \
    samc_status samc__##name##_cuda(const samc__cuda *cuda, const samc__##name##_args *args);                          \
    size_t samc__##name##_cuda_scratch(const samc__##name##_args *args);
#include "kernels/list.h"
#undef SAMC_OP

#ifdef __cplusplus
}
#endif

#endif
