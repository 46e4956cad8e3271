// small_regions on the GPU: union-find over runs of pixels, one block for a mask, holes first and then islands.
//
// A run is named by row and half its first column (two runs of a row never start in one such pair), so that there is no
// list to make or to size: the place of its first pixel is its node. Joining hangs the later of two roots below the
// earlier, which keeps the first run of a component as its root, as in the reference. Rows are joined in the order of a
// tree, each pair once: 1 to 0, 3 to 2, ..., then 2 to 1, 6 to 5, ..., which keeps chains as short as the tree is high
// instead of as long as the mask. Then every root holds minus the area of its component, and the runs of small
// components are flipped.
//
// One block, because every step needs the one before to be complete; blocks take the masks in turn, as many as the
// scratch allows. A 2250 x 1500 mask is 53,000 words, about 8 passes of 104 words a thread, twice: about 0.5 ms a
// mask, 1.5 ms for 100 masks on an H100 (an estimate, bound by latency). The operator runs only where
// min_mask_region_area is given, on the few masks that are left.
#include "kernels/cuda/device.h"
#include "kernels/cuda/wrapper.h"
#include "kernels/small_regions/small_regions.h"

namespace samc {

constexpr int kThreads = 512;
constexpr size_t kScratch = size_t(256) << 20;

// One mask while its holes or islands are looked for. Runs are read from `before`, so that flipping disturbs nobody.
struct Mask {
    const uint64_t *before; // [height, words]
    int *parent; // [height, pairs], used where a run starts: its parent, itself for a root; at last minus the area in
                 // roots
    int words, height, width, pairs;
    bool value; // which pixels form the runs
};

// 64 pixels, bits set where they belong to runs.
SAMC_DEVICE uint64_t word_at(const Mask &m, int y, int w) {
    uint64_t bits = m.before[static_cast<int64_t>(y) * m.words + w];
    if (m.value) return bits;
    return ~bits & (w == m.words - 1 && m.width % 64 ? (uint64_t(1) << m.width % 64) - 1 : ~uint64_t(0));
}
SAMC_DEVICE bool pixel_at(const Mask &m, int y, int x) {
    return x >= 0 && x < m.width && (word_at(m, y, x / 64) >> x % 64 & 1);
}

// Of those 64, the ones where a run starts.
SAMC_DEVICE uint64_t starts_at(const Mask &m, int y, int w) {
    uint64_t bits = word_at(m, y, w);
    return bits & ~(bits << 1 | (w > 0 ? word_at(m, y, w - 1) >> 63 : 0));
}
SAMC_DEVICE int run_start(const Mask &m, int y, int x) { // of the run that holds x
    int w = x / 64;
    uint64_t gaps = ~word_at(m, y, w) & ~uint64_t(0) >> (63 - x % 64);
    while (gaps == 0 && w > 0) gaps = ~word_at(m, y, --w);
    return gaps ? w * 64 + last_bit(gaps) + 1 : 0;
}
SAMC_DEVICE int run_end(const Mask &m, int y, int x) { // behind its last pixel
    int w = x / 64;
    uint64_t gaps = ~word_at(m, y, w) & ~uint64_t(0) << x % 64;
    while (gaps == 0 && w < m.words - 1) gaps = ~word_at(m, y, ++w);
    return gaps ? w * 64 + first_bit(gaps) : m.width;
}
SAMC_DEVICE int node_of(const Mask &m, int y, int start) { return y * m.pairs + start / 2; }

// Others join meanwhile: a node's parent may change, but always to one of its component and before it.
template <bool shorten> SAMC_DEVICE int find_root(int *parent, int node) {
    int up = load_current(parent + node);
    while (up != node) {
        int next = load_current(parent + up);
        if (shorten && next != up) store_current(parent + node, next); // halves the way of whoever comes next
        node = up;
        up = next;
    }
    return node;
}
SAMC_DEVICE void join(int *parent, int a, int b) {
    while (true) {
        a = find_root<true>(parent, a);
        b = find_root<true>(parent, b);
        if (a == b) return;
        int later = max_of(a, b), earlier = min_of(a, b), was = atomic_min(parent + later, earlier);
        if (was == later) return;
        a = was, b = earlier; // `later` got another parent meanwhile, which belongs to the component too
    }
}

// Joins the runs of row y that start in word w, or touch one that starts there in the row above, corners included.
// Every pair that touches does so for the first time where one of the two starts.
SAMC_DEVICE void join_word(const Mask &m, int y, int w) {
    for (uint64_t starts = starts_at(m, y, w); starts; starts &= starts - 1) {
        int x = w * 64 + first_bit(starts), node = node_of(m, y, x);
        if (pixel_at(m, y - 1, x)) {
            join(m.parent, node, node_of(m, y - 1, run_start(m, y - 1, x)));
            continue;
        }
        if (pixel_at(m, y - 1, x - 1)) join(m.parent, node, node_of(m, y - 1, run_start(m, y - 1, x - 1)));
        if (pixel_at(m, y - 1, x + 1)) join(m.parent, node, node_of(m, y - 1, x + 1));
    }
    for (uint64_t starts = starts_at(m, y - 1, w); starts; starts &= starts - 1) {
        int x = w * 64 + first_bit(starts);
        if (pixel_at(m, y, x - 1)) join(m.parent, node_of(m, y - 1, x), node_of(m, y, run_start(m, y, x - 1)));
    }
}

struct Verdict {
    uint64_t largest; // area and ~node of the largest component, the first of equals
    int small, big;   // whether there are components below and not below the limit
};

SAMC_DEVICE void flip_run(const Mask &m, uint64_t *bits, int y, int x) { // bits [height, words]
    int end = run_end(m, y, x);
    for (int w = x / 64; w * 64 < end; w++) {
        uint64_t from = w == x / 64 ? ~uint64_t(0) << x % 64 : ~uint64_t(0),
                 to = end - w * 64 < 64 ? (uint64_t(1) << (end - w * 64)) - 1 : ~uint64_t(0);
        atomic_xor(bits + static_cast<int64_t>(y) * m.words + w, from & to);
    }
}

// What one thread does: `step` for the first pixel (y, x) of every run in its words.
template <class Step> SAMC_DEVICE void for_runs(const Mask &m, Step step) {
    for (int i = threadIdx.x; i < m.height * m.words; i += kThreads) {
        int y = i / m.words, w = i % m.words;
        for (uint64_t starts = starts_at(m, y, w); starts; starts &= starts - 1) {
            int x = w * 64 + first_bit(starts);
            step(y, x, node_of(m, y, x));
        }
    }
}

// Removes the components of m.value below `least` pixels from bits [height, words]; whether there were any. Unless
// `spare` and all are small: then the largest stays.
SAMC_DEVICE bool remove_small(const Mask &m, uint64_t *before, uint64_t *bits, int least, bool spare,
                              Verdict *verdict) {
    for (int i = threadIdx.x; i < m.height * m.words; i += kThreads) before[i] = bits[i];
    if (threadIdx.x == 0) *verdict = {0, 0, 0};
    __syncthreads(); // before
    for_runs(m, [&](int, int, int node) { m.parent[node] = node; });
    __syncthreads(); // every run is its own root
    for (int step = 1; step < m.height; step *= 2) {
        int joints = (m.height - step + 2 * step - 1) / (2 * step); // rows step, 3 step, 5 step, ...
        for (int i = threadIdx.x; i < joints * m.words; i += kThreads)
            join_word(m, i / m.words * 2 * step + step, i % m.words);
        __syncthreads(); // for the tree's height only: the next joints meet finished parts
    }
    // Nobody shortens another's way now: that could come after the root was stored, and take it back.
    for_runs(m, [&](int, int, int node) { store_current(m.parent + node, find_root<false>(m.parent, node)); });
    __syncthreads(); // every run knows its root
    for_runs(m, [&](int y, int x, int node) {
        if (m.parent[node] == node) m.parent[node] = x - run_end(m, y, x);
    });
    __syncthreads(); // roots are negative
    for_runs(m, [&](int y, int x, int node) {
        int root = load_current(m.parent + node);
        if (root >= 0) atomic_add(m.parent + root, x - run_end(m, y, x));
    });
    __syncthreads(); // areas
    for_runs(m, [&](int, int, int node) {
        int area = -m.parent[node];
        if (area <= 0) return; // no root
        if (area < least) store_current(&verdict->small, 1);
        else store_current(&verdict->big, 1);
        atomic_max(&verdict->largest, static_cast<uint64_t>(area) << 32 | ~static_cast<uint32_t>(node));
    });
    __syncthreads(); // the verdict
    bool small = verdict->small != 0;
    int spared = spare && !verdict->big ? static_cast<int>(~static_cast<uint32_t>(verdict->largest)) : -1;
    if (small)
        for_runs(m, [&](int y, int x, int node) {
            int root = m.parent[node] < 0 ? node : m.parent[node];
            if (-m.parent[root] < least && root != spared) flip_run(m, bits, y, x);
        });
    __syncthreads(); // bits; the verdict is read
    return small;
}

// bits [masks, height, words], changed [masks], scratch [blocks][scratch_each] for `before` and the nodes.
SAMC_KERNEL(kThreads, 2)
small_regions(uint64_t *bits, int64_t masks, int height, int width, int least, uint8_t *changed, char *scratch,
              int64_t scratch_each) {
    SAMC_SHARED(shared);
    Verdict *verdict = reinterpret_cast<Verdict *>(shared);
    int words = (width + 63) / 64, size = height * words;
    uint64_t *before = reinterpret_cast<uint64_t *>(scratch + blockIdx.x * scratch_each);
    Mask m = {before, reinterpret_cast<int *>(before + size), words, height, width, (width + 1) / 2, false};
    for (int64_t mask = blockIdx.x; mask < masks; mask += gridDim.x) {
        m.value = false;
        bool holes = remove_small(m, before, bits + mask * size, least, false, verdict);
        m.value = true; // an island always remains; a hole need not
        bool islands = remove_small(m, before, bits + mask * size, least, true, verdict);
        if (threadIdx.x == 0) changed[mask] = holes || islands;
    }
}

static size_t scratch_each(const samc__small_regions_args *a) {
    size_t words = static_cast<size_t>((a->width + 63) / 64), pairs = static_cast<size_t>((a->width + 1) / 2);
    return (static_cast<size_t>(a->height) * (words * sizeof(uint64_t) + pairs * sizeof(int)) + 255) / 256 * 256;
}
static size_t blocks_of(const samc__small_regions_args *a) {
    size_t most = kScratch / scratch_each(a), masks = static_cast<size_t>(a->masks);
    return most < 1 ? 1 : most < masks ? most : masks;
}

} // namespace samc

extern "C" size_t samc__small_regions_cuda_scratch(const samc__small_regions_args *a) {
    return samc::blocks_of(a) * samc::scratch_each(a);
}

// Scratch for as many masks at a time as 256 MiB hold, at least one.
extern "C" samc_status samc__small_regions_cuda(const samc__cuda *cuda, const samc__small_regions_args *a) {
    using namespace samc;
    SAMC_REQUIRE("small_regions", cuda->scratch_bytes >= samc__small_regions_cuda_scratch(a));
    SAMC_REQUIRE("small_regions", (static_cast<int64_t>(a->width) + 1) / 2 * a->height <= INT32_MAX);
    double least = ceil(a->min_area); // an area below the limit is below the next integer, too
    const char *problem = launch("small_regions", small_regions, Grid{static_cast<unsigned>(blocks_of(a)), 1, 1},
                                 kThreads, sizeof(Verdict), cuda->stream, a->bits, a->masks, a->height, a->width,
                                 least > 0 ? least < INT32_MAX ? static_cast<int>(least) : INT32_MAX : 0, a->changed,
                                 static_cast<char *>(cuda->scratch), static_cast<int64_t>(scratch_each(a)));
    return started(cuda, "small_regions", problem);
}
