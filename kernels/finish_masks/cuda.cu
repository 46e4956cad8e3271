// finish_masks on the GPU: a block takes 16 image rows of one mask, decides strips of 32 pixels from the low-resolution
// logits, and evaluates only the strips that the boundary passes through. Nothing that is resized ever lies in memory.
//
// Both bilinear steps are convex: where every logit that a strip reads lies beyond threshold +- offset by a margin for
// rounding, so does every pixel. In an open strip a lane owns a pixel column and walks down: the two logit rows and the
// two square rows that it stands between stay in registers, mixed horizontally, so that a pixel costs 2.6 mixes where
// 1024 x 683 become 2250 x 1500. The arithmetic is the reference's, operation by operation and without contraction:
// bits and counts are equal. A block's bits meet in shared memory and leave in whole lines.
//
// Estimate for 1000 masks of 2250 x 1500 from 256 x 256 on an H100: 0.26 GB of logits, 2.2 times from L2, and 0.43 GB
// of bits, 0.2 ms; with 4 % of the strips open 1.4e8 pixels of 40 instructions, 0.2 ms; 94,000 blocks, 8 at a time on a
// multiprocessor, that wait for about 3 us each, 0.3 ms. These overlap: below 0.5 ms.
//
// Bicubic is not convex: every strip is open, and a pixel is 16 logits, which are read from L1.
#include "kernels/cuda/cubic_tap.h"
#include "kernels/cuda/device.h"
#include "kernels/cuda/wrapper.h"
#include "kernels/finish_masks/finish_masks.h"

