/* cuda_ops: the CUDA versions of operators, as C functions. Every pointer in the arguments is device memory.
 *
 * They check types, shapes and scratch, start kernels on the stream and return; they wait for nothing. A version takes
 * the dtypes that its comment names; anything else is SAMC_INVALID_ARGUMENT. */
#ifndef SAMC_KERNELS_CUDA_CUDA_OPS_H
#define SAMC_KERNELS_CUDA_CUDA_OPS_H

#ifdef __cplusplus
extern "C" {
#endif

#include "kernels/add_rows/add_rows.h"
#include "kernels/attention_relpos/attention_relpos.h"
#include "kernels/conv3x3/conv3x3.h"
#include "kernels/embed_grid/embed_grid.h"
#include "kernels/embed_mask/embed_mask.h"
#include "kernels/embed_prompts/embed_prompts.h"
#include "kernels/finish_masks/finish_masks.h"
#include "kernels/image_to_token/image_to_token.h"
#include "kernels/layernorm/layernorm.h"
#include "kernels/linear/linear.h"
#include "kernels/mask_rle/mask_rle.h"
#include "kernels/nms/nms.h"
#include "kernels/preprocess/preprocess.h"
#include "kernels/select_masks/select_masks.h"
#include "kernels/small_regions/small_regions.h"
#include "kernels/token_attention/token_attention.h"
#include "kernels/token_to_image/token_to_image.h"
#include "kernels/upscale_masks/upscale_masks.h"
#include "runtime/base/status.h"

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

/* x f32 with y and residual each f32 or A, or x, residual and y all A (f16 or bf16); sum as x; gain and bias f32. */
samc_status samc__layernorm_cuda(const samc__cuda *cuda, const samc__layernorm_args *args);

/* qkv, qkv_bias, rel_h, rel_w and y all f32, all f16 or all bf16; softmax and accumulation fp32. Any shape whose tiles
 * fit shared memory (hd 192 with a side of 64 does). */
samc_status samc__attention_relpos_cuda(const samc__cuda *cuda, const samc__attention_relpos_args *args);

/* Which attention kernel serves the dtypes and shapes of a call; a pure function. */
typedef enum samc__attention_kernel {
    SAMC__ATTENTION_GENERAL,     /* f32, no tables, or a shape without a tensor-core kernel: plain multiply-adds */
    SAMC__ATTENTION_GLOBAL,      /* 16-bit: grid 64 with hd 64 or 80; grid 32 with hd 64 */
    SAMC__ATTENTION_WINDOW,      /* 16-bit, any grid: window 14 with hd 64 or 80; window 8 with hd 64 */
    SAMC__ATTENTION_GLOBAL_ONES, /* bf16, grid 64, hd 80: rows are summed on the tensor cores. Never chosen until
                                    hardware has been asked */
    SAMC__ATTENTION_WINDOW_16    /* bf16, window 14: 16 queries a warp and rows summed so. Likewise */
} samc__attention_kernel;
samc__attention_kernel samc__attention_relpos_cuda_kernel(const samc__attention_relpos_args *args);

/* The same by a kernel of one's own choice, for comparisons. */
samc_status samc__attention_relpos_cuda_by(const samc__cuda *cuda, const samc__attention_relpos_args *args,
                                           samc__attention_kernel kernel);

/* patches f32, f16 or bf16; equal to the reference's, rounded. */
size_t samc__preprocess_cuda_scratch(const samc__preprocess_args *args);
samc_status samc__preprocess_cuda(const samc__cuda *cuda, const samc__preprocess_args *args);

/* At most 2^31 - 1025 masks. */
samc_status samc__select_masks_cuda(const samc__cuda *cuda, const samc__select_masks_args *args);

/* logits f32. Bits and statistics equal the reference's. `index` and `picked`, where given, are device memory and
 * trusted; statistics behind *picked are those of an empty mask. */
samc_status samc__finish_masks_cuda(const samc__cuda *cuda, const samc__finish_masks_args *args);

size_t samc__mask_rle_cuda_scratch(const samc__mask_rle_args *args);
samc_status samc__mask_rle_cuda(const samc__cuda *cuda, const samc__mask_rle_args *args);

/* Scratch for as many masks at a time as 256 MiB hold, at least one. */
size_t samc__small_regions_cuda_scratch(const samc__small_regions_args *args);
samc_status samc__small_regions_cuda(const samc__cuda *cuda, const samc__small_regions_args *args);

/* Indices in `order` must be below `count`; nothing checks them here. At most 2^18 boxes. */
size_t samc__nms_cuda_scratch(const samc__nms_args *args);
samc_status samc__nms_cuda(const samc__cuda *cuda, const samc__nms_args *args);

/* w f32, f16 or bf16 (A); x, y and the residual each f32 or A; the bias f32. x f32 meets a 16-bit w rounded to it. */
samc_status samc__linear_cuda(const samc__cuda *cuda, const samc__linear_args *args);

/* The same by Hopper's wgmma: x and w both f16 or both bf16, everything aligned, capability 9.0. Its sums may differ in
 * their last places from those of the other kernels. */
samc_status samc__linear_wgmma_cuda(const samc__cuda *cuda, const samc__linear_args *args);

/* y = gelu(y + b) in place. y [m, n] f16 or bf16, rows y_stride apart (0: n), n and y_stride multiples of 8; b [n] f32
 * or absent (data NULL). */
samc_status samc__bias_gelu_cuda(const samc__cuda *cuda, samc__view y, int64_t y_stride, samc__view b);

/* Which kernel serves y [m, n] = x [m, k] . w [n, k]^T with a 16-bit w; a pure function. `aligned`: every pointer to 16
 * bytes, rows of x and w to 8 elements, of the others to 4. The order of a sum depends on n, k and the type of x, never
 * on m: no result depends on what else is in the batch. */
typedef enum samc__linear_kernel {
    SAMC__LINEAR_ANY,    /* fp32 products; also the one for a f32 w */
    SAMC__LINEAR_LARGE,  /* 128 x 128 tiles */
    SAMC__LINEAR_SMALL,  /* 64 x 64 */
    SAMC__LINEAR_TOKENS, /* 32 x 32, k shared by four warps */
    SAMC__LINEAR_GROUPS  /* 128 x 256 on wgmma: capability 9.0 alone, and only where samc__linear_wgmma_cuda() is called
                          */
} samc__linear_kernel;
samc__linear_kernel samc__linear_cuda_kernel(int64_t m, int64_t n, int64_t k, bool x_is_float, bool aligned);

/* src and both weights all f32, all f16 or all bf16; everything else f32. */
samc_status samc__upscale_masks_cuda(const samc__cuda *cuda, const samc__upscale_masks_args *args);

/* Which kernel serves a shape; a pure function. c, c4, c8: channels of src and of the two maps. */
typedef enum samc__upscale_kernel {
    SAMC__UPSCALE_ANY,  /* fp32 products */
    SAMC__UPSCALE_CELLS /* 16-bit: c 256 or 128, c4 = c / 4, c8 = c / 8, at most 4 masks, grid a multiple of 8 */
} samc__upscale_kernel;
samc__upscale_kernel samc__upscale_masks_cuda_kernel(samc__dtype type, int c, int c4, int c8, int masks, int grid);

/* x and w both f32, both f16 or both bf16 (A), y f32 or A. */
samc_status samc__conv3x3_cuda(const samc__cuda *cuda, const samc__conv3x3_args *args);
size_t samc__conv3x3_cuda_scratch(const samc__conv3x3_args *args);

/* The weight laid out by tap: w [c_out, c_in, 3, 3] of any dtype -> by_tap [c_out, 3, 3, c_in] of the same. */
samc_status samc__conv3x3_by_tap_cuda(const samc__cuda *cuda, samc__view w, void *by_tap);

/* Which kernel serves a shape; a pure function. `aligned`: x and y to 16 bytes. */
typedef enum samc__conv3x3_kernel {
    SAMC__CONV3X3_ANY,   /* fp32 products */
    SAMC__CONV3X3_LARGE, /* 128 x 128 tiles; 16-bit, c_in a multiple of 64, c_out of 4 */
    SAMC__CONV3X3_SMALL  /* 64 x 64 */
} samc__conv3x3_kernel;
samc__conv3x3_kernel samc__conv3x3_cuda_kernel(int64_t pixels, int64_t c_in, int64_t c_out, samc__dtype type,
                                               bool aligned);

/* y, image and the three weights all f32, all f16 or all bf16; everything else f32. Everything is computed in fp32. */
samc_status samc__embed_mask_cuda(const samc__cuda *cuda, const samc__embed_mask_args *args);

/* x and y both f32, both f16 or both bf16; b f32. y may be x. */
samc_status samc__add_rows_cuda(const samc__cuda *cuda, const samc__add_rows_args *args);

/* gaussian f32; y f32, f16 or bf16. */
samc_status samc__embed_grid_cuda(const samc__cuda *cuda, const samc__embed_grid_args *args);

/* All f32. Labels must be -1 to 3: nothing checks them here. */
samc_status samc__embed_prompts_cuda(const samc__cuda *cuda, const samc__embed_prompts_args *args);

/* queries, pe, biases and gains f32; the weights of matrices all f32, all f16 or all bf16; softmax, accumulation and
 * norm fp32. */
samc_status samc__token_attention_cuda(const samc__cuda *cuda, const samc__token_attention_args *args);
size_t samc__token_attention_cuda_scratch(const samc__token_attention_args *args);

/* The decoder's cross attentions. queries, pe, biases, gains f32; keys, key_pe, y and the weights of matrices all f32,
 * all f16 or all bf16; softmax, accumulation and norm fp32. keys [B, N, C], B divides the prompts: prompt p reads entry
 * p / (prompts / B). C is a multiple of 4. y may be keys where B is the number of prompts. `shared`, image_k, image_v
 * and image_q are not read: everything folds onto the tokens, and no result depends on the other prompts. */
samc_status samc__token_to_image_cuda(const samc__cuda *cuda, const samc__token_to_image_args *args);
size_t samc__token_to_image_cuda_scratch(const samc__token_to_image_args *args);
samc_status samc__image_to_token_cuda(const samc__cuda *cuda, const samc__image_to_token_args *args);
size_t samc__image_to_token_cuda_scratch(const samc__image_to_token_args *args);

/* Which kernel serves a cross attention; a pure function of dtypes and shapes. */
typedef enum samc__cross_kernel {
    SAMC__CROSS_GENERAL, /* f32, or any other shape: plain multiply-adds */
    SAMC__CROSS_TENSOR /* 16-bit, 8 heads: C 256 with inner 128, C 128 with inner 64; image_to_token also needs T <= 16
                        */
} samc__cross_kernel;
samc__cross_kernel samc__token_to_image_cuda_kernel(const samc__token_to_image_args *args);
samc__cross_kernel samc__image_to_token_cuda_kernel(const samc__image_to_token_args *args,
                                                    int capability); /* of which the shared memory is */

#ifdef __cplusplus
}
#endif

#endif
