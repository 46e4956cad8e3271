/* Cases of the encoder's operators. The full ones are ViT-B, ViT-H and the default model (dim 192, grid 32, window 8).
 */
#include "tests/checkops/checkops.h"

#define COUNT(cases) (int)(sizeof(cases) / sizeof(cases)[0])

/* ---- linear: m k n, act, residual (0 none, 1 own rows, 2 shared by halves, 3 in place), strided, bias
 * ---------------- */

static const test_case linear_cases[] = {
    {0, {1, 1, 1, 0, 0, 0, 1}},          {0, {1, 3, 2, 1, 1, 0, 0}},          {0, {2, 17, 33, 2, 2, 1, 1}},
    {0, {7, 256, 31, 0, 3, 0, 1}},       {0, {13, 100, 65, 1, 3, 1, 1}},      {0, {48, 64, 32, 2, 0, 1, 0}},
    {0, {49, 1024, 33, 0, 1, 0, 1}},     {0, {50, 1025, 48, 1, 2, 0, 1}},     {0, {61, 2049, 96, 0, 3, 1, 1}},
    {0, {97, 5, 4, 1, 0, 0, 1}},         {0, {130, 192, 129, 0, 3, 0, 1}},    {0, {11, 8, 16, 2, 1, 1, 1}},
    {1, {4096, 768, 2304, 0, 0, 0, 1}},  {1, {4096, 768, 768, 0, 3, 0, 1}},   {1, {4096, 768, 3072, 1, 0, 0, 1}},
    {1, {4096, 3072, 768, 0, 3, 0, 1}},  {1, {1024, 192, 768, 1, 0, 0, 1}},   {1, {1024, 768, 192, 0, 3, 0, 1}},
    {1, {448, 256, 2048, 2, 0, 0, 1}},   {1, {448, 2048, 256, 0, 3, 0, 1}},   {1, {7, 256, 2048, 2, 0, 0, 1}},
    {1, {1024, 1280, 5120, 1, 0, 0, 1}}, {1, {1024, 5120, 1280, 0, 3, 0, 1}},
};

static void linear_build(check *c, const int *p) {
    int64_t m = p[0], k = p[1], n = p[2], xs = p[5] ? k + 3 : k, ys = p[5] ? n + 5 : n;
    int residual = p[4] == 2 && m % 2 ? 1 : p[4] == 3 && p[5] ? 1 : p[4]; /* the residual's rows are dense */
    samc__linear_args *a = &c->args.linear;
    *a = (samc__linear_args){.x = samc__view2(input(c, m * xs, 1), m, k),
                             .x_stride = p[5] ? xs : 0,
                             .y_stride = p[5] ? ys : 0,
                             .act = (samc__act)p[3]};
    a->p.w = samc__view2(input_around(c, n * k, 0, 0.05f), n, k);
    if (p[6]) a->p.b = samc__view1(input(c, n, 0.1f), n);
    if (residual == 1 || residual == 2) a->residual = samc__view2(input(c, m / residual * n, 1), m / residual, n);
    /* Spaced rows leave gaps that no version writes: in_out keeps them comparable. */
    a->y = samc__view2(residual == 3 || p[5] ? in_out(c, m * ys, 1) : output(c, m * n), m, n);
    if (residual == 3) a->residual = a->y;
}

static bool linear_narrow(check *c, const int *p) {
    samc__linear_args *a = &c->args.linear;
    int64_t m = p[0], xs = a->x_stride ? a->x_stride : p[1], ys = a->y_stride ? a->y_stride : p[2];
    if (m < 2) return false;
    if (a->residual.data)
        a->residual = samc__view2(samc__f32(a->residual) + (m - 1) % a->residual.n[0] * p[2], 1, p[2]);
    a->x = samc__view2(samc__f32(a->x) + (m - 1) * xs, 1, p[1]);
    a->y = samc__view2(samc__f32(a->y) + (m - 1) * ys, 1, p[2]);
    return true;
}

static void linear_draw(check *c, int *p) {
    p[0] = random_size(c, 200), p[1] = random_size(c, random_below(c, 3) ? 200 : 1700), p[2] = random_size(c, 200);
    p[3] = random_below(c, 3), p[4] = random_below(c, 4), p[5] = random_below(c, 2), p[6] = random_below(c, 4) != 0;
}

/* ---- layernorm: m c, y in place of x ---------------------------------------------------------- */

