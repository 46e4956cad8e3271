/* The cpu table: which rung serves an operator. Apart from ops.c, so that the references link without the fast
 * versions. */
#include "kernels/cpu/caps.h"
#include "kernels/cpu/cpu.h"
#include "kernels/linear/int8.h"

#if defined(__x86_64__)
#define VEC16 "SSE2"
#else
#define VEC16 "NEON"
#endif

/* The products of 8 bits: all give the same bytes. */
static void choose_linear8(samc__ops *ops, unsigned caps) {
    (void)ops, (void)caps;
#ifdef SAMC_INT8_RUNGS
    if (caps != 0) ops->linear8 = samc__linear8_plain, ops->linear8_by = "plain C";
#ifdef SAMC_X86_RUNGS
    const unsigned vnni = SAMC__CAP_AVX512 | SAMC__CAP_AVX512VNNI,
                   amx = vnni | SAMC__CAP_AVX512BF16 | SAMC__CAP_AMX; /* what its file is compiled for */
    if (caps & SAMC__CAP_AVX2) ops->linear8 = samc__linear8_avx2, ops->linear8_by = "AVX2";
    if (caps & SAMC__CAP_AVX512) ops->linear8 = samc__linear8_avx512, ops->linear8_by = "AVX-512";
    if (caps & SAMC__CAP_AVXVNNI && caps & SAMC__CAP_AVX2)
        ops->linear8 = samc__linear8_avxvnni, ops->linear8_by = "AVX-VNNI"; /* one instruction for four */
    if ((caps & vnni) == vnni) ops->linear8 = samc__linear8_avx512vnni, ops->linear8_by = "AVX512-VNNI";
    if ((caps & amx) == amx) ops->linear8 = samc__linear8_amx, ops->linear8_by = "AMX";
#endif
#ifdef SAMC_NEON_RUNGS
    if (caps & SAMC__CAP_NEON_DOTPROD) ops->linear8 = samc__linear8_dotprod, ops->linear8_by = "NEON with dot products";
    if (caps & SAMC__CAP_NEON_I8MM) ops->linear8 = samc__linear8_i8mm, ops->linear8_by = "NEON with I8MM";
#endif
    if (caps & SAMC__CAP_AMX_SOFT) ops->linear8 = samc__linear8_amx_soft, ops->linear8_by = "AMX in software";
#endif
}

const char *samc__ops_cpu(samc__ops *ops, unsigned caps) {
    const char *rung = NULL;
    (void)ops, (void)caps; /* of an architecture without rungs */
#ifdef SAMC_VEC16_RUNG
    if (caps & SAMC__CAP_VEC16) {
#define SAMC_OP(name, cpu, ...) SAMC__VEC16_OF_##cpu(ops->name = samc__##name##_vec16;)
#include "kernels/list.h"
#undef SAMC_OP
        rung = VEC16;
    }
#endif
#ifdef SAMC_X86_RUNGS
    if (caps & SAMC__CAP_AVX2) {
#define SAMC_OP(name, cpu, ...) SAMC__OF_##cpu(ops->name = samc__##name##_avx2;)
#include "kernels/list.h"
#undef SAMC_OP
        rung = "AVX2";
    }
    if (caps & SAMC__CAP_AVX512) {
#define SAMC_OP(name, cpu, ...) SAMC__OF_##cpu(ops->name = samc__##name##_avx512;)
#include "kernels/list.h"
#undef SAMC_OP
        rung = "AVX-512";
    }
#endif
    choose_linear8(ops, caps);
    ops->in_bands = rung != NULL;
    return rung;
}

const char *samc__ops_low(samc__ops *ops, unsigned caps) {
    const char *rung = NULL;
    (void)ops, (void)caps;
#ifdef SAMC_SOFT_RUNGS
    if (caps & SAMC__CAP_BF16_SOFT) {
#define SAMC_OP(name, cpu, gpu, low) SAMC__WHERE_##low(ops->name = samc__##name##_bf16_soft;)
#include "kernels/list.h"
#undef SAMC_OP
        rung = "AVX512-BF16 in software";
    }
    if (caps & SAMC__CAP_AMX_SOFT) {
#define SAMC_OP(name, cpu, gpu, low) SAMC__WHERE_##low(ops->name = samc__##name##_amx_soft;)
#include "kernels/list.h"
#undef SAMC_OP
        rung = "AMX in software";
    }
#endif
#ifdef SAMC_X86_RUNGS
    const unsigned bf16 = SAMC__CAP_AVX512 | SAMC__CAP_AVX512BF16, amx = bf16 | SAMC__CAP_AMX;
    if ((caps & bf16) == bf16) {
#define SAMC_OP(name, cpu, gpu, low) SAMC__WHERE_##low(ops->name = samc__##name##_bf16;)
#include "kernels/list.h"
#undef SAMC_OP
        rung = "AVX512-BF16";
    }
    if ((caps & amx) == amx) {
#define SAMC_OP(name, cpu, gpu, low) SAMC__WHERE_##low(ops->name = samc__##name##_amx;)
#include "kernels/list.h"
#undef SAMC_OP
        rung = "AMX";
    }
#endif
#ifdef SAMC_NEON_RUNGS
    if (caps & SAMC__CAP_NEON_BF16) {
#define SAMC_OP(name, cpu, gpu, low) SAMC__WHERE_##low(ops->name = samc__##name##_neon_bf16;)
#include "kernels/list.h"
#undef SAMC_OP
        rung = "NEON with BF16";
    }
#endif
    return rung;
}
