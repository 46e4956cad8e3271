/* The cases of conv3x3: images h w c_in c_out stride, epilogue; type, which of y and the residual are f32 (otherwise as
 * x), the kernel that must serve it on a GPU (0: whichever does). */
#include "kernels/conv3x3/conv3x3.h"
#include "kernels/conv3x3/cuda.h"
#include "kernels/ref/math.h"
#include "tests/checkops/book.h"
#include "tests/checkops/checkops.h"
#include "tests/emu/tensor_core.h"

#include <math.h>
#include <string.h>

/* Not where hosts alone are checked. */
#pragma weak samc__conv3x3_cuda
#pragma weak samc__conv3x3_by_tap_cuda
#pragma weak samc__conv3x3_cuda_kernel

enum { MORE = 6, TYPE, FLOATS, KERNEL };               /* places in p[] */
enum { GELU = SAMC__ACT_GELU, RELU = SAMC__ACT_RELU }; /* of p[MORE], beside: */
enum { BIAS = 8, ADDED = 16, LAST = 32, SELF = 64 /* y is the residual */, WINOGRAD = 128 };
enum { Y = 1, R = 2 };
enum { ANY = 1 + SAMC__CONV3X3_ANY, LARGE = 1 + SAMC__CONV3X3_LARGE, SMALL = 1 + SAMC__CONV3X3_SMALL };

static const test_case conv_cases[] = {
    {HOSTS, {1, 1, 1, 1, 1, 1}},
    {HOSTS, {2, 2, 2, 3, 5, 1}},
    {HOSTS, {1, 7, 7, 16, 33, 1}},
    {HOSTS, {1, 9, 9, 130, 8, 1}},
    {HOSTS, {2, 8, 8, 32, 64, 1}},
    {HOSTS, {1, 1, 2, 3, 5, 2, GELU}},
    {HOSTS, {2, 5, 8, 3, 33, 2, GELU}},
    {HOSTS, {2, 6, 3, 19, 40, 2, RELU + BIAS}},
    {HOSTS, {1, 4, 9, 70, 12, 1, GELU + BIAS + ADDED}},
    {HOSTS, {1, 5, 3, 33, 70, 1, RELU + BIAS + ADDED + LAST}},
    {HOSTS, {2, 3, 5, 90, 7, 2, GELU + ADDED + LAST + SELF}},
    /* Winograd's way: odd sides, channels in parts of vectors, tiles of several images in a block. */
    {HOST_QUICK, {1, 1, 1, 16, 16, 1, WINOGRAD}},
    {HOST_QUICK, {2, 5, 8, 33, 70, 1, GELU + BIAS + WINOGRAD}},
    {HOST_QUICK, {3, 7, 9, 40, 19, 1, BIAS + ADDED + SELF + WINOGRAD}},
    {HOST_QUICK, {1, 16, 12, 256, 48, 1, RELU + BIAS + ADDED + LAST + WINOGRAD}},
    {MODEL, {1, 64, 64, 256, 256, 1, BIAS + WINOGRAD}},
    {MODEL, {1, 128, 128, 64, 256, 1, BIAS + WINOGRAD}},
    {MODEL, {1, 64, 64, 256, 256, 1}},
    {MODEL, {1, 32, 32, 128, 128, 1}},
    {MODEL, {1, 1024, 1024, 3, 32, 2, GELU + BIAS}},
    {MODEL, {1, 512, 512, 32, 64, 2, BIAS}},
    /* Tensor cores, for NaN and infinities. */
    {CUDA_SHAPE, {1, 8, 8, 64, 64, 1}},
    /* The general kernel: one pixel, odd channels, tiles across images. */
    {QUICK, {1, 1, 1, 1, 1, 1, 0, F32, 0, ANY}},
    {QUICK, {3, 5, 5, 7, 9, 1, 0, F32, 0, ANY}},
    {QUICK, {2, 6, 6, 3, 70, 1, 0, BF16, 0, ANY}},
    {QUICK, {1, 3, 3, 64, 6, 1, 0, F16, Y, ANY}},
    {QUICK, {2, 7, 10, 3, 20, 2, GELU + BIAS, BF16, 0, ANY}},
    {QUICK, {2, 4, 5, 6, 9, 2, GELU + BIAS + ADDED + LAST, F32, 0, ANY}},
    /* 64 x 64 tiles: borders of several images in one tile, ragged in both directions. */
    {QUICK, {1, 1, 1, 64, 4, 1, 0, F16, 0, SMALL}},
    {QUICK, {5, 5, 5, 64, 68, 1, 0, BF16, 0, SMALL}},
    {QUICK, {1, 9, 9, 128, 36, 1, 0, F16, Y, SMALL}},
    {QUICK, {3, 7, 10, 64, 36, 2, GELU + BIAS, BF16, 0, SMALL}},
    {QUICK, {2, 6, 9, 64, 20, 1, GELU + BIAS + ADDED + LAST, F16, Y | R, SMALL}},
    /* 128 x 128 tiles: channels that are no multiple of 64; many images. */
    {QUICK, {3, 9, 11, 32, 68, 2, BIAS, BF16, Y, LARGE}},
    {QUICK, {2, 6, 7, 96, 20, 1, RELU + BIAS + ADDED, F16, 0, LARGE}},
    {FULL, {12, 32, 32, 64, 20, 1, 0, BF16, 0, LARGE}},
    {FULL, {12, 32, 32, 64, 20, 1, 0, F16, Y, LARGE}},
    {FULL, {1, 32, 32, 128, 128, 1, 0, F16, 0, SMALL}},
    {FULL, {1, 64, 64, 256, 256, 1, 0, BF16, 0, SMALL}},
};

