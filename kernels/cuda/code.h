/* Which GPUs the build's machine code serves; a pure function, so that a device that none of it fits is refused when it
 * is opened. */
#ifndef SAMC_KERNELS_CUDA_CODE_H
#define SAMC_KERNELS_CUDA_CODE_H

#include <stdbool.h>

/* `code`: what the kernels were compiled for, as CMake names it, separated by spaces: "80-real 90a-real 120-virtual".
 * "-real" code runs on its major version from its minor on, an "a" on that capability alone, "-virtual" code (PTX) on
 * everything later; without either it is both. capability: ten times the compute capability, 90 for 9.0. */
bool samc__cuda_code_fits(const char *code, int capability);

#endif
