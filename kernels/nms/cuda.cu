// nms on the GPU: a bit matrix of who overlaps whom, all pairs at once, then one block that walks it in the order of
// priority.
//
// matrix[word][row], bit i: box 32 word + i comes later than box `row` and overlaps it too much. Boxes are decided 32
// at a time: inside a group by one warp in registers, then the kept ones' columns are merged for every later group, 128
// bytes a warp. 3000 boxes: 4.5 M pairs of about 30 instructions and 1.1 MB; the walk is 94 steps of a barrier, bound
// by latency, an estimated 0.15 ms.
#include "kernels/cuda/device.h"
#include "kernels/cuda/wrapper.h"
#include "kernels/nms/nms.h"

namespace samc {

constexpr int kCompareRows = 256; // threads, one row each
constexpr int kSolveThreads = 512;

SAMC_DEVICE float box_area(f32x4 b) { return mul_exact(sub_exact(b.z, b.x), sub_exact(b.w, b.y)); }

// As in ref.c, operation by operation: equal boxes must fall on the same side of the threshold.
SAMC_DEVICE float box_overlap(f32x4 a, f32x4 b) {
    float x0 = a.x > b.x ? a.x : b.x, x1 = a.z < b.z ? a.z : b.z;
    float y0 = a.y > b.y ? a.y : b.y, y1 = a.w < b.w ? a.w : b.w;
    float w = sub_exact(x1, x0), h = sub_exact(y1, y0);
    return mul_exact(w > 0.0f ? w : 0.0f, h > 0.0f ? h : 0.0f);
}

SAMC_DEVICE f32x4 load_box(const float *boxes, int64_t i) {
    return {boxes[4 * i], boxes[4 * i + 1], boxes[4 * i + 2], boxes[4 * i + 3]};
}

// boxes [count, 4], order [count], matrix [words, 32 * words]; block (x, y): 32 columns against kCompareRows rows.
SAMC_KERNEL(kCompareRows, 4)
nms_compare(const float *boxes, const int32_t *order, int count, int words, float threshold, uint32_t *matrix) {
    SAMC_SHARED(shared);
    f32x4 *column_box = reinterpret_cast<f32x4 *>(shared);           // [32]
    float *column_area = reinterpret_cast<float *>(column_box + 32); // [32]
    int first = static_cast<int>(blockIdx.x) * 32, columns = min_of(32, count - first);
    int row = static_cast<int>(blockIdx.y) * kCompareRows + static_cast<int>(threadIdx.x);
    if (static_cast<int>(blockIdx.y) * kCompareRows > first + 31) return; // below the diagonal, the whole block
    if (static_cast<int>(threadIdx.x) < columns) {
        f32x4 box = load_box(boxes, order[first + threadIdx.x]);
        column_box[threadIdx.x] = box;
        column_area[threadIdx.x] = box_area(box);
    }
    __syncthreads(); // the columns' boxes
    if (row >= count || row > first + 31) return;
    f32x4 box = load_box(boxes, order[row]);
    float area = box_area(box);
    uint32_t word = 0;
    for (int i = max_of(0, row + 1 - first); i < columns; i++) {
        float both = box_overlap(box, column_box[i]);
        float iou = div_exact(both, sub_exact(add_exact(area, column_area[i]), both)); // 0 / 0 exceeds nothing
        if (iou > threshold) word |= 1u << i;
    }
    matrix[static_cast<int64_t>(blockIdx.x) * words * 32 + row] = word;
}

// One block. keep [count] by index.
SAMC_KERNEL(kSolveThreads, 1)
nms_solve(const uint32_t *matrix, const int32_t *order, int count, int words, uint8_t *keep) {
    SAMC_SHARED(shared);
    uint32_t *dropped = reinterpret_cast<uint32_t *>(shared); // [words]
    int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
    for (int w = threadIdx.x; w < words; w += kSolveThreads) dropped[w] = 0;
    __syncthreads(); // zeros
    for (int group = 0; group < words; group++) {
        int row = group * 32 + lane;
        if (warp == 0) {
            uint32_t later = row < count ? matrix[static_cast<int64_t>(group) * words * 32 + row] : 0,
                     gone = dropped[group];
            for (uint32_t overlapping = ballot(later != 0); overlapping; overlapping &= overlapping - 1) {
                int i = first_bit(overlapping);
                uint32_t of_i = shuffle(later, i);
                if (!(gone >> i & 1)) gone |= of_i;
            }
            sync_warp(); // everyone has read dropped[group]
            if (lane == 0) dropped[group] = gone;
            if (row < count) keep[order[row]] = static_cast<uint8_t>(~gone >> lane & 1);
        }
        __syncthreads(); // dropped[group] is final
        bool kept = row < count && !(dropped[group] >> lane & 1);
        for (int w = group + 1 + warp; w < words; w += kSolveThreads / 32) {
            uint32_t gone = kept ? matrix[static_cast<int64_t>(w) * words * 32 + row] : 0;
            SAMC_UNROLL
            for (int lanes = 16; lanes > 0; lanes /= 2) gone |= shuffle(gone, lane ^ lanes);
            if (lane == 0) dropped[w] |= gone;
        }
        sync_warp(); // dropped[group + 1] is this first warp's own work; the others are a barrier away
    }
}

} // namespace samc

extern "C" size_t samc__nms_cuda_scratch(const samc__nms_args *a) {
    size_t words = (static_cast<size_t>(a->count) + 31) / 32;
    return words * words * 32 * sizeof(uint32_t);
}

// Indices in `order` must be below `count`; nothing checks them here. At most 2^18 boxes.
extern "C" samc_status samc__nms_cuda(const samc__cuda *cuda, const samc__nms_args *a) {
    using namespace samc;
    SAMC_REQUIRE("nms", a->count >= 0 && a->count <= 1 << 18); // 8 GiB of scratch
    if (a->count == 0) return SAMC_OK;
    SAMC_REQUIRE("nms", cuda->scratch_bytes >= samc__nms_cuda_scratch(a));
    // iou > threshold in double is iou > the largest float not above it.
    float threshold = static_cast<float>(a->threshold);
    if (static_cast<double>(threshold) > a->threshold) threshold = nextafterf(threshold, -INFINITY);
    int count = static_cast<int>(a->count), words = (count + 31) / 32;
    uint32_t *matrix = static_cast<uint32_t *>(cuda->scratch);
    Grid pairs = {static_cast<unsigned>(words), static_cast<unsigned>((count + kCompareRows - 1) / kCompareRows), 1};
    const char *problem = launch("nms_compare", nms_compare, pairs, kCompareRows, 32 * (sizeof(f32x4) + sizeof(float)),
                                 cuda->stream, a->boxes, a->order, count, words, threshold, matrix);
    if (problem == nullptr)
        problem =
            launch("nms_solve", nms_solve, Grid{1, 1, 1}, kSolveThreads, static_cast<size_t>(words) * sizeof(uint32_t),
                   cuda->stream, static_cast<const uint32_t *>(matrix), a->order, count, words, a->keep);
    return started(cuda, "nms", problem);
}
