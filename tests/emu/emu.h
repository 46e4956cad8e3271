// emu.h - CUDA kernels on a CPU: one fiber for each CUDA thread, blocks one after another.
//
// A fiber runs until it needs others (a barrier, a shuffle, a tensor-core operation); then the next one of its block
// runs. What the hardware leaves open is a setting here: the order of the threads, and when an asynchronous copy
// happens. What the hardware forbids ends the process with a report of kernel, block, thread and line: divergent
// barriers, incomplete warp masks, misaligned addresses, deadlocks, shared memory out of range, copies nobody waits
// for. Shared memory starts as NaN in every block.
#ifndef SAMC_TESTS_EMU_EMU_H
#define SAMC_TESTS_EMU_EMU_H

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
#include <set>
#include <string>
#include <vector>

#include "tensor_core.h"

namespace emu {

struct Index {
    unsigned x, y, z;
};

// A place in the kernel's source. `id` tells two instructions of one line apart (translated PTX); 0 for host-compiled
// kernels.
struct Site {
    const char *file;
    int line, id;
    static constexpr Site here(const char *file = __builtin_FILE(), int line = __builtin_LINE()) {
        return {file, line, 0};
    }
};

enum class Op {
    running,
    exited,
    barrier,
    syncwarp,
    shuffle,
    ballot,
    ldmatrix,
    ldmatrix_trans,
    mma_f16,
    mma_bf16,
    group_f16,
    group_bf16
};

struct Copy {
    void *to; // 16 bytes in shared memory
    const void *from;
    int bytes; // read; the rest of the 16 is zero
};

// A product of a warpgroup (wgmma): sums in registers, operands in shared memory by descriptor.
struct Product {
    float *sums; // [128] of this lane
    uint64_t a, b;
    uint64_t bytes; // a hash of what the warp read of both
    Site site;
};

struct Thread {
    Index index;
    int lane, warp;
    Op op; // what it waits for
    uint32_t mask;
    Site site; // of its latest operation
    int epoch; // which opening of a barrier released it (for the race detector)
    union {
        uint32_t u[16];
        float f[16];
        const void *address;
    } in, out;                // operands and results of a warp operation
    std::vector<Copy> issued; // not yet in a group
    std::vector<std::vector<Copy>> groups;
    std::vector<size_t>
        unpublished;               // chunks of shared memory that its copies wrote, before a fence to the tensor cores
    std::vector<Product> products; // not yet in a group
    std::vector<std::vector<Product>> product_groups;
    bool begun; // a wgmma.fence since the last commit
    char *stack;
    void *context;    // saved stack pointer, or a ucontext_t
    void *race_state; // ThreadSanitizer's fiber
};

enum class Order { forward, reverse, random };

struct Config {
    Order order = Order::forward;
    uint64_t seed = 1;         // of the random order
    bool early_copies = false; // at issue; otherwise as late as the kernel's waits allow
    int core =
        TENSOR_NEAREST; // how tensor cores add: an index in tensor_cores[] (SAMC_EMU_ACCUMULATE where nobody says)
    std::string what;   // printed with every report: the test's case and parameters
};

struct Counters {
    uint64_t blocks, switches, barriers, shuffles, mma, ldmatrix, bank_conflicts, copies;
};

// One kernel runs at a time in a process, as on one stream.
struct State {
    Thread *self;
    Index block, grid_size, block_size;
    char *shared; // start of the block's shared memory
    size_t shared_bytes;
    const char *kernel;
    Counters counters;
};
extern std::vector<bool>
    unpublished; // 16-byte chunks of shared memory that copies wrote and no fence has shown to the tensor cores
extern Config config;
extern State now;

// Where set, launches of translated PTX are noted here as "symbol threads shared-bytes" and nothing runs.
extern std::set<std::string> *launches;

void launch(const char *kernel, Index grid, Index block, size_t shared_bytes, const std::function<void()> &body);

// Where a launch goes: to a queue of its stream (cuda_twin.cc), or NULL: it runs at once. Returns why it could not
// start, or NULL.
extern const char *(*submit)(void *stream, const char *kernel, std::function<void()> run);
extern bool (*stream_lost)(void *stream); // whether the stream's device has failed; NULL: none ever does
inline const char *on_stream(void *stream, const char *kernel, std::function<void()> run) {
    if (submit) return submit(stream, kernel, std::move(run));
    run();
    return nullptr;
}

void barrier(Site site);
void yield(); // lets another thread run where the order is random: threads that share memory without barriers meet here
void warp_op(Op op, uint32_t mask, Site site); // operands in now.self->in, results in now.self->out
void copy_async(void *to, const void *from, int bytes, Site site);
void copy_commit();
void copy_wait(int groups_left);

[[noreturn]] void fail(const char *format, ...) __attribute__((format(printf, 1, 2)));

uint32_t shuffle(uint32_t mask, uint32_t value, int from_lane, Site site);
uint32_t ballot(uint32_t mask, bool vote, Site site);
void ldmatrix(Op op, uint32_t (&to)[4], const void *row, Site site);
// d = a b + c for a 16 x 16, b 16 x 8, in the PTX manual's fragments; d may be c.
void mma(Op op, float (&d)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1, const float (&c)[4], Site site);

// sums[64][256], spread over a warpgroup, += a . b^T: a 64 x 16, b 256 x 16, both rows of 128 bytes, swizzled. Happens
// at once; that nobody writes the operands before the wait is checked there.
void group_product(Op op, float *sums, uint64_t a, uint64_t b, Site site);
void group_begin();
void group_commit();
void group_wait(int groups_left);
void publish_copies();

// Products of 16-bit values, held as fp32, added as the tensor cores of config.core do (tensor_core.cc). Of a tile: c
// [m, n] += a [m, 16] b [16, n], n a multiple of 8 and at most 256. Of matrices of any shape, for the libraries' twins:
// y [m, n] = x [m, k] w [n, k]^T.
void tensor_tile(float *c, const float *a, const float *b, int m, int n, bool bf16);
void tensor_matrix(float *y, const float *x, const float *w, size_t m, size_t n, size_t k, bool bf16);
int chosen_core(); // what SAMC_EMU_ACCUMULATE says, or nearest; ends the process where it names none

// The device's compute capability, 90 for 9.0: with it comes the shared memory that a block may have, and a launch that
// asks for more ends the process. 9.0, which has all instructions, unless SAMC_EMU_CAPABILITY or a test says otherwise.
extern int capability;
size_t shared_limit(); // ends the process where the capability is none that is known

// What the warp operations compute, for the 32 threads of one warp (warp.cc).
void compute_mma(Thread *warp, bool bf16);
void compute_ldmatrix(Thread *warp, bool trans);
void compute_group(Thread *warp, bool bf16);
uint64_t group_bytes(const Product &p, int warp);             // hash of the operands' bytes now
const char *group_chunk(uint64_t operand, int row, int half); // the 16 bytes of columns 8 half .. of a row

// Device memory for tests: ends at an unreadable page (bytes rounded up to 16), so that one element too far ends the
// process; what lies around it is filled and checked. `check` ends the process when something wrote outside.
class Buffer {
  public:
    explicit Buffer(size_t bytes, int fill = 0xff);
    ~Buffer();
    Buffer(const Buffer &) = delete;
    Buffer &operator=(const Buffer &) = delete;
    void check() const;
    void *data() const { return data_; }
    size_t bytes() const { return bytes_; }
    template <class T> T *as() const { return static_cast<T *>(data_); }