static void conv_build(check *c, const int *p) {
    int64_t images = p[0], h = p[1], w = p[2], in = p[3], out = p[4], s = p[5], y_h = (h - 1) / s + 1,
            y_w = (w - 1) / s + 1, size = images * y_h * y_w * out;
    /* Where a kernel is named results are of unit size, however many channels there are: its gate has a last place. */
    const float scale = p[KERNEL] ? 1 / sqrtf(9 * (float)in) : 0.05f;
    samc__conv3x3_args *a = ARGS(c, conv3x3);
    *a = (samc__conv3x3_args){.x = samc__view4(input(c, images * h * w * in, 1), images, h, w, in),
                              .w = samc__view4(input_around(c, out * in * 9, 0, scale), out, in, 3, 3),
                              .stride = p[5],
                              .act = (samc__act)(p[MORE] % BIAS),
                              .act_last = (p[MORE] & LAST) != 0,
                              .winograd = (p[MORE] & WINOGRAD) != 0};
    if (p[MORE] & BIAS) a->b = samc__view1(input(c, out, p[KERNEL] ? 0.5f : 0.1f), out);
    a->y = samc__view4(p[MORE] & SELF ? in_out(c, size, 1) : output(c, size), images, y_h, y_w, out);
    if (p[MORE] & ADDED) a->residual = p[MORE] & SELF ? a->y : samc__view4(input(c, size, 1), images, y_h, y_w, out);
}

static void conv_draw(check *c, int *p) {
    p[0] = 1 + random_below(c, 3), p[1] = random_size(c, 20), p[2] = random_size(c, 20);
    p[3] = random_size(c, 200), p[4] = random_size(c, 200), p[5] = 1 + random_below(c, 2);
    p[MORE] = random_below(c, SAMC__ACTS) + random_below(c, 8) * BIAS;
    if (p[MORE] & ADDED) p[MORE] |= random_below(c, 2) * SELF;
    p[MORE] |= random_below(c, 2) * WINOGRAD;
}

static bool conv_narrow(check *c, const int *p) {
    samc__conv3x3_args *a = ARGS(c, conv3x3);
    a->x = last_of(a->x), a->y = last_of(a->y);
    if (a->residual.data) a->residual = last_of(a->residual);
    return p[0] > 1;
}

/* Where a tap of output `i` lies in x; -1: beyond the border. */
static int64_t place_of(const samc__conv3x3_args *a, int64_t i, int64_t tap, int64_t channel) {
    int64_t pixel = i / a->y.n[3], row = pixel / a->y.n[2] % a->y.n[1] * a->stride + tap / 3 - 1,
            column = pixel % a->y.n[2] * a->stride + tap % 3 - 1, image = pixel / (a->y.n[1] * a->y.n[2]);
    if (row < 0 || row >= a->x.n[1] || column < 0 || column >= a->x.n[2]) return -1;
    return ((image * a->x.n[1] + row) * a->x.n[2] + column) * a->x.n[3] + channel;
}

static void conv_book(book *b, const check *of) {
    const samc__conv3x3_args *a = ARGS(of, conv3x3);
    int64_t in = a->x.n[3], out = a->y.n[3];
    double *x = values(b, a->x), *w = values(b, a->w), *bias = values_at(b, a->b.data, out),
           *residual = values(b, a->residual), *y = result(b, a->y);
    for (int64_t i = 0; i < count_of(a->y); i += b->every) {
        double sum = bias[i % out];
        for (int64_t j = 0; j < 9 * in; j++) {
            int64_t at = place_of(a, i, j % 9, j / 9);
            sum += (at >= 0 ? x[at] : 0) * w[i % out * in * 9 + j];
        }
        y[i] = finished(sum, a->act, a->act_last, a->residual.data ? residual + i : NULL);
    }
}

/* Of large problems a prime step of outputs. */
static int conv_every(const int *p) {
    double products = (double)p[0] * p[1] * p[2] * p[3] * p[4] / (p[5] * p[5]);
    return products > 100000000 ? 1021 : products > 1000000 ? 61 : 1;
}

