/* embed_mask, reference: each cell of the grid sees its own 4x4 logits and nothing else, so the whole chain runs per
 * cell. */
#include "kernels/ref/math.h"
#include "kernels/ops.h"
#include "kernels/embed_mask/embed_mask.h"

enum { MAX_CHANNELS = 256 }; /* of the intermediate maps; SAM has 4 and 16 */

samc_status samc__embed_mask_check(const samc__embed_mask_args *a, samc_error *error) {
    int64_t p = a->mask.n[0], low = 4 * (int64_t)a->grid, tokens = (int64_t)a->grid * a->grid, c = a->y.n[2];
    int64_t c1 = a->norm1.g.n[0], c2 = a->norm2.g.n[0];
    SAMC__REQUIRE(error, "embed_mask", a->grid > 0 && p > 0 && samc__is3(a->mask, p, low, low));
    SAMC__REQUIRE(error, "embed_mask", c1 > 0 && c1 <= MAX_CHANNELS && c2 > 0 && c2 <= MAX_CHANNELS);
    SAMC__REQUIRE(error, "embed_mask", samc__is4(a->conv1.w, c1, 1, 2, 2) && samc__is1(a->conv1.b, c1));
    SAMC__REQUIRE(error, "embed_mask", samc__is1(a->norm1.g, c1) && samc__is1(a->norm1.b, c1));
    SAMC__REQUIRE(error, "embed_mask", samc__is4(a->conv2.w, c2, c1, 2, 2) && samc__is1(a->conv2.b, c2));
    SAMC__REQUIRE(error, "embed_mask", samc__is1(a->norm2.g, c2) && samc__is1(a->norm2.b, c2));
    SAMC__REQUIRE(error, "embed_mask", samc__is2(a->conv3.w, c, c2) && samc__is1(a->conv3.b, c));
    SAMC__REQUIRE(error, "embed_mask",
                  samc__is3(a->image, a->image.n[0], tokens, c) && a->image.n[0] > 0 && p % a->image.n[0] == 0);
    SAMC__REQUIRE(error, "embed_mask", samc__is3(a->y, p, tokens, c));
    return SAMC_OK;
}

double samc__embed_mask_flops(const samc__embed_mask_args *a) {
    double cells = (double)a->y.n[0] * (double)a->y.n[1], c1 = (double)a->norm1.g.n[0], c2 = (double)a->norm2.g.n[0];
    return 2.0 * cells * (16.0 * c1 + 4.0 * c1 * c2 + c2 * (double)a->y.n[2]);
}

static void norm_gelu(float *x, const samc__norm *norm, int64_t c) {
    samc__layernorm_ref_row(x, samc__f32(norm->g), samc__f32(norm->b), norm->eps, c, x);
    for (int64_t i = 0; i < c; i++) x[i] = samc__gelu_ref(x[i]);
}

static void embed_cells(void *context, int64_t begin, int64_t end, int worker) {
    const samc__embed_mask_args *a = context;
    (void)worker;
    int64_t g = a->grid, low = 4 * g, each = a->y.n[0] / a->image.n[0], c1 = a->norm1.g.n[0], c2 = a->norm2.g.n[0],
            c = a->y.n[2];
    const float *w1 = samc__f32(a->conv1.w), *w2 = samc__f32(a->conv2.w), *w3 = samc__f32(a->conv3.w);
    for (int64_t cell = begin; cell < end; cell++) { /* over prompts, rows and columns of the grid */
        int64_t prompt = cell / (g * g), y = cell / g % g, x = cell % g;
        const float *logits = samc__f32(a->mask) + prompt * low * low + 4 * y * low + 4 * x; /* 4x4, rows `low` apart */
        float first[4][MAX_CHANNELS], second[MAX_CHANNELS]; /* [2x2 pixels][c1], [c2] */
        for (int pixel = 0; pixel < 4; pixel++) {
            const float *in = logits + 2 * (pixel / 2) * low + 2 * (pixel % 2);
            for (int64_t i = 0; i < c1; i++)
                first[pixel][i] = in[0] * w1[4 * i] + in[1] * w1[4 * i + 1] + in[low] * w1[4 * i + 2] +
                                  in[low + 1] * w1[4 * i + 3] + samc__f32(a->conv1.b)[i];
            norm_gelu(first[pixel], &a->norm1, c1);
        }
        for (int64_t o = 0; o < c2; o++) {
            second[o] = samc__f32(a->conv2.b)[o];
            for (int64_t i = 0; i < c1; i++)
                for (int pixel = 0; pixel < 4; pixel++) second[o] += first[pixel][i] * w2[(o * c1 + i) * 4 + pixel];
        }
        norm_gelu(second, &a->norm2, c2);
        const float *image = samc__f32(a->image) + (prompt / each * g * g + cell % (g * g)) * c;
        float *out = samc__f32(a->y) + cell * c;
        for (int64_t o = 0; o < c; o++)
            out[o] = image[o] + (samc__dot_ref(second, w3 + o * c2, c2) + samc__f32(a->conv3.b)[o]);
    }
}

samc_status samc__embed_mask_ref(const samc__exec *exec, const samc__embed_mask_args *a) {
    exec->parallel(exec->pool, a->y.n[0] * a->y.n[1], 64, embed_cells, (void *)a);
    return SAMC_OK;
}
