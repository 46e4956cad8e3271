/* Memory that operators take from exec->allocate while they run, by shape alone: what the decoder's memory is planned
 * with.
 *
 * One function for each operator and table, beside the operator and made of the same sums as its allocation; data
 * pointers of the arguments are only asked whether they are there. Weights count as packed (kernels/cpu/packed.h), as
 * those of an opened model are. */
#ifndef SAMC_KERNELS_SCRATCH_H
#define SAMC_KERNELS_SCRATCH_H

#include "kernels/ops.h"
#include "kernels/linear/linear.h"

/* X(operator): those that the decoder runs and that take memory. */
#define SAMC__SCRATCH_OPS(X)                                                                                           \
    X(linear) X(token_attention) X(token_to_image) X(image_to_token) X(embed_mask) X(upscale_masks)

typedef struct samc__scratch samc__scratch;
struct samc__scratch {
    int workers;
#define SAMC__SCRATCH_SLOT(name) size_t (*name)(const samc__scratch *scratch, const samc__##name##_args *args);
    SAMC__SCRATCH_OPS(SAMC__SCRATCH_SLOT)
#undef SAMC__SCRATCH_SLOT
};

#define SAMC__SCRATCH_DECLARE(name)                                                                                    \
    size_t samc__##name##_scratch_ref(const samc__scratch *scratch, const samc__##name##_args *args);                  \
    size_t samc__##name##_scratch_vec16(const samc__scratch *scratch, const samc__##name##_args *args);                \
    size_t samc__##name##_scratch_avx2(const samc__scratch *scratch, const samc__##name##_args *args);                 \
    size_t samc__##name##_scratch_avx512(const samc__scratch *scratch, const samc__##name##_args *args);
SAMC__SCRATCH_OPS(SAMC__SCRATCH_DECLARE)
#undef SAMC__SCRATCH_DECLARE

/* Of the tables of samc__ops_ref() and samc__ops_cpu(). */
void samc__scratch_ref(samc__scratch *scratch, int workers);
void samc__scratch_cpu(samc__scratch *scratch, unsigned caps);

/* What a block of `bytes` counts for in a session's memory: with its header, in whole cache lines. */
static inline size_t samc__block_bytes(size_t bytes) { return bytes ? (bytes + 127) / 64 * 64 : 0; }

/* Of a projection of `rows` rows as samc__project() makes it. */
static inline size_t samc__project_scratch(const samc__scratch *s, int64_t rows, const samc__projection *p) {
    samc__linear_args args = {
        .x = samc__view2(NULL, rows, p->w.n[1]), .p = *p, .y = samc__view2(NULL, rows, p->w.n[0])};
    return s->linear(s, &args);
}

static inline size_t samc__larger(size_t a, size_t b) { return a > b ? a : b; }

#endif