/* One sum in order. */
static void conv_naive(book *b, const check *of, const int *p) {
    const samc__conv3x3_args *a = ARGS(of, conv3x3);
    int64_t in = a->x.n[3], out = a->y.n[3];
    const bool cores = p[TYPE] != F32 && p[KERNEL] != 0 && p[KERNEL] != ANY;
    const float *x = initial(of, a->x.data), *w = initial(of, a->w.data),
                *bias = a->b.data ? initial(of, a->b.data) : NULL,
                *residual = a->residual.data ? initial(of, a->residual.data) : NULL;
    double *y = result(b, a->y);
    for (int64_t i = 0; i < count_of(a->y); i += b->every) {
        tensor_sum sum = tensor_sum_of(cores ? TENSOR_SM80 : TENSOR_NEAREST);
        for (int64_t j = 0; j < 9 * in; j++) {
            int64_t at = place_of(a, i, j % 9, j / 9);
            if (at >= 0) tensor_sum_add(&sum, x[at], w[i % out * in * 9 + j]);
        }
        float low = tensor_sum_end(&sum);
        y[i] = samc__finish_ref(bias ? low + bias[i % out] : low, a->act, a->act_last, residual ? residual + i : NULL);
    }
}

static int conv_typed(check *c, samc__view **views) {
    samc__conv3x3_args *a = ARGS(c, conv3x3);
    samc__view *own[] = {&a->x, &a->w, &a->y, &a->residual};
    memcpy(views, own, sizeof own);
    return (int)(sizeof own / sizeof *own);
}

static void conv_types(const int *p, samc__dtype *of_views) {
    of_views[0] = of_views[1] = (samc__dtype)p[TYPE];
    of_views[2] = p[FLOATS] & Y ? SAMC__F32 : (samc__dtype)p[TYPE];
    of_views[3] = p[FLOATS] & (p[MORE] & SELF ? Y : R) ? SAMC__F32 : (samc__dtype)p[TYPE];
}

static size_t weight_bytes(const check *c) {
    const samc__view w = ARGS(c, conv3x3)->w;
    return (size_t)count_of(w) * samc__dtype_size(w.dtype);
}

/* The weight as cuDNN takes it: the same numbers, [c_out, 3, 3, c_in]. */
static samc_status check_by_tap(const samc__cuda *cuda, samc__view w) {
    samc_status status = samc__conv3x3_by_tap_cuda(cuda, w, cuda->scratch);
    const int64_t in = w.n[1];
    for (int64_t i = 0; i < count_of(w) && status == SAMC_OK; i++) {
        int64_t output = i / (9 * in), channel = i / 9 % in, tap = i % 9;
        float is = samc__load_element(w.dtype, cuda->scratch, (output * 9 + tap) * in + channel),
              from = samc__load_element(w.dtype, w.data, i);
        if (is != from)
            status = samc__fail(cuda->error, SAMC_INTERNAL, "the weight by tap: output %d, channel %d, tap %d",
                                (int)output, (int)channel, (int)tap);
    }
    return status;
}

static samc_status conv_by_kernel(const samc__cuda *cuda, const check *c, const int *p) {
    const samc__conv3x3_args *a = ARGS(c, conv3x3);
    const int64_t pixels = a->y.n[0] * a->y.n[1] * a->y.n[2];
    const int serves = 1 + (int)samc__conv3x3_cuda_kernel(pixels, p[3], p[4], (samc__dtype)p[TYPE], true);
    const bool whole = a->x.n[0] == p[0]; /* one image alone may have another kernel */
    if (p[KERNEL] != 0 && whole && serves != p[KERNEL])
        return samc__fail(cuda->error, SAMC_INTERNAL, "kernel %d serves it, not %d", serves, p[KERNEL]);
    samc_status status = samc__conv3x3_cuda(cuda, a);
    return status == SAMC_OK && whole ? check_by_tap(cuda, a->w) : status;
}

static int conv_low(check *c, samc__view **views) {
    samc__conv3x3_args *a = ARGS(c, conv3x3);
    views[0] = &a->x, views[1] = &a->y, views[2] = &a->residual;
    return 3;
}

static samc__view *conv_low_packed(check *c) { return &ARGS(c, conv3x3)->w; }

ROW(conv3x3) = {
    .name = "conv3x3",
    .fields = "images h w c_in c_out stride epilogue type f32 kernel",
    /* As for linear. */
    .nmse = 2e-12,
    .deviation = 2.5e-5,
    .cases = conv_cases,
    .case_count = COUNT(conv_cases),
    .build = conv_build,
    .narrow = conv_narrow,
    .draw = conv_draw,
    .book = conv_book,
    .typed = conv_typed,
    .types = conv_types,
    .naive = conv_naive,
    .every = conv_every,
    .by_kernel = conv_by_kernel,
    .more_scratch = weight_bytes,
    .low = conv_low,
    .low_packed = conv_low_packed,
};
