// cuda_twin.cc - twins of the CUDA runtime calls that the engine uses, as harsh as the manual allows.
//
// Streams are either late or prompt, by the seed: a late one does nothing until somebody waits for it, a prompt one
// runs as soon as the events it waits for have happened. Seed 0 makes all late, seed 1 all prompt, others mix. Device
// memory is unreadable outside of kernels and copies, starts as NaN, ends at an unreadable page, and its addresses are
// never used again. A copy from pinned memory reads it when it runs, one to pinned memory scribbles over it at once.
// Misuse ends the process with the call's name, also what was not given back by the end. What is set from outside is
// said in cuda_twin_state.h.
#include "cuda_twin.h"
#include "cuda_twin_state.h"
#include "emu_control.h"

#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <sys/mman.h>
#include <unistd.h>

using namespace emu_twin;

namespace {

void at_exit();

void apply(const samc_emu_settings &set) {
    emu::config.order = set.seed % 3 == 0   ? emu::Order::forward
                        : set.seed % 3 == 1 ? emu::Order::reverse
                                            : emu::Order::random;
    emu::config.seed = set.seed;
    emu::config.early_copies = set.seed % 2 != 0;
    emu::config.what = "stream seed " + std::to_string(set.seed);
}

thread_local int current = 0; // device, as cudaSetDevice() left it

Twin &twin() {
    static Twin *t = [] { // never destroyed: the engine may be torn down later
        Twin *made = new Twin;
        emu::stream_lost = [](void *stream) {
            return twin().of[static_cast<cudaStream_t>(stream)->device].lost != cudaSuccess;
        };
        emu::submit = [](void *stream, const char *kernel, std::function<void()> run) -> const char * {
            if (emu::stream_lost(stream))
                return cudaGetErrorString(cudaErrorLaunchFailure); // an earlier fault shows at the next launch
            emu::launch_work(static_cast<cudaStream_t>(stream), kernel, std::move(run));
            return nullptr;
        };
        apply(made->set);
        atexit(at_exit);
        return made;
    }();
    return *t;
}

int devices() { return twin().set.devices > 0 && twin().set.devices <= kMostDevices ? int(twin().set.devices) : 1; }

using Lock = std::lock_guard<std::recursive_mutex>;

double seconds() {
    timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return double(now.tv_sec) + 1e-9 * double(now.tv_nsec);
}

void protect(int device, int rights) {
    for (auto &entry : twin().device) {
        Piece &p = entry.second;
        if (!p.freed && p.device == device && mprotect(p.map + kPage, p.map_bytes - 2 * kPage, rights) != 0)
            emu::fail("mprotect failed");
    }
}

// Opens one device's memory, and closes the others', for as long as it lives.
struct Opened {
    int before = twin().open;
    explicit Opened(int device) { change(device); }
    ~Opened() { change(before); }
    static void change(int device) {
        if (device == twin().open) return;
        if (twin().open >= 0) protect(twin().open, PROT_NONE);
        if (device >= 0) protect(device, PROT_READ | PROT_WRITE);
        twin().open = device;
    }
};

void run_until(cudaStream_t stream, cudaEvent_t event, uint64_t version);

// Runs the first piece of work. False: it waits for an event that has not happened, and may not force it.
bool run_first(cudaStream_t stream, bool force) {
    Twin &t = twin();
    Work &first = stream->queue.front();
    if (first.event && first.waits) {
        if (first.event->completed < first.version) {
            if (!force) return false;
            run_until(first.by, first.event, first.version);
        }
    } else if (first.event) {
        if (first.version > first.event->completed) first.event->completed = first.version;
    } else if (t.of[stream->device].lost == cudaSuccess) {
        if (++t.works == t.set.lose) t.of[stream->device].lost = cudaErrorLaunchFailure;
        else {
            Opened opened(stream->device);
            if (++t.of[stream->device].works == t.meet) t.met.notify_all();
            double start = seconds();
            first.run();
            Ran &ran = t.ran[first.what];
            ran.times++;
            ran.seconds += seconds() - start;
        }
    }
    stream->queue.pop_front();
    return true;
}

void run_until(cudaStream_t stream, cudaEvent_t event, uint64_t version) {
    while (event->completed < version) {
        if (stream->queue.empty()) emu::fail("cuda twin: an event is waited for that no stream will record");
        run_first(stream, true);
    }
}

void drain(cudaStream_t stream) {
    Opened opened(stream->device);
    while (!stream->queue.empty()) run_first(stream, true);
}

// Prompt streams go as far as they may, newest first.
void run_prompt_streams() {
    for (bool any = true; any;) {
        any = false;
        for (size_t i = twin().streams.size(); i-- > 0;) {
            cudaStream_t stream = twin().streams[i].get();
            while (stream->prompt && !stream->queue.empty() && run_first(stream, false)) any = true;
        }
    }
}

void push(cudaStream_t stream, Work work) {
    bool prompt = false;
    stream->queue.push_back(std::move(work));
    for (auto &s : twin().streams) prompt |= s->prompt && !s->queue.empty();
    if (prompt) run_prompt_streams();
}

// Whether somebody who waits for the whole stream, or device, has to wait at all.
bool busy(cudaStream_t stream) { return !stream->queue.empty(); }
bool busy(int device) {
    for (auto &s : twin().streams)
        if (s->device == device && busy(s.get())) return true;
    return false;
}

void drain_all(int device) {
    for (size_t i = twin().streams.size(); i-- > 0;)
        if (twin().streams[i]->device == device) drain(twin().streams[i].get());
}

cudaStream_t known(cudaStream_t stream, const char *call) {
    if (stream == nullptr) emu::fail("%s: the engine does not use the default stream", call);
    for (auto &s : twin().streams)
        if (s.get() == stream && !s->destroyed) return stream;
    emu::fail("%s: the stream was destroyed or never made", call);
}
cudaEvent_t known(cudaEvent_t event, const char *call) {
    for (auto &e : twin().events)
        if (e.get() == event && !e->destroyed) return event;
    emu::fail("%s: the event was destroyed or never made", call);
}

// The piece that the address lies in, also a freed one; null: none.
Piece *find(const void *p) {
    auto after = twin().device.upper_bound(static_cast<const char *>(p));
    if (after == twin().device.begin()) return nullptr;
    auto it = std::prev(after);
    return static_cast<const char *>(p) < it->first + it->second.bytes ? &it->second : nullptr;
}
bool is_pinned(const void *p, size_t bytes) {
    auto after = twin().pinned.upper_bound(static_cast<const char *>(p));
    if (after == twin().pinned.begin()) return false;
    auto it = std::prev(after);
    return static_cast<const char *>(p) + bytes <= it->first + it->second;
}

cudaError_t result(cudaError_t code) {
    Twin &t = twin();
    if (code == cudaSuccess) code = t.of[current].lost;
    if (code != cudaSuccess) t.latest = code;
    return code;
}

bool refused() { return ++twin().allocations == twin().set.refuse; }

void copy_rows(char *to, size_t to_pitch, const char *from, size_t from_pitch, size_t width, size_t height) {
    for (size_t y = 0; y < height; y++) std::memcpy(to + y * to_pitch, from + y * from_pitch, width);
}

// One copy of rows: what of the host's memory may be touched now is settled here.
cudaError_t copy(const char *call, void *to, size_t to_pitch, const void *from, size_t from_pitch, size_t width,
                 size_t height, cudaMemcpyKind kind, cudaStream_t stream) {
    if (width > to_pitch || width > from_pitch) return result(cudaErrorInvalidValue);
    if (width == 0 || height == 0) return result(cudaSuccess);
    size_t to_bytes = (height - 1) * to_pitch + width, from_bytes = (height - 1) * from_pitch + width;
    char *target = static_cast<char *>(to);
    const char *source = static_cast<const char *>(from);
    if (kind == cudaMemcpyHostToDevice || kind == cudaMemcpyDeviceToDevice) emu::check_device(to, to_bytes, call);
    else if (find(to)) emu::fail("%s: the target %p is device memory", call, to);
    if (kind == cudaMemcpyDeviceToHost || kind == cudaMemcpyDeviceToDevice) emu::check_device(from, from_bytes, call);
    else if (find(from)) emu::fail("%s: the source %p is device memory", call, from);
    if (kind == cudaMemcpyDeviceToDevice && source < target + to_bytes && target < source + from_bytes &&
        !(to_pitch == from_pitch && to_pitch > width))
        emu::fail("%s: source and target overlap", call);
    twin().counts.copies++;
    if (kind == cudaMemcpyHostToDevice && !is_pinned(from, from_bytes)) { // staged before the call returns
        auto staged = std::make_shared<std::vector<char>>(width * height);
        copy_rows(staged->data(), width, source, from_pitch, width, height);
        emu::enqueue(stream, call, [=] { copy_rows(target, to_pitch, staged->data(), width, width, height); });
        return result(cudaSuccess);
    }
    if (kind == cudaMemcpyDeviceToHost && is_pinned(to, to_bytes))
        for (size_t y = 0; y < height; y++) std::memset(target + y * to_pitch, 0xee, width); // not yet there
    emu::enqueue(stream, call, [=] { copy_rows(target, to_pitch, source, from_pitch, width, height); });
    if (kind == cudaMemcpyDeviceToHost && !is_pinned(to, to_bytes))
        drain(stream), twin().counts.waits++; // returns when done
    return result(cudaSuccess);
}

void check_given_back() {
    Twin &t = twin();
    size_t pieces = 0, bytes = 0, streams = 0, events = 0;
    for (auto &entry : t.device)
        if (!entry.second.freed) pieces++, bytes += entry.second.bytes;
    for (auto &s : t.streams) streams += !s->destroyed;
    for (auto &e : t.events) events += !e->destroyed;
    if (pieces + t.pinned.size() + streams + events == 0) return;
    fflush(nullptr);
    fprintf(stderr,
            "emu: ERROR: not given back: %zu pieces of device memory (%zu bytes), %zu of pinned memory, %zu streams, "
            "%zu events\n",
            pieces, bytes, t.pinned.size(), streams, events);
    _exit(2);
}

void at_exit() {
    if (const char *path = getenv("SAMC_EMU_REPORT")) {
        FILE *file = fopen(path, "w");
        for (auto &entry : twin().ran)
            if (file)
                fprintf(file, "%-28s %8llu times %9.3f s\n", entry.first.c_str(),
                        (unsigned long long)entry.second.times, entry.second.seconds);
        for (int i = 0; file && i < devices(); i++)
            fprintf(file, "device-%d %30llu times\n", i, (unsigned long long)twin().of[i].works);
        if (file) fclose(file);
    }
    check_given_back();
}

} // namespace

