/* Cases of the operators around the prompts that have no faster version than the reference: sums of rows and position encodings.
 * Each result is also verified against double precision. */
#include "tests/checkops/checkops.h"

#include <math.h>

#define COUNT(cases) (int)(sizeof(cases) / sizeof(cases)[0])

/* ---- add_rows: m c in_place ------------------------------------------------------------------------------------------ */

static const test_case add_cases[] = {
    {0, {1, 1, 0}}, {0, {3, 7, 1}}, {0, {65, 15, 0}}, {0, {130, 257, 1}}, {0, {2, 64, 0}},
    {1, {4096, 256, 0}}, {1, {1024, 128, 1}},
};

static void add_build(check *c, const int *p) {
    int64_t m = p[0], n = p[1];
    samc__add_rows_args *a = &c->args.add_rows;
    a->x = samc__view2(p[2] ? in_out(c, m * n, 1) : input(c, m * n, 1), m, n);
    a->b = samc__view1(input(c, n, 1), n);
    a->y = p[2] ? a->x : samc__view2(output(c, m * n), m, n);
}

static void add_draw(check *c, int *p) { p[0] = random_size(c, 300), p[1] = random_size(c, 300), p[2] = random_below(c, 2); }

static bool add_narrow(check *c, const int *p) {
    samc__add_rows_args *a = &c->args.add_rows;
    a->x = samc__view2(samc__f32(a->x) + (p[0] - 1) * (int64_t)p[1], 1, p[1]);
    a->y = samc__view2(samc__f32(a->y) + (p[0] - 1) * (int64_t)p[1], 1, p[1]);
    return p[0] > 1;
}

static const char *add_verify(const check *c, const int *p) {
    const samc__add_rows_args *a = &c->args.add_rows;
    const float *x = initial(c, samc__f32(a->x)), *b = samc__f32(a->b), *y = samc__f32(a->y);
    for (int64_t i = 0; i < (int64_t)p[0] * p[1]; i++)
        if (!(fabs((double)x[i] + b[i % p[1]] - y[i]) <= 0x1p-24 * fabs((double)y[i]) + 0x1p-149)) return "a sum is not the nearest float";
    return NULL;
}

/* ---- embed_grid: grid C ---------------------------------------------------------------------------------------------- */

/* The encoding of position (x, y) in [0, 1] is `out` to within the rounding of its angle, 2 pi times the sum of two products. */
static bool encoding_fits(double x, double y, const float *gaussian, int64_t c, const float *out, const float *added) {
    for (int64_t i = 0; i < c / 2; i++) {
        double u = (2 * x - 1) * gaussian[i], v = (2 * y - 1) * gaussian[c / 2 + i], angle = 2 * 3.14159265358979323846 * (u + v);
        double slack = 2e-6 + 0x1p-21 * 6.3 * (fabs(gaussian[i]) * (fabs(2 * x - 1) + 1) + fabs(gaussian[c / 2 + i]) * (fabs(2 * y - 1) + 1));
        double sine = added ? added[i] : 0, cosine = added ? added[c / 2 + i] : 0;
        slack += 0x1p-22 * (fabs(sine) + fabs(cosine));
        if (!(fabs(sine + sin(angle) - out[i]) <= slack) || !(fabs(cosine + cos(angle) - out[c / 2 + i]) <= slack)) return false;
    }
    return true;
}

static const test_case grid_cases[] = {
    {0, {1, 2}}, {0, {3, 10}}, {0, {7, 64}}, {0, {33, 130}}, {0, {16, 256}},
    {1, {64, 256}}, {1, {32, 128}},
};

static void grid_build(check *c, const int *p) {
    int64_t g = p[0], n = p[1];
    c->args.embed_grid = (samc__embed_grid_args){
        .gaussian = samc__view2(input(c, n, 1), 2, n / 2), .y = samc__view2(output(c, g * g * n), g * g, n), .grid = p[0]};
}

static void grid_draw(check *c, int *p) { p[0] = random_size(c, 40), p[1] = 2 * random_size(c, 130); }

