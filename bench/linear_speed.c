/* linear in each precision that this machine has, at the shapes of ViT-B and ViT-H, by turns in one run.
 *
 *     linear_speed [THREADS] [ROWS]
 *
 * Prints processor time for each thread (the least of some runs), its rate, and the ratio to f32; and what vpdpbusd
 * does out of registers on one core, which is the limit of its rungs. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "kernels/cpu/caps.h"
#include "kernels/linear/int8.h"
#include "runtime/base/eight_bits.h"
#include "runtime/memory.h"
#include "runtime/threads.h"

#if defined(__x86_64__)
#include <immintrin.h>

/* Sixteen chains of sums, enough for any latency. Operations a second. */
__attribute__((target("avx512f,avx512vnni"))) static double vnni_peak(void) {
    enum { CHAINS = 16, TURNS = 20000000 };
    __m512i sum[CHAINS], a = _mm512_set1_epi32(0x01020304), b = _mm512_set1_epi32(0x01010101);
    struct timespec from, to;
    for (int i = 0; i < CHAINS; i++) sum[i] = _mm512_set1_epi32(i);
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &from);
    for (int t = 0; t < TURNS; t++) {
#pragma GCC unroll 16
        for (int i = 0; i < CHAINS; i++) sum[i] = _mm512_dpbusd_epi32(sum[i], a, b);
        __asm__ volatile("" : "+v"(a), "+v"(b));
    }
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &to);
    int all = 0;
    for (int i = 0; i < CHAINS; i++) all += _mm512_reduce_add_epi32(sum[i]);
    volatile int kept = all;
    (void)kept;
    return 2.0 * 64 * CHAINS * TURNS / ((double)(to.tv_sec - from.tv_sec) + 1e-9 * (double)(to.tv_nsec - from.tv_nsec));
}
#endif

typedef struct kind {
    const char *name;
    unsigned needed;
    bool low, eight; /* activations in bf16, weights in 8 bits */
} kind;
static const kind kinds[] = {
#if defined(__x86_64__)
    {"f32   avx512", SAMC__CAP_AVX2 | SAMC__CAP_AVX512, false, false},
    {"bf16  avx512", SAMC__CAP_AVX2 | SAMC__CAP_AVX512 | SAMC__CAP_AVX512BF16, true, false},
    {"bf16  amx", SAMC__CAP_AVX2 | SAMC__CAP_AVX512 | SAMC__CAP_AVX512BF16 | SAMC__CAP_AVX512VNNI | SAMC__CAP_AMX, true,
     false},
    {"int8  avx2", SAMC__CAP_AVX2, false, true},
    {"int8  avxvnni", SAMC__CAP_AVX2 | SAMC__CAP_AVXVNNI, false, true},
    {"int8  avx512", SAMC__CAP_AVX2 | SAMC__CAP_AVX512, false, true},
    {"int8  avx512vnni", SAMC__CAP_AVX2 | SAMC__CAP_AVX512 | SAMC__CAP_AVX512VNNI, false, true},
    {"int8, bf16 rows", SAMC__CAP_AVX2 | SAMC__CAP_AVX512 | SAMC__CAP_AVX512VNNI | SAMC__CAP_AVX512BF16, true, true},
    {"int8  amx", SAMC__CAP_AVX2 | SAMC__CAP_AVX512 | SAMC__CAP_AVX512BF16 | SAMC__CAP_AVX512VNNI | SAMC__CAP_AMX, true,
     true},
#else
    {"f32   neon", SAMC__CAP_VEC16, false, false},
    {"int8  plain", SAMC__CAP_VEC16, false, true},
#endif
};
enum { KINDS = sizeof kinds / sizeof *kinds, RUNS = 5 };

typedef struct layer {
    const char *name;
    int k, n;
    samc__act act;
    bool residual;
} layer;
static const layer layers[] = {
    {"ViT-B qkv ", 768, 2304, SAMC__ACT_NONE, false},  {"ViT-B proj", 768, 768, SAMC__ACT_NONE, true},
    {"ViT-B lin1", 768, 3072, SAMC__ACT_GELU, false},  {"ViT-B lin2", 3072, 768, SAMC__ACT_NONE, true},
    {"ViT-H qkv ", 1280, 3840, SAMC__ACT_NONE, false}, {"ViT-H proj", 1280, 1280, SAMC__ACT_NONE, true},
    {"ViT-H lin1", 1280, 5120, SAMC__ACT_GELU, false}, {"ViT-H lin2", 5120, 1280, SAMC__ACT_NONE, true},
};

