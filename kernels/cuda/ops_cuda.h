/* The cuda table. */
#ifndef SAMC_KERNELS_CUDA_OPS_CUDA_H
#define SAMC_KERNELS_CUDA_OPS_CUDA_H

#include "kernels/ops.h"

/* Fills every slot; an exec's `cuda` must then point to a samc__cuda. */
void samc__ops_cuda(samc__ops *ops);

/* The table of a plan: nothing is computed, every operator only reserves the scratch that it would use. */
void samc__ops_cuda_plan(samc__ops *ops);

/* An operator by samc's own kernel, with the scratch that it wants; or only that scratch. And by what its library.c
 * chooses, where the list says so. */
#define SAMC_OP(name, ...)                                                                                             \
    samc_status samc__##name##_own(const samc__exec *exec, const samc__##name##_args *args);                           \
    samc_status samc__##name##_own_plan(const samc__exec *exec, const samc__##name##_args *args);                      \
    samc_status samc__##name##_library(const samc__exec *exec, const samc__##name##_args *args);                       \
    samc_status samc__##name##_library_plan(const samc__exec *exec, const samc__##name##_args *args);
#include "kernels/list.h"
#undef SAMC_OP

#endif
