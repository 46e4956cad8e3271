/* What NVIDIA's libraries compute: large linear layers (cuBLASLt) and, where the build has cuDNN, the neck's convolution. */
#ifndef SAMC_KERNELS_CUDA_LIBRARIES_H
#define SAMC_KERNELS_CUDA_LIBRARIES_H

#include "kernels/conv3x3.h"
#include "kernels/cuda/cuda_ops.h"
#include "kernels/linear.h"

/* The handles and the algorithms found so far; for one thread at a time. */
typedef struct samc__libraries samc__libraries;
samc_status samc__libraries_open(samc__libraries **libraries, samc_error *error);
void samc__libraries_close(samc__libraries *libraries); /* NULL is allowed */

enum { SAMC__LIBRARY_SCRATCH = 32 << 20 }; /* bytes that a library may use as workspace */

/* For arguments that samc__linear_cuda_choice() gives to cuBLASLt. */
samc_status samc__linear_cublas(const samc__cuda *cuda, const samc__linear_args *args);

#ifdef SAMC_WITH_CUDNN
/* For arguments that samc__conv3x3_cuda_choice() gives to cuDNN, but w's memory is [c_out, 3, 3, c_in]: the order that cuDNN wants beside
 * x and y with channels last. f32 is multiplied in f32, not in TF32. `workspace`: SAMC__LIBRARY_SCRATCH bytes of the device. False: cuDNN
 * refused (it does not start, or not with this device), y is as it was or half written, and these libraries do not ask it again. */
bool samc__conv3x3_cudnn(const samc__cuda *cuda, const samc__conv3x3_args *args, void *workspace);
const char *samc__cudnn_refused(const samc__libraries *libraries); /* why, or NULL */
#endif

#endif
