/* The cpu table: which rung serves an operator. Apart from ops.c, so that the references link without the fast
 * versions. */
#include "kernels/cpu/caps.h"
#include "kernels/cpu/cpu.h"

bool samc__ops_cpu(samc__ops *ops, unsigned caps) {
    bool found = false;
    (void)ops, (void)caps; /* of an architecture without rungs */
#ifdef SAMC_VEC16_RUNG
    if (caps & SAMC__CAP_VEC16) {
#define SAMC_OP(name, cpu, ...) SAMC__VEC16_OF_##cpu(ops->name = samc__##name##_vec16;)
#include "kernels/list.h"
#undef SAMC_OP
        found = true;
    }
#endif
#ifdef SAMC_X86_RUNGS
    if (caps & SAMC__CAP_AVX2) {
#define SAMC_OP(name, cpu, ...) SAMC__OF_##cpu(ops->name = samc__##name##_avx2;)
#include "kernels/list.h"
#undef SAMC_OP
        found = true;
    }
    if (caps & SAMC__CAP_AVX512) {
#define SAMC_OP(name, cpu, ...) SAMC__OF_##cpu(ops->name = samc__##name##_avx512;)
#include "kernels/list.h"
#undef SAMC_OP
        found = true;
    }
#endif
    return found;
}

bool samc__ops_low(samc__ops *ops, unsigned caps) {
    bool found = false;
    (void)ops, (void)caps;
#ifdef SAMC_SOFT_RUNGS
    if (caps & SAMC__CAP_BF16_SOFT) {
#define SAMC_OP(name, cpu, gpu, low) SAMC__WHERE_##low(ops->name = samc__##name##_bf16_soft;)
#include "kernels/list.h"
#undef SAMC_OP
        found = true;
    }
    if (caps & SAMC__CAP_AMX_SOFT) {
#define SAMC_OP(name, cpu, gpu, low) SAMC__WHERE_##low(ops->name = samc__##name##_amx_soft;)
#include "kernels/list.h"
#undef SAMC_OP
        found = true;
    }
#endif
#ifdef SAMC_X86_RUNGS
    const unsigned bf16 = SAMC__CAP_AVX512 | SAMC__CAP_AVX512BF16, amx = bf16 | SAMC__CAP_AMX;
    if ((caps & bf16) == bf16) {
#define SAMC_OP(name, cpu, gpu, low) SAMC__WHERE_##low(ops->name = samc__##name##_bf16;)
#include "kernels/list.h"
#undef SAMC_OP
        found = true;
    }
    if ((caps & amx) == amx) {
#define SAMC_OP(name, cpu, gpu, low) SAMC__WHERE_##low(ops->name = samc__##name##_amx;)
#include "kernels/list.h"
#undef SAMC_OP
        found = true;
    }
#endif
    return found;
}
