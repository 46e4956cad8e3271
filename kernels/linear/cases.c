/* The cases of linear: m k n, act, rows of the residual (0 none, SELF: y is the residual), gaps between the rows of x
 * and y, bias; type of w, which of x, y and the residual are f32 (otherwise as w), the kernel that must serve it on a
 * GPU (0: whichever does). PASS: the product alone, as cuBLASLt would, then bias and GELU in a second pass. act + LAST:
 * behind the residual. */
#include "kernels/linear/cuda.h"
#include "kernels/linear/linear.h"
#include "kernels/ref/math.h"
#include "tests/checkops/book.h"
#include "tests/checkops/checkops.h"
#include "tests/emu/tensor_core.h"

#include <math.h>

/* Not where hosts alone are checked. */
#pragma weak samc__linear_cuda
#pragma weak samc__linear_wgmma_cuda
#pragma weak samc__bias_gelu_cuda
#pragma weak samc__linear_cuda_kernel

enum { RESIDUAL = 4, X_GAP, Y_GAP, BIAS, TYPE, FLOATS, KERNEL }; /* places in p[] */
enum {
    GELU = SAMC__ACT_GELU,
    RELU = SAMC__ACT_RELU,
    TANH = SAMC__ACT_GELU_TANH,
    SWISH = SAMC__ACT_HARDSWISH,
    QGELU = SAMC__ACT_GELU_QUICK,
    ELU = SAMC__ACT_ELU,
    LAST = 8
};
enum { SELF = -1, X = 1, Y = 2, R = 4 };
enum {
    ANY = 1 + SAMC__LINEAR_ANY,
    LARGE = 1 + SAMC__LINEAR_LARGE,
    SMALL = 1 + SAMC__LINEAR_SMALL,
    TOKENS = 1 + SAMC__LINEAR_TOKENS,
    GROUPS = 1 + SAMC__LINEAR_GROUPS,
    PASS = 100
};

