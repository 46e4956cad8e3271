// embed_points on the GPU: one thread for a pair of channels of one point, its encoding plus the embedding of its label.
#include "kernels/cuda/fourier.h"
#include "kernels/cuda/wrapper.h"

namespace samc {

constexpr int kPointThreads = 128;

// xy [tokens, 2], labels [tokens] -1 to 3; gaussian [2, half]; padding, label0 .. label3 [2 half]; y [tokens, 2 half]. grid.x: tokens,
// grid.y: blocks of channels.
SAMC_KERNEL(kPointThreads, 4)
embed_points(const float *xy, const int32_t *labels, float size, const float *gaussian, const float *padding, const float *label0,
             const float *label1, const float *label2, const float *label3, float *y, int half) {
    const int i = static_cast<int>(blockIdx.y * kPointThreads + threadIdx.x);
    if (i >= half) return;
    const int64_t token = blockIdx.x;
    const int label = labels[token];
    const float *added = label < 0 ? padding : label == 0 ? label0 : label == 1 ? label1 : label == 2 ? label2 : label3;
    f32x2 v = {0.0f, 0.0f};
    if (label >= 0) v = fourier((xy[2 * token] + 0.5f) / size, (xy[2 * token + 1] + 0.5f) / size, gaussian, half, i);
    y[token * 2 * half + i] = v.x + added[i];
    y[token * 2 * half + half + i] = v.y + added[half + i];
}

} // namespace samc

extern "C" samc_status samc__embed_points_cuda(const samc__cuda *cuda, const samc__embed_points_args *a) {
    using namespace samc;
    const samc__view *tables[7] = {&a->gaussian, &a->not_a_point, &a->label_embed[0], &a->label_embed[1], &a->label_embed[2], &a->label_embed[3], &a->y};
    for (const samc__view *table : tables) SAMC_REQUIRE("embed_points", table->dtype == SAMC__F32);
    SAMC_REQUIRE("embed_points", a->tokens <= INT32_MAX && a->y.n[1] <= 65535);
    const int half = static_cast<int>(a->y.n[1] / 2);
    auto floats = [&](int i) { return static_cast<const float *>(tables[i]->data); };
    const char *problem = launch("embed_points", embed_points,
                                 Grid{static_cast<unsigned>(a->tokens), static_cast<unsigned>((half + kPointThreads - 1) / kPointThreads), 1},
                                 kPointThreads, 0, cuda->stream, a->xy, a->labels, static_cast<float>(a->img_size), floats(0), floats(1), floats(2),
                                 floats(3), floats(4), floats(5), static_cast<float *>(a->y.data), half);
    return started(cuda, "embed_points", problem);
}
