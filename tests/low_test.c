/* The 16-bit instructions against their software versions, bit for bit, where this machine has them; and the software
 * against sums in double precision everywhere. */
#include "tests/low_run.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/cpu/caps.h"
#include "kernels/ops.h"
#include "runtime/base/dtype.h"

enum { ROWS = LOW_TEST_ROWS, ROOM = ROWS + 19, K = LOW_TEST_K };

/* As a network has them; of every exponent; with denormals, zeros, infinities and NaN. */
enum { MODEL, WIDE, ODD, KINDS };

static uint64_t state;
static uint32_t bits(void) {
    state ^= state << 13, state ^= state >> 7, state ^= state << 17;
    return (uint32_t)(state >> 16);
}
static float number(int kind) {
    static const float odd[] = {0.0f, -0.0f, 0x1p-140f, -0x1.8p-130f, 0x1p-126f, INFINITY, -INFINITY, NAN, 0x1.fep127f};
    const float unit = (float)(int32_t)bits() * 0x1p-31f;
    if (kind == ODD && bits() % 8 == 0) return odd[bits() % 9];
    return kind == MODEL ? 4 * unit : ldexpf(unit, (int)(bits() % 150) - 120);
}

typedef struct numbers {
    uint16_t a[ROOM * K], b[K * 32];
    float f[64];
} numbers;
static void draw(numbers *n, int kind, int seed) {
    state = 0x9e3779b97f4a7c15u * (uint64_t)(3 * seed + kind + 1);
    for (int i = 0; i < ROOM * K; i++) n->a[i] = samc__float_to_bf16(number(kind));
    for (int i = 0; i < K * 32; i++) n->b[i] = samc__float_to_bf16(number(kind));
    for (int i = 0; i < 64; i++) n->f[i] = number(kind);
}

/* The first word of two results that differs: NaN is NaN, whatever its payload. -1: none. The rows of a block beyond
 * its own may hold anything. */
static int difference(const low_results *x, const low_results *y) {
    const float *p = (const float *)x, *q = (const float *)y;
    const int block = (int)(offsetof(low_results, block) / 4), halves = (int)(offsetof(low_results, rounded) / 4);
    for (int i = 0; i < halves; i++) {
        if (i >= block + ROWS * 32) break;
        if (memcmp(p + i, q + i, 4) != 0 && !(p[i] != p[i] && q[i] != q[i])) return i;
    }
    const uint16_t *r = x->rounded, *s = y->rounded;
    for (int i = 0; i < 32 + 16 + 16; i++) {
        const float u = samc__bf16_to_float(r[i]), v = samc__bf16_to_float(s[i]);
        if (r[i] != s[i] && !(u != u && v != v)) return halves + i;
    }
    return -1;
}

static void same_bits(unsigned needed, low_run *hard, low_run *soft) {
    static numbers n;
    static low_results x, y;
    if ((samc__caps_detect() & needed) != needed) cr_skip_test("this machine has no such instruction");
    for (int kind = 0; kind < KINDS; kind++)
        for (int seed = 0; seed < 100; seed++) {
            draw(&n, kind, seed);
            memset(&x, 0, sizeof x), memset(&y, 0, sizeof y);
            hard(n.a, n.b, n.f, &x);
            soft(n.a, n.b, n.f, &y);
            const int at = difference(&x, &y);
            cr_assert_eq(at, -1, "kind %d seed %d: word %d is %a by instruction, %a by software", kind, seed, at,
                         (double)((float *)&x)[at], (double)((float *)&y)[at]);
        }
}

#ifdef __x86_64__
Test(low, avx512bf16) { same_bits(SAMC__CAP_AVX512 | SAMC__CAP_AVX512BF16, low_run_bf16, low_run_bf16_soft); }
Test(low, amx) { same_bits(SAMC__CAP_AVX512 | SAMC__CAP_AMX, low_run_amx, low_run_amx_soft); }
#endif

