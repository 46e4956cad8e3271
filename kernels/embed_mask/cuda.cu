// embed_mask on the GPU: the whole chain of a mask prompt in one kernel, in fp32 whatever the types, rounded once at
// the end.
//
// A block takes 64 cells of the grid through it in shared memory: a thread computes one 2x2 pixel of the first map,
// then one channel of a cell of the second, then eight cells times four channels of the result. For 1024 prompts of SAM
// (4096 cells, 256 channels): 37 GFLOP, 0.3 GB of logits read and, with 16-bit results, 2.1 GB written; 15 flops a
// byte: bound by memory, so plain fp32 multiply-adds are enough. The image embedding is the same for all prompts of an
// image and stays in L2.
#include "kernels/cuda/device.h"
#include "kernels/cuda/gelu.h"
#include "kernels/cuda/wrapper.h"
#include "kernels/embed_mask/embed_mask.h"

namespace samc {

constexpr int kCells = 64, kThreads = 4 * kCells, kCellStride = kCells + 4,
              kGroup = 8; // cells of a thread in the last product

struct MaskShape {
    int prompts, images, grid, c1, c2, c;
};

// Shared memory, floats: the first map [kCells][4 c1, and one more: lanes meet different banks], the second
// [c2][kCellStride], the last weight [c2][c rounded up to 4, and 4 more].
struct MaskMemory {
    int first_stride, w3_stride, second, w3, floats;
};
SAMC_CONSTEXPR MaskMemory mask_memory(const MaskShape &s) {
    MaskMemory m = {};
    m.first_stride = 4 * s.c1 + 1;
    m.w3_stride = (s.c + 3) / 4 * 4 + 4;
    m.second = kCells * m.first_stride;
    m.w3 = m.second + s.c2 * kCellStride;
    m.floats = m.w3 + s.c2 * m.w3_stride;
    return m;
}

// GELU(LayerNorm) of n numbers `stride` apart, by one thread.
SAMC_DEVICE void norm_gelu(float *x, int stride, int n, const float *gain, const float *shift, float eps) {
    float sum = 0.0f, squares = 0.0f;
    for (int i = 0; i < n; i++) sum += x[i * stride];
    const float mean = sum / static_cast<float>(n);
    for (int i = 0; i < n; i++) squares += (x[i * stride] - mean) * (x[i * stride] - mean);
    const float scale = 1.0f / sqrtf(squares / static_cast<float>(n) + eps);
    for (int i = 0; i < n; i++) x[i * stride] = gelu_erf((x[i * stride] - mean) * scale * gain[i] + shift[i]);
}

// mask [prompts, 4 grid, 4 grid], w1 [c1, 4], w2 [c2, c1, 4], w3 [c, c2], image [images, grid * grid, c], y [prompts,
// grid * grid, c]. grid.x: blocks of cells, grid.y: prompts. vectors: rows of image and y are aligned to four elements.
template <class T>
SAMC_KERNEL(kThreads, 4)
embed_mask_cells(const float *mask, const T *w1, const float *b1, const float *gain1, const float *shift1, float eps1,
                 const T *w2, const float *b2, const float *gain2, const float *shift2, float eps2, const T *w3,
                 const float *b3, const T *image, T *y, MaskShape s, bool vectors) {
    SAMC_SHARED(shared);
    const MaskMemory memory = mask_memory(s);
    float *first = reinterpret_cast<float *>(shared), *second = first + memory.second, *weight = first + memory.w3;
    const int thread = static_cast<int>(threadIdx.x), cells = s.grid * s.grid,
              cell0 = static_cast<int>(blockIdx.x) * kCells;
    const int prompt = static_cast<int>(blockIdx.y), low = 4 * s.grid;

    for (int i = thread; i < s.c2 * s.c; i += kThreads)
        weight[i % s.c2 * memory.w3_stride + i / s.c2] = to_float(w3[i]);
    {
        // Lanes meet the left and right pixels of cells side by side: 8 bytes each of one row of the mask.
        const int cell = thread / 2 % kCells, pixel = thread / (2 * kCells) * 2 + thread % 2;
        const int at = min_of(cell0 + cell, cells - 1), row = at / s.grid * 4 + pixel / 2 * 2,
                  column = at % s.grid * 4 + pixel % 2 * 2;
        const float *from = mask + (static_cast<size_t>(prompt) * low + row) * low + column;
        const f32x2 upper = *reinterpret_cast<const f32x2 *>(from),
                    lower = *reinterpret_cast<const f32x2 *>(from + low);
        float *to = first + cell * memory.first_stride + pixel; // channels 4 apart, as w2 wants them
        for (int i = 0; i < s.c1; i++)
            to[4 * i] = upper.x * to_float(w1[4 * i]) + upper.y * to_float(w1[4 * i + 1]) +
                        lower.x * to_float(w1[4 * i + 2]) + lower.y * to_float(w1[4 * i + 3]) + b1[i];
        norm_gelu(to, 4, s.c1, gain1, shift1, eps1);
    }
    __syncthreads(); // the four pixels of every cell are there
    for (int item = thread; item < kCells * s.c2; item += kThreads) {
        const int cell = item % kCells, o = item / kCells;
        float sum = b2[o];
        for (int i = 0; i < 4 * s.c1; i++)
            sum = fmaf(first[cell * memory.first_stride + i], to_float(w2[o * 4 * s.c1 + i]), sum);
        second[o * kCellStride + cell] = sum;
    }
    __syncthreads(); // every channel of a cell is there
    if (thread < kCells) norm_gelu(second + thread, kCellStride, s.c2, gain2, shift2, eps2);
    __syncthreads(); // every cell is normalised; the last weight is there

    const int quads = (s.c + 3) / 4;
    for (int item = thread; item < quads * (kCells / kGroup); item += kThreads) {
        const int column = item % quads * 4, group = item / quads * kGroup;
        float sum[kGroup][4] = {};
        for (int k = 0; k < s.c2; k++) {
            const f32x4 w = load4(weight + k * memory.w3_stride + column);
            SAMC_UNROLL
            for (int i = 0; i < kGroup; i++) {
                const float x = second[k * kCellStride + group + i];
                sum[i][0] = fmaf(x, w.x, sum[i][0]);
                sum[i][1] = fmaf(x, w.y, sum[i][1]);
                sum[i][2] = fmaf(x, w.z, sum[i][2]);
                sum[i][3] = fmaf(x, w.w, sum[i][3]);
            }
        }
        SAMC_UNROLL
        for (int i = 0; i < kGroup; i++) {
            const int cell = cell0 + group + i;
            if (cell >= cells) continue;
            const T *under =
                image + (static_cast<size_t>(prompt / (s.prompts / s.images)) * cells + cell) * s.c + column;
            T *to = y + (static_cast<size_t>(prompt) * cells + cell) * s.c + column;
            if (vectors) {
                const f32x4 v = load4(under), b = load4(b3 + column);
                store4(to, {v.x + (sum[i][0] + b.x), v.y + (sum[i][1] + b.y), v.z + (sum[i][2] + b.z),
                            v.w + (sum[i][3] + b.w)});
            } else {
                SAMC_UNROLL
                for (int e = 0; e < 4; e++)
                    if (column + e < s.c) store(to + e, to_float(under[e]) + (sum[i][e] + b3[column + e]));
            }
        }
    }
}

template <class T>
static const char *embed_mask_run(const samc__cuda *cuda, const samc__embed_mask_args *a, const MaskShape &s) {
    bool vectors = s.c % 4 == 0 && aligned16(a->image.data) && aligned16(a->y.data) && aligned16(a->conv3.b.data);
    Grid blocks = {static_cast<unsigned>((s.grid * s.grid + kCells - 1) / kCells), static_cast<unsigned>(s.prompts), 1};
    auto floats = [](samc__view v) { return static_cast<const float *>(v.data); };
    auto values = [](samc__view v) { return static_cast<const T *>(v.data); };
    return launch("embed_mask_cells", embed_mask_cells<T>, blocks, kThreads,
                  static_cast<size_t>(mask_memory(s).floats) * sizeof(float), cuda->stream, floats(a->mask),
                  values(a->conv1.w), floats(a->conv1.b), floats(a->norm1.g), floats(a->norm1.b), a->norm1.eps,
                  values(a->conv2.w), floats(a->conv2.b), floats(a->norm2.g), floats(a->norm2.b), a->norm2.eps,
                  values(a->conv3.w), floats(a->conv3.b), values(a->image), static_cast<T *>(a->y.data), s, vectors);
}

} // namespace samc