static const test_case layernorm_cases[] = {
    {0, {1, 1, 0}},      {0, {3, 2, 0}},      {0, {5, 7, 1}},      {0, {2, 15, 0}},
    {0, {9, 17, 1}},     {0, {65, 64, 0}},    {0, {130, 192, 1}},  {0, {4, 1283, 0}},
    {0, {5, 17, 0}},     {0, {9, 64, 0}},     {0, {130, 193, 1}},  {0, {66, 256, 0}},
    {1, {4096, 768, 0}}, {1, {4096, 256, 1}}, {1, {1024, 192, 0}}, {1, {448, 256, 1}},
};

static void layernorm_build(check *c, const int *p) {
    int64_t m = p[0], n = p[1];
    samc__layernorm_args *a = &c->args.layernorm;
    *a = (samc__layernorm_args){.x = samc__view2(p[2] ? in_out(c, m * n, 2) : input(c, m * n, 2), m, n)};
    a->norm =
        (samc__norm){samc__view1(input_around(c, n, 1, 0.2f), n), samc__view1(input_around(c, n, 0, 0.2f), n), 1e-6f};
    a->y = p[2] ? a->x : samc__view2(output(c, m * n), m, n);
}

static void layernorm_draw(check *c, int *p) {
    p[0] = random_size(c, 200), p[1] = random_size(c, 800), p[2] = random_below(c, 2);
}

static bool layernorm_narrow(check *c, const int *p) {
    samc__layernorm_args *a = &c->args.layernorm;
    samc__view *rows[] = {&a->x, &a->y};
    for (int i = 0; i < 2; i++) *rows[i] = samc__view2(samc__f32(*rows[i]) + (p[0] - 1) * (int64_t)p[1], 1, p[1]);
    return p[0] > 1;
}

/* ---- attention_relpos: images heads hd grid window, relative position, bias ------------------ */

static const test_case attention_cases[] = {
    {0, {1, 1, 1, 1, 0, 1, 1}},    {0, {1, 2, 16, 3, 0, 1, 1}},    {0, {2, 1, 64, 4, 3, 1, 1}},
    {0, {1, 3, 64, 16, 14, 1, 1}}, {0, {1, 2, 80, 10, 7, 1, 1}},   {0, {2, 2, 40, 9, 0, 1, 1}},
    {0, {1, 1, 32, 17, 0, 1, 0}},  {0, {1, 2, 64, 16, 8, 0, 1}},   {0, {1, 1, 20, 15, 4, 1, 0}},
    {0, {1, 1, 33, 19, 0, 0, 1}},  {0, {1, 1, 64, 33, 0, 1, 1}},   {0, {1, 1, 5, 20, 16, 1, 1}},
    {0, {1, 1, 8, 24, 18, 1, 1}},  {0, {1, 1, 96, 6, 6, 1, 1}},    {0, {1, 1, 12, 66, 0, 1, 1}},
    {0, {2, 3, 64, 8, 14, 1, 1}},  {0, {1, 2, 20, 1, 9, 1, 0}},    {0, {1, 1, 33, 7, 18, 0, 0}},
    {0, {2, 2, 16, 4, 40, 1, 1}}, /* windows beyond the grid */
    {1, {1, 12, 64, 64, 0, 1, 1}}, {1, {1, 12, 64, 64, 14, 1, 1}}, {1, {1, 3, 64, 32, 0, 1, 1}},
    {1, {1, 3, 64, 32, 8, 1, 1}},  {1, {1, 4, 80, 64, 0, 1, 1}},   {1, {1, 4, 80, 64, 14, 1, 1}},
};

static void attention_build(check *c, const int *p) {
    int64_t images = p[0], hd = p[2], d = p[1] * hd, n = (int64_t)p[3] * p[3], s = p[4] ? p[4] : p[3];
    samc__attention_relpos_args *a = &c->args.attention_relpos;
    *a = (samc__attention_relpos_args){.qkv = samc__view3(input(c, images * n * 3 * d, 1.4f), images, n, 3 * d),
                                       .y = samc__view3(output(c, images * n * d), images, n, d),
                                       .heads = p[1],
                                       .grid = p[3],
                                       .window = p[4]};
    if (p[6]) a->qkv_bias = samc__view1(input(c, 3 * d, 0.5f), 3 * d);
    if (p[5]) {
        a->rel_h = samc__view2(input_around(c, (2 * s - 1) * hd, 0, 0.15f), 2 * s - 1, hd);
        a->rel_w = samc__view2(input_around(c, (2 * s - 1) * hd, 0, 0.15f), 2 * s - 1, hd);
    }
}

