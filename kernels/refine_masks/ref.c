/* refine_masks, reference: a prompt at a time, the second convolution with all of its channels. */
#include "kernels/ops.h"
#include "kernels/ref/math.h"
#include "kernels/refine_masks/refine_masks.h"

enum { MAX_CHANNELS = 1024 };

samc_status samc__refine_masks_check(const samc__refine_masks_args *a, samc_error *error) {
    const int64_t prompts = a->map.n[0], pixels = 16 * (int64_t)a->grid * a->grid, c = a->map.n[2],
                  middle = a->norm.g.n[0], masks = a->hyper.n[1], low = 4 * (int64_t)a->grid;
    SAMC__REQUIRE(error, "refine_masks", a->grid > 0 && prompts > 0 && samc__is3(a->map, prompts, pixels, c));
    SAMC__REQUIRE(error, "refine_masks", c > 0 && c <= MAX_CHANNELS && middle > 0 && middle <= MAX_CHANNELS);
    SAMC__REQUIRE(error, "refine_masks", samc__is4(a->conv1.w, middle, c, 3, 3) && samc__is1(a->conv1.b, middle));
    SAMC__REQUIRE(error, "refine_masks", samc__is1(a->norm.g, middle) && samc__is1(a->norm.b, middle));
    SAMC__REQUIRE(error, "refine_masks", samc__is4(a->conv2.w, c, middle, 3, 3) && samc__is1(a->conv2.b, c));
    SAMC__REQUIRE(error, "refine_masks",
                  a->image.n[0] > 0 && prompts % a->image.n[0] == 0 && samc__is3(a->image, a->image.n[0], pixels, c));
    SAMC__REQUIRE(error, "refine_masks", samc__is2(a->refiner, prompts, c));
    SAMC__REQUIRE(error, "refine_masks", masks > 0 && samc__is3(a->hyper, prompts, masks, c));
    SAMC__REQUIRE(error, "refine_masks", samc__is2(a->iou, prompts, masks) && samc__is1(a->y_iou, prompts));
    SAMC__REQUIRE(error, "refine_masks", samc__is3(a->y, prompts, low, low));
    return SAMC_OK;
}

double samc__refine_masks_flops(const samc__refine_masks_args *a) {
    const double pixels = (double)samc__elements(a->y), c = (double)a->map.n[2], middle = (double)a->norm.g.n[0];
    return 2.0 * pixels * (9.0 * c * middle + 9.0 * middle + (a->alone ? 1.0 : 2.0) * c);
}

typedef struct refine_task {
    const samc__refine_masks_args *args;
    int64_t prompt, best;
    float *between; /* [4 grid * 4 grid, middle] of one prompt */
} refine_task;

/* out [c_out] = b + the convolution of x [side, side, c_in] at a pixel; w [c_out, c_in, 9]. */
static void convolve(const float *x, int64_t side, int64_t pixel, const samc__projection *p, float *out) {
    const int64_t c_out = p->w.n[0], c_in = p->w.n[1];
    const float *w = samc__f32(p->w);
    for (int64_t o = 0; o < c_out; o++) out[o] = samc__f32(p->b)[o];
    for (int64_t tap = 0; tap < 9; tap++) {
        const int64_t row = pixel / side + tap / 3 - 1, column = pixel % side + tap % 3 - 1;
        if (row < 0 || row >= side || column < 0 || column >= side) continue;
        const float *from = x + (row * side + column) * c_in;
        for (int64_t o = 0; o < c_out; o++)
            for (int64_t i = 0; i < c_in; i++) out[o] += from[i] * w[(o * c_in + i) * 9 + tap];
    }
}

static void make_between(void *context, int64_t begin, int64_t end, int worker) {
    const refine_task *t = context;
    const samc__refine_masks_args *a = t->args;
    const int64_t side = 4 * a->grid, middle = a->norm.g.n[0];
    (void)worker;
    for (int64_t pixel = begin; pixel < end; pixel++) {
        float *to = t->between + pixel * middle;
        convolve(samc__f32(a->map) + t->prompt * side * side * a->map.n[2], side, pixel, &a->conv1, to);
        samc__layernorm_ref_row(to, samc__f32(a->norm.g), samc__f32(a->norm.b), a->norm.eps, middle, to);
        for (int64_t i = 0; i < middle; i++) to[i] = samc__gelu_ref(to[i]);
    }
}

static void finish(void *context, int64_t begin, int64_t end, int worker) {
    const refine_task *t = context;
    const samc__refine_masks_args *a = t->args;
    const int64_t side = 4 * a->grid, pixels = side * side, c = a->map.n[2], masks = a->hyper.n[1],
                  image = t->prompt / (a->map.n[0] / a->image.n[0]);
    float refined[MAX_CHANNELS];
    (void)worker;
    for (int64_t pixel = begin; pixel < end; pixel++) {
        convolve(t->between, side, pixel, &a->conv2, refined);
        for (int64_t i = 0; i < c; i++) refined[i] += samc__f32(a->image)[(image * pixels + pixel) * c + i];
        float logit = samc__dot_ref(samc__f32(a->refiner) + t->prompt * c, refined, c);
        if (!a->alone)
            logit += samc__dot_ref(samc__f32(a->hyper) + (t->prompt * masks + t->best) * c,
                                   samc__f32(a->map) + (t->prompt * pixels + pixel) * c, c);
        samc__f32(a->y)[t->prompt * pixels + pixel] = logit;
    }
}

samc_status samc__refine_masks_ref(const samc__exec *exec, const samc__refine_masks_args *a) {
    const int64_t pixels = 16 * (int64_t)a->grid * a->grid, masks = a->hyper.n[1];
    refine_task t = {.args = a};
    t.between = exec->allocate(exec->memory, (size_t)(pixels * a->norm.g.n[0]) * sizeof *t.between);
    if (t.between == NULL) return samc__fail(exec->error, SAMC_OUT_OF_MEMORY, "no memory to refine masks");
    for (t.prompt = 0; t.prompt < a->map.n[0] && !exec->rehearsal; t.prompt++) {
        const float *iou = samc__f32(a->iou) + t.prompt * masks;
        t.best = samc__refine_masks_best(iou, masks);
        samc__f32(a->y_iou)[t.prompt] = iou[t.best];
        exec->parallel(exec->pool, pixels, 64, make_between, &t);
        exec->parallel(exec->pool, pixels, 64, finish, &t);
    }
    exec->release(exec->memory, t.between);
    return SAMC_OK;
}
