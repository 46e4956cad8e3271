/* The operators that have a faster CPU version than the reference, one function for each rung. */
#ifndef SAMC_KERNELS_CPU_CPU_H
#define SAMC_KERNELS_CPU_CPU_H

#include "kernels/ops.h"

/* What list.h says of an operator as a condition: of the rungs from AVX2 on, and of the vectors of 16 bytes. */
#define SAMC__OF_CPU(...) __VA_ARGS__
#define SAMC__OF_AVX(...) __VA_ARGS__
#define SAMC__OF_REF(...)
#define SAMC__VEC16_OF_CPU(...) __VA_ARGS__
#define SAMC__VEC16_OF_AVX(...)
#define SAMC__VEC16_OF_REF(...)

/* Of the 16-bit rungs. */
#define SAMC__WHERE_LOW(...) __VA_ARGS__
#define SAMC__WHERE_F32(...)
#define SAMC__WHERE_WIDE(...)

#define SAMC_OP(name, cpu, ...)                                                                                        \
    SAMC__OF_##cpu(samc_status samc__##name##_vec16(const samc__exec *exec, const samc__##name##_args *args);          \
                   samc_status samc__##name##_avx2(const samc__exec *exec, const samc__##name##_args *args);           \
                   samc_status samc__##name##_avx512(const samc__exec *exec, const samc__##name##_args *args);)
#include "kernels/list.h"
#undef SAMC_OP
#define SAMC_OP(name, cpu, gpu, low)                                                                                   \
    SAMC__WHERE_##low(samc_status samc__##name##_bf16(const samc__exec *exec, const samc__##name##_args *args);        \
                      samc_status samc__##name##_amx(const samc__exec *exec, const samc__##name##_args *args);         \
                      samc_status samc__##name##_neon_bf16(const samc__exec *exec, const samc__##name##_args *args);   \
                      samc_status samc__##name##_bf16_soft(const samc__exec *exec, const samc__##name##_args *args);   \
                      samc_status samc__##name##_amx_soft(const samc__exec *exec, const samc__##name##_args *args);)
#include "kernels/list.h"
#undef SAMC_OP

#endif
