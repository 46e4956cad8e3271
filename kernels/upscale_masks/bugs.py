"""Seeded bugs of upscale_masks; see mutations.py."""

KERNEL = "kernels/upscale_masks/cuda.cu"
STEP = "kernels/cuda/gemm_step.h"

# name: file, text, replacement, and what alone can show it where that is not a quick schedule (see mutations.py)
BUGS = {
    "a stage is not waited for": (STEP, "copy_wait<G::stages - 2>();", "copy_wait<G::stages - 1>();"),
    "no barrier before a buffer is refilled": (STEP, "__syncthreads(); // this stage", "// this stage"),
    "first weight not swizzled as it is read": (
        STEP,
        "column / 8 + j + lane / 16));",
        "(column / 8 + j + lane / 16) ^ 1));",
    ),
    "channels of the second product not permuted": (KERNEL, "r / 2 % 2 * 4 + r % 2 * 2 + r / 4, low", "r, low"),
    "neighbours exchange the wrong half": (KERNEL, "bits_float(v ? low : high)", "bits_float(v ? high : low)"),
    "statistics of half of the channels": (KERNEL, "(mean[e] + shuffle_xor(mean[e], 2))", "(mean[e] + mean[e])"),
    "lower pixels are the upper ones": (KERNEL, "a[1][k][i] = a[3][k][i];", ""),
    "masks that nobody asked for": (KERNEL, "if (2 * u + i < masks) store4", "store4"),
    "hypernetwork of the first prompt for all": (KERNEL, "hyper[(prompt * masks + i % kMasks)", "hyper[(i % kMasks)"),
    "the first image's map for all": (
        KERNEL,
        "maps.add1 + map_at(block / (tokens / G::m) / maps.each,",
        "maps.add1 + map_at(0,",
    ),
    "upper rows of the second map": (KERNEL, "grid, 4, 2 * up + v,", "grid, 4, v,"),
    "general kernel: a map's rows for its columns": (
        KERNEL,
        "s.grid, side, i / side,\n                  i % side,",
        "s.grid, side, i % side,\n                  i / side,",
    ),
    "general kernel: pixels before all are normalised": (KERNEL, "__syncthreads(); // all pixels", "// all pixels"),
    "general kernel: features before all are there": (KERNEL, "__syncthreads(); // every feature", "// every feature"),
    "general kernel: tokens beyond the last": (
        KERNEL,
        "item < count * 16 * s.masks",
        "item < kAnyTokens * 16 * s.masks",
    ),
}
