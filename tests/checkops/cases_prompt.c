/* Cases of the operators around the prompts that have no faster version than the reference: sums of rows and position
 * encodings. Each result is also verified against double precision. */
#include "tests/checkops/checkops.h"

#include <string.h>

#include <math.h>

#define COUNT(cases) (int)(sizeof(cases) / sizeof(cases)[0])

/* ---- add_rows: m c in_place ------------------------------------------------------------------ */

static const test_case add_cases[] = {
    {0, {1, 1, 0}},  {0, {3, 7, 1}},      {0, {65, 15, 0}},    {0, {130, 257, 1}},
    {0, {2, 64, 0}}, {1, {4096, 256, 0}}, {1, {1024, 128, 1}},
};

static void add_build(check *c, const int *p) {
    int64_t m = p[0], n = p[1];
    samc__add_rows_args *a = &c->args.add_rows;
    a->x = samc__view2(p[2] ? in_out(c, m * n, 1) : input(c, m * n, 1), m, n);
    a->b = samc__view1(input(c, n, 1), n);
    a->y = p[2] ? a->x : samc__view2(output(c, m * n), m, n);
}

static void add_draw(check *c, int *p) {
    p[0] = random_size(c, 300), p[1] = random_size(c, 300), p[2] = random_below(c, 2);
}

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
        if (!(fabs((double)x[i] + b[i % p[1]] - y[i]) <= 0x1p-24 * fabs((double)y[i]) + 0x1p-149))
            return "a sum is not the nearest float";
    return NULL;
}

/* ---- embed_grid: grid C ---------------------------------------------------------------------- */

/* The encoding of position (x, y) in [0, 1] is `out` to within the rounding of its angle, 2 pi times the sum of two
 * products. */
static bool encoding_fits(double x, double y, const float *gaussian, int64_t c, const float *out, const float *added) {
    for (int64_t i = 0; i < c / 2; i++) {
        double u = (2 * x - 1) * gaussian[i], v = (2 * y - 1) * gaussian[c / 2 + i],
               angle = 2 * 3.14159265358979323846 * (u + v);
        double slack =
            2e-6 + 0x1p-21 * 6.3 *
                       (fabs(gaussian[i]) * (fabs(2 * x - 1) + 1) + fabs(gaussian[c / 2 + i]) * (fabs(2 * y - 1) + 1));
        double sine = added ? added[i] : 0, cosine = added ? added[c / 2 + i] : 0;
        slack += 0x1p-22 * (fabs(sine) + fabs(cosine));
        if (!(fabs(sine + sin(angle) - out[i]) <= slack) || !(fabs(cosine + cos(angle) - out[c / 2 + i]) <= slack))
            return false;
    }
    return true;
}

static const test_case grid_cases[] = {
    {0, {1, 2}}, {0, {3, 10}}, {0, {7, 64}}, {0, {33, 130}}, {0, {16, 256}}, {1, {64, 256}}, {1, {32, 128}},
};

static void grid_build(check *c, const int *p) {
    int64_t g = p[0], n = p[1];
    c->args.embed_grid = (samc__embed_grid_args){.gaussian = samc__view2(input(c, n, 1), 2, n / 2),
                                                 .y = samc__view2(output(c, g * g * n), g * g, n),
                                                 .grid = p[0]};
}

static void grid_draw(check *c, int *p) { p[0] = random_size(c, 40), p[1] = 2 * random_size(c, 130); }

static const char *grid_verify(const check *c, const int *p) {
    const samc__embed_grid_args *a = &c->args.embed_grid;
    int64_t g = p[0], n = p[1];
    for (int64_t i = 0; i < g * g; i++)
        if (!encoding_fits(((double)(i % g) + 0.5) / (double)g, ((double)(i / g) + 0.5) / (double)g,
                           samc__f32(a->gaussian), n, samc__f32(a->y) + i * n, NULL))
            return "a position's encoding is not its sines and cosines";
    return NULL;
}

/* ---- embed_prompts: prompts, tokens of each, C, img_size, mask tokens ------------------------ */

static const test_case point_cases[] = {
    {0, {1, 1, 2, 4, 1}},       {0, {5, 1, 10, 64, 4}},       {0, {3, 11, 64, 1024, 4}},
    {0, {13, 10, 130, 512, 2}}, {0, {64, 1, 256, 1, 4}},      {0, {6, 0, 64, 512, 4}},
    {1, {64, 2, 256, 1024, 4}}, {1, {1, 4097, 256, 1024, 4}}, {1, {64, 2, 128, 512, 4}},
};