static void attention_draw(check *c, int *p) {
    p[0] = 1 + random_below(c, 2), p[1] = random_size(c, 8), p[2] = random_size(c, 100), p[3] = random_size(c, 40);
    p[4] = random_below(c, 3) ? random_size(c, 40) : 0, p[5] = random_below(c, 4) != 0, p[6] = random_below(c, 3) != 0;
}

static bool attention_narrow(check *c, const int *p) {
    samc__attention_relpos_args *a = &c->args.attention_relpos;
    int64_t n = (int64_t)p[3] * p[3], d = (int64_t)p[1] * p[2], last = p[0] - 1;
    a->qkv = samc__view3(samc__f32(a->qkv) + last * n * 3 * d, 1, n, 3 * d);
    a->y = samc__view3(samc__f32(a->y) + last * n * d, 1, n, d);
    return last > 0;
}

/* ---- conv3x3: images grid c_in c_out --------------------------------------------------------- */

static const test_case conv_cases[] = {
    {0, {1, 1, 1, 1}},   {0, {2, 2, 3, 5}},      {0, {1, 7, 16, 33}},    {0, {1, 9, 130, 8}},
    {0, {2, 8, 32, 64}}, {1, {1, 64, 256, 256}}, {1, {1, 32, 128, 128}},
};

static void conv_build(check *c, const int *p) {
    int64_t images = p[0], n = (int64_t)p[1] * p[1], in = p[2], out = p[3];
    c->args.conv3x3 = (samc__conv3x3_args){.x = samc__view3(input(c, images * n * in, 1), images, n, in),
                                           .w = samc__view4(input_around(c, out * in * 9, 0, 0.05f), out, in, 3, 3),
                                           .y = samc__view3(output(c, images * n * out), images, n, out),
                                           .grid = p[1]};
}

static void conv_draw(check *c, int *p) {
    p[0] = 1 + random_below(c, 3), p[1] = random_size(c, 20), p[2] = random_size(c, 200), p[3] = random_size(c, 200);
}

static bool conv_narrow(check *c, const int *p) {
    samc__conv3x3_args *a = &c->args.conv3x3;
    int64_t n = (int64_t)p[1] * p[1], last = p[0] - 1;
    a->x = samc__view3(samc__f32(a->x) + last * n * p[2], 1, n, p[2]);
    a->y = samc__view3(samc__f32(a->y) + last * n * p[3], 1, n, p[3]);
    return last > 0;
}

/* Bounds: a sum of k products of unit size, rounded in another order, moves by about sqrt(k) 2^-24 / 2 of its
 * deviation: 2e-6 for k = 5120, nmse 4e-12 if both sides had one chain. The largest of 12 million outputs lies 6 of
 * these out, and GELU halves the deviation that errors are measured in. */
const row encoder_rows[] = {
    {"linear", "m k n act residual strided bias", 2e-12, 2.5e-5, linear_cases, COUNT(linear_cases), linear_build,
     linear_narrow, NULL, linear_draw},
    {"layernorm", "m c in_place", 1e-12, 5e-6, layernorm_cases, COUNT(layernorm_cases), layernorm_build,
     layernorm_narrow, NULL, layernorm_draw},
    /* An average over many keys has a small deviation (1e-12 and 1.7e-5 seen with 4356). Where thousands of keys are
     * alike, as pads are, sums over keys must not round one after another: the reference's are in double
     * (kernels/ref/math.h); in float they were 1.4e-7 off for a window of 180 on a grid of 4, and it is the fast
     * version, adding up by lanes and tiles, that was right. */
    {"attention_relpos", "images heads hd grid window relpos bias", 4e-12, 6e-5, attention_cases,
     COUNT(attention_cases), attention_build, attention_narrow, NULL, attention_draw},
    {"conv3x3", "images grid c_in c_out", 2e-12, 2.5e-5, conv_cases, COUNT(conv_cases), conv_build, conv_narrow, NULL,
     conv_draw},
    {NULL, NULL, 0, 0, NULL, 0, NULL, NULL, NULL, NULL},
};
