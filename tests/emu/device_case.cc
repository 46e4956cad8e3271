// device_case.cc - cases in device memory (device_case.h).
#include "device_case.h"

extern "C" {
#define SAMC_OP(name, ...)                                                                                             \
    size_t samc__##name##_cuda_scratch(const samc__##name##_args *args) __attribute__((weak));                         \
    samc_status samc__##name##_cuda(const samc__cuda *cuda, const samc__##name##_args *args) __attribute__((weak));
#include "kernels/list.h"
#undef SAMC_OP
}

bool DeviceCase::linked(const row *r) {
#define SAMC_OP(op, ...)                                                                                               \
    if (r == &op##_cases) return samc__##op##_cuda != nullptr;
#include "kernels/list.h"
#undef SAMC_OP
    return false;
}

DeviceCase::DeviceCase(const row *r, const check *host, const samc__dtype *of_views)
    : row_(r), types_(size_t(host->count), SAMC__F32), of_views_(of_views, of_views + MAX_VIEWS) {
    check copy = *host;
    samc__view *views[MAX_VIEWS];
    const int count = r->typed ? r->typed(&copy, views) : 0;
    for (int i = 0; i < host->count; i++) {
        for (int j = 0; j < count; j++)
            if (views[j]->data == host->buffers[i].data) types_[size_t(i)] = of_views[j];
        const size_t parts = types_[size_t(i)] == SAMC__F32 ? 1 : 2;
        memory_.emplace_back(new emu::Buffer(host->buffers[i].bytes / parts));
        fill(host, i);
    }
    point_at(host);
}

// Floats, and bytes that are floats of another type there, by value.
void DeviceCase::fill(const check *host, int i) {
    const buffer &b = host->buffers[i];
    const samc__dtype type = types_[size_t(i)];
    if (!b.floats && type == SAMC__F32) memcpy(memory(i).data(), b.data, b.bytes);
    else
        for (size_t j = 0; j < b.bytes / 4; j++)
            samc__store_element(type, memory(i).data(), int64_t(j), static_cast<const float *>(b.data)[j]);
}

void DeviceCase::refill(const check *host) {
    for (int i = 0; i < host->count; i++)
        if (host->buffers[i].role != IN) fill(host, i);
}

// Every address in the arguments that lies in a buffer becomes the device's.
void DeviceCase::point_at(const check *host) {
    args_ = *host;
    samc__view *views[MAX_VIEWS];
    const int count = row_->typed ? row_->typed(&args_, views) : 0;
    for (int i = 0; i < count; i++) views[i]->dtype = views[i]->data ? of_views_[size_t(i)] : SAMC__F32;
    char *arguments = reinterpret_cast<char *>(args_.args);
    for (size_t at = 0; at + sizeof(uintptr_t) <= sizeof args_.args; at += sizeof(uintptr_t)) {
        uintptr_t address;
        memcpy(&address, arguments + at, sizeof address);
        for (int i = 0; i < host->count; i++) {
            const uintptr_t start = reinterpret_cast<uintptr_t>(host->buffers[i].data);
            if (address < start || address >= start + std::max<size_t>(host->buffers[i].bytes, 1)) continue;
            const size_t offset = (address - start) / (type(i) == SAMC__F32 ? 1 : 2);
            void *there = memory(i).as<char>() + offset;
            memcpy(arguments + at, &there, sizeof there);
            break;
        }
    }
}

samc_status DeviceCase::run(samc__cuda cuda, const int *p) {
    samc_status status = SAMC_UNSUPPORTED;
    const bool named = p != nullptr && row_->by_kernel != nullptr;
    const size_t more = named && row_->more_scratch != nullptr ? row_->more_scratch(&args_) : 0;
#define SAMC_OP(op, ...)                                                                                               \
    if (row_ == &op##_cases) {                                                                                         \
        const size_t own = samc__##op##_cuda_scratch ? samc__##op##_cuda_scratch(ARGS(&args_, op)) : 0;                \
        emu::Buffer scratch(std::max(own, more));                                                                      \
        cuda.scratch = scratch.data(), cuda.scratch_bytes = scratch.bytes();                                           \
        status = named ? row_->by_kernel(&cuda, &args_, p) : samc__##op##_cuda(&cuda, ARGS(&args_, op));               \
        scratch.check();                                                                                               \
    }
#include "kernels/list.h"
#undef SAMC_OP
    return status;
}

void DeviceCase::check_guards() const {
    for (const auto &b : memory_) b->check();
}

float DeviceCase::at(int buffer, size_t i) const {
    return samc__load_element(type(buffer), memory(buffer).data(), int64_t(i));
}
