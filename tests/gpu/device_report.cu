// What the GPU is and what it can do at most, as one JSON object: the ceilings that kernels' times are held against. A
// verb of samc-gpu.
//
//     device [ITERATIONS MEBIBYTES]
//
// Copies within device memory count bytes read and written. Products are mma.sync m16n8k16 from registers, which is all
// that kernels here use; fp32 is multiply-add. Medians of five.
#include "kernels/cuda/device.h"
#include "verbs.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cuda_runtime.h>

namespace samc {

constexpr int kChains = 8; // independent sums, more than a product's latency needs with 16 warps

// y [threads of the grid].
template <class T> SAMC_KERNEL(256, 2) ceiling_mma(float *y, int iterations) {
    float d[kChains][4] = {};
    uint32_t a[4] = {threadIdx.x, threadIdx.x + 1, threadIdx.x + 2, threadIdx.x + 3};
    for (int i = 0; i < iterations; i++) {
        SAMC_UNROLL
        for (int chain = 0; chain < kChains; chain++)
            mma_16816(d[chain], a, threadIdx.x, threadIdx.x + 4, d[chain], T());
    }
    float sum = 0.0f;
    SAMC_UNROLL
    for (int chain = 0; chain < kChains; chain++) sum += d[chain][0] + d[chain][1] + d[chain][2] + d[chain][3];
    y[blockIdx.x * 256 + threadIdx.x] = sum;
}

SAMC_KERNEL(256, 2) ceiling_fma(float *y, int iterations) {
    float d[2 * kChains];
    SAMC_UNROLL
    for (int chain = 0; chain < 2 * kChains; chain++)
        d[chain] = static_cast<float>(threadIdx.x) + static_cast<float>(chain);
    for (int i = 0; i < iterations; i++) {
        SAMC_UNROLL
        for (int chain = 0; chain < 2 * kChains; chain++) d[chain] = fmaf(d[chain], 0.999f, 0.25f);
    }
    float sum = 0.0f;
    SAMC_UNROLL
    for (int chain = 0; chain < 2 * kChains; chain++) sum += d[chain];
    y[blockIdx.x * 256 + threadIdx.x] = sum;
}

} // namespace samc

static void require(cudaError_t error, const char *what) {
    if (error == cudaSuccess) return;
    std::fprintf(stderr, "samc-gpu device: %s: %s\n", what, cudaGetErrorString(error));
    std::exit(1);
}

// Median seconds of f, which starts work on the default stream.
template <class F> static double seconds(const F &f) {
    cudaEvent_t begin, end;
    require(cudaEventCreate(&begin), "event");
    require(cudaEventCreate(&end), "event");
    double times[5];
    f();
    for (double &time : times) {
        float ms = 0;
        require(cudaEventRecord(begin, nullptr), "event");
        f();
        require(cudaEventRecord(end, nullptr), "event");
        require(cudaEventSynchronize(end), "work on the device");
        require(cudaEventElapsedTime(&ms, begin, end), "event");
        time = ms * 1e-3;
    }
    std::sort(times, times + 5);
    cudaEventDestroy(begin);
    cudaEventDestroy(end);
    return times[2];
}

int device_main(int argc, char **argv) {
    const int iterations = argc > 1 ? std::atoi(argv[1]) : 20000;
    const size_t bytes = size_t(argc > 2 ? std::atoi(argv[2]) : 1024) << 20;
    int device = 0, driver = 0, runtime = 0;
    require(cudaGetDevice(&device), "no device");
    require(cudaDriverGetVersion(&driver), "driver version");
    require(cudaRuntimeGetVersion(&runtime), "runtime version");
    cudaDeviceProp properties;
    require(cudaGetDeviceProperties(&properties, device), "properties");
    auto attribute = [&](cudaDeviceAttr which) {
        int value = 0;
        require(cudaDeviceGetAttribute(&value, which, device), "attribute");
        return value;
    };
    const int sms = attribute(cudaDevAttrMultiProcessorCount), blocks = sms * 4;
    float *y = nullptr; // [blocks, 256]
    char *from = nullptr, *to = nullptr;
    require(cudaMalloc(reinterpret_cast<void **>(&y), size_t(blocks) * 256 * sizeof(float)), "device memory");
    require(cudaMalloc(reinterpret_cast<void **>(&from), bytes), "device memory");
    require(cudaMalloc(reinterpret_cast<void **>(&to), bytes), "device memory");
    require(cudaMemset(from, 1, bytes), "device memory");
    auto start = [&](const char *name, void (*kernel)(float *, int)) {
        samc::Grid grid = {static_cast<unsigned>(blocks), 1, 1};
        const char *problem = samc::launch(name, kernel, grid, 256, 0, nullptr, y, iterations);
        if (problem == nullptr) return;
        std::fprintf(stderr, "samc-gpu device: %s: %s\n", name, problem);
        std::exit(1);
    };
    double copy =
        seconds([&] { require(cudaMemcpyAsync(to, from, bytes, cudaMemcpyDeviceToDevice, nullptr), "copy"); });
    double bf16 = seconds([&] { start("ceiling_mma", samc::ceiling_mma<samc::bf16>); });
    double f16 = seconds([&] { start("ceiling_mma", samc::ceiling_mma<samc::f16>); });
    double fma = seconds([&] { start("ceiling_fma", samc::ceiling_fma); });
    double products = double(blocks) * 8 * iterations * samc::kChains * 2 * 16 * 8 * 16; // 8 warps
    double fmas = double(blocks) * 256 * iterations * 2 * samc::kChains * 2;
    std::printf("{\"name\":\"%s\",\"capability\":\"%d.%d\",\"sms\":%d,\"memory_bytes\":%zu,\"clock_khz\":%d,\"memory_"
                "clock_khz\":%d,"
                "\"memory_bus_bits\":%d,\"l2_bytes\":%d,\"shared_bytes_per_block\":%d,\"driver\":%d,\"runtime\":%d,"
                "\"copy_gbs\":%.1f,\"mma_bf16_tflops\":%.4g,\"mma_f16_tflops\":%.4g,\"fma_f32_tflops\":%.4g}\n",
                properties.name, attribute(cudaDevAttrComputeCapabilityMajor),
                attribute(cudaDevAttrComputeCapabilityMinor), sms, properties.totalGlobalMem,
                attribute(cudaDevAttrClockRate), attribute(cudaDevAttrMemoryClockRate),
                attribute(cudaDevAttrGlobalMemoryBusWidth), attribute(cudaDevAttrL2CacheSize),
                attribute(cudaDevAttrMaxSharedMemoryPerBlockOptin), driver, runtime, 2e-9 * double(bytes) / copy,
                1e-12 * products / bf16, 1e-12 * products / f16, 1e-12 * fmas / fma);
    return 0;
}
