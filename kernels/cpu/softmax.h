/* The step of a softmax on the fly that attentions share: a row of scores, in units of log2, becomes weights against
 * the largest score so far; what was summed up before shrinks where that grew. */
#ifndef SAMC_KERNELS_CPU_SOFTMAX_H
#define SAMC_KERNELS_CPU_SOFTMAX_H

#include "kernels/cpu/vec.h"

/* row [kp] whole vectors; out [hdp] the weighted sum of the values so far, *sum that of the weights. */
SAMC__INLINE void softmax_step(float *row, int kp, float *out, int hdp, float *largest, float *sum) {
    vf most = vf_load(row);
    for (int key = VW; key < kp; key += VW) most = vf_max(most, vf_load(row + key));
    float before = *largest, now = vf_largest(most);
    if (now > before) {
        vf shrink = vf_exp2(vf_set(before - now));
        for (int c = 0; c < hdp; c += VW) vf_store(out + c, vf_mul(vf_load(out + c), shrink));
        vf scaled = vf_mul(vf_set(*sum), shrink);
        vf_store_first(sum, 1, scaled);
        *largest = now;
    }
    vf shift = vf_set(*largest), total = vf_set(0.0f);
    for (int key = 0; key < kp; key += VW) {
        vf p = vf_exp2(vf_sub(vf_load(row + key), shift));
        vf_store(row + key, p);
        total = vf_add(total, p);
    }
    *sum += vf_sum(total);
}

#endif