static const test_case listed[] = {
    {HOSTS, {1, 1, 1, 0, 0, 0, 0, 1}},
    {HOSTS, {1, 3, 2, GELU, 1, 0, 0, 0}},
    {HOSTS, {2, 17, 33, RELU, 1, 3, 5, 1}},
    {HOSTS, {7, 256, 31, 0, SELF, 0, 0, 1}},
    {HOSTS, {13, 100, 65, GELU, 13, 3, 5, 1}},
    {HOSTS, {48, 64, 32, RELU, 0, 3, 5, 0}},
    {HOSTS, {49, 1024, 33, 0, 49, 0, 0, 1}},
    {HOSTS, {50, 1025, 48, GELU, 25, 0, 0, 1}},
    {HOSTS, {61, 2049, 96, 0, 61, 3, 5, 1}},
    {HOSTS, {97, 5, 4, GELU, 0, 0, 0, 1}},
    {HOSTS, {130, 192, 129, 0, SELF, 0, 0, 1}},
    {HOSTS, {11, 8, 16, RELU, 11, 3, 5, 1}},
    {HOSTS, {1, 96, 130, GELU, 0, 0, 0, 1}},
    {HOSTS, {70, 64, 66, 0, 35, 0, 0, 1}},
    {HOSTS, {5, 128, 64, RELU, 0, 8, 8, 1}},
    {HOSTS, {13, 40, 65, GELU + LAST, 13, 0, 0, 1}},
    {HOSTS, {9, 33, 34, RELU + LAST, SELF, 0, 0, 1}},
    {HOSTS, {7, 20, 19, TANH, 7, 3, 5, 1}},
    {HOSTS, {5, 70, 40, SWISH, 0, 0, 0, 1}},
    {HOSTS, {6, 31, 70, SWISH + LAST, 3, 0, 0, 0}},
    {HOSTS, {6, 31, 70, TANH + LAST, SELF, 0, 0, 1}},
    {HOSTS, {9, 30, 70, QGELU, 0, 0, 0, 1}},
    {HOSTS, {14, 24, 33, ELU, 0, 3, 5, 1}},
    {MODEL, {65536, 64, 256, GELU, 0, 0, 0, 1}},
    {MODEL, {65536, 256, 64, GELU + LAST, SELF, 0, 0, 1}},
    {MODEL, {4096, 768, 2304, 0, 0, 0, 0, 1}},
    {MODEL, {4096, 768, 768, 0, SELF, 0, 0, 1}},
    {MODEL, {4096, 768, 3072, GELU, 0, 0, 0, 1}},
    {MODEL, {4096, 3072, 768, 0, SELF, 0, 0, 1}},
    {MODEL, {1024, 192, 768, GELU, 0, 0, 0, 1}},
    {MODEL, {1024, 768, 192, 0, SELF, 0, 0, 1}},
    {MODEL, {448, 256, 2048, RELU, 0, 0, 0, 1}},
    {MODEL, {448, 2048, 256, 0, SELF, 0, 0, 1}},
    {MODEL, {7, 256, 2048, RELU, 0, 0, 0, 1}},
    {MODEL, {1024, 1280, 5120, GELU, 0, 0, 0, 1}},
    {MODEL, {1024, 5120, 1280, 0, SELF, 0, 0, 1}},
    /* Tensor cores, for NaN and infinities. */
    {CUDA_SHAPE, {48, 64, 64, RELU, 48, 0, 0, 1}},
    {CUDA_SHAPE, {35, 128, 64, RELU, 35, 0, 0, 1}},
    {CUDA_SHAPE, {64, 64, 64, GELU, 0, 0, 0, 1}},
    /* The general kernel: every size ragged, every type; rows that are not whole vectors. */
    {QUICK, {1, 1, 1, 0, 0, 0, 0, 1, F32, 0, ANY}},
    {QUICK, {65, 33, 67, GELU, 5, 3, 3, 1, F32, 0, ANY}},
    {QUICK, {9, 40, 64, RELU, SELF, 0, 0, 0, F32, 0, ANY}},
    {QUICK, {3, 21, 6, GELU, 1, 1, 1, 1, F16, X | Y, ANY}},
    {QUICK, {5, 19, 6, 0, 0, 0, 0, 1, F16, 0, ANY}},
    {QUICK, {66, 24, 10, 0, 33, 0, 0, 1, BF16, R, ANY}},
    {QUICK, {7, 16, 8, RELU, SELF, 4, 4, 1, BF16, Y, ANY}},
    {QUICK, {9, 40, 64, GELU + LAST, SELF, 0, 0, 1, F32, 0, ANY}},
    {QUICK, {5, 19, 6, TANH, 5, 0, 0, 1, F32, 0, ANY}},
    {QUICK, {4, 24, 10, SWISH + LAST, 4, 0, 0, 1, BF16, R, ANY}},
    {QUICK, {65, 64, 68, GELU + LAST, SELF, 0, 0, 1, BF16, R | Y, SMALL}},
    {QUICK, {35, 72, 60, TANH, 0, 0, 0, 1, F16, 0, SMALL}},
    {QUICK, {5, 19, 6, QGELU, 0, 0, 0, 1, F32, 0, ANY}},
    {QUICK, {6, 20, 7, ELU, 0, 0, 0, 1, F32, 0, ANY}},
    {QUICK, {33, 64, 60, QGELU, 0, 0, 0, 1, BF16, 0, SMALL}},
    {QUICK, {34, 64, 64, ELU, 0, 0, 0, 1, F16, 0, SMALL}},
    {QUICK, {40, 40, 68, SWISH + LAST, 20, 0, 0, 1, F16, R, SMALL}},
    /* 64 x 64 tiles: one ragged tile, several, a k that ends within a stage; x f32 only with many columns. */
    {QUICK, {1, 8, 4, 0, 0, 0, 0, 1, F16, 0, SMALL}},
    {QUICK, {65, 200, 68, GELU, 13, 8, 8, 1, BF16, R | Y, SMALL}},
    {QUICK, {63, 264, 60, RELU, 0, 0, 0, 0, F16, 0, SMALL}},
    {QUICK, {5, 72, 516, 0, SELF, 0, 0, 1, BF16, X | Y | R, SMALL}},
    {QUICK, {70, 136, 576, RELU, 0, 0, 0, 1, F16, X, SMALL}},
    /* Sums as long as the MLP's, kept in fp32: here tensor cores lose most. */
    {QUICK, {3, 3072, 64, 0, 0, 0, 0, 1, F16, Y, SMALL}},
    {QUICK, {3, 2048, 4, 0, 0, 0, 0, 1, BF16, Y, GROUPS}},
    /* Tokens: heads and single tokens of a sequence. */
    {QUICK, {3, 256, 32, 0, 0, 1024, 1024, 1, BF16, X | Y, TOKENS}},
    {QUICK, {35, 648, 36, RELU, SELF, 0, 0, 1, F16, X | Y | R, TOKENS}},
    {QUICK, {33, 8, 4, GELU, 11, 4, 4, 1, BF16, X, ANY}},
    {QUICK, {33, 8, 4, GELU, 11, 8, 8, 1, BF16, X, TOKENS}},
    /* The pass: rows that are no multiple of a block's, pieces of a row, no bias, rows apart. */
    {QUICK, {9, 40, 1032, GELU, 0, 8, 8, 1, BF16, 0, PASS}},
    {QUICK, {5, 24, 64, GELU, 0, 0, 0, 0, F16, 0, PASS}},
    /* Warpgroups: one ragged tile whose k ends within a stage and before the ring is full; more stages than buffers;
       several tiles. */
    {QUICK, {3, 8, 4, 0, 0, 0, 0, 1, BF16, 0, GROUPS}},
    {QUICK, {70, 456, 260, GELU, 0, 8, 8, 1, F16, 0, GROUPS}},
    {QUICK, {129, 200, 516, RELU, 43, 0, 0, 0, BF16, R | Y, GROUPS}},
    /* 128 x 128 tiles: the smallest such problem; more stages than buffers. */
    {QUICK, {1030, 40, 1412, 0, 0, 0, 0, 1, BF16, 0, LARGE}},
    {FULL, {4096, 192, 576, 0, 0, 0, 0, 1, F16, 0, LARGE}},
    {FULL, {1030, 200, 1412, GELU, 515, 0, 0, 1, F16, R | Y, LARGE}},
    {FULL, {1024, 192, 576, 0, 0, 0, 0, 1, BF16, 0, SMALL}},
    {FULL, {1024, 192, 768, GELU, 0, 0, 0, 1, BF16, 0, PASS}},
    {FULL, {256, 1280, 512, GELU, 0, 0, 0, 1, BF16, 0, GROUPS}},
    {FULL, {448, 256, 2048, RELU, 0, 0, 0, 1, BF16, X | Y, SMALL}},
    {FULL, {448, 2048, 256, 0, SELF, 0, 0, 1, BF16, X | Y | R, TOKENS}},
    {FULL, {64, 256, 256, RELU, 0, 1536, 1536, 1, F16, X | Y, TOKENS}},
    {FULL, {4096, 768, 256, 0, 0, 0, 0, 0, BF16, X, TOKENS}},
    {FULL, {256, 768, 768, GELU, 64, 0, 0, 1, F32, 0, ANY}},
    /* Layers of ViT-B and ViT-H: the hidden one by each way to its GELU, and two that cuBLASLt has, for comparison. */
    {HARDWARE, {4096, 768, 3072, GELU, 0, 0, 0, 1, BF16, 0, LARGE}},
    {HARDWARE, {4096, 1280, 5120, GELU, 0, 0, 0, 1, BF16, 0, LARGE}},
    {HARDWARE, {4096, 768, 3072, GELU, 0, 0, 0, 1, BF16, 0, PASS}},
    {HARDWARE, {4096, 1280, 5120, GELU, 0, 0, 0, 1, BF16, 0, PASS}},
    {HARDWARE, {4096, 768, 3072, GELU, 0, 0, 0, 1, BF16, 0, GROUPS}},
    {HARDWARE, {4096, 1280, 5120, GELU, 0, 0, 0, 1, BF16, 0, GROUPS}},
    {HARDWARE, {4096, 768, 2304, 0, 0, 0, 0, 1, BF16, 0, LARGE}},
    {HARDWARE, {4096, 3072, 768, 0, 4096, 0, 0, 1, BF16, Y | R, LARGE}},
};

