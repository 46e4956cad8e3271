/* which_device - says which GPU this toolkit's runtime reaches: "90 13000 13000 NAME" (capability, driver, runtime), or why none. */
#include <cuda_runtime_api.h>
#include <stdio.h>

int main(void) {
    int devices = 0, driver = 0, runtime = 0;
    struct cudaDeviceProp p;
    cudaError_t code = cudaGetDeviceCount(&devices);
    cudaDriverGetVersion(&driver);
    cudaRuntimeGetVersion(&runtime);
    if (code == cudaSuccess && devices > 0) code = cudaGetDeviceProperties(&p, 0);
    if (code != cudaSuccess || devices == 0) {
        printf("no device: %s (driver for CUDA %d.%d, runtime %d.%d)\n", devices == 0 && code == cudaSuccess ? "the driver reports none" : cudaGetErrorString(code),
               driver / 1000, driver % 1000 / 10, runtime / 1000, runtime % 1000 / 10);
        return 1;
    }
    printf("%d %d %d %s\n", p.major * 10 + p.minor, driver, runtime, p.name);
    return 0;
}
