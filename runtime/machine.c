/* What this machine offers: processor extensions and, through the driver library if it is installed, the first CUDA
 * device.
 *
 * The driver is opened at run time, so that one binary works with and without a GPU. */
#include "runtime/machine.h"

#include "kernels/cpu/caps.h"
#include "runtime/base/abi.h"
#include "runtime/base/status.h"
#include "runtime/cuda.h"
#include "runtime/threads.h"

#include <dlfcn.h>
#include <stdio.h>

static void describe_cpu(char *text, size_t size) {
    size_t used = 0;
    text[0] = 0;
#if defined(__x86_64__)
    static const char *const names[] = {"sse2",    "sse4.2",   "avx",      "avx2",       "fma",
                                        "avx512f", "avx512bw", "avx512vl", "avx512vnni", "avx512bf16"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (samc__caps_cpu_has(names[i]) && used < size)
            used += (size_t)snprintf(text + used, size - used, "%s%s", used ? " " : "", names[i]);
#elif defined(__aarch64__)
    snprintf(text, size, "neon");
    used = strlen(text);
#endif
    if (used == 0) snprintf(text, size, "no known vector extension");
}

/* The few driver functions that are needed, with CUDA's calling convention on Linux: plain C. */
bool samc__driver_describe(char *text, size_t size) {
    void *driver = dlopen("libcuda.so.1", RTLD_NOW | RTLD_LOCAL);
    if (driver == NULL) {
        snprintf(text, size, "the CUDA driver (libcuda.so.1) is not installed");
        return false;
    }
    int (*init)(unsigned) = (int (*)(unsigned))dlsym(driver, "cuInit");
    int (*count)(int *) = (int (*)(int *))dlsym(driver, "cuDeviceGetCount");
    int (*get)(int *, int) = (int (*)(int *, int))dlsym(driver, "cuDeviceGet");
    int (*name)(char *, int, int) = (int (*)(char *, int, int))dlsym(driver, "cuDeviceGetName");
    int (*attribute)(int *, int, int) = (int (*)(int *, int, int))dlsym(driver, "cuDeviceGetAttribute");
    enum { CAPABILITY_MAJOR = 75, CAPABILITY_MINOR = 76 }; /* CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_... */
    int devices = 0, device, major = 0, minor = 0;
    char model[128] = "";
    bool found = false;
    if (!init || !count || !get || !name || !attribute)
        snprintf(text, size, "libcuda.so.1 lacks the functions samc needs");
    else if (init(0) != 0 || count(&devices) != 0) snprintf(text, size, "the CUDA driver did not start");
    else if (devices == 0 || get(&device, 0) != 0) snprintf(text, size, "the CUDA driver reports no device");
    else {
        name(model, sizeof model, device);
        attribute(&major, CAPABILITY_MAJOR, device);
        attribute(&minor, CAPABILITY_MINOR, device);
        snprintf(text, size, "%s, compute capability %d.%d, %d device(s)", model, major, minor, devices);
        found = true;
    }
    dlclose(driver);
    return found;
}

samc_status samc_get_machine(samc_machine *out) {
    samc_machine machine = SAMC_INIT(samc_machine);
    SAMC__TRY(samc__abi_check_size(SAMC__ABI(samc_machine), out, NULL));
    machine.processors = samc__processors();
    describe_cpu(machine.cpu, sizeof machine.cpu);
    machine.bf16 = samc__caps_bf16(samc__caps_detect(), samc__caps_tiles());
    machine.int8 = samc__caps_int8(samc__caps_detect(), samc__caps_tiles());
    machine.has_cuda = samc__cuda_describe(machine.cuda, sizeof machine.cuda);
    void *driver = dlopen("libcuda.so.1", RTLD_NOW | RTLD_LOCAL);
    machine.cuda_driver = driver != NULL;
    if (driver != NULL) dlclose(driver);
    machine.cuda_built = samc__cuda_built();
    machine.cuda_devices = samc__cuda_count();
    return samc__abi_give(SAMC__ABI(samc_machine), &machine, out, NULL);
}

void samc_get_cuda_libraries(char *cublaslt, char *cudnn, size_t size) {
    samc__cuda_describe_libraries(cublaslt, cudnn, size);
}
