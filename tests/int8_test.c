/* linear with 8-bit weights: every version that this machine runs against whole numbers added here, in 64 bits; all of
 * them give the same bytes, on any number of threads, packed ahead or not, for a row alone as in its batch. */
#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/cpu/caps.h"
#include "kernels/linear/int8.h"
#include "runtime/base/eight_bits.h"
#include "runtime/memory.h"
#include "runtime/threads.h"
#include "tests/checkops/guard.h"

typedef struct version {
    const char *name;
    unsigned needed;
    samc__linear8_function *run;
} version;
static const version versions[] = {
    {"plain", 0, samc__linear8_plain},
    {"amx-soft", SAMC__CAP_AMX_SOFT, samc__linear8_amx_soft},
#ifdef __x86_64__
    {"avx2", SAMC__CAP_AVX2, samc__linear8_avx2},
    {"avxvnni", SAMC__CAP_AVX2 | SAMC__CAP_AVXVNNI, samc__linear8_avxvnni},
    {"avx512", SAMC__CAP_AVX512, samc__linear8_avx512},
    {"avx512vnni", SAMC__CAP_AVX512 | SAMC__CAP_AVX512VNNI, samc__linear8_avx512vnni},
    {"amx", SAMC__CAP_AVX512 | SAMC__CAP_AVX512VNNI | SAMC__CAP_AVX512BF16 | SAMC__CAP_AMX, samc__linear8_amx},
#endif
};
enum { VERSIONS = sizeof versions / sizeof *versions };
static unsigned here(void) { return samc__caps_detect() | samc__caps_soft(samc__caps_detect()); }
static bool there(const version *v) { return (here() & v->needed) == v->needed; }

typedef enum values { NORMAL, SKEWED /* as behind a GELU */, POSITIVE, EXTREME, ZEROS, TINY, HUGE_ONES } values;

enum { LAST = 8 };
typedef struct shape {
    int m, k, n, residual_rows; /* -1: y is the residual */
    int act;                    /* + LAST: behind the residual */
    values values;
    int x_gap, y_gap;
    bool bias, x_low, y_low;
} shape;

static const shape shapes[] = {
    {1, 1, 1, 0, SAMC__ACT_NONE, NORMAL, 0, 0, true, false, false},
    {3, 5, 33, 1, SAMC__ACT_RELU, NORMAL, 3, 5, true, false, false},
    {13, 64, 32, -1, SAMC__ACT_NONE, SKEWED, 0, 0, false, false, false},
    {17, 63, 31, 17, SAMC__ACT_GELU, NORMAL, 0, 0, true, true, true},
    {96, 65, 64, 0, SAMC__ACT_GELU, SKEWED, 1, 2, true, false, true},
    {97, 130, 65, 97, SAMC__ACT_NONE, POSITIVE, 0, 0, true, true, false},
    {200, 100, 70, 50, SAMC__ACT_RELU, SKEWED, 0, 0, true, false, false},
    {33, 768, 96, 0, SAMC__ACT_GELU, NORMAL, 0, 0, true, true, true},
    {5, 3072, 40, -1, SAMC__ACT_NONE, SKEWED, 0, 0, true, false, false},
    {2, SAMC__INT8_MOST_K, 3, 0, SAMC__ACT_NONE, EXTREME, 0, 0, true, false, false},
    {12, 256, 34, 0, SAMC__ACT_NONE, EXTREME, 0, 0, true, false, false},
    {6, 70, 9, 0, SAMC__ACT_GELU, ZEROS, 0, 0, true, false, false},
    {6, 70, 9, 0, SAMC__ACT_NONE, TINY, 0, 0, true, false, false},
    {6, 70, 9, 0, SAMC__ACT_NONE, HUGE_ONES, 0, 0, false, false, false},
    {11, 64, 40, -1, SAMC__ACT_GELU + LAST, NORMAL, 0, 0, true, true, true},
    {9, 33, 34, 3, SAMC__ACT_RELU + LAST, NORMAL, 0, 0, true, false, false},
    {14, 70, 37, 14, SAMC__ACT_GELU_TANH, NORMAL, 0, 0, true, false, false},
    {13, 65, 40, 0, SAMC__ACT_GELU_QUICK, NORMAL, 0, 0, true, true, true},
    {6, 40, 33, 0, SAMC__ACT_ELU, NORMAL, 0, 0, true, false, false},
    {7, 96, 33, -1, SAMC__ACT_HARDSWISH + LAST, NORMAL, 0, 0, true, false, true},
};
enum { SHAPES = sizeof shapes / sizeof *shapes };

