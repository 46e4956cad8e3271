/* The cases of conv3x3: images grid c_in c_out; type, whether y is f32, the kernel that must serve it on a GPU (0:
 * whichever does). */
#include "kernels/conv3x3/conv3x3.h"
#include "kernels/conv3x3/cuda.h"
#include "tests/checkops/book.h"
#include "tests/checkops/checkops.h"
#include "tests/emu/tensor_core.h"

#include <math.h>
#include <string.h>

/* Not where hosts alone are checked. */
#pragma weak samc__conv3x3_cuda
#pragma weak samc__conv3x3_by_tap_cuda
#pragma weak samc__conv3x3_cuda_kernel

enum { TYPE = 4, Y_FLOAT, KERNEL }; /* places in p[] */
enum { ANY = 1 + SAMC__CONV3X3_ANY, LARGE = 1 + SAMC__CONV3X3_LARGE, SMALL = 1 + SAMC__CONV3X3_SMALL };

static const test_case conv_cases[] = {
    {HOSTS, {1, 1, 1, 1}},
    {HOSTS, {2, 2, 3, 5}},
    {HOSTS, {1, 7, 16, 33}},
    {HOSTS, {1, 9, 130, 8}},
    {HOSTS, {2, 8, 32, 64}},
    {MODEL, {1, 64, 256, 256}},
    {MODEL, {1, 32, 128, 128}},
    /* Tensor cores, for NaN and infinities. */
    {CUDA_SHAPE, {1, 8, 64, 64}},
    /* The general kernel: one pixel, odd channels, tiles across images. */
    {QUICK, {1, 1, 1, 1, F32, 0, ANY}},
    {QUICK, {3, 5, 7, 9, F32, 0, ANY}},
    {QUICK, {2, 6, 3, 70, BF16, 0, ANY}},
    {QUICK, {1, 3, 64, 6, F16, 1, ANY}},
    /* 64 x 64 tiles: borders of several images in one tile, ragged in both directions. */
    {QUICK, {1, 1, 64, 4, F16, 0, SMALL}},
    {QUICK, {5, 5, 64, 68, BF16, 0, SMALL}},
    {QUICK, {1, 9, 128, 36, F16, 1, SMALL}},
    /* 128 x 128 tiles: many images. */
    {FULL, {12, 32, 64, 20, BF16, 0, LARGE}},
    {FULL, {12, 32, 64, 20, F16, 1, LARGE}},
    {FULL, {1, 32, 128, 128, F16, 0, SMALL}},
    {FULL, {1, 64, 256, 256, BF16, 0, SMALL}},
};

static void conv_build(check *c, const int *p) {
    int64_t images = p[0], n = (int64_t)p[1] * p[1], in = p[2], out = p[3];
    /* Where a kernel is named results are of unit size, however many channels there are: its gate has a last place. */
    const float scale = p[KERNEL] ? 1 / sqrtf(9 * (float)in) : 0.05f;
    *ARGS(c, conv3x3) = (samc__conv3x3_args){.x = samc__view3(input(c, images * n * in, 1), images, n, in),
                                             .w = samc__view4(input_around(c, out * in * 9, 0, scale), out, in, 3, 3),
                                             .y = samc__view3(output(c, images * n * out), images, n, out),
                                             .grid = p[1]};
}

static void conv_draw(check *c, int *p) {
    p[0] = 1 + random_below(c, 3), p[1] = random_size(c, 20), p[2] = random_size(c, 200), p[3] = random_size(c, 200);
}

static bool conv_narrow(check *c, const int *p) {
    samc__conv3x3_args *a = ARGS(c, conv3x3);
    int64_t n = (int64_t)p[1] * p[1], last = p[0] - 1;
    a->x = samc__view3(samc__f32(a->x) + last * n * p[2], 1, n, p[2]);
    a->y = samc__view3(samc__f32(a->y) + last * n * p[3], 1, n, p[3]);
    return last > 0;
}

