/* cuda_ops: the CUDA versions of operators, as C functions. Every pointer in the arguments is device memory.
 *
 * They check types, shapes and scratch, start kernels on the stream and return; they wait for nothing. A version takes the dtypes
 * that its comment names; anything else is SAMC_INVALID_ARGUMENT. */
#ifndef SAMC_KERNELS_CUDA_CUDA_OPS_H
#define SAMC_KERNELS_CUDA_CUDA_OPS_H

#ifdef __cplusplus
extern "C" {
#endif

#include "kernels/attention_relpos.h"
#include "kernels/finish_masks.h"
#include "kernels/layernorm.h"
#include "kernels/mask_rle.h"
#include "kernels/nms.h"
#include "kernels/preprocess.h"
#include "kernels/small_regions.h"
#include "runtime/status.h"

typedef struct samc__cuda {
    struct CUstream_st *stream; /* a cudaStream_t; NULL: the default stream */
    void *scratch;              /* device memory for one call, at least what the operator's _scratch() says; 256-byte aligned */
    size_t scratch_bytes;
    samc_error *error;
} samc__cuda;

/* x f32 with y and residual each f32, f16 or bf16, or x, residual and y all f16 or all bf16; sum as x; gain and bias f32. */
samc_status samc__layernorm_cuda(const samc__cuda *cuda, const samc__layernorm_args *args);

/* qkv, qkv_bias, rel_h, rel_w and y all f32, all f16 or all bf16; softmax and accumulation fp32. Any shape whose tiles fit shared
 * memory (hd 192 with a side of 64 does). */
samc_status samc__attention_relpos_cuda(const samc__cuda *cuda, const samc__attention_relpos_args *args);

/* Which attention kernel serves the dtypes and shapes of a call; a pure function. */
typedef enum samc__attention_kernel {
    SAMC__ATTENTION_GENERAL, /* f32, no tables, or a shape without a tensor-core kernel: plain multiply-adds */
    SAMC__ATTENTION_GLOBAL,  /* 16-bit: grid 64 with hd 64 or 80; grid 32 with hd 64 */
    SAMC__ATTENTION_WINDOW   /* 16-bit, any grid: window 14 with hd 64 or 80; window 8 with hd 64 */
} samc__attention_kernel;
samc__attention_kernel samc__attention_relpos_cuda_kernel(const samc__attention_relpos_args *args);

/* Indices in `order` must be below `count`; nothing checks them here. At most 2^18 boxes. */
size_t samc__nms_cuda_scratch(const samc__nms_args *args);
samc_status samc__nms_cuda(const samc__cuda *cuda, const samc__nms_args *args);

#ifdef __cplusplus
}
#endif

#endif
