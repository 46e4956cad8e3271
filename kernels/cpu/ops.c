/* The cpu table: which rung serves an operator. Apart from ops.c, so that the references link without the fast
 * versions. */
#include "kernels/cpu/caps.h"
#include "kernels/cpu/cpu.h"

void samc__ops_cpu(samc__ops *ops, unsigned caps) {
    if (caps & SAMC__CAP_ONEDNN) ops->linear = samc__linear_onednn;
#ifdef SAMC_X86_RUNGS
#define AVX2_SLOT(name) ops->name = samc__##name##_avx2;
#define AVX512_SLOT(name) ops->name = samc__##name##_avx512;
    if (caps & SAMC__CAP_AVX2) {
        SAMC__CPU_OPS(AVX2_SLOT)
    }
    if (caps & SAMC__CAP_AVX512) {
        SAMC__CPU_OPS(AVX512_SLOT)
    }
#undef AVX2_SLOT
#undef AVX512_SLOT
#endif
}
