/* The cpu table: which rung serves an operator. Apart from ops.c, so that the references link without the fast
 * versions. */
#include "kernels/cpu/caps.h"
#include "kernels/cpu/cpu.h"

void samc__ops_cpu(samc__ops *ops, unsigned caps) {
    (void)ops, (void)caps; /* of an architecture without rungs */
#ifdef SAMC_VEC16_RUNG
    if (caps & SAMC__CAP_VEC16) {
#define SAMC_OP(name, cpu, ...) SAMC__VEC16_OF_##cpu(ops->name = samc__##name##_vec16;)
#include "kernels/list.h"
#undef SAMC_OP
    }
#endif
#ifdef SAMC_X86_RUNGS
    if (caps & SAMC__CAP_AVX2) {
#define SAMC_OP(name, cpu, ...) SAMC__OF_##cpu(ops->name = samc__##name##_avx2;)
#include "kernels/list.h"
#undef SAMC_OP
    }
    if (caps & SAMC__CAP_AVX512) {
#define SAMC_OP(name, cpu, ...) SAMC__OF_##cpu(ops->name = samc__##name##_avx512;)
#include "kernels/list.h"
#undef SAMC_OP
    }
#endif
}
