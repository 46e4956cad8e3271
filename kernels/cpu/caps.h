/* Named capabilities of this CPU. A mask can take any of them away, so that every rung is tested on one machine. */
#ifndef SAMC_KERNELS_CPU_CAPS_H
#define SAMC_KERNELS_CPU_CAPS_H

#include "runtime/base/status.h"

#include <stdbool.h>

enum {
    SAMC__CAP_AVX2 = 1,   /* AVX2 with FMA */
    SAMC__CAP_AVX512 = 2, /* AVX-512 F, BW, DQ and VL */
    SAMC__CAP_VEC16 = 4,  /* vectors of 16 bytes: SSE2 on x86-64, NEON on aarch64; every one of them has it */
    /* Products of 16 and 8 bits, for models opened in such a precision. */
    SAMC__CAP_AVX512BF16 = 8,
    SAMC__CAP_AMX = 16, /* tiles of bf16 and of 8 bits, which the kernel has granted this process */
    SAMC__CAP_AVX512VNNI = 32,
    SAMC__CAP_AVXVNNI = 64,
    SAMC__CAP_NEON_BF16 = 512,     /* bfmmla and bfdot */
    SAMC__CAP_NEON_DOTPROD = 1024, /* sdot */
    SAMC__CAP_NEON_I8MM = 2048,    /* usmmla */
    /* The same instructions in software, only by name and where samc__caps_soft() has them: the same bits, slowly. */
    SAMC__CAP_BF16_SOFT = 128,
    SAMC__CAP_AMX_SOFT = 256,
    SAMC__CAP_SOFT = SAMC__CAP_BF16_SOFT | SAMC__CAP_AMX_SOFT,
    SAMC__CAP_ALL = ~0,
};

unsigned samc__caps_detect(void);

/* Whether an x86-64 has what a name of this list says, and the system saves its registers: sse2, sse4.2, avx, fma,
 * avx2, avx512f, avx512dq, avx512bw, avx512vl, avx512vnni, avx512bf16, avxvnni. False of others, and elsewhere. */
bool samc__caps_cpu_has(const char *name);

/* Those of SAMC__CAP_SOFT that run beside these capabilities: both, but on an x86-64 without AVX2, which their files
 * are compiled for as they need its FMA. */
unsigned samc__caps_soft(unsigned detected);

/* Whether the processor has AMX: to be used the kernel has to grant it, and then it is among the capabilities. */
bool samc__caps_tiles(void);

/* What products of 16 and 8 bits run on with these capabilities, in words; `tiles`: the processor has AMX. */
const char *samc__caps_bf16(unsigned caps, bool tiles);
const char *samc__caps_int8(unsigned caps, bool tiles);

/* "none" (the references alone), or names joined by commas ("sse2,avx2,avx512", or "neon"); -1 where a name is unknown
 * to this architecture. */
int samc__caps_parse(const char *text);

/* All names that samc__caps_parse() knows here, the rungs from the lowest: "none,sse2,avx2,avx512,...". */
extern const char samc__caps_names[];

/* What the table is chosen by: detected and, where the environment's SAMC_CPU_CAPS is set, allowed by it
 * (runtime/options.c). */
samc_status samc__options_caps(unsigned *caps, samc_error *error);

#endif
