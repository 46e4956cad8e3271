// emu.cc - the scheduler: fibers, block barriers, warp operations, asynchronous copies. Never compiled with a sanitizer
// itself (it switches stacks); SAMC_EMU_ASAN or SAMC_EMU_TSAN say which one the kernels are compiled with.
#include "emu.h"
#include "emu_memory.h"

#include <algorithm>
#include <csignal>
#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <unistd.h>

#if !defined(__x86_64__) || defined(SAMC_EMU_UCONTEXT)
#include <ucontext.h>
#define USE_UCONTEXT 1
#endif

#ifdef SAMC_EMU_TSAN
extern "C" {
void *__tsan_get_current_fiber();
void *__tsan_create_fiber(unsigned);
void __tsan_destroy_fiber(void *);
void __tsan_switch_to_fiber(void *, unsigned);
void __tsan_acquire(void *);
void __tsan_release(void *);
void __tsan_read16(void *);
void __tsan_write16(void *);
}
#else
static void __tsan_acquire(void *) {}
static void __tsan_release(void *) {}
static void __tsan_read16(void *) {}
static void __tsan_write16(void *) {}
#endif
#ifdef SAMC_EMU_ASAN
extern "C" {
void __sanitizer_start_switch_fiber(void **, const void *, size_t);
void __sanitizer_finish_switch_fiber(void *, const void **, size_t *);
void *__asan_region_is_poisoned(void *, size_t);
}
#endif

