// tensor_core.cc - sums of products as tensor cores make them: tests/emu/tensor_core.h in vectors of 8 columns. What
// does not fit 32-bit integers and fp32 powers of two (values that are not finite, sums beyond 2^90 or below 2^-90)
// takes the definition itself.
#include "emu.h"
#include "twins/emu_control.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>

namespace emu {

namespace {

typedef float Floats __attribute__((vector_size(32)));
typedef int32_t Words __attribute__((vector_size(32)));
typedef double Doubles __attribute__((vector_size(64)));
typedef int64_t Longs __attribute__((vector_size(64)));

// Compiled for what the processor has; contraction is off, so all give the same bits.
#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__)
#define BY_PROCESSOR __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else
#define BY_PROCESSOR
#endif

constexpr int kDepth = 16; // of a tile
constexpr uint32_t kExponent = 0x7f800000;

// 2^exponent of x, of zero zero, of what is not finite infinity.
float power_of(float x, float least) {
    float power = bits<float>(bits<uint32_t>(x) & kExponent);
    return x == 0.0f ? 0.0f : power < least ? least : power;
}

// For one row: c[8] += a[k] b[k][8] over `block` products; power_* are those of a and b. False: some column needs the
// definition, c is as before.
template <int block, int guard>
inline __attribute__((always_inline)) bool add_block(float *c, const float *a, const float *power_a, const float *b,
                                                     const float *power_b, int apart) {
    Floats sum, top, row, power;
    std::memcpy(&sum, c, sizeof sum);
    Words word;
    std::memcpy(&word, &sum, sizeof word);
    word &= int32_t(kExponent);
    std::memcpy(&top, &word, sizeof top);
    const Words sum_word = word;
    for (int k = 0; k < block; k++) {
        std::memcpy(&power, power_b + k * apart, sizeof power);
        power *= power_a[k];
        top = power > top ? power : top;
    }
    // A sum whose exponent field is 0 is zero, or below all that is done here.
    const Words no_sum = sum == 0.0f, zero = (top == 0.0f) & no_sum,
                fits = (top >= 0x1p-90f) & (top <= 0x1p90f) & ((sum_word != 0) | no_sum);
    int good = 0;
    for (int i = 0; i < 8; i++) good += (zero[i] | fits[i]) != 0;
    if (good != 8) return false;
    const Floats least = Floats{} + 0x1p-90f;
    top = top >= least ? top : least; // where all is zero any place will do
    std::memcpy(&word, &top, sizeof word);
    const Words scale_word = ((254 + 23 + guard) << 23) - word; // 2^(23 + guard) / top
    Floats scale;
    std::memcpy(&scale, &scale_word, sizeof scale);
    Words whole = __builtin_convertvector(sum * scale, Words), more = whole - whole; // conversion cuts off
    for (int k = 0; k < block; k++) {
        std::memcpy(&row, b + k * apart, sizeof row);
        Words part = __builtin_convertvector(row * a[k] * scale, Words);
        if (k < 8) whole += part; // 9 of them stay below 2^31
        else more += part;
    }
    Doubles exact = __builtin_convertvector(whole, Doubles) + __builtin_convertvector(more, Doubles);
    Longs cut;
    std::memcpy(&cut, &exact, sizeof cut);
    cut &= ~((int64_t(1) << 29) - 1); // to the 24 bits of fp32
    std::memcpy(&exact, &cut, sizeof exact);
    sum = __builtin_convertvector(exact, Floats) / scale;
    std::memcpy(c, &sum, sizeof sum);
    return true;
}

template <int block, int guard>
inline __attribute__((always_inline)) void tile(const tensor_core *core, float *c, const float *a, const float *power_a,
                                                const float *b, const float *power_b, int m, int n, bool exact,
                                                int least) {
    for (int row = 0; row < m; row++)
        for (int column = 0; column < n; column += 8)
            for (int k = 0; k < kDepth; k += block) {
                float *to = c + row * n + column;
                const float *x = a + row * kDepth + k, *y = b + k * n + column;
                if (!exact &&
                    add_block<block, guard>(to, x, power_a + row * kDepth + k, y, power_b + k * n + column, n))
                    continue;
                for (int i = 0; i < 8; i++) {
                    float of_column[block];
                    for (int j = 0; j < block; j++) of_column[j] = y[j * n + i];
                    to[i] = tensor_core_add(core, to[i], x, of_column, block, least);
                }
            }
}

constexpr int kMostRows = 16, kMostColumns = 256;

BY_PROCESSOR void nearest(float *c, const float *a, const float *b, int m, int n) {
    for (int row = 0; row < m; row++)
        for (int column = 0; column < n; column += 8) {
            Floats sum, other;
            std::memcpy(&sum, c + row * n + column, sizeof sum);
            for (int k = 0; k < kDepth; k++) {
                std::memcpy(&other, b + k * n + column, sizeof other);
                sum += other * a[row * kDepth + k];
            }
            std::memcpy(c + row * n + column, &sum, sizeof sum);
        }
}
BY_PROCESSOR void blocks_of_8(float *c, const float *a, const float *power_a, const float *b, const float *power_b,
                              int m, int n, bool exact, int least) {
    tile<8, 1>(&tensor_cores[TENSOR_SM80], c, a, power_a, b, power_b, m, n, exact, least);
}
BY_PROCESSOR void blocks_of_16(float *c, const float *a, const float *power_a, const float *b, const float *power_b,
                               int m, int n, bool exact, int least) {
    tile<16, 2>(&tensor_cores[TENSOR_SM90], c, a, power_a, b, power_b, m, n, exact, least);
}

} // namespace

void tensor_tile(float *c, const float *a, const float *b, int m, int n, bool bf16) {
    if (m > kMostRows || n > kMostColumns || n % 8) fail("a tile of %d x %d", m, n);
    if (config.core == TENSOR_NEAREST) return nearest(c, a, b, m, n);
    static float power_a[kMostRows * kDepth], power_b[kDepth * kMostColumns];
    const float least = bf16 ? 0x1p-126f : 0x1p-14f;
    bool exact = false; // an infinite or NaN operand, whose zero factors would hide it
    for (int i = 0; i < m * kDepth; i++) exact |= (power_a[i] = power_of(a[i], least)) > 0x1p127f;
    for (int i = 0; i < kDepth * n; i++) exact |= (power_b[i] = power_of(b[i], least)) > 0x1p127f;
    (config.core == TENSOR_SM80 ? blocks_of_8 : blocks_of_16)(c, a, power_a, b, power_b, m, n, exact,
                                                              bf16 ? -126 : -14);
}

void tensor_matrix(float *y, const float *x, const float *w, size_t m, size_t n, size_t k, bool bf16) {
    std::vector<float> of_x(kMostRows * kDepth), of_w(kDepth * kMostColumns), of_y(kMostRows * kMostColumns);
    for (size_t row0 = 0; row0 < m; row0 += kMostRows)
        for (size_t column0 = 0; column0 < n; column0 += kMostColumns) {
            const size_t rows = std::min<size_t>(kMostRows, m - row0),
                         columns = std::min<size_t>(kMostColumns, n - column0), wide = (columns + 7) / 8 * 8;
            std::fill(of_y.begin(), of_y.end(), 0.0f);
            for (size_t k0 = 0; k0 < k; k0 += kDepth) {
                for (size_t kk = 0; kk < kDepth; kk++) {
                    for (size_t row = 0; row < rows; row++)
                        of_x[row * kDepth + kk] = k0 + kk < k ? x[(row0 + row) * k + k0 + kk] : 0.0f;
                    for (size_t i = 0; i < wide; i++)
                        of_w[kk * wide + i] = k0 + kk < k && i < columns ? w[(column0 + i) * k + k0 + kk] : 0.0f;
                }
                tensor_tile(of_y.data(), of_x.data(), of_w.data(), int(rows), int(wide), bf16);
            }
            for (size_t row = 0; row < rows; row++)
                for (size_t i = 0; i < columns; i++) y[(row0 + row) * n + column0 + i] = of_y[row * wide + i];
        }
}

int chosen_core() {
    const char *name = std::getenv("SAMC_EMU_ACCUMULATE");
    int core = name == nullptr ? int(TENSOR_NEAREST) : tensor_core_named(name);
    if (core >= 0) return core;
    std::fprintf(stderr, "emu: SAMC_EMU_ACCUMULATE is nearest, sm80 or sm90, not '%s'\n", name);
    std::exit(2);
}

} // namespace emu

void samc_emu_accumulate(const char *name) {
    int core = std::getenv("SAMC_EMU_ACCUMULATE") == nullptr ? tensor_core_named(name) : emu::chosen_core();
    if (core < 0) emu::fail("tensor cores do not add as '%s'", name);
    emu::config.core = core;
}
