/* embed_points, reference. */
#include "kernels/fourier_ref.h"
#include "kernels/ops.h"

samc_status samc__embed_points_check(const samc__embed_points_args *a, samc_error *error) {
    int64_t c = a->y.n[1];
    SAMC__REQUIRE(error, "embed_points", a->tokens > 0 && a->xy != NULL && a->labels != NULL && a->img_size > 0);
    SAMC__REQUIRE(error, "embed_points", c > 0 && c % 2 == 0 && samc__is2(a->gaussian, 2, c / 2));
    for (int i = 0; i < 4; i++) SAMC__REQUIRE(error, "embed_points", samc__is1(a->label_embed[i], c));
    SAMC__REQUIRE(error, "embed_points", samc__is1(a->not_a_point, c));
    SAMC__REQUIRE(error, "embed_points", samc__is2(a->y, a->tokens, c));
    return SAMC_OK;
}

double samc__embed_points_flops(const samc__embed_points_args *a) { return 7.0 * (double)a->y.n[0] * (double)a->y.n[1]; }

samc_status samc__embed_points_ref(const samc__exec *exec, const samc__embed_points_args *a) {
    int64_t c = a->y.n[1];
    for (int64_t t = 0; t < a->tokens; t++) SAMC__REQUIRE(exec->error, "embed_points", a->labels[t] >= -1 && a->labels[t] <= 3);
    float size = (float)a->img_size;
    for (int64_t t = 0; t < a->tokens; t++) {
        float *out = samc__f32(a->y) + t * c;
        int label = a->labels[t];
        const float *added = samc__f32(label < 0 ? a->not_a_point : a->label_embed[label]);
        samc__fourier_ref((a->xy[2 * t] + 0.5f) / size, (a->xy[2 * t + 1] + 0.5f) / size, samc__f32(a->gaussian), c, out);
        for (int64_t i = 0; i < c; i++) out[i] = (label < 0 ? 0.0f : out[i]) + added[i];
    }
    return SAMC_OK;
}
