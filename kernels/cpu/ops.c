/* The cpu table: which rung serves an operator. Apart from ops.c, so that the references link without the fast
 * versions. */
#include "kernels/cpu/caps.h"
#include "kernels/cpu/cpu.h"

void samc__ops_cpu(samc__ops *ops, unsigned caps) {
    if (caps & SAMC__CAP_ONEDNN) ops->linear = samc__linear_onednn;
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