static uint64_t state;
static float uniform(void) { /* (-1, 1) */
    state ^= state << 13, state ^= state >> 7, state ^= state << 17;
    return (float)(int32_t)(state >> 24) * 0x1p-31f;
}
static float number(values kind) {
    const float u = uniform();
    switch (kind) {
    case SKEWED:
        return u < 0.8f ? -0.17f * fabsf(uniform()) : 6 * fabsf(uniform());
    case POSITIVE:
        return 3 + u;
    case EXTREME:
        return u < 0 ? 0.0f : 1.0f; /* 0 and 255 */
    case ZEROS:
        return 0.0f;
    case TINY:
        return u * 1e-36f;
    case HUGE_ONES:
        return u * 3e38f;
    default:
        return u;
    }
}

typedef struct problem {
    samc__linear_args args;
    void *blocks[8];
    int count;
    void *y_before;
    size_t y_bytes;
} problem;

static void *block_of(problem *p, size_t bytes, guard_place place) {
    return p->blocks[p->count++] = guard_allocate(bytes, 1, place, "tensor");
}
static samc__view view_of(problem *p, int64_t elements, bool low, values kind, guard_place place) {
    const samc__dtype type = low ? SAMC__BF16 : SAMC__F32;
    samc__view v = samc__as(type, samc__view1(block_of(p, (size_t)elements * samc__dtype_size(type), place), elements));
    for (int64_t i = 0; i < elements; i++) samc__store_element(type, v.data, i, number(kind));
    return v;
}
static samc__view of2(samc__view v, int64_t n0, int64_t n1) {
    v.rank = 2, v.n[0] = n0, v.n[1] = n1;
    return v;
}

static void make(problem *p, const shape *s, guard_place place) {
    const int64_t xs = s->k + s->x_gap, ys = s->n + s->y_gap;
    *p = (problem){0};
    state = 0x9e3779b97f4a7c15u + (uint64_t)(s - shapes);
    samc__linear_args *a = &p->args;
    a->act = (samc__act)(s->act % LAST), a->act_last = s->act >= LAST;
    a->x = of2(view_of(p, (s->m - 1) * xs + s->k, s->x_low, s->values, place), s->m, s->k);
    a->x_stride = s->x_gap ? xs : 0, a->y_stride = s->y_gap ? ys : 0;
    int8_t *w = block_of(p, (size_t)(s->n * s->k), place);
    for (int64_t i = 0; i < (int64_t)s->n * s->k; i++)
        w[i] = (int8_t)(s->values == EXTREME ? (uniform() < -0.9f ? 127 : -128) : uniform() * 127.99f);
    float *scale = samc__f32(view_of(p, s->n, false, NORMAL, place));
    for (int i = 0; i < s->n; i++) scale[i] = 0.01f + 0.01f * fabsf(scale[i]);
    a->p.w = samc__as(SAMC__I8, samc__view2(w, s->n, s->k));
    a->p.w.scale = scale;
    if (s->bias) a->p.b = view_of(p, s->n, false, NORMAL, place);
    if (s->residual_rows > 0)
        a->residual =
            of2(view_of(p, (int64_t)s->residual_rows * s->n, s->y_low, NORMAL, place), s->residual_rows, s->n);
    a->y = of2(view_of(p, (s->m - 1) * ys + s->n, s->y_low, NORMAL, place), s->m, s->n);
    if (s->residual_rows < 0) a->residual = a->y;
    p->y_bytes = (size_t)((s->m - 1) * ys + s->n) * samc__dtype_size(a->y.dtype);
    p->y_before = malloc(p->y_bytes);
    memcpy(p->y_before, a->y.data, p->y_bytes);
}
static void free_problem(problem *p) {
    for (int i = 0; i < p->count; i++) {
        const char *wrong = guard_free(p->blocks[i]);
        cr_assert(wrong == NULL, "%s", wrong);
    }
    free(p->y_before);
}

