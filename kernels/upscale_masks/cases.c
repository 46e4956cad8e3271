/* The cases of upscale_masks: prompts grid C C/4 C/8 masks layers B (entries of src, with layers) T heads hd (0: 4),
 * type of src, both weights and the maps, the kernel that must serve it on a GPU, images of the maps (0: none), whether
 * these come as panels. */
#include "kernels/upscale_masks/cuda.h"
#include "kernels/upscale_masks/upscale_masks.h"
#include "tests/checkops/book.h"
#include "tests/checkops/checkops.h"
#include "tests/emu/tensor_core.h"

#include <math.h>
#include <string.h>

/* Not where hosts alone are checked. */
#pragma weak samc__upscale_masks_cuda_kernel

enum { TYPE = 11, KERNEL, IMAGES, PANELS }; /* places in p[] */
enum { ANY = SAMC__UPSCALE_ANY, CELLS = SAMC__UPSCALE_CELLS };

static const test_case upscale_cases[] = {
    {ALL, {1, 1, 8, 2, 1, 1}},
    {ALL, {2, 3, 16, 4, 2, 3}},
    {ALL, {1, 5, 64, 16, 8, 4}},
    {ALL, {3, 8, 32, 8, 4, 1}},
    {ALL, {1, 17, 128, 32, 16, 3}},
    {ALL, {1, 7, 20, 5, 3, 2}},
    {ALL, {2, 16, 256, 64, 32, 3}},
    {HOSTS, {1, 1, 8, 2, 1, 1, 1, 1, 1, 1}},
    {HOSTS, {2, 3, 16, 4, 2, 3, 2, 1, 5, 2}},
    {HOSTS, {4, 5, 64, 16, 8, 4, 2, 2, 7, 8}},
    {HOSTS, {3, 8, 32, 8, 4, 1, 3, 3, 18, 4}},
    {HOSTS, {2, 17, 128, 32, 16, 3, 2, 1, 7, 8}},
    {HOSTS, {1, 7, 20, 5, 3, 2, 2, 1, 2, 5}},
    /* With an image's finer maps: rows of the grid that hold whole groups of tokens, and such that do not. */
    {ALL, {2, 3, 16, 4, 2, 3, 0, 0, 0, 0, 0, F32, ANY, 1}},
    {ALL, {4, 8, 32, 8, 4, 4, 0, 0, 0, 0, 0, F32, ANY, 2}},
    {ALL, {1, 7, 20, 5, 3, 2, 0, 0, 0, 0, 0, F32, ANY, 1}},
    {HOSTS, {4, 8, 64, 16, 8, 4, 2, 2, 8, 8, 0, F32, ANY, 2}},
    {HOSTS, {2, 9, 128, 32, 16, 3, 2, 1, 7, 8, 0, F32, ANY, 1}},
    {HOSTS, {1, 5, 20, 5, 3, 2, 2, 1, 2, 5, 0, F32, ANY, 1}},
    {HOSTS, {4, 8, 64, 16, 8, 4, 2, 2, 8, 8, 0, F32, ANY, 2, 1}},
    {HOSTS, {2, 9, 128, 32, 16, 3, 2, 1, 7, 8, 0, F32, ANY, 1, 1}},
    {HOSTS, {1, 5, 20, 5, 3, 2, 2, 1, 2, 5, 0, F32, ANY, 1, 1}},
    {HOSTS, {3, 7, 20, 5, 3, 2, 0, 0, 0, 0, 0, F32, ANY, 3, 1}},
    {MODEL, {16, 64, 256, 64, 32, 3, 2, 1, 8, 8, 0, F32, ANY, 1}},
    {MODEL, {16, 64, 256, 64, 32, 3, 2, 1, 8, 8, 0, F32, ANY, 1, 1}},
    {MODEL, {1, 64, 256, 64, 32, 4, 2, 1, 8, 8, 0, F32, ANY, 1}},
    {MODEL, {16, 64, 256, 64, 32, 3}},
    {MODEL, {64, 32, 128, 32, 16, 3}},
    {MODEL, {1, 64, 256, 64, 32, 1}},
    {MODEL, {16, 64, 256, 64, 32, 3, 2, 1, 7, 8}},
    {MODEL, {64, 32, 128, 32, 16, 3, 2, 1, 7, 8}},
    /* Tensor cores, for NaN and infinities. */
    {CUDA_SHAPE, {1, 8, 128, 32, 16, 3}},
    {CUDA_SHAPE, {1, 8, 256, 64, 32, 3}},
    /* The general kernel: tokens that do not fill a block, odd channels, many masks. */
    {QUICK, {1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0, F32, ANY}},
    {QUICK, {2, 3, 20, 7, 3, 5, 0, 0, 0, 0, 0, F32, ANY}},
    {QUICK, {1, 3, 256, 64, 32, 3, 0, 0, 0, 0, 0, F32, ANY}},
    {QUICK, {3, 3, 36, 9, 5, 2, 0, 0, 0, 0, 0, BF16, ANY}},
    {QUICK, {1, 4, 128, 32, 16, 4, 0, 0, 0, 0, 0, F16, ANY}},
    {QUICK, {1, 8, 128, 32, 16, 5, 0, 0, 0, 0, 0, BF16, ANY}},
    /* One warp's tokens in one image row, in two; every number of masks. */
    {QUICK, {1, 8, 256, 64, 32, 3, 0, 0, 0, 0, 0, BF16, CELLS}},
    {QUICK, {2, 8, 256, 64, 32, 1, 0, 0, 0, 0, 0, F16, CELLS}},
    {QUICK, {1, 16, 128, 32, 16, 4, 0, 0, 0, 0, 0, F16, CELLS}},
    {QUICK, {3, 8, 128, 32, 16, 2, 0, 0, 0, 0, 0, BF16, CELLS}},
    /* With maps: of one image and of several. Entries of odd shapes are three, as the third begins at 16 bytes. */
    {QUICK, {2, 8, 256, 64, 32, 3, 0, 0, 0, 0, 0, BF16, CELLS, 1}},
    {QUICK, {2, 16, 128, 32, 16, 4, 0, 0, 0, 0, 0, F16, CELLS, 2}},
    {QUICK, {1, 8, 128, 32, 16, 2, 0, 0, 0, 0, 0, BF16, CELLS, 1}},
    {QUICK, {1, 8, 256, 64, 32, 1, 0, 0, 0, 0, 0, F16, CELLS, 1}},
    {QUICK, {3, 3, 36, 9, 5, 2, 0, 0, 0, 0, 0, BF16, ANY, 3}},
    {QUICK, {3, 3, 36, 9, 5, 1, 0, 0, 0, 0, 0, F16, ANY, 1}},
    {FULL, {2, 32, 128, 32, 16, 3, 0, 0, 0, 0, 0, BF16, CELLS}},
    {FULL, {2, 64, 256, 64, 32, 4, 0, 0, 0, 0, 0, F16, CELLS}},
    {FULL, {1, 64, 256, 64, 32, 3, 0, 0, 0, 0, 0, BF16, CELLS}},
};

