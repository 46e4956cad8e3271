/* Opening the GPU and bringing a model's weights there. */
#include "runtime/cuda_device.h"

#include "kernels/cuda/code.h"
#include "kernels/cuda/nvidia.h"
#include "kernels/cuda/ops_cuda.h"
#include "runtime/base/decimal.h"
#include "runtime/machine.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LEAST_CAPABILITY = 80 }; /* bf16 tensor cores and asynchronous copies: Ampere and later */

samc_status samc__cuda_status(samc_error *error, cudaError_t code, const char *doing) {
    if (code == cudaSuccess) return SAMC_OK;
    if (code == cudaErrorMemoryAllocation) {
        cudaGetLastError(); /* not sticky: the next call starts afresh */
        return samc__fail(error, SAMC_OUT_OF_MEMORY, "not enough GPU memory %s", doing);
    }
    return samc__fail(error, SAMC_NO_DEVICE,
                      "the GPU failed %s (%s); what was finished before is kept, the model has to be opened again",
                      doing, cudaGetErrorString(code));
}

bool samc__cuda_built(void) { return true; }

static int capability_of(const struct cudaDeviceProp *p) { return p->major * 10 + p->minor; }

/* Device `number`, if it can run samc. */
static bool probe(int number, struct cudaDeviceProp *properties, char *why, size_t size) {
    int devices = 0;
    cudaError_t code = cudaGetDeviceCount(&devices);
    if (code != cudaSuccess || devices == 0) {
        cudaGetLastError();
        int driver = 0, runtime = 0;
        cudaDriverGetVersion(&driver);
        cudaRuntimeGetVersion(&runtime);
        if (driver != 0 &&
            driver / 1000 < runtime / 1000) /* drivers serve every runtime of their own major version, and older ones */
            snprintf(why, size, "the driver is made for CUDA %d.%d, this samc for %d.%d: a newer driver is needed",
                     driver / 1000, driver % 1000 / 10, runtime / 1000, runtime % 1000 / 10);
        else if (samc__driver_describe(
                     why,
                     size)) /* a device, and yet the runtime has none: its reason; else the driver's, or its absence */
            snprintf(why, size, "%s", code == cudaSuccess ? "the driver reports no device" : cudaGetErrorString(code));
        return false;
    }
    code = cudaGetDeviceProperties(properties, number);
    if (code != cudaSuccess) {
        cudaGetLastError();
        snprintf(why, size, "%s", cudaGetErrorString(code));
        return false;
    }
    if (capability_of(properties) >= LEAST_CAPABILITY) return true;
    snprintf(why, size, "%.150s has compute capability %d.%d, samc needs %d.%d", properties->name, properties->major,
             properties->minor, LEAST_CAPABILITY / 10, LEAST_CAPABILITY % 10);
    return false;
}

bool samc__cuda_describe(char *text, size_t size) {
    struct cudaDeviceProp p;
    if (!probe(0, &p, text, size)) return false;
    int driver = 0, runtime = 0;
    cudaDriverGetVersion(&driver);
    cudaRuntimeGetVersion(&runtime);
    samc__print(text, size, "%s, compute capability %d.%d, %d multiprocessors, %.1f GB, driver %d.%d, runtime %d.%d",
                p.name, p.major, p.minor, p.multiProcessorCount, (double)p.totalGlobalMem / 1e9, driver / 1000,
                driver % 1000 / 10, runtime / 1000, runtime % 1000 / 10);
    return true;
}

void samc__cuda_describe_libraries(char *cublaslt, char *cudnn, size_t size) {
    char text[SAMC__NVIDIA_TEXT];
    samc__cublaslt lt;
    samc__cudnn dnn;
    if (cublaslt != NULL) {
        samc__nvidia_close(samc__cublaslt_open(&lt, samc__options_cuda_libraries(), text));
        snprintf(cublaslt, size, "%s", text);
    }
    if (cudnn == NULL) return;
    samc__nvidia_close(samc__cudnn_open(&dnn, samc__options_cuda_libraries(), text));
    snprintf(cudnn, size, "%s", text);
}

int samc__cuda_count(void) {
    int devices = 0;
    if (cudaGetDeviceCount(&devices) == cudaSuccess) return devices;
    cudaGetLastError();
    return 0;
}

samc_status samc__cuda_enter(const samc__cuda_device *d, samc_error *error) {
    return samc__cuda_status(error, cudaSetDevice(d->number), "when it was asked for");
}

