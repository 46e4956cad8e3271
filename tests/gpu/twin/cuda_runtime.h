// cuda_runtime.h - the twin of CUDA's runtime for rehearsals of tools/gpu_check.sh without a GPU: as much of it as
// tests/gpu calls.
//
// Device memory is the host's, in allocations of their own, NaN at first. Work is done when it is asked for; events
// read the clock.
#ifndef SAMC_TESTS_GPU_TWIN_CUDA_RUNTIME_H
#define SAMC_TESTS_GPU_TWIN_CUDA_RUNTIME_H

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>

typedef enum cudaError { cudaSuccess = 0, cudaErrorMemoryAllocation = 2 } cudaError_t;
typedef struct CUstream_st *cudaStream_t;
typedef std::chrono::steady_clock::time_point *cudaEvent_t;
enum cudaMemcpyKind { cudaMemcpyHostToDevice = 1, cudaMemcpyDeviceToHost = 2, cudaMemcpyDeviceToDevice = 3 };
enum cudaDeviceAttr {
    cudaDevAttrClockRate,
    cudaDevAttrMemoryClockRate,
    cudaDevAttrGlobalMemoryBusWidth,
    cudaDevAttrL2CacheSize,
    cudaDevAttrMultiProcessorCount,
    cudaDevAttrComputeCapabilityMajor,
    cudaDevAttrComputeCapabilityMinor,
    cudaDevAttrMaxSharedMemoryPerBlockOptin
};
struct cudaDeviceProp {
    char name[256];
    size_t totalGlobalMem;
};

inline const char *cudaGetErrorString(cudaError_t error) { return error == cudaSuccess ? "no error" : "out of memory"; }
inline cudaError_t cudaGetLastError() { return cudaSuccess; }
inline cudaError_t cudaDeviceSynchronize() { return cudaSuccess; }
inline cudaError_t cudaGetDevice(int *device) { return *device = 0, cudaSuccess; }
inline cudaError_t cudaGetDeviceCount(int *count) { return *count = 1, cudaSuccess; }
inline cudaError_t cudaDeviceGetAttribute(int *value, cudaDeviceAttr which, int) { // 9.0: every kernel is rehearsed
    return *value = which == cudaDevAttrComputeCapabilityMajor   ? 9
                    : which == cudaDevAttrComputeCapabilityMinor ? 0
                                                                 : 1,
           cudaSuccess;
}
inline cudaError_t cudaGetDeviceProperties(cudaDeviceProp *properties, int) {
    std::snprintf(properties->name, sizeof properties->name, "emulation, not a GPU");
    properties->totalGlobalMem = size_t(1) << 30;
    return cudaSuccess;
}
inline cudaError_t cudaDriverGetVersion(int *version) { return *version = 0, cudaSuccess; }
inline cudaError_t cudaRuntimeGetVersion(int *version) { return *version = 0, cudaSuccess; }
inline cudaError_t cudaMalloc(void **to, size_t bytes) {
    *to = std::malloc(bytes ? bytes : 1);
    if (*to != nullptr) std::memset(*to, 0xff, bytes);
    return *to ? cudaSuccess : cudaErrorMemoryAllocation;
}
inline cudaError_t cudaFree(void *block) { return std::free(block), cudaSuccess; }
inline cudaError_t cudaMemset(void *to, int value, size_t bytes) { return std::memset(to, value, bytes), cudaSuccess; }
inline cudaError_t cudaMemcpy(void *to, const void *from, size_t bytes, cudaMemcpyKind) {
    return bytes ? (std::memcpy(to, from, bytes), cudaSuccess) : cudaSuccess;
}
inline cudaError_t cudaMemcpyAsync(void *to, const void *from, size_t bytes, cudaMemcpyKind kind, cudaStream_t) {
    return cudaMemcpy(to, from, bytes, kind);
}
inline cudaError_t cudaEventCreate(cudaEvent_t *event) {
    return *event = new std::chrono::steady_clock::time_point, cudaSuccess;
}
inline cudaError_t cudaEventDestroy(cudaEvent_t event) { return delete event, cudaSuccess; }
inline cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t) {
    return *event = std::chrono::steady_clock::now(), cudaSuccess;
}
inline cudaError_t cudaEventSynchronize(cudaEvent_t) { return cudaSuccess; }
inline cudaError_t cudaEventElapsedTime(float *ms, cudaEvent_t begin, cudaEvent_t end) {
    return *ms = std::chrono::duration<float, std::milli>(*end - *begin).count(), cudaSuccess;
}

#endif
