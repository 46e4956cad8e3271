// select_masks on the GPU: one block counts its votes by warp, 1024 masks at a time, and writes each index behind those
// before it.
#include "kernels/cuda/device.h"
#include "kernels/cuda/wrapper.h"
#include "kernels/select_masks/select_masks.h"

namespace samc {

constexpr int kSelectThreads = 1024;

// iou [count], index [count], picked [1]; one block.
SAMC_KERNEL(kSelectThreads, 1)
select_masks(const float *iou, int count, float threshold, int all, int32_t *index, int32_t *picked) {
    SAMC_SHARED(shared);
    int *of_warp = reinterpret_cast<int *>(shared); // [kSelectThreads / 32]
    const int lane = static_cast<int>(threadIdx.x) % 32, warp = static_cast<int>(threadIdx.x) / 32;
    int before = 0; // masks that passed in earlier rounds
    for (int first = 0; first < count; first += kSelectThreads) {
        const int i = first + static_cast<int>(threadIdx.x);
        const bool passes = i < count && (all != 0 || iou[i] > threshold);
        const uint32_t votes = ballot(passes);
        if (lane == 0) of_warp[warp] = count_bits(votes);
        __syncthreads(); // of_warp
        int place = before;
        for (int w = 0; w < kSelectThreads / 32; w++) {
            if (w == warp) place = before;
            before += of_warp[w];
        }
        if (passes) index[place + count_bits(votes & ((1u << lane) - 1u))] = i;
        __syncthreads(); // of_warp is read, and is written next
    }
    if (threadIdx.x == 0) *picked = before;
}

} // namespace samc

// At most 2^31 - 1025 masks.
extern "C" samc_status samc__select_masks_cuda(const samc__cuda *cuda, const samc__select_masks_args *a) {
    using namespace samc;
    SAMC_REQUIRE("select_masks", a->count <= INT32_MAX - kSelectThreads);
    const char *problem = launch("select_masks", select_masks, Grid{1, 1, 1}, kSelectThreads,
                                 kSelectThreads / 32 * sizeof(int), cuda->stream, a->iou, static_cast<int>(a->count),
                                 a->threshold, static_cast<int>(a->all), a->index, a->picked);
    return started(cuda, "select_masks", problem);
}
