// occupancy - warps that one multiprocessor holds, by the toolkit's own calculator (cuda_occupancy.h, which needs no
// GPU).
//
// Reads lines "capability registers threads static dynamic" (capability 80 or 90, bytes of shared memory) and prints a
// number for each.
#include <cstdio>
#include <cstring>
#include <cuda_occupancy.h>

int main() {
    int capability, registers, threads;
    size_t fixed, dynamic;
    while (std::scanf("%d %d %d %zu %zu", &capability, &registers, &threads, &fixed, &dynamic) == 5) {
        cudaOccDeviceProp device;
        std::memset(static_cast<void *>(&device), 0, sizeof device);
        device.computeMajor = capability / 10;
        device.computeMinor = capability % 10;
        device.maxThreadsPerBlock = 1024;
        device.maxThreadsPerMultiprocessor = 2048;
        device.regsPerBlock = device.regsPerMultiprocessor = 65536;
        device.warpSize = 32;
        device.sharedMemPerBlock = 48 << 10;
        device.sharedMemPerMultiprocessor = (capability == 80 ? 164 : 228) << 10;
        device.reservedSharedMemPerBlock = 1 << 10;
        device.sharedMemPerBlockOptin = device.sharedMemPerMultiprocessor - device.reservedSharedMemPerBlock;
        device.numSms = capability == 80 ? 108 : 132;
        cudaOccFuncAttributes kernel;
        std::memset(static_cast<void *>(&kernel), 0, sizeof kernel);
        kernel.maxThreadsPerBlock = 1024;
        kernel.numRegs = registers;
        kernel.sharedSizeBytes = fixed;
        kernel.partitionedGCConfig = PARTITIONED_GC_OFF;
        kernel.shmemLimitConfig = FUNC_SHMEM_LIMIT_OPTIN;
        kernel.maxDynamicSharedSizeBytes = device.sharedMemPerBlockOptin;
        kernel.numBlockBarriers = 1;
        cudaOccDeviceState state;
        std::memset(static_cast<void *>(&state), 0, sizeof state);
        state.carveoutConfig = SHAREDMEM_CARVEOUT_MAX_SHARED;
        cudaOccResult result;
        std::memset(static_cast<void *>(&result), 0, sizeof result);
        if (cudaOccMaxActiveBlocksPerMultiprocessor(&result, &device, &kernel, &state, threads, dynamic) !=
            CUDA_OCC_SUCCESS)
            return 1;
        std::printf("%d\n", result.activeBlocksPerMultiprocessor * ((threads + 31) / 32));
    }
    return 0;
}
