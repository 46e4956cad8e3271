/* The cases that the decoder's two cross attentions share. Parameters: prompts T C inner heads N shared B (entries of
 * keys), made (projections given), unbiased, type (of keys and of the weights), device (0: of hosts alone; 1: other
 * shapes, 2: those of tensor cores). Who includes this says how many keys (F32_KEYS) f32 meets every number of tokens
 * with. */
#ifndef SAMC_KERNELS_CROSS_CASES_H
#define SAMC_KERNELS_CROSS_CASES_H

#include "kernels/token_counts.h"
#include "tests/checkops/checkops.h"

enum { GENERAL = 1, TENSOR = 2 };

static const test_case cross_cases[] = {
    {HOSTS, {1, 1, 8, 4, 1, 1, 0, 1, 0}},
    {HOSTS, {2, 5, 32, 16, 8, 9, 0, 2, 0}},
    {HOSTS, {3, 7, 64, 32, 8, 100, 1, 1, 0}},
    {HOSTS, {2, 15, 40, 24, 3, 65, 0, 2, 0}},
    {HOSTS, {1, 16, 32, 16, 4, 33, 0, 1, 0}},
    {HOSTS, {2, 17, 32, 16, 4, 257, 0, 2, 0}},
    {HOSTS, {1, 40, 48, 16, 8, 300, 1, 1, 0}},
    {HOSTS, {65, 6, 16, 8, 8, 16, 1, 1, 0}},
    {HOSTS, {2, 7, 128, 64, 8, 1030, 0, 2, 0}},
    {HOSTS, {1, 7, 256, 128, 8, 529, 1, 1, 0}},
    {HOSTS, {2, 3, 20, 10, 2, 50, 1, 1, 0}},
    {HOSTS, {6, 7, 64, 32, 8, 100, 1, 2, 0}},
    {HOSTS, {6, 5, 40, 24, 3, 65, 1, 3, 0}},
    {HOSTS, {4, 7, 20, 10, 2, 50, 1, 4, 0}},
    {HOSTS, {4, 6, 32, 16, 4, 33, 0, 2, 0}},
    {HOSTS, {3, 7, 64, 32, 8, 100, 1, 1, 1}},
    {HOSTS, {4, 6, 32, 16, 4, 33, 1, 2, 1}},
    {HOSTS, {2, 18, 20, 10, 2, 50, 1, 2, 1}},
    {HOSTS, {2, 19, 20, 10, 2, 50, 0, 2, 0}},
    {HOSTS, {4, 19, 32, 16, 4, 33, 1, 2, 1}},
    {HOSTS, {1, 7, 128, 64, 8, 70, 1, 1, 1}},
    {HOSTS, {2, 160, 64, 32, 8, 70, 0, 2, 0}},
    {HOSTS, {6, 5, 32, 16, 4, 700, 1, 6, 0}},
    {HOSTS, {6, 20, 32, 16, 4, 700, 0, 6, 0}},
    {HOSTS, {1, 1030, 16, 8, 2, 20, 0, 1, 0}},
    {MODEL, {16, 7, 256, 128, 8, 4096, 0, 16, 0}},
    {MODEL, {16, 7, 256, 128, 8, 4096, 1, 1, 0}},
    {MODEL, {1, 7, 256, 128, 8, 4096, 0, 1, 0}},
    {MODEL, {16, 7, 256, 128, 8, 4096, 1, 4, 0}},
    {MODEL, {4, 24, 256, 128, 8, 4096, 0, 4, 0}},
    {MODEL, {1, 7, 256, 128, 8, 4096, 1, 1, 1}},
    {MODEL, {1, 156, 256, 128, 8, 4096, 0, 1, 0}},
    {MODEL, {64, 7, 128, 64, 8, 1024, 0, 64, 0}},
    {MODEL, {64, 7, 128, 64, 8, 1024, 1, 1, 0}},
    {MODEL, {64, 7, 128, 64, 8, 1024, 1, 64, 0}},
    /* Tensor cores, for NaN and infinities. */
    {CUDA_SHAPE, {2, 7, 128, 64, 8, 72, 0, 2, 0}},
    {CUDA_SHAPE, {1, 9, 256, 128, 8, 40, 1, 1, 0}},
    {CUDA_SHAPE, {1, 9, 256, 128, 8, 33, 1, 1, 0}},
    {CUDA_SHAPE, {1, 1, 128, 64, 8, 17, 1, 1, 0}}, /* a token alone */
    /* Other shapes: odd heads, channels that are no whole vector, one key, segments that leave warps without keys,
     * blocks with idle warps. */
    {QUICK, {1, 1, 8, 4, 1, 1, 0, 1, 0, 15, F32, GENERAL}},
    {QUICK, {3, 5, 20, 10, 2, 50, 0, 3, 0, 0, F32, GENERAL}},
    {QUICK, {4, 7, 40, 24, 3, 65, 1, 2, 0, 0, F32, GENERAL}},
    {QUICK, {2, 3, 36, 12, 3, 35, 1, 1, 0, 0, BF16, GENERAL}},
    {QUICK, {3, 4, 40, 16, 2, 36, 1, 1, 0, 0, F16, GENERAL}},
    {QUICK, {1, 7, 256, 128, 8, 33, 0, 1, 0, 0, F32, GENERAL}},
    /* Tensor cores: one key, ragged tiles, a second segment, tokens even and odd, below, at and beyond a group of 8,
     * more of them than image_to_token's take, rows beyond a block of 16. */
    {QUICK, {1, 1, 128, 64, 8, 1, 0, 1, 0, 0, F16, TENSOR}},
    {QUICK, {2, 7, 256, 128, 8, 31, 1, 1, 0, 0, BF16, TENSOR}},
    {QUICK, {3, 5, 128, 64, 8, 100, 0, 3, 0, 15, BF16, TENSOR}},
    {QUICK, {4, 8, 128, 64, 8, 33, 1, 2, 0, 0, F16, TENSOR}},
    {QUICK, {4, 8, 128, 64, 8, 65, 1, 2, 0, 0, F16, TENSOR}},
    {QUICK, {2, 9, 256, 128, 8, 48, 0, 2, 0, 0, F16, TENSOR}},
    {QUICK, {2, 9, 256, 128, 8, 64, 0, 2, 0, 0, F16, TENSOR}},
    {QUICK, {1, 16, 128, 64, 8, 130, 0, 1, 0, 0, BF16, TENSOR}},
    {QUICK, {2, 17, 128, 64, 8, 9, 0, 2, 0, 0, F16, TENSOR}},
    {QUICK, {2, 7, 128, 64, 8, 1056, 1, 1, 0, 0, BF16, TENSOR}},
    {CUDA_FULL, {2, 10, 128, 64, 8, 200, 1, 1, 0, 0, F16, TENSOR}},
    {CUDA_FULL, {2, 12, 128, 64, 8, 1024, 0, 2, 0, 0, BF16, TENSOR}},
    {CUDA_FULL, {1, 13, 256, 128, 8, 150, 0, 1, 0, 0, BF16, TENSOR}},
    {CUDA_FULL, {2, 19, 128, 64, 8, 1024, 0, 2, 0, 0, BF16, TENSOR}},
    {CUDA_FULL, {66, 7, 128, 64, 8, 192, 1, 1, 0, 0, F16, TENSOR}},
    {CUDA_FULL, {9, 7, 128, 64, 8, 1024, 1, 1, 0, 0, F16, TENSOR}},
    {CUDA_FULL, {1, 5, 256, 128, 8, 4096, 0, 1, 0, 0, F16, TENSOR}},
    {CUDA_FULL, {2, 5, 256, 128, 8, 4096, 0, 2, 0, 0, F16, TENSOR}},
    {CUDA_FULL, {2, 7, 256, 128, 8, 4096, 1, 1, 0, 0, BF16, TENSOR}},
    {HARDWARE, {64, 7, 256, 128, 8, 4096, 1, 1, 0, 0, BF16, TENSOR}},
    {HARDWARE, {256, 7, 256, 128, 8, 4096, 0, 256, 0, 0, BF16, TENSOR}},
    {HARDWARE, {256, 7, 128, 64, 8, 1024, 0, 256, 0, 0, F16, TENSOR}},
#define OF_WIDE(t)                                                                                                     \
    {                                                                                                                  \
        CUDA_FULL, { 1, t, 256, 128, 8, OF_TYPE((t) % 3) }                                                             \
    }
#define OF_NARROW(t)                                                                                                   \
    {                                                                                                                  \
        CUDA_FULL, { 1, t, 128, 64, 8, OF_TYPE((t) % 3) }                                                              \
    }
#define OF_TYPE(type) (type) == F32 ? F32_KEYS : 17, 0, 1, 0, 0, (type), (type) == F32 ? GENERAL : TENSOR
    EVERY_TOKEN_COUNT(OF_WIDE),
    EVERY_TOKEN_COUNT(OF_NARROW),
};

