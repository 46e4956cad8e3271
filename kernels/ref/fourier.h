/* Random-Fourier position encoding of one point, shared by embed_grid and embed_prompts
 * (PositionEmbeddingRandom._pe_encoding). */
#ifndef SAMC_KERNELS_REF_FOURIER_H
#define SAMC_KERNELS_REF_FOURIER_H

#include <math.h>
#include <stdint.h>

/* (x, y) in [0, 1]; gaussian [2, c / 2]; out [c] = sines, then cosines. */
static inline void samc__fourier_ref(float x, float y, const float *gaussian, int64_t c, float *out) {
    float u = 2.0f * x - 1.0f, v = 2.0f * y - 1.0f;
    int64_t half = c / 2;
    for (int64_t i = 0; i < half; i++) {
        float angle = 6.28318530717958647692f * (u * gaussian[i] + v * gaussian[half + i]);
        out[i] = sinf(angle);
        out[half + i] = cosf(angle);
    }
}

#endif