  private:
    char *map_;
    size_t map_bytes_, bytes_;
    void *data_;
};

// Those that exist: what a test may pass to a kernel.
const std::vector<const Buffer *> &buffers();

template <class To, class From> inline To bits(From from) {
    static_assert(sizeof(To) == sizeof(From), "same size");
    To to;
    std::memcpy(&to, &from, sizeof to);
    return to;
}

// 16-bit floats as bits; rounding is to nearest even. from_f16 has no branches, so that loops over it vectorise: the
// exponent is rebiased by a product, which is exact for subnormals too.
inline float from_bf16(uint32_t half) { return bits<float>(half << 16); }
inline float from_f16(uint32_t half) {
    uint32_t magnitude = half & 0x7fff, sign = (half & 0x8000) << 16;
    uint32_t finite = bits<uint32_t>(bits<float>(magnitude << 13) * 0x1p112f);
    uint32_t special = 0x7f800000 | (magnitude & 0x3ff) << 13;
    return bits<float>(sign | (magnitude >= 0x7c00 ? special : finite));
}
uint16_t to_f16(float value);
uint16_t to_bf16(float value);

// x y + z on both halves of a register.
template <float from(uint32_t), uint16_t to(float)> inline uint32_t fma2(uint32_t x, uint32_t y, uint32_t z) {
    auto one = [&](int shift) {
        return uint32_t(
            to(__builtin_fmaf(from(x >> shift & 0xffff), from(y >> shift & 0xffff), from(z >> shift & 0xffff))));
    };
    return one(0) | one(16) << 16;
}

} // namespace emu

#endif
