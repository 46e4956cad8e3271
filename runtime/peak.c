/* Peak throughput of each type: enough independent accumulators to hide the latency of a multiply-add, nothing else. */
#include "kernels/cpu/caps.h"
#include "kernels/ops.h"
#include "runtime/base/abi.h"
#include "runtime/threads.h"

#include <pthread.h>
#include <string.h>
#include <time.h>

#if defined(__x86_64__)
#include <immintrin.h>
#elif defined(__aarch64__)
#include <arm_neon.h>
#include <asm/hwcap.h>
#include <sys/auxv.h>
#endif

enum { ROUNDS = 2000000, LANES = 12, RUNS = 3 };
enum type { F32, BF16, INT8, TYPES };

/* One way to multiply and add. `run` returns the operations done; `sink` keeps the compiler from dropping them. */
typedef struct way {
    const char *name; /* of the instruction */
    double (*run)(volatile float *sink);
} way;

static double run_plain(volatile float *sink) {
    float a[LANES * 4];
    for (int i = 0; i < LANES * 4; i++) a[i] = (float)i;
    for (int round = 0; round < ROUNDS; round++)
        for (int i = 0; i < LANES * 4; i++) a[i] = a[i] * 0.999999f + 1e-6f;
    for (int i = 0; i < LANES * 4; i++) *sink += a[i];
    return 2.0 * LANES * 4 * ROUNDS;
}

/* A way: `step` on as many accumulators `a` as `lanes`, beginning as `first`, by factors `m` and `c`, each step as many
 * products and sums as `multiplies`. Twelve fill two pipes of a latency of six; Zen 5's vdpbf16ps takes longer. */
#define WAY(name, features, vector, factor, m_is, c_is, first, step, last, lanes, multiplies)                          \
    __attribute__((target(features))) static double name(volatile float *sink) {                                       \
        vector a[lanes];                                                                                               \
        const factor m = m_is, c = c_is;                                                                               \
        for (int i = 0; i < lanes; i++) a[i] = first;                                                                  \
        for (int round = 0; round < ROUNDS; round++)                                                                   \
            _Pragma("GCC unroll 24") for (int i = 0; i < lanes; i++) a[i] = step;                                      \
        for (int i = 0; i < lanes; i++) *sink += (float)last;                                                          \
        return 2.0 * (lanes) * (multiplies)*ROUNDS;                                                                    \
    }

/* f32 converges, bf16 adds 2^-20 twice and bytes add a few ones at a time: no overflow, no denormals. */
#if defined(__x86_64__)
WAY(run_avx2, "avx2,fma", __m256, __m256, _mm256_set1_ps(0.999999f), _mm256_set1_ps(1e-6f), _mm256_set1_ps((float)i),
    _mm256_fmadd_ps(a[i], m, c), _mm256_cvtss_f32(a[i]), LANES, 8);
WAY(run_avx512, "avx512f", __m512, __m512, _mm512_set1_ps(0.999999f), _mm512_set1_ps(1e-6f), _mm512_set1_ps((float)i),
    _mm512_fmadd_ps(a[i], m, c), _mm512_cvtss_f32(a[i]), LANES, 16);
WAY(run_bf16, "avx512f,avx512bf16", __m512, __m512bh, (__m512bh)_mm512_set1_epi32(0x3f803f80),
    (__m512bh)_mm512_set1_epi32(0x35803580), _mm512_set1_ps((float)i), _mm512_dpbf16_ps(a[i], m, c),
    _mm512_cvtss_f32(a[i]), 24, 32);
WAY(run_avx_vnni, "avx2,avxvnni", __m256i, __m256i, _mm256_set1_epi8(1), _mm256_set1_epi8(1), _mm256_set1_epi32(i),
    _mm256_dpbusd_avx_epi32(a[i], m, c), _mm_cvtsi128_si32(_mm256_castsi256_si128(a[i])), LANES, 32);
WAY(run_avx512_vnni, "avx512f,avx512vnni", __m512i, __m512i, _mm512_set1_epi8(1), _mm512_set1_epi8(1),
    _mm512_set1_epi32(i), _mm512_dpbusd_epi32(a[i], m, c), _mm_cvtsi128_si32(_mm512_castsi512_si128(a[i])), LANES, 64);