namespace emu {

void enqueue(cudaStream_t stream, const char *what, std::function<void()> work) {
    Lock lock(twin().mutex);
    if (known(stream, what)->device != current)
        fail("%s: the stream is of device %d, the current one is %d", what, stream->device, current);
    push(stream, {what, std::move(work), nullptr, 0, false, nullptr});
}

// Waits, where the current device has come so far, for the devices that have not.
static void meet_others() {
    std::unique_lock<std::recursive_mutex> lock(twin().mutex);
    Twin &t = twin();
    if (t.of[current].works < t.meet) return;
    t.met.wait(lock, [&] {
        for (int i = 0; i < devices(); i++)
            if (t.of[i].works < t.meet) return false;
        return true;
    });
}

void launch_work(cudaStream_t stream, const char *what, std::function<void()> work) {
    meet_others();
    Lock lock(twin().mutex);
    twin().counts.launches++;
    enqueue(stream, what, std::move(work));
}

uint64_t cudnn_setting() { return twin().set.cudnn; }
uint64_t cublaslt_setting() { return twin().set.cublaslt; }

void check_device(const void *p, size_t bytes, const char *call) {
    Lock lock(twin().mutex);
    Piece *piece = find(p);
    if (piece == nullptr) fail("%s: %p is not device memory", call, p);
    if (piece->freed) fail("%s: %p was freed", call, p);
    const char *end = piece->map + piece->map_bytes - kPage - piece->slack;
    if (static_cast<const char *>(p) + bytes > end)
        fail("%s: %zu bytes at %p reach %zd bytes beyond their memory", call, bytes, p,
             static_cast<const char *>(p) + bytes - end);
}

} // namespace emu

