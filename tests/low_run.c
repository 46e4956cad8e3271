/* What low_test.c compares between the rungs: every primitive of kernels/cpu/low.h on the numbers it is given. Compiled
 * once for each 16-bit rung. */
#include "tests/low_run.h"

#include "kernels/cpu/low.h"

/* a [ROWS + 16][K] and b [K / 2][32][2] of bf16, f [64] of floats -> out. */
void SAMC__RUNG(low_run)(const uint16_t *a, const uint16_t *b, const float *f, low_results *out) {
    vf sum = vf_load(f);
    for (int i = 0; i + 32 <= 1024; i += 32) {
        sum = vb_dot(sum, vb_load(a + i), vb_load(b + i));
        vf_store(out->dot[i / 32], sum);
        if (i % 128 == 96) sum = vf_load(f + i / 128 % 4 * 16);
    }
    vf_store(out->pair, vb_dot(vf_load(f), vb_pair(a + 2), vb_load(b)));
    vb_store(out->rounded, vb_round(vf_load(f), vf_load(f + 16)));
    vf_store_bf16(out->stored, vf_load(f + 32));
    vf_store_bf16_first(out->first, 5, vf_load(f + 48));
    vf_store(out->loaded, vf_load_bf16(a));
    vf_store(out->loaded_first, vf_load_bf16_first(a, 7));
    for (int i = 0; i < 4; i++) {
        const vf x = vf_load(f + 16 * i);
        vf_store(out->gelu[i], vf_gelu(x));
        vf_store(out->gelu_low[i], vf_gelu_low(x));
        vf_store(out->gelu_tanh_low[i], vf_gelu_tanh_low(x));
        vf_store(out->exp2[i], vf_exp2(x));
        vf_store(out->others[i], vf_fma(vf_max(x, vf_round(x)), vf_min(x, vf_load(f)), vf_sqrt(vf_abs(x))));
        out->sums[i] = vf_sum(x), out->largest[i] = vf_largest(x);
    }
    low_begin();
    low_block(LOW_TEST_ROWS, a, LOW_TEST_K, b, LOW_TEST_K, out->block[0], 32, false);
    low_block(16, a, LOW_TEST_K, b, LOW_TEST_K, out->block[0], 32, true);
    low_end();
}
