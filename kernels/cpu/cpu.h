/* The operators that have a faster CPU version than the reference, one function for each rung. */
#ifndef SAMC_KERNELS_CPU_CPU_H
#define SAMC_KERNELS_CPU_CPU_H

#include "kernels/ops.h"

/* What list.h says of an operator as a condition: SAMC__OF_CPU and SAMC__OF_REF. */
#define SAMC__OF_CPU(...) __VA_ARGS__
#define SAMC__OF_REF(...)

#define SAMC_OP(name, cpu, ...)                                                                                        \
    SAMC__OF_##cpu(samc_status samc__##name##_avx2(const samc__exec *exec, const samc__##name##_args *args);           \
                   samc_status samc__##name##_avx512(const samc__exec *exec, const samc__##name##_args *args);)
#include "kernels/list.h"
#undef SAMC_OP

samc_status samc__linear_onednn(const samc__exec *exec, const samc__linear_args *args);

#endif
