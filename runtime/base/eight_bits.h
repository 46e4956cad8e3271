/* Numbers in 8 bits: a weight's row is s8 times a scale; a row of activations is u8, a scale times the distance from
 * its zero point. Shared by whoever makes such weights, and by every product of them. */
#ifndef SAMC_RUNTIME_BASE_EIGHT_BITS_H
#define SAMC_RUNTIME_BASE_EIGHT_BITS_H

#include <math.h>
#include <stdint.h>

/* A product's sums are exact in 32 bits: 255 * 128 * 65536 < 2^31. */
enum { SAMC__INT8_MOST_K = 1 << 16 };

/* A value in steps of `scale`, at most 127. */
static inline int8_t samc__int8_steps(float value, float scale) {
    const float steps = nearbyintf(value / scale);
    return (int8_t)(steps > 127.0f ? 127.0f : steps < -127.0f ? -127.0f : steps);
}

/* values [n] -> q [n] and the scale that it returns: values[i] is q[i] * scale, to half a scale. NaN where a value is
 * not finite, with q unspecified. Of zeros, or of values too small for a scale that is no denormal, q is 0. */
static inline float samc__int8_row(const float *values, int64_t n, int8_t *q) {
    float largest = 0.0f, wrong = 0.0f;
    for (int64_t i = 0; i < n; i++) {
        const float size = fabsf(values[i]);
        largest = size > largest ? size : largest;
        wrong += values[i] * 0.0f; /* NaN, and infinities, which become it */
    }
    if (!(wrong == 0.0f)) return NAN;
    const float scale = largest / 127.0f;
    for (int64_t i = 0; i < n; i++) q[i] = scale >= 0x1p-126f ? samc__int8_steps(values[i], scale) : 0;
    return scale >= 0x1p-126f ? scale : 1.0f;
}

/* How a row of activations between two values is held: x is scale * (q - zero), q = round(x * inverse) + zero. Zero is
 * exact, so that what is padded stays nothing. */
typedef struct samc__int8_range {
    float scale, inverse;
    int32_t zero; /* 0 to 255 */
} samc__int8_range;

/* Of finite values, least <= 0 <= most. A row whose values are all but zero is held as zeros. */
static inline samc__int8_range samc__int8_range_of(float least, float most) {
    const float scale = most / 255.0f - least / 255.0f;
    if (!(scale > 0x1p-100f)) return (samc__int8_range){0.0f, 0.0f, 0};
    const float inverse = 1.0f / scale, zero = nearbyintf(-least * inverse);
    return (samc__int8_range){scale, inverse, zero > 255.0f ? 255 : (int32_t)zero};
}

/* One value of the row. NaN becomes 0: its row's scale is NaN. */
static inline uint8_t samc__int8_of(samc__int8_range range, float x) {
    const float q = nearbyintf(x * range.inverse) + (float)range.zero;
    return (uint8_t)(q > 0.0f ? q < 255.0f ? q : 255.0f : 0.0f);
}

#endif
