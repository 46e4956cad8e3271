// choose_masks on the GPU: one block a prompt counts its first mask's logits, and copies the one that is chosen.
//
// 64 prompts of 256 x 256 logits: 17 MB read for the counts, and as much read and written for the copy.
#include "kernels/choose_masks/choose_masks.h"
#include "kernels/cuda/device.h"
#include "kernels/cuda/wrapper.h"

namespace samc {

constexpr int kChooseThreads = 512;

SAMC_DEVICE float probability(float logit) { return 1.0f / (1.0f + expf(-logit)); }

SAMC_DEVICE int best_mask(const float *iou, int masks) {
    int best = 1;
    for (int i = 2; i < masks; i++) {
        const float x = probability(iou[i]);
        if (x > probability(iou[best]) || x != x) best = i;
    }
    return best;
}

// iou [prompts, masks], logits [prompts, masks, size], y [prompts, size], y_iou [prompts]; a block for each prompt.
SAMC_KERNEL(kChooseThreads, 2)
choose_masks(const float *iou, const float *logits, float *y, float *y_iou, int masks, int64_t size, float delta,
             float threshold) {
    SAMC_SHARED(shared);
    int *of_warp = reinterpret_cast<int *>(shared); // [2][kChooseThreads / 32]: above, below
    constexpr int warps = kChooseThreads / 32;
    const int thread = static_cast<int>(threadIdx.x), lane = thread % 32;
    const int64_t prompt = static_cast<int64_t>(blockIdx.x);
    iou += prompt * masks;
    logits += prompt * masks * size;
    int above = 0, below = 0; // of a warp's lanes
    for (int64_t i = thread - lane; i < size; i += kChooseThreads) {
        const bool in = i + lane < size;
        const float x = in ? logits[i + lane] : 0.0f;
        above += count_bits(ballot(in && x > delta));
        below += count_bits(ballot(in && x > -delta));
    }
    if (lane == 0) of_warp[thread / 32] = above;
    if (lane == 0) of_warp[warps + thread / 32] = below;
    __syncthreads(); // the warps' counts
    above = 0;
    below = 0;
    for (int w = 0; w < warps; w++) {
        above += of_warp[w];
        below += of_warp[warps + w];
    }
    const bool stable = below == 0 || static_cast<float>(above) / static_cast<float>(below) >= threshold;
    const int mask = stable ? 0 : best_mask(iou, masks);
    for (int64_t i = thread; i < size; i += kChooseThreads) y[prompt * size + i] = logits[mask * size + i];
    if (thread == 0) y_iou[prompt] = probability(iou[mask]);
}

// iou [prompts, masks] -> y [prompts, given] of those from `first` on.
SAMC_KERNEL(kChooseThreads, 2)
mask_probabilities(const float *iou, float *y, int64_t count, int masks, int first, int given) {
    const int64_t i = static_cast<int64_t>(blockIdx.x) * kChooseThreads + threadIdx.x;
    if (i < count) y[i] = probability(iou[i / given * masks + first + i % given]);
}

} // namespace samc

extern "C" samc_status samc__choose_masks_cuda(const samc__cuda *cuda, const samc__choose_masks_args *a) {
    using namespace samc;
    const int64_t prompts = a->iou.n[0], masks = a->iou.n[1], given = a->y_iou.n[1];
    SAMC_REQUIRE("choose_masks", a->iou.dtype == SAMC__F32 && a->y_iou.dtype == SAMC__F32);
    SAMC_REQUIRE("choose_masks", prompts <= INT32_MAX && masks <= INT32_MAX);
    const float *iou = static_cast<const float *>(a->iou.data);
    float *y_iou = static_cast<float *>(a->y_iou.data);
    if (a->logits.rank == 0) {
        const int64_t blocks = (prompts * given + kChooseThreads - 1) / kChooseThreads;
        SAMC_REQUIRE("choose_masks", blocks <= INT32_MAX);
        return started(cuda, "choose_masks",
                       launch("mask_probabilities", mask_probabilities, Grid{static_cast<unsigned>(blocks), 1, 1},
                              kChooseThreads, 0, cuda->stream, iou, y_iou, prompts * given, static_cast<int>(masks),
                              a->first, static_cast<int>(given)));
    }
    const int64_t size = a->logits.n[2] * a->logits.n[3];
    SAMC_REQUIRE("choose_masks", a->logits.dtype == SAMC__F32 && a->y.dtype == SAMC__F32 && size <= INT32_MAX);
    return started(cuda, "choose_masks",
                   launch("choose_masks", choose_masks, Grid{static_cast<unsigned>(prompts), 1, 1}, kChooseThreads,
                          2 * kChooseThreads / 32 * sizeof(int), cuda->stream, iou,
                          static_cast<const float *>(a->logits.data), static_cast<float *>(a->y.data), y_iou,
                          static_cast<int>(masks), size, a->delta, a->threshold));
}