static int64_t row_of_y(const int *p) { return p[RESIDUAL] == SELF ? p[2] : p[2] + p[Y_GAP]; } /* elements */

static void linear_build(check *c, const int *p) {
    int64_t m = p[0], k = p[1], n = p[2], rows = p[RESIDUAL], xs = k + p[X_GAP], ys = row_of_y(p),
            y_size = (m - 1) * ys + n;
    bool gaps = p[X_GAP] != 0 || p[Y_GAP] != 0, self = rows == SELF;
    samc__linear_args *a = ARGS(c, linear);
    *a = (samc__linear_args){.x = samc__view2(input(c, (m - 1) * xs + k, 1), m, k),
                             .x_stride = gaps ? xs : 0,
                             .y_stride = gaps ? ys : 0,
                             .act = (samc__act)(p[3] % LAST),
                             .act_last = p[3] >= LAST};
    /* Where a kernel is named results are of unit size, whatever k is: its gate has a last place of them. */
    a->p.w = samc__view2(input_around(c, n * k, 0, p[KERNEL] ? 1 / sqrtf((float)k) : 0.05f), n, k);
    if (p[BIAS]) a->p.b = samc__view1(input(c, n, p[KERNEL] ? 0.5f : 0.1f), n);
    if (rows > 0) a->residual = samc__view2(input(c, rows * n, 1), rows, n);
    /* Spaced rows leave gaps that no version writes: in_out keeps them comparable. */
    a->y = samc__view2(self || ys != n ? in_out(c, y_size, 1) : output(c, y_size), m, n);
    if (self) a->residual = a->y;
}