static void conv_book(book *b, const check *of) {
    const samc__conv3x3_args *a = ARGS(of, conv3x3);
    int64_t in = a->x.n[2], out = a->y.n[2], g = a->grid;
    double *x = values(b, a->x), *w = values(b, a->w), *y = result(b, a->y);
    for (int64_t i = 0; i < count_of(a->y); i += b->every) {
        int64_t pixel = i / out, row = pixel / g % g, column = pixel % g;
        y[i] = 0;
        for (int64_t j = 0; j < 9 * in; j++) {
            int64_t dy = j % 9 / 3 - 1, dx = j % 3 - 1;
            bool inside = row + dy >= 0 && row + dy < g && column + dx >= 0 && column + dx < g;
            y[i] += (inside ? x[(pixel + dy * g + dx) * in + j / 9] : 0) * w[i % out * in * 9 + j];
        }
    }
}

/* Of large problems a prime step of outputs. */
static int conv_every(const int *p) {
    double products = (double)p[0] * p[1] * p[1] * p[2] * p[3];
    return products > 100000000 ? 1021 : products > 1000000 ? 61 : 1;
}

/* One sum in order. */
static void conv_naive(book *b, const check *of, const int *p) {
    const samc__conv3x3_args *a = ARGS(of, conv3x3);
    int64_t in = a->x.n[2], out = a->y.n[2], g = a->grid;
    const bool cores = p[TYPE] != F32 && p[KERNEL] != 0 && p[KERNEL] != ANY;
    const float *x = initial(of, a->x.data), *w = initial(of, a->w.data);
    double *y = result(b, a->y);
    for (int64_t i = 0; i < count_of(a->y); i += b->every) {
        int64_t pixel = i / out, row = pixel / g % g, column = pixel % g;
        tensor_sum sum = tensor_sum_of(cores ? TENSOR_SM80 : TENSOR_NEAREST);
        for (int64_t j = 0; j < 9 * in; j++) {
            int64_t dy = j % 9 / 3 - 1, dx = j % 3 - 1;
            if (row + dy < 0 || row + dy >= g || column + dx < 0 || column + dx >= g) continue;
            tensor_sum_add(&sum, x[(pixel + dy * g + dx) * in + j / 9], w[i % out * in * 9 + j]);
        }
        y[i] = tensor_sum_end(&sum);
    }
}

static int conv_typed(check *c, samc__view **views) {
    samc__conv3x3_args *a = ARGS(c, conv3x3);
    samc__view *own[] = {&a->x, &a->w, &a->y};
    memcpy(views, own, sizeof own);
    return (int)(sizeof own / sizeof *own);
}

static void conv_types(const int *p, samc__dtype *of_views) {
    of_views[0] = of_views[1] = (samc__dtype)p[TYPE];
    of_views[2] = p[Y_FLOAT] ? SAMC__F32 : (samc__dtype)p[TYPE];
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
    const int64_t pixels = a->x.n[0] * a->x.n[1];
    const int serves = 1 + (int)samc__conv3x3_cuda_kernel(pixels, p[2], p[3], (samc__dtype)p[TYPE], true);
    const bool whole = a->x.n[0] == p[0]; /* one image alone may have another kernel */
    if (p[KERNEL] != 0 && whole && serves != p[KERNEL])
        return samc__fail(cuda->error, SAMC_INTERNAL, "kernel %d serves it, not %d", serves, p[KERNEL]);
    samc_status status = samc__conv3x3_cuda(cuda, a);
    return status == SAMC_OK && whole ? check_by_tap(cuda, a->w) : status;
}

static int conv_low(check *c, samc__view **views) {
    samc__conv3x3_args *a = ARGS(c, conv3x3);
    views[0] = &a->x, views[1] = &a->y;
    return 2;
}

static samc__view *conv_low_packed(check *c) { return &ARGS(c, conv3x3)->w; }

ROW(conv3x3) = {
    .name = "conv3x3",
    .fields = "images grid c_in c_out type y_f32 kernel",
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
