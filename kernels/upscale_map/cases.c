/* The cases of upscale_map: images grid in middle out gelu add (1: another map, 2: y itself), type of x, type of y, add
 * and the weights. */
#include "kernels/upscale_map/upscale_map.h"
#include "tests/checkops/book.h"
#include "tests/checkops/checkops.h"

#include <string.h>

static const test_case listed[] = {
    {ALL, {1, 1, 8, 2, 1, 0, 0}},
    {ALL, {2, 3, 16, 4, 2, 1, 0}},
    {ALL, {1, 5, 64, 16, 8, 0, 1}},
    {ALL, {3, 4, 20, 7, 5, 1, 2}},
    {HOSTS, {1, 17, 64, 32, 16, 1, 0}},
    {HOSTS, {2, 7, 36, 40, 9, 0, 2}},
    {MODEL, {1, 64, 256, 64, 32, 0, 0}},  /* the embedding's chain */
    {MODEL, {1, 64, 768, 256, 32, 0, 2}}, /* the early feature's */
    {MODEL, {4, 64, 256, 64, 32, 1, 0}},  /* prompts' */
    {QUICK, {2, 3, 12, 9, 3, 0, 0, F32, F16}},
    {QUICK, {1, 4, 32, 16, 4, 1, 1, F16, F16}},
    {QUICK, {3, 3, 20, 5, 7, 0, 2, BF16, BF16}},
    {QUICK, {1, 5, 40, 33, 8, 1, 0, F32, BF16}},
    {FULL, {1, 16, 160, 64, 32, 0, 2, F32, BF16}},
};

static void map_build(check *c, const int *p) {
    const int64_t images = p[0], g = p[1], in = p[2], middle = p[3], out = p[4], pixels = 16 * g * g;
    samc__upscale_map_args *a = ARGS(c, upscale_map);
    *a = (samc__upscale_map_args){
        .x = samc__view3(input(c, images * g * g * in, 1), images, g * g, in), .grid = p[1], .gelu = p[5]};
    a->up1 = (samc__projection){
        .w = samc__view4(input_around(c, in * middle * 4, 0, 1.0f / __builtin_sqrtf((float)in)), in, middle, 2, 2),
        .b = samc__view1(input_around(c, middle, 0, 0.1f), middle)};
    a->norm = norm(c, middle, 1e-6f);
    a->up2 =
        (samc__projection){.w = samc__view4(input_around(c, middle * out * 4, 0, 1.0f / __builtin_sqrtf((float)middle)),
                                            middle, out, 2, 2),
                           .b = samc__view1(input_around(c, out, 0, 0.1f), out)};
    if (p[6] == 1) a->add = samc__view3(input(c, images * pixels * out, 1), images, pixels, out);
    a->y = samc__view3(p[6] == 2 ? in_out(c, images * pixels * out, 1) : output(c, images * pixels * out), images,
                       pixels, out);
    if (p[6] == 2) a->add = a->y;
}

static void map_draw(check *c, int *p) {
    p[0] = 1 + random_below(c, 3), p[1] = random_size(c, 14), p[2] = random_size(c, 150), p[3] = random_size(c, 70),
    p[4] = random_size(c, 35), p[5] = random_below(c, 2), p[6] = random_below(c, 3);
}

static bool map_narrow(check *c, const int *p) {
    samc__upscale_map_args *a = ARGS(c, upscale_map);
    a->x = last_of(a->x), a->y = last_of(a->y);
    if (p[6]) a->add = last_of(a->add);
    return p[0] > 1;
}

static void map_book(book *b, const check *of) {
    const samc__upscale_map_args *a = ARGS(of, upscale_map);
    const int64_t g = a->grid, n = g * g, in = a->x.n[2], middle = a->norm.g.n[0], out = a->y.n[2],
                  rows = a->x.n[0] * n * 4;
    const double *x = values(b, a->x), *w1 = values(b, a->up1.w), *b1 = values(b, a->up1.b), *w2 = values(b, a->up2.w),
                 *b2 = values(b, a->up2.b), *add = a->add.data ? values(b, a->add) : NULL;
    double *y = result(b, a->y), *first = room(b, rows * middle); /* [cell][pixel][middle] */
    for (int64_t i = 0; i < rows * middle; i++) {
        const int64_t cell = i / middle / 4, pixel = i / middle % 4, o = i % middle;
        double sum = b1[o];
        for (int64_t k = 0; k < in; k++) sum += x[cell * in + k] * w1[(k * middle + o) * 4 + pixel];
        first[i] = sum;
    }
    normalise(b, first, rows, a->norm, NULL);
    for (int64_t i = 0; i < rows * middle; i++) first[i] = lower(b, gelu(first[i])); /* meets a product */
    for (int64_t i = 0; i < rows * 4 * out; i++) { /* over y: image, row, column, channel */
        const int64_t o = i % out, column = i / out % (4 * g), row = i / out / (4 * g) % (4 * g),
                      image = i / out / (16 * n), cell = image * n + row / 4 * g + column / 4,
                      pixel = row / 2 % 2 * 2 + column / 2 % 2, under = row % 2 * 2 + column % 2;
        double sum = b2[o];
        for (int64_t k = 0; k < middle; k++)
            sum += first[(cell * 4 + pixel) * middle + k] * w2[(k * out + o) * 4 + under];
        y[i] = (a->gelu ? gelu(sum) : sum) + (add ? add[i] : 0.0);
    }
}

static int map_typed(check *c, samc__view **views) {
    samc__upscale_map_args *a = ARGS(c, upscale_map);
    samc__view *own[] = {&a->x, &a->y, &a->up1.w, &a->up2.w, &a->add};
    memcpy(views, own, sizeof own);
    return a->add.data ? 5 : 4;
}

static void map_types(const int *p, samc__dtype *of_views) {
    of_views[0] = (samc__dtype)p[7];
    for (int i = 1; i < 5; i++) of_views[i] = (samc__dtype)p[8];
}

static int map_low(check *c, samc__view **views) {
    samc__upscale_map_args *a = ARGS(c, upscale_map);
    samc__view *own[] = {&a->x, &a->y, &a->add};
    memcpy(views, own, sizeof own);
    return a->add.data ? 3 : 2;
}

ROW(upscale_map) = {
    .name = "upscale_map",
    .fields = "images grid in middle out gelu add x type",
    /* Two sums of up to 1280 and 256 terms with a norm between them; as upscale_masks, a norm over two or three
     * channels magnifies what rounds otherwise. */
    .nmse = 4e-12,
    .deviation = 2e-5,
    .cases = listed,
    .case_count = COUNT(listed),
    .build = map_build,
    .narrow = map_narrow,
    .draw = map_draw,
    .book = map_book,
    .typed = map_typed,
    .types = map_types,
    .low = map_low,
};
