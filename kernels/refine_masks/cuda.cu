// refine_masks on the GPU, any shape. A block makes 8 x 8 pixels of one prompt: the map of 12 x 12 and what lies
// between the convolutions of 10 x 10 are in shared memory, in fp32. The second convolution has the prompt's vector in
// its weight, which a kernel before it makes in scratch, [prompts, 9 middle + 1] and the masks that were chosen.
#include "kernels/cuda/gelu.h"
#include "kernels/cuda/gemm_step.h"
#include "kernels/cuda/wrapper.h"
#include "kernels/refine_masks/refine_masks.h"

namespace samc {

constexpr int kRefineThreads = 256, kRefineTile = 8, kRefineWide = kRefineTile + 4, kRefineBetween = kRefineTile + 2;

struct RefineShape {
    int c, middle, side, masks, each, alone; // each: prompts of an image
};
SAMC_CONSTEXPR size_t refine_floats(const RefineShape &s) {
    return static_cast<size_t>(kRefineWide * kRefineWide) * static_cast<size_t>(s.c) +
           static_cast<size_t>(kRefineBetween * kRefineBetween) * static_cast<size_t>(s.middle);
}

// w2 [c, middle * 9], b2 [c], refiner [prompts, c], iou [prompts, masks] -> folded [prompts, 9 middle + 1], chosen and
// y_iou [prompts]. A block a prompt.
template <class T>
SAMC_KERNEL(kRefineThreads, 4)
refine_fold(const T *w2, const float *b2, const float *refiner, const float *iou, float *folded, int *chosen,
            float *y_iou, RefineShape s) {
    const int prompt = static_cast<int>(blockIdx.x), thread = static_cast<int>(threadIdx.x), columns = 9 * s.middle;
    const float *vector = refiner + static_cast<size_t>(prompt) * s.c;
    float *out = folded + static_cast<size_t>(prompt) * (columns + 1);
    for (int n = thread; n <= columns; n += kRefineThreads) {
        float sum = 0.0f;
        for (int i = 0; i < s.c; i++)
            sum = fmaf(vector[i], n < columns ? to_float(w2[static_cast<size_t>(i) * columns + n]) : b2[i], sum);
        out[n] = sum;
    }
    if (thread > 0) return;
    const float *of = iou + static_cast<size_t>(prompt) * s.masks;
    int best = 0;
    for (int i = 1; i < s.masks; i++)
        if (of[i] > of[best] || of[i] != of[i]) best = i; // no number: to be told of
    chosen[prompt] = best;
    y_iou[prompt] = of[best];
}

// map [prompts, side * side, c], image [images, side * side, c], w1 [middle, c, 9], y [prompts, side, side]. grid.x:
// tiles, row by row; grid.y: prompts.
template <class T>
SAMC_KERNEL(kRefineThreads, 2)
refine_masks(const T *map, const T *image, const T *w1, const float *b1, const float *gain, const float *shift,
             float eps, const float *folded, const int *chosen, const float *refiner, const float *hyper, float *y,
             RefineShape s) {
    SAMC_SHARED(shared);
    float *wide = reinterpret_cast<float *>(shared);         // [kRefineWide][kRefineWide][c]
    float *between = wide + kRefineWide * kRefineWide * s.c; // [kRefineBetween][kRefineBetween][middle]
    const int thread = static_cast<int>(threadIdx.x), lane = thread % 32, prompt = static_cast<int>(blockIdx.y),
              tiles = (s.side + kRefineTile - 1) / kRefineTile,
              top = static_cast<int>(blockIdx.x) / tiles * kRefineTile,
              left = static_cast<int>(blockIdx.x) % tiles * kRefineTile;
    const T *own = map + static_cast<size_t>(prompt) * s.side * s.side * s.c;
    for (int i = thread; i < kRefineWide * kRefineWide * s.c; i += kRefineThreads) {
        const int row = top - 2 + i / s.c / kRefineWide, column = left - 2 + i / s.c % kRefineWide;
        const bool within = row >= 0 && row < s.side && column >= 0 && column < s.side;
        wide[i] = within ? to_float(own[(static_cast<size_t>(row) * s.side + column) * s.c + i % s.c]) : 0.0f;
    }
    __syncthreads(); // the map was read by everyone
    for (int i = thread; i < kRefineBetween * kRefineBetween * s.middle; i += kRefineThreads) {
        const int o = i % s.middle, pixel = i / s.middle, row = pixel / kRefineBetween, column = pixel % kRefineBetween;
        float sum = b1[o];
        for (int tap = 0; tap < 9; tap++) {
            const float *from = wide + ((row + tap / 3) * kRefineWide + column + tap % 3) * s.c;
            for (int k = 0; k < s.c; k++)
                sum = fmaf(from[k], to_float(w1[(static_cast<size_t>(o) * s.c + k) * 9 + tap]), sum);
        }
        between[i] = sum;
    }
    __syncthreads(); // every channel of a pixel is there
    for (int pixel = thread / 32; pixel < kRefineBetween * kRefineBetween;
         pixel += kRefineThreads / 32) { // a warp each
        float *of = between + pixel * s.middle, sum = 0.0f, squares = 0.0f;
        const int row = top - 1 + pixel / kRefineBetween, column = left - 1 + pixel % kRefineBetween;
        const bool within = row >= 0 && row < s.side && column >= 0 && column < s.side;
        for (int i = lane; i < s.middle; i += 32) sum += of[i];
        const float mean = warp_sum(sum) / static_cast<float>(s.middle);
        for (int i = lane; i < s.middle; i += 32) squares += (of[i] - mean) * (of[i] - mean);
        const float scale = 1.0f / sqrtf(warp_sum(squares) / static_cast<float>(s.middle) + eps);
        for (int i = lane; i < s.middle; i += 32)
            of[i] = within ? gelu_erf((of[i] - mean) * scale * gain[i] + shift[i]) : 0.0f;
    }
    __syncthreads(); // all pixels are normalised
    const float *by = folded + static_cast<size_t>(prompt) * (9 * s.middle + 1),
                *vector = refiner + static_cast<size_t>(prompt) * s.c,
                *chosen_by = hyper + (static_cast<size_t>(prompt) * s.masks + chosen[prompt]) * s.c;
    for (int pixel = thread / 32; pixel < kRefineTile * kRefineTile; pixel += kRefineThreads / 32) { // a warp each
        const int row = pixel / kRefineTile, column = pixel % kRefineTile;
        if (top + row >= s.side || left + column >= s.side) continue;
        const size_t at = static_cast<size_t>(top + row) * s.side + left + column;
        const T *more = image + (static_cast<size_t>(prompt / s.each) * s.side * s.side + at) * s.c;
        const float *of = wide + ((row + 2) * kRefineWide + column + 2) * s.c;
        float sum = lane == 0 ? by[9 * s.middle] : 0.0f;
        for (int tap = 0; tap < 9; tap++) {
            const float *from = between + ((row + tap / 3) * kRefineBetween + column + tap % 3) * s.middle;
            for (int i = lane; i < s.middle; i += 32) sum = fmaf(from[i], by[i * 9 + tap], sum);
        }
        for (int i = lane; i < s.c; i += 32) {
            sum = fmaf(vector[i], to_float(more[i]), sum);
            if (!s.alone) sum = fmaf(chosen_by[i], of[i], sum);
        }
        sum = warp_sum(sum);
        if (lane == 0) y[static_cast<size_t>(prompt) * s.side * s.side + at] = sum;
    }
}

// ---- host ---------------------------------------------------------------------------------------

static inline const float *refine_floats_of(samc__view v) { return static_cast<const float *>(v.data); }

template <class T>
static const char *refine_run(const samc__cuda *cuda, const samc__refine_masks_args *a, const RefineShape &s) {
    const unsigned prompts = static_cast<unsigned>(a->map.n[0]);
    const int64_t tiles = tiles_of(s.side, kRefineTile);
    float *folded = static_cast<float *>(cuda->scratch);
    int *chosen = reinterpret_cast<int *>(static_cast<char *>(cuda->scratch) +
                                          scratch_part(a->map.n[0] * (9 * static_cast<int64_t>(s.middle) + 1), 4));
    const char *problem =
        launch("refine_fold", refine_fold<T>, Grid{prompts, 1, 1}, kRefineThreads, 0, cuda->stream,
               static_cast<const T *>(a->conv2.w.data), refine_floats_of(a->conv2.b), refine_floats_of(a->refiner),
               refine_floats_of(a->iou), folded, chosen, static_cast<float *>(a->y_iou.data), s);
    if (problem != nullptr) return problem;
    return launch("refine_masks", refine_masks<T>, Grid{static_cast<unsigned>(tiles * tiles), prompts, 1},
                  kRefineThreads, refine_floats(s) * sizeof(float), cuda->stream, static_cast<const T *>(a->map.data),
                  static_cast<const T *>(a->image.data), static_cast<const T *>(a->conv1.w.data),
                  refine_floats_of(a->conv1.b), refine_floats_of(a->norm.g), refine_floats_of(a->norm.b), a->norm.eps,
                  static_cast<const float *>(folded), static_cast<const int *>(chosen), refine_floats_of(a->refiner),
                  refine_floats_of(a->hyper), static_cast<float *>(a->y.data), s);
}

} // namespace samc