static const char *grid_verify(const check *c, const int *p) {
    const samc__embed_grid_args *a = &c->args.embed_grid;
    int64_t g = p[0], n = p[1];
    for (int64_t i = 0; i < g * g; i++)
        if (!encoding_fits(((double)(i % g) + 0.5) / (double)g, ((double)(i / g) + 0.5) / (double)g, samc__f32(a->gaussian), n, samc__f32(a->y) + i * n, NULL))
            return "a position's encoding is not its sines and cosines";
    return NULL;
}

/* ---- embed_points: tokens C img_size ---------------------------------------------------------------------------------- */

static const test_case point_cases[] = {
    {0, {1, 2, 4}}, {0, {5, 10, 64}}, {0, {33, 64, 1024}}, {0, {130, 130, 512}}, {0, {64, 256, 1}},
    {1, {128, 256, 1024}}, {1, {4097, 256, 1024}}, {1, {128, 128, 512}},
};

static void points_build(check *c, const int *p) {
    int64_t tokens = p[0], n = p[1];
    samc__embed_points_args *a = &c->args.embed_points;
    int32_t *labels = raw_input(c, (size_t)tokens * sizeof *labels);
    for (int64_t i = 0; i < tokens; i++) labels[i] = (int32_t)(random_bits(c) % 5) - 1;
    *a = (samc__embed_points_args){.xy = input_around(c, 2 * tokens, 0.5f * (float)p[2], 0.6f * (float)p[2]), .labels = labels, .tokens = tokens,
                                   .img_size = p[2], .gaussian = samc__view2(input(c, n, 1), 2, n / 2),
                                   .not_a_point = samc__view1(input(c, n, 1), n), .y = samc__view2(output(c, tokens * n), tokens, n)};
    for (int i = 0; i < 4; i++) a->label_embed[i] = samc__view1(input(c, n, 1), n);
}

static void points_draw(check *c, int *p) { p[0] = random_size(c, 200), p[1] = 2 * random_size(c, 130), p[2] = random_size(c, 1100); }

static bool points_narrow(check *c, const int *p) {
    samc__embed_points_args *a = &c->args.embed_points;
    int64_t last = p[0] - 1;
    a->xy += 2 * last, a->labels += last, a->tokens = 1;
    a->y = samc__view2(samc__f32(a->y) + last * p[1], 1, p[1]);
    return p[0] > 1;
}

static const char *points_verify(const check *c, const int *p) {
    const samc__embed_points_args *a = &c->args.embed_points;
    int64_t n = p[1];
    for (int64_t t = 0; t < a->tokens; t++) {
        const float *y = samc__f32(a->y) + t * n, *none = samc__f32(a->not_a_point);
        for (int64_t i = 0; i < n && a->labels[t] < 0; i++)
            if (y[i] != none[i]) return "padding has a position";
        if (a->labels[t] < 0) continue;
        if (!encoding_fits(((double)a->xy[2 * t] + 0.5) / p[2], ((double)a->xy[2 * t + 1] + 0.5) / p[2], samc__f32(a->gaussian), n, y,
                           samc__f32(a->label_embed[a->labels[t]])))
            return "a point's token is not its encoding and its label's embedding";
    }
    return NULL;
}

/* Bounds: for a fast version's sines and products; the reference is the only version today. */
const row prompt_rows[] = {
    {"add_rows", "m c in_place", 1e-14, 1e-6, add_cases, COUNT(add_cases), add_build, add_narrow, add_verify, add_draw},
    {"embed_grid", "grid C", 1e-12, 1e-5, grid_cases, COUNT(grid_cases), grid_build, NULL, grid_verify, grid_draw},
    {"embed_points", "tokens C img_size", 1e-12, 1e-5, point_cases, COUNT(point_cases), points_build, points_narrow, points_verify, points_draw},
    {NULL, NULL, 0, 0, NULL, 0, NULL, NULL, NULL, NULL},
};
