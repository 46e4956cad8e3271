// emu_reports - what the emulation refuses, each by a small wrong kernel in a process of its own: the run must end with
// status 2 and a report that names the mistake, the kernel and its line.
#include "kernels/cuda/device.h"

#include <cstdio>
#include <string>
#include <sys/wait.h>
#include <unistd.h>

using namespace samc;

static void divergent_barrier(float *) {
    if (threadIdx.x < 16) __syncthreads();
    sync_warp(); // the other half of the warp waits here
}
static void half_a_warp(float *) {
    if (threadIdx.x < 16) sync_warp();
    __syncthreads();
}
static void exited_lane(float *) {
    if (threadIdx.x == 5) return;
    sync_warp();
}
static void two_lines(float *) {
    if (threadIdx.x % 2) any(true);
    else any(true);
}
static void misaligned_copy(float *y) {
    SAMC_SHARED(shared);
    copy_async16(shared + 8, y, true);
}
static void copy_past_the_end(float *y) {
    SAMC_SHARED(shared);
    copy_async16(shared + 1024, y, true);
}
static void misaligned_ldmatrix(float *) {
    SAMC_SHARED(shared);
    uint32_t r[4];
    ldmatrix_x4(r, shared + threadIdx.x % 32 * 20);
}
static void copy_not_waited_for(float *y) {
    SAMC_SHARED(shared);
    copy_async16(shared, y, true);
    copy_commit();
}
static void store_past_the_end(float *y) {
    sync_warp();
    if (threadIdx.x == 63) y[64] = 1.0f;
}
static void store_before_the_start(float *y) {
    if (threadIdx.x == 0) y[-1] = 1.0f;
}

static void shared_of_a_larger_gpu(float *) { sync_warp(); }

// Runs a kernel in a child; true when its report has both texts.
static bool refused(const char *name, void (*kernel)(float *), const char *mistake, bool has_line, size_t shared = 1024,
                    int capability = 90) {
    int ends[2];
    if (pipe(ends) != 0) return false;
    std::fflush(stdout); // or the child prints it again
    pid_t child = fork();
    if (child == 0) {
        dup2(ends[1], 2);
        emu::capability = capability;
        emu::Buffer y(64 * sizeof(float));
        launch(name, kernel, Grid{1, 1, 1}, 64, shared, nullptr, y.as<float>());
        y.check();
        _exit(0);
    }
    close(ends[1]);
    std::string report;
    char part[4096];
    for (ssize_t n; (n = read(ends[0], part, sizeof part)) > 0;) report.append(part, size_t(n));
    close(ends[0]);
    int status = 0;
    waitpid(child, &status, 0);
    bool good = WIFEXITED(status) && WEXITSTATUS(status) == 2 && report.find(mistake) != std::string::npos &&
                report.find(name) != std::string::npos;
    if (has_line) good = good && report.find("emu_reports.cc:") != std::string::npos;
    std::printf("%s %s\n", good ? "ok  " : "FAIL", name);
    if (!good) std::printf("  status %d, report:\n%s\n", status, report.c_str());
    return good;
}

int main() {
    bool good = true;
#define REFUSED(kernel, mistake, has_line) good &= refused(#kernel, kernel, mistake, has_line)
    REFUSED(divergent_barrier, "deadlock", true);
    REFUSED(half_a_warp, "deadlock", true);
    REFUSED(exited_lane, "has exited", true);
    REFUSED(two_lines, "different instructions", true);
    REFUSED(misaligned_copy, "misaligned", true);
    REFUSED(copy_past_the_end, "outside the 1024 bytes", true);
    REFUSED(misaligned_ldmatrix, "misaligned", true);
    REFUSED(copy_not_waited_for, "not waited for", true);
    REFUSED(store_past_the_end, "not the kernel's", true);
    REFUSED(store_before_the_start, "outside a buffer", false);
    good &= refused("shared_of_a_larger_gpu", shared_of_a_larger_gpu,
                    "101377 bytes of shared memory, a block has 101376 on 8.6", false, 101377, 86);
    good &=
        refused("shared_of_a_larger_gpu", shared_of_a_larger_gpu, "a block has 166912 on 8.0", false, 200 << 10, 80);
    return !good;
}
