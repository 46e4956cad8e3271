// emu_test.h - what the kernel checks share: cases, random inputs, comparison with the reference operators.
#ifndef SAMC_TESTS_EMU_EMU_TEST_H
#define SAMC_TESTS_EMU_EMU_TEST_H

#include "emu.h"

extern "C" {
#include "kernels/ops.h"
}
#include "kernels/cuda/cuda_ops.h"

#include <memory>
#include <vector>

namespace emu_test {

// A case of a check. Tier 0 (false): quick; 1 (true): SAM's own shapes; 2: whole layers and batches, for hardware
// alone, where they are timed (tools/gpu_check.sh).
struct Case {
    int tier;
    int p[16];
};

// The check of one kernel file, added to the list by its constructor: of its operator's cases, in emu_cases.cc.
// `run` does one case under the current schedule and ends the process through failed() or emu::fail() when something is
// wrong.
struct Check {
    const char *kernel; // x of kernels/x/cuda.cu
    const char *fields; // names of p[], for the report
    std::vector<Case> cases;
    std::function<void(const Case &c, uint64_t seed)> run;
    Check(const char *kernel, const char *fields, std::vector<Case> cases,
          std::function<void(const Case &c, uint64_t seed)> run);
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
    Tensor(samc__dtype type, size_t n);                                              // an output: NaN everywhere
    Tensor(samc__dtype type, size_t n, Random &random, float mean, float deviation); // an input
    float at(size_t i) const;                                                        // of the device's memory
    void set(size_t i, float value) const;                                           // rounded to the dtype
    samc__view view(samc__view shape) const; // the shape with the device's pointer and dtype
};

// Largest and root-mean-square difference from exact values; `missing` elements are NaN.
struct Error {
    double largest, rms;
    size_t missing;
};
Error compare(const Tensor &y, const std::vector<double> &exact);
Error compare(const std::vector<float> &y, const std::vector<double> &exact);

float rounded(samc__dtype dtype, double value); // to the dtype and back

// What a case must give, computed on its first schedule and kept: exactly, and as a naive kernel would.
struct Expected {
    std::vector<double> exact;
    std::vector<float> naive;
};
template <class Compute> const Expected &expected(const Case &c, const Compute &compute) {
    static const Case *of;
    static Expected kept;
    if (of != &c) {
        kept = compute();
        of = &c;
    }
    return kept;
}

// The gate of every check of numbers: largest and root-mean-square error are at most twice those of the naive kernel,
// and `last_place`, where its result happens to be exact. The naive kernel rounds its inputs, what it stores in between
// and its results to the dtypes of the kernel, and adds in order: in fp32 where the kernel multiplies by FMA, and by
// blocks of 8 as sm_80 does, the coarsest of tensor cores, where it takes these (naive_sum). Twice, because a sum may
// run in any order. It is the same gate whatever core the emulation or the GPU has.
void hold(const std::vector<float> &got, const Expected &is, double last_place);
inline tensor_sum naive_sum(bool on_tensor_cores) {
    return tensor_sum_of(on_tensor_cores ? TENSOR_SM80 : TENSOR_NEAREST);
}
inline double last_place(samc__dtype type) {
    return type == SAMC__F32 ? 0x1p-22 : type == SAMC__F16 ? 0x1p-10 : 0x1p-7;
}

extern const samc__exec reference; // runs the reference operators on one thread
samc__cuda device();               // default stream, no scratch
samc__cuda device(const emu::Buffer &scratch);

// A copy of `data` in the emulated device's memory.
template <class T> std::unique_ptr<emu::Buffer> upload(const std::vector<T> &data) {
    std::unique_ptr<emu::Buffer> copy(new emu::Buffer(data.size() * sizeof(T)));
    std::memcpy(copy->data(), data.data(), data.size() * sizeof(T));
    return copy;
}

void work(double flops); // of the call to come, where arithmetic may be its bound: for the times of tools/gpu_check.sh

[[noreturn]] void failed(const char *format, ...) __attribute__((format(printf, 1, 2)));
void report(const char *format, ...)
    __attribute__((format(printf, 1, 2))); // one line, only on the first schedule of a case

// For the programs that run the checks.
extern double worst_of_gate; // since it was set to 0: the largest error as a part of what is allowed
struct Failed {};            // thrown by failed() where launches are only noted
extern bool reporting;
extern double work_flops;
std::vector<const Check *> &checks();
std::string what(const Check &check, const Case &c); // the case with the names of its parameters

} // namespace emu_test

#endif
