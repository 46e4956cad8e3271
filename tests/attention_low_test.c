/* attention_relpos of bf16 activations where a case of checkops does not lead: scores far above those that a row is
 * shifted by, scores of any size, rows that are not finite, weights that must sum up to what they were rounded to. By
 * software, and by the instructions to the same bits where this machine has them. */
#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/attention_relpos/attention_relpos.h"
#include "kernels/cpu/caps.h"
#include "kernels/ops.h"

enum { HD = 16, HEADS = 2, D = HD * HEADS };

/* Every layout of keys: rows that share a vector, one to four vectors a row; one tile and several. */
static const struct { int grid, window; } shapes[] = {{9, 4}, {10, 8}, {15, 14}, {17, 0}, {9, 24}, {9, 33}, {6, 50}};
enum { SHAPES = sizeof shapes / sizeof *shapes };

static void run_here(void *pool, int64_t n, int64_t grain, samc__task *task, void *context) {
    (void)pool;
    for (int64_t i = 0; i < n; i += grain) task(context, i, i + grain < n ? i + grain : n, 0);
}
static void *take(void *memory, size_t bytes) {
    (void)memory;
    void *block = aligned_alloc(64, (bytes + 63) / 64 * 64);
    cr_assert_neq(block, NULL);
    return memset(block, 0xff, bytes);
}
static void give(void *memory, void *block) {
    (void)memory;
    free(block);
}

typedef struct problem {
    int shape, side;
    int64_t n, table;
    float *qkv, *bias, *rel_h, *rel_w, *y; /* y by the reference */
    uint16_t *low, *low_bias, *low_y;
} problem;

static uint64_t state;
static float number(void) { /* of unit variance, about */
    float sum = 0;
    for (int i = 0; i < 6; i++) {
        state ^= state << 13, state ^= state >> 7, state ^= state << 17;
        sum += (float)(int32_t)(uint32_t)(state >> 16) * 0x1p-31f;
    }
    return sum * 0.707f;
}
static float *numbers(int64_t n, float scale) {
    float *x = take(NULL, (size_t)n * sizeof *x);
    for (int64_t i = 0; i < n; i++) x[i] = samc__bf16_to_float(samc__float_to_bf16(scale * number()));
    return x;
}

/* q and k of `size`, values of 1. */
static problem make(int shape, float size) {
    const int side = shapes[shape].window ? shapes[shape].window : shapes[shape].grid;
    problem p = {.shape = shape, .side = side, .n = (int64_t)shapes[shape].grid * shapes[shape].grid};
    state = 0x9e3779b97f4a7c15u + (uint64_t)shape;
    p.table = (int64_t)(2 * side - 1) * HD;
    p.qkv = numbers(p.n * 3 * D, 1), p.bias = numbers(3 * D, 1);
    for (int64_t i = 0; i < p.n * 3 * D; i++)
        if (i % (3 * D) < 2 * D) p.qkv[i] = samc__bf16_to_float(samc__float_to_bf16(size * p.qkv[i]));
    p.rel_h = numbers(p.table, 0.3f), p.rel_w = numbers(p.table, 0.3f);
    p.y = take(NULL, (size_t)(p.n * D) * sizeof *p.y);
    p.low = take(NULL, (size_t)(p.n * 3 * D) * 2), p.low_bias = take(NULL, 3 * D * 2);
    p.low_y = take(NULL, (size_t)(p.n * D) * 2);
    return p;
}
static void end(problem *p) {
    free(p->qkv), free(p->bias), free(p->rel_h), free(p->rel_w), free(p->y);
    free(p->low), free(p->low_bias), free(p->low_y);
}

static samc__attention_relpos_args arguments(const problem *p) {
    return (samc__attention_relpos_args){.qkv = samc__view3(p->qkv, 1, p->n, 3 * D),
                                         .qkv_bias = samc__view1(p->bias, 3 * D),
                                         .rel_h = samc__view2(p->rel_h, 2 * p->side - 1, HD),
                                         .rel_w = samc__view2(p->rel_w, 2 * p->side - 1, HD),
                                         .y = samc__view3(p->y, 1, p->n, D),
                                         .heads = HEADS,
                                         .grid = shapes[p->shape].grid,
                                         .window = shapes[p->shape].window};
}