namespace samc {

constexpr int kThreads = 128, kRows = 16, kStrip = 32;
constexpr int kChunk = 4096; // pixel columns of a block, whole words of 64

struct Shape {
    int low, new_height, new_width, height, width;
    float to_low;              // low / img_size
    float to_y, to_x;          // new_height / height, new_width / width
    float middle, high, below; // threshold, threshold + offset, threshold - offset
};

struct Tap { // out = low * (1 - t) + high * t
    int low, high;
    float t;
};

SAMC_DEVICE Tap bilinear_tap(int out, float ratio, int in_size) {
    float source = sub_exact(mul_exact(ratio, add_exact(static_cast<float>(out), 0.5f)), 0.5f);
    if (source < 0.0f) source = 0.0f;
    int low = min_of(static_cast<int>(source), in_size - 1);
    return {low, low + (low < in_size - 1), sub_exact(source, static_cast<float>(low))};
}

SAMC_DEVICE float mix(float low, float high, float t) {
    return add_exact(mul_exact(low, sub_exact(1.0f, t)), mul_exact(high, t));
}

// logits [low, low]
SAMC_DEVICE float cubic_pixel(const CubicTap &x, const CubicTap &y, const float *logits, int low) {
    float pixel = 0.0f;
    SAMC_UNROLL
    for (int j = 0; j < 4; j++) {
        const float *row = logits + static_cast<int64_t>(y.at[j]) * low;
        float sum = mul_exact(row[x.at[0]], x.weight[0]);
        SAMC_UNROLL
        for (int k = 1; k < 4; k++) sum = add_exact(sum, mul_exact(row[x.at[k]], x.weight[k]));
        sum = mul_exact(sum, y.weight[j]);
        pixel = j == 0 ? sum : add_exact(pixel, sum);
    }
    return pixel;
}

// Logit rows or columns first..last that the image rows or columns begin..end - 1 read.
struct Range {
    int first, last;
};
template <bool kCubic>
SAMC_DEVICE Range logits_behind(int begin, int end, float to_square, int square_size, float to_low, int low) {
    if (kCubic)
        return {max_of(0, static_cast<int>(floorf(cubic_source(begin, to_square))) - 1),
                min_of(low - 1, static_cast<int>(floorf(cubic_source(end - 1, to_square))) + 2)};
    int first = bilinear_tap(begin, to_square, square_size).low,
        last = bilinear_tap(end - 1, to_square, square_size).high;
    return {bilinear_tap(first, to_low, low).low, bilinear_tap(last, to_low, low).high};
}

// The same from where `begin` pixels before them end, so that the ranges of neighbours leave no logit between them.
template <bool kCubic>
SAMC_DEVICE Range logits_up_to(int begin, int end, float to_square, int square_size, float to_low, int low) {
    Range r = logits_behind<kCubic>(begin, end, to_square, square_size, to_low, low);
    int next = begin == 0 ? 0 : logits_behind<kCubic>(begin - 1, begin, to_square, square_size, to_low, low).last + 1;
    return {min_of(r.first, next), r.last};
}

// A mix of mixes rounds by less than 1e-6 of each logit in it. NaN and infinity are sure of nothing.
SAMC_DEVICE bool surely_above(float logit, float bound) { return logit - fmaxf(1e-4f, 1e-6f * fabsf(logit)) > bound; }
SAMC_DEVICE bool surely_below(float logit, float bound) { return logit + fmaxf(1e-4f, 1e-6f * fabsf(logit)) < bound; }

SAMC_DEVICE bool all_set(const uint32_t *flags, int first, int last) { // flags [last / 32 + 1]
    for (int word = first / 32; word <= last / 32; word++) {
        uint32_t from = word == first / 32 ? ~0u << first % 32 : ~0u,
                 to = word == last / 32 ? ~0u >> (31 - last % 32) : ~0u;
        if (~flags[word] & from & to) return false;
    }
    return true;
}

// One pixel column on its way down. A logit row is held at the two square columns that the pixel stands between.
struct LogitRow {
    int row; // -1: none
    float left, right;
};
struct SquareRow { // at the pixel's column
    int row;
    float value;
};
struct Column {
    Tap x, left, right; // image column -> square columns -> logit columns of each
    LogitRow logit0, logit1;
    SquareRow square0, square1;
};

SAMC_DEVICE Column column_at(const Shape &s, int x) {
    Column c;
    c.x = bilinear_tap(x, s.to_x, s.new_width);
    c.left = bilinear_tap(c.x.low, s.to_low, s.low);
    c.right = bilinear_tap(c.x.high, s.to_low, s.low);
    c.logit0 = c.logit1 = {-1, 0.0f, 0.0f};
    c.square0 = c.square1 = {-1, 0.0f};
    return c;
}

// logits [low, low]
SAMC_DEVICE LogitRow logit_row(const Column &c, const float *logits, int low, int row) {
    const float *line = logits + static_cast<int64_t>(row) * low;
    return {row, mix(line[c.left.low], line[c.left.high], c.left.t),
            mix(line[c.right.low], line[c.right.high], c.right.t)};
}

SAMC_DEVICE SquareRow square_row(Column &c, const float *logits, const Shape &s, int row) {
    Tap y = bilinear_tap(row, s.to_low, s.low);
    if (c.logit0.row != y.low) c.logit0 = c.logit1.row == y.low ? c.logit1 : logit_row(c, logits, s.low, y.low);
    if (c.logit1.row != y.high) c.logit1 = c.logit0.row == y.high ? c.logit0 : logit_row(c, logits, s.low, y.high);
    return {row, mix(mix(c.logit0.left, c.logit1.left, y.t), mix(c.logit0.right, c.logit1.right, y.t), c.x.t)};
}

SAMC_DEVICE float pixel(Column &c, const float *logits, const Shape &s, int row) {
    Tap y = bilinear_tap(row, s.to_y, s.new_height);
    if (c.square0.row != y.low) c.square0 = c.square1.row == y.low ? c.square1 : square_row(c, logits, s, y.low);
    if (c.square1.row != y.high) c.square1 = c.square0.row == y.high ? c.square0 : square_row(c, logits, s, y.high);
    return mix(c.square0.value, c.square1.value, y.t);
}

// Counts of a block; they fit: kRows * kChunk pixels.
struct Totals {
    int area, above, below, x0, y0, x1, y1;
    int open;   // strips to evaluate
    int spoilt; // 1: a logit is NaN or infinite
};

SAMC_CONSTEXPR size_t tile_bytes(int strips) { return static_cast<size_t>(kRows * strips) * sizeof(uint32_t); }
SAMC_CONSTEXPR size_t shared_bytes(int strips, int low) {
    return tile_bytes(strips) + sizeof(Totals) + static_cast<size_t>(strips) * sizeof(int) +
           2 * static_cast<size_t>((low + 31) / 32) * sizeof(uint32_t);
}

// stats [masks]
SAMC_KERNEL(kThreads, 1)
finish_clear(samc__mask_stats *stats, int masks, int height, int width) {
    int mask = static_cast<int>(blockIdx.x) * kThreads + static_cast<int>(threadIdx.x);
    if (mask < masks) stats[mask] = {0, 0, 0, width, height, -1, -1, 0};
}

// logits [rows, low, low], index [masks] or NULL, picked: how many of them count, or NULL, bits [masks, height, words]
// or NULL, stats [masks]; a block for each mask, group of kRows rows and chunk of columns, chunks innermost.
template <bool kCubic>
SAMC_KERNEL(kThreads, 8)
finish_rows(const float *logits, const int32_t *index, const int32_t *picked, Shape s, int groups, int chunks,
            uint64_t *bits, samc__mask_stats *stats) {
    int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
    int block = static_cast<int>(blockIdx.x), mask = block / chunks / groups;
    int x0 = block % chunks * kChunk, columns = min_of(kChunk, s.width - x0);
    if (picked != nullptr && mask >= *picked) return; // the whole block
    int y0 = block / chunks % groups * kRows, rows = min_of(kRows, s.height - y0);
    int words = (columns + 63) / 64, strips = 2 * words;
    logits += static_cast<int64_t>(index ? index[mask] : mask) * s.low * s.low;

    SAMC_SHARED(shared);
    uint32_t *tile = reinterpret_cast<uint32_t *>(shared); // [kRows, strips]
    Totals *totals = reinterpret_cast<Totals *>(shared + tile_bytes(strips));
    int *open = reinterpret_cast<int *>(totals + 1); // [strips]
    uint32_t *inside =
        reinterpret_cast<uint32_t *>(open + strips); // [low / 32], a bit for each logit column of the block
    uint32_t *outside = inside + (s.low + 31) / 32;

    // Which logit columns are on one side in all rows that this block reads.
    Range across = logits_up_to<kCubic>(x0, x0 + columns, s.to_x, s.new_width, s.to_low, s.low);
    Range down = logits_up_to<kCubic>(y0, y0 + rows, s.to_y, s.new_height, s.to_low, s.low);
    if (threadIdx.x == 0) *totals = {0, 0, 0, s.width, s.height, -1, -1, 0, 0};
    bool spoilt = false;
    for (int first = across.first + warp * 32; first <= across.last; first += kThreads) {
        bool in = first + lane <= across.last && !kCubic, out = in;
        float zero = 0.0f; // NaN where a logit is not finite
        for (int row = down.first; row <= down.last; row++) {
            float logit = logits[static_cast<int64_t>(row) * s.low + min_of(first + lane, across.last)];
            zero = fmaf(logit, 0.0f, zero);
            in = in && surely_above(logit, s.high);
            out = out && surely_below(logit, s.below);
        }
        uint32_t all_in = ballot(in), all_out = ballot(out);
        if (lane == 0) inside[(first - across.first) / 32] = all_in, outside[(first - across.first) / 32] = all_out;
        spoilt = spoilt || zero != 0.0f;
    }
    __syncthreads(); // inside, outside, totals
    if (any(spoilt) && lane == 0) atomic_max(&totals->spoilt, 1);

    for (int strip = threadIdx.x; strip < strips; strip += kThreads) {
        int begin = x0 + strip * kStrip, count = min_of(kStrip, s.width - begin);
        uint32_t word = 0;
        if (count > 0) {
            Range r = logits_behind<kCubic>(begin, begin + count, s.to_x, s.new_width, s.to_low, s.low);
            if (all_set(inside, r.first - across.first, r.last - across.first)) {
                word = ~0u >> (32 - count);
                atomic_add(&totals->above, count * rows);
                atomic_add(&totals->below, count * rows);
            } else if (!all_set(outside, r.first - across.first, r.last - across.first)) {
                open[atomic_add(&totals->open, 1)] = strip;
                continue;
            }
        }
        for (int row = 0; row < rows; row++) tile[row * strips + strip] = word;
    }
    __syncthreads(); // the list of open strips

    for (int i = warp; i < totals->open; i += kThreads / 32) {
        int strip = open[i], x = x0 + strip * kStrip + lane, above = 0, below = 0;
        bool real = x < s.width;
        Column c = column_at(s, min_of(x, s.width - 1));
        CubicTap wide = cubic_tap(min_of(x, s.width - 1), s.to_x, s.low);
        for (int row = 0; row < rows; row++) {
            float logit = kCubic ? cubic_pixel(wide, cubic_tap(y0 + row, s.to_y, s.low), logits, s.low)
                                 : pixel(c, logits, s, y0 + row);
            uint32_t word = ballot(real && logit > s.middle);
            above += count_bits(ballot(real && logit > s.high));
            below += count_bits(ballot(real && logit > s.below));
            if (lane == 0) tile[row * strips + strip] = word;
        }
        if (lane == 0) {
            atomic_add(&totals->above, above);
            atomic_add(&totals->below, below);
        }
    }
    __syncthreads(); // the tile

    int area = 0, left = s.width, top = s.height, right = -1, bottom = -1;
    int64_t row_words = (s.width + 63) / 64, at = (static_cast<int64_t>(mask) * s.height + y0) * row_words + x0 / 64;
    for (int i = threadIdx.x; i < rows * words; i += kThreads) {
        int row = i / words, w = i % words;
        uint64_t word = reinterpret_cast<const uint64_t *>(tile)[i];
        if (bits) bits[at + row * row_words + w] = word;
        if (word == 0) continue;
        area += count_bits(word);
        left = min_of(left, x0 + w * 64 + first_bit(word));
        right = max_of(right, x0 + w * 64 + last_bit(word));
        top = min_of(top, y0 + row);
        bottom = y0 + row;
    }
    if (area > 0) {
        atomic_add(&totals->area, area);
        atomic_min(&totals->x0, left);
        atomic_min(&totals->y0, top);
        atomic_max(&totals->x1, right);
        atomic_max(&totals->y1, bottom);
    }
    __syncthreads(); // totals
    if (threadIdx.x != 0) return;
    samc__mask_stats *out = stats + mask;
    if (totals->spoilt) atomic_max(reinterpret_cast<uint64_t *>(&out->spoilt), uint64_t{1});
    if (totals->below == 0) return; // below counts whatever the others count
    atomic_add(&out->area, static_cast<int64_t>(totals->area));
    atomic_add(&out->above, static_cast<int64_t>(totals->above));
    atomic_add(&out->below, static_cast<int64_t>(totals->below));
    atomic_min(&out->x0, totals->x0);
    atomic_min(&out->y0, totals->y0);
    atomic_max(&out->x1, totals->x1);
    atomic_max(&out->y1, totals->y1);
}

} // namespace samc