/* Runs it with y as it was before; the scratch must all come back. */
static samc_status run(problem *p, samc__linear8_function *version, int threads, const samc__packed *packed) {
    samc__pool *pool = samc__pool_create(threads);
    samc__memory memory = {0};
    samc_error error = {0};
    samc__exec exec = {.error = &error,
                       .workers = threads,
                       .pool = pool,
                       .parallel = samc__pool_run,
                       .memory = &memory,
                       .allocate = samc__memory_allocate,
                       .release = samc__memory_release,
                       .packed = packed};
    memcpy(p->args.y.data, p->y_before, p->y_bytes);
    cr_assert_eq(samc__linear_check(&p->args, &error), SAMC_OK, "%s", error.message);
    samc_status status = version(&exec, &p->args);
    cr_assert_eq(memory.current, 0);
    samc__pool_destroy(pool);
    return status;
}

/* ---- What it should be ------------------------------------------------------------------------- */

static float element(samc__view v, int64_t at) { return samc__load_element(v.dtype, v.data, at); }

/* A row in 255 steps from the least value, or 0, to the largest, 0 being one of the steps. */
static float steps_of_row(samc__view x, int64_t at, int64_t k, int *steps) {
    float least = 0, most = 0;
    for (int64_t i = 0; i < k; i++) least = fminf(least, element(x, at + i)), most = fmaxf(most, element(x, at + i));
    const float step = most / 255.0f - least / 255.0f;
    memset(steps, 0, (size_t)k * sizeof *steps);
    if (step < 1e-30f) return 0;
    const float inverse = 1.0f / step;
    const int below = (int)rintf(-least * inverse);
    for (int64_t i = 0; i < k; i++) {
        const int q = (int)rintf(element(x, at + i) * inverse) + below;
        steps[i] = (q < 0 ? 0 : q > 255 ? 255 : q) - below;
        const double off = (double)element(x, at + i) - (double)step * steps[i];
        cr_assert_leq(fabs(off), 0.5001 * step + 1e-6 * fabs(element(x, at + i)), "a step at most: %g of %g", off,
                      step);
    }
    return step;
}

static float activated(float x, samc__act act) {
    const double cubic = 0.79788456080286536 * (x + 0.044715 * x * x * x);
    if (act == SAMC__ACT_RELU) return x > 0 ? x : 0;
    if (act == SAMC__ACT_GELU) return (float)(x * 0.5 * (1 + erf(x * 0.70710678118654752)));
    if (act == SAMC__ACT_GELU_TANH) return (float)(x * 0.5 * (1 + tanh(cubic)));
    if (act == SAMC__ACT_GELU_QUICK) return (float)(x / (1 + exp(-1.702 * x)));
    if (act == SAMC__ACT_ELU) return (float)(x > 0 ? x : expm1(x));
    if (act == SAMC__ACT_HARDSWISH) return (float)(x * fmin(fmax(x + 3.0, 0), 6) / 6);
    return x;
}

static void compare(const problem *p, const shape *s, const void *before, const char *name) {
    const samc__linear_args *a = &p->args;
    const int64_t xs = a->x_stride ? a->x_stride : s->k, ys = a->y_stride ? a->y_stride : s->n;
    samc__view was = a->y;
    was.data = (void *)before;
    int *steps = malloc((size_t)s->k * sizeof *steps);
    for (int64_t row = 0; row < s->m; row++) {
        const float step = steps_of_row(a->x, row * xs, s->k, steps);
        for (int64_t i = 0; i < s->n; i++) {
            int64_t sum = 0;
            for (int64_t j = 0; j < s->k; j++) sum += steps[j] * ((const int8_t *)a->p.w.data)[i * s->k + j];
            cr_assert_eq(sum, (int32_t)sum);
            float value = (float)(int32_t)sum * (a->p.w.scale[i] * step) + (s->bias ? samc__f32(a->p.b)[i] : 0.0f);
            float added = 0;
            if (s->residual_rows > 0) added = element(a->residual, row % s->residual_rows * s->n + i);
            if (s->residual_rows < 0) added = element(was, row * ys + i);
            value = a->act_last ? activated(value + added, a->act) : activated(value, a->act) + added;
            const float found = element(a->y, row * ys + i);
            if (a->act == SAMC__ACT_NONE || a->act == SAMC__ACT_RELU) {
                if (s->y_low) value = samc__bf16_to_float(samc__float_to_bf16(value));
                cr_assert(found == value, "%s, shape %d, row %d, column %d: %a is not %a", name, (int)(s - shapes),
                          (int)row, (int)i, (double)found, (double)value);
            } else { /* 1 + erf loses a last place of 1, times x */
                const double off = 4e-7 * (fabs(value) + 1) + (s->y_low ? 0x1p-8 * fabs(value) : 0);
                cr_assert_float_eq(found, value, off, "%s, shape %d: %g is not %g", name, (int)(s - shapes),
                                   (double)found, (double)value);
            }
        }
        for (int64_t i = s->n; i < ys && row + 1 < s->m; i++) /* gaps are nobody's */
            cr_assert_eq(element(a->y, row * ys + i), element(was, row * ys + i));
    }
    free(steps);
}

