// around_launch.h - the checks of tests/emu on a real GPU: what happens around each launch of a kernel
// (kernels/cuda/device.h).
//
// A check keeps its memory in emu::Buffer and knows nothing of devices. Every buffer that a kernel's parameters point
// into is copied to the device before the launch and back after it; the parameters are led to the copies. Copies lie
// between guards.
#ifndef SAMC_TESTS_GPU_AROUND_LAUNCH_H
#define SAMC_TESTS_GPU_AROUND_LAUNCH_H

#include <cstddef>
#include <string>
#include <vector>

namespace gpu_check {

// One launch of the case that runs, or of several after each other.
struct Launch {
    const char *kernel;
    double warm_us,
        cold_us; // one after another with everything in cache as far as it fits; with an emptied L2. 0: not timed
};

struct State {
    bool checking = false; // else launches go as they are: the engine's
    bool timing = false;   // measure each launch
    bool rough = false;    // with few repeats: for rehearsals
    bool exact = false;    // no guards: compute-sanitizer sees where a buffer ends
    std::vector<Launch> launches;
    double bytes = 0; // of the buffers that the case's kernels were given, each once
};
extern State state;

int capability(); // of the device, 90 for 9.0
void new_case();  // empties `launches` and `bytes`, releases the copies

using Start = const char *(*)(const void *context, void **parameters);
const char *run(const char *kernel, void **parameters, const size_t *sizes, int count, Start start,
                const void *context);

// Prints a line and ends the process: the device is not to be used after a failure.
[[noreturn]] void stop(const char *what, const char *why);

} // namespace gpu_check

namespace samc {

template <class F>
static inline const char *around_launch(const char *kernel, void **parameters, const size_t *sizes, int count,
                                        const F &start) {
    return gpu_check::run(
        kernel, parameters, sizes, count, [](const void *f, void **list) { return (*static_cast<const F *>(f))(list); },
        &start);
}

} // namespace samc

#endif