/* `rows` rows from row `first` on, and of the residual those that belong to them. */
static void take_rows(samc__linear_args *a, const int *p, int64_t first, int64_t rows) {
    int64_t xs = a->x_stride ? a->x_stride : p[1], ys = a->y_stride ? a->y_stride : p[2], own = a->residual.n[0];
    if (a->residual.data)
        a->residual = samc__view2(samc__f32(a->residual) + first % own * p[2], own < rows ? own : rows, p[2]);
    a->x = samc__view2(samc__f32(a->x) + first * xs, rows, p[1]);
    a->y = samc__view2(samc__f32(a->y) + first * ys, rows, p[2]);
}

/* The last row; of a GPU's kernels the first ones, perhaps by another kernel, as the last may not be aligned. */
static bool linear_narrow(check *c, const int *p) {
    enum { FIRST = 3 };
    if (p[0] <= (p[KERNEL] ? FIRST : 1)) return false;
    take_rows(ARGS(c, linear), p, p[KERNEL] ? 0 : p[0] - 1, p[KERNEL] ? FIRST : 1);
    return true;
}

static void linear_draw(check *c, int *p) {
    p[0] = random_size(c, 200), p[1] = random_size(c, random_below(c, 3) ? 200 : 1700), p[2] = random_size(c, 200);
    p[3] = random_below(c, SAMC__ACTS) + random_below(c, 2) * LAST;
    const int residual = random_below(c, 4); /* none, own rows, shared by halves, in place: those rows are dense */
    if (random_below(c, 2)) p[X_GAP] = 3, p[Y_GAP] = 5;
    p[RESIDUAL] = residual == 0 ? 0 : residual == 2 && p[0] % 2 == 0 ? p[0] / 2 : p[0];
    if (residual == 3 && p[Y_GAP] == 0) p[RESIDUAL] = SELF;
    p[BIAS] = random_below(c, 4) != 0;
}

/* A large problem's rows are thousands, and each says the same. */
static int linear_every(const int *p) { return (double)p[0] * p[1] * p[2] > 20000000 ? 61 : 1; }

static void linear_book(book *b, const check *of) {
    const samc__linear_args *a = ARGS(of, linear);
    int64_t m = a->x.n[0], k = a->x.n[1], n = a->p.w.n[0], xs = a->x_stride ? a->x_stride : k,
            ys = a->y_stride ? a->y_stride : n;
    const double *x = values_at(b, a->x.data, (m - 1) * xs + k), *w = values(b, a->p.w),
                 *bias = values_at(b, a->p.b.data, n), *residual = values(b, a->residual);
    double *y = result(b, a->y);
    for (int64_t row = 0; row < m; row += b->every)
        for (int64_t i = 0; i < n; i++) {
            double value = 0;
            for (int64_t j = 0; j < k; j++) value += x[row * xs + j] * w[i * k + j];
            y[row * ys + i] = finished(value + bias[i], a->act, a->act_last,
                                       a->residual.data ? residual + row % a->residual.n[0] * n + i : NULL);
        }
}

/* x in the weights' type, one sum in order, the epilogue in fp32. */
static void linear_naive(book *b, const check *of, const int *p) {
    const samc__linear_args *a = ARGS(of, linear);
    int64_t m = a->x.n[0], k = a->x.n[1], n = a->p.w.n[0], xs = a->x_stride ? a->x_stride : k,
            ys = a->y_stride ? a->y_stride : n;
    const bool cores = p[TYPE] != F32 && p[KERNEL] != 0 && p[KERNEL] != ANY;
    const float *x = initial(of, a->x.data), *w = initial(of, a->p.w.data),
                *bias = a->p.b.data ? initial(of, a->p.b.data) : NULL,
                *residual = a->residual.data ? initial(of, a->residual.data) : NULL;
    double *y = result(b, a->y);
    for (int64_t row = 0; row < m; row += b->every)
        for (int64_t i = 0; i < n; i++) {
            tensor_sum products = tensor_sum_of(cores ? TENSOR_SM80 : TENSOR_NEAREST);
            for (int64_t j = 0; j < k; j++)
                tensor_sum_add(&products, rounded_to(p[TYPE], x[row * xs + j]), w[i * k + j]);
            y[row * ys + i] = samc__finish_ref(tensor_sum_end(&products) + (bias ? bias[i] : 0.0f), a->act, a->act_last,
                                               residual ? residual + row % a->residual.n[0] * n + i : NULL);
        }
}