// logits f32. Bits and statistics equal the reference's. `index` and `picked`, where given, are device memory and
// trusted; statistics behind *picked are those of an empty mask.
extern "C" samc_status samc__finish_masks_cuda(const samc__cuda *cuda, const samc__finish_masks_args *args) {
    using namespace samc;
    const samc__finish_masks_args steps = samc__finish_masks_steps(args), *a = &steps;
    auto rows = a->path == SAMC__MASKS_BICUBIC ? finish_rows<true> : finish_rows<false>;
    SAMC_REQUIRE("finish_masks", a->logits.dtype == SAMC__F32);
    int64_t masks = samc__finish_masks_count(a), low = a->logits.n[1];
    int groups = (a->height + kRows - 1) / kRows, chunks = (a->width + kChunk - 1) / kChunk;
    SAMC_REQUIRE("finish_masks", low <= 8192 && masks * groups * chunks <= INT32_MAX);
    Shape s = {static_cast<int>(low),
               a->new_height,
               a->new_width,
               a->height,
               a->width,
               static_cast<float>(low) / static_cast<float>(a->img_size),
               static_cast<float>(a->new_height) / static_cast<float>(a->height),
               static_cast<float>(a->new_width) / static_cast<float>(a->width),
               a->threshold,
               a->threshold + a->offset,
               a->threshold - a->offset};
    const char *problem =
        launch("finish_clear", finish_clear, Grid{static_cast<unsigned>((masks + kThreads - 1) / kThreads), 1, 1},
               kThreads, 0, cuda->stream, a->stats, static_cast<int>(masks), a->height, a->width);
    int strips = ((a->width < kChunk ? a->width : kChunk) + 63) / 64 * 2;
    if (problem == nullptr)
        problem = launch("finish_rows", rows, Grid{static_cast<unsigned>(masks * groups * chunks), 1, 1}, kThreads,
                         shared_bytes(strips, s.low), cuda->stream, static_cast<const float *>(a->logits.data),
                         a->index, a->picked, s, groups, chunks, a->bits, a->stats);
    return started(cuda, "finish_masks", problem);
}
