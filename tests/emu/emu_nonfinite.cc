// The operator checks' way to the CUDA kernels: arguments as checkops builds them, in the emulated device's memory and
// in any type.
#include "device_case.h"

extern "C" {
#include "tests/checkops/nonfinite.h"
}

extern "C" samc_status run_cuda(const row *r, check *c, samc__dtype type, samc_error *error) {
    if (r->for_hosts && r->for_hosts(c)) return SAMC_UNSUPPORTED;
    if ((!r->typed || !r->book) && type != SAMC__F32) return SAMC_UNSUPPORTED;
    std::vector<samc__dtype> types(MAX_VIEWS, type);
    if (r->planted_types != nullptr) r->planted_types(c, type, types.data());
    DeviceCase device(r, c, types.data());
    samc__cuda cuda = {};
    cuda.error = error;
    cuda.capability = 80;
    const samc_status status = device.run(cuda);
    device.check_guards();
    for (int i = 0; i < c->count; i++) {
        const buffer &b = c->buffers[i];
        if (b.role == IN) continue;
        if (!b.floats) memcpy(b.data, device.memory(i).data(), b.bytes);
        for (size_t j = 0; b.floats && j < b.bytes / 4; j++) static_cast<float *>(b.data)[j] = device.at(i, j);
    }
    return status;
}
