// cubic_tap.h - what kernels/cubic_tap.h says, in the same arithmetic: no compiler contracts it.
#ifndef SAMC_KERNELS_CUDA_CUBIC_TAP_H
#define SAMC_KERNELS_CUDA_CUBIC_TAP_H

#include "kernels/cuda/device.h"

namespace samc {

struct CubicTap { // out = sum of weight[k] * in[at[k]]
    int at[4];
    float weight[4];
};

SAMC_DEVICE float cubic_near(float x) {
    return add_exact(mul_exact(mul_exact(sub_exact(mul_exact(1.25f, x), 2.25f), x), x), 1.0f);
}
SAMC_DEVICE float cubic_far(float x) {
    return add_exact(mul_exact(sub_exact(mul_exact(add_exact(mul_exact(-0.75f, x), 3.75f), x), 6.0f), x), 3.0f);
}
SAMC_DEVICE float cubic_source(int out, float ratio) {
    return sub_exact(mul_exact(ratio, add_exact(static_cast<float>(out), 0.5f)), 0.5f);
}
SAMC_DEVICE CubicTap cubic_tap(int out, float ratio, int in_size) {
    float source = cubic_source(out, ratio), from = floorf(source), t = sub_exact(source, from);
    float rest = sub_exact(1.0f, t);
    CubicTap tap = {{},
                    {cubic_far(add_exact(t, 1.0f)), cubic_near(t), cubic_near(rest), cubic_far(add_exact(rest, 1.0f))}};
    SAMC_UNROLL
    for (int k = 0; k < 4; k++) tap.at[k] = max_of(0, min_of(static_cast<int>(from) - 1 + k, in_size - 1));
    return tap;
}

} // namespace samc

#endif