void samc_emu_begin(const samc_emu_settings *settings) {
    Lock lock(twin().mutex);
    Twin &t = twin();
    check_given_back();
    for (auto &entry : t.device) munmap(entry.second.map, entry.second.map_bytes);
    t.device.clear();
    t.streams.clear();
    t.events.clear();
    t.set = *settings;
    t.allocations = t.works = 0;
    for (auto &device : t.of) device = Twin::Device();
    t.latest = cudaSuccess;
    current = 0;
    apply(t.set);
}
uint64_t samc_emu_allocations(void) { return twin().allocations; }
uint64_t samc_emu_works(void) { return twin().works; }
samc_emu_counts samc_emu_counted(void) { return twin().counts; }
uint64_t samc_emu_ran(const char *what) {
    auto found = twin().ran.find(what);
    return found == twin().ran.end() ? 0 : found->second.times;
}

// ---- The calls ----------------------------------------------------------------------------------

cudaError_t cudaGetLastError(void) {
    cudaError_t latest = twin().latest;
    twin().latest = twin().of[current].lost; // a lost device stays lost
    return latest;
}

const char *cudaGetErrorString(cudaError_t error) {
    switch (error) {
    case cudaSuccess:
        return "no error";
    case cudaErrorMemoryAllocation:
        return "out of memory";
    case cudaErrorNoDevice:
        return "no CUDA-capable device is detected";
    case cudaErrorInsufficientDriver:
        return "CUDA driver version is insufficient for CUDA runtime version";
    case cudaErrorLaunchFailure:
        return "unspecified launch failure";
    default:
        return "invalid argument";
    }
}

