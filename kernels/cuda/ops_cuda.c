/* The cuda table: for each operator of the list a thunk that finds scratch and calls its kernel. */
#include "kernels/cuda/ops_cuda.h"

#include "kernels/cuda/cuda_ops.h"

/* Not every kernel wants scratch: a weak symbol that nobody defines is NULL. */
#define SAMC_OP(name, ...) size_t samc__##name##_cuda_scratch(const samc__##name##_args *args) __attribute__((weak));
#include "kernels/list.h"
#undef SAMC_OP

#define SAMC_OP(name, ...)                                                                                             \
    samc_status samc__##name##_own(const samc__exec *exec, const samc__##name##_args *args) {                          \
        size_t bytes = samc__##name##_cuda_scratch ? samc__##name##_cuda_scratch(args) : 0;                            \
        SAMC__TRY(exec->cuda->reserve(exec->cuda, bytes));                                                             \
        return samc__##name##_cuda(exec->cuda, args);                                                                  \
    }                                                                                                                  \
    samc_status samc__##name##_own_plan(const samc__exec *exec, const samc__##name##_args *args) {                     \
        size_t bytes = samc__##name##_cuda_scratch ? samc__##name##_cuda_scratch(args) : 0;                            \
        return exec->cuda->reserve(exec->cuda, bytes);                                                                 \
    }
#include "kernels/list.h"
#undef SAMC_OP

#define SLOT_CUDA(name) samc__##name##_own
#define SLOT_LIBRARY(name) samc__##name##_library
#define PLAN_CUDA(name) samc__##name##_own_plan
#define PLAN_LIBRARY(name) samc__##name##_library_plan

void samc__ops_cuda(samc__ops *ops) {
#define SAMC_OP(name, cpu, cuda, ...) ops->name = SLOT_##cuda(name);
#include "kernels/list.h"
#undef SAMC_OP
    ops->projects_image = false;
}

void samc__ops_cuda_plan(samc__ops *ops) {
#define SAMC_OP(name, cpu, cuda, ...) ops->name = PLAN_##cuda(name);
#include "kernels/list.h"
#undef SAMC_OP
    ops->projects_image = false;
}
