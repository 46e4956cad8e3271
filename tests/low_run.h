/* Numbers that go through every 16-bit rung (low_run.c). */
#ifndef SAMC_TESTS_LOW_RUN_H
#define SAMC_TESTS_LOW_RUN_H

#include <stdint.h>

enum { LOW_TEST_ROWS = 45, LOW_TEST_K = 96 };

typedef struct low_results {
    float dot[32][16], pair[16], loaded[16], loaded_first[16], gelu[4][16], gelu_low[4][16], gelu_tanh_low[4][16],
        exp2[4][16], others[4][16], sums[4], largest[4],
        block[LOW_TEST_ROWS + 19][32]; /* room for whole tiles, which may be written */
    uint16_t rounded[32], stored[16], first[16];
} low_results;

typedef void low_run(const uint16_t *a, const uint16_t *b, const float *f, low_results *out);
low_run low_run_bf16, low_run_amx, low_run_bf16_soft, low_run_amx_soft;

#endif
