// wrapper.h - what the C functions at the end of each cuda.cu share.
#ifndef SAMC_KERNELS_CUDA_WRAPPER_H
#define SAMC_KERNELS_CUDA_WRAPPER_H

#include "kernels/cuda/cuda_ops.h"
#include "kernels/cuda/device.h"

#define SAMC_REQUIRE(op, condition)                                                                                    \
    do {                                                                                                               \
        if (!(condition))                                                                                              \
            return samc__fail(cuda->error, SAMC_INVALID_ARGUMENT,                                                      \
                              "internal error: operator %s on the GPU refuses its arguments", op);                     \
    } while (0)

namespace samc {

// What came of starting an operator's kernels. A fault of work that was started earlier shows at whatever is called
// next: that is the device's loss, not this operator's.
static inline samc_status started(const samc__cuda *cuda, const char *op, const char *problem) {
    if (problem == nullptr) return SAMC_OK;
    if (device_lost(cuda->stream))
        return samc__fail(cuda->error, SAMC_NO_DEVICE,
                          "the GPU failed while results were computed (%s); what was finished before is kept, the "
                          "model has to be opened again",
                          problem);
    return samc__fail(cuda->error, SAMC_INTERNAL, "operator %s on the GPU: %s", op, problem);
}

static inline bool aligned16(const void *p) { return reinterpret_cast<uintptr_t>(p) % 16 == 0; }

// Parts of scratch start where any access is aligned.
static inline size_t scratch_part(int64_t elements, size_t element) {
    return (static_cast<size_t>(elements) * element + 255) / 256 * 256;
}

// Weights of one dtype, 16-byte aligned; biases f32 or absent.
static inline bool attention_has(const samc__attention &a, samc__dtype type) {
    const samc__projection *all[4] = {&a.q, &a.k, &a.v, &a.out};
    for (const samc__projection *p : all)
        if (p->w.dtype != type || !aligned16(p->w.data) || (p->b.data != nullptr && p->b.dtype != SAMC__F32))
            return false;
    return true;
}

static inline bool norm_is_float(const samc__norm &norm) {
    return norm.g.dtype == SAMC__F32 && norm.b.dtype == SAMC__F32;
}

} // namespace samc

#endif
