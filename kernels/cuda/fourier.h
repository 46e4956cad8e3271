// fourier.h - random-Fourier position encoding of one point for one frequency, shared by embed_grid and embed_prompts.
//
// The angle is 2 pi times u g + v h, where whole turns do not matter: they are taken off exactly before there is any
// pi, so that the error does not grow with the angle. The polynomials were fitted to sin(pi x) / x and cos(pi x) for
// |x| <= 1/4, as functions of x^2; their errors are 1e-4 and 1e-3 of the last place.
#ifndef SAMC_KERNELS_CUDA_FOURIER_H
#define SAMC_KERNELS_CUDA_FOURIER_H

#include "kernels/cuda/device.h"

namespace samc {

// sin and cos of 2 pi x, |x| < 2^21.
SAMC_DEVICE f32x2 sincos_turns(float x) {
    const float turn = x - rintf(x), quarters = rintf(4.0f * turn),
                half = 2.0f * fmaf(quarters, -0.25f, turn); // all exact
    const float z = half * half;
    const float sine =
        half *
        fmaf(z, fmaf(z, fmaf(z, fmaf(z, 0.08100162509f, -0.5992020806f), 2.550162647f), -5.167712769f), 3.141592654f);
    const float cosine =
        fmaf(z, fmaf(z, fmaf(z, fmaf(z, 0.2313287851f, -1.335044448f), 4.058707258f), -4.934802163f), 1.0f);
    const int quadrant = static_cast<int>(quarters) & 3;
    const float a = quadrant % 2 ? cosine : sine, b = quadrant % 2 ? sine : cosine;
    return {quadrant >= 2 ? -a : a, quadrant == 1 || quadrant == 2 ? -b : b};
}

// The pair of channels i and C / 2 + i for the position (x, y) in [0, 1]; gaussian [2, half].
SAMC_DEVICE f32x2 fourier(float x, float y, const float *gaussian, int half, int i) {
    return sincos_turns(fmaf(2.0f * x - 1.0f, gaussian[i], (2.0f * y - 1.0f) * gaussian[half + i]));
}

} // namespace samc

#endif