/* The block is a matrix product, its sums in f32: at most K roundings of half a last place of what is summed up. */
static void multiplies(low_run *run) {
    static numbers n;
    static low_results x;
    draw(&n, MODEL, 7);
    memset(&x, 0, sizeof x);
    run(n.a, n.b, n.f, &x);
    for (int r = 0; r < ROWS; r++)
        for (int c = 0; c < 32; c++) {
            double sum = 0, size = 0;
            for (int k = 0; k < K; k++) {
                double t = (double)samc__bf16_to_float(n.a[r * K + k]) *
                           samc__bf16_to_float(n.b[(k / 2 * 32 + c) * 2 + k % 2]);
                sum += t, size += fabs(t);
            }
            const double times = r < 16 ? 2 : 1; /* added to itself */
            cr_assert_leq(fabs(x.block[r][c] - times * sum), times * K * 0x1p-24 * size, "row %d column %d", r, c);
        }
}
Test(low, block_bf16) { multiplies(low_run_bf16_soft); }
Test(low, block_amx) { multiplies(low_run_amx_soft); }

/* The short GELUs are within what they say of the error function's and of tanh's. */
Test(low, short_gelu) {
    static numbers n;
    static low_results x;
    for (int i = 0; i < 200; i++) {
        for (int j = 0; j < 64; j++) n.f[j] = -8.0f + (float)(64 * i + j) * 0x1p-9f * 0.64f;
        low_run_bf16_soft(n.a, n.b, n.f, &x);
        for (int j = 0; j < 64; j++) {
            const double u = n.f[j], exact = 0.5 * u * erfc(-u * 0.70710678118654752440);
            const double by_tanh = 0.5 * u * (1 + tanh(0.79788456080286535588 * (u + 0.044715 * u * u * u)));
            cr_assert_leq(fabs(((float *)x.gelu_low)[j] - exact), 1.5e-5 + 1e-6 * fabs(u), "x = %.7f", u);
            cr_assert_leq(fabs(((float *)x.gelu_tanh_low)[j] - by_tanh), 1.5e-5 + 1e-6 * fabs(u), "x = %.7f", u);
        }
    }
}

/* What tells the two orders of sums apart: an even element between two large odd ones that cancel is lost in one chain,
 * and kept in two. */
Test(low, orders_differ) {
    static numbers n;
    static low_results x, y;
    enum { ROW = 20 }; /* one that is not added to itself */
    memset(&n, 0, sizeof n);
    n.a[ROW * K] = samc__float_to_bf16(1);
    n.a[ROW * K + 1] = samc__float_to_bf16(0x1p30f), n.a[ROW * K + 3] = samc__float_to_bf16(-0x1p30f);
    for (int i = 0; i < K * 32; i++) n.b[i] = samc__float_to_bf16(1);
    low_run_bf16_soft(n.a, n.b, n.f, &x);
    low_run_amx_soft(n.a, n.b, n.f, &y);
    cr_expect_eq(x.block[ROW][0], 0);
    cr_expect_eq(y.block[ROW][0], 1);
}

/* What `samc info` says of a processor whose tiles the kernel withholds, and of one that has them. */
Test(caps, names_what_multiplies_16_and_8_bits) {
    const unsigned bf16 = SAMC__CAP_AVX2 | SAMC__CAP_AVX512 | SAMC__CAP_AVX512BF16 | SAMC__CAP_AVX512VNNI;
    cr_expect_str_eq(samc__caps_bf16(bf16 | SAMC__CAP_AMX, true), "AMX");
    cr_expect_str_eq(samc__caps_int8(bf16 | SAMC__CAP_AMX, true), "AMX");
    cr_expect_str_eq(samc__caps_bf16(bf16, false), "AVX512-BF16");
    cr_expect_str_eq(samc__caps_int8(bf16, false), "AVX512-VNNI");
    cr_expect_not_null(strstr(samc__caps_bf16(bf16, true), "the kernel does not grant its tiles"));
    cr_expect_not_null(strstr(samc__caps_int8(bf16, true), "the kernel does not grant its tiles"));
    cr_expect_str_eq(samc__caps_int8(SAMC__CAP_AVX2 | SAMC__CAP_AVXVNNI, false), "AVX-VNNI");
    cr_expect_str_eq(samc__caps_bf16(SAMC__CAP_AVX2, false), "nothing; models take half the memory and compute in f32");
    if (samc__caps_detect() & SAMC__CAP_AMX) cr_expect(samc__caps_tiles(), "granted, so it is there");
}

