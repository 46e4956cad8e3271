// emu_test.h - what the kernel checks share: cases, random inputs, comparison with the reference operators.
#ifndef SAMC_TESTS_EMU_EMU_TEST_H
#define SAMC_TESTS_EMU_EMU_TEST_H

#include "emu.h"

extern "C" {
#include "kernels/ops.h"
}
#include "kernels/cuda/cuda_ops.h"

#include <memory>

namespace emu_test {

// One run: a case under one schedule. `full` cases are SAM's own shapes.
struct Case {
    const char *kernel;
    bool full;
    const char *fields; // names of p[], for the report
    int p[8];
};

// Random numbers of the case; the same for every schedule.
struct Random {
    uint64_t state;
    uint32_t bits();
    float uniform(); // [0, 1)
    float normal();  // deviation 1, near enough
};

// A tensor in the emulated device's memory, in its dtype, and the very same values in fp32 for the reference.
struct Tensor {
    samc__dtype dtype;
    size_t count;
    std::unique_ptr<emu::Buffer> device;
    std::vector<float> host;
    Tensor(samc__dtype type, size_t n);                                      // an output: NaN everywhere
    Tensor(samc__dtype type, size_t n, Random &random, float mean, float deviation); // an input
    float at(size_t i) const;                                                // of the device's memory
    samc__view view(samc__view shape) const;                                 // the shape with the device's pointer and dtype
};

// Largest and root-mean-square difference from exact values; `missing` elements are NaN.
struct Error {
    double largest, rms;
    size_t missing;
};
Error compare(const Tensor &y, const std::vector<double> &exact);
Error compare(const std::vector<float> &y, const std::vector<double> &exact);

float rounded(samc__dtype dtype, double value); // to the dtype and back

extern const samc__exec reference; // runs the reference operators on one thread
samc__cuda device();               // default stream, no scratch

[[noreturn]] void failed(const char *format, ...) __attribute__((format(printf, 1, 2)));
void report(const char *format, ...) __attribute__((format(printf, 1, 2))); // one line, only on the first schedule of a case

// The checks; each ends the process through failed() or emu::fail() when something is wrong.
void layernorm(const Case &c, uint64_t seed);
void attention(const Case &c, uint64_t seed);

} // namespace emu_test

#endif
