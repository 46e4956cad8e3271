/* conv3x3, reference: each output pixel sums nine neighbours, zeros beyond the border.
 *
 * The weight is read as nine matrices [c_in, c_out], transposed once a call, so that the inner loop runs along
 * channels. */
#include "kernels/conv3x3/conv3x3.h"
#include "kernels/ops.h"
#include "kernels/ref/math.h"

#include <string.h>

samc_status samc__conv3x3_check(const samc__conv3x3_args *a, samc_error *error) {
    const int64_t *x = a->x.n, *y = a->y.n; /* images, h, w, channels */
    const int s = a->stride;
    SAMC__REQUIRE(error, "conv3x3", s == 1 || s == 2);
    SAMC__REQUIRE(error, "conv3x3", x[0] > 0 && x[1] > 0 && x[2] > 0 && x[3] > 0 && y[3] > 0);
    SAMC__REQUIRE(error, "conv3x3", samc__is4(a->x, x[0], x[1], x[2], x[3]));
    SAMC__REQUIRE(error, "conv3x3", samc__is4(a->w, y[3], x[3], 3, 3) && samc__absent_or_is1(a->b, y[3]));
    SAMC__REQUIRE(error, "conv3x3", samc__is4(a->y, x[0], (x[1] - 1) / s + 1, (x[2] - 1) / s + 1, y[3]));
    SAMC__REQUIRE(error, "conv3x3", a->residual.data == NULL || samc__is4(a->residual, y[0], y[1], y[2], y[3]));
    SAMC__REQUIRE(error, "conv3x3", (unsigned)a->act < SAMC__ACTS);
    return SAMC_OK;
}

double samc__conv3x3_flops(const samc__conv3x3_args *a) {
    return 18.0 * (double)samc__elements(a->y) * (double)a->x.n[3];
}

typedef struct conv_task {
    const samc__conv3x3_args *args;
    const float *w;     /* [9, c_in, c_out] */
    const float *zeros; /* [c_in], what lies beyond the border */
} conv_task;

static void conv_rows(void *context, int64_t begin, int64_t end, int worker) {
    const conv_task *t = context;
    const samc__conv3x3_args *a = t->args;
    const float *bias = samc__f32(a->b);
    (void)worker;
    int64_t c_in = a->x.n[3], c_out = a->y.n[3], h = a->x.n[1], w = a->x.n[2];
    for (int64_t pixel = begin; pixel < end; pixel++) { /* over images, rows and columns of y */
        int64_t x = pixel % a->y.n[2] * a->stride, y = pixel / a->y.n[2] % a->y.n[1] * a->stride;
        int64_t image = pixel / (a->y.n[1] * a->y.n[2]);
        float *out = samc__f32(a->y) + pixel * c_out;
        const float *added = a->residual.data ? samc__f32(a->residual) + pixel * c_out : NULL;
        float sum[64];
        for (int64_t first = 0; first < c_out; first += 64) { /* y may be the residual */
            int64_t count = c_out - first < 64 ? c_out - first : 64;
            for (int64_t o = 0; o < count; o++) sum[o] = 0.0f;
            for (int tap = 0; tap < 9; tap++) {
                int64_t py = y + tap / 3 - 1, px = x + tap % 3 - 1;
                bool inside = py >= 0 && py < h && px >= 0 && px < w;
                const float *in = inside ? samc__f32(a->x) + ((image * h + py) * w + px) * c_in : t->zeros,
                            *weight = t->w + tap * c_in * c_out + first;
                for (int64_t i = 0; i < c_in; i++)
                    for (int64_t o = 0; o < count; o++) sum[o] += in[i] * weight[i * c_out + o];
            }
            for (int64_t o = 0; o < count; o++)
                out[first + o] = samc__finish_ref(bias ? sum[o] + bias[first + o] : sum[o], a->act, a->act_last,
                                                  added ? added + first + o : NULL);
        }
    }
}

samc_status samc__conv3x3_ref(const samc__exec *exec, const samc__conv3x3_args *a) {
    int64_t c_in = a->x.n[3], c_out = a->y.n[3];
    float *w = exec->allocate(exec->memory, (size_t)((9 * c_out + 1) * c_in) * sizeof(float));
    if (w == NULL) return samc__fail(exec->error, SAMC_OUT_OF_MEMORY, "no memory for a convolution's weight");
    for (int64_t o = 0; o < c_out && !exec->rehearsal; o++)
        for (int64_t i = 0; i < c_in; i++)
            for (int64_t tap = 0; tap < 9; tap++)
                w[(tap * c_in + i) * c_out + o] = samc__f32(a->w)[(o * c_in + i) * 9 + tap];
    if (!exec->rehearsal) memset(w + 9 * c_in * c_out, 0, (size_t)c_in * sizeof(float));
    conv_task task = {a, w, w + 9 * c_in * c_out};
    exec->parallel(exec->pool, a->y.n[0] * a->y.n[1] * a->y.n[2], 16, conv_rows, &task);
    exec->release(exec->memory, w);
    return SAMC_OK;
}