/* The operator by one rung: y [n, D] of bf16, which the caller frees. */
static uint16_t *by_rung(problem *p, unsigned caps) {
    samc_error error;
    samc__ops ops;
    samc__ops_ref(&ops);
    cr_assert(samc__ops_low(&ops, caps));
    const samc__exec exec = {
        .ops = &ops, .error = &error, .workers = 1, .parallel = run_here, .allocate = take, .release = give};
    for (int64_t i = 0; i < p->n * 3 * D; i++) p->low[i] = samc__float_to_bf16(p->qkv[i]);
    for (int i = 0; i < 3 * D; i++) p->low_bias[i] = samc__float_to_bf16(p->bias[i]);
    samc__attention_relpos_args a = arguments(p);
    a.qkv.data = p->low, a.qkv_bias.data = p->low_bias, a.y.data = p->low_y;
    a.qkv.dtype = a.qkv_bias.dtype = a.y.dtype = SAMC__BF16;
    cr_assert_eq(samc__attention_relpos(&exec, &a), SAMC_OK);
    uint16_t *y = take(NULL, (size_t)(p->n * D) * 2);
    return memcpy(y, p->low_y, (size_t)(p->n * D) * 2);
}

/* By one of the rungs in software; by its instructions too, for the same bits. */
static uint16_t *by_software(problem *p, unsigned soft) {
    const unsigned hard = SAMC__CAP_AVX512 | SAMC__CAP_AVX512BF16 | (soft == SAMC__CAP_AMX_SOFT ? SAMC__CAP_AMX : 0);
    uint16_t *y = by_rung(p, soft);
    if ((samc__caps_detect() & hard) == hard) {
        uint16_t *same = by_rung(p, hard);
        for (int64_t i = 0; i < p->n * D; i++)
            cr_assert(y[i] == same[i] || (isnan(samc__bf16_to_float(y[i])) && isnan(samc__bf16_to_float(same[i]))),
                      "shape %d: %lld is %x by instruction, %x by software", p->shape, (long long)i, same[i], y[i]);
        free(same);
    }
    return y;
}

static void by_reference(problem *p) {
    samc_error error;
    const samc__exec exec = {.error = &error, .workers = 1, .parallel = run_here, .allocate = take, .release = give};
    const samc__attention_relpos_args a = arguments(p);
    cr_assert_eq(samc__attention_relpos_ref(&exec, &a), SAMC_OK);
}

static const unsigned rungs[] = {SAMC__CAP_BF16_SOFT, SAMC__CAP_AMX_SOFT};

/* Scores with a standard deviation of 50 and of 500 in units of log2: most rows rise beyond what they are shifted by,
 * or have keys far below. Values are rounded, weights near 1 or 0. */
Test(attention_low, scores_far_apart) {
    for (int at = 0; at < 2 * SHAPES; at++) {
        problem p = make(at / 2, at % 2 ? 19.0f : 6.0f);
        by_reference(&p);
        for (int rung = 0; rung < 2; rung++) {
            uint16_t *y = by_software(&p, rungs[rung]);
            for (int64_t i = 0; i < p.n * D; i++)
                cr_assert_float_eq(samc__bf16_to_float(y[i]), p.y[i], 0x1p-7 * fabsf(p.y[i]) + 0x1p-8,
                                   "shape %d: %lld is %g, not %g", at / 2, (long long)i,
                                   (double)samc__bf16_to_float(y[i]), (double)p.y[i]);
            free(y);
        }
        end(&p);
    }
}

/* Scores so large that a last place of them is many units: which key has the largest is anyone's guess, but some key
 * has it, and results lie among the values. */
