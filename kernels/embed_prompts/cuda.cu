// embed_prompts on the GPU: one launch; a thread has a pair of channels of one token, its encoding plus the embedding
// of its label, or a copy of one of the model's own.
#include "kernels/cuda/fourier.h"
#include "kernels/cuda/wrapper.h"
#include "kernels/embed_prompts/embed_prompts.h"

namespace samc {

constexpr int kPromptThreads = 128;

// What the tokens are made of: each [2 half].
struct PromptTables {
    const float *gaussian; // [2, half]
    const float *padding, *label0, *label1, *label2, *label3;
    const float *own[SAMC__OWN_TOKENS]; // [rows, 2 half] each
    int rows[SAMC__OWN_TOKENS];         // 0: absent
};

// Token `token` of the model's own, [2 half].
__device__ inline const float *own_token(const PromptTables &t, int token, int half) {
    SAMC_UNROLL
    for (int i = 0; i < SAMC__OWN_TOKENS - 1; i++) {
        if (token < t.rows[i]) return t.own[i] + token * 2 * half;
        token -= t.rows[i];
    }
    return t.own[SAMC__OWN_TOKENS - 1] + token * 2 * half;
}

// xy [P, tokens - own, 2], labels [P, tokens - own] -1 to 3; queries, pe [P, tokens, 2 half]. grid.x: P tokens, grid.y:
// blocks of channels.
SAMC_KERNEL(kPromptThreads, 4)
embed_prompts(const float *xy, const int32_t *labels, float size, PromptTables t, float *queries, float *pe, int tokens,
              int own, int half) {
    const int i = static_cast<int>(blockIdx.y * kPromptThreads + threadIdx.x);
    if (i >= half) return;
    const int64_t row = blockIdx.x;
    const int64_t prompt = row / tokens, token = row % tokens;
    f32x2 v = {0.0f, 0.0f};
    const float *added;
    if (token < own) added = own_token(t, static_cast<int>(token), half);
    else {
        const int64_t point = prompt * (tokens - own) + token - own;
        const int label = labels[point];
        added = label < 0    ? t.padding
                : label == 0 ? t.label0
                : label == 1 ? t.label1
                : label == 2 ? t.label2
                             : t.label3;
        if (label >= 0)
            v = fourier((xy[2 * point] + 0.5f) / size, (xy[2 * point + 1] + 0.5f) / size, t.gaussian, half, i);
    }
    const float low = v.x + added[i], high = v.y + added[half + i];
    const int64_t at = row * 2 * half + i;
    queries[at] = low;
    queries[at + half] = high;
    pe[at] = low;
    pe[at + half] = high;
}

} // namespace samc

// All f32. Labels must be -1 to 3: nothing checks them here.
extern "C" samc_status samc__embed_prompts_cuda(const samc__cuda *cuda, const samc__embed_prompts_args *a) {
    using namespace samc;
    const samc__view *all[8] = {&a->gaussian,       &a->not_a_point,    &a->label_embed[0], &a->label_embed[1],
                                &a->label_embed[2], &a->label_embed[3], &a->queries,        &a->pe};
    for (const samc__view *view : all) SAMC_REQUIRE("embed_prompts", view->dtype == SAMC__F32);
    const int64_t rows = a->queries.n[0] * a->queries.n[1];
    SAMC_REQUIRE("embed_prompts", rows <= INT32_MAX && a->queries.n[2] <= 65535);
    const int half = static_cast<int>(a->queries.n[2] / 2), own = static_cast<int>(samc__embed_prompts_own(a));
    auto floats = [&](int i) { return static_cast<const float *>(all[i]->data); };
    PromptTables tables = {floats(0), floats(1), floats(2), floats(3), floats(4), floats(5), {}, {}};
    for (int i = 0; i < SAMC__OWN_TOKENS && a->own[i].data; i++) {
        SAMC_REQUIRE("embed_prompts", a->own[i].dtype == SAMC__F32);
        tables.own[i] = static_cast<const float *>(a->own[i].data);
        tables.rows[i] = static_cast<int>(a->own[i].n[0]);
    }
    const char *problem = launch(
        "embed_prompts", embed_prompts,
        Grid{static_cast<unsigned>(rows), static_cast<unsigned>((half + kPromptThreads - 1) / kPromptThreads), 1},
        kPromptThreads, 0, cuda->stream, a->xy, a->labels, static_cast<float>(a->img_size), tables,
        static_cast<float *>(a->queries.data), static_cast<float *>(a->pe.data), static_cast<int>(a->queries.n[1]), own,
        half);
    return started(cuda, "embed_prompts", problem);
}