static void *block(size_t bytes) {
    void *data = aligned_alloc(64, (bytes + 63) / 64 * 64);
    if (data == NULL) abort();
    return data;
}
static samc__view filled(int64_t n0, int64_t n1, float size) {
    samc__view v = samc__view2(block((size_t)(n0 * n1) * sizeof(float)), n0, n1);
    for (int64_t i = 0; i < n0 * n1; i++) samc__f32(v)[i] = size * ((float)(i * 2654435761u % 1024) / 512 - 1);
    return v;
}
static samc__view rounded(samc__view v) {
    uint16_t *halves = block((size_t)samc__elements(v) * sizeof *halves);
    for (int64_t i = 0; i < samc__elements(v); i++) halves[i] = samc__float_to_bf16(samc__f32(v)[i]);
    v.data = halves;
    return samc__as(SAMC__BF16, v);
}
static samc__view in_eight_bits(samc__view w) {
    int8_t *q = block((size_t)samc__elements(w));
    float *scale = block((size_t)w.n[0] * sizeof *scale);
    for (int64_t i = 0; i < w.n[0]; i++) scale[i] = samc__int8_row(samc__f32(w) + i * w.n[1], w.n[1], q + i * w.n[1]);
    w.data = q, w.scale = scale;
    return samc__as(SAMC__I8, w);
}

static double seconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

/* Least processor time of a call, divided by the threads; 0: there is no such version. */
static double time_of(const kind *k, const samc__linear_args *args, const samc__packed *packed, int threads) {
    samc__ops ops;
    samc__ops_ref(&ops);
    samc__ops_cpu(&ops, k->needed);
    const samc__ops without = ops;
    if (k->low) (void)samc__ops_low(&ops, k->needed);
    if (k->low && !k->eight && ops.linear == without.linear) return 0;
    samc__pool *pool = samc__pool_create(threads);
    samc__memory memory = {0};
    samc_error error = {0};
    samc__exec exec = {.ops = &ops,
                       .error = &error,
                       .workers = threads,
                       .pool = pool,
                       .parallel = samc__pool_run,
                       .memory = &memory,
                       .allocate = samc__memory_allocate,
                       .release = samc__memory_release,
                       .packed = packed};
    double least = 1e9;
    for (int i = 0; i < RUNS; i++) {
        const double from = seconds();
        if (samc__linear(&exec, args) != SAMC_OK) {
            fprintf(stderr, "%s\n", error.message);
            exit(1);
        }
        least = fmin(least, seconds() - from);
    }
    samc__pool_destroy(pool);
    return least / threads;
}

static void measure(const layer *l, int64_t rows, int threads) {
    const samc__view x = filled(rows, l->k, 1), w = filled(l->n, l->k, 0.05f), b = filled(1, l->n, 0.1f),
                     y = filled(rows, l->n, 1);
    const samc__view x_low = rounded(x), y_low = rounded(y), w8 = in_eight_bits(w);
    samc__packed *packed = samc__packed_create();
    samc__packed_add(packed, samc__f32(w), w.n[0], w.n[1], false);
    samc__packed *packed_low = samc__packed_create();
    samc__packed_add_bf16(packed_low, samc__f32(w), w.n[0], w.n[1]);
    samc__packed *packed8 = samc__packed_create();
    samc__view own = w8;
    own.data = samc__packed_room_int8(packed8, l->n, l->k);
    for (int64_t panel = 0; panel < samc__panels(l->n); panel++)
        samc__pack_panel_int8((const int8_t *)w8.data + panel * SAMC__PANEL * l->k, w8.scale + panel * SAMC__PANEL,
                              l->n, l->k, panel, own.data);
    double first = 0;
    for (int i = 0; i < KINDS; i++) {
        const kind *k = &kinds[i];
        if ((samc__caps_detect() & k->needed) != k->needed) continue;
        samc__linear_args args = {.x = k->low ? x_low : x,
                                  .p = {k->eight ? own : w, samc__view1(b.data, l->n)},
                                  .y = k->low && !l->residual ? y_low : y,
                                  .act = l->act};
        if (!k->eight && k->low) args.p.w.dtype = SAMC__BF16;
        if (l->residual) args.residual = y;
        const double time = time_of(k, &args, k->eight ? packed8 : k->low ? packed_low : packed, threads);
        if (time == 0) continue;
        if (i == 0) first = time;
        printf("%s %-17s %8.2f ms %7.0f Gop/s %6.2f x f32\n", l->name, k->name, 1e3 * time,
               2e-9 * (double)rows * l->k * l->n / time / 1, first / time);
    }
    samc__packed_destroy(packed), samc__packed_destroy(packed_low), samc__packed_destroy(packed8);
    const void *blocks[] = {x.data, w.data, b.data, y.data, x_low.data, y_low.data, w8.data, w8.scale};
    for (size_t i = 0; i < sizeof blocks / sizeof *blocks; i++) free((void *)blocks[i]);
}

int main(int argc, char **argv) {
    const int threads = argc > 1 ? atoi(argv[1]) : 1, rows = argc > 2 ? atoi(argv[2]) : 4096;
    if (threads < 1 || rows < 1) return 2;
#if defined(__x86_64__)
    if (samc__caps_detect() & SAMC__CAP_AVX512VNNI)
        printf("vpdpbusd out of registers: %.0f Gop/s\n", 1e-9 * vnni_peak());
#endif
    for (size_t i = 0; i < sizeof layers / sizeof *layers; i++) measure(&layers[i], rows, threads);
    return 0;
}
