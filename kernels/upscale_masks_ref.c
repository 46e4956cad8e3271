/* upscale_masks, reference: both conv-transposes have stride 2 and kernel 2, so a token yields its 4x4 logits alone. */
#include "kernels/math_ref.h"
#include "kernels/ops.h"

enum { MAX_CHANNELS = 256 }; /* of C / 4; SAM has 64 */

samc_status samc__upscale_masks_check(const samc__upscale_masks_args *a, samc_error *error) {
    int64_t p = a->src.n[0], tokens = (int64_t)a->grid * a->grid, c = a->src.n[2], low = 4 * (int64_t)a->grid;
    int64_t c4 = a->norm.g.n[0], c8 = a->hyper.n[2], masks = a->hyper.n[1];
    SAMC__REQUIRE(error, "upscale_masks", a->grid > 0 && p > 0 && masks > 0 && samc__is3(a->src, p, tokens, c));
    SAMC__REQUIRE(error, "upscale_masks", c4 > 0 && c4 <= MAX_CHANNELS && c8 > 0 && c8 <= MAX_CHANNELS);
    SAMC__REQUIRE(error, "upscale_masks", samc__is4(a->up1.w, c, c4, 2, 2) && samc__is1(a->up1.b, c4));
    SAMC__REQUIRE(error, "upscale_masks", samc__is1(a->norm.g, c4) && samc__is1(a->norm.b, c4));
    SAMC__REQUIRE(error, "upscale_masks", samc__is4(a->up2.w, c4, c8, 2, 2) && samc__is1(a->up2.b, c8));
    SAMC__REQUIRE(error, "upscale_masks", samc__is3(a->hyper, p, masks, c8));
    SAMC__REQUIRE(error, "upscale_masks", samc__is4(a->y, p, masks, low, low));
    return SAMC_OK;
}

double samc__upscale_masks_flops(const samc__upscale_masks_args *a) {
    double tokens = (double)a->src.n[0] * (double)a->src.n[1], c4 = (double)a->norm.g.n[0], c8 = (double)a->hyper.n[2];
    return 2.0 * tokens * (4.0 * (double)a->src.n[2] * c4 + 16.0 * c4 * c8 + 16.0 * c8 * (double)a->hyper.n[1]);
}

/* out [c_out, 4] (channel, then 2x2 position) = b + sum over i of x[i] * w[i, c_out, 4]. */
static void conv_transpose(const float *x, const samc__projection *p, float *out) {
    int64_t c_in = p->w.n[0], size = p->w.n[1] * 4;
    const float *w = samc__f32(p->w), *b = samc__f32(p->b);
    for (int64_t o = 0; o < size; o++) out[o] = b[o / 4];
    for (int64_t i = 0; i < c_in; i++)
        for (int64_t o = 0; o < size; o++) out[o] += x[i] * w[i * size + o];
}

static void upscale_tokens(void *context, int64_t begin, int64_t end, int worker) {
    const samc__upscale_masks_args *a = context;
    (void)worker;
    int64_t g = a->grid, low = 4 * g, c = a->src.n[2], c4 = a->norm.g.n[0], c8 = a->hyper.n[2], masks = a->hyper.n[1];
    float first[4 * MAX_CHANNELS], pixel[MAX_CHANNELS], second[4 * MAX_CHANNELS], feature[MAX_CHANNELS];
    for (int64_t token = begin; token < end; token++) {
        int64_t prompt = token / (g * g), y = token / g % g, x = token % g;
        conv_transpose(samc__f32(a->src) + token * c, &a->up1, first);
        for (int64_t i = 0; i < 4; i++) { /* the 2x2 pixels of the first map */
            for (int64_t o = 0; o < c4; o++) pixel[o] = first[o * 4 + i];
            samc__layernorm_ref_row(pixel, samc__f32(a->norm.g), samc__f32(a->norm.b), a->norm.eps, c4, pixel);
            for (int64_t o = 0; o < c4; o++) pixel[o] = samc__gelu_ref(pixel[o]);
            conv_transpose(pixel, &a->up2, second);
            for (int64_t j = 0; j < 4; j++) { /* the 2x2 pixels of the second map under it */
                for (int64_t o = 0; o < c8; o++) feature[o] = samc__gelu_ref(second[o * 4 + j]);
                int64_t row = 4 * y + 2 * (i / 2) + j / 2, col = 4 * x + 2 * (i % 2) + j % 2;
                for (int64_t m = 0; m < masks; m++)
                    samc__f32(a->y)[((prompt * masks + m) * low + row) * low + col] =
                        samc__dot_ref(samc__f32(a->hyper) + (prompt * masks + m) * c8, feature, c8);
            }
        }
    }
}

samc_status samc__upscale_masks_ref(const samc__exec *exec, const samc__upscale_masks_args *a) {
    exec->parallel(exec->pool, a->src.n[0] * a->src.n[1], 32, upscale_tokens, (void *)a);
    return SAMC_OK;
}