/* The software's files are compiled for AVX2 on x86-64; elsewhere for any machine. */
Test(caps, software_runs_where_its_files_do) {
    cr_expect_eq(samc__caps_soft(SAMC__CAP_VEC16 | SAMC__CAP_AVX2), SAMC__CAP_SOFT);
#ifdef __x86_64__
    cr_expect_eq(samc__caps_soft(SAMC__CAP_VEC16), 0);
#else
    cr_expect_eq(samc__caps_soft(SAMC__CAP_VEC16), SAMC__CAP_SOFT);
#endif
}

#ifdef __x86_64__
/* Every combination that processors, hypervisors and SAMC_CPU_CAPS leave has the rung whose instructions are all there:
 * nothing runs here. */
Test(caps, choose_the_rungs_that_they_have_all_of) {
    enum {
        AVX2 = SAMC__CAP_VEC16 | SAMC__CAP_AVX2,
        AVX512 = AVX2 | SAMC__CAP_AVX512,
        VNNI = SAMC__CAP_AVX512VNNI,
        BF16 = SAMC__CAP_AVX512BF16,
        AMX = SAMC__CAP_AMX
    };
    static const struct {
        unsigned caps;
        const char *eight, *sixteen; /* NULL: none of 16 bits */
    } of[] = {
        {0, "plain C", NULL},
        {SAMC__CAP_VEC16, "plain C", NULL},
        {AVX2, "AVX2", NULL},
        {AVX2 | SAMC__CAP_AVXVNNI, "AVX-VNNI", NULL},
        {SAMC__CAP_AVXVNNI, "plain C", NULL},
        {AVX512, "AVX-512", NULL},
        {AVX512 | SAMC__CAP_AVXVNNI, "AVX-VNNI", NULL},
        {SAMC__CAP_AVX512 | SAMC__CAP_AVXVNNI, "AVX-512", NULL},
        {AVX512 | VNNI, "AVX512-VNNI", NULL},
        {AVX512 | BF16, "AVX-512", "AVX512-BF16"},
        {AVX512 | VNNI | BF16, "AVX512-VNNI", "AVX512-BF16"},
        {AVX512 | VNNI | BF16 | SAMC__CAP_AVXVNNI, "AVX512-VNNI", "AVX512-BF16"},
        {AVX512 | VNNI | BF16 | AMX, "AMX", "AMX"},
        {AVX512 | VNNI | AMX, "AVX512-VNNI", NULL},
        {AVX2 | VNNI | BF16 | AMX, "AVX2", NULL}, /* states of 512 bits withheld */
    };
    for (size_t i = 0; i < sizeof of / sizeof *of; i++) {
        samc__ops ops;
        samc__ops_ref(&ops);
        (void)samc__ops_cpu(&ops, of[i].caps);
        cr_expect_str_eq(ops.linear8_by, of[i].eight, "capabilities %x: %s", of[i].caps, ops.linear8_by);
        const char *low = samc__ops_low(&ops, of[i].caps);
        cr_expect(low == of[i].sixteen || (low && of[i].sixteen && strcmp(low, of[i].sixteen) == 0),
                  "capabilities %x: %s", of[i].caps, low ? low : "none");
    }
}
#endif