cudaError_t cudaGetDeviceCount(int *count) {
    *count = 0;
    if (twin().set.driver && twin().set.driver < 13000) return result(cudaErrorInsufficientDriver);
    *count = devices();
    return result(cudaSuccess);
}
cudaError_t cudaGetDeviceProperties(struct cudaDeviceProp *p, int device) {
    if (device < 0 || device >= devices()) return result(cudaErrorInvalidValue);
    // Ampere or Hopper, unless a test or the environment names another: kernels are chosen by it, and shared memory is
    // what it has.
    if (std::getenv("SAMC_EMU_CAPABILITY") == nullptr)
        emu::capability = twin().set.capability ? int(twin().set.capability) : twin().set.seed % 2 ? 80 : 90;
    *p = {"emulated device", size_t(twin().set.memory), emu::capability / 10, emu::capability % 10, 108};
    return result(cudaSuccess);
}
cudaError_t cudaSetDevice(int device) {
    if (device < 0 || device >= devices()) return result(cudaErrorInvalidValue);
    current = device;
    return result(cudaSuccess);
}
cudaError_t cudaSetDeviceFlags(unsigned flags) {
    return result(flags == cudaDeviceScheduleBlockingSync ? cudaSuccess : cudaErrorInvalidValue);
}
cudaError_t cudaDriverGetVersion(int *version) {
    *version = int(twin().set.driver ? twin().set.driver : 13000);
    return cudaSuccess;
}
cudaError_t cudaRuntimeGetVersion(int *version) {
    *version = 13000;
    return cudaSuccess;
}

cudaError_t cudaMemGetInfo(size_t *free_bytes, size_t *total) {
    Lock lock(twin().mutex);
    *total = size_t(twin().set.memory);
    *free_bytes = size_t(twin().set.memory - twin().of[current].used);
    return result(cudaSuccess);
}

