/* Named capabilities of this CPU. A mask can take any of them away, so that every rung is tested on one machine. */
#ifndef SAMC_KERNELS_CPU_CAPS_H
#define SAMC_KERNELS_CPU_CAPS_H

#include "runtime/base/status.h"

enum {
    SAMC__CAP_AVX2 = 1,   /* AVX2 with FMA */
    SAMC__CAP_AVX512 = 2, /* AVX-512 F, BW, DQ and VL */
    SAMC__CAP_ALL = ~0,
};

unsigned samc__caps_detect(void);

/* "none", or names joined by commas ("avx2,avx512"); -1 where a name is unknown. */
int samc__caps_parse(const char *text);

/* What the table is chosen by: detected and, where the environment's SAMC_CPU_CAPS is set, allowed by it
 * (runtime/options.c). */
samc_status samc__options_caps(unsigned *caps, samc_error *error);

#endif