Test(attention_low, scores_of_any_size) {
    for (int at = 0; at < 2 * SHAPES; at++) {
        problem p = make(at / 2, at % 2 ? 1e6f : 3e4f);
        float most = 0;
        for (int64_t i = 0; i < p.n * 3 * D; i++)
            if (i % (3 * D) >= 2 * D) most = fmaxf(most, fabsf(p.qkv[i]));
        for (int i = 2 * D; i < 3 * D; i++) most = fmaxf(most, fabsf(p.bias[i]));
        for (int rung = 0; rung < 2; rung++) {
            uint16_t *y = by_software(&p, rungs[rung]);
            for (int64_t i = 0; i < p.n * D; i++) /* false for NaN */
                cr_assert(fabsf(samc__bf16_to_float(y[i])) <= most, "shape %d: %lld is %g", at / 2, (long long)i,
                          (double)samc__bf16_to_float(y[i]));
            free(y);
        }
        end(&p);
    }
}

/* Results are finite where the reference's are. */
static void finite_alike(problem *p, const char *what) {
    by_reference(p);
    for (int rung = 0; rung < 2; rung++) {
        uint16_t *y = by_software(p, rungs[rung]);
        for (int64_t i = 0; i < p->n * D; i++)
            cr_assert_eq(isfinite(samc__bf16_to_float(y[i])) != 0, isfinite(p->y[i]) != 0,
                         "%s, shape %d: %lld is %g, not %g", what, p->shape, (long long)i,
                         (double)samc__bf16_to_float(y[i]), (double)p->y[i]);
        free(y);
    }
}

Test(attention_low, not_finite) {
    static const float odd[] = {NAN, INFINITY, -INFINITY};
    static const char *names[] = {"q", "k", "v", "a pad's k", "rel_h", "rel_w"};
    for (int shape = 0; shape < SHAPES; shape++)
        for (int at = 0; at < 18; at++) {
            problem p = make(shape, 1);
            const int part = at / 3;
            const int64_t token = p.n * 2 / 3; /* not in a window's first vector */
            float *plant = part < 3    ? p.qkv + token * 3 * D + part * D + HD + 3
                           : part == 3 ? p.bias + D + 3
                           : part == 4 ? p.rel_h + p.table / 2
                                       : p.rel_w + p.table / 3;
            *plant = odd[at % 3];
            finite_alike(&p, names[part]);
            end(&p);
        }
}

/* Keys without weight: some, a whole first tile of them, all. */
Test(attention_low, scores_of_minus_infinity) {
    for (int shape = 0; shape < SHAPES; shape++)
        for (int keys = 0; keys < 3; keys++) {
            problem p = make(shape, 1);
            const int64_t end_of = keys == 0 ? 3 : keys == 1 ? p.n * 3 / 4 : p.n;
            for (int64_t i = 0; i < p.n; i++) p.qkv[i * 3 * D] = 1;                /* q */
            for (int64_t i = 0; i < end_of; i++) p.qkv[i * 3 * D + D] = -INFINITY; /* k */
            if (keys == 2) p.bias[D] = -INFINITY;
            finite_alike(&p, "minus infinity");
            end(&p);
        }
}

/* Where all values are the same, so is the result: weights are summed up as they were rounded. */
Test(attention_low, weights_sum_up) {
    for (int shape = 0; shape < SHAPES; shape++) {
        problem p = make(shape, 1);
        for (int64_t i = 0; i < p.n; i++) memcpy(p.qkv + i * 3 * D + 2 * D, p.bias + 2 * D, D * sizeof(float));
        for (int rung = 0; rung < 2; rung++) {
            uint16_t *y = by_software(&p, rungs[rung]);
            for (int64_t i = 0; i < p.n * D; i++)
                cr_assert_eq(samc__bf16_to_float(y[i]), p.bias[2 * D + i % D], "shape %d: %lld is %g, not %g", shape,
                             (long long)i, (double)samc__bf16_to_float(y[i]), (double)p.bias[2 * D + i % D]);
            free(y);
        }
        end(&p);
    }
}
