/* The cuda table: for each operator of the list a thunk that finds scratch and calls its kernel. */
#include "kernels/cuda/ops_cuda.h"

#include "kernels/cuda/conv3x3_choice.h"
#include "kernels/cuda/libraries.h"
#include "kernels/cuda/linear_choice.h"

/* Not every kernel wants scratch: a weak symbol that nobody defines is NULL. */
#define SAMC_OP(name) size_t samc__##name##_cuda_scratch(const samc__##name##_args *args) __attribute__((weak));
#include "kernels/list.h"
#undef SAMC_OP

#define SAMC_OP(name)                                                                                                  \
    static samc_status run_##name(const samc__exec *exec, const samc__##name##_args *args) {                           \
        size_t bytes = samc__##name##_cuda_scratch ? samc__##name##_cuda_scratch(args) : 0;                            \
        SAMC__TRY(exec->cuda->reserve(exec->cuda, bytes));                                                             \
        return samc__##name##_cuda(exec->cuda, args);                                                                  \
    }                                                                                                                  \
    static samc_status plan_##name(const samc__exec *exec, const samc__##name##_args *args) {                          \
        size_t bytes = samc__##name##_cuda_scratch ? samc__##name##_cuda_scratch(args) : 0;                            \
        return exec->cuda->reserve(exec->cuda, bytes);                                                                 \
    }
#include "kernels/list.h"
#undef SAMC_OP

/* Large layers by cuBLASLt, where it is there and does not refuse; samc's own kernel then does what it would have done.
 */
static samc_status run_linear_by_choice(const samc__exec *exec, const samc__linear_args *args) {
    samc__linear_choice choice = samc__linear_cuda_choice(args, exec->cuda->capability);
    if (choice == SAMC__LINEAR_WGMMA) return samc__linear_wgmma_cuda(exec->cuda, args);
    if (choice == SAMC__LINEAR_OWN || !samc__libraries_have_cublaslt(exec->cuda->libraries))
        return run_linear(exec, args);
    SAMC__TRY(exec->cuda->reserve(exec->cuda, SAMC__LIBRARY_SCRATCH));
    if (choice == SAMC__LINEAR_CUBLASLT)
        return samc__linear_cublas(exec->cuda, args) ? SAMC_OK : run_linear(exec, args);
    samc__linear_args product = samc__linear_without_gelu(args);
    if (!samc__linear_cublas(exec->cuda, &product)) return run_linear(exec, args);
    return samc__bias_gelu_cuda(exec->cuda, args->y, args->y_stride, args->p.b);
}

/* Either may be wanted: what is there, and refuses, shows when it runs. */
static samc_status plan_linear_by_choice(const samc__exec *exec, const samc__linear_args *args) {
    samc__linear_choice choice = samc__linear_cuda_choice(args, exec->cuda->capability);
    if (choice != SAMC__LINEAR_OWN && choice != SAMC__LINEAR_WGMMA)
        SAMC__TRY(exec->cuda->reserve(exec->cuda, SAMC__LIBRARY_SCRATCH));
    return plan_linear(exec, args);
}

/* Scratch: the weight laid out by tap, then cuDNN's workspace, on the next 256 bytes. */
static size_t by_tap_bytes(const samc__conv3x3_args *a) {
    return ((size_t)(a->w.n[0] * a->w.n[1] * 9) * samc__dtype_size(a->w.dtype) + 255) / 256 * 256;
}

/* cuDNN, asked for, may be there and yet refuse to work with this device; samc's own kernel then does what it would
 * have done. */
static samc_status run_conv3x3_by_choice(const samc__exec *exec, const samc__conv3x3_args *args) {
    if (samc__conv3x3_cuda_choice(args) == SAMC__CONV3X3_OWN || !samc__libraries_have_cudnn(exec->cuda->libraries))
        return run_conv3x3(exec, args);
    SAMC__TRY(exec->cuda->reserve(exec->cuda, by_tap_bytes(args) + SAMC__LIBRARY_SCRATCH));
    SAMC__TRY(samc__conv3x3_by_tap_cuda(exec->cuda, args->w, exec->cuda->scratch));
    samc__conv3x3_args by_tap = *args;
    by_tap.w.data = exec->cuda->scratch;
    bool done = samc__conv3x3_cudnn(exec->cuda, &by_tap, (char *)exec->cuda->scratch + by_tap_bytes(args));
    return done ? SAMC_OK : run_conv3x3(exec, args);
}

static samc_status plan_conv3x3_by_choice(const samc__exec *exec, const samc__conv3x3_args *args) {
    if (exec->cuda->cudnn && samc__conv3x3_cuda_choice(args) == SAMC__CONV3X3_CUDNN)
        SAMC__TRY(exec->cuda->reserve(exec->cuda, by_tap_bytes(args) + SAMC__LIBRARY_SCRATCH));
    return plan_conv3x3(exec, args);
}

void samc__ops_cuda(samc__ops *ops) {
#define SAMC_OP(name) ops->name = run_##name;
#include "kernels/list.h"
#undef SAMC_OP
    ops->linear = run_linear_by_choice;
    ops->conv3x3 = run_conv3x3_by_choice;
}

void samc__ops_cuda_plan(samc__ops *ops) {
#define SAMC_OP(name) ops->name = plan_##name;
#include "kernels/list.h"
#undef SAMC_OP
    ops->linear = plan_linear_by_choice;
    ops->conv3x3 = plan_conv3x3_by_choice;
}
