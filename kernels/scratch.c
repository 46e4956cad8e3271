/* The tables of scratch memory, filled as the operators' own (kernels/ops.c); references that take none say so here. */
#include "kernels/scratch.h"

#include "kernels/cpu/caps.h"

#define NONE(name)                                                                                                     \
    size_t samc__##name##_scratch_ref(const samc__scratch *scratch, const samc__##name##_args *args) {                 \
        return (void)scratch, (void)args, 0;                                                                           \
    }
NONE(linear)
NONE(embed_mask)
NONE(upscale_masks)

void samc__scratch_ref(samc__scratch *scratch, int workers) {
    scratch->workers = workers;
#define REF_SLOT(name) scratch->name = samc__##name##_scratch_ref;
    SAMC__SCRATCH_OPS(REF_SLOT)
#undef REF_SLOT
}

void samc__scratch_cpu(samc__scratch *scratch, unsigned caps) {
    (void)scratch, (void)caps;
#ifdef SAMC_VEC16_RUNG
    /* token_attention has no version of its own: it is the reference over the table's linear. */
#define FAST_OPS(X) X(linear) X(token_to_image) X(image_to_token) X(embed_mask) X(upscale_masks)
#define VEC16_SLOT(name) scratch->name = samc__##name##_scratch_vec16;
    if (caps & SAMC__CAP_VEC16) {
        FAST_OPS(VEC16_SLOT)
    }
#endif
#ifdef SAMC_X86_RUNGS
#define AVX2_SLOT(name) scratch->name = samc__##name##_scratch_avx2;
#define AVX512_SLOT(name) scratch->name = samc__##name##_scratch_avx512;
    if (caps & SAMC__CAP_AVX2) {
        FAST_OPS(AVX2_SLOT)
    }
    if (caps & SAMC__CAP_AVX512) {
        FAST_OPS(AVX512_SLOT)
    }
#undef AVX2_SLOT
#undef AVX512_SLOT
#endif
}