/* Weights and inverse deviations of both signs, smaller than in use: layer upon layer must not grow. */
static float *tame(check *c, int64_t count) { return input_around(c, count, 0.1f, 0.3f); }

static void upscale_build(check *c, const int *p) {
    samc__up_layer *layers = (void *)c->more;
    int64_t prompts = p[0], g = p[1], n = p[2], c4 = p[3], c8 = p[4], masks = p[5];
    samc__upscale_masks_args *a = ARGS(c, upscale_masks);
    int64_t entries = p[6] ? p[7] : prompts, inner = (p[10] ? p[10] : 4) * (int64_t)p[9];
    *a = (samc__upscale_masks_args){.src = samc__view3(input(c, entries * g * g * n, 1), entries, g * g, n),
                                    .grid = p[1],
                                    .depth = p[6],
                                    .heads = p[9]};
    for (int i = 0; i < p[6]; i++) {
        layers[i] = (samc__up_layer){
            .update = key_update(c, tame, prompts, p[8], g * g, p[9], inner),
            .fold = samc__view2(input_around(c, inner * n, 0, 1.0f / __builtin_sqrtf((float)inner)), inner, n),
            .add = samc__view1(input_around(c, n, 0, 0.3f), n)};
        a->layers = layers;
    }
    a->up1 = (samc__projection){
        .w = samc__view4(input_around(c, n * c4 * 4, 0, 1.0f / __builtin_sqrtf((float)n)), n, c4, 2, 2),
        .b = samc__view1(input_around(c, c4, 0, 0.1f), c4)};
    a->norm = norm(c, c4, 1e-6f);
    a->up2 = (samc__projection){
        .w = samc__view4(input_around(c, c4 * c8 * 4, 0, 1.0f / __builtin_sqrtf((float)c4)), c4, c8, 2, 2),
        .b = samc__view1(input_around(c, c8, 0, 0.1f), c8)};
    a->hyper = samc__view3(input(c, prompts * masks * c8, 1), prompts, masks, c8);
    a->y = samc__view4(output(c, prompts * masks * 16 * g * g), prompts, masks, 4 * g, 4 * g);
    const int64_t images = p[IMAGES];
    if (images == 0) return;
    const int64_t blocks = samc__update_blocks(g * g), keys = SAMC__UPDATE_KEYS;
    if (p[PANELS]) {
        a->add1 = samc__view4(input(c, images * blocks * 4 * c4 * keys, 1), images, blocks, 4 * c4, keys);
        a->add2 = samc__view4(input(c, images * blocks * 16 * c8 * keys, 1), images, blocks, 16 * c8, keys);
        return;
    }
    a->add1 = samc__view3(input(c, images * 4 * g * g * c4, 1), images, 4 * g * g, c4);
    a->add2 = samc__view3(input(c, images * 16 * g * g * c8, 1), images, 16 * g * g, c8);
}