cudaError_t cudaMalloc(void **memory, size_t bytes) {
    Lock lock(twin().mutex);
    Twin &t = twin();
    *memory = nullptr;
    if (bytes == 0) return result(cudaErrorInvalidValue);
    if (refused() || t.of[current].used + bytes > t.set.memory) return result(cudaErrorMemoryAllocation);
    size_t rounded = (bytes + kAlignment - 1) / kAlignment * kAlignment, inner = (rounded + kPage - 1) / kPage * kPage;
    Piece p = {current, nullptr, inner + 2 * kPage, bytes, rounded - bytes, false};
    void *map = mmap(nullptr, p.map_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (map == MAP_FAILED) return result(cudaErrorMemoryAllocation);
    p.map = static_cast<char *>(map);
    madvise(map, p.map_bytes, MADV_HUGEPAGE); // thousands of page faults fewer
    char *data = p.map + kPage + inner - rounded;
    std::memset(data, 0xff, bytes);
    std::memset(data + bytes, kSlack, p.slack);
    mprotect(p.map, p.map_bytes, PROT_NONE);
    if (t.open == current) mprotect(p.map + kPage, inner, PROT_READ | PROT_WRITE);
    t.of[current].used += bytes;
    t.device[data] = p;
    *memory = data;
    return result(cudaSuccess);
}

cudaError_t cudaFree(void *memory) {
    Lock lock(twin().mutex);
    if (memory == nullptr) return result(cudaSuccess);
    auto found = twin().device.find(static_cast<char *>(memory));
    if (found == twin().device.end()) emu::fail("cudaFree: %p is not what cudaMalloc returned", memory);
    Piece &p = found->second;
    twin().counts.waits += busy(p.device);
    drain_all(p.device); // as the real one waits for the device
    if (p.freed) emu::fail("cudaFree: %p is freed a second time", memory);
    {
        Opened opened(p.device);
        const unsigned char *slack = static_cast<unsigned char *>(memory) + p.bytes;
        for (size_t i = 0; i < p.slack; i++)
            if (slack[i] != kSlack)
                emu::fail("something wrote %zu bytes beyond the %zu bytes at %p", i + 1, p.bytes, memory);
    }
    madvise(p.map, p.map_bytes, MADV_DONTNEED);
    p.freed = true;
    twin().of[p.device].used -= p.bytes;
    return result(cudaSuccess);
}

cudaError_t cudaHostAlloc(void **memory, size_t bytes, unsigned) {
    Lock lock(twin().mutex);
    *memory = refused() ? nullptr : aligned_alloc(kPage, (bytes + kPage - 1) / kPage * kPage);
    if (*memory == nullptr) return result(cudaErrorMemoryAllocation);
    std::memset(*memory, 0xee, bytes);
    twin().pinned[static_cast<char *>(*memory)] = bytes;
    return result(cudaSuccess);
}

cudaError_t cudaFreeHost(void *memory) {
    Lock lock(twin().mutex);
    for (int device = 0; device < devices(); device++) twin().counts.waits += busy(device), drain_all(device);
    if (twin().pinned.erase(static_cast<char *>(memory)) == 0)
        emu::fail("cudaFreeHost: %p is not pinned memory", memory);
    free(memory);
    return result(cudaSuccess);
}

cudaError_t cudaMemcpy(void *to, const void *from, size_t bytes, cudaMemcpyKind kind) {
    // On the default stream, which the engine's non-blocking ones do not wait for: from pageable memory it returns when
    // the bytes have been taken, not when they have arrived.
    Lock lock(twin().mutex);
    Twin &t = twin();
    if (kind != cudaMemcpyHostToDevice) emu::fail("cudaMemcpy: the engine only uploads with it");
    emu::check_device(to, bytes, "cudaMemcpy");
    cudaStream_t &by_default = t.of[current].by_default;
    if (by_default == nullptr) {
        t.streams.emplace_back(new CUstream_st{current, {}, false, true});
        by_default = t.streams.back().get();
    }
    auto staged =
        std::make_shared<std::vector<char>>(static_cast<const char *>(from), static_cast<const char *>(from) + bytes);
    push(by_default, {"cudaMemcpy", [=] { std::memcpy(to, staged->data(), bytes); }, nullptr, 0, false, nullptr});
    return result(cudaSuccess);
}

cudaError_t cudaDeviceSynchronize(void) {
    Lock lock(twin().mutex);
    twin().counts.waits += busy(current);
    drain_all(current);
    return result(cudaSuccess);
}

cudaError_t cudaMemcpyAsync(void *to, const void *from, size_t bytes, cudaMemcpyKind kind, cudaStream_t stream) {
    Lock lock(twin().mutex);
    return copy("cudaMemcpyAsync", to, bytes, from, bytes, bytes, 1, kind, stream);
}

cudaError_t cudaMemcpy2DAsync(void *to, size_t to_pitch, const void *from, size_t from_pitch, size_t width,
                              size_t height, cudaMemcpyKind kind, cudaStream_t stream) {
    Lock lock(twin().mutex);
    return copy("cudaMemcpy2DAsync", to, to_pitch, from, from_pitch, width, height, kind, stream);
}

cudaError_t cudaStreamCreateWithFlags(cudaStream_t *stream, unsigned flags) {
    Lock lock(twin().mutex);
    Twin &t = twin();
    if (flags != cudaStreamNonBlocking) return result(cudaErrorInvalidValue);
    uint64_t mixed = (t.set.seed * 0x9e3779b97f4a7c15u + t.streams.size()) * 0xbf58476d1ce4e5b9u;
    bool prompt = t.set.prompt != 0 ? t.set.prompt >> t.streams.size() & 1
                  : t.set.seed == 0 ? false
                  : t.set.seed == 1 ? true
                                    : (mixed >> 40 & 1) != 0;
    t.streams.emplace_back(new CUstream_st{current, {}, prompt, false});
    *stream = t.streams.back().get();
    return result(cudaSuccess);
}
cudaError_t cudaStreamDestroy(cudaStream_t stream) {
    Lock lock(twin().mutex);
    drain(known(stream, "cudaStreamDestroy"));
    stream->destroyed = true;
    return result(cudaSuccess);
}
cudaError_t cudaStreamSynchronize(cudaStream_t stream) {
    Lock lock(twin().mutex);
    twin().counts.waits += busy(known(stream, "cudaStreamSynchronize"));
    drain(stream);
    return result(cudaSuccess);
}
cudaError_t cudaStreamWaitEvent(cudaStream_t stream, cudaEvent_t event, unsigned) {
    Lock lock(twin().mutex);
    known(event, "cudaStreamWaitEvent");
    if (event->recorded > 0)
        push(known(stream, "cudaStreamWaitEvent"), {"wait", nullptr, event, event->recorded, true, event->stream});
    return result(cudaSuccess);
}
cudaError_t cudaEventCreateWithFlags(cudaEvent_t *event, unsigned) {
    Lock lock(twin().mutex);
    twin().events.emplace_back(new CUevent_st{current, 0, 0, nullptr, false});
    *event = twin().events.back().get();
    return result(cudaSuccess);
}
cudaError_t cudaEventDestroy(cudaEvent_t event) {
    Lock lock(twin().mutex);
    known(event, "cudaEventDestroy")->destroyed = true;
    return result(cudaSuccess);
}
cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream) {
    Lock lock(twin().mutex);
    known(event, "cudaEventRecord")->stream = known(stream, "cudaEventRecord");
    if (event->device != stream->device)
        emu::fail("cudaEventRecord: the event is of device %d, the stream of device %d", event->device, stream->device);
    event->recorded++;
    push(stream, {"record", nullptr, event, event->recorded, false, nullptr});
    return result(cudaSuccess);
}
cudaError_t cudaEventSynchronize(cudaEvent_t event) {
    Lock lock(twin().mutex);
    known(event, "cudaEventSynchronize");
    twin().counts.waits += event->recorded > event->completed;
    if (event->recorded > event->completed) run_until(event->stream, event, event->recorded);
    return result(cudaSuccess);
}
