/* Probing for a CUDA device through the driver library, without the CUDA toolkit. */
#ifndef SAMC_RUNTIME_MACHINE_H
#define SAMC_RUNTIME_MACHINE_H

#include <stdbool.h>
#include <stddef.h>

/* Describes the first device in words, or why there is none; false: none. */
bool samc__driver_describe(char *text, size_t size);

#endif
