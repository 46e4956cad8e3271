// around_launch.cc - copies, guards and times around each launch; see around_launch.h. Against CUDA's runtime, or its
// twin in a rehearsal.
#include "around_launch.h"

#include "emu.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <cuda_runtime.h>

namespace gpu_check {

State state;

namespace {

constexpr size_t kGuard = 4096;
constexpr unsigned char kGuardByte = 0xa5;

// The device's copy of one buffer.
struct Copy {
    const emu::Buffer *buffer;
    char *base, *data;
    size_t bytes; // of the buffer when the copy was made
};
std::vector<Copy> copies;

void require(cudaError_t error, const char *what) {
    if (error != cudaSuccess) stop(what, cudaGetErrorString(error));
}

size_t guard() { return state.exact ? 0 : kGuard; }

// The copy of the live buffer that `p` points into or just behind (empty buffers, ends of ranges); null for anything
// else.
Copy *copy_of(uintptr_t p) {
    for (const emu::Buffer *buffer : emu::buffers()) {
        uintptr_t begin = reinterpret_cast<uintptr_t>(buffer->data());
        if (p < begin || p > begin + buffer->bytes()) continue;
        for (Copy &copy : copies)
            if (copy.buffer == buffer && copy.bytes == buffer->bytes()) return &copy;
        Copy copy = {buffer, nullptr, nullptr, buffer->bytes()};
        require(cudaMalloc(reinterpret_cast<void **>(&copy.base), copy.bytes + 2 * guard() + (copy.bytes == 0)),
                "device memory");
        copy.data = copy.base + guard();
        state.bytes += double(copy.bytes);
        copies.push_back(copy);
        return &copies.back();
    }
    return nullptr;
}

void upload(const std::vector<size_t> &used) {
    for (size_t i : used) {
        const Copy &copy = copies[i];
        if (guard()) require(cudaMemset(copy.base, kGuardByte, copy.bytes + 2 * guard()), "guards");
        require(cudaMemcpy(copy.data, copy.buffer->data(), copy.bytes, cudaMemcpyHostToDevice), "copy to the device");
    }
}

void download(const char *kernel, const std::vector<size_t> &used) {
    std::vector<unsigned char> around(guard());
    for (size_t i : used) {
        const Copy &copy = copies[i];
        require(cudaMemcpy(copy.buffer->data(), copy.data, copy.bytes, cudaMemcpyDeviceToHost), "copy from the device");
        for (const char *from : {copy.base, copy.data + copy.bytes}) {
            require(cudaMemcpy(around.data(), from, guard(), cudaMemcpyDeviceToHost), "copy of a guard");
            for (size_t at = 0; at < guard(); at++)
                if (around[at] != kGuardByte) {
                    long offset = from == copy.base ? long(at) - long(guard()) : long(copy.bytes + at);
                    char why[120];
                    std::snprintf(why, sizeof why, "wrote outside a buffer of %zu bytes, at offset %ld", copy.bytes,
                                  offset);
                    stop(kernel, why);
                }
        }
    }
}

struct Timer {
    cudaEvent_t begin, end;
    Timer() {
        require(cudaEventCreate(&begin), "event");
        require(cudaEventCreate(&end), "event");
    }
    ~Timer() {
        cudaEventDestroy(begin);
        cudaEventDestroy(end);
    }
    // Milliseconds of `repeats` runs on the device.
    template <class F> double operator()(int repeats, const F &f) {
        require(cudaEventRecord(begin, nullptr), "event");
        for (int i = 0; i < repeats; i++) f();
        require(cudaEventRecord(end, nullptr), "event");
        require(cudaEventSynchronize(end), "kernel");
        float ms = 0;
        require(cudaEventElapsedTime(&ms, begin, end), "event");
        return ms;
    }
};

double median(std::vector<double> values) {
    std::sort(values.begin(), values.end());
    return values[values.size() / 2];
}

// Times a launch: about 10 ms of repeats in batches, then single ones after the L2 was overwritten.
template <class F> Launch measure(const char *kernel, const F &start) {
    Timer timer;
    timer(1, start); // the first one loads code
    double once = state.rough ? 1000 : timer(1, start);
    int repeats = std::max(1, std::min(200, int(2.0 / std::max(once, 0.001)))), batches = once > 100 ? 1 : 5;
    std::vector<double> warm, cold;
    for (int i = 0; i < batches; i++) warm.push_back(timer(repeats, start) / repeats * 1e3);
    int device = 0, l2 = 0;
    require(cudaGetDevice(&device), "device");
    require(cudaDeviceGetAttribute(&l2, cudaDevAttrL2CacheSize, device), "device");
    void *other = nullptr;
    size_t other_bytes = std::max(size_t(l2) * 2, size_t(1) << 20);
    require(cudaMalloc(&other, other_bytes), "device memory");
    for (int i = 0; i < 2 * batches; i++) {
        require(cudaMemset(other, i, other_bytes), "overwriting the L2");
        cold.push_back(timer(1, start) * 1e3);
    }
    require(cudaFree(other), "device memory");
    return {kernel, median(warm), median(cold)};
}

} // namespace

int capability() {
    int device = 0, major = 0, minor = 0;
    require(cudaGetDevice(&device), "device");
    require(cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, device), "device");
    require(cudaDeviceGetAttribute(&minor, cudaDevAttrComputeCapabilityMinor, device), "device");
    return 10 * major + minor;
}

void stop(const char *what, const char *why) {
    std::fflush(stdout);
    std::fprintf(stderr, "gpu: FAILED: %s: %s\n  case: %s\n", what, why, emu::config.what.c_str());
    std::fflush(stderr);
    std::_Exit(3);
}

void new_case() {
    for (const Copy &copy : copies) require(cudaFree(copy.base), "freeing device memory");
    copies.clear();
    state.launches.clear();
    state.bytes = 0;
}

const char *run(const char *kernel, void **parameters, const size_t *sizes, int count, Start start,
                const void *context) {
    if (!state.checking) return start(context, parameters);
    // Any aligned word of the parameters that is an address within a buffer is taken for a pointer, structs of pointers
    // included.
    std::vector<std::vector<uint64_t>> storage;
    std::vector<void *> list;
    std::vector<size_t> used;
    for (int i = 0; i < count; i++) {
        storage.emplace_back((sizes[i] + 7) / 8, 0);
        std::memcpy(storage.back().data(), parameters[i], sizes[i]);
        list.push_back(storage.back().data());
        for (size_t word = 0; word < sizes[i] / 8; word++) {
            Copy *copy = copy_of(storage.back()[word]);
            if (copy == nullptr) continue;
            storage.back()[word] +=
                reinterpret_cast<uintptr_t>(copy->data) - reinterpret_cast<uintptr_t>(copy->buffer->data());
            size_t index = size_t(copy - copies.data());
            if (std::find(used.begin(), used.end(), index) == used.end()) used.push_back(index);
        }
    }
    auto once = [&] {
        const char *problem = start(context, list.data());
        if (problem != nullptr) stop(kernel, problem);
    };
    upload(used);
    if (state.timing) {
        state.launches.push_back(measure(kernel, once));
        upload(used); // in-place operators have changed their inputs
    }
    once();
    require(cudaGetLastError(), kernel);
    require(cudaDeviceSynchronize(), kernel);
    download(kernel, used);
    return nullptr;
}

} // namespace gpu_check
