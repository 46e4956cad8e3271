/* What SAMC_CPU_CAPS allows in turn, so that every rung of the cpu table is run on one machine; a rung that it lacks
 * falls back to the one below it. */
#ifndef SAMC_TESTS_RUNGS_H
#define SAMC_TESTS_RUNGS_H

#include "kernels/cpu/caps.h"
#include "runtime/samc.h"

#include <stdlib.h>

#if defined(__x86_64__)
static const char *const rungs[] = {"none", "sse2", "avx2", "avx2,avx512"};
/* The rungs of 16 bits, for bf16: in software, which every machine has. */
static const char *const low_rungs[] = {"avx2,avx512bf16-soft", "avx2,amx-soft"};
/* What these stand for, with what that needs of the machine (kernels/cpu/caps.h). */
static const char *const hard_rungs[] = {"avx2,avx512,avx512bf16", "avx2,avx512,avx512bf16,amx"};
static const unsigned hard_caps[] = {SAMC__CAP_AVX512 | SAMC__CAP_AVX512BF16,
                                     SAMC__CAP_AVX512 | SAMC__CAP_AVX512BF16 | SAMC__CAP_AMX};
#else
static const char *const rungs[] = {"none", "neon"};
static const char *const low_rungs[] = {"neon,avx512bf16-soft", "neon,amx-soft"}, *const hard_rungs[] = {"", ""};
static const unsigned hard_caps[] = {SAMC__CAP_AVX512BF16, SAMC__CAP_AMX};
#endif
enum { RUNGS = sizeof rungs / sizeof *rungs, LOW_RUNGS = sizeof low_rungs / sizeof *low_rungs };

/* Everything that a model can be opened in on a host: the reference and all rungs in f32, then in bf16, then the rungs
 * of 16 bits in bf16 and int8, and the highest of f32 in int8. */
enum { TABLES = 2 * (1 + RUNGS) + 2 * LOW_RUNGS + 1 };

typedef struct table {
    samc_backend backend;
    samc_precision precision;
    const char *caps; /* "ref" of the reference */
    const char *name; /* of the precision */
} table;

static inline table table_of(int index) {
    const int wide = 1 + RUNGS, at = index % wide, low = index - 2 * wide;
    if (low >= 0) {
        const bool eight = low >= LOW_RUNGS;
        return (table){SAMC_BACKEND_CPU, eight ? SAMC_PRECISION_INT8 : SAMC_PRECISION_BF16,
                       low == 2 * LOW_RUNGS ? rungs[RUNGS - 1] : low_rungs[low % LOW_RUNGS], eight ? "int8" : "bf16"};
    }
    const bool bf16 = index >= wide, ref = at == 0;
    return (table){ref ? SAMC_BACKEND_REF : SAMC_BACKEND_CPU, bf16 ? SAMC_PRECISION_BF16 : SAMC_PRECISION_F32,
                   ref ? "ref" : rungs[at - 1], bf16 ? "bf16" : "f32"};
}

/* Allows what a table needs; false where that was not possible. */
static inline bool allow(const table *t) {
    return t->backend == SAMC_BACKEND_REF || setenv("SAMC_CPU_CAPS", t->caps, 1) == 0;
}

#endif
