/* depthwise, reference: taps row by row, those beyond the border left out. */
#include "kernels/depthwise/depthwise.h"
#include "kernels/ops.h"
#include "kernels/ref/math.h"

samc_status samc__depthwise_check(const samc__depthwise_args *a, samc_error *error) {
    const int64_t *x = a->x.n, side = a->w.n[1];
    const int s = a->stride;
    SAMC__REQUIRE(error, "depthwise", s == 1 || s == 2);
    SAMC__REQUIRE(error, "depthwise", side % 2 == 1 && side > 0 && side <= SAMC__DEPTHWISE_MOST);
    SAMC__REQUIRE(error, "depthwise", x[0] > 0 && x[1] > 0 && x[2] > 0 && x[3] > 0);
    SAMC__REQUIRE(error, "depthwise", samc__is4(a->x, x[0], x[1], x[2], x[3]));
    SAMC__REQUIRE(error, "depthwise", samc__is2(a->w, x[3] * side, side) && samc__absent_or_is1(a->b, x[3]));
    SAMC__REQUIRE(error, "depthwise", x[1] >= (a->above ? side / 2 : 0) + (a->below ? side / 2 : 0) + 1);
    SAMC__REQUIRE(error, "depthwise", samc__is4(a->y, x[0], samc__depthwise_rows(a), (x[2] - 1) / s + 1, x[3]));
    SAMC__REQUIRE(error, "depthwise", (unsigned)a->act < SAMC__ACTS);
    return SAMC_OK;
}

double samc__depthwise_flops(const samc__depthwise_args *a) {
    return 2.0 * (double)samc__elements(a->y) * (double)(a->w.n[1] * a->w.n[1]);
}

static void depthwise_pixels(void *context, int64_t begin, int64_t end, int worker) {
    const samc__depthwise_args *a = context;
    const int64_t h = a->x.n[1], w = a->x.n[2], channels = a->x.n[3], side = a->w.n[1], taps = side * side;
    (void)worker;
    for (int64_t pixel = begin; pixel < end; pixel++) { /* over images, rows and columns of y */
        const int64_t left = pixel % a->y.n[2] * a->stride - side / 2,
                      top = pixel / a->y.n[2] % a->y.n[1] * a->stride - samc__depthwise_top(a),
                      image = pixel / (a->y.n[1] * a->y.n[2]);
        for (int64_t c = 0; c < channels; c++) {
            const float *weight = samc__f32(a->w) + c * taps;
            float sum = a->b.data ? samc__f32(a->b)[c] : 0.0f;
            for (int64_t tap = 0; tap < taps; tap++) {
                const int64_t y = top + tap / side, x = left + tap % side;
                if (y < 0 || y >= h || x < 0 || x >= w) continue;
                sum += samc__f32(a->x)[((image * h + y) * w + x) * channels + c] * weight[tap];
            }
            samc__f32(a->y)[pixel * channels + c] = samc__activate_ref(sum, a->act);
        }
    }
}

samc_status samc__depthwise_ref(const samc__exec *exec, const samc__depthwise_args *a) {
    exec->parallel(exec->pool, a->y.n[0] * a->y.n[1] * a->y.n[2], 16, depthwise_pixels, (void *)a);
    return SAMC_OK;
}
