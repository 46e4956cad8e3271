/* Peak f32 throughput: enough independent accumulators to hide the latency of a fused multiply-add, nothing else. */
#include "kernels/ops.h"
#include "runtime/threads.h"

#include <pthread.h>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

enum { ROUNDS = 2000000, LANES = 12 };

/* Each returns the operations done; `sink` keeps the compiler from dropping them. */
#if defined(__x86_64__)
__attribute__((target("avx512f"))) static double run_avx512(volatile float *sink) {
    __m512 a[LANES], m = _mm512_set1_ps(0.999999f), c = _mm512_set1_ps(1e-6f);
    for (int i = 0; i < LANES; i++) a[i] = _mm512_set1_ps((float)i);
    for (int round = 0; round < ROUNDS; round++)
#pragma GCC unroll 12
        for (int i = 0; i < LANES; i++) a[i] = _mm512_fmadd_ps(a[i], m, c);
    for (int i = 0; i < LANES; i++) *sink += _mm512_reduce_add_ps(a[i]);
    return 2.0 * 16 * LANES * ROUNDS;
}

__attribute__((target("avx2,fma"))) static double run_avx2(volatile float *sink) {
    __m256 a[LANES], m = _mm256_set1_ps(0.999999f), c = _mm256_set1_ps(1e-6f);
    for (int i = 0; i < LANES; i++) a[i] = _mm256_set1_ps((float)i);
    for (int round = 0; round < ROUNDS; round++)
#pragma GCC unroll 12
        for (int i = 0; i < LANES; i++) a[i] = _mm256_fmadd_ps(a[i], m, c);
    for (int i = 0; i < LANES; i++) *sink += _mm256_cvtss_f32(a[i]);
    return 2.0 * 8 * LANES * ROUNDS;
}
#endif

static double run_plain(volatile float *sink) {
    float a[LANES * 4];
    for (int i = 0; i < LANES * 4; i++) a[i] = (float)i;
    for (int round = 0; round < ROUNDS; round++)
        for (int i = 0; i < LANES * 4; i++) a[i] = a[i] * 0.999999f + 1e-6f;
    for (int i = 0; i < LANES * 4; i++) *sink += a[i];
    return 2.0 * LANES * 4 * ROUNDS;
}

static void *worker(void *flops) {
    volatile float sink = 0.0f;
#if defined(__x86_64__)
    __builtin_cpu_init();
    if (__builtin_cpu_supports("avx512f")) *(double *)flops = run_avx512(&sink);
    else if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) *(double *)flops = run_avx2(&sink);
    else
#endif
        *(double *)flops = run_plain(&sink);
    return NULL;
}

double samc_measure_peak(int threads) {
    pthread_t thread[SAMC__MAX_THREADS];
    double flops[SAMC__MAX_THREADS], best = 0.0;
    int most = samc__processors();
    if (threads > most) threads = most; /* more would only wait for each other */
    if (threads > SAMC__MAX_THREADS) threads = SAMC__MAX_THREADS;
    for (int run = 0; run < 5; run++) {
        double start = samc__seconds(), total = 0.0;
        int started = 0;
        while (started < threads && pthread_create(&thread[started], NULL, worker, &flops[started]) == 0) started++;
        for (int i = 0; i < started; i++) {
            pthread_join(thread[i], NULL);
            total += flops[i];
        }
        double gflops = total / (samc__seconds() - start) * 1e-9;
        if (gflops > best) best = gflops;
    }
    return best;
}
