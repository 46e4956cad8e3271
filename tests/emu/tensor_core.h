/* How tensor cores add, and what that costs: the model that the emulation computes by and that every gate on their
 * results comes from.
 *
 * What is published (Fasi, Higham, Mikaitis, Pranesh, PeerJ CS 7:e330, 2021; Li et al., "FTTN", 2024; Xie et al.,
 * "MMA-Sim", 2025; Khattak and Mikaitis, "Accurate models of NVIDIA tensor cores", 2025), 16-bit operands and fp32
 * sums: products are exact. A block of them and the sum so far are aligned to the largest exponent among them, that of
 * a product being the sum of its factors' exponents; of each, bits below the last place of fp32 at that exponent and
 * `guard` more are cut off; what is left is added exactly and cut off to fp32. Blocks follow each other along k. sm_80,
 * 86, 89: blocks of 8 products, 1 guard bit. sm_90 (mma and wgmma), 100, 120: blocks of 16, 2 guard bits. fp32 operands
 * never meet tensor cores here: kernels multiply them by FMA, cuBLASLt and cuDNN are asked for no TF32. */
#ifndef SAMC_TESTS_TENSOR_CORE_H
#define SAMC_TESTS_TENSOR_CORE_H

#include <math.h>
#include <stdint.h>
#include <string.h>

enum { TENSOR_BLOCK_MOST = 16 };
typedef struct tensor_core {
    const char *name;
    int block, guard; /* products added at once, bits kept below fp32's last place; block 1, guard 0: round to nearest,
                         in order */
} tensor_core;
static const tensor_core tensor_cores[] = {{"nearest", 1, 0}, {"sm80", 8, 1}, {"sm90", 16, 2}};
enum { TENSOR_NEAREST, TENSOR_SM80, TENSOR_SM90, TENSOR_CORES };

/* The index in tensor_cores[], or -1. */
static inline int tensor_core_named(const char *name) {
    for (int i = 0; i < TENSOR_CORES; i++)
        if (strcmp(name, tensor_cores[i].name) == 0) return i;
    return -1;
}

/* The exponent of a finite x != 0; of subnormals the least of its format, -14 for f16, -126 for bf16 and fp32. */
static inline int tensor_exponent(float x, int least) {
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    int exponent = (int)(bits >> 23 & 255) - 127;
    return exponent < least ? least : exponent;
}

static inline double tensor_power(int exponent) { /* 2^exponent of a normal double */
    uint64_t bits = (uint64_t)(exponent + 1023) << 52;
    double x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

/* sum + a[0] b[0] + ... + a[n - 1] b[n - 1] by one block of n products at most. What is not finite follows IEEE. */
static inline float tensor_core_add(const tensor_core *core, float sum, const float *a, const float *b, int n,
                                    int least) {
    double products[TENSOR_BLOCK_MOST];
    int top = sum != 0.0f ? tensor_exponent(sum, -126) : -1000;
    double check = (double)sum;
    for (int i = 0; i < n; i++) {
        products[i] = (double)a[i] * (double)b[i];
        check += products[i];
        if (products[i] == 0.0) continue;
        int exponent = tensor_exponent(a[i], least) + tensor_exponent(b[i], least);
        if (exponent > top) top = exponent;
    }
    if (!isfinite(check)) return (float)check;
    if (top == -1000) return 0.0f;
    const int place = top - 23 - core->guard;
    const double scale = tensor_power(-place);
    int64_t whole = (int64_t)((double)sum * scale);
    for (int i = 0; i < n; i++) whole += (int64_t)(products[i] * scale);
    double exact = (double)whole * tensor_power(place);
    float result = (float)exact;
    if (fabs((double)result) > fabs(exact) && !isinf(result)) result = nextafterf(result, 0.0f);
    return result;
}

/* A whole sum, product by product: what a plain kernel on that core makes of it. */
typedef struct tensor_sum {
    const tensor_core *core;
    float sum, a[TENSOR_BLOCK_MOST], b[TENSOR_BLOCK_MOST];
    int n;
} tensor_sum;
static inline tensor_sum tensor_sum_of(int core) {
    tensor_sum s;
    memset(&s, 0, sizeof s);
    s.core = &tensor_cores[core];
    return s;
}
static inline float tensor_sum_end(tensor_sum *s) { /* may be called between products too: the block ends there */
    if (s->n > 0) s->sum = tensor_core_add(s->core, s->sum, s->a, s->b, s->n, -126);
    s->n = 0;
    return s->sum;
}
static inline void tensor_sum_add(tensor_sum *s, float a, float b) {
    if (s->core->block == 1) {
        s->sum += a * b;
        return;
    }
    s->a[s->n] = a, s->b[s->n] = b;
    if (++s->n == s->core->block) tensor_sum_end(s);
}

/* The root-mean-square error that sums of k products of random signs may have on any of these cores, relative to the
 * root mean square of the sums: twice what is to be expected of sm_80, whose n = k / 8 steps are the most. In units of
 * u = 2^-23, the last place of a sum of 1 to 2:
 *   - A step cuts the new sum off towards zero. One guard bit is there to be lost, so that is a quarter of a place on
 * average (three eighths with two bits, but in half the steps), and the place of a sum is 0.72 u |sum| in the mean over
 * mantissas. After s of n steps a sum of random signs is sqrt(s / n) of its end; all steps together are n / sqrt(3) of
 * it. In all 0.72 / (4 sqrt(3)) n u = 0.104 n u, a drift towards zero that grows with k where rounding to nearest grows
 * with its root. The worst case, without cancellation, is u n sum |a b|.
 *   - A step cuts off each of its 8 products by up to half a place, in either direction: 0.5 sqrt(8 / 3) places of sums
 * that are 1 / sqrt(2) of the end in the root mean square: 0.8 * 0.72 * 0.71 = 0.41 sqrt(n) u, which is what short sums
 * see. (bf16 products have 16 bits and are seldom cut off.) Twice: running sums of a real network drift further from
 * zero than random ones, and orders of summation differ. */
static inline double tensor_core_loss(double k) {
    double n = ceil(k / 8);
    return 2 * 0x1p-23 * (0.104 * n + 0.41 * sqrt(n));
}

/* The same for fp32 sums rounded to nearest, by FMA or on the CPU: k additions, each off by 1 / sqrt(12) of a place, of
 * running sums that are 1 / sqrt(2) of the end: 0.72 * 0.29 * 0.71 = 0.147 sqrt(k) u. Any other order is better. */
static inline double fp32_loss(double k) { return 2 * 0x1p-23 * 0.147 * sqrt(k); }

/* What tensor cores may add to the mean squared error of an encoder's result over its variance: four products in each
 * of `depth` blocks, none of more than k terms, as if every drift went the same way. (Each LayerNorm takes out what is
 * common to its row; nothing here counts on it.) */
static inline double tensor_core_nmse(int depth, double k) {
    double loss = 4 * depth * tensor_core_loss(k);
    return loss * loss;
}

#endif
