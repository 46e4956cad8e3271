/* embed_prompts, reference. */
#include "kernels/ref/fourier.h"
#include "kernels/ops.h"
#include "kernels/embed_prompts/embed_prompts.h"

#include <string.h>

samc_status samc__embed_prompts_check(const samc__embed_prompts_args *a, samc_error *error) {
    int64_t prompts = a->queries.n[0], tokens = a->queries.n[1], c = a->queries.n[2],
            sparse = samc__embed_prompts_sparse(a);
    SAMC__REQUIRE(error, "embed_prompts", prompts > 0 && sparse >= 0 && a->img_size > 0);
    SAMC__REQUIRE(error, "embed_prompts", sparse == 0 || (a->xy != NULL && a->labels != NULL));
    SAMC__REQUIRE(error, "embed_prompts", c > 0 && c % 2 == 0 && samc__is2(a->gaussian, 2, c / 2));
    for (int i = 0; i < 4; i++) SAMC__REQUIRE(error, "embed_prompts", samc__is1(a->label_embed[i], c));
    SAMC__REQUIRE(error, "embed_prompts", samc__is1(a->not_a_point, c));
    for (int i = 0; i < SAMC__OWN_TOKENS; i++)
        SAMC__REQUIRE(error, "embed_prompts",
                      !a->own[i].data || (samc__is2(a->own[i], a->own[i].n[0], c) && (i == 0 || a->own[i - 1].data)));
    SAMC__REQUIRE(error, "embed_prompts",
                  samc__is3(a->queries, prompts, tokens, c) && samc__is3(a->pe, prompts, tokens, c));
    return SAMC_OK;
}

double samc__embed_prompts_flops(const samc__embed_prompts_args *a) {
    return 7.0 * (double)a->queries.n[0] * (double)samc__embed_prompts_sparse(a) * (double)a->queries.n[2];
}

samc_status samc__embed_prompts_ref(const samc__exec *exec, const samc__embed_prompts_args *a) {
    int64_t prompts = a->queries.n[0], tokens = a->queries.n[1], c = a->queries.n[2], own = samc__embed_prompts_own(a),
            sparse = samc__embed_prompts_sparse(a);
    if (exec->rehearsal) return SAMC_OK;
    for (int64_t t = 0; t < prompts * sparse; t++)
        SAMC__REQUIRE(exec->error, "embed_prompts", a->labels[t] >= -1 && a->labels[t] <= 3);
    float size = (float)a->img_size;
    for (int64_t p = 0; p < prompts; p++) {
        float *out = samc__f32(a->queries) + p * tokens * c, *at = out;
        for (int i = 0; i < SAMC__OWN_TOKENS && a->own[i].data; at += samc__elements(a->own[i++]))
            memcpy(at, a->own[i].data, (size_t)samc__elements(a->own[i]) * sizeof *at);
        for (int64_t s = 0; s < sparse; s++) {
            float *y = out + (own + s) * c;
            const float *xy = a->xy + 2 * (p * sparse + s);
            int label = a->labels[p * sparse + s];
            const float *added = samc__f32(label < 0 ? a->not_a_point : a->label_embed[label]);
            samc__fourier_ref((xy[0] + 0.5f) / size, (xy[1] + 0.5f) / size, samc__f32(a->gaussian), c, y);
            for (int64_t i = 0; i < c; i++) y[i] = (label < 0 ? 0.0f : y[i]) + added[i];
        }
    }
    memcpy(samc__f32(a->pe), samc__f32(a->queries), (size_t)(prompts * tokens * c) * sizeof(float));
    return SAMC_OK;
}