static samc__view linear_packed(const check *c) { return ARGS(c, linear)->p.w; }

static int linear_typed(check *c, samc__view **views) {
    samc__linear_args *a = ARGS(c, linear);
    views[0] = &a->p.w, views[1] = &a->x, views[2] = &a->residual, views[3] = &a->y;
    return 4;
}

static void linear_types(const int *p, samc__dtype *of_views) {
    const samc__dtype type = (samc__dtype)p[TYPE];
    of_views[0] = type;
    of_views[1] = p[FLOATS] & X ? SAMC__F32 : type;
    of_views[2] = p[FLOATS] & R ? SAMC__F32 : type;
    of_views[3] = p[RESIDUAL] == SELF ? of_views[2] : p[FLOATS] & Y ? SAMC__F32 : type;
}

/* Layers on an odd number of rows keep f32 for all but the weight. */
static void linear_planted_types(const check *c, samc__dtype type, samc__dtype *of_views) {
    for (int i = 0; i < 4; i++) of_views[i] = i == 0 || ARGS(c, linear)->x.n[0] % 2 == 0 ? type : SAMC__F32;
}

static bool linear_not_on(const int *p, int capability) { return p[KERNEL] == GROUPS && capability != 90; }

static samc_status linear_by_kernel(const samc__cuda *cuda, const check *c, const int *p) {
    const samc__linear_args *a = ARGS(c, linear);
    int64_t m = a->x.n[0], k = a->x.n[1], n = a->p.w.n[0];
    if (p[KERNEL] == GROUPS) return samc__linear_wgmma_cuda(cuda, a);
    if (p[KERNEL] == PASS) {
        samc__linear_args product = *a;
        product.p.b.data = NULL;
        product.act = SAMC__ACT_NONE;
        samc_status status = samc__linear_cuda(cuda, &product);
        return status == SAMC_OK ? samc__bias_gelu_cuda(cuda, a->y, a->y_stride, a->p.b) : status;
    }
    const bool aligned = (k + p[X_GAP]) % 8 == 0 && k % 8 == 0 && n % 4 == 0 && row_of_y(p) % 4 == 0;
    const int serves = 1 + (int)samc__linear_cuda_kernel(m, n, k, a->x.dtype == SAMC__F32, aligned);
    if (p[KERNEL] != 0 && p[TYPE] != F32 && m == p[0] && serves != p[KERNEL]) /* a few rows alone may have another */
        return samc__fail(cuda->error, SAMC_INTERNAL, "kernel %d serves it, not %d", serves, p[KERNEL]);
    return samc__linear_cuda(cuda, a);
}

/* Activations: x, and y where it is not the residual stream; an odd number of columns has x in f32. */
static int linear_low(check *c, samc__view **views) {
    samc__linear_args *a = ARGS(c, linear);
    int count = 0;
    if (a->p.w.n[0] % 2 == 0) views[count++] = &a->x;
    if (a->residual.data == NULL) views[count++] = &a->y;
    return count;
}

static samc__view *linear_low_packed(check *c) { return &ARGS(c, linear)->p.w; }

ROW(linear) = {
    .name = "linear",
    .fields = "m k n act residual x_gap y_gap bias type f32 kernel",
    /* A sum of k products of unit size, rounded in another order, moves by about sqrt(k) 2^-24 / 2 of its deviation:
     * 2e-6 for k = 5120, nmse 4e-12 if both sides had one chain. The largest of 12 million outputs lies 6 of these out,
     * and GELU halves the deviation that errors are measured in. */
    .nmse = 2e-12,
    .deviation = 2.5e-5,
    .cases = listed,
    .case_count = COUNT(listed),
    .build = linear_build,
    .narrow = linear_narrow,
    .draw = linear_draw,
    .book = linear_book,
    .packed = linear_packed,
    .typed = linear_typed,
    .types = linear_types,
    .naive = linear_naive,
    .every = linear_every,
    .by_kernel = linear_by_kernel,
    .not_on = linear_not_on,
    .planted_types = linear_planted_types,
    .low = linear_low,
    .low_packed = linear_low_packed,
};
