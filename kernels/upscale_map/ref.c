/* upscale_map, reference: both conv-transposes have stride 2 and kernel 2, so a token yields its 4 x 4 pixels alone. */
#include "kernels/ops.h"
#include "kernels/ref/math.h"
#include "kernels/upscale_map/upscale_map.h"

enum { MAX_CHANNELS = 1024 }; /* in the middle and of the result; SAM-HQ has 256 and 32 */

samc_status samc__upscale_map_check(const samc__upscale_map_args *a, samc_error *error) {
    const int64_t images = a->x.n[0], cells = (int64_t)a->grid * a->grid, in = a->x.n[2], middle = a->norm.g.n[0],
                  out = a->y.n[2];
    SAMC__REQUIRE(error, "upscale_map", a->grid > 0 && images > 0 && in > 0 && samc__is3(a->x, images, cells, in));
    SAMC__REQUIRE(error, "upscale_map", middle > 0 && middle <= MAX_CHANNELS && out > 0 && out <= MAX_CHANNELS);
    SAMC__REQUIRE(error, "upscale_map", samc__is4(a->up1.w, in, middle, 2, 2) && samc__is1(a->up1.b, middle));
    SAMC__REQUIRE(error, "upscale_map", samc__is1(a->norm.g, middle) && samc__is1(a->norm.b, middle));
    SAMC__REQUIRE(error, "upscale_map", samc__is4(a->up2.w, middle, out, 2, 2) && samc__is1(a->up2.b, out));
    SAMC__REQUIRE(error, "upscale_map", samc__is3(a->y, images, 16 * cells, out));
    SAMC__REQUIRE(error, "upscale_map", a->add.data == NULL || samc__is3(a->add, images, 16 * cells, out));
    return SAMC_OK;
}

double samc__upscale_map_flops(const samc__upscale_map_args *a) {
    const double cells = (double)a->x.n[0] * (double)a->x.n[1], middle = (double)a->norm.g.n[0];
    return 2.0 * cells * (4.0 * (double)a->x.n[2] * middle + 16.0 * middle * (double)a->y.n[2]);
}

/* out [4][c_out], pixel by pixel, = b + sum over i of x[i] * w[i, c_out, 4]. */
static void conv_transpose(const float *x, const samc__projection *p, float *out) {
    const int64_t c_in = p->w.n[0], c_out = p->w.n[1];
    const float *w = samc__f32(p->w), *b = samc__f32(p->b);
    for (int64_t o = 0; o < 4 * c_out; o++) out[o] = b[o % c_out];
    for (int64_t i = 0; i < c_in; i++, w += 4 * c_out)
        for (int64_t o = 0; o < c_out; o++)
            for (int64_t pixel = 0; pixel < 4; pixel++) out[pixel * c_out + o] += x[i] * w[o * 4 + pixel];
}

static void upscale_cells(void *context, int64_t begin, int64_t end, int worker) {
    const samc__upscale_map_args *a = context;
    const int64_t g = a->grid, in = a->x.n[2], middle = a->norm.g.n[0], out = a->y.n[2];
    float first[4 * MAX_CHANNELS], second[4 * MAX_CHANNELS];
    (void)worker;
    for (int64_t cell = begin; cell < end; cell++) {
        const int64_t image = cell / (g * g), row = cell / g % g, column = cell % g;
        conv_transpose(samc__f32(a->x) + cell * in, &a->up1, first);
        for (int64_t i = 0; i < 4; i++) { /* the 2 x 2 pixels of the first map */
            float *pixel = first + i * middle;
            samc__layernorm_ref_row(pixel, samc__f32(a->norm.g), samc__f32(a->norm.b), a->norm.eps, middle, pixel);
            for (int64_t o = 0; o < middle; o++) pixel[o] = samc__gelu_ref(pixel[o]);
            conv_transpose(pixel, &a->up2, second);
            for (int64_t j = 0; j < 4; j++) { /* the 2 x 2 pixels of the second map under it */
                const int64_t y = 4 * row + 2 * (i / 2) + j / 2, x = 4 * column + 2 * (i % 2) + j % 2,
                              at = ((image * 4 * g + y) * 4 * g + x) * out;
                const float *added = a->add.data ? samc__f32(a->add) + at : NULL;
                for (int64_t o = 0; o < out; o++)
                    samc__f32(a->y)[at + o] =
                        samc__finish_ref(second[j * out + o], a->gelu ? SAMC__ACT_GELU : SAMC__ACT_NONE, false,
                                         added ? added + o : NULL);
            }
        }
    }
}

samc_status samc__upscale_map_ref(const samc__exec *exec, const samc__upscale_map_args *a) {
    exec->parallel(exec->pool, a->x.n[0] * a->x.n[1], 16, upscale_cells, (void *)a);
    return SAMC_OK;
}