// y, image and the three weights all f32, all f16 or all bf16; everything else f32. Everything is computed in fp32.
extern "C" samc_status samc__embed_mask_cuda(const samc__cuda *cuda, const samc__embed_mask_args *a) {
    using namespace samc;
    samc__dtype type = a->y.dtype;
    SAMC_REQUIRE("embed_mask", type == SAMC__F32 || type == SAMC__F16 || type == SAMC__BF16);
    SAMC_REQUIRE("embed_mask", a->image.dtype == type && a->mask.dtype == SAMC__F32);
    SAMC_REQUIRE("embed_mask", a->conv1.w.dtype == type && a->conv2.w.dtype == type && a->conv3.w.dtype == type);
    SAMC_REQUIRE("embed_mask",
                 a->conv1.b.dtype == SAMC__F32 && a->conv2.b.dtype == SAMC__F32 && a->conv3.b.dtype == SAMC__F32);
    SAMC_REQUIRE("embed_mask", a->norm1.g.dtype == SAMC__F32 && a->norm1.b.dtype == SAMC__F32 &&
                                   a->norm2.g.dtype == SAMC__F32 && a->norm2.b.dtype == SAMC__F32);
    SAMC_REQUIRE("embed_mask", a->y.n[0] <= 65535 && a->grid <= 4096 && a->y.n[2] <= 65536 && aligned16(a->mask.data));
    MaskShape s = {static_cast<int>(a->y.n[0]),       static_cast<int>(a->image.n[0]),   a->grid,
                   static_cast<int>(a->norm1.g.n[0]), static_cast<int>(a->norm2.g.n[0]), static_cast<int>(a->y.n[2])};
    SAMC_REQUIRE("embed_mask", static_cast<size_t>(mask_memory(s).floats) * sizeof(float) <= 96 << 10);
    const char *problem = type == SAMC__F32   ? embed_mask_run<float>(cuda, a, s)
                          : type == SAMC__F16 ? embed_mask_run<f16>(cuda, a, s)
                                              : embed_mask_run<bf16>(cuda, a, s);
    return started(cuda, "embed_mask", problem);
}