static void upscale_draw(check *c, int *p) {
    p[7] = random_size(c, 3), p[0] = p[7] * (1 + random_below(c, 3)), p[1] = random_size(c, 18),
    p[2] = random_size(c, 150), p[3] = random_size(c, 45);
    p[4] = random_size(c, 35), p[5] = random_size(c, 6), p[6] = random_below(c, 4);
    p[IMAGES] = random_below(c, 2) ? 0 : random_below(c, 2) ? 1 : p[7], p[PANELS] = random_below(c, 2);
    if (p[6]) p[2] = 4 * p[3], p[8] = random_size(c, 20), p[9] = 1 + random_below(c, 8), p[10] = random_size(c, 17);
}

static bool upscale_narrow(check *c, const int *p) {
    samc__up_layer *layers = (void *)c->more;
    samc__upscale_masks_args *a = ARGS(c, upscale_masks);
    a->src = last_of(a->src);
    a->hyper = last_of(a->hyper);
    a->y = last_of(a->y);
    if (p[IMAGES]) a->add1 = last_of(a->add1), a->add2 = last_of(a->add2);
    for (int i = 0; i < p[6]; i++) layers[i].update = last_update(layers[i].update);
    return p[0] > 1;
}

/* n products of x and every `step`-th of w: exactly, or as the naive kernel adds them. */
static double products(const book *b, bool tensor, const double *x, const double *w, int64_t n, int64_t step) {
    double exact = 0;
    tensor_sum sum = tensor_sum_of(tensor ? TENSOR_SM80 : TENSOR_NEAREST);
    for (int64_t i = 0; i < n; i++)
        if (b->low == SAMC__F32) exact += x[i] * w[i * step];
        else tensor_sum_add(&sum, (float)x[i], (float)w[i * step]);
    return b->low == SAMC__F32 ? exact : (double)tensor_sum_end(&sum);
}