/* Tiles of 16 rows of 64 bytes: six accumulators, tiles 6 and 7 the factors. */
enum { TILES = 8, ACCUMULATORS = 6, TILE_ROUNDS = 100000 };
typedef struct tile_shape {
    uint8_t palette, start, unused[14];
    uint16_t row_bytes[16];
    uint8_t rows[16];
} tile_shape;

#define TILE_WAY(name, features, instruction, multiplies)                                                              \
    __attribute__((target("amx-tile," features))) static double name(volatile float *sink) {                           \
        _Alignas(64) tile_shape shape = {.palette = 1};                                                                \
        _Alignas(64) uint8_t bytes[16][64];                                                                            \
        memset(bytes, 0x3f, sizeof bytes); /* as bf16 0.75 */                                                          \
        for (int i = 0; i < TILES; i++) shape.row_bytes[i] = 64, shape.rows[i] = 16;                                   \
        __asm__ volatile("" : : "r"(&shape), "r"(bytes) : "memory"); /* gcc's intrinsics do not say what they read */  \
        _tile_loadconfig(&shape);                                                                                      \
        _tile_zero(0);                                                                                                 \
        _tile_zero(1);                                                                                                 \
        _tile_zero(2);                                                                                                 \
        _tile_zero(3);                                                                                                 \
        _tile_zero(4);                                                                                                 \
        _tile_zero(5);                                                                                                 \
        _tile_loadd(6, bytes, 64);                                                                                     \
        _tile_loadd(7, bytes, 64);                                                                                     \
        for (int round = 0; round < TILE_ROUNDS; round++) {                                                            \
            instruction(0, 6, 7);                                                                                      \
            instruction(1, 6, 7);                                                                                      \
            instruction(2, 6, 7);                                                                                      \
            instruction(3, 6, 7);                                                                                      \
            instruction(4, 6, 7);                                                                                      \
            instruction(5, 6, 7);                                                                                      \
        }                                                                                                              \
        _tile_stored(0, bytes, 64);                                                                                    \
        _tile_release();                                                                                               \
        *sink += (float)bytes[0][0];                                                                                   \
        return 2.0 * 16 * 16 * (multiplies)*ACCUMULATORS * TILE_ROUNDS;                                                \
    }
TILE_WAY(run_tile_bf16, "amx-bf16", _tile_dpbf16ps, 32);
TILE_WAY(run_tile_int8, "amx-int8", _tile_dpbusd, 64);
#elif defined(__aarch64__)
WAY(run_neon, "arch=armv8-a", float32x4_t, float32x4_t, vdupq_n_f32(0.999999f), vdupq_n_f32(1e-6f),
    vdupq_n_f32((float)i), vfmaq_f32(c, a[i], m), vgetq_lane_f32(a[i], 0), LANES, 4);
WAY(run_bfmmla, "arch=armv8.2-a+bf16", float32x4_t, bfloat16x8_t, vreinterpretq_bf16_u16(vdupq_n_u16(0x3f81)),
    vreinterpretq_bf16_u16(vdupq_n_u16(0x3580)), vdupq_n_f32((float)i), vbfmmlaq_f32(a[i], m, c),
    vgetq_lane_f32(a[i], 0), LANES, 16);
WAY(run_sdot, "arch=armv8.2-a+dotprod", int32x4_t, int8x16_t, vdupq_n_s8(1), vdupq_n_s8(1), vdupq_n_s32(i),
    vdotq_s32(a[i], m, c), vgetq_lane_s32(a[i], 0), LANES, 16);
WAY(run_smmla, "arch=armv8.2-a+i8mm", int32x4_t, int8x16_t, vdupq_n_s8(1), vdupq_n_s8(1), vdupq_n_s32(i),
    vmmlaq_s32(a[i], m, c), vgetq_lane_s32(a[i], 0), LANES, 32);
#endif

