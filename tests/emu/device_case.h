// device_case.h - a case of an operator (kernels/<operator>/cases.c) in the emulated device's memory, its tensors in
// the types of a CUDA kernel.
#ifndef SAMC_TESTS_EMU_DEVICE_CASE_H
#define SAMC_TESTS_EMU_DEVICE_CASE_H

#include "emu.h"

extern "C" {
#include "tests/checkops/checkops.h"
}
#include "kernels/cuda/cuda_ops.h"

#include <memory>

class DeviceCase {
  public:
    // Copies of host's buffers. of_views: the types of the views that the row says may have one (MAX_VIEWS).
    DeviceCase(const row *r, const check *host, const samc__dtype *of_views);
    // The arguments that follow are host's: the same, or narrowed to a part of the same buffers.
    void point_at(const check *host);
    // The operator with the scratch that it asks for. `cuda` is all but that. p: by the kernel that this case names.
    samc_status run(samc__cuda cuda, const int *p = nullptr);
    void check_guards() const;
    void refill(const check *host); // what is not an input is again as it was before any run
    float at(int buffer, size_t i) const;
    const check *arguments() const { return &args_; }
    samc__dtype type(int buffer) const { return types_[size_t(buffer)]; }
    samc__dtype view_type() const { return of_views_[0]; } // where a case gives all its views one type
    const emu::Buffer &memory(int buffer) const { return *memory_[size_t(buffer)]; }

    static bool linked(const row *r); // whether the program has the operator's kernel

  private:
    void fill(const check *host, int buffer);
    const row *row_;
    check args_;
    std::vector<samc__dtype> types_, of_views_;
    std::vector<std::unique_ptr<emu::Buffer>> memory_;
};

#endif
