/* The operators that have a faster CPU version than the reference, one function for each rung. */
#ifndef SAMC_KERNELS_CPU_CPU_H
#define SAMC_KERNELS_CPU_CPU_H

#include "kernels/ops.h"

/* X(operator): the operators in kernels/<operator>/cpu.c. */
#define SAMC__CPU_OPS(X)                                                                                               \
    X(preprocess)                                                                                                      \
    X(linear)                                                                                                          \
    X(layernorm)                                                                                                       \
    X(attention_relpos)                                                                                                \
    X(conv3x3)                                                                                                         \
    X(embed_mask)                                                                                                      \
    X(token_to_image)                                                                                                  \
    X(image_to_token)                                                                                                  \
    X(upscale_masks)                                                                                                   \
    X(finish_masks)                                                                                                    \
    X(mask_rle)

#define SAMC__CPU_DECLARE(name)                                                                                        \
    samc_status samc__##name##_avx2(const samc__exec *exec, const samc__##name##_args *args);                          \
    samc_status samc__##name##_avx512(const samc__exec *exec, const samc__##name##_args *args);
SAMC__CPU_OPS(SAMC__CPU_DECLARE)
#undef SAMC__CPU_DECLARE

samc_status samc__linear_onednn(const samc__exec *exec, const samc__linear_args *args);

#endif
