// emu_test.cc - what the kernel checks share (emu_test.h): random inputs, tensors, comparison, the list of checks.
#include "emu_test.h"

#include <algorithm>
#include <cmath>
#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace emu_test {

uint32_t Random::bits() {
    state = state * 6364136223846793005u + 1442695040888963407u;
    return uint32_t(state >> 32);
}
float Random::uniform() { return float(bits() >> 8) * 0x1p-24f; }
float Random::normal() { return (uniform() + uniform() + uniform() + uniform() - 2.0f) * 1.7320508f; }

static uint16_t encode(samc__dtype dtype, float value) {
    return dtype == SAMC__F16 ? emu::to_f16(value) : emu::to_bf16(value);
}
static float decode(samc__dtype dtype, uint16_t bits) {
    return dtype == SAMC__F16 ? emu::from_f16(bits) : emu::from_bf16(bits);
}

float rounded(samc__dtype dtype, double value) {
    return dtype == SAMC__F32 ? float(value) : decode(dtype, encode(dtype, float(value)));
}

Tensor::Tensor(samc__dtype type, size_t n)
    : dtype(type), count(n), device(new emu::Buffer(n * samc__dtype_size(type))) {}

Tensor::Tensor(samc__dtype type, size_t n, Random &random, float mean, float deviation) : Tensor(type, n) {
    host.resize(n);
    for (size_t i = 0; i < n; i++) {
        host[i] = rounded(type, mean + deviation * random.normal());
        set(i, host[i]);
    }
}

float Tensor::at(size_t i) const {
    return dtype == SAMC__F32 ? device->as<float>()[i] : decode(dtype, device->as<uint16_t>()[i]);
}

void Tensor::set(size_t i, float value) const {
    if (dtype == SAMC__F32) device->as<float>()[i] = value;
    else device->as<uint16_t>()[i] = encode(dtype, value);
}

samc__view Tensor::view(samc__view shape) const {
    shape.data = device->data();
    shape.dtype = dtype;
    return shape;
}

template <class Get> static Error compare_with(const Get &get, const std::vector<double> &exact) {
    Error e = {0, 0, 0};
    for (size_t i = 0; i < exact.size(); i++) {
        double difference = std::fabs(double(get(i)) - exact[i]);
        if (!(difference <= 1e300)) e.missing++;
        else {
            e.largest = std::max(e.largest, difference);
            e.rms += difference * difference;
        }
    }
    e.rms = std::sqrt(e.rms / double(exact.size()));
    return e;
}
Error compare(const Tensor &y, const std::vector<double> &exact) {
    return compare_with([&](size_t i) { return y.at(i); }, exact);
}
Error compare(const std::vector<float> &y, const std::vector<double> &exact) {
    return compare_with([&](size_t i) { return y[i]; }, exact);
}

double worst_of_gate;

void hold(const std::vector<float> &got, const Expected &is, double last_place) {
    Error e = compare(got, is.exact), limit = compare(is.naive, is.exact);
    const double allowed = 2 * limit.largest + last_place, allowed_rms = 2 * limit.rms + last_place / 8;
    const emu::Counters &count = emu::now.counters;
    report("%-66s error %.1e rms %.1e, naive %.1e rms %.1e; mma %llu ldmatrix %llu\n", emu::config.what.c_str(),
           e.largest, e.rms, limit.largest, limit.rms, (unsigned long long)count.mma,
           (unsigned long long)count.ldmatrix);
    const double part =
        std::max(allowed > 0 ? e.largest / allowed : e.largest > 0, allowed_rms > 0 ? e.rms / allowed_rms : e.rms > 0);
    worst_of_gate = std::max(worst_of_gate, part);
    if (e.missing || !(part <= 1))
        failed("error %.2e rms %.2e, allowed %.2e rms %.2e: %.3g times the gate; %zu elements not written", e.largest,
               e.rms, allowed, allowed_rms, part, e.missing);
}

static void run_all(void *, int64_t n, int64_t, samc__task *task, void *context) { task(context, 0, n, 0); }
static void *allocate(void *, size_t bytes) { return aligned_alloc(64, (bytes + 63) / 64 * 64); }
static void release(void *, void *block) { free(block); }
static samc_error last_error;
static samc__exec make_reference() {
    samc__exec exec = {};
    exec.error = &last_error;
    exec.workers = 1;
    exec.parallel = run_all;
    exec.allocate = allocate;
    exec.release = release;
    return exec;
}
const samc__exec reference = make_reference();

samc__cuda device() {
    samc__cuda cuda = {};
    cuda.error = &last_error;
    cuda.capability = emu::capability;
    return cuda;
}
samc__cuda device(const emu::Buffer &scratch) {
    samc__cuda cuda = device();
    cuda.scratch = scratch.data();
    cuda.scratch_bytes = scratch.bytes();
    return cuda;
}

bool reporting;
double work_flops;

void work(double flops) { work_flops = flops; }

void report(const char *format, ...) {
    if (!reporting) return;
    va_list args;
    va_start(args, format);
    std::vprintf(format, args);
    va_end(args);
    std::fflush(stdout);
}

void failed(const char *format, ...) {
    if (emu::launches != nullptr) throw Failed(); // nothing was computed
    va_list args;
    va_start(args, format);
    std::fflush(stdout);
    std::fprintf(stderr, "emu_test: FAILED: ");
    std::vfprintf(stderr, format, args);
    std::fprintf(stderr, "\n  case: %s\n  library: %s\n", emu::config.what.c_str(), last_error.message);
    va_end(args);
    std::exit(1);
}

std::vector<const Check *> &checks() {
    static std::vector<const Check *> list;
    return list;
}
Check::Check(const char *name, const char *names, std::vector<Case> list,
             std::function<void(const Case &c, uint64_t seed)> function)
    : kernel(name), fields(names), cases(std::move(list)), run(std::move(function)) {
    checks().push_back(this);
}

std::string what(const Check &check, const Case &c) {
    std::string text = std::string(check.kernel) + " (" + check.fields + ") =";
    for (long i = 0, n = 1 + std::count(check.fields, std::strchr(check.fields, 0), ' '); i < n; i++)
        text += " " + std::to_string(c.p[i]);
    return text;
}

} // namespace emu_test