Test(int8, is_exact_on_every_version) {
    for (int i = 0; i < SHAPES; i++) {
        problem p;
        make(&p, &shapes[i], GUARD_END);
        cr_assert_eq(run(&p, samc__linear8_ref, 1, NULL), SAMC_OK);
        compare(&p, &shapes[i], p.y_before, "ref");
        void *first = malloc(p.y_bytes);
        for (int v = 0; v < VERSIONS; v++) {
            if (!there(&versions[v])) continue;
            cr_assert_eq(run(&p, versions[v].run, 1, NULL), SAMC_OK);
            if (v == 0) memcpy(first, p.args.y.data, p.y_bytes), compare(&p, &shapes[i], p.y_before, "plain");
            cr_assert(memcmp(first, p.args.y.data, p.y_bytes) == 0, "shape %d: %s has other bytes than %s", i,
                      versions[v].name, versions[0].name);
        }
        free(first);
        free_problem(&p);
    }
}

Test(int8, threads_packing_and_places_change_nothing) {
    for (int i = 0; i < SHAPES; i++)
        for (int v = 0; v < VERSIONS; v++) {
            problem p, moved;
            if (!there(&versions[v])) continue;
            make(&p, &shapes[i], GUARD_END);
            make(&moved, &shapes[i], GUARD_START);
            samc__packed *packed = samc__packed_create();
            samc__view *w = &moved.args.p.w;
            void *block = samc__packed_room_int8(packed, w->n[0], w->n[1]);
            for (int64_t panel = 0; panel < samc__panels(w->n[0]); panel++)
                samc__pack_panel_int8((const int8_t *)w->data + panel * SAMC__PANEL * w->n[1],
                                      w->scale + panel * SAMC__PANEL, w->n[0], w->n[1], panel, block);
            w->data = block, w->scale = samc__panels8_of(block, w->n[0], w->n[1]).scales; /* as a model does */
            cr_assert_eq(run(&p, versions[v].run, 1, NULL), SAMC_OK);
            cr_assert_eq(run(&moved, versions[v].run, 3, packed), SAMC_OK);
            cr_assert(memcmp(p.args.y.data, moved.args.y.data, p.y_bytes) == 0, "%s, shape %d", versions[v].name, i);
            samc__packed_destroy(packed);
            free_problem(&p), free_problem(&moved);
        }
}

Test(int8, a_row_alone_is_as_in_its_batch) {
    for (int v = 0; v < VERSIONS; v++) {
        const shape *s = &shapes[6];
        problem p;
        if (!there(&versions[v])) continue;
        make(&p, s, GUARD_END);
        cr_assert_eq(run(&p, versions[v].run, 2, NULL), SAMC_OK);
        float *all = malloc(p.y_bytes);
        memcpy(all, p.args.y.data, p.y_bytes);
        const int row = 137;
        samc__linear_args *a = &p.args;
        a->x = samc__view2(samc__f32(a->x) + row * s->k, 1, s->k);
        a->residual = samc__view2(samc__f32(a->residual) + row % s->residual_rows * s->n, 1, s->n);
        a->y.n[0] = 1;
        cr_assert_eq(run(&p, versions[v].run, 1, NULL), SAMC_OK);
        cr_assert(memcmp(a->y.data, all + row * s->n, (size_t)s->n * sizeof(float)) == 0, "%s", versions[v].name);
        free(all);
        free_problem(&p);
    }
}

