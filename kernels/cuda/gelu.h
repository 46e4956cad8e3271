// gelu.h - GELU with the error function, torch.nn.GELU's default, in fp32: from the library, and without branches.
#ifndef SAMC_KERNELS_CUDA_GELU_H
#define SAMC_KERNELS_CUDA_GELU_H

#include "kernels/cuda/device.h"

namespace samc {

SAMC_DEVICE float gelu_erf(float x) { return 0.5f * x * (1.0f + erff(x * 0.70710678118654752440f)); }

// x Phi(x) = max(x, 0) - |x| Phi(-|x|), where log2 Phi(-u) is a polynomial on [0, 6] fitted with the weight u Phi(-u):
// 5e-8 from the exact product, 3e-7 with the rounding of fp32 (exact arithmetic rounded to fp32 and erff: 2e-7), at a
// dozen instructions. Nothing cancels for negative x; beyond 6 the second term is held below 6e-9. NaN for NaN and both
// infinities, which fminf and fmaxf alone would lose: by the term 0 x.
SAMC_DEVICE float gelu(float x) {
    float u = fminf(fabsf(x), 6.0f);
    float q = fmaf(0x1.159a02p-15f, u, -0x1.934acap-11f);
    q = fmaf(q, u, 0x1.08c9f0p-7f);
    q = fmaf(q, u, -0x1.b58d4ap-5f);
    q = fmaf(q, u, -0x1.d5c810p-2f);
    q = fmaf(q, u, -0x1.26b528p+0f);
    q = fmaf(q, u, -0x1.ffff18p-1f);
    return fmaf(-u, exp2_fast(q), fmaf(x, 0.0f, fmaxf(x, 0.0f)));
}

// GELU by tanh, torch's approximation: x / (1 + exp(-2 sqrt(2/pi) (x + 0.044715 x^3))).
SAMC_DEVICE float gelu_tanh(float x) {
    const float cubic = x * fmaf(x * x, -0x1.a5a7d0p-4f, -0x1.26aec2p+1f); // in units of log2
    return fmaf(x, 0.0f, x / (1.0f + exp2_fast(fminf(cubic, 126.0f))));
}

// x sigmoid(1.702 x), CLIP's.
SAMC_DEVICE float gelu_quick(float x) {
    return fmaf(x, 0.0f, x / (1.0f + exp2_fast(fminf(x * -0x1.3a4cbep+1f, 126.0f))));
}

SAMC_DEVICE float elu(float x) { return x > 0.0f ? x : expm1f(x); }

SAMC_DEVICE float hardswish(float x) { return x * (fminf(fmaxf(x + 3.0f, 0.0f), 6.0f) / 6.0f); }

} // namespace samc

#endif
