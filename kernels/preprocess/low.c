/* preprocess to patches in bf16: Pillow's filter writes them itself where there is AVX-512, everything else is the
 * reference's numbers, rounded. */
#include "kernels/preprocess/preprocess.h"

#include "kernels/cpu/cpu.h"
#include "kernels/cpu/linear.h"
#include "kernels/cpu/low.h"

typedef struct round_task {
    const float *in;
    uint16_t *out;
} round_task;

static void round_values(void *context, int64_t begin, int64_t end, int worker) {
    const round_task *t = context;
    (void)worker;
    for (int64_t i = begin; i < end; i += VW) {
        const int64_t n = end - i < VW ? end - i : VW;
        vf_store_bf16_first(t->out + i, n, vf_load_first(t->in + i, n));
    }
}

samc_status SAMC__RUNG(samc__preprocess)(const samc__exec *exec, const samc__preprocess_args *a) {
#if defined(__AVX512F__)
    if (a->filter == SAMC__FILTER_PILLOW_U8 && a->range == SAMC__RANGE_255) return samc__preprocess_avx512(exec, a);
#endif
    if (a->patches.dtype == SAMC__F32) return samc__preprocess_ref(exec, a);
    const int64_t count = samc__elements(a->patches);
    float *block = exec->allocate(exec->memory, (size_t)count * sizeof(float)); /* the patches in f32 */
    if (block == NULL) return samc__fail(exec->error, SAMC_OUT_OF_MEMORY, "no memory to resize an image");
    samc__preprocess_args floats = *a;
    floats.patches = samc__view2(block, a->patches.n[0], a->patches.n[1]);
    const samc_status status = samc__preprocess_ref(exec, &floats);
    if (status == SAMC_OK)
        samc__parallel(exec, (double)count * 4, count, 1 << 16, round_values,
                       &(round_task){block, (uint16_t *)a->patches.data});
    exec->release(exec->memory, block);
    return status;
}
