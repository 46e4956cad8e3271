// embed_grid on the GPU: one thread for a pair of channels, sine and cosine, of one cell of the grid.
#include "kernels/cuda/fourier.h"
#include "kernels/cuda/wrapper.h"
#include "kernels/embed_grid/embed_grid.h"

namespace samc {

constexpr int kGridThreads = 128;

// gaussian [2, half]; y [grid * grid, 2 half]. grid.x: cells, grid.y: blocks of channels.
template <class T> SAMC_KERNEL(kGridThreads, 4) embed_grid(const float *gaussian, T *y, int grid, int half) {
    const int i = static_cast<int>(blockIdx.y * kGridThreads + threadIdx.x), cell = static_cast<int>(blockIdx.x);
    if (i >= half) return;
    const float size = static_cast<float>(grid);
    f32x2 v = fourier((static_cast<float>(cell % grid) + 0.5f) / size, (static_cast<float>(cell / grid) + 0.5f) / size,
                      gaussian, half, i);
    store(y + static_cast<int64_t>(cell) * 2 * half + i, v.x);
    store(y + static_cast<int64_t>(cell) * 2 * half + half + i, v.y);
}

template <class T> static const char *embed_grid_run(const samc__cuda *cuda, const samc__embed_grid_args *a) {
    const int half = static_cast<int>(a->y.n[1] / 2);
    const Grid blocks = {static_cast<unsigned>(a->y.n[0]),
                         static_cast<unsigned>((half + kGridThreads - 1) / kGridThreads), 1};
    return launch("embed_grid", embed_grid<T>, blocks, kGridThreads, 0, cuda->stream,
                  static_cast<const float *>(a->gaussian.data), static_cast<T *>(a->y.data), a->grid, half);
}

} // namespace samc

// gaussian f32; y f32, f16 or bf16.
extern "C" samc_status samc__embed_grid_cuda(const samc__cuda *cuda, const samc__embed_grid_args *a) {
    using namespace samc;
    const samc__dtype type = a->y.dtype;
    SAMC_REQUIRE("embed_grid",
                 a->gaussian.dtype == SAMC__F32 && (type == SAMC__F32 || type == SAMC__F16 || type == SAMC__BF16));
    SAMC_REQUIRE("embed_grid", a->y.n[0] <= INT32_MAX && a->y.n[1] <= 65535);
    const char *problem = type == SAMC__F32   ? embed_grid_run<float>(cuda, a)
                          : type == SAMC__F16 ? embed_grid_run<f16>(cuda, a)
                                              : embed_grid_run<bf16>(cuda, a);
    return started(cuda, "embed_grid", problem);
}
