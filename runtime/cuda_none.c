/* Builds without CUDA: every request for a device ends in one line that says so. */
#include "runtime/cuda.h"

#include "runtime/machine.h"

#include <stdio.h>

static const char no_cuda[] =
    "this build of samc has no CUDA backend (build it with the CUDA toolkit and -DSAMC_CUDA=ON)";

bool samc__cuda_built(void) { return false; }
bool samc__cuda_describe(char *text, size_t size) { return samc__driver_describe(text, size); }

void samc__cuda_describe_libraries(char *cublaslt, char *cudnn, size_t size) {
    if (cublaslt != NULL) snprintf(cublaslt, size, "%s", no_cuda);
    if (cudnn != NULL) snprintf(cudnn, size, "%s", no_cuda);
}

int samc__cuda_count(void) { return 0; }

samc_status samc__cuda_open(int number, samc__cuda_device **device, samc_error *error) {
    char why[256];
    (void)number;
    *device = NULL;
    if (!samc__driver_describe(why, sizeof why))
        return samc__fail(error, SAMC_NO_DEVICE, "no CUDA device was found: %s", why);
    return samc__fail(error, SAMC_UNSUPPORTED, "%s", no_cuda);
}

samc_status samc__cuda_enter(const samc__cuda_device *device, samc_error *error) {
    (void)device;
    return samc__fail(error, SAMC_UNSUPPORTED, "%s", no_cuda);
}

void samc__cuda_close(samc__cuda_device *device) { (void)device; }
const char *samc__cuda_note(const samc__cuda_device *device) {
    (void)device;
    return "";
}

void samc__cuda_table(samc__ops *ops) { (void)ops; }

samc_status samc__cuda_load(samc__cuda_device *device, const samc__tensor_list *tensors, samc__dtype precision,
                            samc_error *error) {
    (void)device, (void)tensors, (void)precision, (void)error;
    return samc__fail(error, SAMC_UNSUPPORTED, "%s", no_cuda);
}

size_t samc__cuda_weight_bytes(const samc__cuda_device *device) {
    (void)device;
    return 0;
}

samc__session_size samc__cuda_fitting_size(const samc_model *model) {
    (void)model;
    return (samc__session_size){0};
}

samc_status samc__cuda_session_open(samc__cuda_device *device, const samc_model *model, samc__exec *exec,
                                    samc__exec *encoder, samc__exec *post, samc__session_size *size,
                                    samc__cuda_session **session) {
    (void)device, (void)model, (void)encoder, (void)post, (void)size, (void)session;
    return samc__fail(exec->error, SAMC_UNSUPPORTED, "%s", no_cuda);
}

void samc__cuda_session_close(samc__cuda_session *session) { (void)session; }
void samc__cuda_session_memory(const samc__cuda_session *session, samc_memory *memory) { (void)session, (void)memory; }

int samc__cuda_session_prompts(const samc__cuda_session *session, const samc_model *model, int most, int images,
                               int tokens, bool masked, int kept) {
    (void)session, (void)model, (void)images, (void)tokens, (void)masked, (void)kept;
    return most;
}

size_t samc__cuda_planned_bytes(const samc_model *model, samc__session_size size) {
    (void)model, (void)size;
    return 0;
}

size_t samc__cuda_encode_bytes(const samc_model *model) {
    (void)model;
    return 0;
}