/* NaN and infinities make their own row NaN, and no other. */
Test(int8, what_is_not_finite_shows) {
    static const float odd[] = {NAN, INFINITY, -INFINITY};
    for (int v = -1; v < VERSIONS; v++)
        for (int kind = 0; kind < 3; kind++)
            for (int at = 0; at < 2; at++) {
                const shape *s = &shapes[5 + at]; /* one ends within a vector, x is bf16 in one */
                problem p;
                if (v >= 0 && !there(&versions[v])) continue;
                make(&p, s, GUARD_END);
                const int64_t column = kind == 1 ? s->k - 1 : 7;
                samc__store_element(p.args.x.dtype, p.args.x.data, 40 * (int64_t)s->k + column, odd[kind]);
                cr_assert_eq(run(&p, v < 0 ? samc__linear8_ref : versions[v].run, 1, NULL), SAMC_OK);
                for (int64_t i = 0; i < (int64_t)s->m * s->n; i++)
                    cr_assert_eq(isnan(element(p.args.y, i)) != 0, i / s->n == 40, "version %d, %d", v, (int)i);
                free_problem(&p);
            }
}

Test(int8, a_weight_is_held_to_half_a_step) {
    enum { N = 1000 };
    float w[N];
    int8_t q[N];
    for (int kind = 0; kind < 3; kind++) {
        state = 99;
        for (int i = 0; i < N; i++) w[i] = number(kind == 0 ? NORMAL : kind == 1 ? SKEWED : HUGE_ONES);
        const float scale = samc__int8_row(w, N, q);
        int most = 0;
        for (int i = 0; i < N; i++) {
            cr_assert_leq(fabs((double)w[i] - (double)scale * q[i]), 0.5001 * scale);
            most = abs(q[i]) > most ? abs(q[i]) : most;
        }
        cr_assert_eq(most, 127);
    }
    memset(w, 0, sizeof w);
    cr_assert_eq(samc__int8_row(w, N, q), 1.0f);
    for (int i = 0; i < N; i++) cr_assert_eq(q[i], 0);
    w[N - 1] = 0x1p-130f;
    cr_assert_eq(samc__int8_row(w, N, q), 1.0f);
    cr_assert_eq(q[N - 1], 0);
    w[N / 2] = INFINITY;
    cr_assert(isnan(samc__int8_row(w, N, q)));
    w[N / 2] = NAN;
    cr_assert(isnan(samc__int8_row(w, N, q)));
}

/* The table hands such layers on, from any version of linear; what has no scales is refused. */
Test(int8, every_table_takes_it) {
#ifdef __x86_64__
    static const char *const tables[] = {"none", "sse2", "avx2", "avx2,avxvnni", "avx2,avx512", "amx-soft"};
#else
    static const char *const tables[] = {"none", "neon", "amx-soft"};
#endif
    problem p;
    make(&p, &shapes[6], GUARD_END);
    cr_assert_eq(run(&p, samc__linear8_ref, 1, NULL), SAMC_OK);
    void *expected = malloc(p.y_bytes);
    memcpy(expected, p.args.y.data, p.y_bytes);
    for (size_t i = 0; i < sizeof tables / sizeof *tables; i++) {
        samc__ops ops;
        const unsigned caps = (unsigned)samc__caps_parse(tables[i]);
        samc__ops_ref(&ops);
        samc__ops_cpu(&ops, caps & here());
        (void)samc__ops_low(&ops, caps & here());
        samc__pool *pool = samc__pool_create(2);
        samc__memory memory = {0};
        samc_error error = {0};
        samc__exec exec = {
            &ops,          &error, 2, pool, samc__pool_run, &memory, samc__memory_allocate, samc__memory_release,
            .packed = NULL};
        memcpy(p.args.y.data, p.y_before, p.y_bytes);
        cr_assert_eq(samc__linear(&exec, &p.args), SAMC_OK, "%s", error.message);
        cr_assert(memcmp(expected, p.args.y.data, p.y_bytes) == 0, "%s", tables[i]);
        samc__linear_args bad = p.args;
        bad.p.w.scale = NULL;
        cr_assert_eq(samc__linear(&exec, &bad), SAMC_INVALID_ARGUMENT);
        samc__pool_destroy(pool);
    }
    free(expected);
    free_problem(&p);
}
