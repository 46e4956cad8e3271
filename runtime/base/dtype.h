/* Element types of tensors, and the exact conversions between the 16-bit ones and float. Shared by weights and kernels.
 */
#ifndef SAMC_RUNTIME_BASE_DTYPE_H
#define SAMC_RUNTIME_BASE_DTYPE_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

typedef enum samc__dtype {
    SAMC__F32,
    SAMC__F16,
    SAMC__BF16,
    SAMC__F64, /* in files only */
    SAMC__I8,  /* weights alone: times their row's scale */
    SAMC__OTHER
} samc__dtype;

static inline size_t samc__dtype_size(samc__dtype dtype) {
    static const size_t sizes[] = {4, 2, 2, 8, 1, 0};
    return sizes[dtype];
}

static inline float samc__bits_to_float(uint32_t bits) {
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static inline uint32_t samc__float_to_bits(float value) {
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

static inline float samc__bf16_to_float(uint16_t half) { return samc__bits_to_float((uint32_t)half << 16); }

/* Rounds to nearest even; a NaN stays a NaN. */
static inline uint16_t samc__float_to_bf16(float value) {
    uint32_t bits = samc__float_to_bits(value);
    if ((bits & 0x7fffffffu) > 0x7f800000u) return (uint16_t)((bits >> 16) | 0x40u);
    return (uint16_t)((bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16);
}

static inline float samc__f16_to_float(uint16_t half) {
    uint32_t sign = (uint32_t)(half & 0x8000u) << 16, magnitude = half & 0x7fffu;
    if (magnitude >= 0x7c00u) return samc__bits_to_float(sign | 0x7f800000u | (magnitude & 0x3ffu) << 13);
    if (magnitude >= 0x0400u) return samc__bits_to_float(sign | ((magnitude << 13) + 0x38000000u));
    /* Subnormal halves are multiples of 2^-24, exact in a float. */
    float value = (float)magnitude * 0x1p-24f;
    return sign ? -value : value;
}

/* Rounds to nearest even; overflows to infinity. */
static inline uint16_t samc__float_to_f16(float value) {
    uint32_t bits = samc__float_to_bits(value), sign = (bits >> 16) & 0x8000u, magnitude = bits & 0x7fffffffu;
    if (magnitude > 0x7f800000u) return (uint16_t)(sign | 0x7e00u);
    if (magnitude >= 0x477ff000u) return (uint16_t)(sign | 0x7c00u);
    if (magnitude >= 0x38800000u)
        return (uint16_t)(sign | ((magnitude - 0x38000000u + 0xfffu + ((magnitude >> 13) & 1u)) >> 13));
    /* Adding 0.5 leaves the value rounded to a multiple of 2^-24 in the low mantissa bits. */
    float scaled = samc__bits_to_float(magnitude) + 0.5f;
    return (uint16_t)(sign | (samc__float_to_bits(scaled) - 0x3f000000u));
}

/* Element i of an array of the given type, and storing one. */
static inline float samc__load_element(samc__dtype dtype, const void *array, int64_t i) {
    if (dtype == SAMC__F32) return ((const float *)array)[i];
    uint16_t half = ((const uint16_t *)array)[i];
    return dtype == SAMC__F16 ? samc__f16_to_float(half) : samc__bf16_to_float(half);
}
static inline void samc__store_element(samc__dtype dtype, void *array, int64_t i, float value) {
    if (dtype == SAMC__F32) ((float *)array)[i] = value;
    else ((uint16_t *)array)[i] = dtype == SAMC__F16 ? samc__float_to_f16(value) : samc__float_to_bf16(value);
}

#endif