/* As the naive kernel's tensor cores meet it. */
static double half(const book *b, double x) { return b->low != SAMC__F32 && b->tensor ? lower(b, x) : x; }

/* What a map has for channel o at place i of the side x side under a token of all prompts. */
static double of_map(const samc__upscale_masks_args *a, samc__view map, const double *x, int64_t side, int64_t token,
                     int64_t i, int64_t o) {
    const int64_t g = a->grid, n = g * g, image = token / n / (a->hyper.n[0] / map.n[0]), t = token % n;
    if (map.rank == 4)
        return x[((image * map.n[1] + t / 32) * map.n[2] + i * map.n[2] / side / side + o) * 32 + t % 32];
    const int64_t row = t / g * side + i / side, column = t % g * side + i % side;
    return x[((image * side * g + row) * side * g + column) * map.n[2] + o];
}

/* By the book; or as a naive kernel that computes in fp32, but rounds what meets a product on tensor cores.
 * The product with the hypernetwork never takes these. */
static void upscale_book(book *b, const check *of) {
    const samc__upscale_masks_args *a = ARGS(of, upscale_masks);
    int64_t p = a->hyper.n[0], masks = a->hyper.n[1], c8 = a->hyper.n[2], c4 = a->norm.g.n[0], c = a->src.n[2],
            g = a->grid, n = g * g;
    double *src = values(b, a->src), *w1 = values(b, a->up1.w), *b1 = values(b, a->up1.b), *w2 = values(b, a->up2.w),
           *b2 = values(b, a->up2.b);
    double *add1 = a->add1.rank ? values(b, a->add1) : NULL, *add2 = a->add2.rank ? values(b, a->add2) : NULL;
    double *hyper = values(b, a->hyper), *y = result(b, a->y), *first = room(b, p * n * 4 * c4),
           *second = room(b, 4 * c8);
    for (int64_t i = 0; i < p * n * 4 * c4; i++) { /* [token][pixel][c4] */
        int64_t token = i / (4 * c4), pixel = i / c4 % 4, o = i % c4;
        if (a->depth) first[i] = src[(token / n / (p / a->src.n[0]) * n + token % n) * c + i % c];
        else first[i] = products(b, b->tensor, src + token * c, w1 + o * 4 + pixel, c, c4 * 4) + b1[o];
    }
    for (int layer = 0; layer < a->depth; layer++) {
        const samc__up_layer *l = &a->layers[layer];
        int64_t t = l->update.values.n[1], inner = l->update.values.n[2], hd = inner / a->heads;
        double *weights = values(b, l->update.weights), *from = values(b, l->update.values), *fold = values(b, l->fold),
               *add = values(b, l->add);
        for (int64_t token = 0; token < p * n; token++) {
            double *f = first + token * c,
                   scale = weights[samc__update_at(&l->update, token / n, token % n, a->heads * t)];
            for (int64_t i = 0; i < inner; i++) {
                double o = 0;
                for (int64_t j = 0; j < t; j++)
                    o += half(b, weights[samc__update_at(&l->update, token / n, token % n, i / hd * t + j)]) *
                         from[(token / n * t + j) * inner + i];
                o = half(b, o);
                for (int64_t r = 0; r < c; r++) f[r] += o * fold[i * c + r];
            }
            for (int64_t r = 0; r < c; r++) f[r] = f[r] * scale + add[r];
        }
    }
    for (int64_t i = 0; i < p * n * 4 * c4 && add1; i++)
        first[i] += of_map(a, a->add1, add1, 2, i / (4 * c4), i / c4 % 4, i % c4);
    normalise(b, first, p * n * 4, a->norm, NULL);
    for (int64_t i = 0; i < p * n * 4; i++) {
        for (int64_t o = 0; o < c4; o++) {
            double *x = first + i * c4 + o;
            *x = gelu(*x);
            if (b->low != SAMC__F32) *x = b->tensor ? half(b, *x) : (double)(float)*x;
        }
        for (int64_t o = 0; o < 4 * c8; o++) { /* [pixel][c8] */
            second[o] = products(b, b->tensor, first + i * c4, w2 + o % c8 * 4 + o / c8, c4, c8 * 4) + b2[o % c8];
            const int64_t place = (i % 4 / 2 * 2 + o / c8 / 2) * 4 + i % 2 * 2 + o / c8 % 2;
            if (add2) second[o] += of_map(a, a->add2, add2, 4, i / 4, place, o % c8);
            second[o] = gelu(second[o]);
        }
        for (int64_t m = 0; m < masks; m++)
            for (int64_t j = 0; j < 4; j++) {
                int64_t token = i / 4, row = token % n / g * 4 + i % 4 / 2 * 2 + j / 2,
                        column = token % g * 4 + i % 2 * 2 + j % 2;
                y[((token / n * masks + m) * 4 * g + row) * 4 * g + column] =
                    products(b, false, hyper + (token / n * masks + m) * c8, second + j * c8, c8, 1);
            }
    }
}

