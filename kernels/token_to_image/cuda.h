/* token_to_image on the GPU: what it takes, which kernel serves it, what it has beside samc__token_to_image_cuda(). */
#ifndef SAMC_KERNELS_TOKEN_TO_IMAGE_CUDA_H
#define SAMC_KERNELS_TOKEN_TO_IMAGE_CUDA_H

#include "kernels/cuda/cuda_ops.h"
#include "kernels/image_to_token/image_to_token.h"
#include "kernels/token_to_image/token_to_image.h"

#ifdef __cplusplus
extern "C" {
#endif

/* The decoder's cross attentions. queries, pe, biases, gains f32; keys, key_pe, y and the weights of matrices all f32,
 * all f16 or all bf16; softmax, accumulation and norm fp32. keys [B, N, C], B divides the prompts: prompt p reads entry
 * p / (prompts / B). C is a multiple of 4. y may be keys where B is the number of prompts. `shared`, image_k, image_v
 * and image_q are not read: everything folds onto the tokens, and no result depends on the other prompts. */

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
