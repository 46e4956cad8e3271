/* The cuda table. */
#ifndef SAMC_KERNELS_CUDA_OPS_CUDA_H
#define SAMC_KERNELS_CUDA_OPS_CUDA_H

#include "kernels/ops.h"

/* Fills every slot; an exec's `cuda` must then point to a samc__cuda. */
void samc__ops_cuda(samc__ops *ops);

/* The table of a plan: nothing is computed, every operator only reserves the scratch that it would use. */
void samc__ops_cuda_plan(samc__ops *ops);

#endif
