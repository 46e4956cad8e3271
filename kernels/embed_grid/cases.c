/* The cases of embed_grid: grid C, type of y. */
#include "tests/checkops/checkops.h"
#include "tests/checkops/book.h"
#include "kernels/embed_grid/embed_grid.h"

#include <string.h>

static const test_case grid_cases[] = {
    {ALL, {1, 2}},           {ALL, {3, 10}},         {ALL, {7, 64}},         {ALL, {33, 130}},
    {ALL, {16, 256}},        {MODEL, {64, 256}},     {MODEL, {32, 128}},     {QUICK, {1, 2, F32}},
    {QUICK, {3, 10, BF16}},  {QUICK, {5, 258, F16}}, {QUICK, {8, 256, F32}}, {FULL, {32, 128, BF16}},
    {FULL, {64, 256, BF16}},
};

static void grid_build(check *c, const int *p) {
    int64_t g = p[0], n = p[1];
    *ARGS(c, embed_grid) = (samc__embed_grid_args){.gaussian = samc__view2(input(c, n, 3), 2, n / 2),
                                                   .y = samc__view2(output(c, g * g * n), g * g, n),
                                                   .grid = p[0]};
}

static void grid_draw(check *c, int *p) { p[0] = random_size(c, 40), p[1] = 2 * random_size(c, 130); }

static const char *grid_verify(const check *c, const int *p) {
    const samc__embed_grid_args *a = ARGS(c, embed_grid);
    int64_t g = p[0], n = p[1];
    for (int64_t i = 0; i < g * g; i++)
        if (!encoding_fits(((double)(i % g) + 0.5) / (double)g, ((double)(i / g) + 0.5) / (double)g,
                           samc__f32(a->gaussian), n, samc__f32(a->y) + i * n, NULL))
            return "a position's encoding is not its sines and cosines";
    return NULL;
}

static void grid_book(book *b, const check *of) {
    const samc__embed_grid_args *a = ARGS(of, embed_grid);
    double *gaussian = values(b, a->gaussian), *y = result(b, a->y);
    for (int64_t i = 0; i < (int64_t)a->grid * a->grid; i++)
        encode(((double)(i % a->grid) + 0.5) / a->grid, ((double)(i / a->grid) + 0.5) / a->grid, gaussian, a->y.n[1],
               y + i * a->y.n[1]);
}

static void grid_types(const int *p, samc__dtype *of_views) { of_views[0] = (samc__dtype)p[2]; }

static int grid_typed(check *c, samc__view **views) {
    samc__embed_grid_args *a = ARGS(c, embed_grid);
    samc__view *own[] = {&a->y};
    memcpy(views, own, sizeof own);
    return (int)(sizeof own / sizeof *own);
}

static int grid_low(check *c, samc__view **views) {
    views[0] = &ARGS(c, embed_grid)->y;
    return 1;
}

ROW(embed_grid) = {
    .name = "embed_grid",
    .fields = "grid C type",
    /* For a fast version's sines; the reference is the only one on a host. */
    .nmse = 1e-12,
    .deviation = 1e-5,
    .cases = grid_cases,
    .case_count = COUNT(grid_cases),
    .build = grid_build,
    .verify = grid_verify,
    .draw = grid_draw,
    .book = grid_book,
    .typed = grid_typed,
    .types = grid_types,
    .last_place = 0x1p-23,
    .low = grid_low,
};
