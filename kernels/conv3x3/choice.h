/* Which code computes a 3x3 convolution on the GPU, in builds with cuDNN: cuDNN where rows and sizes suit it,
 * samc's own kernel elsewhere. A pure function of the arguments' types, shapes and addresses. */
#ifndef SAMC_KERNELS_CONV3X3_CHOICE_H
#define SAMC_KERNELS_CONV3X3_CHOICE_H

#include "kernels/conv3x3/conv3x3.h"

typedef enum samc__conv3x3_choice {
    SAMC__CONV3X3_OWN,  /* kernels/conv3x3/cuda.cu: any shape; the only one in a build without cuDNN */
    SAMC__CONV3X3_CUDNN /* a neck's: stride 1 and no epilogue; x, w and y of one type, every row and address on 16 bytes
                         */
} samc__conv3x3_choice;

samc__conv3x3_choice samc__conv3x3_cuda_choice(const samc__conv3x3_args *args);

#endif
