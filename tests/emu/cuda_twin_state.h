// cuda_twin_state.h - what the twin of CUDA's runtime knows: streams with their work, events, memory, and what is set
// from outside. Of cuda_twin.cc alone.
//
//   SAMC_EMU_SEED=N         order of streams and of threads
//   SAMC_EMU_MEMORY=BYTES   of the device
//   SAMC_EMU_REFUSE=N       the N-th allocation fails
//   SAMC_EMU_LOSE=N         the device fails at the N-th piece of work
//   SAMC_EMU_MEET=N         a device that has done N pieces of work goes on when every device has
//   SAMC_EMU_CUDNN=N        1: it does not start, 2: it refuses every convolution, 3: it is not installed
//   SAMC_EMU_CUBLASLT=N     1: it does not start, 2: it refuses every product, 3: its first algorithm does when it
//   runs,
//                           4: it is not installed
//   SAMC_EMU_DRIVER=N       the driver's CUDA version, 13000 for 13.0
//   SAMC_EMU_CAPABILITY=N   of the device, 86 for 8.6
//   SAMC_EMU_DEVICES=N      there are N of them, each with that memory, 1 to 8; nobody reads another's
//   SAMC_EMU_REPORT=FILE    what ran, how often, how long
#ifndef SAMC_TESTS_EMU_CUDA_TWIN_STATE_H
#define SAMC_TESTS_EMU_CUDA_TWIN_STATE_H

#include "cuda_twin.h"
#include "emu_control.h"

#include <condition_variable>
#include <cstdlib>
#include <deque>
#include <map>
#include <memory>
#include <mutex>

struct CUevent_st {
    int device;
    uint64_t recorded, completed; // how many records were told, and have happened
    cudaStream_t stream;          // of the latest record
    bool destroyed;
};

namespace emu_twin {

struct Work {
    const char *what;
    std::function<void()> run; // empty: an event
    cudaEvent_t event;         // recorded or waited for
    uint64_t version;
    bool waits;
    cudaStream_t by; // of the record that is waited for
};

} // namespace emu_twin

struct CUstream_st {
    int device;
    std::deque<emu_twin::Work> queue;
    bool prompt, destroyed;
};

namespace emu_twin {

constexpr size_t kPage = 4096, kAlignment = 256;
constexpr int kMostDevices = 8;
constexpr unsigned char kSlack = 0x5a;

struct Piece {
    int device;
    char *map;
    size_t map_bytes, bytes, slack;
    bool freed;
};

struct Ran {
    uint64_t times;
    double seconds;
};

inline uint64_t setting(const char *name, uint64_t otherwise) {
    const char *text = getenv(name);
    return text ? strtoull(text, nullptr, 10) : otherwise;
}

struct Twin {
    std::recursive_mutex mutex;
    samc_emu_settings set = {setting("SAMC_EMU_SEED", 0),       setting("SAMC_EMU_MEMORY", uint64_t(8) << 30),
                             setting("SAMC_EMU_REFUSE", 0),     setting("SAMC_EMU_LOSE", 0),
                             setting("SAMC_EMU_CUDNN", 0),      0,
                             setting("SAMC_EMU_DEVICES", 1),    setting("SAMC_EMU_CUBLASLT", 0),
                             setting("SAMC_EMU_DRIVER", 13000), setting("SAMC_EMU_CAPABILITY", 0)};
    uint64_t meet = setting("SAMC_EMU_MEET", 0);
    std::condition_variable_any met;
    uint64_t allocations = 0, works = 0;
    samc_emu_counts counts = {}; // since the program's start
    struct Device {
        uint64_t used = 0, works = 0;
        cudaError_t lost = cudaSuccess;
        cudaStream_t by_default = nullptr; // made by the first call that uses it; nobody's to destroy
    } of[kMostDevices];
    cudaError_t latest = cudaSuccess;
    int open = -1;                        // the device whose memory is readable now
    std::map<const char *, Piece> device; // by address; freed ones stay, so that their use is found
    std::map<const char *, size_t> pinned;
    std::vector<std::unique_ptr<CUstream_st>> streams; // also destroyed ones
    std::vector<std::unique_ptr<CUevent_st>> events;
    std::map<std::string, Ran> ran;
};

} // namespace emu_twin

#endif
