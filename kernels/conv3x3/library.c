/* conv3x3 on the GPU by NVIDIA's library where that is there, by samc's own kernel elsewhere. */
#include "kernels/cuda/libraries.h"
#include "kernels/cuda/ops_cuda.h"
#include "kernels/conv3x3/choice.h"
#include "kernels/conv3x3/cuda.h"

/* Scratch: the weight laid out by tap, then cuDNN's workspace, on the next 256 bytes. */
static size_t by_tap_bytes(const samc__conv3x3_args *a) {
    return ((size_t)(a->w.n[0] * a->w.n[1] * 9) * samc__dtype_size(a->w.dtype) + 255) / 256 * 256;
}

/* cuDNN, asked for, may be there and yet refuse to work with this device; samc's own kernel then does what it would
 * have done. */
samc_status samc__conv3x3_library(const samc__exec *exec, const samc__conv3x3_args *args) {
    if (samc__conv3x3_cuda_choice(args) == SAMC__CONV3X3_OWN || !samc__libraries_have_cudnn(exec->cuda->libraries))
        return samc__conv3x3_own(exec, args);
    SAMC__TRY(exec->cuda->reserve(exec->cuda, by_tap_bytes(args) + SAMC__LIBRARY_SCRATCH));
    SAMC__TRY(samc__conv3x3_by_tap_cuda(exec->cuda, args->w, exec->cuda->scratch));
    samc__conv3x3_args by_tap = *args;
    by_tap.w.data = exec->cuda->scratch;
    bool done = samc__conv3x3_cudnn(exec->cuda, &by_tap, (char *)exec->cuda->scratch + by_tap_bytes(args));
    return done ? SAMC_OK : samc__conv3x3_own(exec, args);
}

samc_status samc__conv3x3_library_plan(const samc__exec *exec, const samc__conv3x3_args *args) {
    if (exec->cuda->cudnn && samc__conv3x3_cuda_choice(args) == SAMC__CONV3X3_CUDNN)
        SAMC__TRY(exec->cuda->reserve(exec->cuda, by_tap_bytes(args) + SAMC__LIBRARY_SCRATCH));
    return samc__conv3x3_own_plan(exec, args);
}
