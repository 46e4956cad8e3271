/* oneDNN's header for machines without it. Its product serves processors without AVX2 only; samc's own kernels the
 * others. */
#ifndef SAMC_TESTS_GPU_BARE_DNNL_H
#define SAMC_TESTS_GPU_BARE_DNNL_H

#include <stdint.h>

typedef enum { dnnl_success, dnnl_invalid_arguments = 2 } dnnl_status_t;

/* c[m, n] = a[m, k] b[n, k]^T + beta c, which is all that is asked for. */
static inline dnnl_status_t dnnl_sgemm(char of_a, char of_b, int64_t m, int64_t n, int64_t k, float alpha,
                                       const float *a, int64_t a_stride, const float *b, int64_t b_stride, float beta,
                                       float *c, int64_t c_stride) {
    if (of_a != 'N' || of_b != 'T' || alpha != 1.0f) return dnnl_invalid_arguments;
    for (int64_t i = 0; i < m; i++)
        for (int64_t j = 0; j < n; j++) {
            float sum = 0.0f;
            for (int64_t l = 0; l < k; l++) sum += a[i * a_stride + l] * b[j * b_stride + l];
            c[i * c_stride + j] = beta == 0.0f ? sum : sum + beta * c[i * c_stride + j];
        }
    return dnnl_success;
}

#endif