static int upscale_typed(check *c, samc__view **views) {
    samc__upscale_masks_args *a = ARGS(c, upscale_masks);
    samc__view *own[] = {&a->src, &a->up1.w, &a->up2.w, &a->add1, &a->add2};
    memcpy(views, own, sizeof own);
    return a->add1.rank ? 5 : 3;
}

static void upscale_types(const int *p, samc__dtype *of_views) {
    for (int i = 0; i < 5; i++) of_views[i] = (samc__dtype)p[TYPE];
}

static bool upscale_tensor(const int *p, int capability) {
    (void)capability;
    return p[KERNEL] == CELLS;
}

static bool upscale_takes_tensor(const check *c, int capability) {
    const samc__upscale_masks_args *a = ARGS(c, upscale_masks);
    (void)capability;
    return samc__upscale_masks_cuda_kernel(a->src.dtype, (int)a->src.n[2], (int)a->norm.g.n[0], (int)a->hyper.n[2],
                                           (int)a->hyper.n[1], a->grid) == SAMC__UPSCALE_CELLS;
}

static bool upscale_for_hosts(const check *c) {
    return ARGS(c, upscale_masks)->depth > 0 || ARGS(c, upscale_masks)->add1.rank == 4;
}

static int upscale_low(check *c, samc__view **views) {
    samc__upscale_masks_args *a = ARGS(c, upscale_masks);
    samc__view *own[] = {&a->src, &a->add1, &a->add2};
    memcpy(views, own, sizeof own);
    return a->add1.rank ? 3 : 1;
}

ROW(upscale_masks) = {
    .name = "upscale_masks",
    .fields = "prompts grid C C4 C8 masks layers B T heads hd type kernel images panels",
    /* As for linear: a chain of at most five sums of up to 256 terms and a softmax over up to 4096 keys, ended by a
     * norm, and folding rounds in other places: about 3e-7 for each step. A norm over two or three channels, which only
     * drawn shapes have, magnifies that by up to eps^-1/2, 300 (1e-9 and 6e-3 seen): there the bound grows as the
     * reference itself moves. */
    .nmse = 4e-12,
    .deviation = 2e-5,
    .cases = upscale_cases,
    .case_count = COUNT(upscale_cases),
    .build = upscale_build,
    .narrow = upscale_narrow,
    .draw = upscale_draw,
    .book = upscale_book,
    .typed = upscale_typed,
    .types = upscale_types,
    .tensor = upscale_tensor,
    .takes_tensor = upscale_takes_tensor,
    .for_hosts = upscale_for_hosts,
    .low = upscale_low,
};