namespace emu {

static Config first_config() {
    Config c;
    c.core = chosen_core();
    return c;
}
Config config = first_config();
int capability = std::getenv("SAMC_EMU_CAPABILITY") == nullptr ? 90 : std::atoi(std::getenv("SAMC_EMU_CAPABILITY"));
State now;
std::vector<bool> unpublished;
const char *(*submit)(void *stream, const char *kernel, std::function<void()> run);
bool (*stream_lost)(void *stream);
std::set<std::string> *launches;

namespace {

constexpr size_t kStack = 256 << 10;
constexpr int kMaxThreads = 1024;

std::vector<Thread> threads; // grown once, then reused by every block
Thread scheduler;            // the context that called launch
const std::function<void()> *kernel_body;
int thread_count, warp_count, alive, at_barrier;
uint32_t runnable[kMaxThreads / 32];
uint64_t random_state;

// A warp operation whose lanes are still arriving. Divergent lanes may fill several with disjoint masks.
struct Gathering {
    uint32_t mask, arrived;
    Op op;
    Site site;
};
Gathering gathering[kMaxThreads / 32][4];

// Addresses that stand for a barrier's two sides in ThreadSanitizer: [warp] for __syncwarp, the last one for
// __syncthreads. A thread that leaves acquires the side that was open when it was released.
constexpr int kBlockBarrier = kMaxThreads / 32;
char entered[kBlockBarrier + 1], left[kBlockBarrier + 1][2];
int epochs[kBlockBarrier + 1];

const char *const kNames[] = {"running",  "exited",         "__syncthreads", "__syncwarp", "shuffle",   "vote",
                              "ldmatrix", "ldmatrix.trans", "mma.f16",       "mma.bf16",   "wgmma.f16", "wgmma.bf16"};

uint32_t random_bits() {
    random_state = random_state * 6364136223846793005u + 1442695040888963407u;
    return uint32_t(random_state >> 33);
}

#ifdef USE_UCONTEXT
void swap_context(Thread &from, Thread &to) {
    swapcontext(static_cast<ucontext_t *>(from.context), static_cast<ucontext_t *>(to.context));
}
#else
// Saves the callee-saved registers on the stack, stores the stack pointer in *from and continues where `to` was stored.
extern "C" void samc_emu_switch(void **from, void *to);
asm(".text\n"
    ".globl samc_emu_switch\n"
    ".type samc_emu_switch,@function\n"
    "samc_emu_switch:\n"
    "    push %rbp\n    push %rbx\n    push %r12\n    push %r13\n    push %r14\n    push %r15\n"
    "    mov %rsp,(%rdi)\n    mov %rsi,%rsp\n"
    "    pop %r15\n    pop %r14\n    pop %r13\n    pop %r12\n    pop %rbx\n    pop %rbp\n"
    "    ret\n"
    ".size samc_emu_switch,.-samc_emu_switch\n");
void swap_context(Thread &from, Thread &to) { samc_emu_switch(&from.context, to.context); }
#endif

#ifdef SAMC_EMU_ASAN
const void *main_stack;
size_t main_stack_bytes;
#endif

void switch_to(Thread &from, Thread &to) {
    now.counters.switches++;
#ifdef SAMC_EMU_TSAN
    __tsan_switch_to_fiber(to.race_state, 1); // 1: the switch itself orders nothing
#endif
#ifdef SAMC_EMU_ASAN
    void *fake = nullptr;
    bool to_main = &to == &scheduler;
    __sanitizer_start_switch_fiber(from.op == Op::exited ? nullptr : &fake, to_main ? main_stack : to.stack,
                                   to_main ? main_stack_bytes : kStack);
    swap_context(from, to);
    __sanitizer_finish_switch_fiber(fake, nullptr, nullptr);
#else
    swap_context(from, to);
#endif
}

// The next runnable thread, this warp first (cheap and the harshest on missing barriers), then the other warps in
// order.
Thread *pick(int warp) {
    for (int step = 0; step < warp_count; step++) {
        int w = config.order == Order::reverse ? (warp - step + warp_count) % warp_count : (warp + step) % warp_count;
        uint32_t ready = runnable[w];
        if (!ready) continue;
        int lane = config.order == Order::forward ? __builtin_ctz(ready) : 31 - __builtin_clz(ready);
        if (config.order == Order::random) {
            int turn = int(random_bits() & 31);
            uint32_t rotated = turn ? ready >> turn | ready << (32 - turn) : ready;
            lane = (__builtin_ctz(rotated) + turn) & 31;
        }
        return &threads[size_t(w) * 32 + size_t(lane)];
    }
    return nullptr;
}

int next_warp(int warp) { return config.order == Order::random ? int(random_bits() % uint32_t(warp_count)) : warp; }

void wait_here(Op op, uint32_t mask, Site site) {
    Thread *me = now.self;
    me->op = op;
    me->mask = mask;
    me->site = site;
    runnable[me->warp] &= ~(1u << me->lane);
    Thread *next = pick(next_warp(me->warp));
    if (next == nullptr) fail("deadlock: divergent barrier or incomplete warp mask");
    now.self = next;
    switch_to(*me, *next);
}

void release(int warp, uint32_t mask, int epoch) {
    for (uint32_t rest = mask; rest; rest &= rest - 1) {
        Thread &t = threads[size_t(warp) * 32 + size_t(__builtin_ctz(rest))];
        t.op = Op::running;
        t.epoch = epoch;
    }
    runnable[warp] |= mask;
}

void open_barrier() {
    now.counters.barriers++;
    at_barrier = 0;
    int epoch = epochs[kBlockBarrier] ^= 1;
    __tsan_acquire(&entered[kBlockBarrier]);
    __tsan_release(&left[kBlockBarrier][epoch]);
    for (int w = 0; w < warp_count; w++) {
        uint32_t mask = 0;
        for (int lane = 0; lane < 32; lane++)
            if (threads[size_t(w) * 32 + size_t(lane)].op == Op::barrier) mask |= 1u << lane;
        release(w, mask, epoch);
    }
}

void do_copies(std::vector<Copy> &copies) {
    for (const Copy &c : copies) {
        if (c.bytes) __tsan_read16(const_cast<void *>(c.from));
        __tsan_write16(c.to);
        std::memset(c.to, 0, 16);
        std::memcpy(c.to, c.from, size_t(c.bytes));
        size_t chunk = size_t(static_cast<char *>(c.to) - now.shared) / 16;
        unpublished[chunk] = true;
        now.self->unpublished.push_back(chunk);
    }
    copies.clear();
}

// For the race detector: what one lane stands for of the operands that a warp's product reads.
void read_operands(const Product &p, const Thread *lane) {
    for (int half = 0; half < 2; half++) {
        if (lane->lane < 16)
            __tsan_read16(const_cast<char *>(group_chunk(p.a, lane->warp % 4 * 16 + lane->lane, half)));
        for (int row = lane->lane; row < 256; row += 32) __tsan_read16(const_cast<char *>(group_chunk(p.b, row, half)));
    }
}

void thread_main() {
#ifdef SAMC_EMU_ASAN
    const void *bottom;
    size_t bytes;
    __sanitizer_finish_switch_fiber(nullptr, &bottom, &bytes);
    if (main_stack == nullptr)
        main_stack = bottom, main_stack_bytes = bytes; // the very first fiber was entered from main
#endif
    (*kernel_body)();
    Thread *me = now.self;
    bool outstanding = !me->issued.empty();
    for (const std::vector<Copy> &group : me->groups) outstanding |= !group.empty();
    if (outstanding) fail("thread exits with asynchronous copies it has not waited for");
    if (!me->products.empty() || !me->product_groups.empty())
        fail("thread exits with products of its warpgroup that it has not waited for");
    me->op = Op::exited;
    runnable[me->warp] &= ~(1u << me->lane);
    __tsan_release(&entered[kBlockBarrier]);
    Thread *next = &scheduler;
    if (--alive > 0) {
        if (at_barrier == alive) open_barrier(); // an exited thread no longer counts
        next = pick(me->warp);
        if (next == nullptr) fail("deadlock: the others wait for a thread that has exited");
        now.self = next;
    }
    switch_to(*me, *next);
    std::abort(); // nobody returns to an exited fiber
}

void start_fiber(Thread &t) {
#ifdef USE_UCONTEXT
    ucontext_t *context = static_cast<ucontext_t *>(t.context);
    getcontext(context);
    context->uc_stack.ss_sp = t.stack;
    context->uc_stack.ss_size = kStack;
    context->uc_link = nullptr;
    makecontext(context, thread_main, 0);
#else
    void **sp = reinterpret_cast<void **>(t.stack + kStack - 64);
    *--sp = nullptr; // return address of thread_main, never used; keeps the stack aligned
    *--sp = reinterpret_cast<void *>(thread_main);
    for (int i = 0; i < 6; i++) *--sp = nullptr;
    t.context = sp;
#endif
#ifdef SAMC_EMU_TSAN
    if (t.race_state) __tsan_destroy_fiber(t.race_state);
    t.race_state = __tsan_create_fiber(0);
#endif
}

#if !defined(SAMC_EMU_ASAN) && !defined(SAMC_EMU_TSAN)
void on_fault(int, siginfo_t *info, void *) {
    fail("access to memory that is not the kernel's (%p); the line is that of the thread's latest warp operation",
         info->si_addr);
}

void report_faults() {
    static char alternate[64 << 10];
    stack_t stack = {};
    stack.ss_sp = alternate;
    stack.ss_size = sizeof alternate;
    sigaltstack(&stack, nullptr);
    struct sigaction action = {};
    action.sa_sigaction = on_fault;
    action.sa_flags = SA_SIGINFO | SA_ONSTACK;
    sigaction(SIGSEGV, &action, nullptr);
    sigaction(SIGBUS, &action, nullptr);
}
#else
void report_faults() {} // the sanitizer has its own
#endif

void prepare(size_t shared_bytes) {
    static bool once = (report_faults(), true);
    (void)once;
    threads.reserve(kMaxThreads); // threads never move: fibers hold pointers to them
    while (int(threads.size()) < warp_count * 32) {
        threads.emplace_back();
        char *map = map_pages(kStack + kPage);
        guard_page(map);
        threads.back().stack = map + kPage;
#ifdef USE_UCONTEXT
        threads.back().context = new ucontext_t;
#endif
    }
#ifdef USE_UCONTEXT
    if (!scheduler.context) scheduler.context = new ucontext_t;
#endif
    now.shared_bytes = (shared_bytes + 15) & ~size_t(15);
}

} // namespace

void fail(const char *format, ...) {
    va_list args;
    va_start(args, format);
    std::fprintf(stderr, "emu: ERROR: ");
    std::vfprintf(stderr, format, args);
    va_end(args);
    if (now.self) {
        const Thread *me = now.self;
        std::fprintf(stderr, "\n  kernel %s, block (%u,%u,%u), thread (%u,%u,%u), at %s:%d\n", now.kernel, now.block.x,
                     now.block.y, now.block.z, me->index.x, me->index.y, me->index.z,
                     me->site.file ? me->site.file : "(before its first operation)", me->site.line);
        int shown = 0;
        for (int i = 0; i < thread_count && shown < 8; i++) {
            const Thread &t = threads[size_t(i)];
            if (i && t.op == threads[size_t(i) - 1].op && t.site.line == threads[size_t(i) - 1].site.line) continue;
            shown++;
            std::fprintf(stderr, "  from thread %d on: %s, mask %08x, %s:%d\n", i, kNames[int(t.op)], t.mask,
                         t.site.file ? t.site.file : "-", t.site.line);
        }
    } else std::fprintf(stderr, "\n");
    const char *orders[] = {"forward", "reverse", "random"};
    std::fprintf(stderr, "  order %s, seed %llu, %s copies; case: %s\n", orders[int(config.order)],
                 (unsigned long long)config.seed, config.early_copies ? "early" : "late", config.what.c_str());
    std::fflush(nullptr);
    _exit(2);
}

void barrier(Site site) {
    __tsan_release(&entered[kBlockBarrier]);
    if (++at_barrier == alive) {
        now.self->op = Op::barrier;
        now.self->site = site;
        open_barrier();
        __tsan_acquire(&left[kBlockBarrier][now.self->epoch]);
        return;
    }
    wait_here(Op::barrier, ~0u, site);
    __tsan_acquire(&left[kBlockBarrier][now.self->epoch]);
}

void yield() {
    if (config.order != Order::random) return;
    Thread *me = now.self, *next = pick(next_warp(me->warp));
    if (next == me) return;
    now.self = next;
    switch_to(*me, *next);
}

void warp_op(Op op, uint32_t mask, Site site) {
    Thread *me = now.self;
    int w = me->warp;
    Thread *warp = &threads[size_t(w) * 32];
    uint32_t my_bit = 1u << me->lane;
    bool orders_memory = op == Op::syncwarp; // the other warp operations exchange registers only
    me->site = site;
    me->mask = mask;
    if (!(mask & my_bit)) fail("warp operation: the calling lane is not in its own mask %08x", mask);
    if (op >= Op::ldmatrix && mask != ~0u) fail("warp operation: %s needs all 32 lanes", kNames[int(op)]);
    if (op == Op::ldmatrix || op == Op::ldmatrix_trans) __tsan_read16(const_cast<void *>(me->in.address));
    if (op >= Op::group_f16) read_operands(*static_cast<const Product *>(me->in.address), me);
    if (orders_memory) __tsan_release(&entered[w]);
    Gathering *slot = nullptr;
    for (Gathering &g : gathering[w])
        if (g.arrived && g.mask == mask) slot = &g;
    if (slot == nullptr) {
        for (Gathering &g : gathering[w]) {
            if (g.arrived & mask) fail("warp operation: a lane of mask %08x waits in one with mask %08x", mask, g.mask);
            if (!g.arrived) slot = &g;
        }
        if (slot == nullptr) fail("warp operation: more than four divergent groups of lanes");
        for (uint32_t rest = mask; rest; rest &= rest - 1)
            if (warp[__builtin_ctz(rest)].op == Op::exited)
                fail("warp operation: mask %08x names lane %d, which has exited or never was", mask,
                     __builtin_ctz(rest));
        *slot = {mask, 0, op, site};
    }
    if (slot->op != op || (!orders_memory && (slot->site.line != site.line || slot->site.id != site.id)))
        fail("warp operation: lanes meet from different instructions, the others came from line %d", slot->site.line);
    slot->arrived |= my_bit;
    if (slot->arrived != mask) {
        wait_here(op, mask, site);
        if (orders_memory) __tsan_acquire(&left[w][now.self->epoch]);
        return;
    }
    slot->arrived = 0; // the last lane does the work for all
    switch (op) {
    case Op::mma_f16:
    case Op::mma_bf16:
        compute_mma(warp, op == Op::mma_bf16);
        now.counters.mma++;
        break;
    case Op::ldmatrix:
    case Op::ldmatrix_trans:
        compute_ldmatrix(warp, op == Op::ldmatrix_trans);
        now.counters.ldmatrix++;
        break;
    case Op::group_f16:
    case Op::group_bf16:
        compute_group(warp, op == Op::group_bf16);
        now.counters.mma += 32;
        break;
    case Op::shuffle:
        now.counters.shuffles++;
        for (uint32_t rest = mask; rest; rest &= rest - 1) {
            Thread &to = warp[__builtin_ctz(rest)];
            if (!(mask >> to.in.u[1] & 1))
                fail("shuffle: lane %d reads lane %u, which is not in mask %08x", to.lane, to.in.u[1], mask);
            to.out.u[0] = warp[to.in.u[1]].in.u[0];
        }
        break;
    case Op::ballot: {
        uint32_t votes = 0;
        for (uint32_t rest = mask; rest; rest &= rest - 1)
            votes |= (warp[__builtin_ctz(rest)].in.u[0] & 1) << __builtin_ctz(rest);
        for (uint32_t rest = mask; rest; rest &= rest - 1) warp[__builtin_ctz(rest)].out.u[0] = votes;
        break;
    }
    default:
        break;
    }
    int epoch = epochs[w];
    if (orders_memory) {
        epoch = epochs[w] ^= 1;
        __tsan_acquire(&entered[w]);
        __tsan_release(&left[w][epoch]);
    }
    release(w, mask & ~my_bit, epoch);
    if (orders_memory) __tsan_acquire(&left[w][epoch]);
}

void copy_async(void *to, const void *from, int bytes, Site site) {
    now.self->site = site;
    now.counters.copies++;
    size_t offset = size_t(static_cast<char *>(to) - now.shared);
    if (offset % 16 || offset + 16 > now.shared_bytes)
        fail("cp.async: shared offset %zd is misaligned or outside the %zu bytes", ssize_t(offset), now.shared_bytes);
    if (bytes && reinterpret_cast<uintptr_t>(from) % 16)
        fail("cp.async: global address %p is not 16-byte aligned", from);
    if (bytes < 0 || bytes > 16) fail("cp.async: %d bytes", bytes);
#ifdef SAMC_EMU_ASAN
    if (bytes && __asan_region_is_poisoned(const_cast<void *>(from), size_t(bytes)))
        fail("cp.async reads memory that is not the kernel's (%p)", from);
#endif
    if (bytes)
        __tsan_read16(const_cast<void *>(from)); // for the race detector the copy happens at the issue and at the wait
    __tsan_write16(to);
    now.self->issued.push_back({to, from, bytes});
    if (config.early_copies) do_copies(now.self->issued);
}

void copy_commit() {
    now.self->groups.emplace_back(std::move(now.self->issued));
    now.self->issued.clear();
}

void copy_wait(int groups_left) {
    std::vector<std::vector<Copy>> &groups = now.self->groups;
    while (int(groups.size()) > groups_left) {
        do_copies(groups.front());
        groups.erase(groups.begin());
    }
}

void group_begin() { now.self->begun = true; }

void group_product(Op op, float *sums, uint64_t a, uint64_t b, Site site) {
    Thread *me = now.self;
    me->site = site;
    if (!me->begun) fail("wgmma: no wgmma.fence since the last group");
    Product p = {sums, a, b, 0, site};
    me->in.address = &p;
    warp_op(op, ~0u, site);
    p.bytes = me->lane == 0 ? group_bytes(p, me->warp) : 0;
    me->products.push_back(p);
}

void group_commit() {
    Thread *me = now.self;
    me->begun = false;
    me->product_groups.emplace_back(std::move(me->products));
    me->products.clear();
}

void group_wait(int groups_left) {
    Thread *me = now.self;
    while (int(me->product_groups.size()) > groups_left) {
        for (const Product &p : me->product_groups.front()) {
            me->site = p.site;
            read_operands(p, me);
            if (me->lane == 0 && group_bytes(p, me->warp) != p.bytes)
                fail("wgmma: an operand was overwritten while the product read it");
        }
        me->product_groups.erase(me->product_groups.begin());
    }
}

void publish_copies() {
    for (size_t chunk : now.self->unpublished) unpublished[chunk] = false;
    now.self->unpublished.clear();
}

size_t shared_limit() {
    // The programming guide's "maximum amount of shared memory per thread block"; kernels have it from elsewhere
    // (cuda_ops.h).
    static const struct {
        int capability, kilobytes;
    } limits[] = {{80, 163}, {86, 99}, {87, 163}, {89, 99}, {90, 227}, {100, 227}, {103, 227}, {120, 99}};
    for (auto &limit : limits)
        if (limit.capability == capability) return size_t(limit.kilobytes) << 10;
    fail("nothing is known of a device of compute capability %d.%d", capability / 10, capability % 10);
}

void launch(const char *kernel, Index grid, Index block, size_t shared_bytes, const std::function<void()> &body) {
    now.kernel = kernel;
    now.grid_size = grid;
    now.block_size = block;
    thread_count = int(block.x * block.y * block.z);
    if (shared_bytes > shared_limit())
        fail("%s: bad launch: %zu bytes of shared memory, a block has %zu on %d.%d", kernel, shared_bytes,
             shared_limit(), capability / 10, capability % 10);
    if (thread_count < 1 || thread_count > kMaxThreads || !grid.x || !grid.y || !grid.z || grid.y > 65535 ||
        grid.z > 65535)
        fail("%s: bad launch: grid %u x %u x %u, block of %d, %zu bytes", kernel, grid.x, grid.y, grid.z, thread_count,
             shared_bytes);
    warp_count = (thread_count + 31) / 32;
    kernel_body = &body;
    random_state = config.seed;
    prepare(shared_bytes);
    Buffer shared(now.shared_bytes); // 0xff everywhere is NaN in every float format
    now.shared = shared.as<char>();
    uint64_t blocks = uint64_t(grid.x) * grid.y * grid.z;
    for (uint64_t b = 0; b < blocks; b++) {
        now.block = {unsigned(b % grid.x), unsigned(b / grid.x % grid.y), unsigned(b / grid.x / grid.y)};
        now.counters.blocks++;
        alive = thread_count;
        at_barrier = 0;
        std::memset(gathering, 0, sizeof gathering);
        std::memset(now.shared, 0xff, now.shared_bytes);
        unpublished.assign(now.shared_bytes / 16, false);
#ifdef SAMC_EMU_TSAN
        scheduler.race_state = __tsan_get_current_fiber();
#endif
        for (int i = 0; i < warp_count * 32; i++) {
            Thread &t = threads[size_t(i)];
            t.lane = i & 31;
            t.warp = i >> 5;
            t.op = i < thread_count ? Op::running : Op::exited;
            t.site = {nullptr, 0, 0};
            t.issued.clear();
            t.groups.clear();
            t.unpublished.clear();
            t.products.clear();
            t.product_groups.clear();
            t.begun = false;
            unsigned n = unsigned(i);
            t.index = {n % block.x, n / block.x % block.y, n / (block.x * block.y)};
            start_fiber(t);
        }
        for (int w = 0; w < warp_count; w++) {
            int lanes = thread_count - w * 32;
            runnable[w] = lanes >= 32 ? ~0u : (1u << lanes) - 1;
        }
        now.self = pick(config.order == Order::reverse ? warp_count - 1 : next_warp(0));
        switch_to(scheduler, *now.self);
        now.self = nullptr;
        __tsan_acquire(&entered[kBlockBarrier]);
    }
    shared.check();
}

} // namespace emu
