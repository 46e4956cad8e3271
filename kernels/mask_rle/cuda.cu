// mask_rle on the GPU: transitions counted by column, two prefix scans over the columns, run lengths written where they
// belong.
//
// A warp owns 32 columns and walks down in squares of 32 x 32 pixels: a lane loads a row's word and compares it with
// the row above; most squares hold no transition and end there. The others are transposed in registers, so that a lane
// has its column's transitions in one word, in order. A run ends where a column's next transition is, or behind the
// last one of an earlier column: the scan over the columns carries both, how many transitions came before and where the
// last one was. Placing skips columns without any.
//
// A mask of 2250 x 1500 is 3340 squares, each a load of 32 sectors: 0.5 us of the load units of an H100, 0.5 to 1 us
// with placing, and 0.43 to 0.86 MB from L2: an estimated 0.1 ms for the 100 to 200 masks that automatic mode keeps, 1
// ms for 1000.
#include "kernels/cuda/device.h"
#include "kernels/cuda/wrapper.h"
#include "kernels/mask_rle/mask_rle.h"

namespace samc {

constexpr int kWarps = 8,
              kThreads =
                  kWarps * 32; // of counting and placing: a warp for 32 columns, a block for whole sectors of 32 bytes
constexpr int kScanThreads = 256;

// What the transitions of a column are to the columns behind it.
struct Ends {
    uint32_t count; // of transitions; after the scan: in all columns before this one
    uint32_t last;  // position of the last one, 0: none; after the scan: of the last one before this column
};

// Row r of lane c becomes row c of lane r, in bits.
SAMC_DEVICE uint32_t transpose32(uint32_t x, int lane) {
    uint32_t low = 0x0000ffffu; // bits that stay in the lanes of the first half
    SAMC_UNROLL
    for (int step = 16; step > 0; step /= 2, low ^= low << step) {
        uint32_t other = shuffle(x, lane ^ step);
        x = lane & step ? (x & ~low) | (other >> step & low) : (x & low) | (other & low) << step;
    }
    return x;
}

// The transitions of 32 columns in the rows from y on, one word for each lane's column, bit r is row y + r; 0
// everywhere when there are none. mask [height, 2 * words] as 32-bit words, `at` the columns' word.
SAMC_DEVICE uint32_t transitions(const uint32_t *mask, int words, int height, int at, int y, int lane) {
    int row = y + lane, stride = 2 * words;
    const uint32_t *word = mask + static_cast<int64_t>(row) * stride + at;
    uint32_t own = row < height ? word[0] : 0, above = shuffle(own, lane - 1);
    if (lane == 0 && y > 0) above = word[-stride];
    if (lane == 0 && y == 0) { // row 0 differs from the foot of the column to its left
        const uint32_t *foot = mask + static_cast<int64_t>(height - 1) * stride + at;
        above = foot[0] << 1 | (at > 0 ? foot[-1] >> 31 : 0);
    }
    uint32_t changes = row < height ? own ^ above : 0;
    return any(changes != 0) ? transpose32(changes, lane) : 0;
}

// bits [masks, height, words], ends [masks, columns]; a warp for each mask and 32 columns. columns = 64 * words.
SAMC_KERNEL(kThreads, 4)
rle_count(const uint64_t *bits, int64_t warps, int words, int height, int width, Ends *ends) {
    int lane = threadIdx.x % 32, groups = 2 * words;
    int64_t warp = static_cast<int64_t>(blockIdx.x) * kWarps + threadIdx.x / 32;
    if (warp >= warps) return;
    int at = static_cast<int>(warp % groups), x = at * 32 + lane;
    const uint32_t *mask = reinterpret_cast<const uint32_t *>(bits) + warp / groups * height * groups;
    Ends e = {0, 0};
    for (int y = 0; y < height; y += 32) {
        uint32_t rows = transitions(mask, words, height, at, y, lane);
        if (rows == 0) continue;
        e.count += static_cast<uint32_t>(count_bits(rows));
        e.last = static_cast<uint32_t>(x) * static_cast<uint32_t>(height) + static_cast<uint32_t>(y + last_bit(rows));
    }
    ends[warp * 32 + lane] = x < width ? e : Ends{0, 0};
}

// Sum of the counts and maximum of the positions of this lane and all before it.
SAMC_DEVICE Ends warp_scan(Ends e, int lane) {
    SAMC_UNROLL
    for (int step = 1; step < 32; step *= 2) {
        uint32_t count = shuffle(e.count, lane - step), last = shuffle(e.last, lane - step);
        if (lane < step) continue;
        e.count += count;
        e.last = last > e.last ? last : e.last;
    }
    return e;
}

// ends [masks, columns], counts [masks, capacity], lengths [masks]; a block for each mask.
SAMC_KERNEL(kScanThreads, 4)
rle_scan(Ends *ends, int columns, uint32_t pixels, int64_t capacity, uint32_t *counts, int64_t *lengths) {
    SAMC_SHARED(shared);
    Ends *of_warp = reinterpret_cast<Ends *>(shared); // [kScanThreads / 32]
    int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
    ends += static_cast<int64_t>(blockIdx.x) * columns;
    Ends before = {0, 0}; // all columns of earlier rounds
    for (int first = 0; first < columns; first += kScanThreads) {
        int x = first + static_cast<int>(threadIdx.x);
        Ends own = x < columns ? ends[x] : Ends{0, 0}, here = warp_scan(own, lane);
        if (lane == 31) of_warp[warp] = here;
        __syncthreads(); // of_warp
        Ends sum = before;
        for (int w = 0; w < kScanThreads / 32; w++) {
            if (w == warp) { // what came before this column, itself not included
                uint32_t left = shuffle(here.last, lane - 1);
                if (lane == 0) left = 0;
                if (x < columns) ends[x] = {sum.count + here.count - own.count, left > sum.last ? left : sum.last};
            }
            sum.count += of_warp[w].count;
            sum.last = of_warp[w].last > sum.last ? of_warp[w].last : sum.last;
        }
        before = sum;
        __syncthreads(); // of_warp is read, and is written next
    }
    if (threadIdx.x != 0) return;
    lengths[blockIdx.x] = static_cast<int64_t>(before.count) + 1;
    if (before.count < capacity)
        counts[static_cast<int64_t>(blockIdx.x) * capacity + before.count] = pixels - before.last;
}

// As rle_count; ends after the scan.
SAMC_KERNEL(kThreads, 4)
rle_place(const uint64_t *bits, int64_t warps, int words, int height, int width, const Ends *ends,
          const int64_t *lengths, int64_t capacity, uint32_t *counts) {
    int lane = threadIdx.x % 32, groups = 2 * words;
    int64_t warp = static_cast<int64_t>(blockIdx.x) * kWarps + threadIdx.x / 32;
    if (warp >= warps || lengths[warp / groups] > capacity) return;
    int at = static_cast<int>(warp % groups), x = at * 32 + lane;
    const uint32_t *mask = reinterpret_cast<const uint32_t *>(bits) + warp / groups * height * groups;
    int64_t behind = at + 1 < groups ? ends[(warp + 1) * 32].count : lengths[warp / groups] - 1;
    if (behind == ends[warp * 32].count) return; // no transition in these columns
    Ends before = ends[warp * 32 + lane];
    uint32_t *next = counts + warp / groups * capacity + before.count;
    for (int y = 0; y < height; y += 32) {
        uint32_t top = static_cast<uint32_t>(x) * static_cast<uint32_t>(height) + static_cast<uint32_t>(y);
        for (uint32_t rows = transitions(mask, words, height, at, y, lane); rows && x < width; rows &= rows - 1) {
            uint32_t position = top + static_cast<uint32_t>(first_bit(rows));
            *next++ = position - before.last;
            before.last = position;
        }
    }
}

} // namespace samc

