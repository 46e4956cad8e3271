// The operator checks' way to the CUDA kernels: arguments as checkops builds them, in the emulated device's memory and
// in any type.
#include "emu.h"

extern "C" {
#include "tests/checkops/nonfinite.h"
}
#include "kernels/cuda/cuda_ops.h"

#include <memory>

extern "C" {
#define SAMC_OP(name, ...)                                                                                             \
    size_t samc__##name##_cuda_scratch(const samc__##name##_args *args) __attribute__((weak));                         \
    samc_status samc__##name##_cuda(const samc__cuda *cuda, const samc__##name##_args *args);
#include "kernels/list.h"
#undef SAMC_OP
}

extern "C" samc_status run_cuda(const row *r, check *c, samc__dtype type, samc_error *error) {
    if (r->for_hosts && r->for_hosts(c)) return SAMC_UNSUPPORTED;
    check d = *c;
    samc__view *views[MAX_VIEWS];
    const int count = r->typed ? r->typed(&d, views) : 0;
    if (count == 0 && type != SAMC__F32) return SAMC_UNSUPPORTED;
    std::vector<std::unique_ptr<emu::Buffer>> device;
    std::vector<samc__dtype> types(size_t(c->count), SAMC__F32);
    for (int i = 0; i < c->count; i++) {
        const buffer &b = c->buffers[i];
        for (int j = 0; j < count; j++)
            if (views[j]->data == b.data) types[size_t(i)] = type;
        size_t size = types[size_t(i)] == SAMC__F32 ? 1 : 2;
        device.emplace_back(new emu::Buffer(b.bytes / size));
        if (b.floats)
            for (size_t j = 0; j < b.bytes / 4; j++)
                samc__store_element(types[size_t(i)], device.back()->data(), int64_t(j),
                                    static_cast<const float *>(b.data)[j]);
        else memcpy(device.back()->data(), b.data, b.bytes);
    }
    for (int i = 0; i < count; i++) views[i]->dtype = views[i]->data ? type : SAMC__F32;
    // Every address in the arguments that is a buffer's becomes the device's.
    for (size_t at = 0; at + sizeof(void *) <= sizeof d.args; at += sizeof(void *)) {
        void *address;
        memcpy(&address, reinterpret_cast<char *>(d.args) + at, sizeof address);
        for (int i = 0; i < c->count; i++) {
            if (address != c->buffers[i].data) continue;
            void *there = device[size_t(i)]->data();
            memcpy(reinterpret_cast<char *>(d.args) + at, &there, sizeof there);
        }
    }
    samc_status status = SAMC_UNSUPPORTED;
    samc__cuda cuda = {};
    cuda.error = error;
    cuda.capability = 80;
#define SAMC_OP(op, ...)                                                                                               \
    if (r == &op##_cases) {                                                                                            \
        emu::Buffer scratch(samc__##op##_cuda_scratch ? samc__##op##_cuda_scratch(ARGS(&d, op)) : 0);                  \
        cuda.scratch = scratch.data(), cuda.scratch_bytes = scratch.bytes();                                           \
        status = samc__##op##_cuda(&cuda, ARGS(&d, op));                                                               \
        scratch.check();                                                                                               \
    }
#include "kernels/list.h"
#undef SAMC_OP
    for (int i = 0; i < c->count; i++) {
        const buffer &b = c->buffers[i];
        device[size_t(i)]->check();
        if (b.role == IN) continue;
        if (!b.floats) memcpy(b.data, device[size_t(i)]->data(), b.bytes);
        for (size_t j = 0; b.floats && j < b.bytes / 4; j++)
            static_cast<float *>(b.data)[j] =
                samc__load_element(types[size_t(i)], device[size_t(i)]->data(), int64_t(j));
    }
    return status;
}