/* All views of a kernel have one type. */
static inline void cross_types(const int *p, samc__dtype *of_views) {
    for (int i = 0; i < MAX_VIEWS; i++) of_views[i] = (samc__dtype)p[10];
}

/* With all projections of the image folded onto the tokens. */
static inline double cross_folded(const int *p) { return 4.0 * p[0] * p[1] * p[4] * p[5] * p[2]; }

static inline void cross_draw(check *c, int *p) {
    p[7] = random_size(c, 5), p[0] = p[7] * (1 + random_below(c, 4)),
    p[1] = random_size(c, random_below(c, 3) ? 24 : 60), p[2] = random_size(c, 140);
    p[4] = 1 + random_below(c, 8), p[3] = p[4] * random_size(c, 20),
    p[5] = random_size(c, random_below(c, 4) ? 300 : 2200);
    p[6] = random_below(c, 2), p[8] = random_below(c, 3) == 0, p[9] = random_below(c, 2) ? random_below(c, 16) : 0;
}

/* What the rows of both have alike. Bounds, as for linear: a chain of at most five sums of up to 256 terms and a
 * softmax over up to 4096 keys, ended by a norm, and folding rounds in other places: about 3e-7 for each step. A norm
 * over two or three channels, which only drawn shapes have, magnifies that by up to eps^-1/2, 300 (1e-9 and 6e-3 seen):
 * there the bound grows as the reference itself moves. Elements of the reference's may be exact by chance, a few:
 * last_place. */
#define CROSS_ROW                                                                                                      \
    .fields = "prompts T C inner heads N shared B made unbiased type device", .nmse = 4e-12, .deviation = 2e-5,        \
    .cases = cross_cases, .case_count = COUNT(cross_cases), .by_entry = true, .draw = cross_draw,                      \
    .types = cross_types, .last_place = 0x1p-21, .folded = cross_folded

#endif