/* The best of the ways there are for each type; without a name where there is none. */
static void choose(unsigned caps, way best[TYPES]) {
    best[F32] = (way){"plain C", run_plain}, best[BF16] = best[INT8] = (way){"", NULL};
#if defined(__x86_64__)
    if (caps & SAMC__CAP_AVX2) best[F32] = (way){"vfmadd ymm", run_avx2};
    if (caps & SAMC__CAP_AVX512) best[F32] = (way){"vfmadd zmm", run_avx512};
    if (caps & SAMC__CAP_AVX512BF16) best[BF16] = (way){"vdpbf16ps zmm", run_bf16};
    if (caps & SAMC__CAP_AVXVNNI) best[INT8] = (way){"vpdpbusd ymm", run_avx_vnni};
    if (caps & SAMC__CAP_AVX512VNNI) best[INT8] = (way){"vpdpbusd zmm", run_avx512_vnni};
    if (caps & SAMC__CAP_AMX)
        best[BF16] = (way){"tdpbf16ps", run_tile_bf16}, best[INT8] = (way){"tdpbusd", run_tile_int8};
#elif defined(__aarch64__)
    const unsigned long has = getauxval(AT_HWCAP), has2 = getauxval(AT_HWCAP2);
    if (!(caps & SAMC__CAP_VEC16)) return;
    best[F32] = (way){"fmla", run_neon};
    if (has2 & HWCAP2_BF16) best[BF16] = (way){"bfmmla", run_bfmmla};
    if (has & HWCAP_ASIMDDP) best[INT8] = (way){"sdot", run_sdot};
    if (has2 & HWCAP2_I8MM) best[INT8] = (way){"smmla", run_smmla};
#endif
}

typedef struct work {
    double (*run)(volatile float *sink);
    double rate; /* operations a second of processor time: others that run beside it do not count */
} work;

static void *worker(void *opaque) {
    work *w = opaque;
    volatile float sink = 0.0f;
    struct timespec begin, end;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &begin);
    double operations = w->run(&sink);
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &end);
    w->rate = operations / ((double)(end.tv_sec - begin.tv_sec) + 1e-9 * (double)(end.tv_nsec - begin.tv_nsec));
    return NULL;
}

/* 1e9 operations a second of as many threads at the same time: the best of RUNS, and of all that fit into 0.15 s. */
static double measure(const way *way, int threads) {
    pthread_t thread[SAMC__MAX_THREADS];
    work works[SAMC__MAX_THREADS];
    double best = 0.0;
    int most = samc__processors();
    if (way->run == NULL || threads < 1) return 0.0;
    if (threads > most) threads = most; /* more would only wait for each other */
    if (threads > SAMC__MAX_THREADS) threads = SAMC__MAX_THREADS;
    double first = samc__seconds();
    for (int run = 0; run < RUNS || samc__seconds() < first + 0.15; run++) {
        double total = 0.0;
        int started = 0;
        while (started < threads) {
            works[started] = (work){.run = way->run};
            if (pthread_create(&thread[started], NULL, worker, &works[started]) != 0) break;
            started++;
        }
        for (int i = 0; i < started; i++) {
            pthread_join(thread[i], NULL);
            total += works[i].rate * 1e-9;
        }
        if (total > best) best = total;
    }
    return best;
}

double samc_measure_peak(int threads) {
    way best[TYPES];
    choose(samc__caps_detect(), best);
    return measure(&best[F32], threads);
}

samc_status samc_measure_peaks(int threads, samc_peaks *out) {
    samc_peaks peaks = SAMC_INIT(samc_peaks);
    way best[TYPES];
    unsigned caps;
    SAMC__TRY(samc__abi_check_size(SAMC__ABI(samc_peaks), out, NULL));
    SAMC__TRY(samc__options_caps(&caps, NULL));
    choose(caps, best);
    peaks.f32 = measure(&best[F32], threads), peaks.f32_by = best[F32].name;
    peaks.bf16 = measure(&best[BF16], threads), peaks.bf16_by = best[BF16].name;
    peaks.int8 = measure(&best[INT8], threads), peaks.int8_by = best[INT8].name;
    return samc__abi_give(SAMC__ABI(samc_peaks), &peaks, out, NULL);
}