samc_status samc__cuda_open(int number, samc__cuda_device **out, samc_error *error) {
    char why[256];
    struct cudaDeviceProp p;
    *out = NULL;
    int devices = samc__cuda_count();
    if (devices > 0 && number >= devices)
        return samc__fail(error, SAMC_NO_DEVICE, "there is no CUDA device %d: this machine has %d, numbered from 0",
                          number, devices);
    if (!probe(number, &p, why, sizeof why))
        return samc__fail(error, SAMC_NO_DEVICE, "no CUDA device was found: %s", why);
    if (!samc__cuda_code_fits(SAMC_CUDA_CODE, capability_of(&p)))
        return samc__fail(error, SAMC_UNSUPPORTED,
                          "%.150s has compute capability %d.%d, and this build has code for %s only", p.name, p.major,
                          p.minor, SAMC_CUDA_CODE);
    samc__cuda_device *d = calloc(1, sizeof *d);
    if (d == NULL) return samc__fail(error, SAMC_OUT_OF_MEMORY, "no memory to open the GPU");
    snprintf(d->name, sizeof d->name, "%s", p.name);
    d->multiprocessors = p.multiProcessorCount;
    d->capability = capability_of(&p);
    d->number = number;
    *out = d;
    SAMC__TRY(samc__cuda_enter(d, error));
    cudaSetDeviceFlags(cudaDeviceScheduleBlockingSync); /* waits sleep; refused where the process has used the device
                                                           before, which is no harm */
    cudaGetLastError();
    samc__cublaslt functions;
    char text[SAMC__NVIDIA_TEXT];
    d->cublaslt = samc__cublaslt_open(&functions, samc__options_cuda_libraries(), text);
    if (d->cublaslt == NULL)
        snprintf(d->note, sizeof d->note, "%s: samc's own kernels compute what cuBLASLt would", text);
    return SAMC_OK;
}

void samc__cuda_close(samc__cuda_device *d) {
    if (d == NULL) return;
    samc__cuda_enter(d, NULL);
    if (d->weights != NULL) cudaFree(d->weights);
    samc__nvidia_close(d->cublaslt);
    free(d);
}

void samc__cuda_table(samc__ops *ops) { samc__ops_cuda(ops); }
const char *samc__cuda_note(const samc__cuda_device *d) { return d->note; }
size_t samc__cuda_weight_bytes(const samc__cuda_device *d) { return d->weight_bytes; }
int samc__cuda_capability(const samc__cuda_device *d) { return d == NULL ? 0 : d->capability; }

/* ---- Weights --------------------------------------------------------------------------------- */

enum { ALIGNMENT = 256 };

typedef struct loading {
    char *base;    /* device memory; NULL while bytes are counted */
    size_t at;     /* bytes placed so far */
    void *staging; /* the host's, as large as the largest tensor */
    size_t largest;
    samc_error *error;
} loading;

/* Places a view of the host's floats, of which the device's copy has the type `type`, and points it there. */
static samc_status place_view(loading *l, samc__view *view, samc__dtype type) {
    int64_t elements = samc__elements(*view);
    size_t bytes = (size_t)elements * samc__dtype_size(type);
    char *to = l->base + l->at;
    l->at += (bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    if (bytes > l->largest) l->largest = bytes;
    if (l->base == NULL) return SAMC_OK;
    for (int64_t i = 0; i < elements; i++) samc__store_element(type, l->staging, i, samc__f32(*view)[i]);
    SAMC__CUDA_TRY(l->error, cudaMemcpy(to, l->staging, bytes, cudaMemcpyHostToDevice), "while weights were uploaded");
    view->data = to;
    view->dtype = type;
    return SAMC_OK;
}

static samc_status place_all(loading *l, const samc__tensor_list *tensors, samc__dtype precision) {
    for (size_t i = 0; i < tensors->count; i++)
        SAMC__TRY(place_view(l, tensors->at[i].view, samc__role_type(tensors->at[i].role, precision)));
    for (size_t i = 0; i < tensors->copy_count; i++) /* these still point at the host's values */
        SAMC__TRY(
            place_view(l, tensors->copies[i].view,
                       tensors->copies[i].make ? samc__role_type(tensors->copies[i].role, precision) : precision));
    return SAMC_OK;
}

samc_status samc__cuda_load(samc__cuda_device *d, const samc__tensor_list *tensors, samc__dtype precision,
                            samc_error *error) {
    loading l = {.error = error};
    SAMC__TRY(place_all(&l, tensors, precision));
    d->weight_bytes = l.at;
    l.staging = malloc(l.largest);
    if (l.staging == NULL)
        return samc__fail(error, SAMC_OUT_OF_MEMORY, "no memory to upload %zu bytes of weights", d->weight_bytes);
    samc_status status = samc__cuda_status(error, cudaMalloc(&d->weights, d->weight_bytes), "for the model's weights");
    if (status == SAMC_OK) {
        l.base = d->weights;
        l.at = 0;
        status = place_all(&l, tensors, precision);
    } else {
        d->weights = NULL;
    }
    free(l.staging);
    /* The copies have left the host's memory, but may not have arrived; no session's stream waits for them. */
    return status == SAMC_OK ? samc__cuda_status(error, cudaDeviceSynchronize(), "while weights were uploaded")
                             : status;
}