static void points_build(check *c, const int *p) {
    int64_t prompts = p[0], sparse = p[1], n = p[2], masks = p[4], tokens = 1 + masks + sparse;
    samc__embed_prompts_args *a = &c->args.embed_prompts;
    int32_t *labels = raw_input(c, (size_t)(prompts * sparse + 1) * sizeof *labels);
    for (int64_t i = 0; i < prompts * sparse; i++) labels[i] = (int32_t)(random_bits(c) % 5) - 1;
    *a = (samc__embed_prompts_args){
        .xy = input_around(c, 2 * prompts * sparse + 1, 0.5f * (float)p[3], 0.6f * (float)p[3]),
        .labels = labels,
        .img_size = p[3],
        .gaussian = samc__view2(input(c, n, 1), 2, n / 2),
        .not_a_point = samc__view1(input(c, n, 1), n),
        .iou_token = samc__view1(input(c, n, 1), n),
        .mask_tokens = samc__view2(input(c, masks * n, 1), masks, n),
        .queries = samc__view3(output(c, prompts * tokens * n), prompts, tokens, n),
        .pe = samc__view3(output(c, prompts * tokens * n), prompts, tokens, n)};
    for (int i = 0; i < 4; i++) a->label_embed[i] = samc__view1(input(c, n, 1), n);
}

static void points_draw(check *c, int *p) {
    p[0] = random_size(c, 20), p[1] = random_size(c, 10) - 1, p[2] = 2 * random_size(c, 130),
    p[3] = random_size(c, 1100), p[4] = random_size(c, 6);
}

static bool points_narrow(check *c, const int *p) {
    samc__embed_prompts_args *a = &c->args.embed_prompts;
    int64_t last = p[0] - 1, tokens = a->queries.n[1], n = p[2];
    a->xy += 2 * last * p[1], a->labels += last * p[1];
    a->queries = samc__view3(samc__f32(a->queries) + last * tokens * n, 1, tokens, n);
    a->pe = samc__view3(samc__f32(a->pe) + last * tokens * n, 1, tokens, n);
    return p[0] > 1;
}

static const char *points_verify(const check *c, const int *p) {
    const samc__embed_prompts_args *a = &c->args.embed_prompts;
    int64_t n = p[2], tokens = a->queries.n[1], own = 1 + p[4];
    const float *queries = samc__f32(a->queries), *none = samc__f32(a->not_a_point);
    if (memcmp(queries, samc__f32(a->pe), (size_t)(p[0] * tokens * n) * sizeof(float)) != 0)
        return "position encodings are not the queries";
    for (int64_t row = 0; row < p[0] * tokens; row++) {
        int64_t token = row % tokens, point = row / tokens * p[1] + token - own;
        const float *y = queries + row * n,
                    *table = token == 0 ? samc__f32(a->iou_token) : samc__f32(a->mask_tokens) + (token - 1) * n;
        if (token < own) {
            if (memcmp(y, table, (size_t)n * sizeof *y) != 0) return "a token of SAM's own is another";
            continue;
        }
        for (int64_t i = 0; i < n && a->labels[point] < 0; i++)
            if (y[i] != none[i]) return "padding has a position";
        if (a->labels[point] < 0) continue;
        if (!encoding_fits(((double)a->xy[2 * point] + 0.5) / p[3], ((double)a->xy[2 * point + 1] + 0.5) / p[3],
                           samc__f32(a->gaussian), n, y, samc__f32(a->label_embed[a->labels[point]])))
            return "a point's token is not its encoding and its label's embedding";
    }
    return NULL;
}

/* Bounds: for a fast version's sines and products; the reference is the only version today. */
const row prompt_rows[] = {
    {"add_rows", "m c in_place", 1e-14, 1e-6, add_cases, COUNT(add_cases), add_build, add_narrow, add_verify, add_draw},
    {"embed_grid", "grid C", 1e-12, 1e-5, grid_cases, COUNT(grid_cases), grid_build, NULL, grid_verify, grid_draw},
    {"embed_prompts", "prompts tokens C img masks", 1e-12, 1e-5, point_cases, COUNT(point_cases), points_build,
     points_narrow, points_verify, points_draw},
    {NULL, NULL, 0, 0, NULL, 0, NULL, NULL, NULL, NULL},
};
