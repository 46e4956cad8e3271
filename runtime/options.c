/* Default options; the only file that reads the environment. */
#include "kernels/cpu/caps.h"
#include "runtime/cuda.h"
#include "runtime/samc.h"
#include "runtime/base/abi.h"
#include "runtime/base/status.h"
#include "runtime/threads.h"

#include <stdlib.h>
#include <string.h>

samc_status samc_default_options(samc_options *out) {
    samc_options options = SAMC_INIT(samc_options); /* zeros are AUTO */
    const char *backend = getenv("SAMC_BACKEND"), *threads = getenv("SAMC_THREADS");
    if (backend != NULL) {
        if (strcmp(backend, "ref") == 0) options.backend = SAMC_BACKEND_REF;
        if (strcmp(backend, "cpu") == 0) options.backend = SAMC_BACKEND_CPU;
        if (strcmp(backend, "cuda") == 0) options.backend = SAMC_BACKEND_CUDA;
    }
    if (threads != NULL) {
        char *end;
        long value = strtol(threads, &end, 10);
        if (end != threads && *end == 0 && value >= 1 && value <= SAMC__MAX_THREADS) options.threads = (int)value;
    }
    return samc__abi_give(SAMC__ABI(samc_options), &options, out, NULL);
}

const char *samc__options_cuda_libraries(void) { return getenv("SAMC_CUDA_LIBRARIES"); }

samc_status samc__options_caps(unsigned *caps, samc_error *error) {
    const char *allowed = getenv("SAMC_CPU_CAPS");
    *caps = samc__caps_detect();
    if (allowed == NULL) return SAMC_OK;
    int mask = samc__caps_parse(allowed);
    if (mask < 0)
        return samc__fail(error, SAMC_INVALID_ARGUMENT, "SAMC_CPU_CAPS is \"%s\"; it takes names of %s", allowed,
                          samc__caps_names);
    *caps = (*caps | samc__caps_soft(*caps)) & (unsigned)mask;
    return SAMC_OK;
}
