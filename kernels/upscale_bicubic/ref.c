/* upscale_bicubic, reference: sixteen taps for each pixel, rows of the image within columns of taps. */
#include "kernels/cubic_tap.h"
#include "kernels/ops.h"
#include "kernels/upscale_bicubic/upscale_bicubic.h"

samc_status samc__upscale_bicubic_check(const samc__upscale_bicubic_args *a, samc_error *error) {
    const int64_t *x = a->x.n, *y = a->y.n; /* images, h, w, c */
    SAMC__REQUIRE(error, "upscale_bicubic", x[0] > 0 && x[1] > 0 && x[2] > 0 && x[3] > 0 && y[1] > 0 && y[2] > 0);
    SAMC__REQUIRE(error, "upscale_bicubic", x[1] < 1 << 20 && x[2] < 1 << 20 && y[1] < 1 << 20 && y[2] < 1 << 20);
    SAMC__REQUIRE(error, "upscale_bicubic", samc__is4(a->x, x[0], x[1], x[2], x[3]));
    SAMC__REQUIRE(error, "upscale_bicubic", samc__is4(a->y, x[0], y[1], y[2], x[3]));
    SAMC__REQUIRE(error, "upscale_bicubic", a->add.data == NULL || samc__is4(a->add, y[0], y[1], y[2], y[3]));
    return SAMC_OK;
}

double samc__upscale_bicubic_flops(const samc__upscale_bicubic_args *a) {
    return 2.0 * (double)samc__elements(a->y) * (4.0 + 4.0 * (double)a->x.n[2] / (double)a->y.n[2]);
}

static void bicubic_pixels(void *context, int64_t begin, int64_t end, int worker) {
    const samc__upscale_bicubic_args *a = context;
    const int64_t h = a->x.n[1], w = a->x.n[2], c = a->x.n[3], y_h = a->y.n[1], y_w = a->y.n[2];
    (void)worker;
    for (int64_t pixel = begin; pixel < end; pixel++) { /* over images, rows and columns of y */
        const samc__cubic_tap down = samc__cubic_tap_of((int)(pixel / y_w % y_h), (int)h, (int)y_h),
                              across = samc__cubic_tap_of((int)(pixel % y_w), (int)w, (int)y_w);
        const float *x = samc__f32(a->x) + pixel / (y_h * y_w) * h * w * c;
        for (int64_t i = 0; i < c; i++) {
            float sum = 0.0f;
            for (int j = 0; j < 4; j++) {
                float row = 0.0f;
                for (int k = 0; k < 4; k++) row += x[(down.at[j] * w + across.at[k]) * c + i] * across.weight[k];
                sum += row * down.weight[j];
            }
            samc__f32(a->y)[pixel * c + i] = a->add.data ? sum + samc__f32(a->add)[pixel * c + i] : sum;
        }
    }
}

samc_status samc__upscale_bicubic_ref(const samc__exec *exec, const samc__upscale_bicubic_args *a) {
    exec->parallel(exec->pool, a->y.n[0] * a->y.n[1] * a->y.n[2], 16, bicubic_pixels, (void *)a);
    return SAMC_OK;
}
