/* What NVIDIA's libraries compute where they are installed: large linear layers (cuBLASLt) and, where that is asked
 * for, the neck's convolution (cuDNN). Both are opened by name at run time (nvidia.h); whatever they lack or refuse,
 * samc's own kernels do. */
#ifndef SAMC_KERNELS_CUDA_LIBRARIES_H
#define SAMC_KERNELS_CUDA_LIBRARIES_H

#include "kernels/conv3x3/conv3x3.h"
#include "kernels/cuda/cuda_ops.h"
#include "kernels/linear/linear.h"

/* The open libraries and the algorithms found so far; for one thread at a time. */
typedef struct samc__libraries samc__libraries;

typedef struct samc__libraries_wanted {
    const char *folders; /* beyond those of the system's loader, separated by colons; or NULL */
    bool cublaslt, cudnn;
} samc__libraries_wanted;

/* A library that is not there, or does not start, is no failure: its _why says so. */
samc_status samc__libraries_open(samc__libraries **libraries, const samc__libraries_wanted *wanted, samc_error *error);
void samc__libraries_close(samc__libraries *libraries); /* NULL is allowed */

bool samc__libraries_have_cublaslt(const samc__libraries *libraries);
bool samc__libraries_have_cudnn(const samc__libraries *libraries); /* and it has not refused yet */
/* Path and version, or why there is none; valid as long as the libraries are open. */
const char *samc__libraries_cublaslt_text(const samc__libraries *libraries);
const char *samc__libraries_cudnn_text(const samc__libraries *libraries);

enum { SAMC__LIBRARY_SCRATCH = 32 << 20 }; /* bytes that a library may use as workspace */

/* For arguments that samc__linear_cuda_choice() gives to cuBLASLt. False: cuBLASLt refuses layers of this kind, y is as
 * it was, and it is not asked about them again. One algorithm serves every number of rows, so that no result depends on
 * what else is computed together. */
bool samc__linear_cublas(const samc__cuda *cuda, const samc__linear_args *args);

/* For arguments that samc__conv3x3_cuda_choice() gives to cuDNN, but w's memory is [c_out, 3, 3, c_in]: the order that
 * cuDNN wants beside x and y with channels last. f32 is multiplied in f32, not in TF32. `workspace`:
 * SAMC__LIBRARY_SCRATCH bytes of the device. False: cuDNN refused, y is as it was or half written, and it is not asked
 * again. */
bool samc__conv3x3_cudnn(const samc__cuda *cuda, const samc__conv3x3_args *args, void *workspace);

#endif
