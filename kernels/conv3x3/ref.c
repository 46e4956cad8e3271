/* conv3x3, reference: each output pixel sums nine neighbours, zeros beyond the border.
 *
 * The weight is read as nine matrices [c_in, c_out], transposed once a call, so that the inner loop runs along
 * channels. */
#include "kernels/ops.h"
#include "kernels/conv3x3/conv3x3.h"

#include <string.h>

samc_status samc__conv3x3_check(const samc__conv3x3_args *a, samc_error *error) {
    int64_t images = a->x.n[0], tokens = (int64_t)a->grid * a->grid, c_in = a->x.n[2], c_out = a->y.n[2];
    SAMC__REQUIRE(error, "conv3x3", a->grid > 0 && images > 0 && c_in > 0 && c_out > 0);
    SAMC__REQUIRE(error, "conv3x3", samc__is3(a->x, images, tokens, c_in));
    SAMC__REQUIRE(error, "conv3x3", samc__is4(a->w, c_out, c_in, 3, 3));
    SAMC__REQUIRE(error, "conv3x3", samc__is3(a->y, images, tokens, c_out));
    return SAMC_OK;
}

double samc__conv3x3_flops(const samc__conv3x3_args *a) {
    return 18.0 * (double)a->x.n[0] * (double)a->x.n[1] * (double)a->x.n[2] * (double)a->y.n[2];
}

typedef struct conv_task {
    const samc__conv3x3_args *args;
    const float *w;     /* [9, c_in, c_out] */
    const float *zeros; /* [c_in], what lies beyond the border */
} conv_task;

static void conv_rows(void *context, int64_t begin, int64_t end, int worker) {
    const conv_task *t = context;
    const samc__conv3x3_args *a = t->args;
    (void)worker;
    int64_t c_in = a->x.n[2], c_out = a->y.n[2], g = a->grid;
    for (int64_t pixel = begin; pixel < end; pixel++) { /* over images, rows and columns */
        int64_t x = pixel % g, y = pixel / g % g;
        float *out = samc__f32(a->y) + pixel * c_out;
        for (int64_t o = 0; o < c_out; o++) out[o] = 0.0f;
        for (int tap = 0; tap < 9; tap++) {
            int64_t dy = tap / 3 - 1, dx = tap % 3 - 1;
            bool inside = y + dy >= 0 && y + dy < g && x + dx >= 0 && x + dx < g;
            const float *in = inside ? samc__f32(a->x) + (pixel + dy * g + dx) * c_in : t->zeros,
                        *w = t->w + tap * c_in * c_out;
            for (int64_t i = 0; i < c_in; i++)
                for (int64_t o = 0; o < c_out; o++) out[o] += in[i] * w[i * c_out + o];
        }
    }
}

samc_status samc__conv3x3_ref(const samc__exec *exec, const samc__conv3x3_args *a) {
    int64_t c_in = a->x.n[2], c_out = a->y.n[2];
    float *w = exec->allocate(exec->memory, (size_t)((9 * c_out + 1) * c_in) * sizeof(float));
    if (w == NULL) return samc__fail(exec->error, SAMC_OUT_OF_MEMORY, "no memory for the neck's convolution");
    for (int64_t o = 0; o < c_out && !exec->rehearsal; o++)
        for (int64_t i = 0; i < c_in; i++)
            for (int64_t tap = 0; tap < 9; tap++)
                w[(tap * c_in + i) * c_out + o] = samc__f32(a->w)[(o * c_in + i) * 9 + tap];
    if (!exec->rehearsal) memset(w + 9 * c_in * c_out, 0, (size_t)c_in * sizeof(float));
    conv_task task = {a, w, w + 9 * c_in * c_out};
    exec->parallel(exec->pool, a->x.n[0] * a->x.n[1], 16, conv_rows, &task);
    exec->release(exec->memory, w);
    return SAMC_OK;
}