extern "C" size_t samc__mask_rle_cuda_scratch(const samc__mask_rle_args *a) {
    return static_cast<size_t>(a->masks) * ((static_cast<size_t>(a->width) + 63) / 64) * 64 * sizeof(samc::Ends);
}

extern "C" samc_status samc__mask_rle_cuda(const samc__cuda *cuda, const samc__mask_rle_args *a) {
    using namespace samc;
    SAMC_REQUIRE("mask_rle", cuda->scratch_bytes >= samc__mask_rle_cuda_scratch(a));
    int words = (a->width + 63) / 64;
    int64_t warps = a->masks * 2 * words, blocks = (warps + kWarps - 1) / kWarps;
    SAMC_REQUIRE("mask_rle", blocks <= INT32_MAX);
    Ends *ends = static_cast<Ends *>(cuda->scratch);
    Grid grid = {static_cast<unsigned>(blocks), 1, 1};
    const char *problem = launch("rle_count", rle_count, grid, kThreads, 0, cuda->stream, a->bits, warps, words,
                                 a->height, a->width, ends);
    if (problem == nullptr)
        problem = launch("rle_scan", rle_scan, Grid{static_cast<unsigned>(a->masks), 1, 1}, kScanThreads,
                         kScanThreads / 32 * sizeof(Ends), cuda->stream, ends, 64 * words,
                         static_cast<uint32_t>(a->width) * static_cast<uint32_t>(a->height), a->capacity, a->counts,
                         a->lengths);
    if (problem == nullptr)
        problem =
            launch("rle_place", rle_place, grid, kThreads, 0, cuda->stream, a->bits, warps, words, a->height, a->width,
                   static_cast<const Ends *>(ends), static_cast<const int64_t *>(a->lengths), a->capacity, a->counts);
    return started(cuda, "mask_rle", problem);
}
