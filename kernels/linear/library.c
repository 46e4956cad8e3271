/* linear on the GPU by NVIDIA's library where that is there, by samc's own kernel elsewhere. */
#include "kernels/cuda/libraries.h"
#include "kernels/cuda/ops_cuda.h"
#include "kernels/linear/choice.h"
#include "kernels/linear/cuda.h"

/* Large layers by cuBLASLt, where it is there and does not refuse; samc's own kernel then does what it would have done.
 */
samc_status samc__linear_library(const samc__exec *exec, const samc__linear_args *args) {
    samc__linear_choice choice = samc__linear_cuda_choice(args, exec->cuda->capability);
    if (choice == SAMC__LINEAR_WGMMA) return samc__linear_wgmma_cuda(exec->cuda, args);
    if (choice == SAMC__LINEAR_OWN || !samc__libraries_have_cublaslt(exec->cuda->libraries))
        return samc__linear_own(exec, args);
    SAMC__TRY(exec->cuda->reserve(exec->cuda, SAMC__LIBRARY_SCRATCH));
    if (choice == SAMC__LINEAR_CUBLASLT)
        return samc__linear_cublas(exec->cuda, args) ? SAMC_OK : samc__linear_own(exec, args);
    samc__linear_args product = samc__linear_without_gelu(args);
    if (!samc__linear_cublas(exec->cuda, &product)) return samc__linear_own(exec, args);
    return samc__bias_gelu_cuda(exec->cuda, args->y, args->y_stride, args->p.b);
}

/* Either may be wanted: what is there, and refuses, shows when it runs. */
samc_status samc__linear_library_plan(const samc__exec *exec, const samc__linear_args *args) {
    samc__linear_choice choice = samc__linear_cuda_choice(args, exec->cuda->capability);
    if (choice != SAMC__LINEAR_OWN && choice != SAMC__LINEAR_WGMMA)
        SAMC__TRY(exec->cuda->reserve(exec->cuda, SAMC__LIBRARY_SCRATCH));
    return samc__linear_own_plan(exec, args);
}