extern "C" size_t samc__refine_masks_cuda_scratch(const samc__refine_masks_args *a) {
    return samc::scratch_part(a->map.n[0] * (9 * a->norm.g.n[0] + 1), sizeof(float)) +
           samc::scratch_part(a->map.n[0], sizeof(int));
}

// map, image and both weights f32, f16 or bf16 alike; the rest f32.
extern "C" samc_status samc__refine_masks_cuda(const samc__cuda *cuda, const samc__refine_masks_args *a) {
    using namespace samc;
    const samc__dtype type = a->map.dtype;
    SAMC_REQUIRE("refine_masks", type == SAMC__F32 || type == SAMC__F16 || type == SAMC__BF16);
    SAMC_REQUIRE("refine_masks", a->image.dtype == type && a->conv1.w.dtype == type && a->conv2.w.dtype == type);
    SAMC_REQUIRE("refine_masks", a->conv1.b.dtype == SAMC__F32 && a->conv2.b.dtype == SAMC__F32 &&
                                     norm_is_float(a->norm) && a->refiner.dtype == SAMC__F32 &&
                                     a->hyper.dtype == SAMC__F32 && a->iou.dtype == SAMC__F32);
    SAMC_REQUIRE("refine_masks", a->y.dtype == SAMC__F32 && a->y_iou.dtype == SAMC__F32);
    SAMC_REQUIRE("refine_masks", a->map.n[0] <= 65535 && a->grid < 1 << 12);
    SAMC_REQUIRE("refine_masks", cuda->scratch != nullptr && cuda->scratch_bytes >= samc__refine_masks_cuda_scratch(a));
    const RefineShape s = {static_cast<int>(a->map.n[2]),
                           static_cast<int>(a->norm.g.n[0]),
                           4 * a->grid,
                           static_cast<int>(a->hyper.n[1]),
                           static_cast<int>(a->map.n[0] / a->image.n[0]),
                           a->alone ? 1 : 0};
    SAMC_REQUIRE("refine_masks", refine_floats(s) * sizeof(float) <= 99 << 10);
    const char *problem = type == SAMC__F32   ? refine_run<float>(cuda, a, s)
                          : type == SAMC__F16 ? refine_run<f16>(cuda, a, s)
                                              : refine_run<bf16>(cuda, a, s);
    return started(cuda, "refine_masks", problem);
}
